//! Errors of backup operations: each names the file and says what to do.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::store;

/// Why a backup operation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory is not configured for backups.
    #[error(
        "{} is not a configured backup directory; use one of {}", directory.display(), paths(known)
    )]
    DirectoryUnknown {
        /// The requested directory.
        directory: PathBuf,
        /// The configured directories.
        known: Vec<PathBuf>,
    },
    /// No backup has this name.
    #[error("there is no backup {name:?}; list the backups to see their names")]
    Absent {
        /// The requested name or path.
        name: String,
    },
    /// Another backup is in progress in the directory.
    #[error("a backup is running in {}; wait until it is complete", directory.display())]
    Busy {
        /// The directory of the backups.
        directory: PathBuf,
    },
    /// The store failed.
    #[error("{what}")]
    Store {
        /// The operation that failed.
        what: &'static str,
        /// The cause.
        #[source]
        source: store::error::Error,
    },
    /// A file cannot be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// The action that failed.
        action: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The key file cannot be used.
    #[error("key file {}: {detail}", path.display())]
    Key {
        /// Path of the file.
        path: PathBuf,
        /// What is wrong, and how to correct it.
        detail: String,
    },
    /// A backup is encrypted and no key file was named.
    #[error("{} is encrypted; name its key file with --key-file", folder.display())]
    KeyWanted {
        /// Folder of the backup.
        folder: PathBuf,
    },
    /// The backup, or one that it continues, is damaged or incomplete.
    #[error("the backup is damaged or incomplete: {}", findings(found))]
    NotWhole {
        /// The damage that was found.
        found: Vec<Finding>,
    },
    /// The newest state in a directory of backups cannot be restored.
    #[error(
        "a restore would end at {end}, and more is or may be there: {}; use --accept-older to restore that far \
         nevertheless, or name the folder of one backup",
        findings(lost)
    )]
    Older {
        /// The position at which the restore would end.
        end: String,
        /// What is beyond, or may be, and cannot be used.
        lost: Vec<Finding>,
    },
    /// No backup reaches the target.
    #[error("{target} cannot be reached: {}", reach.join("; "))]
    Unreachable {
        /// The requested position or time.
        target: String,
        /// The range that each backup reaches.
        reach: Vec<String>,
    },
    /// The data directory is not empty.
    #[error("{} is not empty; name a directory that is empty or does not exist yet", directory.display())]
    DataNotEmpty {
        /// The data directory.
        directory: PathBuf,
    },
    /// Another restore is in progress, or was interrupted.
    #[error(
        "{} exists: another restore is under way, or one was interrupted; if none is under way, remove it",
        directory.display()
    )]
    RestoreUnderWay {
        /// The directory of the other restore.
        directory: PathBuf,
    },
    /// The program is shutting down.
    #[error("the operation was ended: {detail}")]
    Stopped {
        /// The cause.
        detail: String,
    },
}

impl Error {
    /// Converts an error of a file operation.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// Converts an error of the store.
    pub(super) fn store(what: &'static str) -> impl FnOnce(store::error::Error) -> Self {
        move |source| Self::Store { what, source }
    }
}

fn paths(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

fn findings(found: &[Finding]) -> String {
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    shown.join("; ")
}
