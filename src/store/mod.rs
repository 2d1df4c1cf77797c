//! The store: identifiers, prefixes, tokens and the journal, on disk. The only module that names a storage engine.
//!
//! ```text
//!   registry ◀─ View: what is on disk, and what the block under way leads to ─ writer
//!   registry ── Block ─▶ writer ─ Writes: entries and one journal block ─▶ engine ─▶ on disk ─▶ publish   (one writer)
//!   registry, resolver ─▶ Store: identifiers, list, names, requests ─▶ engine                              (many readers, batched)
//!                         Store: directory, counts ─▶ memory
//!   filing, backup ─▶ Store: follow, headers_after, bookmarks · copy::image                                (followers)
//! ```
//! | folder | what it is |
//! |---|---|
//! | `entry` | what is stored under one key: a file for each kind, with its key and its stored forms |
//! | `journal` | the ordered, chained sequence of all changes: blocks, incarnations, seals, retention |
//! | `writer` | the only way to append to the journal of a running node: from a block to entries, durable, then visible |
//! | `open` | proves the files, opens the engine, compares, and redoes what a crash may have left |
//! | `copy` | image and restore; check and repair |
//! | `engine` | typed operations on entries; below them tables, and the engines fjall and sled |
//! | `read`, `names`, `directory` | questions: entries by key and lists from the engine; prefixes, notes and tokens from memory |
//!
//! # The life of one registration
//!
//! 1. The registry's committer takes a [`writer::View`] of the writer: the state at the end of the journal, with the block that is
//!    being written. From it the committer reads the present states of the identifiers that a group of commands is about, and the
//!    memory of their requests. A request that is remembered gets its first receipt again. Of the others it decides, and makes a
//!    [`writer::Block`]: for each change the new state, its version, and what the commit needs of the state that is replaced (its
//!    [`entry::Mark`]: version, sequence, pieces, whether it was live). A group is what the committer decides together; its block is
//!    what is written of it. A group takes up commands while the one before it is written, up to [`Store::block_changes_max`]
//!    commands and 8 MiB.
//! 2. [`writer::JournalWriter::append`] builds the block on a thread for blocking work: each change gets a sequence, a time and a chained
//!    hash. One set of writes collects the journal entry (header and body), the new state with its digest when the suffix is long,
//!    the count of the prefix, the memory of the request, and after every 65,536th entry a seal: position, hash and time there.
//!    Each entry is encoded, gets an envelope with a checksum, and is cut into pieces when it is long. Then it waits until the block
//!    before has settled, which means that its outcome is known.
//! 3. A task of its own lets the engine commit all of it at once, on a thread for blocking work. When the commit returns, all of it
//!    is on disk. Once begun it runs to its end, even when its callers are gone. If it fails, or has not ended after 30 s, it is not
//!    known whether the block is on disk: see below.
//! 4. The end of the journal, the directory and the counts are published together, followers wake up, and the callers get their
//!    receipts. From then on every question sees the change; an identifier may be seen a moment before the new end, directory and
//!    counts.
//! 5. Some 200 ms later the high-water file names the new end. The witness, a small file with numbers that never fall
//!    (of prefixes, of tokens, in names of files), is renewed after a commit, at most once a second, and when the store is closed. The
//!    next opening compares both with what it finds.
//!
//! What is durable when: when a commit returns, its block survives a loss of power. Readers do not see a block of this process that
//! is not on disk; they may see it shortly before its commit returns. Followers see it when it is published. A loss of power before the
//! commit leaves nothing of the block; during it all or nothing; after it all, even when no caller had its receipt. If the engine's
//! files then lose entries of the last 200 ms, the next opening may not notice. The store records the caller of each change; it does
//! not check permissions.
//!
//! # A failed write
//!
//! A write has failed when the engine returns an error, when it has not ended after 30 s, or when the high-water file cannot be
//! written. The store is then [`writer::Standing::Unsure`]; after damage it is [`writer::Standing::Stopped`].
//!
//! - **Callers**: the commands of the failed block, and of the next one, which was decided on it and is not written, get "outcome
//!   unknown". New commands are rejected with the reason; those that wait already wait for the present attempt, up to their deadline.
//!   A caller repeats its request with the same id within the request window: it gets the first receipt, or the command is decided
//!   anew.
//! - **Attempts** ([`writer::Recovery`]): the committer opens the files again, written anew. The first attempt is made at once, the next
//!   ones after 1, 2, 4, 8 and 10 s; after the sixth failure the store stops until a process opens it again. A write that fails within
//!   ten minutes after a recovery is one more failure: the first attempt then waits as long as the next one would have, and a lasting
//!   error that no opening meets stops the store too. When the disk is full, no file descriptor is left or a call does not return, it
//!   is tried every 10 s without limit; while the store is paused, or a write has been running for 30 s, not at all. Afterwards the
//!   failed block is there for ever, or never.
//! - **Readers**: answered as before until the files are closed. Then calls wait; one that has waited 30 s fails with
//!   [`EngineError::Stalled`], and while 32 such calls wait, others fail at once. This time has no limit: fjall copies its journals,
//!   some 256 MiB, and reads them; sled copies its log and reads it again. When the files cannot be opened, every read fails with
//!   [`EngineError::NotOpen`] until an attempt succeeds.
//! - **Followers**: the published end stays, then moves by exactly the failed block, or not at all; never back. They may be woken without
//!   a new end. Reads may fail as above, and bookmarks are rejected.
//! - **Backups**: an exact image (fjall) fails with [`EngineError::Reopened`]; begin it again. A fuzzy image (sled) and a copy of the
//!   journal go on, unless one of their reads fails.
//! - **A restart** does the same work before it opens the files, because a failed write leaves a note beside them.

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
pub use self::engine::{Cursor, EngineError, EngineKind, Lack, UnknownEngine};

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

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
use self::writer::counts::Counts;
use self::writer::{End, Published, Standing};

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
    published: watch::Sender<Published>,
    lineage: ArcSwap<Lineage>,
    retained: ArcSwap<RetainedFrom>,
    standing: watch::Sender<Standing>,
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
        Arc::clone(&self.inner.published.borrow().directory)
    }

    /// The incarnations of this store.
    pub fn lineage(&self) -> Arc<Lineage> {
        self.inner.lineage.load_full()
    }

    /// The part of the journal that is retained.
    pub(in crate::store) fn retained(&self) -> RetainedFrom {
        **self.inner.retained.load()
    }

    /// The first position whose header is retained; none when nothing was pruned.
    pub fn complete_from(&self) -> Option<Position> {
        let first = self.retained().headers_from;
        if first > 1 { self.lineage().position_of(first) } else { None }
    }

    /// Whether everything after a position of this journal is retained, headers and bodies.
    pub fn retains_after(&self, position: Position) -> bool {
        let retained = self.retained();
        position.sequence.saturating_add(1) >= retained.headers_from.max(retained.bodies_from)
    }

    /// The end of the durable journal.
    pub fn end(&self) -> End {
        self.inner.published.borrow().end
    }

    /// The position of the last durable entry.
    pub fn head(&self) -> Position {
        self.end().position()
    }

    /// Number of entries of the journal since the store was created, pruned ones included: the number for protocols that have one
    /// number for everything a node holds.
    pub fn journal_entries(&self) -> u64 {
        self.end().sequence
    }

    /// Watches the published journal. It may wake without a new end. The end never goes back while the store is open.
    pub fn follow(&self) -> watch::Receiver<Published> {
        self.inner.published.subscribe()
    }

    /// Which letters of a suffix are folded.
    pub fn folding(&self) -> Folding {
        self.inner.folding
    }

    /// The kind of engine.
    pub fn engine_kind(&self) -> EngineKind {
        self.inner.kind
    }

    /// Maximum number of changes of one block, so that readers are not blocked while it is committed: 2,000 on fjall, 200 on sled. A
    /// group is also closed at 8 MiB.
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
        self.inner.published.borrow().counts.of(prefix)
    }

    /// Whether any live identifier has this prefix or one below it.
    pub fn holds_within(&self, prefix: &Prefix) -> bool {
        self.inner.published.borrow().counts.any_within(prefix)
    }

    /// Whether a live identifier of this prefix, or of one below it, is governed by an entry above the prefix.
    pub fn holds_for_entry_above(&self, prefix: &Prefix, directory: &Directory) -> bool {
        self.inner.published.borrow().counts.any_governed_above(prefix, directory)
    }

    /// Number of live identifiers.
    pub fn count(&self) -> u64 {
        self.inner.published.borrow().counts.total()
    }

    /// Why the store accepts no changes for now.
    pub fn pause_reason(&self) -> Option<String> {
        self.inner.paused.borrow().clone()
    }

    /// Accepts no changes until [`Store::resume`]; nothing that was accepted is affected, and pruning and forgetting go on. A store that
    /// is unsure is not recovered while it is paused. Returns whether it accepted changes before.
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

    /// Bytes that the engine's files occupy on disk; the small files beside its folder are not counted.
    pub async fn disk_bytes(&self) -> Result<u64, Error> {
        Ok(self.inner.engine.disk_bytes().await?)
    }

    /// Numbers of live identifiers.
    pub(in crate::store) fn counts(&self) -> Counts {
        self.inner.published.borrow().counts.clone()
    }

    /// Sets the counts that readers see.
    pub(in crate::store) fn set_counts(&self, counts: Counts) {
        self.inner.published.send_modify(|published| published.counts = counts);
    }

    /// Sets the prefixes and tokens that readers see.
    pub(in crate::store) fn set_directory(&self, directory: Arc<Directory>) {
        self.inner.published.send_modify(|published| published.directory = directory);
    }

    /// Sets the end of the journal that readers see.
    pub(in crate::store) fn set_end(&self, end: End) {
        self.inner.published.send_modify(|published| published.end = end);
    }
}
