//! What the gRPC door needs of rooms that it may not know: how the node is, and backups.
//!
//! The backup room is a neighbor and the store lies out of a door's reach, so the daemon, which knows them all, plugs
//! them in here.

use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::model::identifier::Prefix;
use crate::model::position::Position;

//----------- StatusPort -----------------------------------------------------

/// Tells how the node is.
pub trait StatusPort: Send + Sync {
    /// How the node is now. May read files; answers within a second.
    fn report(&self) -> BoxFuture<'_, StatusReport>;
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    /// The program's version.
    pub version: String,
    /// The storage engine's name.
    pub engine: String,
    /// The last durable place of the journal; its incarnation is the store's.
    pub position: Position,
    /// Identifiers that exist.
    pub identifiers: u64,
    /// Prefixes homed here.
    pub prefixes_homed: u64,
    /// Prefixes delegated elsewhere.
    pub prefixes_delegated: u64,
    /// How filing stands; none at a node without an upper node.
    pub filing: Option<FilingReport>,
    /// Why the node accepts no changes; none when it does.
    pub read_only_reason: Option<String>,
    /// Time since it started.
    pub uptime: Duration,
    /// Bytes of the data directory.
    pub disk_bytes: u64,
    /// The newest backup.
    pub last_backup: Option<BackupMark>,
}

/// How the filing at the upper node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilingReport {
    /// The upper node's address.
    pub upper: String,
    /// Whether it answered the last time.
    pub connected: bool,
    /// The last place it confirmed.
    pub confirmed: Option<Position>,
    /// Journal entries that it has not confirmed.
    pub lag_entries: u64,
    /// Milliseconds since the oldest of them was made.
    pub lag_ms: u64,
    /// What went wrong the last time.
    pub last_error: Option<String>,
    /// What filing is at, in a word.
    pub state: String,
    /// When the upper node was last heard, in milliseconds since 1970.
    pub last_contact_ms: Option<u64>,
    /// Changes of prefixes that it took.
    pub filed: u64,
    /// Changes of identifiers that the bookmark moved over.
    pub identifier_changes: u64,
    /// Prefixes that are not filed.
    pub set_aside_count: u64,
    /// Some of them, and why.
    pub set_aside: Vec<(Prefix, String)>,
}

/// The newest backup, in brief.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupMark {
    /// Its name.
    pub name: String,
    /// When it was completed, in milliseconds since 1970.
    pub created_ms: u64,
    /// The place up to which it reaches.
    pub to: Position,
}

//----------- BackupPort -----------------------------------------------------

/// Creates, lists and verifies backups in the configured directories. Who may ask has been decided before.
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

/// What a backup holds.
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
    /// What it holds.
    pub kind: BackupKind,
    /// The place from which it reaches.
    pub from: Position,
    /// The place up to which it reaches.
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

/// How far a long operation has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgressReport {
    /// What is being done, in a word or two.
    pub stage: String,
    /// How much is done, in bytes.
    pub done_bytes: u64,
    /// How much there is, in bytes; none when that is not known yet.
    pub total_bytes: Option<u64>,
    /// Entries done.
    pub entries: u64,
}

/// What there is to report of a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateReport {
    /// It goes on.
    Progress(ProgressReport),
    /// It is complete and on disk; the last report.
    Done(BackupSummary),
}

/// What there is to report of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyReport {
    /// It goes on.
    Progress(ProgressReport),
    /// Something is wrong.
    Finding {
        /// The file concerned, within the backup.
        file: String,
        /// What is wrong with it.
        message: String,
    },
    /// It is finished; the last report.
    Verdict {
        /// Whether everything was read back and is whole.
        whole: bool,
        /// Entries read back.
        entries: u64,
        /// Bytes read back.
        bytes: u64,
    },
}

/// Why a backup operation came to nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackupProblem {
    /// The directory is none that the configuration names.
    #[error("{directory:?} is no configured backup directory; use one of {}", known.join(", "))]
    DirectoryUnknown {
        /// The directory asked for.
        directory: String,
        /// Those configured.
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
    /// Our fault: the disk, the store.
    #[error("backup failed: {message}")]
    Failed {
        /// The whole chain of what went wrong; without restricted data.
        message: String,
    },
}
