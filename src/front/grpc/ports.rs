//! Ports: what this front end needs of modules that it may not name, the status of the node and backups.
//!
//! `backup` is in the same layer and front ends do not name the store, so the daemon, which knows all of them, provides
//! implementations.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::model::identifier::Prefix;
use crate::model::position::Position;

//----------- StatusPort -----------------------------------------------------

/// Reports the status of the node.
pub trait StatusPort: Send + Sync {
    /// The present status. It may read files, and answers within a second.
    fn report(&self) -> BoxFuture<'_, StatusReport>;
}

/// The status of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// The program's version.
    pub version: String,
    /// The storage engine's name.
    pub engine: String,
    /// The last durable position of the journal; its incarnation is that of the store.
    pub position: Position,
    /// Identifiers that exist.
    pub identifiers: u64,
    /// Prefixes homed here.
    pub prefixes_homed: u64,
    /// Prefixes delegated elsewhere.
    pub prefixes_delegated: u64,
    /// The status of filing; none at a node without an upper node.
    pub filing: Option<FilingReport>,
    /// The reason why the node accepts no changes; none if it accepts them.
    pub read_only_reason: Option<String>,
    /// Time since it started.
    pub uptime: Duration,
    /// Bytes of the data directory.
    pub disk_bytes: u64,
    /// The newest backup.
    pub last_backup: Option<BackupMark>,
}

/// The status of filing at the upper node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilingReport {
    /// The upper node's address.
    pub upper: String,
    /// Whether it answered the last time.
    pub connected: bool,
    /// The last position that it confirmed.
    pub confirmed: Option<Position>,
    /// Journal entries that it has not confirmed.
    pub lag_entries: u64,
    /// Milliseconds since the oldest of them was made.
    pub lag_ms: u64,
    /// The last error.
    pub last_error: Option<String>,
    /// The present activity, in a word.
    pub state: String,
    /// Time of the last answer of the upper node, in milliseconds since 1970.
    pub last_contact_ms: Option<u64>,
    /// Changes of prefixes that it accepted.
    pub filed: u64,
    /// Changes of identifiers, which are not filed.
    pub identifier_changes: u64,
    /// Prefixes that are not filed.
    pub set_aside_count: u64,
    /// Some of them, with the reasons.
    pub set_aside: Vec<(Prefix, String)>,
}

/// The newest backup, in brief.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupMark {
    /// Its name.
    pub name: String,
    /// When it was completed, in milliseconds since 1970.
    pub created_ms: u64,
    /// The last position that it contains.
    pub to: Position,
}

//----------- BackupPort -----------------------------------------------------

/// Creates, lists and verifies backups in the configured directories, for callers that have been authorized.
pub trait BackupPort: Send + Sync {
    /// Creates a backup: progress, then the finished backup. Dropping the stream abandons it.
    fn create(
        &self,
        directory: Option<String>,
        kind: BackupKind,
    ) -> BoxStream<'static, Result<CreateReport, BackupProblem>>;

    /// The backups of one directory, or of all; the newest first.
    fn list(
        &self,
        directory: Option<String>,
    ) -> BoxFuture<'static, Result<Vec<BackupSummary>, BackupProblem>>;

    /// Reads a backup back: progress and findings, then the verdict. Dropping the stream ends the reading.
    fn verify(
        &self,
        directory: Option<String>,
        name: String,
    ) -> BoxStream<'static, Result<VerifyReport, BackupProblem>>;
}

/// The content of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupKind {
    /// An image of everything, and the journal since.
    Full,
    /// The journal since an earlier backup.
    Incremental,
}

/// One backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSummary {
    /// Its name within its directory.
    pub name: String,
    /// The configured directory.
    pub directory: String,
    /// Its content.
    pub kind: BackupKind,
    /// The first position that it contains.
    pub from: Position,
    /// The last position that it contains.
    pub to: Position,
    /// When it was completed, in milliseconds since 1970.
    pub created_ms: u64,
    /// Entries and journal entries held.
    pub entries: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Whether its chunks are encrypted.
    pub encrypted: bool,
    /// The backup that an incremental one continues.
    pub base: Option<String>,
}

/// The progress of a long operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressReport {
    /// The present step, in a word or two.
    pub stage: String,
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes in total; none while that is unknown.
    pub total_bytes: Option<u64>,
    /// Entries done.
    pub entries: u64,
}

/// A report of a backup being created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateReport {
    /// The operation continues.
    Progress(ProgressReport),
    /// The backup is complete and on disk; the last report.
    Done(BackupSummary),
}

/// A report of a backup being verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyReport {
    /// The operation continues.
    Progress(ProgressReport),
    /// A finding.
    Finding {
        /// The file concerned, within the backup.
        file: String,
        /// The finding.
        message: String,
    },
    /// It is finished; the last report.
    Verdict {
        /// Whether everything was read back and is intact.
        whole: bool,
        /// Entries read back.
        entries: u64,
        /// Bytes read back.
        bytes: u64,
    },
}

/// Why a backup operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupProblem {
    /// The directory is not configured.
    #[error("{directory:?} is no configured backup directory; use one of {}", known.join(", "))]
    DirectoryUnknown {
        /// The directory asked for.
        directory: String,
        /// The configured directories.
        known: Vec<String>,
    },
    /// There is no such backup.
    #[error("there is no backup {name:?}; list the backups to see their names")]
    Absent {
        /// The name asked for.
        name: String,
    },
    /// Another backup is under way.
    #[error("a backup is under way; wait for its end")]
    Busy,
    /// A failure of this node: the disk, or the store.
    #[error("backup failed: {message}")]
    Failed {
        /// The chain of causes, without restricted data.
        message: String,
    },
}
