//! Statuses: refusals and failures of whole calls; only this file knows gRPC's codes.
//!
//! Every match is total, so that a new reason does not compile until its status is decided here. A status carries
//! google.rpc.ErrorInfo: reason is the stable code, domain is "idnode", metadata are the facts, the item and the
//! request id. Everything that is not a status is made in [`super::response`].

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::backup;
use crate::federation::error::PeerError;
use crate::front::listen::budget::BudgetSpent;
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::request::RequestId;
use crate::resolver::recursion::Unanswered;
use crate::telemetry::Chain;

/// The domain of the stable reasons (google.rpc.ErrorInfo.domain).
const DOMAIN: &str = "idnode";
/// Time after which a client should retry when the memory budget is spent.
const RETRY_DELAY: Duration = Duration::from_secs(1);

//----------- Statuses -------------------------------------------------------

/// The status of a call that is refused as a whole.
pub(super) fn refused(refusal: &Refusal, request: Option<RequestId>) -> Status {
    let facts = refusal.facts().into_iter().map(|(name, fact)| (name.to_owned(), fact));
    status(code_of_refusal(refusal), refusal.code(), refusal.to_string(), with_request(facts, request))
}

/// The status of a call that fails as a whole.
pub(super) fn failed(failure: &Failure, request: Option<RequestId>) -> Status {
    status(code_of_failure(failure), failure.code(), failure.to_string(), with_request([], request))
}

/// The status of a question without an answer.
pub(super) fn problem(problem: &Problem) -> Status {
    match problem {
        Problem::Refused(refusal) => refused(refusal, None),
        Problem::Failed(failure) => failed(failure, None),
    }
}

/// The status of a question that was passed on to other nodes, without an answer.
pub(super) fn unanswered_onward(unanswered: &Unanswered) -> Status {
    let code = match unanswered {
        Unanswered::Here(here) => return problem(here),
        Unanswered::Loop | Unanswered::TooDeep => Code::FailedPrecondition,
        Unanswered::Peer(error) => code_of_peer(error),
    };
    let facts = match unanswered {
        Unanswered::Peer(error) => peer_facts(error),
        Unanswered::Here(_) | Unanswered::Loop | Unanswered::TooDeep => HashMap::new(),
    };
    status(code, unanswered.code(), unanswered.to_string(), facts)
}

/// The status of an error of another node: its refusal is final, anything else may be retried.
fn code_of_peer(error: &PeerError) -> Code {
    match error {
        PeerError::Refused { .. }
        | PeerError::Nowhere { .. }
        | PeerError::NoAuthority { .. }
        | PeerError::Configured { .. }
        | PeerError::Token { .. } => Code::FailedPrecondition,
        PeerError::Unreachable { .. }
        | PeerError::LeftAlone { .. }
        | PeerError::NoAnswer { .. }
        | PeerError::Unintelligible { .. } => Code::Unavailable,
        PeerError::DeadlinePassed { .. } => Code::DeadlineExceeded,
    }
}

fn peer_facts(error: &PeerError) -> HashMap<String, String> {
    let reason = error.refused_as().map(|reason| ("reason".to_owned(), reason.to_owned()));
    [("peer".to_owned(), error.peer().to_owned())].into_iter().chain(reason).collect()
}

/// A backup operation that failed.
pub(super) fn backup_failed(error: backup::Error) -> Status {
    let (code, reason) = codes_of_backup(&error);
    let sentence = match code {
        Code::Internal => format!("backup failed: {}", Chain(&error)),
        _ => error.to_string(),
    };
    status(code, reason, sentence, HashMap::new())
}

/// The status and the stable reason of a backup operation that failed.
fn codes_of_backup(error: &backup::Error) -> (Code, &'static str) {
    match error {
        backup::Error::DirectoryUnknown { .. } => (Code::InvalidArgument, "BACKUP_DIRECTORY_UNKNOWN"),
        backup::Error::Absent { .. } => (Code::NotFound, "BACKUP_ABSENT"),
        backup::Error::Busy { .. } => (Code::Unavailable, "BACKUP_UNDER_WAY"),
        backup::Error::Store { .. }
        | backup::Error::File { .. }
        | backup::Error::Key { .. }
        | backup::Error::KeyWanted { .. }
        | backup::Error::NotWhole { .. }
        | backup::Error::Older { .. }
        | backup::Error::Unreachable { .. }
        | backup::Error::DataNotEmpty { .. }
        | backup::Error::RestoreUnderWay { .. }
        | backup::Error::Stopped { .. } => (Code::Internal, "BACKUP_FAILED"),
    }
}

/// The status of a refusal that only this front end makes.
pub(super) fn refused_here(refusal: &FrontRefusal) -> Status {
    let (code, reason) = refusal.codes();
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::<String, String>::new());
    if let FrontRefusal::MemorySpent(_) = refusal {
        details.set_retry_info(Some(RETRY_DELAY));
    }
    Status::with_error_details(code, refusal.to_string(), details)
}

/// A message cannot be decoded. The code is that of tonic, which decodes the messages that pass.
pub(super) fn undecodable(sentence: String) -> Status {
    Status::internal(sentence)
}

/// A message has more than `bytes_max` bytes once it is decompressed. Code and sentence are those of tonic.
pub(super) fn inflated_too_large(bytes_max: usize) -> Status {
    Status::resource_exhausted(format!(
        "Error decompressing: size limit, of {bytes_max} bytes, exceeded while decompressing message"
    ))
}

fn with_request(
    facts: impl IntoIterator<Item = (String, String)>,
    request: Option<RequestId>,
) -> HashMap<String, String> {
    let request = request.map(|id| ("request_id".to_owned(), id.to_string()));
    facts.into_iter().chain(request).collect()
}

fn status(code: Code, reason: &str, sentence: String, facts: HashMap<String, String>) -> Status {
    Status::with_error_details(code, sentence, ErrorDetails::with_error_info(reason, DOMAIN, facts))
}

/// The status of a refusal. A condition of the caller that is not met is ABORTED: the caller should read and decide
/// again. A state that only another command can change is FAILED_PRECONDITION.
fn code_of_refusal(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::IdentifierMalformed(_)
        | Refusal::ValueInvalid(_)
        | Refusal::SiteInvalid(_)
        | Refusal::RegistrantInvalid(_)
        | Refusal::CommandInvalid { .. }
        | Refusal::RequestIdInvalid
        | Refusal::RequestAhead { .. }
        | Refusal::TooManyItems { .. } => Code::InvalidArgument,
        Refusal::NotResponsible { .. }
        | Refusal::PrefixDelegated { .. }
        | Refusal::PrefixSuspended { .. }
        | Refusal::PrefixRevoked { .. }
        | Refusal::DelegationStands { .. }
        | Refusal::PrefixHomedHere { .. }
        | Refusal::PrefixFiled { .. }
        | Refusal::AdministratorMissing { .. }
        | Refusal::RequestConflict
        | Refusal::RequestExpired { .. }
        | Refusal::IncarnationSuperseded
        | Refusal::IncarnationForked { .. }
        | Refusal::PeerReset
        | Refusal::IncarnationAhead { .. } => Code::FailedPrecondition,
        Refusal::AlreadyExists { .. } | Refusal::IndexExists { .. } => Code::AlreadyExists,
        Refusal::Absent
        | Refusal::PrefixAbsent { .. }
        | Refusal::IndexAbsent { .. }
        | Refusal::TokenAbsent { .. } => Code::NotFound,
        Refusal::VersionMismatch { .. } => Code::Aborted,
        Refusal::Unauthenticated | Refusal::TokenUnknown | Refusal::TokenExpired | Refusal::TokenRevoked => {
            Code::Unauthenticated
        }
        Refusal::PermissionDenied { .. }
        | Refusal::NotAdministrator { .. }
        | Refusal::ValueProtected { .. } => Code::PermissionDenied,
    }
}

/// The status of a failure.
fn code_of_failure(failure: &Failure) -> Code {
    match failure {
        Failure::OutcomeUnknown { .. } => Code::Unknown,
        Failure::ReadOnly { .. } => Code::FailedPrecondition,
        Failure::Overloaded
        | Failure::Stopping
        | Failure::Contended
        | Failure::AdministratorsUnread { .. } => Code::Unavailable,
        Failure::Bug { .. } | Failure::Store { .. } => Code::Internal,
    }
}

//----------- FrontRefusal ---------------------------------------------------

/// A refusal that only this front end makes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrontRefusal {
    /// A token arrived in plain text from another machine.
    #[error("a token was sent in plain text; use TLS, and have this token revoked if others could read it")]
    TokenOverheard,
    /// The authorization has another form.
    #[error("authorization has an unknown form; write \"authorization: Bearer idn_...\"")]
    AuthorizationMalformed,
    /// The authorization is given twice.
    #[error("authorization is given twice; send one")]
    AuthorizationRepeated,
    /// The page token was not issued by this list.
    #[error("page_token was not issued by this list; start again without one")]
    PageTokenInvalid,
    /// An answer does not fit the message.
    #[error("the answers are too large for one message; ask fewer questions in one batch")]
    AnswerTooLarge,
    /// The caller's deadline passed before there was an answer.
    #[error("the deadline passed before the answer was ready; ask again with a later deadline")]
    DeadlinePassed,
    /// A lower node files without having announced itself in this incarnation of its store.
    #[error("this node has not announced itself in this incarnation; call Announce first")]
    NotAnnounced,
    /// The memory that requests and answers may take is in use.
    #[error(transparent)]
    MemorySpent(BudgetSpent),
    /// A message that would take too much memory once it is decoded.
    #[error("the message has too many parts; send fewer items at a time")]
    MessageTooLarge,
    /// The message of a request did not come in time.
    #[error("the request did not arrive in time; send it again")]
    RequestTooSlow,
}

impl FrontRefusal {
    /// The status and the stable reason.
    pub(super) fn codes(&self) -> (Code, &'static str) {
        match self {
            Self::TokenOverheard => (Code::Unauthenticated, "TOKEN_IN_PLAIN_TEXT"),
            Self::AuthorizationMalformed => (Code::Unauthenticated, "AUTHORIZATION_MALFORMED"),
            Self::AuthorizationRepeated => (Code::InvalidArgument, "AUTHORIZATION_REPEATED"),
            Self::PageTokenInvalid => (Code::InvalidArgument, "PAGE_TOKEN_INVALID"),
            Self::AnswerTooLarge => (Code::ResourceExhausted, "ANSWER_TOO_LARGE"),
            Self::DeadlinePassed => (Code::DeadlineExceeded, "DEADLINE_PASSED"),
            Self::NotAnnounced => (Code::FailedPrecondition, "NOT_ANNOUNCED"),
            Self::MemorySpent(_) => (Code::ResourceExhausted, "MEMORY_BUDGET_SPENT"),
            Self::MessageTooLarge => (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
            Self::RequestTooSlow => (Code::DeadlineExceeded, "REQUEST_TIMEOUT"),
        }
    }
}

#[cfg(test)]
mod tests;
