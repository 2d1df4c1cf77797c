//! The storage engines, behind one plain enum. Only this folder names fjall or sled.
//!
//! An engine keeps ordered tables of bytes. It knows nothing of identifiers, of the journal, or of who asks; checksums
//! of values are added above it. Every engine guarantees:
//!
//! - [`Engine::commit`] is atomic across tables and on disk when it returns. After a failed commit, no other is accepted
//!   until the store is opened again, and readers never see the failed one; after reopening, it is present completely
//!   or not at all.
//! - One reading call sees all or nothing of each commit, and never a commit that is not on disk.
//! - Damage is an error that names the file and the remedy; a panic inside an engine is caught and becomes one.
//! - Every call returns by its deadline. A commit beyond it counts as failed.
//! - No call blocks the reactor, but for short reads as long as they come from memory (see `read_offload`). Dropping a call's
//!   future does not undo it: a commit runs to its end.
//!
//! ```text
//! store ──▶ Engine ──▶ Running (blocking threads, panics, poison) ──▶ Fjall  one journal, one keyspace per table
//!                                                                └─▶ Sled   one log, one tree per table, Pending
//! ```

pub(in crate::store) mod batch;
pub(in crate::store) mod scan;
pub(in crate::store) mod survey;
pub(in crate::store) mod table;

mod error;

mod read_offload;
mod running;
mod stall;

mod fjall;
mod fjall_files;
mod fjall_journal;
mod fjall_mend;
mod fjall_version;

mod pending;
mod sled;
mod sled_files;
mod sled_undo;

#[cfg(test)]
pub(crate) mod simulated;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    fs::File,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

pub use self::error::EngineError;
use self::{
    batch::WriteBatch,
    fjall::Fjall,
    running::Running,
    scan::{KeyValue, Order, ScanLimit, ScanRange},
    sled::Sled,
    table::Table,
};

/// Keys of the longest short read.
const KEYS_SHORT_MAX: usize = 32;

//----------- EngineKind ----------------------------------------------------------------------------------------------

/// The kind of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    /// A log-structured tree: the default; handles bursts of registrations well.
    #[default]
    Fjall,
    /// A tree over a log, synced by us.
    Sled,
    /// Tables in memory over a disk that fails when a test asks for it.
    #[cfg(test)]
    Simulated,
}

impl EngineKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Fjall, Self::Sled];
}

impl fmt::Display for EngineKind {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str(match self {
            Self::Fjall => "fjall",
            Self::Sled => "sled",
            #[cfg(test)]
            Self::Simulated => "simulated",
        })
    }
}

/// A name that is not an engine's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a storage engine; it is \"fjall\" or \"sled\"")]
pub struct UnknownEngine(pub String);

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        #[cfg(test)]
        if name == Self::Simulated.to_string() {
            return Ok(Self::Simulated);
        }
        let known = Self::ALL.into_iter().find(|kind| kind.to_string() == name);
        known.ok_or_else(|| UnknownEngine(name.to_owned()))
    }
}

/// Durability of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum SyncPolicy {
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

//----------- Engine --------------------------------------------------------------------------------------------------

/// An open engine; cloning it is cheap and gives the same engine.
///
/// Close it before the runtime ends: dropping the last one releases the files too, but blocks while it does.
#[derive(Clone)]
pub(in crate::store) enum Engine {
    /// The default engine.
    Fjall(Arc<Running<Fjall>>),
    /// The second engine.
    Sled(Arc<Running<Sled>>),
    /// The engine of simulations.
    #[cfg(test)]
    Simulated(Arc<Running<simulated::Simulated>>),
}

impl Engine {
    /// Opens the engine in its own directory; creates both if absent.
    pub(in crate::store) async fn open(
        kind: EngineKind,
        directory: &Path,
        cache_bytes: u64,
    ) -> Result<Self, EngineError> {
        Self::open_with(kind, directory, cache_bytes, SyncPolicy::Full).await
    }

    /// As [`Engine::open`], with a policy other than the safe one.
    pub(in crate::store) async fn open_with(
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
    pub(in crate::store) async fn get_many(
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
    pub(in crate::store) async fn scan(
        &self,
        table: Table,
        range: ScanRange,
        order: Order,
        limit: ScanLimit,
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

    /// Commits a batch: all of it is on disk when this returns. A batch that exceeds a bound is refused without
    /// effect; after any other failure the outcome is unknown and later commits fail with [`EngineError::Poisoned`].
    pub(in crate::store) async fn commit(&self, batch: WriteBatch) -> Result<(), EngineError> {
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

    /// An image to read from while commits continue; [`EngineSnapshot::is_exact`] reports whether it is one instant.
    pub(in crate::store) async fn snapshot(&self) -> Result<EngineSnapshot, EngineError> {
        match self {
            Self::Fjall(running) => {
                let instant = running.read(|engine| Ok(engine.snapshot())).await?;
                Ok(EngineSnapshot::Exact { running: Arc::clone(running), instant })
            }
            Self::Sled(running) => {
                running.read(|_| Ok(())).await?;
                Ok(EngineSnapshot::Fuzzy { running: Arc::clone(running) })
            }
            #[cfg(test)]
            Self::Simulated(running) => Ok(EngineSnapshot::Simulated { running: Arc::clone(running) }),
        }
    }

    /// How long the oldest commit that has not ended has been running; none when there is none.
    pub(in crate::store) fn write_in_flight(&self) -> Option<Duration> {
        match self {
            Self::Fjall(running) => running.write_in_flight(),
            Self::Sled(running) => running.write_in_flight(),
            #[cfg(test)]
            Self::Simulated(running) => running.write_in_flight(),
        }
    }

    /// A number that the entries of a table do not exceed, where the engine knows one without reading them.
    pub(in crate::store) async fn entries_at_most(&self, table: Table) -> Result<Option<u64>, EngineError> {
        match self {
            Self::Fjall(running) => running.read(move |engine| Ok(Some(engine.entries_at_most(table)))).await,
            Self::Sled(_) => Ok(None),
            #[cfg(test)]
            Self::Simulated(_) => Ok(None),
        }
    }

    /// Bytes that the engine's files occupy.
    pub(in crate::store) async fn disk_bytes(&self) -> Result<u64, EngineError> {
        let directory = self.directory().to_path_buf();
        match self {
            Self::Fjall(running) => running.read(move |_| occupied_bytes(&directory)).await,
            Self::Sled(running) => running.read(move |_| occupied_bytes(&directory)).await,
            #[cfg(test)]
            Self::Simulated(running) => running.read(move |_| occupied_bytes(&directory)).await,
        }
    }

    /// Waits for the running calls and releases the files; when this returns, the same process can open them again.
    /// Every other clone and snapshot then returns [`EngineError::Stopped`].
    pub(in crate::store) async fn close(self) -> Result<(), EngineError> {
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

//----------- EngineSnapshot ------------------------------------------------------------------------------------------

/// An image of all tables, for long readings such as a backup.
pub(in crate::store) enum EngineSnapshot {
    /// A snapshot of one instant across all tables.
    Exact {
        /// Engine that the snapshot belongs to.
        running: Arc<Running<Fjall>>,
        /// The instant; old entries remain on disk while it is held.
        instant: ::fjall::Snapshot,
    },
    /// The live tables: each page is consistent, but later pages may see later commits.
    Fuzzy {
        /// Engine that the snapshot belongs to.
        running: Arc<Running<Sled>>,
    },
    /// The live tables of a simulation.
    #[cfg(test)]
    Simulated {
        /// Engine that the snapshot belongs to.
        running: Arc<Running<simulated::Simulated>>,
    },
}

impl EngineSnapshot {
    /// Whether everything read from it belongs to one instant.
    pub(in crate::store) const fn is_exact(&self) -> bool {
        match self {
            Self::Exact { .. } => true,
            Self::Fuzzy { .. } => false,
            #[cfg(test)]
            Self::Simulated { .. } => false,
        }
    }

    /// As [`Engine::scan`], in the image.
    pub(in crate::store) async fn scan(
        &self,
        table: Table,
        range: ScanRange,
        order: Order,
        limit: ScanLimit,
    ) -> Result<Vec<KeyValue>, EngineError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Exact { running, instant } => {
                let instant = instant.clone();
                running.read(move |engine| engine.scan_at(&instant, table, &range, order, limit)).await
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

//----------- files ---------------------------------------------------------------------------------------------------

/// Makes the directory, and its name durable.
fn create_directory(directory: &Path) -> Result<(), EngineError> {
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(directory).map_err(|error| EngineError::from_io(directory, error))?;
    match directory.parent() {
        Some(parent) if parent != Path::new("") => sync_directory(parent),
        _ => Ok(()),
    }
}

/// Brings the names of a directory's files to disk.
fn sync_directory(directory: &Path) -> Result<(), EngineError> {
    let names = File::open(directory).map_err(|error| EngineError::from_io(directory, error))?;
    names.sync_all().map_err(|error| EngineError::from_io(directory, error))
}

/// Writes a file, or replaces it whole; when this returns, it is on disk.
fn replace_file(path: &Path, content: &[u8]) -> Result<(), EngineError> {
    let beside = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        std::io::Write::write_all(&mut file, content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    if let Err(error) = written() {
        // On a full disk what was begun takes space. The first error says more than one of removing it.
        let _removed = std::fs::remove_file(&beside);
        return Err(EngineError::from_io(path, error));
    }
    sync_directory(path.parent().unwrap_or(path))
}

/// Brings a file's bytes and length to disk.
fn sync_file(file: &File, path: &Path) -> Result<(), EngineError> {
    file.sync_data().map_err(|error| EngineError::from_io(path, error))
}

/// Bytes on disk of all files in a directory and below; files that are deleted meanwhile are not counted.
fn occupied_bytes(directory: &Path) -> Result<u64, EngineError> {
    let mut bytes = 0;
    let mut waiting: Vec<PathBuf> = vec![directory.to_path_buf()];
    while let Some(path) = waiting.pop() {
        match occupied_here(&path, &mut waiting) {
            Ok(here) => bytes += here,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
            Err(error) => return Err(EngineError::from_io(&path, error)),
        }
    }
    Ok(bytes)
}

/// Bytes of one file, or none for a directory, whose contents are queued.
fn occupied_here(path: &Path, waiting: &mut Vec<PathBuf>) -> std::io::Result<u64> {
    let facts = std::fs::symlink_metadata(path)?;
    if !facts.is_dir() {
        return Ok(facts.blocks() * 512);
    }
    for file in std::fs::read_dir(path)? {
        waiting.push(file?.path());
    }
    Ok(0)
}
