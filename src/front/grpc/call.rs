//! Calls: the caller and the deadline of each, and the memory that it takes.
//!
//! The caller is named by a token in `authorization: Bearer idn_...`; without one it is anonymous. A token that arrives in
//! plain text from another machine is refused before it is verified, unless the configuration accepts it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::{self, Instant};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::Shared;
use super::connection::Client;
use super::counters::Service;
use super::memory::{self, CallMemory};
use super::reply::{self, FrontRefusal};
use crate::authority::caller::Caller;
use crate::front::listen::in_flight::AnswerMark;
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::telemetry::count;

/// The part of the time to the deadline that is reserved for sending the answer.
const TRAVEL_SHARE: u32 = 10;
/// The longest time that is reserved for sending the answer.
const TRAVEL_MAX: Duration = Duration::from_millis(250);
/// The latest deadline: a later one means the same as none.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3_600);

//----------- Call -----------------------------------------------------------

/// The caller and the deadline of a call. While it exists, the connection stays open for the answer.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The caller.
    pub(super) caller: Caller,
    /// Time at which the answer has to be sent, so that it arrives before the caller's deadline.
    pub(super) deadline: Option<Instant>,
    /// The memory of the call; none where no connection carries it.
    memory: Option<Arc<CallMemory>>,
    _mark: Option<Arc<AnswerMark>>,
}

impl Shared {
    /// Determines the caller and the deadline.
    pub(super) fn admit<T>(&self, request: &Request<T>, service: Service) -> Result<Call, Status> {
        self.counters.count_call(service);
        let client = request.extensions().get::<Arc<Client>>();
        let caller =
            self.caller(request.metadata(), client).inspect_err(|_| count(&self.counters.tokens_refused))?;
        if let Some(client) = client {
            let admitted = client.in_flight.slot().admit(&caller);
            admitted.map_err(|failure| reply::failed(&failure, None))?;
        }
        let deadline = deadline(request.metadata());
        tracing::debug!(
            ?service,
            client = client.map(|client| tracing::field::display(client.address)),
            caller = caller.name().map(tracing::field::display),
            "gRPC call"
        );
        let memory = request.extensions().get::<Arc<CallMemory>>().cloned();
        Ok(Call {
            caller,
            deadline,
            memory,
            _mark: client.map(|client| Arc::new(client.in_flight.begin_answer())),
        })
    }

    fn caller(&self, metadata: &MetadataMap, client: Option<&Arc<Client>>) -> Result<Caller, Status> {
        let Some(token) = token(metadata)? else {
            return Ok(Caller::Anonymous);
        };
        let is_overheard = client.is_none_or(|client| client.is_overheard());
        if is_overheard && !self.allow_tokens_in_plain_text {
            return Err(reply::refused_here(&FrontRefusal::TokenOverheard));
        }
        self.authority.authenticate(token).map_err(|refusal| reply::refused(&refusal, None))
    }
}

impl Call {
    /// Takes memory for a part of the answer that is ready; refused, the answer is given up.
    pub(super) fn take_memory(&self, bytes: usize) -> Result<(), Status> {
        self.memory.as_ref().map_or(Ok(()), |memory| memory.add_answer(bytes).map_err(memory::spent))
    }

    /// Takes memory for a part of an answer that can also end before it; false where there is none to spare.
    pub(super) fn take_spare_memory(&self, bytes: usize) -> bool {
        self.memory.as_ref().is_none_or(|memory| memory.add_spare_answer(bytes))
    }

    /// Takes memory for the outcomes of changes, which are reported even beyond the budget.
    pub(super) fn force_memory(&self, bytes: usize) {
        if let Some(memory) = &self.memory {
            memory.force_answer(bytes);
        }
    }

    /// Gives back what the messages of a stream took, and the answers to them.
    pub(super) fn release_memory(&self) {
        if let Some(memory) = &self.memory {
            memory.release();
        }
    }

    /// Waits for a question's answer until the deadline.
    pub(super) fn ask<T>(&self, answer: impl Future<Output = T>) -> impl Future<Output = Result<T, Status>> {
        self.within(answer)
            .map(|answer| answer.ok_or_else(|| reply::refused_here(&FrontRefusal::DeadlinePassed)))
    }

    /// Waits for the outcome of a command until the deadline, after which the outcome is unknown.
    pub(super) fn command<T, E: From<Failure>>(
        &self,
        outcome: impl Future<Output = Result<T, E>>,
    ) -> impl Future<Output = Result<T, E>> {
        let passed = || Failure::OutcomeUnknown { cause: "the deadline passed".to_owned() };
        self.within(outcome).map(move |outcome| outcome.unwrap_or_else(|| Err(passed().into())))
    }

    /// Refuses callers that are not administrators of the node.
    pub(super) fn must_run_the_node(&self) -> Result<(), Status> {
        self.must_be_known()?;
        if self.caller.is_admin() {
            return Ok(());
        }
        Err(reply::refused(&Refusal::PermissionDenied { needed: "the scope admin".to_owned() }, None))
    }

    /// Refuses anonymous callers.
    pub(super) fn must_be_known(&self) -> Result<(), Status> {
        match self.caller {
            Caller::Anonymous => Err(reply::refused(&Refusal::Unauthenticated, None)),
            Caller::Node | Caller::Token(_) | Caller::Identity(_) => Ok(()),
        }
    }

    /// Waits until the deadline for a change that is refused or fails as a whole.
    pub(super) async fn change<T>(
        &self,
        changed: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Status> {
        self.command(changed).await.map_err(|problem| reply::problem(&problem))
    }

    // An async function would hold the work once as its argument and once for each branch: futures of 10 KB, which every
    // call moves to the heap.
    fn within<T>(&self, work: impl Future<Output = T>) -> impl Future<Output = Option<T>> {
        match self.deadline {
            Some(deadline) => time::timeout_at(deadline, work).map(Result::ok).left_future(),
            None => work.map(Some).right_future(),
        }
    }
}

/// The text of the token, if there is one.
fn token(metadata: &MetadataMap) -> Result<Option<&str>, Status> {
    let mut fields = metadata.get_all("authorization").iter();
    let Some(shown) = fields.next() else {
        return Ok(None);
    };
    // Two of them contradict each other (RFC 9110 section 5.3).
    if fields.next().is_some() {
        return Err(reply::refused_here(&FrontRefusal::AuthorizationRepeated));
    }
    let bearer = shown.to_str().ok().and_then(|text| text.split_once(' '));
    match bearer {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(reply::refused_here(&FrontRefusal::AuthorizationMalformed)),
    }
}

/// Time at which an answer has to be sent to arrive in time.
fn deadline(metadata: &MetadataMap) -> Option<Instant> {
    Some(Instant::now() + wait(metadata)?)
}

/// How long the caller waits, less the time that the answer travels.
fn wait(metadata: &MetadataMap) -> Option<Duration> {
    let wait = parse_timeout(metadata.get("grpc-timeout")?.to_str().ok()?)?;
    (wait <= WAIT_MAX).then(|| wait - (wait / TRAVEL_SHARE).min(TRAVEL_MAX))
}

/// Parses the gRPC timeout: at most eight digits and a unit (gRPC over HTTP/2, "Timeout").
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Completes when the server stops.
pub(super) async fn closed(closing: &mut watch::Receiver<bool>) {
    if closing.wait_for(|closing| *closing).await.is_err() {
        // The sender was dropped with the server, which means that it has stopped.
        tracing::trace!("the gRPC server is gone");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::metadata::MetadataMap;

    use super::{parse_timeout, token, wait};

    fn metadata(name: &'static str, text: &str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert(name, text.parse().expect("ASCII"));
        metadata
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        let check = |text: &str, expected| assert_eq!(parse_timeout(text), expected, "{text:?}");
        check("2H", Some(Duration::from_secs(7_200)));
        check("3M", Some(Duration::from_secs(180)));
        check("99999999S", Some(Duration::from_secs(99_999_999)));
        check("250m", Some(Duration::from_millis(250)));
        check("7u", Some(Duration::from_micros(7)));
        check("7n", Some(Duration::from_nanos(7)));
        check("999999999S", None);
        check("+1S", None);
        check("S", None);
        check("", None);
        check("1零", None);
    }

    #[test]
    fn an_answer_leaves_before_the_caller_stops_waiting() {
        let at = |text: &str| wait(&metadata("grpc-timeout", text));
        assert_eq!(at("100m"), Some(Duration::from_millis(90)));
        assert_eq!(at("10S"), Some(Duration::from_millis(9_750)));
        assert_eq!(at("99999999H"), None, "as good as none");
        assert_eq!(wait(&MetadataMap::new()), None);
    }

    #[test]
    fn a_token_is_shown_as_bearer() {
        let shown =
            |text: &str| token(&metadata("authorization", text)).map(|token| token.map(str::to_owned));
        assert_eq!(shown("Bearer idn_1_2").expect("well formed"), Some("idn_1_2".to_owned()));
        assert_eq!(shown("bearer idn_1_2").expect("well formed"), Some("idn_1_2".to_owned()));
        let refused = shown("Basic dTpw").expect_err("another scheme");
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        assert_eq!(token(&MetadataMap::new()).expect("none is fine"), None);
        let mut twice = metadata("authorization", "Bearer idn_1_2");
        twice.append("authorization", "Bearer idn_3_4".parse().expect("ASCII"));
        assert_eq!(token(&twice).expect_err("two tokens").code(), tonic::Code::InvalidArgument);
    }
}
