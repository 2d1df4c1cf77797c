//! The only way to append to the journal: a block of changes becomes states and journal entries in one atomic, durable write.
//! Entries without a journal entry of their own (bookmarks, facts, what is pruned or repaired) are written by [`Store::write`].
//!
//! ```text
//!   Block ─ build (no disk access: positions, times, chain, encoding) ─ engine.commit ─▶ on disk ─ publish ─▶ Committed
//! ```
//! There is one [`Appender`] per stream, and it cannot be cloned: one writer per stream. After a failed write the store
//! accepts no further change, because the state on disk is unknown until it is opened again.

pub(in crate::store) mod counts;
pub(in crate::store) mod writes;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::caller::CallerName;
use crate::model::position::{Incarnation, Position, Stream};
use crate::store::Store;
use crate::store::directory::Directory;
use crate::store::engine::{EngineError, PreparedWrites, WriteId, Writes};
use crate::store::entry::state::{State, for_every_state};
use crate::store::entry::{Change, Mark, Operation, RequestKey, RequestMemory};
use crate::store::error::Error;
use crate::store::journal::retention::Seal;
use crate::store::journal::{Body, Hash, Header, Subject};
use crate::store::writer::counts::Counts;

//----------- Appender -------------------------------------------------------

/// The only writer of a stream.
pub struct Appender {
    store: Store,
    end: End,
}

/// The end of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The incarnation that writes.
    pub incarnation: Incarnation,
    /// The last entry's sequence.
    pub sequence: u64,
    /// The chained hash there.
    pub chain: Hash,
    /// The last entry's time, in milliseconds since 1970.
    pub time_ms: u64,
}

impl End {
    /// The position of the last entry.
    pub fn position(&self) -> Position {
        Position { incarnation: self.incarnation, stream: Stream::ONLY, sequence: self.sequence }
    }

    /// The end of a journal whose last entry has this header.
    pub fn at(header: &Header) -> Self {
        Self {
            incarnation: header.position.incarnation,
            sequence: header.position.sequence,
            chain: header.chain,
            time_ms: header.time_ms,
        }
    }
}

/// Changes to be committed together, decided on states read at `since`.
pub struct Block {
    /// Sequence of the journal's end when the states were read.
    pub since: u64,
    /// The changes, in order.
    pub changes: Vec<Proposed>,
    /// Requests to remember that changed nothing; they are not part of the journal.
    pub remembered: Vec<(RequestKey, RequestMemory)>,
}

/// One change to be committed.
pub struct Proposed {
    /// The change to record.
    pub change: Change,
    /// The operation.
    pub operation: Operation,
    /// The caller.
    pub caller: CallerName,
    /// The resulting version.
    pub version: u64,
    /// Mark of the stored state that it replaces; none when there was none, and for prefixes, tokens and notes. An earlier change of the
    /// same subject in the block takes precedence.
    pub replaces: Option<Mark>,
    /// Key of the request, and the truncated SHA-256 of its command; the writer adds operation, version and sequence.
    pub request: Option<(RequestKey, [u8; 16])>,
    /// Whether the memory of the request holds the identifier, because the command does not: minted, or spelled otherwise.
    pub named: bool,
}

/// The result of a block.
pub struct Committed {
    /// The position of each change, in order.
    pub positions: Vec<Position>,
    /// The time of the block, in milliseconds since 1970.
    pub time_ms: u64,
}

impl Appender {
    pub(in crate::store) fn new(store: Store, end: End) -> Self {
        Self { store, end }
    }

    /// The end of the journal, to be read before the states that a block is decided on.
    pub fn end(&self) -> End {
        self.end
    }

    /// The store it writes.
    pub(in crate::store) fn store(&self) -> &Store {
        &self.store
    }

    /// From the next entry on, another incarnation writes.
    pub(in crate::store) fn begin(&mut self, incarnation: Incarnation) {
        self.end.incarnation = incarnation;
    }

    /// Commits a block; when this returns, it is on disk and visible. Not cancel-safe: if the future is dropped while the engine
    /// commits, the block may be on disk while the appender still holds the old end.
    ///
    /// Returns [`Error::Outdated`] when the journal has moved on since the block was decided, and [`Error::ReadOnly`] when the
    /// store accepts no changes. [`Error::Engine`] stops the store: except for a block above a bound, its outcome is unknown.
    pub async fn commit(&mut self, block: Block) -> Result<Committed, Error> {
        self.store.check_writable()?;
        if block.since != self.end.sequence {
            return Err(Error::Outdated { expected: block.since, found: self.end.sequence });
        }
        if block.changes.is_empty() && block.remembered.is_empty() {
            return Ok(Committed { positions: Vec::new(), time_ms: self.end.time_ms });
        }
        let mut seed = [0; 32];
        (self.store.inner.entropy)(&mut seed);
        let now_ms = (self.store.inner.clock)();
        let builder = Builder::new(self.store.clone(), self.end, now_ms, seed);
        let built = build(builder, block).await?;
        self.store.write(built.writes).await?;
        self.end = built.end;
        self.store.publish(built.end, built.directory, built.counts);
        Ok(Committed { positions: built.positions, time_ms: built.end.time_ms })
    }
}

//----------- Building a block -----------------------------------------------

/// A block, encoded.
struct Built {
    writes: PreparedWrites,
    end: End,
    positions: Vec<Position>,
    /// The directory after the block; none when it does not change.
    directory: Option<Directory>,
    counts: Counts,
}

async fn build(builder: Builder, block: Block) -> Result<Built, Error> {
    let work = tokio::task::spawn_blocking(move || builder.build(block));
    work.await.map_err(|error| Error::ReadOnly { reason: format!("encoding a block failed: {error}") })
}

struct Builder {
    store: Store,
    directory: Arc<Directory>,
    end: End,
    time_ms: u64,
    seed: [u8; 32],
    /// Counts of the prefixes whose identifiers the block changes.
    counts: Counts,
    writes: Writes,
    marks: HashMap<Subject, (u64, Option<Mark>)>,
    /// The directory with the changes of the block; none as long as there are none.
    changed: Option<Directory>,
}

impl Builder {
    fn new(store: Store, end: End, now_ms: u64, seed: [u8; 32]) -> Self {
        Self {
            directory: store.directory(),
            store,
            end,
            time_ms: now_ms.max(end.time_ms),
            seed,
            counts: Counts::default(),
            writes: Writes::default(),
            marks: HashMap::new(),
            changed: None,
        }
    }

    fn build(mut self, block: Block) -> Built {
        let positions = block.changes.into_iter().map(|proposed| self.append(proposed)).collect();
        for (key, memory) in &block.remembered {
            self.writes.put(key, memory, WriteId::SMALL);
        }
        self.counts.put_into(&mut self.writes);
        Built {
            writes: self.writes.into(),
            end: self.end,
            positions,
            directory: self.changed,
            counts: self.counts,
        }
    }

    /// Appends one change: its journal entry, its state, its request memory.
    fn append(&mut self, proposed: Proposed) -> Position {
        let sequence = self.end.sequence + 1;
        let position = Position { sequence, ..self.end.position() };
        let subject = proposed.change.subject(self.store.folding());
        let before = self.marks.get(&subject).copied();
        let known = match proposed.operation {
            // An adopted state names an entry that was lost; its number belongs to another entry now.
            Operation::Adopted => None,
            _ => {
                let replaced = proposed.replaces.map(|mark| mark.sequence);
                replaced.or_else(|| self.directory.sequence_of(&subject))
            }
        };
        let previous = before.map(|(sequence, _)| sequence).or(known);
        let replaced = before.map_or(proposed.replaces, |(_, mark)| mark);

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
            subject: subject.clone(),
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
        let mark = self.put_state(body.change, &header, replaced, id);
        self.marks.insert(subject, (sequence, mark));
        if let Some(seal) = Seal::at(self.end) {
            self.writes.put(&seal.key(), &seal, WriteId::SMALL);
        }
        position
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

    /// Puts the state that a change leads to. Returns what a later change of it has to know.
    fn put_state(
        &mut self,
        mut change: Change,
        header: &Header,
        replaced: Option<Mark>,
        id: WriteId,
    ) -> Option<Mark> {
        for_every_state!(S => {
            change = match S::after(header, change) {
                Ok(state) => return self.put(state, replaced, id),
                Err(other) => other,
            };
        });
        None
    }

    fn put<S: State>(&mut self, state: S, replaced: Option<Mark>, id: WriteId) -> Option<Mark> {
        if let Some((prefix, is_live)) = state.counted() {
            let was_live = replaced.is_some_and(|mark| mark.live);
            let known = || self.store.count_of(prefix);
            self.counts.follow(prefix, known, was_live, is_live);
        }
        let stored = self.writes.put_state(self.store.folding(), &state, replaced, id);
        let mark = state.replaceable().map(|mark| Mark { stored, ..mark });
        if S::IS_HELD {
            let directory = self.changed.get_or_insert_with(|| (*self.directory).clone());
            state.hold(directory);
        }
        mark
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

fn failed_write(error: &EngineError) -> String {
    format!(
        "a write failed ({error}); what is on disk is known only after a restart: check the disk, then restart the node"
    )
}

impl Store {
    /// Commits entries together; when this returns, they are on disk. After a failure the store takes no more changes.
    pub(in crate::store) async fn write(&self, writes: impl Into<PreparedWrites>) -> Result<(), Error> {
        match self.inner.engine.commit(writes).await {
            Ok(()) => Ok(()),
            Err(EngineError::Poisoned) => {
                self.stop_writing(&failed_write(&EngineError::Poisoned));
                Err(Error::ReadOnly { reason: self.read_only_reason().unwrap_or_default() })
            }
            Err(error) => {
                self.stop_writing(&failed_write(&error));
                Err(Error::Engine(error))
            }
        }
    }

    /// How long the oldest change that has not reached the disk has been under way; none when there is none.
    pub fn write_in_flight(&self) -> Option<Duration> {
        self.inner.engine.write_in_flight()
    }

    /// Publishes a durable block: every later question sees it.
    fn publish(&self, end: End, directory: Option<Directory>, counts: Counts) {
        if let Some(directory) = directory {
            self.inner.directory.store(Arc::new(directory));
        }
        self.lock_counts().take_up(counts);
        self.inner.end.send_replace(end);
    }
}
