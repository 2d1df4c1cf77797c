//! Responses: answers, receipts, refusals of items, entries and reports become protobuf.
//!
//! An answer of any kind is a message, never a status; statuses are made in [`super::reply`].

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;

use super::reply::FrontRefusal;
use crate::authority::caller::Caller;
use crate::backup;
use crate::filing::status::FilingStatus;
use crate::model::limits::{BATCH_ITEMS_MAX, MESSAGE_BYTES_MAX};
use crate::model::prefix::{Homing, PrefixEntry, PrefixNote};
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::request::RequestId;
use crate::model::token::{Scope, TokenEntry};
use crate::model::uri::UriWarning;
use crate::registry::filing::LostFilings;
use crate::registry::receipt::{Outcome, Receipt};
use crate::registry::store_status::StoreStatus;
use crate::resolver::answer::{Absence, Answer, Found, HistoryChange, NotResponsible, Referral};
use crate::wire::proto;
use crate::wire::proto::{
    answer, create_backup_response, outcome, prefix_entry, resolve_outcome, verify_backup_response,
};

/// Bytes to which the messages and facts of outcomes are cut when the outcomes do not fit one message.
const SHORT_TEXT_BYTES: usize = 72;
/// Bytes of one outcome that was shortened, but for what is minted: a refusal with two facts beside its item's number.
pub(super) const SHORT_OUTCOME_BYTES_MAX: usize = 340;
/// Bytes of the prefixes and beginnings of all identifiers that one batch mints: its answer has to tell them.
pub(super) const MINTED_BYTES_MAX: usize = 768 * 1024;

const _: () = assert!(BATCH_ITEMS_MAX * SHORT_OUTCOME_BYTES_MAX + MINTED_BYTES_MAX <= MESSAGE_BYTES_MAX);

//----------- Outcomes -------------------------------------------------------

/// The outcome of an item of a request.
pub(super) fn outcome(
    number: u32,
    result: Result<Receipt, Problem>,
    request: Option<RequestId>,
) -> proto::Outcome {
    let result = match result {
        Ok(done) => outcome::Result::Receipt(receipt(done)),
        Err(Problem::Refused(refusal)) => outcome::Result::Refusal(refusal_message(&refusal, number)),
        Err(Problem::Failed(failure)) => outcome::Result::Failure(failure_message(&failure, number, request)),
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
        warnings: receipt.warnings.listed.iter().map(warning).collect(),
        warnings_left_out: receipt.warnings.left_out,
    }
}

fn warning(warning: &UriWarning) -> proto::ValueWarning {
    proto::ValueWarning {
        index: warning.index().get(),
        code: warning.code().to_owned(),
        message: warning.to_string(),
    }
}

/// Leaves out the warnings of outcomes beyond so many that may be listed; they are counted. Returns how many more may be.
pub(super) fn leave_out_warnings(outcomes: &mut [proto::Outcome], listed_max: usize) -> usize {
    let mut left = listed_max;
    for outcome in outcomes {
        if let Some(outcome::Result::Receipt(receipt)) = &mut outcome.result {
            let beyond = receipt.warnings.split_off(left.min(receipt.warnings.len()));
            left -= receipt.warnings.len();
            receipt.warnings_left_out += u32::try_from(beyond.len()).unwrap_or(u32::MAX);
        }
    }
    left
}

/// Shortens outcomes that would not fit one message, step by step: without warnings and their count; without the identifiers
/// of receipts whose items name them; with the beginnings of the messages and facts of refusals and failures. `minted` says
/// of each outcome, in order, whether the node chose the identifier.
pub(super) fn fit(response: &mut proto::ApplyBatchResponse, minted: &[bool]) {
    for step in [drop_warnings, drop_identifier, shorten_texts] {
        if response.encoded_len() <= MESSAGE_BYTES_MAX {
            return;
        }
        for (outcome, minted) in response.outcomes.iter_mut().zip(minted) {
            step(outcome, *minted);
        }
    }
}

fn drop_warnings(outcome: &mut proto::Outcome, _minted: bool) {
    if let Some(outcome::Result::Receipt(receipt)) = &mut outcome.result {
        receipt.warnings.clear();
        receipt.warnings_left_out = 0;
    }
}

fn drop_identifier(outcome: &mut proto::Outcome, minted: bool) {
    if let Some(outcome::Result::Receipt(receipt)) = &mut outcome.result
        && !minted
    {
        receipt.identifier.clear();
    }
}

fn shorten_texts(outcome: &mut proto::Outcome, _minted: bool) {
    let (message, facts) = match &mut outcome.result {
        Some(outcome::Result::Refusal(refusal)) => (&mut refusal.message, &mut refusal.facts),
        Some(outcome::Result::Failure(failure)) => (&mut failure.message, &mut failure.facts),
        Some(outcome::Result::Receipt(_)) | None => return,
    };
    for text in facts.values_mut().chain([message]) {
        text.truncate(text.floor_char_boundary(SHORT_TEXT_BYTES));
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
        Outcome::PeerReset => proto::OutcomeKind::PeerReset,
        Outcome::PrefixNoted => proto::OutcomeKind::PrefixNoted,
    }
}

/// The refusal of one item of a batch.
pub(super) fn refusal_message(refusal: &Refusal, number: u32) -> proto::Refusal {
    let mut facts: HashMap<String, String> =
        refusal.facts().into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect();
    facts.insert("item".to_owned(), number.to_string());
    proto::Refusal { code: refusal.code().to_owned(), message: refusal.to_string(), facts }
}

/// The failure of one item of a batch.
fn failure_message(failure: &Failure, number: u32, request: Option<RequestId>) -> proto::Failure {
    let mut facts = HashMap::from([("item".to_owned(), number.to_string())]);
    facts.extend(request.map(|id| ("request_id".to_owned(), id.to_string())));
    proto::Failure { code: failure.code().to_owned(), message: failure.to_string(), facts }
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
        Answer::Referral(Referral { prefix, site: to, unanswered }) => {
            let unanswered = unanswered.map(|reason| proto::Refusal {
                code: reason.code().to_owned(),
                message: reason.to_string(),
                facts: HashMap::new(),
            });
            let (prefix, site) = (prefix.to_string(), Some((&to).into()));
            answer::Answer::Referral(proto::Referral { prefix, site, unanswered })
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

//----------- Entries --------------------------------------------------------

/// A prefix entry with the note on it, without the contact of its registrant for callers who may not see that.
pub(super) fn prefix_entry(
    entry: &PrefixEntry,
    note: Option<&PrefixNote>,
    lost: &LostFilings,
    caller: &Caller,
) -> proto::PrefixEntry {
    let homing = match &entry.homing {
        Homing::Here => prefix_entry::Homing::Homed(proto::Homed {}),
        Homing::Delegated(to) => prefix_entry::Homing::Delegated(to.into()),
    };
    let filing = entry
        .filing
        // A suspension by an administrator is shown as such, not as a filing.
        .filter(|mark| !mark.is_overruled)
        .map(|mark| proto::FilingMark {
            peer: mark.peer.to_string(),
            position: Some(mark.position.into()),
            lost: lost.contains(entry),
        });
    let mut registrant = entry.registrant.as_ref().map(proto::Registrant::from);
    if let Some(registrant) = registrant.as_mut().filter(|_| !caller.may_see_contact(&entry.prefix)) {
        registrant.contact.clear();
    }
    proto::PrefixEntry {
        prefix: entry.prefix.to_string(),
        homing: Some(homing),
        standing: proto::Standing::from(entry.status).into(),
        registrant,
        filing,
        version: entry.version,
        changed_ms: entry.changed_ms,
        note: note.map(|note| proto::PrefixNote {
            text: note.text.as_str().to_owned(),
            version: note.version,
            changed_ms: note.changed_ms,
        }),
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
        note: summary.note.unwrap_or_default(),
    }
}

/// The backups of the directories, and what is wrong with them.
pub(super) fn backup_listing(listing: backup::Listing) -> proto::ListBackupsResponse {
    proto::ListBackupsResponse {
        backups: listing.backups.into_iter().map(backup_summary).collect(),
        findings: listing.findings.into_iter().map(finding).collect(),
    }
}

fn finding(finding: backup::Finding) -> proto::Finding {
    proto::Finding { file: finding.file, message: finding.message }
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
