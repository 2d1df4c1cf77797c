//! The only way to append to the journal of a running node: a block of changes becomes states and journal entries in one atomic, durable write.
//! Bookmarks, and what is pruned or forgotten, have no journal entry of their own; an [`UpkeepWriter`] of the writer writes them.
//!
//! ```text
//!   View ─ decide ─▶ Block ─ build: positions, times, chain, encoding ─▶ wait for the block before ─▶ engine.commit ─▶ publish
//!    ▲                                                                                                  │
//!    └──────── what the block leads to, while it is being written ◀─────────────────────────────────────┘
//! ```
//! One block is written while the next is decided and built: the writer's [`View`] shows what the block under way leads to, readers
//! do not. How a block ended is a [`BlockOutcome`]. When it is [`BlockOutcome::Unsure`], the block that was decided on it is not written
//! and shares this outcome, because even a refusal or a repeated receipt in it may rest on the failed block. The store accepts no
//! change until its files have been opened again (see `recovery`). A block has *settled* when its outcome is known, whatever it is.
//!
//! There is one [`JournalWriter`] per stream, and it cannot be cloned: one writer per stream.

pub(in crate::store) mod counts;
pub(in crate::store) mod published;
pub(in crate::store) mod view;
pub(in crate::store) mod writes;

mod build;
pub(in crate::store) mod recovery;
pub(in crate::store) mod standing;
pub(in crate::store) mod upkeep;

pub use self::published::Published;
pub use self::recovery::Recovery;
pub use self::standing::Standing;
pub use self::upkeep::UpkeepWriter;
pub use self::view::View;

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::model::caller::CallerName;
use crate::model::position::{Incarnation, Position, Stream};
use crate::store::Store;
use crate::store::directory::Directory;
use crate::store::engine::{EngineError, PreparedWrites};
use crate::store::entry::{Change, Mark, Operation, RequestKey, RequestMemory};
use crate::store::error::Error;
use crate::store::journal::{Hash, Header};
use crate::store::writer::build::Built;
use crate::store::writer::view::Unsettled;
use crate::telemetry::Chain;

//----------- JournalWriter ---------------------------------------------------------

/// The only writer of a stream.
pub struct JournalWriter {
    store: Store,
    /// The end of the journal after every block that was handed in.
    end: End,
    /// Prefixes and tokens there.
    directory: Arc<Directory>,
    /// The last block that was handed to the engine; none once its outcome has been taken.
    in_flight: Option<InFlight>,
    /// The end that the journal has if the last block is on disk, as long as that is not known.
    doubtful: Option<End>,
}

/// A block that is being written.
struct InFlight {
    /// What it leads to; gone when it has settled, because readers see it then.
    unsettled: Weak<Unsettled>,
    outcome: watch::Receiver<Option<BlockOutcome>>,
    writing: JoinHandle<()>,
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

/// Changes to be committed together, decided on the writer's [`View`].
pub struct Block {
    /// The end of the journal in that view.
    pub since: Position,
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
    /// Mark of the state that it replaces; none when there was none, and for prefixes, tokens and notes. An earlier change of
    /// the same subject in the block takes precedence.
    pub replaces: Option<Mark>,
    /// Key of the request, and the truncated SHA-256 of its command; the writer adds operation, version and sequence.
    pub request: Option<(RequestKey, [u8; 16])>,
    /// Whether the memory of the request holds the identifier, because the command does not: minted, or spelled otherwise.
    pub named: bool,
}

//----------- BlockOutcome --------------------------------------------------------

/// How a block ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockOutcome {
    /// It is on disk, and every later question sees it.
    Committed,
    /// Nothing of it was written: this store does not accept changes, the journal has moved on since the block was decided, or the block
    /// could not be encoded.
    NotOwner {
        /// Why not, and the remedy.
        reason: String,
    },
    /// It may be on disk; that is known once the files have been opened again. From then on it is there for ever, or never. A block that
    /// was decided on one with this outcome has it too; it is not on disk.
    Unsure {
        /// What failed.
        cause: String,
    },
}

/// A block that was handed in. Dropping it does not undo the block.
pub struct Appended {
    /// The position of each change, in order; valid once the block is committed.
    pub positions: Vec<Position>,
    /// The time of the block, in milliseconds since 1970.
    pub time_ms: u64,
    outcome: watch::Receiver<Option<BlockOutcome>>,
}

impl Appended {
    /// A block that ended before anything was handed to the engine.
    fn ended(outcome: BlockOutcome) -> Self {
        let (_, outcome) = watch::channel(Some(outcome));
        Self { positions: Vec::new(), time_ms: 0, outcome }
    }

    /// Waits for the outcome. Safe to drop.
    pub async fn settled(&self) -> BlockOutcome {
        settled(self.outcome.clone()).await
    }
}

async fn settled(mut outcome: watch::Receiver<Option<BlockOutcome>>) -> BlockOutcome {
    let ended = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
    ended.unwrap_or_else(|| BlockOutcome::Unsure { cause: "writing has ended without an outcome".to_owned() })
}

/// The result of a block that is on disk.
#[derive(Debug)]
pub struct Committed {
    /// The position of each change, in order.
    pub positions: Vec<Position>,
    /// The time of the block, in milliseconds since 1970.
    pub time_ms: u64,
}

//----------- Appending ------------------------------------------------------

impl JournalWriter {
    pub(in crate::store) fn new(store: Store) -> Self {
        let (end, directory) = (store.end(), store.directory());
        Self { store, end, directory, in_flight: None, doubtful: None }
    }

    /// The end of the journal, with the block that is being written.
    pub fn end(&self) -> End {
        self.end
    }

    /// The state there, for decisions.
    pub fn view(&self) -> View {
        let unsettled = self.in_flight.as_ref().and_then(|in_flight| in_flight.unsettled.upgrade());
        View::new(self.store.clone(), self.end, Arc::clone(&self.directory), unsettled)
    }

    /// What writes bookmarks, prunes and forgets in the same store.
    pub fn upkeep(&self) -> UpkeepWriter {
        UpkeepWriter { store: self.store.clone() }
    }

    /// The store it writes.
    pub(in crate::store) fn store(&self) -> &Store {
        &self.store
    }

    /// From the next entry on, another incarnation writes.
    pub(in crate::store) fn begin(&mut self, incarnation: Incarnation) {
        self.end.incarnation = incarnation;
    }

    /// Hands in a block, which was decided on the present [`View`]. It is built at once and given to the engine when the block before
    /// is committed; this returns then. After a failed one it is not written and shares its outcome. A block without changes is not
    /// written; its outcome is that of the block before.
    ///
    /// Not cancel-safe: when the future is dropped before it returns, the block may be written or not. From then on the block is written
    /// to its end, whatever is dropped, and its outcome is known within 30 s.
    pub async fn append(&mut self, block: Block) -> Appended {
        if let Err(reason) = self.may_append(&block) {
            // What was decided may rest on the block that is being written.
            let before = self.settle().await;
            let is_settled = before == BlockOutcome::Committed;
            return Appended::ended(if is_settled { BlockOutcome::NotOwner { reason } } else { before });
        }
        if block.changes.is_empty() && block.remembered.is_empty() {
            // What was decided may rest on the block that is being written.
            return Appended::ended(self.settle().await);
        }
        let view = self.view();
        let built = tokio::task::spawn_blocking(move || build::build(view, block)).await;
        let built = built.map_err(|error| format!("encoding a block failed: {error}"));
        match (self.settle().await, built) {
            (BlockOutcome::Committed, Ok(built)) => self.write(built),
            (BlockOutcome::Committed, Err(reason)) => Appended::ended(BlockOutcome::NotOwner { reason }),
            (shared, _) => Appended::ended(shared),
        }
    }

    /// Commits a block; when this returns, it is on disk and visible.
    ///
    /// Returns [`Error::ReadOnly`] when nothing was written, and [`Error::Unsure`] when the outcome is not known.
    pub async fn commit(&mut self, block: Block) -> Result<Committed, Error> {
        let appended = self.append(block).await;
        match appended.settled().await {
            BlockOutcome::Committed => {
                Ok(Committed { positions: appended.positions, time_ms: appended.time_ms })
            }
            BlockOutcome::NotOwner { reason } => Err(Error::ReadOnly { reason }),
            BlockOutcome::Unsure { cause } => Err(Error::Unsure { cause }),
        }
    }

    /// Waits until the last block has settled. Its outcome; [`BlockOutcome::Committed`] when there is none.
    pub async fn settle(&mut self) -> BlockOutcome {
        let Some(in_flight) = self.in_flight.take() else { return BlockOutcome::Committed };
        let outcome = settled(in_flight.outcome).await;
        // The task has nothing left to do; a panic in it was logged where it happened.
        let _ended = in_flight.writing.await;
        if let BlockOutcome::Unsure { cause } = &outcome {
            self.store.be_unsure(cause, None);
        }
        if outcome != BlockOutcome::Committed {
            self.doubtful = matches!(outcome, BlockOutcome::Unsure { .. }).then_some(self.end);
            self.end = self.store.end();
            self.directory = self.store.directory();
        }
        outcome
    }

    /// Waits until the last block has settled, and leaves its outcome to be asked for. Safe to drop.
    pub async fn settled(&self) {
        if let Some(in_flight) = &self.in_flight {
            settled(in_flight.outcome.clone()).await;
        }
    }

    fn may_append(&self, block: &Block) -> Result<(), String> {
        if let Some(reason) = self.store.read_only_reason() {
            return Err(reason);
        }
        let end = self.end.position();
        if block.since == end {
            return Ok(());
        }
        Err(format!("the journal's end is {end}, and the change was decided on {}", block.since))
    }

    /// Begins to write a block.
    fn write(&mut self, built: Built) -> Appended {
        let Built { writes, end, positions, directory, unsettled } = built;
        let unsettled = Arc::new(unsettled);
        let while_it_is_written = Arc::downgrade(&unsettled);
        let (sender, outcome) = watch::channel(None);
        let writing = {
            let (store, directory) = (self.store.clone(), Arc::clone(&directory));
            async move {
                let outcome = match store.write(writes).await {
                    Ok(()) => {
                        store.publish(end, directory, &unsettled);
                        BlockOutcome::Committed
                    }
                    Err(Error::ReadOnly { reason }) => BlockOutcome::NotOwner { reason },
                    Err(error) => BlockOutcome::Unsure { cause: Chain(&error).to_string() },
                };
                sender.send_replace(Some(outcome));
                // Freeing it takes longer than a task should.
                tokio::task::spawn_blocking(move || drop(unsettled));
            }
        };
        (self.end, self.directory) = (end, directory);
        let writing = tokio::spawn(writing);
        self.in_flight = Some(InFlight { unsettled: while_it_is_written, outcome: outcome.clone(), writing });
        Appended { positions, time_ms: end.time_ms, outcome }
    }
}

//----------- Writing --------------------------------------------------------

impl Store {
    /// Commits entries together; when this returns, they are on disk.
    ///
    /// Returns [`Error::ReadOnly`] when an earlier write had failed, so that nothing was written. After any other error the outcome
    /// is unknown. After either, no change is accepted until the store has recovered.
    pub(in crate::store) async fn write(&self, writes: impl Into<PreparedWrites>) -> Result<(), Error> {
        match self.inner.engine.commit(writes).await {
            Ok(()) => Ok(()),
            Err(EngineError::Poisoned) => {
                self.doubt(&EngineError::Poisoned);
                Err(Error::ReadOnly { reason: self.read_only_reason().unwrap_or_default() })
            }
            Err(error) => {
                self.doubt(&error);
                Err(Error::Engine(error))
            }
        }
    }

    /// How long the oldest change that has not reached the disk has been under way; none when there is none.
    pub fn write_in_flight(&self) -> Option<Duration> {
        self.inner.engine.write_in_flight()
    }

    /// Publishes a durable block: every later question sees it.
    fn publish(&self, end: End, directory: Arc<Directory>, settled: &Unsettled) {
        self.inner.published.send_modify(|published| {
            published.end = end;
            published.directory = directory;
            published.counts.take_up(settled.counts.clone());
        });
    }
}
