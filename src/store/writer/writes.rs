//! What a change writes: its journal entry, the state it leads to, the memory of its request.

use crate::model::identifier::Folding;
use crate::store::engine::{StoredAs, WriteId, Writes};
use crate::store::entry::journaled::JournalKey;
use crate::store::entry::state::State;
use crate::store::entry::{EntryKey, EntryKind, Mark};
use crate::store::journal::{Body, Header};

impl Writes {
    /// Puts a state, which replaces the one marked, and what follows from it. Returns how it is stored.
    pub(in crate::store) fn put_state<S: State>(
        &mut self,
        folding: Folding,
        state: &S,
        replaced: Option<Mark>,
        id: WriteId,
    ) -> StoredAs {
        let replaced = replaced.map(|mark| mark.stored).unwrap_or_default();
        let key = state.key(folding);
        let stored = self.replace(&key, state, replaced, id);
        state.put_derived(&key, self);
        stored
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
