//! Replies: answers, receipts, refusals and failures become messages and statuses; only this file knows gRPC's codes.
//!
//! Every match is total, so that a new reason does not compile until its status is decided here. A status carries
//! google.rpc.ErrorInfo: reason is the stable code, domain is "idnode", metadata are the facts, the item and the
//! request id. An answer of any kind is a message, never a status.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::backup;
use crate::federation::error::PeerError;
use crate::filing::status::FilingStatus;
use crate::front::listen::budget::BudgetSpent;
use crate::model::prefix::{Homing, PrefixEntry};
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::request::RequestId;
use crate::model::token::{Scope, TokenEntry};
use crate::registry::receipt::{Outcome, Receipt};
use crate::registry::store_status::StoreStatus;
use crate::resolver::answer::{Absence, Answer, Found, HistoryChange, NotResponsible, Referral};
use crate::resolver::recursion::Unanswered;
use crate::telemetry::Chain;
use crate::wire::proto;
use crate::wire::proto::{
    answer, create_backup_response, outcome, prefix_entry, resolve_outcome, verify_backup_response,
};

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
        PeerError::Unreachable { .. } | PeerError::LeftAlone { .. } | PeerError::Unintelligible { .. } => {
            Code::Unavailable
        }
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
        | Refusal::TooManyItems { .. } => Code::InvalidArgument,
        Refusal::NotResponsible { .. }
        | Refusal::PrefixDelegated { .. }
        | Refusal::PrefixSuspended { .. }
        | Refusal::PrefixRevoked { .. }
        | Refusal::PrefixHomedHere { .. }
        | Refusal::RequestConflict
        | Refusal::RequestExpired { .. }
        | Refusal::IncarnationSuperseded => Code::FailedPrecondition,
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
    #[error("a token was shown in plain text; use TLS, and have this token revoked if others could read it")]
    TokenOverheard,
    /// The authorization has another form.
    #[error("authorization is not understood; write \"authorization: Bearer idn_...\"")]
    AuthorizationMalformed,
    /// The page token was not issued by this list.
    #[error("page_token was not issued by this list; begin again without one")]
    PageTokenInvalid,
    /// An answer does not fit the message.
    #[error("the answers are too large for one message; ask again with fewer others")]
    AnswerTooLarge,
    /// The caller's deadline passed before there was an answer.
    #[error("the deadline passed before the answer was ready; ask again with a later one")]
    DeadlinePassed,
    /// A lower node files without having announced itself in this incarnation of its store.
    #[error("this node has not announced itself in this incarnation; call Announce first")]
    NotAnnounced,
    /// The memory that requests and answers may take is in use.
    #[error("{0}; ask again in a moment, with fewer calls at a time")]
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
    fn codes(&self) -> (Code, &'static str) {
        match self {
            Self::TokenOverheard => (Code::Unauthenticated, "TOKEN_IN_PLAIN_TEXT"),
            Self::AuthorizationMalformed => (Code::Unauthenticated, "AUTHORIZATION_MALFORMED"),
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

//----------- Outcomes -------------------------------------------------------

/// The outcome of an item.
pub(super) fn outcome(number: u32, result: Result<Receipt, Refusal>) -> proto::Outcome {
    let result = match result {
        Ok(done) => outcome::Result::Receipt(receipt(done)),
        Err(refusal) => outcome::Result::Refusal(refusal_message(&refusal, number)),
    };
    proto::Outcome { number, result: Some(result) }
}

/// The operation that was carried out.
pub(super) fn receipt(receipt: Receipt) -> proto::Receipt {
    proto::Receipt {
        identifier: receipt.identifier.map(|identifier| identifier.to_string()).unwrap_or_default(),
        version: receipt.version,
        position: Some(receipt.position.into()),
        kind: outcome_kind(receipt.outcome).into(),
        repeated: receipt.repeated,
    }
}

fn outcome_kind(outcome: Outcome) -> proto::OutcomeKind {
    match outcome {
        Outcome::Registered => proto::OutcomeKind::Registered,
        Outcome::Overwritten => proto::OutcomeKind::Overwritten,
        Outcome::Amended => proto::OutcomeKind::Amended,
        Outcome::Removed => proto::OutcomeKind::Removed,
        Outcome::Unchanged => proto::OutcomeKind::Unchanged,
        Outcome::PrefixChanged => proto::OutcomeKind::PrefixChanged,
        Outcome::TokenCreated => proto::OutcomeKind::TokenCreated,
        Outcome::TokenRevoked => proto::OutcomeKind::TokenRevoked,
    }
}

/// The refusal of one item of a batch.
pub(super) fn refusal_message(refusal: &Refusal, number: u32) -> proto::Refusal {
    let mut facts: HashMap<String, String> =
        refusal.facts().into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect();
    facts.insert("item".to_owned(), number.to_string());
    proto::Refusal { code: refusal.code().to_owned(), message: refusal.to_string(), facts }
}

//----------- Answers --------------------------------------------------------

/// The outcome of one question of a batch.
pub(super) fn resolve_outcome(number: u32, result: Result<Answer, Refusal>) -> proto::ResolveOutcome {
    let result = match result {
        Ok(found) => resolve_outcome::Result::Answer(answer(found)),
        Err(refusal) => resolve_outcome::Result::Refusal(refusal_message(&refusal, number)),
    };
    proto::ResolveOutcome { number, result: Some(result) }
}

/// The outcome of a question whose answer does not fit the message.
pub(super) fn too_large(number: u32) -> proto::ResolveOutcome {
    let refusal = FrontRefusal::AnswerTooLarge;
    let (_, code) = refusal.codes();
    let facts = HashMap::from([("item".to_owned(), number.to_string())]);
    let refusal = proto::Refusal { code: code.to_owned(), message: refusal.to_string(), facts };
    proto::ResolveOutcome { number, result: Some(resolve_outcome::Result::Refusal(refusal)) }
}

/// An answer.
pub(super) fn answer(given: Answer) -> proto::Answer {
    let answer = match given {
        Answer::Values(values) => answer::Answer::Values(found(values)),
        Answer::Absent(absence) => answer::Answer::Absent(absent(absence).into()),
        Answer::Referral(Referral { prefix, site: to }) => {
            answer::Answer::Referral(proto::Referral { prefix: prefix.to_string(), site: Some((&to).into()) })
        }
        Answer::NotResponsible(NotResponsible { upper }) => {
            answer::Answer::NotResponsible(proto::NotResponsible { upper: upper.unwrap_or_default() })
        }
    };
    proto::Answer { answer: Some(answer) }
}

fn absent(absence: Absence) -> proto::Absence {
    match absence {
        Absence::Identifier => proto::Absence::Identifier,
        Absence::Values(_) => proto::Absence::Values,
    }
}

/// An identifier and its values.
pub(super) fn found(found: Found) -> proto::Found {
    proto::Found {
        identifier: found.identifier.to_string(),
        version: found.version,
        values: found.values.into_iter().map(proto::Value::from).collect(),
        changed_ms: found.changed_ms,
        authoritative: found.authoritative,
    }
}

/// One change of an identifier.
pub(super) fn change(change: HistoryChange) -> proto::Change {
    let is_erased = change.values.is_none();
    proto::Change {
        position: Some(change.position.into()),
        time_ms: change.time_ms,
        operation: change.operation.name().to_owned(),
        version: change.version,
        caller: change.caller.to_string(),
        values: change.values.unwrap_or_default().into_iter().map(proto::Value::from).collect(),
        erased: is_erased,
    }
}

//----------- Words ----------------------------------------------------------

/// A prefix entry.
pub(super) fn prefix_entry(entry: &PrefixEntry) -> proto::PrefixEntry {
    let homing = match &entry.homing {
        Homing::Here => prefix_entry::Homing::Homed(proto::Homed {}),
        Homing::Delegated(to) => prefix_entry::Homing::Delegated(to.into()),
    };
    let filing = entry
        .filing
        .map(|mark| proto::FilingMark { peer: mark.peer.to_string(), position: Some(mark.position.into()) });
    proto::PrefixEntry {
        prefix: entry.prefix.to_string(),
        homing: Some(homing),
        standing: proto::Standing::from(entry.standing).into(),
        registrant: entry.registrant.as_ref().map(proto::Registrant::from),
        filing,
        version: entry.version,
        changed_ms: entry.changed_ms,
    }
}

/// A token entry.
pub(super) fn token(entry: TokenEntry) -> proto::Token {
    proto::Token {
        id: entry.id.to_string(),
        label: entry.label,
        scopes: entry.scopes.iter().map(scope).collect(),
        created_ms: entry.created_ms,
        expires_ms: entry.expires_ms,
        revoked_ms: entry.revoked_ms,
    }
}

fn scope(scope: &Scope) -> proto::Scope {
    let (kind, prefixes) = match scope {
        Scope::Admin => (proto::ScopeKind::Admin, &[][..]),
        Scope::Registrar(prefixes) => (proto::ScopeKind::Registrar, prefixes.as_slice()),
        Scope::Reader(prefixes) => (proto::ScopeKind::Reader, prefixes.as_slice()),
        Scope::Peer(prefixes) => (proto::ScopeKind::Peer, prefixes.as_slice()),
    };
    proto::Scope { kind: kind.into(), prefixes: prefixes.iter().map(ToString::to_string).collect() }
}

//----------- Reports --------------------------------------------------------

/// The status of the node.
pub(super) fn node_status(status: NodeStatus) -> proto::Status {
    let NodeStatus { store, filing, uptime, newest_backup } = status;
    proto::Status {
        version: env!("IDNODE_VERSION").to_owned(),
        engine: store.engine,
        incarnation: store.position.incarnation.0.to_vec(),
        position: Some(store.position.into()),
        identifiers: store.identifiers,
        prefixes_homed: store.prefixes_homed,
        prefixes_delegated: store.prefixes_delegated,
        filing: filing.map(filing_status),
        read_only_reason: store.read_only_reason.unwrap_or_default(),
        uptime_seconds: uptime.as_secs(),
        disk_bytes: store.disk_bytes,
        last_backup: newest_backup.map(|backup| proto::LastBackup {
            name: backup.name,
            created_ms: backup.created_ms,
            to: Some(backup.to.into()),
        }),
    }
}

/// The parts of the status of a node.
pub(super) struct NodeStatus {
    pub(super) store: StoreStatus,
    pub(super) filing: Option<FilingStatus>,
    pub(super) uptime: Duration,
    pub(super) newest_backup: Option<backup::Summary>,
}

fn filing_status(status: FilingStatus) -> proto::FilingStatus {
    let set_aside = status.set_aside.into_iter();
    proto::FilingStatus {
        upper: status.upper,
        connected: status.state.is_connected(),
        confirmed: status.confirmed.map(proto::Position::from),
        lag_entries: status.lag_entries,
        lag_ms: status.lag_ms,
        last_error: status.last_error.unwrap_or_default(),
        state: status.state.name().to_owned(),
        last_contact_ms: status.last_contact_ms.unwrap_or_default(),
        filed: status.counts.filed,
        identifier_changes: status.counts.identifiers,
        set_aside_count: status.counts.set_aside,
        set_aside: set_aside
            .map(|one| proto::SetAsidePrefix { prefix: one.prefix.to_string(), message: one.message })
            .collect(),
    }
}

/// One backup.
pub(super) fn backup_summary(summary: backup::Summary) -> proto::Backup {
    let kind = match summary.kind {
        backup::Kind::Full => proto::BackupKind::Full,
        backup::Kind::Incremental => proto::BackupKind::Incremental,
    };
    proto::Backup {
        name: summary.name,
        directory: summary.directory.display().to_string(),
        kind: kind.into(),
        from: Some(summary.from.into()),
        to: Some(summary.to.into()),
        created_ms: summary.created_ms,
        entries: summary.entries,
        bytes: summary.bytes,
        encrypted: summary.encrypted,
        base: summary.base.unwrap_or_default(),
    }
}

fn progress(progress: backup::Progress) -> proto::Progress {
    proto::Progress {
        stage: progress.stage.to_owned(),
        done_bytes: progress.done_bytes,
        total_bytes: progress.total_bytes.unwrap_or_default(),
        entries: progress.entries,
    }
}

/// A report of a backup that is being made.
pub(super) fn create_report(report: backup::CreateReport) -> proto::CreateBackupResponse {
    let report = match report {
        backup::CreateReport::Progress(report) => create_backup_response::Report::Progress(progress(report)),
        backup::CreateReport::Done(summary) => {
            create_backup_response::Report::Backup(backup_summary(summary))
        }
    };
    proto::CreateBackupResponse { report: Some(report) }
}

/// A report of a backup that is being verified.
pub(super) fn verify_report(report: backup::VerifyReport) -> proto::VerifyBackupResponse {
    let report = match report {
        backup::VerifyReport::Progress(report) => verify_backup_response::Report::Progress(progress(report)),
        backup::VerifyReport::Finding(finding) => verify_backup_response::Report::Finding(proto::Finding {
            file: finding.file,
            message: finding.message,
        }),
        backup::VerifyReport::Done { whole, entries, bytes } => {
            verify_backup_response::Report::Verdict(proto::Verdict { whole, entries, bytes })
        }
    };
    proto::VerifyBackupResponse { report: Some(report) }
}

#[cfg(test)]
mod tests;
