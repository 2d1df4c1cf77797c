//! Reading: batched and verified, and only from durable blocks.

use std::ops::Bound;

use crate::model::identifier::{CanonicalIdentifier, Prefix};
use crate::model::limits::SUFFIX_DIGEST_BYTES;
use crate::model::position::{Bookmark, Position, Stream};
use crate::wire::cursor::{Reader, Writer};

use super::Store;
use super::engine::scan::{Order, ScanLimit, ScanRange};
use super::engine::table::Table;
use super::entry::{IdentifierEntry, RequestKey, RequestMemory};
use super::envelope::{self, Cut, Opened};
use super::error::{Error, Unreadable};
use super::journal::{Body, Header, JournalEntry};
use super::names::Walk;
use super::{entry_v1, key};

/// Maximum bytes of one scan step.
const SCAN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bodies that are read together; bounds the bytes by which a step exceeds its limit.
const BODIES_STEP: usize = 64;
/// Number of retries of a read whose pieces a concurrent commit replaces.
const REREADS_MAX: usize = 5;

/// A body as read, and how it was cut.
pub(super) struct Loaded {
    pub(super) body: Vec<u8>,
    pub(super) cut: Option<Cut>,
}

//----------- Entries --------------------------------------------------------

impl Store {
    /// The present states of identifiers, tombstones included, in the order of the question.
    pub async fn identifiers(
        &self,
        asked: &[CanonicalIdentifier],
    ) -> Result<Vec<Option<IdentifierEntry>>, Error> {
        let keys = asked.iter().map(|identifier| identifier.as_bytes().to_vec()).collect();
        let loaded = self.load(Table::Identifier, keys).await?;
        let decode = |(identifier, loaded): (&CanonicalIdentifier, Option<Loaded>)| {
            loaded.map(|loaded| self.decode_identifier(identifier.as_bytes(), &loaded)).transpose()
        };
        asked.iter().zip(loaded).map(decode).collect()
    }

    /// The memories of request items, in the order of the keys.
    pub async fn requests(&self, asked: &[RequestKey]) -> Result<Vec<Option<RequestMemory>>, Error> {
        let keys: Vec<Vec<u8>> = asked.iter().map(key::request).collect();
        let loaded = self.load(Table::Request, keys.clone()).await?;
        let decode = |(key, loaded): (Vec<u8>, Option<Loaded>)| {
            let memory = |loaded: Loaded| {
                entry_v1::read_memory(&mut Reader::new(&loaded.body))
                    .map_err(|error| self.damaged(Table::Request, &key, &error.into()))
            };
            loaded.map(memory).transpose()
        };
        keys.into_iter().zip(loaded).map(decode).collect()
    }

    /// Live identifiers whose own prefix is exactly this one, in canonical order, after `after`; at most `limit`.
    pub async fn list(
        &self,
        prefix: &Prefix,
        after: Option<&CanonicalIdentifier>,
        limit: usize,
    ) -> Result<Vec<IdentifierEntry>, Error> {
        let mut walk = Walk::of(prefix, after);
        let mut found = Vec::new();
        while found.len() < limit {
            let page = walk.step(self, limit - found.len()).await?;
            if page.is_empty() {
                break;
            }
            let keys: Vec<Vec<u8>> = page.iter().map(|(key, _)| key.clone()).collect();
            let loaded = self.join(Table::Identifier, page).await?;
            for (key, loaded) in keys.iter().zip(loaded) {
                let entry = loaded.map(|loaded| self.decode_identifier(key, &loaded)).transpose()?;
                found.extend(entry.filter(IdentifierEntry::is_live));
            }
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The identifier of a long suffix, by the digest of its canonical form.
    pub async fn by_digest(
        &self,
        prefix: &Prefix,
        digest: &[u8; SUFFIX_DIGEST_BYTES],
    ) -> Result<Option<CanonicalIdentifier>, Error> {
        let key = key::digest(prefix, digest);
        let loaded = self.load(Table::Digest, vec![key.clone()]).await?;
        let Some(loaded) = loaded.into_iter().flatten().next() else {
            return Ok(None);
        };
        let text = String::from_utf8_lossy(&loaded.body);
        match CanonicalIdentifier::restore(&text) {
            Ok(identifier) => Ok(Some(identifier)),
            Err(error) => Err(self.damage(Table::Digest, &key, error.to_string())),
        }
    }

    pub(super) fn decode_identifier(&self, key: &[u8], loaded: &Loaded) -> Result<IdentifierEntry, Error> {
        entry_v1::decode_identifier(&loaded.body, loaded.cut)
            .map_err(|error| self.damaged(Table::Identifier, key, &error.into()))
    }
}

//----------- Journal --------------------------------------------------------

impl Store {
    /// Durable journal entries from a sequence on, at most `limit` and a few MiB; none at the end.
    pub async fn entries_from(&self, sequence: u64, limit: usize) -> Result<Vec<JournalEntry>, Error> {
        let mut headers = self.headers_from(sequence, limit).await?.into_iter();
        let mut entries = Vec::new();
        let mut bytes = 0;
        while bytes < SCAN_BYTES_MAX {
            let step: Vec<Header> = headers.by_ref().take(BODIES_STEP).collect();
            if step.is_empty() {
                break;
            }
            let step = self.with_bodies(step).await?;
            bytes += step.iter().filter_map(|entry| entry.body.as_ref()).map(Body::bytes).sum::<usize>();
            entries.extend(step);
        }
        Ok(entries)
    }

    /// Durable headers from a sequence on, at most `limit` and a few MiB; none at the end.
    pub async fn headers_from(&self, sequence: u64, limit: usize) -> Result<Vec<Header>, Error> {
        let durable = self.end().sequence;
        let range = ScanRange {
            start: Bound::Included(key::journal(Stream::ONLY, sequence)),
            end: Bound::Included(key::journal(Stream::ONLY, durable)),
        };
        let step = ScanLimit { entries: limit, bytes: SCAN_BYTES_MAX };
        let page = self.inner.engine.scan(Table::Header, range, Order::Forward, step).await?;
        self.decode_headers(page).await
    }

    /// The headers at these sequences, in this order; none where pruned.
    pub async fn headers_at(&self, sequences: &[u64]) -> Result<Vec<Option<Header>>, Error> {
        let keys: Vec<Vec<u8>> =
            sequences.iter().map(|sequence| key::journal(Stream::ONLY, *sequence)).collect();
        let loaded = self.load(Table::Header, keys.clone()).await?;
        let decode = |(key, loaded): (Vec<u8>, Option<Loaded>)| {
            loaded.map(|loaded| self.decode_header(&key, &loaded)).transpose()
        };
        keys.into_iter().zip(loaded).map(decode).collect()
    }

    /// Joins headers with their bodies, where these are retained.
    pub async fn with_bodies(&self, headers: Vec<Header>) -> Result<Vec<JournalEntry>, Error> {
        let key_of = |header: &Header| key::journal(header.position.stream, header.position.sequence);
        let keys: Vec<Vec<u8>> = headers.iter().map(key_of).collect();
        let bodies = self.load(Table::Body, keys).await?;
        let join = |(header, loaded): (Header, Option<Loaded>)| {
            let body = loaded.map(|loaded| self.decode_body(&header, &loaded.body)).transpose()?;
            Ok(JournalEntry { header, body })
        };
        headers.into_iter().zip(bodies).map(join).collect()
    }

    pub(super) async fn decode_headers(&self, page: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Vec<Header>, Error> {
        let keys: Vec<Vec<u8>> = page.iter().map(|(key, _)| key.clone()).collect();
        let loaded = self.join(Table::Header, page).await?;
        let decode = |(key, loaded): (&Vec<u8>, Option<Loaded>)| {
            loaded.map(|loaded| self.decode_header(key, &loaded)).transpose()
        };
        keys.iter().zip(loaded).filter_map(|pair| decode(pair).transpose()).collect()
    }

    fn decode_header(&self, key: &[u8], loaded: &Loaded) -> Result<Header, Error> {
        let header = Header::decode_stored(&loaded.body)
            .map_err(|error| self.damaged(Table::Header, key, &error.into()))?;
        if key::sequence_of(key) == Some(header.position.sequence) {
            return Ok(header);
        }
        let detail = format!("holds the header of entry {}", header.position.sequence);
        Err(self.damage(Table::Header, key, detail))
    }

    fn decode_body(&self, header: &Header, bytes: &[u8]) -> Result<Body, Error> {
        let sequence = header.position.sequence;
        if Body::digest(bytes) != header.body_digest {
            let detail = "the body does not have the digest that its header states".to_owned();
            return Err(self.journal_damage(sequence, detail));
        }
        Body::decode(bytes).map_err(|error| self.journal_damage(sequence, error.to_string()))
    }
}

//----------- Bookmarks ------------------------------------------------------

impl Store {
    /// The bookmark of a follower.
    pub async fn bookmark(&self, name: &str) -> Result<Option<Bookmark>, Error> {
        let key = name.as_bytes().to_vec();
        let loaded = self.load(Table::Bookmark, vec![key.clone()]).await?;
        let Some(loaded) = loaded.into_iter().flatten().next() else {
            return Ok(None);
        };
        entry_v1::read_bookmark(&mut Reader::new(&loaded.body))
            .map(Some)
            .map_err(|error| self.damaged(Table::Bookmark, &key, &error.into()))
    }

    /// Keeps the bookmark of a follower; when this returns, it is on disk.
    pub async fn set_bookmark(&self, name: &str, bookmark: &Bookmark) -> Result<(), Error> {
        self.check_writable()?;
        let positions: Vec<Position> = bookmark.positions().collect();
        let mut writer = Writer::default();
        writer.count(positions.len());
        for position in positions {
            entry_v1::write_position(&mut writer, position);
        }
        let mut writes = super::writes::Writes::default();
        writes.put(Table::Bookmark, name.as_bytes().to_vec(), writer.as_slice(), 0);
        self.write(writes.into_batch()).await
    }
}

//----------- Envelopes and pieces -------------------------------------------

impl Store {
    /// Reads bodies in the order of the keys. Retries those whose pieces a concurrent commit has replaced.
    pub(super) async fn load(&self, table: Table, keys: Vec<Vec<u8>>) -> Result<Vec<Option<Loaded>>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let stored = self.inner.engine.get_many(table, keys.clone()).await?;
        let mut found = Vec::with_capacity(keys.len());
        for (key, stored) in keys.into_iter().zip(stored) {
            let Some(stored) = stored else {
                found.push(None);
                continue;
            };
            found.push(self.join_one(table, &key, stored).await?);
        }
        Ok(found)
    }

    /// Joins the entries of a scan with their pieces; none where an entry has been deleted meanwhile.
    pub(super) async fn join(
        &self,
        table: Table,
        page: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<Vec<Option<Loaded>>, Error> {
        let mut found = Vec::with_capacity(page.len());
        for (key, stored) in page {
            found.push(self.join_one(table, &key, stored).await?);
        }
        Ok(found)
    }

    /// Joins the entry under a key with its pieces; none where it has been deleted meanwhile.
    pub(super) async fn join_one(
        &self,
        table: Table,
        key: &[u8],
        stored: Vec<u8>,
    ) -> Result<Option<Loaded>, Error> {
        let mut stored = stored;
        let mut problem = Unreadable::Piece { piece: 0, pieces: 0 };
        for _ in 0..REREADS_MAX {
            let mark = match envelope::open(key, &stored) {
                Ok(Opened::Whole(body)) => return Ok(Some(Loaded { body, cut: None })),
                Ok(Opened::Cut(mark)) => mark,
                Err(error) => return Err(self.damaged(table, key, &error)),
            };
            let pieces =
                self.inner.engine.get_many(Table::Piece, mark.cut.piece_keys(table).collect()).await?;
            match mark.join(key, &pieces) {
                Ok(body) => return Ok(Some(Loaded { body, cut: Some(mark.cut) })),
                Err(error) => problem = error,
            }
            // A commit may have replaced the pieces between the two reads.
            let again = self.inner.engine.get_many(table, vec![key.to_vec()]).await?;
            match again.into_iter().flatten().next() {
                Some(now) if now != stored => stored = now,
                Some(_) => break,
                None => return Ok(None),
            }
        }
        Err(self.damaged(table, key, &problem))
    }

    pub(super) fn damaged(&self, table: Table, key: &[u8], problem: &Unreadable) -> Error {
        self.damage(table, key, problem.to_string())
    }

    fn damage(&self, table: Table, key: &[u8], detail: String) -> Error {
        let key = key.escape_ascii().to_string();
        Error::Damaged { directory: self.inner.path.clone(), table: table.name(), key, detail }
    }

    pub(super) fn journal_damage(&self, sequence: u64, detail: String) -> Error {
        Error::JournalDamaged { directory: self.inner.path.clone(), sequence, detail }
    }
}
