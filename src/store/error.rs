//! What can go wrong below the core: each error says where and what leads back.

use std::path::PathBuf;

use crate::wire::cursor::DecodeError;

use super::engine::EngineError;

/// Why the store could not do what was asked.
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
        /// What does not fit.
        detail: String,
    },
    /// The journal does not hold together.
    #[error(
        "journal damaged at {directory}, entry {sequence}: {detail}; \
         restore it with `idnode backup restore` into an empty directory"
    )]
    JournalDamaged {
        /// The data directory.
        directory: PathBuf,
        /// The entry.
        sequence: u64,
        /// What does not fit.
        detail: String,
    },
    /// A copy of a store does not hold together.
    #[error("the backup does not hold together: {detail}")]
    CopyDamaged {
        /// What does not fit.
        detail: String,
    },
    /// Changes are not accepted.
    #[error("the store accepts no changes: {reason}")]
    ReadOnly {
        /// Why, and what leads back.
        reason: String,
    },
    /// The store was written in a way this program does not know.
    #[error("the store at {directory} {detail}")]
    Format {
        /// The data directory.
        directory: PathBuf,
        /// What does not fit, and what would.
        detail: String,
    },
    /// States were read before others committed; read again.
    #[error("{expected} was the journal's end when the states were read, {found} is now")]
    Outdated {
        /// The sequence the states were read at.
        expected: u64,
        /// The sequence now.
        found: u64,
    },
    /// A small file beside the engine cannot be read or written.
    #[error("{action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

impl From<EngineError> for Error {
    fn from(source: EngineError) -> Self {
        Self::Engine(source)
    }
}

/// A stored form that does not read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// The checksum differs.
    #[error("checksum {found:08x} was stored, {expected:08x} is right for the bytes")]
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
        /// Which.
        piece: u16,
        /// Of how many.
        pieces: u16,
    },
    /// The fields do not decode.
    #[error("{0}")]
    Decode(DecodeError),
}

impl From<DecodeError> for Unreadable {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}
