//! The form of the manifest file, version 1. Frozen once released; a new form gets a file of its own.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::manifest::{Base, Chunk, Holds, ImageSpan, Lock, Manifest};
use crate::model::identifier::Folding;
use crate::model::position::{Incarnation, Position};
use crate::store::writer::End;

const FORMAT: u32 = 1;
const CIPHER: &str = "chacha20poly1305; data key locked with xchacha20poly1305";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManifestV1 {
    format: u32,
    id: String,
    name: String,
    kind: String,
    node_version: String,
    created: String,
    created_ms: u64,
    engine: String,
    case_sensitive_suffix: bool,
    origin: String,
    image: Option<ImageV1>,
    base: Option<BaseV1>,
    journal_first: u64,
    from: PlaceV1,
    to: PlaceV1,
    entries: BTreeMap<String, u64>,
    identifiers: u64,
    encryption: Option<EncryptionV1>,
    chunks: Vec<ChunkV1>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageV1 {
    exact: bool,
    from: PlaceV1,
    to: PlaceV1,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BaseV1 {
    name: String,
    id: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceV1 {
    position: String,
    time: String,
    time_ms: u64,
    chain: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EncryptionV1 {
    cipher: String,
    nonce: String,
    data_key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChunkV1 {
    file: String,
    holds: HoldsV1,
    entries: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    sha256: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum HoldsV1 {
    Image,
    Journal,
    Files,
}

//----------- To the file ----------------------------------------------------

impl From<&Manifest> for ManifestV1 {
    fn from(manifest: &Manifest) -> Self {
        Self {
            format: FORMAT,
            id: HEXLOWER.encode(&manifest.id),
            name: manifest.name.clone(),
            kind: manifest.kind().to_string(),
            node_version: manifest.node_version.clone(),
            created: time(manifest.created_ms),
            created_ms: manifest.created_ms,
            engine: manifest.engine.to_string(),
            case_sensitive_suffix: manifest.folding == Folding::SuffixSensitive,
            origin: manifest.origin.to_string(),
            image: manifest.image.as_ref().map(ImageV1::from),
            base: manifest
                .base
                .as_ref()
                .map(|base| BaseV1 { name: base.name.clone(), id: HEXLOWER.encode(&base.id) }),
            journal_first: manifest.journal_first,
            from: PlaceV1::from(&manifest.from),
            to: PlaceV1::from(&manifest.to),
            entries: manifest.entries.clone(),
            identifiers: manifest.identifiers,
            encryption: manifest.lock.as_ref().map(|lock| EncryptionV1 {
                cipher: CIPHER.to_owned(),
                nonce: HEXLOWER.encode(&lock.nonce),
                data_key: HEXLOWER.encode(&lock.data_key),
            }),
            chunks: manifest.chunks.iter().map(ChunkV1::from).collect(),
        }
    }
}

impl From<&ImageSpan> for ImageV1 {
    fn from(span: &ImageSpan) -> Self {
        Self { exact: span.from == span.to, from: PlaceV1::from(&span.from), to: PlaceV1::from(&span.to) }
    }
}

impl From<&End> for PlaceV1 {
    fn from(end: &End) -> Self {
        Self {
            position: end.position().to_string(),
            time: time(end.time_ms),
            time_ms: end.time_ms,
            chain: HEXLOWER.encode(&end.chain),
        }
    }
}

impl From<&Chunk> for ChunkV1 {
    fn from(chunk: &Chunk) -> Self {
        Self {
            file: chunk.file.clone(),
            holds: match chunk.holds {
                Holds::Image => HoldsV1::Image,
                Holds::Journal => HoldsV1::Journal,
                Holds::Files => HoldsV1::Files,
            },
            entries: chunk.entries,
            raw_bytes: chunk.raw_bytes,
            stored_bytes: chunk.stored_bytes,
            sha256: HEXLOWER.encode(&chunk.sha256),
        }
    }
}

/// Formats a time as RFC 3339, in UTC.
pub(super) fn time(time_ms: u64) -> String {
    let timestamp = i64::try_from(time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    timestamp.unwrap_or(jiff::Timestamp::MAX).to_string()
}

//----------- From the file --------------------------------------------------

impl TryFrom<ManifestV1> for Manifest {
    type Error = String;

    fn try_from(mirror: ManifestV1) -> Result<Self, String> {
        if mirror.format != FORMAT {
            return Err(format!("format {} is not known to this version of idnode", mirror.format));
        }
        let folding =
            if mirror.case_sensitive_suffix { Folding::SuffixSensitive } else { Folding::Insensitive };
        let manifest = Self {
            id: bytes("id", &mirror.id)?,
            name: mirror.name,
            node_version: mirror.node_version,
            created_ms: mirror.created_ms,
            engine: mirror.engine.parse().map_err(|error: crate::store::UnknownEngine| error.to_string())?,
            folding,
            origin: Incarnation::parse(&mirror.origin).ok_or_else(|| wrong("origin"))?,
            image: mirror.image.map(ImageSpan::try_from).transpose()?,
            base: mirror.base.map(Base::try_from).transpose()?,
            journal_first: mirror.journal_first,
            from: mirror.from.try_into()?,
            to: mirror.to.try_into()?,
            entries: mirror.entries,
            identifiers: mirror.identifiers,
            lock: mirror.encryption.map(Lock::try_from).transpose()?,
            chunks: mirror.chunks.into_iter().map(Chunk::try_from).collect::<Result<_, _>>()?,
        };
        if manifest.kind().to_string() != mirror.kind || manifest.image.is_some() == manifest.base.is_some() {
            return Err(wrong("kind"));
        }
        Ok(manifest)
    }
}

impl TryFrom<ImageV1> for ImageSpan {
    type Error = String;

    fn try_from(mirror: ImageV1) -> Result<Self, String> {
        Ok(Self { from: mirror.from.try_into()?, to: mirror.to.try_into()? })
    }
}

impl TryFrom<BaseV1> for Base {
    type Error = String;

    fn try_from(mirror: BaseV1) -> Result<Self, String> {
        Ok(Self { name: mirror.name, id: bytes("base id", &mirror.id)? })
    }
}

impl TryFrom<PlaceV1> for End {
    type Error = String;

    fn try_from(mirror: PlaceV1) -> Result<Self, String> {
        let position = Position::parse(&mirror.position).ok_or_else(|| wrong("position"))?;
        Ok(Self {
            incarnation: position.incarnation,
            sequence: position.sequence,
            chain: bytes("chain", &mirror.chain)?,
            time_ms: mirror.time_ms,
        })
    }
}

impl TryFrom<EncryptionV1> for Lock {
    type Error = String;

    fn try_from(mirror: EncryptionV1) -> Result<Self, String> {
        if mirror.cipher != CIPHER {
            return Err(format!("cipher {:?} is not known to this version of idnode", mirror.cipher));
        }
        let data_key = HEXLOWER.decode(mirror.data_key.as_bytes()).map_err(|_| wrong("data_key"))?;
        Ok(Self { nonce: bytes("nonce", &mirror.nonce)?, data_key })
    }
}

impl TryFrom<ChunkV1> for Chunk {
    type Error = String;

    fn try_from(mirror: ChunkV1) -> Result<Self, String> {
        let sha256 = bytes("sha256", &mirror.sha256)?;
        let holds = match mirror.holds {
            HoldsV1::Image => Holds::Image,
            HoldsV1::Journal => Holds::Journal,
            HoldsV1::Files => Holds::Files,
        };
        let ChunkV1 { file, entries, raw_bytes, stored_bytes, .. } = mirror;
        let plain = file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        if !plain || file.starts_with('.') {
            return Err(wrong("file"));
        }
        Ok(Self { file, holds, entries, raw_bytes, stored_bytes, sha256 })
    }
}

fn wrong(field: &str) -> String {
    format!("its field {field} has an unknown value")
}

fn bytes<const N: usize>(field: &str, text: &str) -> Result<[u8; N], String> {
    let decoded = HEXLOWER.decode(text.as_bytes()).map_err(|_| wrong(field))?;
    decoded.try_into().map_err(|_| wrong(field))
}
