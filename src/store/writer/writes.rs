//! What a change writes: its journal entry, the state it leads to, the memory of its request.

use crate::model::identifier::Folding;

use crate::model::identifier::{CanonicalIdentifier, Identifier};
use crate::store::engine::{WriteId, Writes};
use crate::store::entry::digest::{DigestKey, LongSuffix};
use crate::store::entry::journaled::JournalKey;
use crate::store::entry::prefix::PrefixState;
use crate::store::entry::token::TokenState;
use crate::store::entry::{Change, EntryKey, EntryKind, IdentifierEntry, Mark};
use crate::store::journal::{Body, Header, JournalEntry};

impl Writes {
    /// Puts an identifier's state, which replaces the one marked.
    pub(in crate::store) fn put_identifier(
        &mut self,
        folding: Folding,
        entry: &IdentifierEntry,
        replaced: Option<Mark>,
        id: WriteId,
    ) -> Mark {
        let canonical = entry.identifier.canonical(folding);
        let replaced = replaced.map(|mark| mark.stored).unwrap_or_default();
        let stored = self.replace(&canonical, entry, replaced, id);
        self.put_digest(&entry.identifier, canonical);
        Mark { stored, ..entry.mark() }
    }

    /// Puts the digest by which an identifier with a long suffix is found; nothing for others.
    pub(in crate::store) fn put_digest(&mut self, identifier: &Identifier, canonical: CanonicalIdentifier) {
        if let Some(key) = DigestKey::of(identifier, &canonical) {
            self.put(&key, &LongSuffix(canonical), WriteId::SMALL);
        }
    }

    /// Puts the state of a prefix.
    pub(in crate::store) fn put_prefix(&mut self, state: &PrefixState, id: WriteId) {
        self.put(&state.key(), state, id);
    }

    /// Puts the state of a token.
    pub(in crate::store) fn put_token(&mut self, state: &TokenState, id: WriteId) {
        self.put(&state.entry.id, state, id);
    }

    /// Puts a journal entry: header and body.
    pub(in crate::store) fn put_journal(&mut self, header: &Header, body: &[u8], id: WriteId) {
        self.put_header(header);
        self.put_body(EntryKind::Body, JournalKey::of_header(header).to_bytes(), body, id);
    }

    /// Puts the header of a journal entry.
    pub(in crate::store) fn put_header(&mut self, header: &Header) {
        self.put(&JournalKey::of_header(header), header, WriteId::SMALL);
    }

    /// Puts the request memory in a body.
    pub(in crate::store) fn put_request(&mut self, body: &Body) {
        if let Some((request, memory)) = &body.request {
            self.put(request, memory, WriteId::SMALL);
        }
    }
}

/// The state of an identifier after a journal entry, and what its write is called.
pub(in crate::store) fn identifier_state(entry: &JournalEntry) -> Option<(IdentifierEntry, WriteId)> {
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
        stored: Default::default(),
    };
    Some((state, body.write_id()))
}
