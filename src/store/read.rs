//! Reading: batched and verified, and only from durable blocks.

use crate::model::identifier::{CanonicalIdentifier, Prefix};
use crate::model::limits::SUFFIX_DIGEST_BYTES;
use crate::model::position::{Bookmark, Position};
use crate::store::Store;
use crate::store::engine::{PageLimit, Span};
use crate::store::entry::digest::{DigestKey, LongSuffix};
use crate::store::entry::journaled::{EncodedBody, JournalKey};
use crate::store::entry::{IdentifierEntry, RequestKey, RequestMemory};
use crate::store::error::Error;
use crate::store::journal::{Body, Header, JournalEntry};

/// Maximum bytes of one step.
const STEP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bodies that are read together; bounds the bytes by which a step exceeds its limit.
const BODIES_STEP: usize = 64;

//----------- Entries --------------------------------------------------------

impl Store {
    /// The present states of identifiers, tombstones included, in the order of the question.
    pub async fn identifiers(
        &self,
        asked: &[CanonicalIdentifier],
    ) -> Result<Vec<Option<IdentifierEntry>>, Error> {
        self.inner.engine.get(asked).await
    }

    /// The memories of request items, in the order of the keys.
    pub async fn requests(&self, asked: &[RequestKey]) -> Result<Vec<Option<RequestMemory>>, Error> {
        self.inner.engine.get(asked).await
    }

    /// The identifier of a long suffix, by the digest of its canonical form.
    pub async fn by_digest(
        &self,
        prefix: &Prefix,
        digest: &[u8; SUFFIX_DIGEST_BYTES],
    ) -> Result<Option<CanonicalIdentifier>, Error> {
        let found = self.inner.engine.get_one::<LongSuffix>(&DigestKey::new(prefix, *digest)).await?;
        Ok(found.map(|LongSuffix(identifier)| identifier))
    }
}

//----------- Journal --------------------------------------------------------

impl Store {
    /// Whether this journal has, or had before it was pruned, an entry at exactly this position.
    pub fn has_position(&self, position: Position) -> bool {
        position.sequence <= self.end().sequence
            && self.lineage().position_of(position.sequence) == Some(position)
    }

    /// Durable headers after a position, or from the first that is retained; at most `limit` and 4 MiB, none at the end. What was
    /// pruned is passed over. [`Error::OtherJournal`] when this journal has no such position.
    pub async fn headers_after(&self, after: Option<Position>, limit: usize) -> Result<Vec<Header>, Error> {
        match after {
            None => self.headers_from(1, limit).await,
            Some(after) if self.has_position(after) => self.headers_from(after.sequence + 1, limit).await,
            Some(position) => Err(Error::OtherJournal { position }),
        }
    }

    /// The header of the entry at exactly this position; none when it was pruned, or when there is no such entry.
    pub async fn header(&self, position: Position) -> Result<Option<Header>, Error> {
        let header: Option<Header> = self.inner.engine.get_one(&JournalKey::at(position)).await?;
        Ok(header.filter(|header| header.position == position))
    }

    /// Durable journal entries from a sequence on, at most `limit` and a few MiB; none at the end.
    pub(in crate::store) async fn entries_from(
        &self,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<JournalEntry>, Error> {
        let mut headers = self.headers_from(sequence, limit).await?.into_iter();
        let mut entries = Vec::new();
        let mut bytes = 0;
        while bytes < STEP_BYTES_MAX {
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
    pub(in crate::store) async fn headers_from(
        &self,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<Header>, Error> {
        let mut span = Span::sequences(sequence, self.end().sequence);
        self.inner.engine.next(&mut span, PageLimit { entries: limit, bytes: STEP_BYTES_MAX }).await
    }

    /// The headers at these sequences, in this order; none where pruned.
    pub(in crate::store) async fn headers_at(&self, sequences: &[u64]) -> Result<Vec<Option<Header>>, Error> {
        let keys: Vec<JournalKey> = sequences.iter().copied().map(JournalKey::of).collect();
        self.inner.engine.get(&keys).await
    }

    /// Joins headers with their bodies, where these are retained.
    pub async fn with_bodies(&self, headers: Vec<Header>) -> Result<Vec<JournalEntry>, Error> {
        let keys: Vec<JournalKey> = headers.iter().map(JournalKey::of_header).collect();
        let bodies: Vec<Option<EncodedBody>> = self.inner.engine.get(&keys).await?;
        let join = |(header, encoded): (Header, Option<EncodedBody>)| {
            let body = encoded.map(|encoded| self.decode_body(&header, &encoded.bytes)).transpose()?;
            Ok(JournalEntry { header, body })
        };
        headers.into_iter().zip(bodies).map(join).collect()
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
        self.inner.engine.get_one(&name.to_owned()).await
    }
}

//----------- Damage ---------------------------------------------------------

impl Store {
    pub(super) fn journal_damage(&self, sequence: u64, detail: String) -> Error {
        Error::JournalDamaged { directory: self.inner.path.clone(), sequence, detail }
    }
}
