//! Copies of a running store for backups: an image of its present states, and its journal.
//!
//! ```text
//!   hold_journal ─▶ image: from ─ next, next, … ─ finish: to ─▶ copy_journal ─▶ release
//! ```
//! An image is *exact* where the engine has snapshots (fjall): all of it belongs to one instant, and `from` is `to`.
//! Otherwise (sled) it is *fuzzy*: each state in it is complete, but some are those of `from` and some are later, up to
//! `to`. It is repaired by redoing the journal entries after `from`, by version, and is valid from `to` on.
//!
//! States are copied joined, as before they are cut into pieces: a large state that is rewritten while the image is read
//! is copied completely, in its old or its new version, and a copy of one engine fits the other. Derived data (counts,
//! digests of suffixes, pieces) is not copied.

use tokio::sync::OwnedRwLockReadGuard;

use crate::model::identifier::{Folding, Identifier};
use crate::model::position::Bookmark;
use crate::store::Store;
use crate::store::engine::{EngineImage, ImageCursor, KEY_BYTES_MAX, PageLimit, Span, StoredAs};
use crate::store::entry::journaled::EncodedBody;
use crate::store::entry::meta::{FactName, SealKey};
use crate::store::entry::note::NoteState;
use crate::store::entry::prefix::PrefixState;
use crate::store::entry::token::TokenState;
use crate::store::entry::{EntryKind, IdentifierEntry, Readable, RequestMemory, checksum};
use crate::store::error::{Error, Unreadable};
use crate::store::journal::lineage::Lineage;
use crate::store::journal::retention::{RetainedFrom, Seal};
use crate::store::journal::{Body, Header};
use crate::store::open::header_v1::StoreHeader;
use crate::store::writer::End;
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// The kinds that are copied, in this order; the others can be derived from them or are the journal. An image names a kind only
/// with an entry of it: without notes, releases that do not know the kind restore the image.
const COPIED: [EntryKind; 7] = [
    EntryKind::Meta,
    EntryKind::Bookmark,
    EntryKind::Prefix,
    EntryKind::Token,
    EntryKind::Note,
    EntryKind::Request,
    EntryKind::Identifier,
];
/// Size of one step: entries, and bytes after which it ends.
const STEP: PageLimit = PageLimit { entries: 1_000, bytes: 4 * 1024 * 1024 };
/// Bytes of the longest body: a token that names as many prefixes as a token may.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

//----------- JournalHold ----------------------------------------------------

/// While it exists, nothing is pruned from the journal.
pub struct JournalHold {
    _held: OwnedRwLockReadGuard<()>,
}

impl Store {
    /// Keeps the journal from being pruned; waits for a running pruning.
    pub async fn hold_journal(&self) -> JournalHold {
        JournalHold { _held: self.inner.held.clone().read_owned().await }
    }

    /// Starts an image of the present states. It fails while the files are closed after a failed write.
    pub async fn image(&self) -> Result<Image, Error> {
        let image = self.inner.engine.image().await?;
        let last = if image.is_exact() { image.last_header().await? } else { None };
        let from = last.map_or(self.end(), |header| End::at(&header));
        let waiting: Vec<EntryKind> = COPIED.into_iter().rev().collect();
        Ok(Image { store: self.clone(), image, from, waiting, cursor: ImageCursor::default() })
    }
}

//----------- Image ----------------------------------------------------------

/// An image being read. Dropping it ends it.
pub struct Image {
    store: Store,
    image: EngineImage,
    from: End,
    /// Kinds still to be read, the present one last.
    waiting: Vec<EntryKind>,
    /// Where the reading of the present kind goes on.
    cursor: ImageCursor,
}

impl Image {
    /// End of the journal when the image was started.
    pub fn from(&self) -> End {
        self.from
    }

    /// Whether all of it belongs to one instant.
    pub fn is_exact(&self) -> bool {
        self.image.is_exact()
    }

    /// The next entries; none at the end. An exact image fails with [`EngineError::Reopened`](crate::store::EngineError::Reopened) once the
    /// files were opened again after a failed write: begin a new one. Any image fails while they are closed.
    pub async fn next(&mut self) -> Result<Vec<CopiedEntry>, Error> {
        while let Some(kind) = self.waiting.last().copied() {
            let page = self.image.next(kind, &mut self.cursor, STEP).await?;
            if !page.is_empty() {
                let copied = page.into_iter().map(|(key, body)| CopiedEntry { kind, key, body });
                return Ok(copied.collect());
            }
            self.waiting.pop();
            self.cursor = ImageCursor::default();
        }
        Ok(Vec::new())
    }

    /// End of the journal after everything was read: the image is valid from here on.
    pub async fn finish(self) -> Result<End, Error> {
        if self.image.is_exact() {
            return Ok(self.from);
        }
        let last = self.store.last_header().await?;
        Ok(last.map_or(self.from, |header| End::at(&header)))
    }
}

//----------- CopiedEntry ----------------------------------------------------

/// A complete entry of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedEntry {
    pub(in crate::store) kind: EntryKind,
    pub(in crate::store) key: Vec<u8>,
    pub(in crate::store) body: Vec<u8>,
}

impl CopiedEntry {
    /// The name of its kind.
    pub fn kind(&self) -> &'static str {
        self.kind.name()
    }

    /// Bytes of its key and body.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.body.len()
    }

    /// Encodes kind, key, body, and a checksum of both.
    pub fn encode(&self, writer: &mut Writer) {
        let checksum = checksum(&self.key, &self.body);
        writer.u8(self.kind.code()).bytes(&self.key).bytes(&self.body).u32(checksum);
    }

    /// Decodes and checks the output of [`CopiedEntry::encode`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = EntryKind::from_code(reader.u8("kind")?).filter(|kind| COPIED.contains(kind));
        let kind = kind.ok_or_else(|| reader.refuse("kind"))?;
        let key = reader.bytes("key", KEY_BYTES_MAX)?.to_vec();
        let body = reader.bytes("body", BODY_BYTES_MAX)?.to_vec();
        if reader.u32("checksum")? != checksum(&key, &body) {
            return Err(reader.refuse("checksum"));
        }
        Ok(Self { kind, key, body })
    }

    /// Checks that it is valid in a store with this folding. Returns the identifier, when it is a live one.
    pub fn check(&self, folding: Folding) -> Result<Option<Identifier>, EntryInvalid> {
        match self.kind {
            EntryKind::Meta => self.check_meta(folding)?,
            EntryKind::Bookmark => drop(self.read::<Bookmark>()?),
            EntryKind::Prefix => drop(self.read::<PrefixState>()?),
            EntryKind::Token => drop(self.read::<TokenState>()?),
            EntryKind::Note => drop(self.read::<NoteState>()?),
            EntryKind::Request => drop(self.read::<RequestMemory>()?),
            EntryKind::Identifier => {
                let entry: IdentifierEntry = self.read()?;
                if entry.identifier.canonical(folding).as_bytes() != self.key {
                    return Err(EntryInvalid::because("the identifier is under another one's key"));
                }
                return Ok(entry.is_live().then_some(entry.identifier));
            }
            EntryKind::Count | EntryKind::Header | EntryKind::Body | EntryKind::Digest => {
                return Err(EntryInvalid::because("the kind is not copied"));
            }
        }
        Ok(None)
    }

    fn check_meta(&self, folding: Folding) -> Result<(), EntryInvalid> {
        match FactName::from_bytes(&self.key) {
            Some(FactName::Header) if self.read::<StoreHeader>()?.folding != folding => {
                return Err(EntryInvalid::because(
                    "the store was created with another store.case_sensitive_suffix",
                ));
            }
            Some(FactName::Header) => {}
            Some(FactName::Lineage) => drop(self.read::<Lineage>()?),
            Some(FactName::Retained) => drop(self.read::<RetainedFrom>()?),
            None if self.key.starts_with(SealKey::BEGINS) => drop(self.read::<Seal>()?),
            None => return Err(EntryInvalid::because("the fact has an unknown name")),
        }
        Ok(())
    }

    /// Decodes it.
    pub(in crate::store) fn read<R: Readable>(&self) -> Result<R, Unreadable> {
        R::decode(&self.key, &self.body, StoredAs::default())
    }
}

/// Why an entry of an image is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct EntryInvalid {
    /// The inconsistency.
    pub detail: String,
}

impl EntryInvalid {
    fn because(detail: &str) -> Self {
        Self { detail: detail.to_owned() }
    }
}

impl From<Unreadable> for EntryInvalid {
    fn from(error: Unreadable) -> Self {
        Self { detail: error.to_string() }
    }
}

//----------- CopiedChange ---------------------------------------------------

/// A journal entry as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedChange {
    /// The chained part.
    pub header: Header,
    pub(in crate::store) body: Option<Vec<u8>>,
}

impl CopiedChange {
    /// Approximate bytes of its header and body.
    pub fn bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Vec::len) + 256
    }

    /// Whether the journal entry has a body; a pruned entry has none.
    pub fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Encodes the header as stored, and the body if there is one.
    pub fn encode(&self, writer: &mut Writer) {
        writer.bytes(&self.header.encode_stored());
        match &self.body {
            None => writer.u8(0),
            Some(body) => writer.u8(1).bytes(body),
        };
    }

    /// Decodes the output of [`CopiedChange::encode`]; checks the body's digest, and that the body decodes.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = Header::decode_stored(reader.bytes("header", BODY_BYTES_MAX)?)?;
        let body = match reader.u8("body retained")? {
            0 => None,
            _ => Some(reader.bytes("body", BODY_BYTES_MAX)?.to_vec()),
        };
        if let Some(body) = &body {
            if Body::digest(body) != header.body_digest {
                return Err(reader.refuse("body digest"));
            }
            Body::decode(body)?;
        }
        Ok(Self { header, body })
    }
}

impl Store {
    /// Copies journal entries of these sequences; as many as one step carries, none at the end. Hold the journal. A body that is
    /// missing and was not pruned is damage.
    pub async fn copy_journal(&self, first: u64, last: u64) -> Result<Vec<CopiedChange>, Error> {
        let engine = &self.inner.engine;
        let headers: Vec<Header> = engine.next(&mut Span::sequences(first, last), STEP).await?;
        let Some(end) = headers.last().map(|header| header.position.sequence) else {
            return Ok(Vec::new());
        };
        let (mut bodies, mut bytes) = (Vec::<EncodedBody>::new(), 0);
        let mut span = Span::<EncodedBody>::sequences(first, end);
        while bytes < STEP.bytes {
            let page = engine.next(&mut span, STEP).await?;
            if page.is_empty() {
                break;
            }
            bytes += page.iter().map(|body| body.bytes.len()).sum::<usize>();
            bodies.extend(page);
        }
        // Where the bodies fill a step, what lies behind the last of them is for the next one.
        let last = bodies.last().filter(|_| bytes >= STEP.bytes).map_or(end, |body| body.sequence);
        let mut bodies = bodies.into_iter().peekable();
        let headers = headers.into_iter().take_while(|header| header.position.sequence <= last);
        let copied = headers.map(|header| {
            let sequence = header.position.sequence;
            let body = bodies.next_if(|body| body.sequence == sequence).map(|body| body.bytes);
            if body.is_none() && sequence >= self.retained().bodies_from {
                return Err(self.journal_damage(sequence, "the body is missing".to_owned()));
            }
            Ok(CopiedChange { header, body })
        });
        copied.collect()
    }
}
