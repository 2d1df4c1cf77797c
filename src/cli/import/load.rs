//! Load: sends rows to the node as one stream, in their order, and receives the outcome of each.
//!
//! ```text
//!   reader ─▶ rows ─▶ in flight (bounded by number and bytes) ─▶ ApplyStream ─▶ node
//!                         ▲ sent again after a break                  │
//!                         └────── settled, from the front ◀── outcomes ┘
//! ```
//!
//! Every item carries the request id of the import and the row's number. When the stream breaks, what is in flight is
//! sent again with the same ids on a new one: the node answers a repeated item with its first receipt. One
//! stream keeps the order of the file, so that two rows of one identifier have the outcome that their order says.

use std::mem;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::super::change::left_out;
use super::super::connection::{Connection, pause_and_double};
use super::super::display::escape;
use super::super::error::{Attempt, Error, Reason};
use super::super::output::notice;
use super::super::progress::{Point, Progress};
use super::ahead::Rows;
use super::in_flight::{InFlight, RowInFlight};
use super::reading::Purpose;
use super::result::{RefusedRow, ResultFile};
use super::row::{Content, Row, malformed};
use crate::model::limits::{MESSAGE_BYTES_MAX, VALUES_BYTES_MAX};
use crate::wire::proto;
use crate::wire::proto::registration_service_client::RegistrationServiceClient;

/// Rows whose warnings are shown.
const WARNINGS_SHOWN_MAX: u64 = 10;
/// Capacity of the queue to the transport.
const TRANSPORT_QUEUE: usize = 64;

const _: () = assert!(VALUES_BYTES_MAX * 2 < MESSAGE_BYTES_MAX);

//----------- Tally ----------------------------------------------------------

/// Outcomes of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// New identifiers.
    pub(super) registered: u64,
    /// Identifiers that already had the same values.
    pub(super) skipped: u64,
    /// Identifiers whose values were changed.
    pub(super) amended: u64,
    /// Identifiers that were removed.
    pub(super) removed: u64,
    /// Identifiers whose other values were replaced.
    pub(super) overwritten: u64,
    /// Rows that were refused.
    pub(super) refused: u64,
    /// Rows that were sent, and may or may not have been carried out.
    pub(super) unknown: u64,
    /// Rows that were carried out, with a value that is likely not as meant.
    pub(super) warned: u64,
}

impl Tally {
    /// Rows in all.
    pub(super) fn rows(&self) -> u64 {
        let done = self.registered + self.skipped + self.overwritten + self.amended + self.removed;
        done + self.refused + self.unknown
    }

    /// Counts a row with warnings; those of the first rows are shown.
    pub(super) fn warn(&mut self, number: u64, identifier: &str, warnings: Vec<String>) {
        if warnings.is_empty() {
            return;
        }
        self.warned += 1;
        if self.warned > WARNINGS_SHOWN_MAX {
            return;
        }
        for warning in warnings {
            notice(&format!("idnode: warning: row {number}: {}: {}", escape(identifier), escape(&warning)));
        }
        if self.warned == WARNINGS_SHOWN_MAX {
            notice("idnode: warning: further rows with warnings are counted and not shown");
        }
    }
}

//----------- Loader ---------------------------------------------------------

/// Treatment of an identifier that has other values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// The row is refused.
    Refuse,
    /// The row replaces the values.
    Overwrite,
}

/// Settings of one import.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    /// Request id of all its items.
    pub(super) request_id: String,
    /// What is done with the identifiers.
    pub(super) purpose: Purpose,
    /// Treatment of an identifier that has other values.
    pub(super) existing: Existing,
    /// Bytes of the file; 0 when unknown.
    pub(super) file_bytes: u64,
}

impl Orders {
    /// How an import that ended early is continued.
    fn continuation(&self) -> String {
        let id = &self.request_id;
        match self.purpose {
            Purpose::Register => {
                format!(
                    "run the same command again to continue, what is registered is skipped; the request id was {id}"
                )
            }
            Purpose::Amend(_) | Purpose::Remove => {
                format!(
                    "run the same command again with --request-id {id} to continue; nothing is done twice"
                )
            }
        }
    }
}

/// A running import.
pub(super) struct Loader {
    connection: Connection,
    orders: Orders,
    rows: Rows,
    /// Becomes true when the user interrupts the import.
    stop: watch::Receiver<bool>,
    input: Input,
    in_flight: InFlight,
    tally: Tally,
    result: ResultFile,
    /// Why the result file is not whole.
    unreported: Option<Error>,
    progress: Progress,
}

/// State of the input.
enum Input {
    /// More rows may come.
    Open,
    /// All rows have been read.
    Complete,
    /// Reading failed.
    Failed(Error),
    /// The user interrupted the import.
    Stopped,
}

/// Why a stream ended before all rows were settled.
enum Break {
    /// What was sent may have been carried out; a new stream may succeed.
    Lost(String),
    /// What was sent and not answered was not carried out; a new stream may succeed.
    NotTaken(String),
    /// What was sent and not answered was not carried out; no new stream will succeed.
    Final(Error),
    /// The answers make no sense: what was sent may have been carried out; no new stream will succeed.
    Garbled(Error),
}

impl Loader {
    /// Creates an import that is not started yet.
    pub(super) fn new(
        connection: Connection,
        orders: Orders,
        rows: Rows,
        stop: watch::Receiver<bool>,
        result: ResultFile,
    ) -> Self {
        Self {
            connection,
            orders,
            rows,
            stop,
            input: Input::Open,
            in_flight: InFlight::default(),
            tally: Tally::default(),
            result,
            unreported: None,
            progress: Progress::new("rows"),
        }
    }

    /// Sends all rows; returns their outcomes, and how the import ended.
    pub(super) async fn load(mut self) -> (Loaded, Result<(), Error>) {
        let ended = self.work().await;
        let ended = ended.and(match mem::replace(&mut self.input, Input::Complete) {
            Input::Failed(error) => Err(self.continued(error)),
            Input::Stopped => Err(Error::Interrupted(format!("interrupted; {}", self.orders.continuation()))),
            Input::Open | Input::Complete => Ok(()),
        });
        self.report_rest();
        let reported = match self.unreported.take() {
            Some(error) => Err(self.continued(error)),
            None => Ok(()),
        };
        self.progress.finish();
        let loaded = Loaded { tally: self.tally, elapsed: self.progress.elapsed(), result: self.result };
        (loaded, ended.and(reported))
    }

    /// Streams until all rows are settled; retries after a break, as long as there is progress.
    async fn work(&mut self) -> Result<(), Error> {
        let mut channel = self.connection.channel().await?;
        let mut pause = None;
        let mut trouble: Option<(Instant, u64)> = None;
        loop {
            let cause = match self.converse(channel.clone()).await {
                Ok(()) => return Ok(()),
                Err(Break::Final(error)) => return Err(self.end(error)),
                Err(Break::Garbled(error)) => {
                    self.in_flight.lose(&error.to_string());
                    return Err(self.end(error));
                }
                Err(Break::NotTaken(cause)) => cause,
                Err(Break::Lost(cause)) => {
                    self.in_flight.lose(&cause);
                    cause
                }
            };
            let settled = self.tally.rows();
            let since = match trouble {
                Some((since, then)) if then == settled => since,
                _ => {
                    pause = None;
                    Instant::now()
                }
            };
            trouble = Some((since, settled));
            if since.elapsed() >= self.connection.timeout() {
                return Err(self.broken_off(&cause));
            }
            pause_and_double(&mut pause).await;
            if let Ok(fresh) = self.connection.channel().await {
                channel = fresh;
            }
        }
    }

    fn broken_off(&self, cause: &str) -> Error {
        Error::BrokenOff(format!(
            "the node stopped answering after {} rows ({cause}); {}",
            self.tally.rows(),
            self.orders.continuation()
        ))
    }

    /// The error at the end of the last stream. An error of this stream does not decide about rows of an earlier one.
    fn end(&self, error: Error) -> Error {
        let Some((count, cause)) = self.in_flight.unknown() else { return self.continued(error) };
        let causes = match error.to_string() {
            last if *last == *cause => last,
            last => format!("{cause}; then: {last}"),
        };
        Error::BrokenOff(format!(
            "{count} rows after the first {} were sent, and their outcome is unknown ({causes}); run the same command \
             again with --request-id {} to learn the outcome and continue",
            self.tally.rows(),
            self.orders.request_id
        ))
    }

    /// An error after which the rest of the rows is still to be sent, with how that is done.
    fn continued(&self, error: Error) -> Error {
        match (self.tally.rows(), &error) {
            (0, _) => error,
            (_, Error::Refused(reason)) if is_of_the_request(&reason.code) => error,
            (settled, _) => {
                error.followed_by(&format!("{settled} rows were settled; {}", self.orders.continuation()))
            }
        }
    }

    /// One stream, until all rows are settled or it breaks.
    async fn converse(&mut self, channel: Channel) -> Result<(), Break> {
        let (sender, receiver) = mpsc::channel(TRANSPORT_QUEUE);
        let request = self.connection.streaming(ReceiverStream::new(receiver));
        let mut client = RegistrationServiceClient::new(channel);
        let silence_max = self.connection.timeout();
        let opened = time::timeout(silence_max, client.apply_stream(request)).await;
        let mut outcomes = match opened {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return Err(self.broken(&status)),
            Err(_) => return Err(Break::Lost("no answer in time".into())),
        };
        self.in_flight.send_again();
        while !self.is_settled() {
            tokio::select! {
                biased;
                outcome = next_outcome(&mut outcomes, silence_max), if !self.in_flight.is_empty() => {
                    let outcome = outcome.map_err(|status| self.broken(&status))?;
                    self.settle(outcome)?;
                }
                permit = sender.reserve(), if self.in_flight.has_unsent() => {
                    let permit = permit.map_err(|_| Break::Lost("the stream was closed".into()))?;
                    if let Some(item) = self.in_flight.take_unsent() {
                        permit.send(self.message(item));
                    }
                }
                row = self.rows.recv(), if self.may_read() => self.take(row),
                () = asked(&mut self.stop), if matches!(self.input, Input::Open) => {
                    self.input = Input::Stopped;
                }
            }
        }
        Ok(())
    }

    fn is_settled(&self) -> bool {
        self.in_flight.is_empty() && !matches!(self.input, Input::Open)
    }

    /// Whether another row may be read: there is capacity, and all rows read before have been sent.
    fn may_read(&self) -> bool {
        matches!(self.input, Input::Open) && self.in_flight.has_capacity() && !self.in_flight.has_unsent()
    }

    fn broken(&self, status: &Status) -> Break {
        match Attempt::of_status(status) {
            Attempt::Unknown => Break::Lost(Reason::of_status(status).to_string()),
            Attempt::NotTaken => Break::NotTaken(Reason::of_status(status).to_string()),
            Attempt::Final => Break::Final(self.connection.explain(status)),
        }
    }

    //--- Rows coming in ---

    fn take(&mut self, row: Option<Result<Row, Error>>) {
        match row.map(|row| row.and_then(|row| self.prepare(row))) {
            None => self.input = Input::Complete,
            // What was sent has an outcome still.
            Some(Err(error)) => self.input = Input::Failed(error),
            Some(Ok(row)) => {
                self.in_flight.push(row);
                self.settle_unsendable();
            }
        }
    }

    fn prepare(&self, row: Row) -> Result<RowInFlight, Error> {
        let number = u32::try_from(row.number)
            .map_err(|_| Error::Usage("the file has more than 4294967295 rows; split it".into()))?;
        let bytes = row.bytes();
        let content = row.content.and_then(|content| match data_bytes(&content) {
            bytes if bytes <= VALUES_BYTES_MAX => Ok(content),
            bytes => Err(malformed(format!(
                "the values have {bytes} bytes; an identifier holds at most {VALUES_BYTES_MAX}"
            ))),
        });
        let item = content.map(|content| self.item(number, &row.identifier, content));
        Ok(RowInFlight {
            number: row.number,
            identifier: row.identifier,
            original: row.original,
            read_bytes: row.read_bytes,
            bytes,
            item,
            unknown: None,
        })
    }

    fn item(&self, number: u32, identifier: &str, content: Content) -> proto::Item {
        use proto::item::Command;
        let identifier = identifier.to_owned();
        let command = match content {
            Content::Values(values) => Command::Register(proto::Registration {
                target: Some(proto::registration::Target::Identifier(identifier)),
                values,
                overwrite: self.orders.existing == Existing::Overwrite,
                without_administrator: false,
                precondition: None,
            }),
            Content::Changes(changes) => Command::Amend(proto::Amendment {
                identifier,
                add: changes.add,
                replace: changes.replace,
                remove: changes.remove,
                precondition: None,
            }),
            Content::Removal => Command::Remove(proto::Removal { identifier, precondition: None }),
        };
        proto::Item { number, command: Some(command) }
    }

    fn message(&self, item: proto::Item) -> proto::ApplyStreamRequest {
        proto::ApplyStreamRequest { request_id: self.orders.request_id.clone(), item: Some(item) }
    }

    //--- Outcomes coming back ---

    fn settle(&mut self, outcome: proto::Outcome) -> Result<(), Break> {
        let first = self.in_flight.first().and_then(|row| row.item.as_ref().ok());
        if first.map(|item| item.number) != Some(outcome.number) {
            let sentence = format!("the node answered row {} out of order", outcome.number);
            return Err(Break::Garbled(Error::Failed(Reason::new("PROTOCOL", sentence))));
        }
        if let Some(proto::outcome::Result::Failure(failure)) = &outcome.result {
            return Err(failed(failure));
        }
        if let Some(proto::outcome::Result::Refusal(refusal)) = &outcome.result
            && is_of_the_request(&refusal.code)
        {
            return Err(Break::Final(Error::Refused(Reason::of_refusal(refusal.clone()))));
        }
        let Some(row) = self.in_flight.pop() else { return Ok(()) };
        self.count(&row, outcome);
        self.settle_unsendable();
        let point = Point { things: self.tally.rows(), done: row.read_bytes, whole: self.orders.file_bytes };
        self.progress.advance("", point);
        Ok(())
    }

    fn count(&mut self, row: &RowInFlight, outcome: proto::Outcome) {
        use proto::OutcomeKind as Kind;
        use proto::outcome::Result as Done;
        match outcome.result {
            Some(Done::Receipt(receipt)) => {
                match receipt.kind() {
                    Kind::Overwritten => self.tally.overwritten += 1,
                    Kind::Unchanged => self.tally.skipped += 1,
                    Kind::Amended => self.tally.amended += 1,
                    Kind::Removed => self.tally.removed += 1,
                    _ => self.tally.registered += 1,
                }
                let listed = receipt.warnings.into_iter().map(|warning| warning.message);
                let counted = Some(receipt.warnings_left_out).filter(|count| *count > 0).map(left_out);
                self.tally.warn(row.number, &row.identifier, listed.chain(counted).collect());
            }
            Some(Done::Refusal(refusal)) if is_same(&refusal) => self.tally.skipped += 1,
            Some(Done::Refusal(refusal)) => match &row.unknown {
                Some(cause) if !is_of_the_row(&refusal) => {
                    let later = Reason::of_refusal(refusal);
                    self.leave_unknown(row, &format!("{cause}; a repetition was answered: {later}"));
                }
                _ => self.refuse(row, &Reason::of_refusal(refusal)),
            },
            Some(Done::Failure(_)) | None => self.leave_unknown(row, "the node sent no outcome"),
        }
    }

    /// Settles rows at the front that could not be read.
    fn settle_unsendable(&mut self) {
        while self.in_flight.first().is_some_and(|row| row.item.is_err()) {
            if let Some(row) = self.in_flight.pop()
                && let Err(reason) = &row.item
            {
                self.refuse(&row, reason);
            }
        }
    }

    /// Reports what is known of the rows in flight when no more is learned about them.
    fn report_rest(&mut self) {
        while let Some(row) = self.in_flight.pop() {
            match (&row.item, &row.unknown) {
                (Err(reason), _) => self.refuse(&row, reason),
                (Ok(_), Some(cause)) => self.leave_unknown(&row, cause),
                // It was not carried out, and the next import sends it.
                (Ok(_), None) => {}
            }
        }
    }

    fn refuse(&mut self, row: &RowInFlight, reason: &Reason) {
        self.tally.refused += 1;
        self.report(row, reason);
    }

    fn leave_unknown(&mut self, row: &RowInFlight, cause: &str) {
        self.tally.unknown += 1;
        let sentence = format!(
            "the row was sent and may have been carried out ({cause}); run the same command again with --request-id {} \
             to learn the outcome",
            self.orders.request_id
        );
        self.report(row, &Reason::new("OUTCOME_UNKNOWN", sentence));
    }

    /// Writes a row to the result file. When that fails, no more rows are read.
    fn report(&mut self, row: &RowInFlight, reason: &Reason) {
        let row = RefusedRow { number: row.number, identifier: &row.identifier, original: &row.original };
        if let Err(error) = self.result.refuse(row, reason)
            && self.unreported.is_none()
        {
            self.unreported = Some(error);
            if let Input::Open = self.input {
                self.input = Input::Complete;
            }
        }
    }
}

/// The result of an import.
pub(super) struct Loaded {
    /// Outcomes of the rows.
    pub(super) tally: Tally,
    /// Duration of the import.
    pub(super) elapsed: Duration,
    /// The report of refused rows.
    pub(super) result: ResultFile,
}

/// The end of a stream in which the node could not do its part of a row.
fn failed(failure: &proto::Failure) -> Break {
    let reason = Reason::of_failure(failure.clone());
    match Attempt::of_code(&reason.code) {
        Attempt::Unknown => Break::Lost(reason.to_string()),
        Attempt::NotTaken => Break::NotTaken(reason.to_string()),
        Attempt::Final => Break::Final(Error::Failed(reason)),
    }
}

/// Whether a refusal is one of the request id, and the same for every row.
fn is_of_the_request(code: &str) -> bool {
    matches!(code, "REQUEST_ID_INVALID" | "REQUEST_EXPIRED")
}

/// Whether an identifier was refused because it exists with the same values.
fn is_same(refusal: &proto::Refusal) -> bool {
    refusal.code == "ALREADY_EXISTS" && refusal.facts.get("same").is_some_and(|same| same == "true")
}

/// Whether a refusal depends on nothing but the row, so that no attempt can have been carried out.
fn is_of_the_row(refusal: &proto::Refusal) -> bool {
    matches!(refusal.code.as_str(), "IDENTIFIER_MALFORMED" | "VALUE_INVALID" | "COMMAND_INVALID")
}

fn data_bytes(content: &Content) -> usize {
    content.values().map(|value| value.data.len() + value.r#type.len()).sum()
}

async fn next_outcome(
    outcomes: &mut Streaming<proto::ApplyStreamResponse>,
    silence_max: Duration,
) -> Result<proto::Outcome, Status> {
    match time::timeout(silence_max, outcomes.message()).await {
        Ok(Ok(Some(response))) => Ok(response.outcome.unwrap_or_default()),
        Ok(Ok(None)) => Err(Status::unavailable("the node ended the stream")),
        Ok(Err(status)) => Err(status),
        Err(_) => Err(Status::unavailable("no answer in time")),
    }
}

/// Returns when the user interrupts the import; never, when interruption is no longer possible.
async fn asked(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        core::future::pending().await
    }
}
