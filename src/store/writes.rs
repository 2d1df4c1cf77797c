//! Collects the writes of one atomic batch: states, journal entries, request memory, counts. The last write to a key
//! wins, so that one block may hold several changes of one identifier.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier, Prefix};
use crate::model::limits::{SUFFIX_DIGEST_BYTES, SUFFIX_LITERAL_BYTES_MAX};
use crate::model::prefix::PrefixEntry;
use crate::model::token::TokenEntry;
use crate::wire::cursor::Writer;

use super::directory::Directory;
use super::engine::batch::WriteBatch;
use super::engine::table::Table;
use super::entry::{Change, IdentifierEntry, Mark, RequestKey, RequestMemory};
use super::journal::{Body, Header, JournalEntry};
use super::lineage::Lineage;
use super::retention::RetainedFrom;
use super::{entry_v1, envelope, key};

/// Collected writes, by table and key; none deletes.
#[derive(Default)]
pub(super) struct Writes(BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>);

impl Writes {
    /// Puts a body under a key, in its envelope; cut under this name when large.
    pub(super) fn put(&mut self, table: Table, key: Vec<u8>, body: &[u8], cut_name: u64) {
        let closed = envelope::close(table, &key, body, cut_name);
        for (key, piece) in closed.pieces {
            self.raw(Table::Piece, key, Some(piece));
        }
        self.raw(table, key, Some(closed.stored));
    }

    /// Deletes the entry under a key.
    pub(super) fn delete(&mut self, table: Table, key: Vec<u8>) {
        self.raw(table, key, None);
    }

    fn raw(&mut self, table: Table, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.0.insert((table, key), value);
    }

    /// Converts into a batch of the engine.
    pub(super) fn into_batch(self) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for ((table, key), value) in self.0 {
            match value {
                Some(value) => batch.put(table, key, value),
                None => batch.delete(table, key),
            }
        }
        batch
    }

    /// Puts an identifier's state, which replaces the one marked.
    pub(super) fn put_identifier(
        &mut self,
        folding: Folding,
        entry: &IdentifierEntry,
        replaced: Option<Mark>,
        cut_name: u64,
    ) -> Mark {
        let canonical = entry.identifier.canonical(folding);
        if let Some(cut) = replaced.and_then(|mark| mark.cut) {
            cut.piece_keys(Table::Identifier).for_each(|key| self.delete(Table::Piece, key));
        }
        let body = entry_v1::encode_identifier(entry);
        self.put(Table::Identifier, canonical.as_bytes().to_vec(), &body, cut_name);
        if let Some(digest) = suffix_digest(&entry.identifier, &canonical) {
            let key = key::digest(entry.identifier.prefix(), &digest);
            self.put(Table::Digest, key, canonical.as_bytes(), cut_name);
        }
        Mark { cut: envelope::Cut::of(body.len(), cut_name), ..entry.mark() }
    }

    /// Puts a prefix entry's state, and the position of its change.
    pub(super) fn put_prefix(&mut self, entry: &PrefixEntry, sequence: u64, cut_name: u64) {
        let mut writer = Writer::default();
        entry_v1::write_prefix(&mut writer, entry);
        writer.u64(sequence);
        self.put(Table::Prefix, entry.prefix.canonical().into_bytes(), writer.as_slice(), cut_name);
    }

    /// Puts a token entry's state, and the position of its change.
    pub(super) fn put_token(&mut self, entry: &TokenEntry, sequence: u64, cut_name: u64) {
        let mut writer = Writer::default();
        entry_v1::write_token(&mut writer, entry);
        writer.u64(sequence);
        self.put(Table::Token, entry.id.0.to_vec(), writer.as_slice(), cut_name);
    }

    /// Puts a journal entry: header and body.
    pub(super) fn put_journal(&mut self, header: &Header, body: &[u8], cut_name: u64) {
        self.put_header(header);
        let key = key::journal(header.position.stream, header.position.sequence);
        self.put(Table::Body, key, body, cut_name);
    }

    /// Puts the header of a journal entry, which is never large enough to be cut.
    pub(super) fn put_header(&mut self, header: &Header) {
        let key = key::journal(header.position.stream, header.position.sequence);
        self.put(Table::Header, key, &header.encode_stored(), 0);
    }

    /// Puts the request memory in a body.
    pub(super) fn put_request(&mut self, body: &Body) {
        let Some((request, memory)) = &body.request else {
            return;
        };
        self.put_memory(request, memory, body.cut_name());
    }

    /// Puts the memory of a request item.
    pub(super) fn put_memory(&mut self, key: &RequestKey, memory: &RequestMemory, cut_name: u64) {
        let mut writer = Writer::default();
        entry_v1::write_memory(&mut writer, memory);
        self.put(Table::Request, key::request(key), writer.as_slice(), cut_name);
    }

    /// Puts the number of live identifiers of a prefix.
    pub(super) fn put_count(&mut self, prefix: &str, count: u64) {
        self.put(Table::Count, prefix.as_bytes().to_vec(), &count.to_be_bytes(), 0);
    }

    /// Puts the incarnations of the store.
    pub(super) fn put_lineage(&mut self, lineage: &Lineage) {
        self.put(Table::Meta, key::meta::LINEAGE.to_vec(), &lineage.encode(), 0);
    }

    /// Records which part of the journal is retained.
    pub(super) fn put_retained(&mut self, retained: RetainedFrom) {
        self.put(Table::Meta, key::meta::RETAINED.to_vec(), &retained.encode(), 0);
    }
}

/// The digest by which a suffix too long for a DNS name is found, or none when it is short enough.
pub(super) fn suffix_digest(
    identifier: &Identifier,
    canonical: &CanonicalIdentifier,
) -> Option<[u8; SUFFIX_DIGEST_BYTES]> {
    let suffix = canonical.as_bytes().get(identifier.prefix().as_str().len() + 1..)?;
    if suffix.len() <= SUFFIX_LITERAL_BYTES_MAX {
        return None;
    }
    let digest = Sha256::digest(suffix);
    digest.get(..SUFFIX_DIGEST_BYTES)?.try_into().ok()
}

//----------- States of a journal entry --------------------------------------

/// The state of an identifier after a journal entry, and the name under which it is cut.
pub(super) fn identifier_state(entry: &JournalEntry) -> Option<(IdentifierEntry, u64)> {
    let body = entry.body.as_ref()?;
    let Change::Identifier { identifier, values, created_ms } = &body.change else {
        return None;
    };
    let state = IdentifierEntry {
        identifier: identifier.clone(),
        version: entry.header.version,
        values: values.clone(),
        created_ms: *created_ms,
        changed_ms: entry.header.time_ms,
        sequence: entry.header.position.sequence,
        cut: None,
    };
    Some((state, body.cut_name()))
}

//----------- Counts ---------------------------------------------------------

/// Numbers of live identifiers by literal prefix.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Sets a count read from disk.
    pub(super) fn load(&mut self, prefix: String, count: u64) {
        self.0.insert(prefix, count);
    }

    /// Sets counts that have become durable.
    pub(super) fn take_up(&mut self, counts: Self) {
        self.0.extend(counts.0);
    }

    /// Follows an identifier that was created or removed; returns the prefix and its count now. `known` returns
    /// the count of a prefix that occurs for the first time.
    pub(super) fn follow(
        &mut self,
        prefix: &Prefix,
        known: impl FnOnce() -> u64,
        was_live: bool,
        is_live: bool,
    ) -> (String, u64) {
        let key = prefix.canonical();
        let count = self.0.entry(key.clone()).or_insert_with(known);
        *count = match (was_live, is_live) {
            (false, true) => count.saturating_add(1),
            (true, false) => count.saturating_sub(1),
            _ => *count,
        };
        (key, *count)
    }

    /// The count of a prefix in canonical form.
    pub(super) fn get(&self, prefix: &str) -> u64 {
        self.0.get(prefix).copied().unwrap_or(0)
    }

    /// The count of exactly this prefix.
    pub(super) fn of(&self, prefix: &Prefix) -> u64 {
        self.get(&prefix.canonical())
    }

    /// Each prefix and its count.
    pub(super) fn each(&self, mut show: impl FnMut(&str, u64)) {
        self.0.iter().for_each(|(prefix, count)| show(prefix, *count));
    }

    /// Whether there is any at or below this prefix.
    pub(super) fn any_within(&self, prefix: &Prefix) -> bool {
        let below = format!("{}.", prefix.canonical());
        let mut from = self.0.range(below.clone()..).take_while(|(own, _)| own.starts_with(&below));
        self.of(prefix) > 0 || from.any(|(_, count)| *count > 0)
    }

    /// Whether there is any at or below this prefix that no entry below it governs.
    pub(super) fn any_governed_above(&self, prefix: &Prefix, directory: &Directory) -> bool {
        let below = format!("{}.", prefix.canonical());
        let mut from = self.0.range(below.clone()..).take_while(|(own, _)| own.starts_with(&below));
        let is_governed_above = |own: &str| {
            let governing = Prefix::parse(own).ok().and_then(|own| directory.governing(&own).cloned());
            governing.is_none_or(|entry| !prefix.covers(&entry.prefix))
        };
        self.of(prefix) > 0 || from.any(|(own, count)| *count > 0 && is_governed_above(own))
    }

    /// All identifiers.
    pub(super) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}
