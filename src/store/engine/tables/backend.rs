//! The storage engines as ordered tables of bytes, behind one plain enum.
//!
//! A backend knows nothing of entries. Each of them guarantees:
//!
//! - [`Backend::commit`] is atomic across tables and on disk when it returns. After a failed commit, no other is accepted until
//!   the files are opened again, and readers never see the failed one; after that, it is present completely or not at all.
//! - [`Backend::recover`] opens the files again within the process. What is there then is on disk for ever: it has been written to
//!   new files and synced, never only read from the page cache, where it may be without being on disk.
//! - One reading call sees all or nothing of each commit, and never a commit of this process that is not on disk.
//! - Damage is an error that names the file and the remedy; a panic inside an engine is caught and becomes one.
//! - A read or a commit returns within 30 s, closing within 60 s. A commit that takes longer counts as failed. Opening and
//!   [`Backend::recover`] have no limit: they take as long as reading and copying the files.
//! - No call blocks the reactor, but for short reads as long as they come from memory (see `read_offload`). Dropping a call's
//!   future does not undo it: a commit runs to its end.
//!
//! ```text
//! Tables ──▶ Backend ──▶ Running (blocking threads, panics, poison) ──▶ Fjall  one journal, one keyspace per table
//!                                                                  └─▶ Sled   one log, one tree per table, Pending
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::batch::WriteBatch;
use super::error::EngineError;
use super::files::{create_directory, occupied_bytes};
use super::fjall::Fjall;
use super::running::Running;
use super::scan::{KeyValue, Order, PageLimit, ScanRange};
#[cfg(test)]
use super::simulated;
use super::sled::Sled;
use super::table::Table;
use crate::store::engine::EngineKind;

/// Maximum number of keys of a read that may run on the reactor.
const KEYS_SHORT_MAX: usize = 32;

/// Durability of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncPolicy {
    /// A commit waits until it is on disk.
    Full,
    /// **Loses acknowledged commits at a power cut.** On sled, our own sync after its flush is left out. Only for the
    /// test that cuts the power, to show that it can fail; on fjall it changes nothing.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "only the test that cuts the power leaves the sync out")
    )]
    EngineOnly,
}

//----------- Backend --------------------------------------------------------

/// One open engine, as tables of bytes; cloning it is cheap and gives the same engine.
///
/// Close it before the runtime ends: dropping the last one releases the files too, but blocks while it does.
#[derive(Clone)]
pub(super) enum Backend {
    /// The default engine.
    Fjall(Arc<Running<Fjall>>),
    /// The second engine.
    Sled(Arc<Running<Sled>>),
    /// The engine of simulations.
    #[cfg(test)]
    Simulated(Arc<Running<simulated::Simulated>>),
}

impl Backend {
    /// Opens the engine in its own directory; creates both if absent.
    pub(super) async fn open(
        kind: EngineKind,
        directory: &Path,
        cache_bytes: u64,
    ) -> Result<Self, EngineError> {
        Self::open_with(kind, directory, cache_bytes, SyncPolicy::Full).await
    }

    /// As [`Backend::open`], with a policy other than the safe one.
    pub(super) async fn open_with(
        kind: EngineKind,
        directory: &Path,
        cache_bytes: u64,
        policy: SyncPolicy,
    ) -> Result<Self, EngineError> {
        match kind {
            EngineKind::Fjall => {
                let open = move |directory: &Path| {
                    create_directory(directory)?;
                    Fjall::open(directory, cache_bytes)
                };
                Ok(Self::Fjall(Running::open(directory, open).await?))
            }
            EngineKind::Sled => {
                let open = move |directory: &Path| {
                    create_directory(directory)?;
                    Sled::open(directory, cache_bytes, policy)
                };
                Ok(Self::Sled(Running::open(directory, open).await?))
            }
            #[cfg(test)]
            EngineKind::Simulated => {
                let open = move |directory: &Path| {
                    create_directory(directory)?;
                    simulated::Simulated::open(directory, policy)
                };
                Ok(Self::Simulated(Running::open(directory, open).await?))
            }
        }
    }

    /// The values of these keys, in the order of the keys; none where a key is absent.
    pub(super) async fn get_many(
        &self,
        table: Table,
        keys: Vec<Vec<u8>>,
    ) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        let few = keys.len() <= KEYS_SHORT_MAX;
        match self {
            Self::Fjall(running) if few => {
                running.read_shortly(move |engine| engine.get_many(table, &keys)).await
            }
            Self::Sled(running) if few => {
                running.read_shortly(move |engine| engine.get_many(table, &keys)).await
            }
            #[cfg(test)]
            Self::Simulated(running) if few => {
                running.read_shortly(move |engine| engine.get_many(table, &keys)).await
            }
            Self::Fjall(running) => running.read(move |engine| engine.get_many(table, &keys)).await,
            Self::Sled(running) => running.read(move |engine| engine.get_many(table, &keys)).await,
            #[cfg(test)]
            Self::Simulated(running) => running.read(move |engine| engine.get_many(table, &keys)).await,
        }
    }

    /// A part of a table in order. To read on, scan again from beyond the last key; an empty page is the end.
    pub(super) async fn scan(
        &self,
        table: Table,
        range: ScanRange,
        order: Order,
        limit: PageLimit,
    ) -> Result<Vec<KeyValue>, EngineError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Fjall(running) => {
                running.read(move |engine| engine.scan(table, &range, order, limit)).await
            }
            Self::Sled(running) => running.read(move |engine| engine.scan(table, &range, order, limit)).await,
            #[cfg(test)]
            Self::Simulated(running) => {
                running.read(move |engine| engine.scan(table, &range, order, limit)).await
            }
        }
    }

    /// Commits a batch: all of it is on disk when this returns. A batch that exceeds a bound is not written (the bounds of a
    /// group are far below these). After any other failure the outcome is unknown, and later commits fail with
    /// [`EngineError::Poisoned`].
    pub(super) async fn commit(&self, batch: WriteBatch) -> Result<(), EngineError> {
        batch.check().map_err(|source| EngineError::Io { path: self.directory().to_path_buf(), source })?;
        if batch.is_empty() {
            return Ok(());
        }
        match self {
            Self::Fjall(running) => running.write(move |engine| engine.commit(batch)).await,
            Self::Sled(running) => running.write(move |engine| engine.commit(batch)).await,
            #[cfg(test)]
            Self::Simulated(running) => running.write(move |engine| engine.commit(batch)).await,
        }
    }

    /// Opens the files again after a failed commit, written anew, and accepts commits again. Other calls wait meanwhile, each up to its
    /// deadline. After an error the engine has not recovered: either it is as it was, or, when the files could not be opened, every
    /// call fails with [`EngineError::NotOpen`] until another attempt succeeds.
    pub(super) async fn recover(&self) -> Result<(), EngineError> {
        match self {
            Self::Fjall(running) => {
                let close = |engine: Fjall| {
                    engine.close();
                    Ok(())
                };
                running.reopen(EngineKind::Fjall, close).await
            }
            Self::Sled(running) => {
                match running.read(Sled::secure_undo).await {
                    // The attempt that closed the files has done it before.
                    Ok(()) | Err(EngineError::NotOpen) => {}
                    Err(error) => return Err(error),
                }
                running.reopen(EngineKind::Sled, Sled::close).await
            }
            #[cfg(test)]
            Self::Simulated(running) => running.reopen(EngineKind::Simulated, |_| Ok(())).await,
        }
    }

    /// An image to read from while commits continue; [`Snapshot::is_exact`] reports whether it is one instant.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, EngineError> {
        match self {
            Self::Fjall(running) => {
                let of = Arc::clone(running);
                let begun = move |engine: &Fjall| Ok((engine.snapshot(), of.times_reopened()));
                let (instant, reopened) = running.read(begun).await?;
                Ok(Snapshot::Exact { running: Arc::clone(running), instant, reopened })
            }
            Self::Sled(running) => {
                running.read(|_| Ok(())).await?;
                Ok(Snapshot::Fuzzy { running: Arc::clone(running) })
            }
            #[cfg(test)]
            Self::Simulated(running) => Ok(Snapshot::Simulated { running: Arc::clone(running) }),
        }
    }

    /// How long the oldest commit that has not ended has been running; none when there is none.
    pub(super) fn write_in_flight(&self) -> Option<Duration> {
        match self {
            Self::Fjall(running) => running.write_in_flight(),
            Self::Sled(running) => running.write_in_flight(),
            #[cfg(test)]
            Self::Simulated(running) => running.write_in_flight(),
        }
    }

    /// A number that the entries of a table do not exceed, where the engine knows one without reading them.
    pub(super) async fn entries_at_most(&self, table: Table) -> Result<Option<u64>, EngineError> {
        match self {
            Self::Fjall(running) => running.read(move |engine| Ok(Some(engine.entries_at_most(table)))).await,
            Self::Sled(_) => Ok(None),
            #[cfg(test)]
            Self::Simulated(_) => Ok(None),
        }
    }

    /// Bytes that the engine's files occupy.
    pub(super) async fn disk_bytes(&self) -> Result<u64, EngineError> {
        let directory = self.directory().to_path_buf();
        match self {
            Self::Fjall(running) => running.read(move |_| occupied_bytes(&directory)).await,
            Self::Sled(running) => running.read(move |_| occupied_bytes(&directory)).await,
            #[cfg(test)]
            Self::Simulated(running) => running.read(move |_| occupied_bytes(&directory)).await,
        }
    }

    /// Waits for the running calls and releases the files; when this returns, the same process can open them again.
    /// Every other clone and snapshot then returns [`EngineError::NotOpen`].
    pub(super) async fn close(self) -> Result<(), EngineError> {
        match self {
            Self::Fjall(running) => {
                let close = |engine: Fjall| {
                    engine.close();
                    Ok(())
                };
                running.close(close).await
            }
            Self::Sled(running) => running.close(Sled::close).await,
            #[cfg(test)]
            Self::Simulated(running) => running.close(|_| Ok(())).await,
        }
    }

    fn directory(&self) -> &Path {
        match self {
            Self::Fjall(running) => running.directory(),
            Self::Sled(running) => running.directory(),
            #[cfg(test)]
            Self::Simulated(running) => running.directory(),
        }
    }
}

//----------- Snapshot -------------------------------------------------------

/// An image of all tables, for long readings such as a backup.
pub(super) enum Snapshot {
    /// A snapshot of one instant across all tables.
    Exact {
        /// Backend that the snapshot belongs to.
        running: Arc<Running<Fjall>>,
        /// The instant; old entries remain on disk while it is held.
        instant: ::fjall::Snapshot,
        /// How often the files had been opened again when it began.
        reopened: u64,
    },
    /// The live tables: each page is consistent, but later pages may see later commits.
    Fuzzy {
        /// Backend that the snapshot belongs to.
        running: Arc<Running<Sled>>,
    },
    /// The live tables of a simulation.
    #[cfg(test)]
    Simulated {
        /// Backend that the snapshot belongs to.
        running: Arc<Running<simulated::Simulated>>,
    },
}

impl Snapshot {
    /// Whether everything read from it belongs to one instant.
    pub(super) const fn is_exact(&self) -> bool {
        match self {
            Self::Exact { .. } => true,
            Self::Fuzzy { .. } => false,
            #[cfg(test)]
            Self::Simulated { .. } => false,
        }
    }

    /// As [`Backend::scan`], in the image.
    pub(super) async fn scan(
        &self,
        table: Table,
        range: ScanRange,
        order: Order,
        limit: PageLimit,
    ) -> Result<Vec<KeyValue>, EngineError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Exact { running, instant, reopened } => {
                let (instant, reopened, of) = (instant.clone(), *reopened, Arc::clone(running));
                let scan = move |engine: &Fjall| {
                    if of.times_reopened() != reopened {
                        return Err(EngineError::Reopened);
                    }
                    engine.scan_at(&instant, table, &range, order, limit)
                };
                running.read(scan).await
            }
            Self::Fuzzy { running } => {
                running.read(move |engine| engine.scan(table, &range, order, limit)).await
            }
            #[cfg(test)]
            Self::Simulated { running } => {
                running.read(move |engine| engine.scan(table, &range, order, limit)).await
            }
        }
    }
}
