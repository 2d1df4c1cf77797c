//! Building a block: positions, times, the chain, and everything that is written with it. No disk access.

use std::sync::Arc;

use crate::model::position::Position;
use crate::store::directory::Directory;
use crate::store::engine::{PreparedWrites, StoredAs, WriteId, Writes};
use crate::store::entry::state::{State, for_every_state};
use crate::store::entry::{Change, Mark, Operation, RequestKey, RequestMemory};
use crate::store::journal::retention::Seal;
use crate::store::journal::{Body, Hash, Header, Subject};
use crate::store::writer::view::{Unsettled, View};
use crate::store::writer::{Block, End, Proposed};

/// A block, encoded, and what it leads to.
pub(super) struct Built {
    pub(super) writes: PreparedWrites,
    /// The end of the journal after the block.
    pub(super) end: End,
    pub(super) positions: Vec<Position>,
    /// Prefixes and tokens after the block.
    pub(super) directory: Arc<Directory>,
    pub(super) unsettled: Unsettled,
}

/// Builds a block that was decided on this view.
pub(super) fn build(view: View, block: Block) -> Built {
    let mut seed = [0; 32];
    view.store().fill_random(&mut seed);
    // Journal time never goes backwards, even if the clock does.
    let time_ms = view.store().now_ms().max(view.end().time_ms);
    let builder = Builder {
        end: view.end(),
        time_ms,
        seed,
        writes: Writes::default(),
        directory: view.directory(),
        unsettled: Unsettled::for_changes(block.changes.len() + block.remembered.len()),
        view,
    };
    builder.build(block)
}

struct Builder {
    view: View,
    end: End,
    time_ms: u64,
    seed: [u8; 32],
    writes: Writes,
    /// Prefixes and tokens after the changes so far.
    directory: Arc<Directory>,
    unsettled: Unsettled,
}

impl Builder {
    fn build(mut self, block: Block) -> Built {
        let positions = block.changes.into_iter().map(|proposed| self.append(proposed)).collect();
        for (key, memory) in block.remembered {
            self.writes.put(&key, &memory, WriteId::SMALL);
            self.unsettled.requests.insert(key, memory);
        }
        self.unsettled.counts.put_into(&mut self.writes);
        Built {
            writes: self.writes.into(),
            end: self.end,
            positions,
            directory: self.directory,
            unsettled: self.unsettled,
        }
    }

    /// Appends one change: its journal entry, its state, its request memory.
    fn append(&mut self, proposed: Proposed) -> Position {
        let sequence = self.end.sequence + 1;
        let position = Position { sequence, ..self.end.position() };
        let subject = proposed.change.subject(self.view.store().folding());
        let earlier = self.earlier_mark(&subject);
        let replaced = earlier.or(proposed.replaces);
        let previous = match (proposed.operation, earlier) {
            // An adopted state names an entry that was lost; its number belongs to another entry now.
            (Operation::Adopted, None) => None,
            _ => replaced.map(|mark| mark.sequence).or_else(|| self.directory.sequence_of(&subject)),
        };

        let body = self.body(
            proposed.change,
            &proposed.request,
            proposed.named,
            proposed.operation,
            position,
            proposed.version,
        );
        let encoded = body.encode();
        let mut header = Header {
            position,
            time_ms: self.time_ms,
            operation: proposed.operation,
            subject,
            version: proposed.version,
            previous,
            caller: proposed.caller,
            body_digest: Body::digest(&encoded),
            chain: [0; 32],
        };
        header.chain = header.chain_after(&self.end.chain);
        self.end = End { sequence, chain: header.chain, time_ms: self.time_ms, ..self.end };

        let id = body.write_id();
        self.writes.put_journal(&header, &encoded, id);
        self.writes.put_request(&body);
        let Body { change, request, .. } = body;
        self.unsettled.requests.extend(request);
        self.put_state(change, header, replaced, id);
        if let Some(seal) = Seal::at(self.end) {
            self.writes.put(&seal.key(), &seal, WriteId::SMALL);
        }
        position
    }

    /// The mark of a state that an earlier change of the block has left.
    fn earlier_mark(&self, subject: &Subject) -> Option<Mark> {
        let Subject::Identifier(canonical) = subject else { return None };
        self.unsettled.identifiers.get(canonical).map(|entry| entry.mark())
    }

    fn body(
        &self,
        change: Change,
        request: &Option<(RequestKey, [u8; 16])>,
        named: bool,
        operation: Operation,
        position: Position,
        version: u64,
    ) -> Body {
        let identifier = match &change {
            Change::Identifier(change) if named => Some(change.identifier.clone()),
            _ => None,
        };
        let request = request.map(|(key, content)| {
            (
                key,
                RequestMemory {
                    content,
                    operation: Some(operation),
                    version,
                    sequence: position.sequence,
                    identifier,
                },
            )
        });
        Body { salt: salt(&self.seed, position.sequence), change, request }
    }

    /// Puts the state that a change leads to.
    fn put_state(&mut self, mut change: Change, header: Header, replaced: Option<Mark>, id: WriteId) {
        for_every_state!(S => {
            change = match S::after(&header, change) {
                Ok(state) => return self.put(state, header.subject, replaced, id),
                Err(other) => other,
            };
        });
    }

    fn put<S: State>(&mut self, state: S, subject: Subject, replaced: Option<Mark>, id: WriteId) {
        if let Some((prefix, is_live)) = state.counted() {
            let was_live = replaced.is_some_and(|mark| mark.live);
            let known = || self.view.count_of(prefix);
            self.unsettled.counts.follow(prefix, known, was_live, is_live);
        }
        let stored: StoredAs = self.writes.put_state(self.view.store().folding(), &state, replaced, id);
        if S::IS_HELD {
            state.hold(Arc::make_mut(&mut self.directory));
        } else {
            state.note_unsettled(subject, stored, &mut self.unsettled);
        }
    }
}

/// A salt that cannot be guessed without the block's seed.
fn salt(seed: &[u8; 32], sequence: u64) -> [u8; 16] {
    use sha2::{Digest as _, Sha256};
    let hash: Hash = Sha256::new().chain_update(seed).chain_update(sequence.to_be_bytes()).finalize().into();
    let mut salt = [0; 16];
    salt.copy_from_slice(hash.split_at(16).0);
    salt
}
