//! The manifest: what a backup is, from where to where it reaches, and its chunks.

use std::collections::BTreeMap;

use super::kind::Kind;
use crate::model::identifier::Folding;
use crate::model::position::Incarnation;
use crate::store::EngineKind;
use crate::store::commit::End;

/// The manifest's file name.
pub(super) const FILE: &str = "manifest.json";

//----------- Manifest -------------------------------------------------------

/// What a backup is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// A random name that no other backup has.
    pub(super) id: [u8; 16],
    /// Its name, that of its folder.
    pub(super) name: String,
    /// The version of the program that made it.
    pub(super) node_version: String,
    /// When it was completed, in milliseconds since 1970.
    pub(super) created_ms: u64,
    /// The engine of the store it was made of.
    pub(super) engine: EngineKind,
    /// Which letters of a suffix are folded there.
    pub(super) folding: Folding,
    /// The first life of that store: backups of one store share it.
    pub(super) origin: Incarnation,
    /// The image, in a full backup.
    pub(super) image: Option<ImageSpan>,
    /// The backup that this one continues, when it is incremental.
    pub(super) base: Option<Base>,
    /// The first journal entry held.
    pub(super) journal_first: u64,
    /// Where it begins: where its image began, or where its base ends.
    pub(super) from: End,
    /// Where it ends.
    pub(super) to: End,
    /// Entries of each table held, and journal entries under `journal`.
    pub(super) entries: BTreeMap<String, u64>,
    /// Live identifiers in the image.
    pub(super) identifiers: u64,
    /// How it is encrypted, when it is.
    pub(super) lock: Option<Lock>,
    /// Its chunks, in the order in which they are restored.
    pub(super) chunks: Vec<Chunk>,
}

/// What an image spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ImageSpan {
    /// Where the journal ended when it began.
    pub(super) from: End,
    /// From where on it is valid.
    pub(super) to: End,
}

/// The backup that another continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// Its name; it lies in the same directory.
    pub(super) name: String,
    /// Its id.
    pub(super) id: [u8; 16],
}

/// A locked data key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    /// The nonce it was locked with.
    pub(super) nonce: [u8; 24],
    /// The data key, encrypted under the key of the key file.
    pub(super) data_key: Vec<u8>,
}

/// One chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// Its file.
    pub(super) file: String,
    /// What it holds.
    pub(super) holds: Holds,
    /// How many entries.
    pub(super) entries: u64,
    /// Bytes before compression.
    pub(super) raw_bytes: u64,
    /// Bytes of the file.
    pub(super) stored_bytes: u64,
    /// SHA-256 of the file.
    pub(super) sha256: [u8; 32],
}

/// What a chunk holds.
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

    /// Bytes of its chunks before compression.
    pub(super) fn raw_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.raw_bytes).sum()
    }
}
