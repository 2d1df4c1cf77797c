//! The default engine: a log-structured tree, one keyspace per table, over the fjall crate.
//!
//! **Durable.** A commit is one write to fjall's journal followed by `fsync`; only then do its entries enter the
//! tables in memory, and only then does the instant that readers use advance. So a reader never sees an entry that
//! could be lost, and, because every read uses an instant, never a part of a commit. If writing or syncing
//! fails, the entries stay invisible and fjall refuses all further writes; after reopening, such a commit is present
//! completely or not at all.
//!
//! **Recovery.** After a failed write or sync the files are closed, written anew (see `renew`) and opened again.
//!
//! **Damage.** Blocks of tables and entries of the journal carry checksums: a flipped bit is refused at open or when the
//! block is read. A journal that is cut, or broken with nothing readable behind the break, looks like a crash in the middle
//! of writing, and fjall drops its end silently; the store detects that by its dense journal positions and its high-water
//! file. A journal that is broken with whole batches behind the break is refused before fjall opens it (`fjall_files`).
//!
//! **Memory.** Bounded by the cache, plus the write buffers: `write_buffer_bytes` for each table, about 250 MiB in all.
//! When flushing is slow, up to four more buffers of a table are queued; then commits wait.

use std::path::{Path, PathBuf};

use ::fjall::{
    CompressionType, Database, Error, Iter, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode, Readable,
    Snapshot,
    config::{BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry},
};
use nix::sys::resource::{Resource, getrlimit};

use super::{
    batch::WriteBatch,
    error::EngineError,
    files::sync_directory,
    renew,
    scan::{KeyValue, Order, Page, PageLimit, ScanRange},
    table::{PerTable, Table},
};

const MEBIBYTE: u64 = 1_024 * 1_024;
/// Bytes of journals on disk before the oldest is retired; bounds the time to open after a crash.
const JOURNALS_BYTES_MAX: u64 = 256 * MEBIBYTE;

/// Table files that stay open at most, whatever the process may open: the default of fjall.
const OPEN_FILES_MAX: u64 = 900;
/// Table files that may stay open at least.
const OPEN_FILES_MIN: u64 = 32;

/// Table files that stay open at most: a quarter of the files that the process may open, so that connections and other
/// files have theirs.
fn open_files_max() -> usize {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((OPEN_FILES_MIN, OPEN_FILES_MIN));
    usize::try_from((soft / 4).clamp(OPEN_FILES_MIN, OPEN_FILES_MAX)).unwrap_or(usize::MAX)
}

/// An open fjall database.
pub(in crate::store) struct Fjall {
    directory: PathBuf,
    database: Database,
    keyspaces: PerTable<Keyspace>,
}

impl Fjall {
    /// Opens or creates the database in `directory`, which exists.
    pub(super) fn open(directory: &Path, cache_bytes: u64) -> Result<Self, EngineError> {
        refuse_headless(directory)?;
        renew::remove_unfinished(directory)?;
        let explain = |error| explain(directory, error);
        let database = Database::builder(directory)
            .cache_size(cache_bytes)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .max_cached_files(Some(open_files_max()))
            .open()
            .map_err(explain)?;
        let keyspaces =
            PerTable::try_new(|table| database.keyspace(table.name(), || options(table))).map_err(explain)?;
        sync_directory(directory)?;
        Ok(Self { directory: directory.to_path_buf(), database, keyspaces })
    }

    /// The values of these keys, in the order of the keys, all at one instant.
    pub(super) fn get_many(
        &self,
        table: Table,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        let now = self.database.snapshot();
        let keyspace = self.keyspaces.of(table);
        keys.iter()
            .map(|key| match now.get(keyspace, key) {
                Ok(value) => Ok(value.map(|value| value.to_vec())),
                Err(error) => Err(explain(keyspace.path(), error)),
            })
            .collect()
    }

    /// An instant to read at; old entries remain on disk as long as it is held.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.database.snapshot()
    }

    /// A part of a table as it is now.
    pub(super) fn scan(
        &self,
        table: Table,
        range: &ScanRange,
        order: Order,
        limit: PageLimit,
    ) -> Result<Vec<KeyValue>, EngineError> {
        self.scan_at(&self.database.snapshot(), table, range, order, limit)
    }

    /// A part of a table as it was at an instant.
    pub(super) fn scan_at(
        &self,
        instant: &Snapshot,
        table: Table,
        range: &ScanRange,
        order: Order,
        limit: PageLimit,
    ) -> Result<Vec<KeyValue>, EngineError> {
        let keyspace = self.keyspaces.of(table);
        let mut rest: Iter = instant.range::<&[u8], _>(keyspace, range.bounds());
        let mut page = Page::new(limit);
        while !page.is_full() {
            let next = match order {
                Order::Forward => rest.next(),
                Order::Backward => rest.next_back(),
            };
            let Some(entry) = next else { break };
            let (key, value) = entry.into_inner().map_err(|error| explain(keyspace.path(), error))?;
            page.push(&key, &value);
        }
        Ok(page.into_found())
    }

    /// A number that the entries of a table do not exceed: replaced and deleted ones are counted until they are compacted.
    pub(super) fn entries_at_most(&self, table: Table) -> u64 {
        u64::try_from(self.keyspaces.of(table).approximate_len()).unwrap_or(u64::MAX)
    }

    /// Writes the batch to the journal and syncs it; when this returns, it is on disk.
    pub(super) fn commit(&self, batch: WriteBatch) -> Result<(), EngineError> {
        let mut writing = self.database.batch().durability(Some(PersistMode::SyncAll));
        for change in batch.into_changes() {
            let keyspace = self.keyspaces.of(change.table);
            match change.value {
                Some(value) => writing.insert(keyspace, change.key, value),
                None => writing.remove(keyspace, change.key),
            }
        }
        writing.commit().map_err(|error| explain(&self.directory, error))
    }

    /// Brings everything from memory into sorted tables.
    #[cfg(test)]
    pub(super) fn flush_tables(&self) {
        for table in Table::ALL {
            self.keyspaces.of(table).rotate_memtable_and_wait().expect("space on disk");
        }
    }

    /// Stops the background work and releases the files; every commit is on disk already.
    pub(super) fn close(self) {
        drop(self);
    }
}

//----------- settings ------------------------------------------------------------------------------------------------

/// How a table is stored. Every table has filters that make an absent key cheap, except those whose keys are only ever
/// read when they are there.
fn options(table: Table) -> KeyspaceCreateOptions {
    let options = KeyspaceCreateOptions::default().max_memtable_size(write_buffer_bytes(table));
    match table {
        Table::Header | Table::Body | Table::Piece => options
            .expect_point_read_hits(true)
            .data_block_size_policy(BlockSizePolicy::all(16 * 1_024))
            // Tables with rising keys move down the tree without being rewritten: compress them at once.
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4)),
        Table::Identifier | Table::Request | Table::Prefix | Table::Token | Table::Digest | Table::Note => {
            options.filter_policy(FilterPolicy::new([
                FilterPolicyEntry::Bloom(BloomConstructionPolicy::FalsePositiveRate(0.0001)),
                FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0)),
            ]))
        }
        Table::Meta | Table::Count | Table::Bookmark => options,
    }
}

/// Bytes of a table that are buffered in memory before they are written as a sorted file.
const fn write_buffer_bytes(table: Table) -> u64 {
    match table {
        Table::Identifier | Table::Body => 64 * MEBIBYTE,
        Table::Request | Table::Header | Table::Piece => 32 * MEBIBYTE,
        Table::Meta
        | Table::Prefix
        | Table::Token
        | Table::Count
        | Table::Bookmark
        | Table::Digest
        | Table::Note => 4 * MEBIBYTE,
    }
}

//----------- errors --------------------------------------------------------------------------------------------------

/// Refuses a directory with data but without the file by which fjall recognizes a database: fjall would create a new,
/// empty one there.
fn refuse_headless(directory: &Path) -> Result<(), EngineError> {
    let version = directory.join("version");
    if version.exists() || !(directory.join("keyspaces").exists() || journals(directory)?.next().is_some()) {
        return Ok(());
    }
    Err(EngineError::damaged(&version, "the file is missing"))
}

/// The journal files in a directory.
fn journals(directory: &Path) -> Result<impl Iterator<Item = PathBuf> + use<>, EngineError> {
    let files = std::fs::read_dir(directory).map_err(|error| EngineError::from_io(directory, error))?;
    let paths = files.filter_map(|file| file.ok().map(|file| file.path()));
    Ok(paths.filter(|path| path.extension().is_some_and(|extension| extension == "jnl")))
}

/// Converts an error of fjall at `path`.
fn explain(path: &Path, error: Error) -> EngineError {
    match error {
        Error::Io(source) | Error::Storage(LsmError::Io(source)) => EngineError::from_io(path, source),
        Error::Poisoned => EngineError::Poisoned,
        Error::Locked => {
            let source = std::io::Error::new(std::io::ErrorKind::ResourceBusy, "another process has it open");
            EngineError::Io { path: path.to_path_buf(), source }
        }
        Error::JournalRecovery(found) => EngineError::damaged(&damaged_journal(path), found.to_string()),
        Error::Storage(found) => EngineError::damaged(path, found.to_string()),
        other => EngineError::damaged(path, other.to_string()),
    }
}

/// The journal file, when there is only one; otherwise the directory, because fjall does not report which of them it was.
fn damaged_journal(directory: &Path) -> PathBuf {
    let found: Vec<PathBuf> = journals(directory).map(Iterator::collect).unwrap_or_default();
    match found.as_slice() {
        [only] => only.clone(),
        _ => directory.to_path_buf(),
    }
}
