//! The manifest: what a backup is, from where to where it reaches, and its chunks.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::error::Error;
use super::finding::Finding;
use super::key::{DataKey, Key};
use super::list::Kind;
use super::manifest_v1;
use crate::model::identifier::Folding;
use crate::model::position::Incarnation;
use crate::store::EngineKind;
use crate::store::commit::End;

/// The manifest's file name.
pub(super) const FILE: &str = "manifest.json";
/// Bytes of the longest manifest that is read: a hundred thousand chunks.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

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

    /// Encodes the file, sealed when the backup is encrypted.
    pub(super) fn encode(&self, key: Option<&DataKey>) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_string_pretty(&manifest_v1::ManifestV1::from(self))?;
        // The object is left open; the lines that close it vouch for all lines before.
        text.truncate(text.trim_end_matches(['}', '\n']).len());
        let digest = digest(&text);
        let seal = key.map(|key| data_encoding::HEXLOWER.encode(&key.seal_manifest(&digest)));
        text.push_str(&closing(&digest, seal.as_deref()));
        Ok(text.into_bytes())
    }

    /// Decodes a file: its digest first, then its content.
    fn decode(bytes: &[u8]) -> Result<Signed, String> {
        let text = str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let missing = || "its last lines are not those of a manifest: it was cut or changed".to_owned();
        let (open, last) = text.rsplit_once(DIGEST).ok_or_else(missing)?;
        let (found, rest) = last.split_once('"').ok_or_else(missing)?;
        let seal = rest.strip_prefix(SEAL).and_then(|rest| rest.split_once('"')).map(|(seal, _)| seal);
        let right = digest(open);
        if found != right || last != closing(found, seal).trim_start_matches(DIGEST) {
            return Err(format!("its SHA-256 is {right}, not the one in its last lines: it was changed"));
        }
        let seal = seal.map(|seal| data_encoding::HEXLOWER.decode(seal.as_bytes())).transpose();
        let seal = seal.map_err(|error| error.to_string())?;
        let mirror: manifest_v1::ManifestV1 =
            serde_json::from_str(&format!("{open}\n}}")).map_err(|error| error.to_string())?;
        Ok(Signed { manifest: mirror.try_into()?, digest: right, seal })
    }

    /// Loads the manifest of a backup's folder.
    pub(super) fn load(folder: &Path) -> Result<Self, Finding> {
        load(folder).map(|signed| signed.manifest)
    }

    /// Loads the manifest of a backup's folder and unlocks the backup when it is encrypted.
    pub(super) fn load_with_key(
        folder: &Path,
        key_file: Option<&Path>,
    ) -> Result<Result<(Self, Option<DataKey>), Finding>, Error> {
        let Signed { manifest, digest, seal } = match load(folder) {
            Ok(signed) => signed,
            Err(finding) => return Ok(Err(finding)),
        };
        let Some(lock) = &manifest.lock else {
            return Ok(Ok((manifest, None)));
        };
        let key_file = key_file.ok_or_else(|| Error::KeyWanted { folder: folder.to_owned() })?;
        let key = Key::load(key_file)?.unlock(&manifest.id, &lock.nonce, &lock.data_key)?;
        if seal.is_some_and(|seal| key.has_sealed(&digest, &seal)) {
            return Ok(Ok((manifest, Some(key))));
        }
        let message = "it was not sealed with this backup's key: it was exchanged";
        Ok(Err(Finding::new(FILE, message)))
    }
}

/// A manifest with what vouches for it.
struct Signed {
    manifest: Manifest,
    digest: String,
    seal: Option<Vec<u8>>,
}

const DIGEST: &str = ",\n  \"sha256\": \"";
const SEAL: &str = ",\n  \"seal\": \"";

/// The lines that end a manifest.
fn closing(digest: &str, seal: Option<&str>) -> String {
    let seal = seal.map(|seal| format!("{SEAL}{seal}\"")).unwrap_or_default();
    format!("{DIGEST}{digest}\"{seal}\n}}\n")
}

fn digest(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text))
}

fn load(folder: &Path) -> Result<Signed, Finding> {
    let path = folder.join(FILE);
    let refuse = |message: String| Finding::new(FILE, message);
    let facts = std::fs::metadata(&path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if facts.len() > BYTES_MAX {
        return Err(refuse(format!("its {} bytes are more than any manifest has", facts.len())));
    }
    let bytes = std::fs::read(&path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    Manifest::decode(&bytes).map_err(refuse)
}
