//! Errors of the store; each names the location and the remedy.

use std::path::PathBuf;

use crate::model::identifier::Prefix;
use crate::model::position::Position;
use crate::store::engine::{EngineError, Lack};
use crate::wire::cursor::DecodeError;

/// Why a call of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine failed.
    #[error("the storage engine failed")]
    Engine(#[source] EngineError),
    /// An entry does not pass its checksum or cannot be decoded.
    #[error(
        "store damaged at {directory}: table {table}, key {key}: {detail}; \
         restore it with `idnode backup restore` into an empty directory"
    )]
    Damaged {
        /// The data directory.
        directory: PathBuf,
        /// The table.
        table: &'static str,
        /// The key, escaped.
        key: String,
        /// The inconsistency.
        detail: String,
    },
    /// The journal is inconsistent.
    #[error(
        "journal damaged at {directory}, entry {sequence}: {detail}; \
         restore it with `idnode backup restore` into an empty directory"
    )]
    JournalDamaged {
        /// The data directory.
        directory: PathBuf,
        /// The entry.
        sequence: u64,
        /// The inconsistency.
        detail: String,
    },
    /// A copy of a store is inconsistent.
    #[error("the backup is inconsistent: {detail}")]
    CopyDamaged {
        /// The inconsistency.
        detail: String,
    },
    /// The files of a store that was there are gone.
    #[error(
        "the data directory {directory} held a store of engine {engine}, whose files are gone from {folder}; put them \
         back, restore a backup with `idnode backup restore` into an empty directory, or begin a new store in another \
         directory"
    )]
    Gone {
        /// The data directory.
        directory: PathBuf,
        /// The folder of the engine's files.
        folder: PathBuf,
        /// The engine.
        engine: String,
    },
    /// The store is read-only.
    #[error("the store accepts no changes: {reason}")]
    ReadOnly {
        /// The reason, and the remedy.
        reason: String,
    },
    /// A store has lost other things than the end of its journal.
    #[error("the loss cannot be accepted: the store lacks more than the end of its journal: {reason}")]
    OtherDamage {
        /// What is missing, and the remedy.
        reason: String,
    },
    /// The store has a form that this program does not know.
    #[error("the store at {directory} {detail}")]
    Format {
        /// The data directory.
        directory: PathBuf,
        /// The form found, and the expected one.
        detail: String,
    },
    /// A write has failed, and it is not known whether the change is on disk.
    #[error("whether the change is on disk is not known: {cause}")]
    Unsure {
        /// What failed.
        cause: String,
    },
    /// A list was to go on after a cursor of another list.
    #[error("the cursor is not one of the list of {prefix}")]
    OtherList {
        /// The prefix that is listed.
        prefix: Prefix,
    },
    /// The journal was to be read after a position that it does not have.
    #[error("position {position} is not one of this journal")]
    OtherJournal {
        /// The position.
        position: Position,
    },
    /// A small file beside the engine cannot be read or written.
    #[error("{action} {path}")]
    File {
        /// The action that failed.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Cause of the failure.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Whether it reports stored data that cannot be read, so that others may still be read.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_damage(),
            Self::Damaged { .. } | Self::JournalDamaged { .. } => true,
            Self::CopyDamaged { .. }
            | Self::Gone { .. }
            | Self::ReadOnly { .. }
            | Self::OtherDamage { .. }
            | Self::Format { .. }
            | Self::Unsure { .. }
            | Self::OtherList { .. }
            | Self::OtherJournal { .. }
            | Self::File { .. } => false,
        }
    }
}

impl Error {
    /// What was lacking, so that it is waited for; none when the error may be a lasting one.
    pub(super) fn lacks(&self) -> Option<Lack> {
        match self {
            Self::Engine(error) => error.lacks(),
            Self::File { source, .. } => Lack::of(source),
            _ => None,
        }
    }
}

impl From<EngineError> for Error {
    fn from(source: EngineError) -> Self {
        Self::Engine(source)
    }
}

/// Why a stored form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// The checksum differs.
    #[error("the stored checksum is {found:08x}, that of the bytes is {expected:08x}")]
    Checksum {
        /// The checksum stored.
        found: u32,
        /// The checksum of the bytes.
        expected: u32,
    },
    /// The format is unknown.
    #[error("format {found} is not known to this version of idnode")]
    Format {
        /// The format stored.
        found: u8,
    },
    /// A piece is missing.
    #[error("piece {piece} of {pieces} is missing")]
    Piece {
        /// Number of the piece.
        piece: u16,
        /// Number of pieces.
        pieces: u16,
    },
    /// The entry contradicts its key, or itself.
    #[error("{0}")]
    Contradiction(String),
    /// The fields do not decode.
    #[error("{0}")]
    Decode(DecodeError),
}

impl From<DecodeError> for Unreadable {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}
