//! The manifest of a backup: its origin, its range of positions, and its chunks.

use std::collections::BTreeMap;

use super::kind::Kind;
use crate::model::identifier::Folding;
use crate::model::position::Incarnation;
use crate::store::EngineKind;
use crate::store::writer::End;

/// The manifest's file name.
pub(super) const FILE: &str = "manifest.json";

//----------- Manifest -------------------------------------------------------

/// Description of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// A random identification that no other backup has.
    pub(super) id: [u8; 16],
    /// The backup's name, which is the name of its folder.
    pub(super) name: String,
    /// Version of the program that made the backup.
    pub(super) node_version: String,
    /// Time at which the backup was completed, in milliseconds since 1970.
    pub(super) created_ms: u64,
    /// Engine of the store that was backed up.
    pub(super) engine: EngineKind,
    /// The rule for folding letters of a suffix in that store.
    pub(super) folding: Folding,
    /// First incarnation of the store, which all backups of the store share.
    pub(super) origin: Incarnation,
    /// The image, in a full backup.
    pub(super) image: Option<ImageSpan>,
    /// The backup that this one continues, when it is incremental.
    pub(super) base: Option<Base>,
    /// Sequence of the first journal entry in the backup.
    pub(super) journal_first: u64,
    /// End of the journal when the image was started, or end of the base.
    pub(super) from: End,
    /// Last journal entry of the backup.
    pub(super) to: End,
    /// Number of entries of each table, and of journal entries under `journal`.
    pub(super) entries: BTreeMap<String, u64>,
    /// Live identifiers in the image.
    pub(super) identifiers: u64,
    /// The locked data key, when the backup is encrypted.
    pub(super) lock: Option<Lock>,
    /// The chunks, in the order in which they are restored.
    pub(super) chunks: Vec<Chunk>,
}

/// Range of journal ends that an image spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ImageSpan {
    /// End of the journal when the copy started.
    pub(super) from: End,
    /// End of the journal from which on the image is valid.
    pub(super) to: End,
}

/// The backup that another continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// Name of the base, which is in the same directory.
    pub(super) name: String,
    /// Identification of the base.
    pub(super) id: [u8; 16],
}

/// A locked data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// Nonce of the encryption of the data key.
    pub(super) nonce: [u8; 24],
    /// The data key, encrypted under the key of the key file.
    pub(super) data_key: Vec<u8>,
}

/// One chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Name of the chunk's file.
    pub(super) file: String,
    /// What the chunk holds.
    pub(super) holds: Holds,
    /// Number of entries.
    pub(super) entries: u64,
    /// Size before compression in bytes.
    pub(super) raw_bytes: u64,
    /// Size of the file in bytes.
    pub(super) stored_bytes: u64,
    /// SHA-256 of the file.
    pub(super) sha256: [u8; 32],
}

/// The sort of content of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Entries of the image.
    Image,
    /// Journal entries.
    Journal,
    /// Small files of the data directory.
    Files,
}

impl Manifest {
    /// Full or incremental.
    pub(super) fn kind(&self) -> Kind {
        if self.image.is_some() { Kind::Full } else { Kind::Incremental }
    }

    /// Orders backups by the position that they reach, never by the clock; the time of creation decides between equals.
    pub(super) fn rank(&self) -> (Incarnation, u64, u64) {
        (self.to.incarnation, self.to.sequence, self.created_ms)
    }

    /// The last position that it holds, in the order of positions.
    pub(super) fn end(&self) -> (Incarnation, u64) {
        (self.to.incarnation, self.to.sequence)
    }

    /// Bytes of its chunks before compression.
    pub(super) fn raw_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.raw_bytes).sum()
    }
}
