//! What is shown of a backup, and of a directory of backups.

use std::fs;
use std::path::{Path, PathBuf};

use super::finding::Finding;
use super::kind::Kind;
use super::manifest::{self, Manifest};
use crate::model::position::Position;

//----------- Listing --------------------------------------------------------

/// The backups of one directory or several, and what is wrong with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The backups, the newest first by their position in the journal.
    pub backups: Vec<Summary>,
    /// Folders that cannot be read as a backup, files that are missing or cut, and bases that are not there; each with
    /// its path. Directories that held backups and hold none.
    pub findings: Vec<Finding>,
}

//----------- Summary --------------------------------------------------------

/// Summary of one backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Name of the backup within its directory.
    pub name: String,
    /// Directory that holds the backup.
    pub directory: PathBuf,
    /// Kind of the backup: full or incremental.
    pub kind: Kind,
    /// First position to which the backup can be restored.
    pub from: Position,
    /// Last position that the backup holds.
    pub to: Position,
    /// When the last entry of the backup was made, in milliseconds since 1970.
    pub to_ms: u64,
    /// When the backup was completed, in milliseconds since 1970.
    pub created_ms: u64,
    /// Number of entries and journal entries.
    pub entries: u64,
    /// Size on disk in bytes.
    pub bytes: u64,
    /// Whether the chunks are encrypted.
    pub encrypted: bool,
    /// The backup that an incremental one continues.
    pub base: Option<String>,
    /// Why the backup is not of the requested kind, when it is not.
    pub note: Option<String>,
}

impl Summary {
    pub(super) fn of(manifest: &Manifest, directory: &Path) -> Self {
        let stored: u64 = manifest.chunks.iter().map(|chunk| chunk.stored_bytes).sum();
        let manifest_path = directory.join(&manifest.name).join(manifest::FILE);
        Self {
            name: manifest.name.clone(),
            directory: directory.to_owned(),
            kind: manifest.kind(),
            from: manifest.from.position(),
            to: manifest.to.position(),
            to_ms: manifest.to.time_ms,
            created_ms: manifest.created_ms,
            entries: manifest.entries.values().sum(),
            bytes: stored + fs::metadata(manifest_path).map_or(0, |facts| facts.len()),
            encrypted: manifest.lock.is_some(),
            base: manifest.base.as_ref().map(|base| base.name.clone()),
            note: None,
        }
    }

    /// Orders backups by the position that they reach, never by the clock; the time of creation decides between equals.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        (self.to.incarnation, self.to.sequence, self.created_ms)
    }
}
