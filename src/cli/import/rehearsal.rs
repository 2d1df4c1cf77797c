//! Rehearsal: a dry run, which checks the rows as the node would and asks it what it holds, and changes nothing.
//!
//! Identifiers and values are checked by the same code as in the node. Whether the caller may change an identifier is not
//! known before it is tried; of changes, only whether the identifier exists is checked.

use tonic::transport::Channel;

use super::super::connection::Connection;
use super::super::error::{Error, Reason};
use super::super::progress::{Point, Progress};
use super::ahead::Rows;
use super::load::{Existing, Loaded, Orders, Tally};
use super::result::{RefusedRow, ResultFile};
use super::row::{Content, Row};
use crate::model::identifier::{Identifier, Prefix};
use crate::model::limits::MESSAGE_BYTES_MAX;
use crate::model::refusal::Refusal;
use crate::model::uri::UriWarning;
use crate::model::value::{Value, Values};
use crate::wire::proto;
use crate::wire::proto::resolution_service_client::ResolutionServiceClient;

/// Rows that the node is asked about at a time.
const ROWS_AT_A_TIME: usize = 500;
/// Bytes of rows at which no further one is added to those.
const BYTES_AT_A_TIME: usize = MESSAGE_BYTES_MAX;

//----------- Rehearsal ------------------------------------------------------

/// A dry run.
pub(super) struct Rehearsal<'a> {
    connection: Connection,
    orders: &'a Orders,
    rows: Rows,
    tally: Tally,
    result: ResultFile,
    progress: Progress,
}

impl<'a> Rehearsal<'a> {
    /// Creates a dry run that is not started yet.
    pub(super) fn new(connection: Connection, orders: &'a Orders, rows: Rows, result: ResultFile) -> Self {
        Self { connection, orders, rows, tally: Tally::default(), result, progress: Progress::new("rows") }
    }

    /// Checks all rows.
    pub(super) async fn run(mut self) -> Result<Loaded, Error> {
        let channel = self.connection.channel().await?;
        loop {
            let (mut rows, mut bytes, mut failed) = (Vec::new(), 0, None);
            while rows.len() < ROWS_AT_A_TIME
                && bytes < BYTES_AT_A_TIME
                && failed.is_none()
                && let Some(row) = self.rows.recv().await
            {
                match row {
                    Ok(row) => {
                        bytes += row.bytes();
                        rows.push(row);
                    }
                    Err(error) => failed = Some(error),
                }
            }
            let Some(read_bytes) = rows.last().map(|row| row.read_bytes) else {
                failed.map_or(Ok(()), Err)?;
                break;
            };
            let answers = self.ask(&channel, &rows).await?;
            for (row, answer) in rows.iter().zip(answers) {
                self.count(row, answer)?;
            }
            let point = Point { things: self.tally.rows(), done: read_bytes, whole: self.orders.file_bytes };
            self.progress.advance("checking", point);
            failed.map_or(Ok(()), Err)?;
        }
        self.progress.finish();
        Ok(Loaded { tally: self.tally, elapsed: self.progress.elapsed(), result: self.result })
    }

    /// What the node holds of each row; nothing for a row that is not right.
    async fn ask(
        &self,
        channel: &Channel,
        rows: &[Row],
    ) -> Result<Vec<Option<proto::ResolveOutcome>>, Error> {
        let mut answers: Vec<Option<proto::ResolveOutcome>> = rows.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..rows.len()).collect();
        open.retain(|position| rows.get(*position).is_some_and(|row| check(row).is_ok()));
        while !open.is_empty() {
            let question = |position: &usize| {
                let identifier = rows.get(*position).map(|row| row.identifier.clone()).unwrap_or_default();
                proto::Question { identifier, indexes: Vec::new(), types: Vec::new() }
            };
            let request = proto::ResolveBatchRequest { questions: open.iter().map(question).collect() };
            let answered = ResolutionServiceClient::new(channel.clone())
                .resolve_batch(self.connection.request(request))
                .await;
            let outcomes = answered.map_err(|status| self.connection.explain(&status))?.into_inner().outcomes;
            let asked = open.len();
            let mut larger = Vec::new();
            for (position, outcome) in open.drain(..).zip(outcomes) {
                if is_too_large(&outcome) {
                    larger.push(position);
                } else if let Some(answer) = answers.get_mut(position) {
                    *answer = Some(outcome);
                }
            }
            // The first answer always fits.
            if larger.len() == asked {
                let reason = Reason::new("PROTOCOL", "the node answered no question of a batch");
                return Err(Error::Failed(reason));
            }
            open = larger;
        }
        Ok(answers)
    }

    fn count(&mut self, row: &Row, answer: Option<proto::ResolveOutcome>) -> Result<(), Error> {
        let judged = check(row).and_then(|content| self.judge(&row.identifier, content, answer));
        if judged.is_ok() {
            self.tally.warn(row.number, &row.identifier, warnings(row));
        }
        match judged {
            Ok(Prediction::Registered) => self.tally.registered += 1,
            Ok(Prediction::Skipped) => self.tally.skipped += 1,
            Ok(Prediction::Overwritten) => self.tally.overwritten += 1,
            Ok(Prediction::Amended) => self.tally.amended += 1,
            Ok(Prediction::Removed) => self.tally.removed += 1,
            Err(reason) => {
                self.tally.refused += 1;
                let refused =
                    RefusedRow { number: row.number, identifier: &row.identifier, original: &row.original };
                self.result.refuse(refused, &reason)?;
            }
        }
        Ok(())
    }

    /// What would become of a row that is right, by what the node holds.
    fn judge(
        &self,
        identifier: &str,
        content: Checked,
        answer: Option<proto::ResolveOutcome>,
    ) -> Result<Prediction, Reason> {
        let held = held(identifier, answer)?;
        match (content, held) {
            (Checked::Values(_), Held::Nothing) => Ok(Prediction::Registered),
            (Checked::Values(values), Held::Values { values: held, .. }) if held.say_the_same(&values) => {
                Ok(Prediction::Skipped)
            }
            (Checked::Values(_), _) if self.orders.existing == Existing::Overwrite => {
                Ok(Prediction::Overwritten)
            }
            (Checked::Values(_), Held::Values { version, .. }) => {
                Err(reason(&Refusal::AlreadyExists { version, same: false }))
            }
            (Checked::Values(_), Held::Unseen) => Err(Reason::new(
                "ALREADY_EXISTS",
                "the identifier exists, with values that this token may not read",
            )),
            (Checked::Changes | Checked::Removal, Held::Nothing) => Err(reason(&Refusal::Absent)),
            (Checked::Changes, _) => Ok(Prediction::Amended),
            (Checked::Removal, _) => Ok(Prediction::Removed),
        }
    }
}

/// What would become of a row.
enum Prediction {
    Registered,
    Skipped,
    Overwritten,
    Amended,
    Removed,
}

//----------- Checks ---------------------------------------------------------

/// What a row asks for, as far as it is compared.
enum Checked {
    Values(Values),
    Changes,
    Removal,
}

/// Checks a row as the node does before it looks at what it holds.
fn check(row: &Row) -> Result<Checked, Reason> {
    let content = row.content.as_ref().map_err(Clone::clone)?;
    Identifier::parse(&row.identifier).map_err(|error| reason(&error.into()))?;
    let values = content.values().cloned().map(Value::try_from).collect::<Result<Vec<_>, _>>();
    let values = values.map_err(|error| Reason::new("VALUE_INVALID", error.to_string()))?;
    let values = Values::new(values).map_err(|error| reason(&error.into()))?;
    Ok(match content {
        Content::Values(_) => Checked::Values(values),
        Content::Changes(_) => Checked::Changes,
        Content::Removal => Checked::Removal,
    })
}

/// What the node would warn of in the values of a row.
fn warnings(row: &Row) -> Vec<String> {
    let values = row.content.iter().flat_map(Content::values);
    let values = values.filter_map(|value| Value::try_from(value.clone()).ok());
    values.filter_map(|value| UriWarning::about(&value)).map(|warning| warning.to_string()).collect()
}

/// What the node holds of an identifier.
enum Held {
    Nothing,
    Values { version: u64, values: Values },
    Unseen,
}

fn held(identifier: &str, answer: Option<proto::ResolveOutcome>) -> Result<Held, Reason> {
    use proto::answer::Answer;
    use proto::resolve_outcome::Result as Outcome;
    let answer = match answer.and_then(|outcome| outcome.result) {
        Some(Outcome::Answer(answer)) => answer.answer,
        Some(Outcome::Refusal(refusal)) => return Err(Reason::of_refusal(refusal)),
        None => None,
    };
    match answer {
        Some(Answer::Values(found)) => {
            let version = found.version;
            let values = found.values.into_iter().map(Value::try_from).collect::<Result<Vec<_>, _>>();
            let values = values.map_err(|error| Reason::new("PROTOCOL", error.to_string()))?;
            let values = Values::new(values).map_err(|error| reason(&error.into()))?;
            Ok(Held::Values { version, values })
        }
        Some(Answer::Absent(absence)) if absence == i32::from(proto::Absence::Values) => Ok(Held::Unseen),
        Some(Answer::Absent(_)) => Ok(Held::Nothing),
        Some(Answer::Referral(_)) => {
            Err(reason(&Refusal::PrefixDelegated { prefix: governing_prefix(identifier)? }))
        }
        Some(Answer::NotResponsible(_)) => {
            Err(reason(&Refusal::NotResponsible { prefix: governing_prefix(identifier)? }))
        }
        None => Err(Reason::new("PROTOCOL", "the node sent no outcome")),
    }
}

fn governing_prefix(identifier: &str) -> Result<Prefix, Reason> {
    let parsed = Identifier::parse(identifier).map_err(|error| reason(&error.into()))?;
    Ok(parsed.governing_prefix())
}

fn is_too_large(outcome: &proto::ResolveOutcome) -> bool {
    use proto::resolve_outcome::Result as Outcome;
    matches!(&outcome.result, Some(Outcome::Refusal(refusal)) if refusal.code == "ANSWER_TOO_LARGE")
}

fn reason(refusal: &Refusal) -> Reason {
    Reason::new(refusal.code(), refusal.to_string())
}
