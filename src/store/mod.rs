//! The store: identifiers, prefixes, tokens and the journal, on disk. The only module that names a storage engine.
//!
//! ```text
//!   registry ── Block ─▶ writer ─ Writes: entries and one journal block ─▶ engine ─▶ on disk ─▶ publish   (one writer)
//!   registry, resolver ─▶ Store: identifiers, list, names, requests, directory ─▶ engine                   (many readers, batched)
//!   filing, backup ─▶ Store: follow, entries_from, bookmarks · copy::image                                 (followers)
//! ```
//! | folder | what it is |
//! |---|---|
//! | `entry` | what is stored under one key: a file for each kind, with its key and its stored forms |
//! | `journal` | the ordered, chained sequence of all changes: blocks, incarnations, seals, retention |
//! | `writer` | the only way to append to the journal: from a block to entries, durable, then visible |
//! | `open` | proves the files, opens the engine, compares and repairs what a crash may have left |
//! | `copy` | image and restore; check and repair |
//! | `engine` | typed operations on entries; below them tables, and the engines fjall and sled |
//! | `read`, `names`, `directory` | questions: entries by key and lists from the engine; prefixes, notes and tokens from memory |
//!
//! # The life of one registration
//!
//! 1. The registry's committer reads the present states of the identifiers that a group of commands is about
//!    ([`Store::identifiers`]) and the memory of their requests ([`Store::requests`]). A request that is remembered gets its first
//!    receipt again. Of the others it decides, and makes a [`writer::Block`]: for each change the new state, its version, and a
//!    mark of the state that is replaced (for the count of the prefix, the pieces that are deleted, and the link to the change
//!    before). A block holds at most [`Store::block_changes_max`] changes. It names the end of the journal that it was decided
//!    on; if the journal has moved on, it is refused and decided anew.
//! 2. [`writer::Appender::commit`] builds the block on a thread for blocking work: each change gets a sequence, a time and a
//!    chained hash. One set of writes collects the journal entry (header and body), the new state with its digest when the suffix
//!    is long, the count of the prefix, the memory of the request, and a seal at the end of a segment. Each entry is encoded,
//!    gets an envelope with a checksum, and is cut into pieces when it is long.
//! 3. The engine commits all of it at once, on another such thread. When that returns, all of it is on disk. When it fails, the
//!    outcome is unknown, and the store accepts no more changes until it is opened again. Once begun, it runs to its end even when
//!    the future is dropped; the appender would not learn of it, so that a commit has to be awaited.
//! 4. The directory, the counts and the end of the journal are published, followers wake up, and the caller gets its receipt. From
//!    then on every question sees the change; an identifier may be seen a moment earlier than its count.
//! 5. Some 200 ms later the high-water file names the new end. The witness, which holds what may only grow, is renewed after a
//!    commit, at most once a second, and when the store is closed. The next opening compares both with what it finds.
//!
//! What is durable when: a commit returns after the block survives power loss. Readers never see a block that is not on disk; they
//! may see it shortly before its commit returns. Followers see it when it is published. The store records the caller of each
//! change; it does not check permissions.

pub mod entry;

pub mod journal;

pub mod writer;

pub mod directory;
pub mod names;
mod read;

pub mod open;

pub mod copy;

mod engine;
pub mod error;
#[cfg(test)]
pub(crate) mod tests;

#[cfg(test)]
pub(crate) use self::engine::simulated;
pub use self::engine::{EngineError, EngineKind, UnknownEngine};

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::{RwLock, watch};

use crate::model::environment::{Clock, Entropy};
use crate::model::identifier::{Folding, Prefix};
use crate::model::limits::{GROUP_ITEMS_MAX, GROUP_ITEMS_SLED_MAX};
use crate::model::position::Position;

use self::directory::Directory;
use self::engine::Engine;
use self::error::Error;
use self::journal::lineage::Lineage;
use self::journal::retention::RetainedFrom;
use self::open::high_water::HighWaterFile;
use self::open::read_only_image::ReadOnlyImage;
use self::open::witness::Witness;
use self::writer::End;
use self::writer::counts::Counts;

//----------- Store ----------------------------------------------------------

/// An open store. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    kind: EngineKind,
    path: PathBuf,
    /// The directory of the files: the data directory, or an image of one that cannot be written.
    files: PathBuf,
    /// Removed with the store.
    image: Option<ReadOnlyImage>,
    folding: Folding,
    clock: Clock,
    entropy: Entropy,
    directory: ArcSwap<Directory>,
    lineage: ArcSwap<Lineage>,
    retained: ArcSwap<RetainedFrom>,
    counts: Arc<Mutex<Counts>>,
    end: watch::Sender<End>,
    /// Why the store is read-only until it is opened again; none while it accepts changes.
    stopped: watch::Sender<Option<String>>,
    /// Why the store accepts no changes for now.
    paused: watch::Sender<Option<String>>,
    high_water: Mutex<HighWaterFile>,
    /// The witness as it is on disk; none before it was written.
    witness: Mutex<Option<Witness>>,
    /// Prevents pruning while the journal is copied: copies hold the read lock, pruning the write lock.
    held: Arc<RwLock<()>>,
}

impl Store {
    /// Prefixes and tokens as of the last durable block.
    pub fn directory(&self) -> Arc<Directory> {
        self.inner.directory.load_full()
    }

    /// The incarnations of this store.
    pub fn lineage(&self) -> Arc<Lineage> {
        self.inner.lineage.load_full()
    }

    /// The part of the journal that is retained.
    pub fn retained(&self) -> RetainedFrom {
        **self.inner.retained.load()
    }

    /// The end of the durable journal.
    pub fn end(&self) -> End {
        *self.inner.end.borrow()
    }

    /// The position of the last durable entry.
    pub fn head(&self) -> Position {
        self.end().position()
    }

    /// Follows the end of the durable journal.
    pub fn follow(&self) -> watch::Receiver<End> {
        self.inner.end.subscribe()
    }

    /// Which letters of a suffix are folded.
    pub fn folding(&self) -> Folding {
        self.inner.folding
    }

    /// The kind of engine.
    pub fn engine_kind(&self) -> EngineKind {
        self.inner.kind
    }

    /// Maximum number of changes of one block, so that readers are not blocked while it is committed.
    pub fn block_changes_max(&self) -> usize {
        match self.inner.kind {
            EngineKind::Fjall => GROUP_ITEMS_MAX,
            EngineKind::Sled => GROUP_ITEMS_SLED_MAX,
            #[cfg(test)]
            EngineKind::Simulated => GROUP_ITEMS_MAX,
        }
    }

    /// The data directory.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The time, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        (self.inner.clock)()
    }

    /// Fills bytes with randomness.
    pub fn fill_random(&self, bytes: &mut [u8]) {
        (self.inner.entropy)(bytes);
    }

    /// Number of live identifiers with exactly this prefix.
    pub fn count_of(&self, prefix: &Prefix) -> u64 {
        self.lock_counts().of(prefix)
    }

    /// Whether any live identifier has this prefix or one below it.
    pub fn holds_within(&self, prefix: &Prefix) -> bool {
        self.lock_counts().any_within(prefix)
    }

    /// Whether a live identifier of this prefix, or of one below it, is governed by an entry above the prefix.
    pub fn holds_for_entry_above(&self, prefix: &Prefix, directory: &Directory) -> bool {
        self.lock_counts().any_governed_above(prefix, directory)
    }

    /// Number of live identifiers.
    pub fn count(&self) -> u64 {
        self.lock_counts().total()
    }

    /// Why the store accepts no changes, for good or for now; none while it accepts them.
    pub fn read_only_reason(&self) -> Option<String> {
        self.stop_reason().or_else(|| self.pause_reason())
    }

    /// Why the store accepts no changes until it is opened again.
    pub fn stop_reason(&self) -> Option<String> {
        self.inner.stopped.borrow().clone()
    }

    /// Why the store accepts no changes for now.
    pub fn pause_reason(&self) -> Option<String> {
        self.inner.paused.borrow().clone()
    }

    /// Accepts no changes until [`Store::resume`]; nothing that was accepted is affected. Returns whether it accepted them
    /// before.
    pub fn pause(&self, reason: &str) -> bool {
        self.inner.paused.send_replace(Some(reason.to_owned())).is_none()
    }

    /// Accepts changes again after [`Store::pause`]. Returns whether it was paused.
    pub fn resume(&self) -> bool {
        self.inner.paused.send_replace(None).is_some()
    }

    /// Returns when the store is not paused.
    pub async fn resumed(&self) {
        let mut paused = self.inner.paused.subscribe();
        // The sender lives as long as the store.
        let _unpaused = paused.wait_for(Option::is_none).await;
    }

    /// Bytes on disk.
    pub async fn disk_bytes(&self) -> Result<u64, Error> {
        Ok(self.inner.engine.disk_bytes().await?)
    }

    /// Returns an error when the store is read-only.
    pub fn check_writable(&self) -> Result<(), Error> {
        self.read_only_reason().map_or(Ok(()), |reason| Err(Error::ReadOnly { reason }))
    }

    /// Returns an error when the store is read-only until it is opened again. What makes space is done while it is paused.
    fn check_not_stopped(&self) -> Result<(), Error> {
        self.stop_reason().map_or(Ok(()), |reason| Err(Error::ReadOnly { reason }))
    }

    /// Makes the store read-only; the first reason remains.
    fn stop_writing(&self, reason: &str) {
        let first = self.note_stop(reason);
        if first {
            tracing::error!(reason, "the store accepts no more changes");
        }
    }

    /// Records why the store is read-only. Returns whether it is the first reason.
    fn note_stop(&self, reason: &str) -> bool {
        self.inner.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            stopped.get_or_insert_with(|| reason.to_owned());
            first
        })
    }

    fn lock_counts(&self) -> MutexGuard<'_, Counts> {
        self.inner.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
