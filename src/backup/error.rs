//! What can go wrong with backups: each error says which file and what leads on.

use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::store;

/// Why a backup operation came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory is none that the configuration names.
    #[error(
        "{} is no configured backup directory; use one of {}", directory.display(), paths(known)
    )]
    DirectoryUnknown {
        /// The directory asked for.
        directory: PathBuf,
        /// Those configured.
        known: Vec<PathBuf>,
    },
    /// There is no such backup.
    #[error("there is no backup {name:?}; list the backups to see their names")]
    Absent {
        /// The name or path asked for.
        name: String,
    },
    /// Another backup is under way there.
    #[error("a backup is under way in {}; wait for its end", directory.display())]
    Busy {
        /// Where.
        directory: PathBuf,
    },
    /// The store failed.
    #[error("{what}")]
    Store {
        /// What was being done.
        what: &'static str,
        /// What went wrong.
        #[source]
        source: store::error::Error,
    },
    /// A file cannot be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The key file cannot be used.
    #[error("key file {}: {detail}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What does not fit, and what would.
        detail: String,
    },
    /// A backup is encrypted and no key file was named.
    #[error("{} is encrypted; name its key file with --key-file", folder.display())]
    KeyWanted {
        /// The backup.
        folder: PathBuf,
    },
    /// The backup, or one that it continues, is not whole.
    #[error("the backup is not whole: {}", findings(found))]
    NotWhole {
        /// What is wrong.
        found: Vec<Finding>,
    },
    /// No backup reaches the target.
    #[error("{target} cannot be reached: {}", reach.join("; "))]
    Unreachable {
        /// The position or time asked for.
        target: String,
        /// What each backup reaches.
        reach: Vec<String>,
    },
    /// The data directory holds something.
    #[error("{} is not empty; name a directory that is empty or does not exist yet", directory.display())]
    DataNotEmpty {
        /// The data directory.
        directory: PathBuf,
    },
    /// Another restore is under way, or was interrupted.
    #[error(
        "{} exists: another restore is under way, or one was interrupted; if none is under way, remove it",
        directory.display()
    )]
    RestoreUnderWay {
        /// The directory it works in.
        directory: PathBuf,
    },
    /// The program is ending.
    #[error("the work was ended: {detail}")]
    Stopped {
        /// What ended it.
        detail: String,
    },
}

impl Error {
    /// What to call a failure with a file.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }

    /// What to call a failure of the store.
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
