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

use std::ops::Bound;

use tokio::sync::OwnedRwLockReadGuard;

use crate::model::identifier::{Folding, Identifier};
use crate::model::position::Stream;
use crate::wire::cursor::{DecodeError, Reader, Writer};

use super::Store;
use super::commit::End;
use super::engine::EngineSnapshot;
use super::engine::batch::KEY_BYTES_MAX;
use super::engine::scan::{KeyValue, Order, ScanLimit, ScanRange};
use super::engine::table::Table;
use super::envelope::{self, Opened};
use super::error::Error;
use super::header_v1::StoreHeader;
use super::journal::{Body, Header};
use super::lineage::Lineage;
use super::retention::{RetainedFrom, read_seal};
use super::{entry_v1, key};

/// The tables that are copied, in this order; the others can be derived from them or are the journal.
const COPIED: [Table; 6] =
    [Table::Meta, Table::Bookmark, Table::Prefix, Table::Token, Table::Request, Table::Identifier];
/// Size of one step: entries, and bytes after which it ends.
const STEP: ScanLimit = ScanLimit { entries: 1_000, bytes: 4 * 1024 * 1024 };
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

    /// Starts an image of the present states.
    pub async fn image(&self) -> Result<Image, Error> {
        let snapshot = self.inner.engine.snapshot().await?;
        let from = if snapshot.is_exact() {
            let range = ScanRange::starting_with(&Stream::ONLY.0.to_be_bytes());
            let limit = ScanLimit { entries: 1, bytes: 1 };
            let page = snapshot.scan(Table::Header, range, Order::Backward, limit).await?;
            self.decode_headers(page).await?.pop().map_or(self.end(), |header| End::at(&header))
        } else {
            self.end()
        };
        let waiting: Vec<Table> = COPIED.into_iter().rev().collect();
        Ok(Image { store: self.clone(), snapshot, from, waiting, start: Bound::Unbounded })
    }
}

//----------- Image ----------------------------------------------------------

/// An image being read. Dropping it ends it.
pub struct Image {
    store: Store,
    snapshot: EngineSnapshot,
    from: End,
    /// Tables still to be read, the present one last.
    waiting: Vec<Table>,
    /// Next key of the present table.
    start: Bound<Vec<u8>>,
}

impl Image {
    /// End of the journal when the image was started.
    pub fn from(&self) -> End {
        self.from
    }

    /// Whether all of it belongs to one instant.
    pub fn is_exact(&self) -> bool {
        self.snapshot.is_exact()
    }

    /// The next entries; none at the end.
    pub async fn next(&mut self) -> Result<Vec<CopiedEntry>, Error> {
        while let Some(table) = self.waiting.last().copied() {
            let range = ScanRange { start: self.start.clone(), end: Bound::Unbounded };
            let page = self.snapshot.scan(table, range, Order::Forward, STEP).await?;
            if page.is_empty() {
                self.waiting.pop();
                self.start = Bound::Unbounded;
                continue;
            }
            let copied = self.copy(table, page).await?;
            if !copied.is_empty() {
                return Ok(copied);
            }
        }
        Ok(Vec::new())
    }

    /// End of the journal after everything was read: the image is valid from here on.
    pub async fn finish(self) -> Result<End, Error> {
        if self.snapshot.is_exact() {
            return Ok(self.from);
        }
        let last = self.store.last_header().await?;
        Ok(last.map_or(self.from, |header| End::at(&header)))
    }

    /// Joins a page; ends early at the limit of bytes, and records where to continue.
    async fn copy(&mut self, table: Table, page: Vec<KeyValue>) -> Result<Vec<CopiedEntry>, Error> {
        let mut copied = Vec::with_capacity(page.len());
        let mut bytes = 0;
        for (key, stored) in page {
            self.start = Bound::Excluded(key.clone());
            let Some(body) = self.join(table, &key, stored).await? else {
                continue;
            };
            bytes += body.len();
            copied.push(CopiedEntry { table, key, body });
            if bytes >= STEP.bytes {
                break;
            }
        }
        Ok(copied)
    }

    async fn join(&self, table: Table, key: &[u8], stored: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        if !self.snapshot.is_exact() {
            let loaded = self.store.join_one(table, key, stored).await?;
            return Ok(loaded.map(|loaded| loaded.body));
        }
        let opened = envelope::open(key, &stored).map_err(|error| self.store.damaged(table, key, &error))?;
        let mark = match opened {
            Opened::Whole(body) => return Ok(Some(body)),
            Opened::Cut(mark) => mark,
        };
        let range = ScanRange::starting_with(&key::pieces(table.code(), mark.cut.name));
        let limit = ScanLimit { entries: usize::from(mark.cut.pieces), bytes: usize::MAX };
        let pieces = self.snapshot.scan(Table::Piece, range, Order::Forward, limit).await?;
        let pieces: Vec<Option<Vec<u8>>> = pieces.into_iter().map(|(_, piece)| Some(piece)).collect();
        mark.join(key, &pieces).map(Some).map_err(|error| self.store.damaged(table, key, &error))
    }
}

//----------- CopiedEntry ----------------------------------------------------

/// A complete entry of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedEntry {
    pub(super) table: Table,
    pub(super) key: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl CopiedEntry {
    /// The name of its table.
    pub fn table(&self) -> &'static str {
        self.table.name()
    }

    /// Bytes of its key and body.
    pub fn bytes(&self) -> usize {
        self.key.len() + self.body.len()
    }

    /// Encodes table, key, body, and a checksum of both.
    pub fn encode(&self, writer: &mut Writer) {
        let checksum = envelope::checksum(&self.key, &self.body);
        writer.u8(self.table.code()).bytes(&self.key).bytes(&self.body).u32(checksum);
    }

    /// Decodes and checks the output of [`CopiedEntry::encode`].
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let table = Table::from_code(reader.u8("table")?).filter(|table| COPIED.contains(table));
        let table = table.ok_or_else(|| reader.refuse("table"))?;
        let key = reader.bytes("key", KEY_BYTES_MAX)?.to_vec();
        let body = reader.bytes("body", BODY_BYTES_MAX)?.to_vec();
        if reader.u32("checksum")? != envelope::checksum(&key, &body) {
            return Err(reader.refuse("checksum"));
        }
        Ok(Self { table, key, body })
    }

    /// Checks that it is valid in a store with this folding. Returns the identifier, when it is a live one.
    pub fn check(&self, folding: Folding) -> Result<Option<Identifier>, DecodeError> {
        let mut reader = Reader::new(&self.body);
        match self.table {
            Table::Meta => self.check_meta(folding)?,
            Table::Bookmark => {
                entry_v1::read_bookmark(&mut reader)?;
            }
            Table::Prefix => {
                entry_v1::read_prefix_state(&mut reader)?;
            }
            Table::Token => {
                entry_v1::read_token_state(&mut reader)?;
            }
            Table::Request => {
                entry_v1::read_memory(&mut reader)?;
            }
            Table::Identifier => {
                let entry = entry_v1::decode_identifier(&self.body, None)?;
                if entry.identifier.canonical(folding).as_bytes() != self.key {
                    return Err(reader.refuse("identifier under another's key"));
                }
                return Ok(entry.is_live().then_some(entry.identifier));
            }
            Table::Count | Table::Header | Table::Body | Table::Piece | Table::Digest => {
                return Err(reader.refuse("table"));
            }
        }
        Ok(None)
    }

    fn check_meta(&self, folding: Folding) -> Result<(), DecodeError> {
        let refuse = |what| Reader::new(&self.body).refuse(what);
        match self.key.as_slice() {
            key::meta::HEADER => {
                let header = StoreHeader::decode(&self.body)?;
                if header.folding == folding { Ok(()) } else { Err(refuse("folding")) }
            }
            key::meta::LINEAGE => Lineage::decode(&self.body).map(drop),
            key::meta::RETAINED => RetainedFrom::decode(&self.body).map(drop),
            key if key.starts_with(key::meta::SEALS) => read_seal(&self.body).map(drop),
            _ => Err(refuse("meta key")),
        }
    }
}

//----------- CopiedChange ---------------------------------------------------

/// A journal entry as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedChange {
    /// The chained part.
    pub header: Header,
    pub(super) body: Option<Vec<u8>>,
}

impl CopiedChange {
    /// Approximate bytes of its header's subject and of its body.
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
    /// Copies journal entries of these sequences; as many as one step carries, none at the end. Hold the journal.
    pub async fn copy_journal(&self, first: u64, last: u64) -> Result<Vec<CopiedChange>, Error> {
        let range = |last| ScanRange {
            start: Bound::Included(key::journal(Stream::ONLY, first)),
            end: Bound::Included(key::journal(Stream::ONLY, last)),
        };
        let engine = &self.inner.engine;
        let page = engine.scan(Table::Header, range(last), Order::Forward, STEP).await?;
        let headers = self.decode_headers(page).await?;
        let Some(end) = headers.last().map(|header| header.position.sequence) else {
            return Ok(Vec::new());
        };
        let everything = ScanLimit { entries: headers.len(), bytes: usize::MAX };
        let bodies = engine.scan(Table::Body, range(end), Order::Forward, everything).await?;
        let mut bodies = bodies.into_iter().peekable();
        let mut copied = Vec::with_capacity(headers.len());
        let mut bytes = 0;
        for header in headers {
            let key = key::journal(Stream::ONLY, header.position.sequence);
            let body = match bodies.next_if(|(body_key, _)| *body_key == key) {
                Some((_, stored)) => self.join_one(Table::Body, &key, stored).await?,
                None => None,
            };
            let body = body.map(|loaded| loaded.body);
            bytes += body.as_ref().map_or(0, Vec::len);
            copied.push(CopiedChange { header, body });
            if bytes >= STEP.bytes {
                break;
            }
        }
        Ok(copied)
    }
}
