//! The second engine: sled 0.34, one tree per table, made durable by our own sync.
//!
//! **Durable.** Sled's `flush` hands its log to the operating system and does not wait for the disk. So a commit here is
//! one transaction over all tables it touches, a flush, and our own `fdatasync` of the file `db`. Sled shows a commit
//! to readers as soon as it is in memory; [`Pending`] hides it until it is on disk, and permanently if that fails. One
//! reading call sees every commit completely or not at all; two calls may see different commits, and there is no
//! instant across calls: a snapshot of sled is a fuzzy scan of the live tables.
//!
//! **Power.** Sled uses a segment of the log again once its contents lie elsewhere, and relies on `sync_file_range` for their being
//! on disk, which neither empties the cache of the disk nor brings a new length of the file there. Every commit ends
//! with a sync of the whole file, so this matters only where one commit fills two segments of the log and more, and a power cut
//! finds its later part on disk without its earlier one: then the log may not open.
//!
//! **Inside the log.** Sled moves a page that exceeds a quarter of a segment into a file of its own under `blobs/`, which
//! no sync covers. A leaf holds up to twenty entries whatever their size, so with sled's default segments a few pieces of
//! 16 KiB would suffice, and a power cut would leave a store that does not open. [`SEGMENT_BYTES`] is chosen so that no
//! page within our bounds reaches that size.
//!
//! **Damage.** Sled panics when it meets damage, mostly while opening; [`super::running`] catches that and turns it into
//! an error. Damage in the last segment of the log, and a cut log, silently drop what follows, and may leave a part of the
//! first dropped commit; the store detects that by its dense journal positions and its high-water file.
//!
//! **Faults.** Sled does not take back a transaction that fails while it enters the trees, for example when a page of them
//! cannot be read: a part of it stays, and gets to disk. So what it replaced is retained in a file (see `sled_undo`), and the
//! transaction is repeated once, which completes it after a fault that has passed. After a lasting one the next opening puts
//! back what was replaced, unless the file could not be written either; then the check of the store names the part.
//! After a failed write or sync the files can be opened again within the process (see `renew`).
//! While it opens, sled takes what cannot be read for torn or free, and writes over it. So the whole log is read before, and a
//! log that cannot be read is refused. An error that shows only when the same bytes are read again is not found; a log that
//! fits into memory is not read from the disk again.
//!
//! **Memory.** The cache is not a limit: plan for it plus 90 MB per million identifiers. While a commit enters memory, a
//! lock of the whole process blocks every reader of sled: commit in chunks of about a hundred entries.

use std::{
    fs::File,
    io::{self, BufReader},
    ops::Bound,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ::sled::{
    Config, Db, Error, Transactional, Tree,
    transaction::{ConflictableTransactionError, TransactionError, TransactionalTree},
};

use super::{
    backend::SyncPolicy,
    batch::{Change, KEY_BYTES_MAX, VALUE_BYTES_MAX, WriteBatch},
    error::EngineError,
    files::{sync_directory, sync_file},
    pending::{Gap, Pending},
    renew,
    scan::{KeyValue, Order, Page, PageLimit, ScanRange},
    sled_files::remove_unfinished_snapshots,
    sled_undo::{self, Retained},
    table::{PerTable, Table},
};
use crate::telemetry::Chain;

/// Bytes of one segment of the log; fixed when the store is created.
const SEGMENT_BYTES: usize = 4 * 1_024 * 1_024;
/// Bytes of the log that are read at a time before sled opens it.
const READ_BYTES: usize = 1_024 * 1_024;
/// How often sled's own thread writes, syncs and collects free segments.
const COLLECT_EVERY_MS: u64 = 500;
/// How long an earlier opening in this process may take to release its lock.
const LOCK_WAIT: Duration = Duration::from_secs(2);

const _: () = {
    // A page of up to this size is stored inside the log (its header has less than 64 bytes). A leaf splits above 16
    // entries and merges with an adjacent one of fewer than 4; an index page splits above 256 entries and merges below 64.
    let page_bytes_max = SEGMENT_BYTES / 4 - 64;
    let framing = 32;
    assert!(20 * (KEY_BYTES_MAX + VALUE_BYTES_MAX + framing) <= page_bytes_max);
    assert!(321 * (KEY_BYTES_MAX + framing) <= page_bytes_max);
};

/// An open sled database.
pub(in crate::store) struct Sled {
    /// The log, which is also where damage is.
    log_path: PathBuf,
    log: File,
    database: Db,
    trees: PerTable<Tree>,
    policy: SyncPolicy,
    /// Held by the one commit in progress; true while it is not known to be on disk.
    unsettled: Mutex<bool>,
    /// Held while reading; a commit becomes visible between reads.
    reading: RwLock<()>,
    pending: Mutex<Arc<Pending>>,
    /// Whether a transaction has failed while it entered the trees.
    is_torn: AtomicBool,
    #[cfg(test)]
    torn: std::sync::atomic::AtomicUsize,
}

//----------- opening -------------------------------------------------------------------------------------------------

impl Sled {
    /// Opens or creates the database in `directory`, which exists. Panics when sled does.
    pub(super) fn open(directory: &Path, cache_bytes: u64, policy: SyncPolicy) -> Result<Self, EngineError> {
        let log_path = directory.join("db");
        refuse_headless(directory, &log_path)?;
        remove_unfinished_snapshots(directory)?;
        renew::remove_unfinished(directory)?;
        refuse_unreadable(&log_path)?;
        let config = Config::new()
            .path(directory)
            .cache_capacity(cache_bytes)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(Some(COLLECT_EVERY_MS));
        let explain = |error| explain(&log_path, error);
        let database = open_when_unlocked(&config).map_err(explain)?;
        let trees = PerTable::try_new(|table| database.open_tree(table.name())).map_err(explain)?;
        database.flush().map_err(explain)?;
        let log = File::open(&log_path).map_err(|error| EngineError::from_io(&log_path, error))?;
        sync_file(&log, &log_path)?;
        sync_beside(directory)?;
        let opened = Self {
            log_path,
            log,
            database,
            trees,
            policy,
            unsettled: Mutex::new(false),
            reading: RwLock::new(()),
            pending: Mutex::default(),
            is_torn: AtomicBool::new(false),
            #[cfg(test)]
            torn: 0.into(),
        };
        opened.undo(directory)?;
        Ok(opened)
    }

    /// Before the files are closed after a failed transaction: what it replaced is retained, or an error says that it cannot be.
    pub(super) fn secure_undo(&self) -> Result<(), EngineError> {
        if self.is_torn.load(Ordering::Acquire) {
            sled_undo::save(self.folder(), &self.pending())?;
        }
        Ok(())
    }

    /// Puts back what a transaction replaced that had failed before. Where that fails, the next opening does it.
    pub(super) fn undo(&self, directory: &Path) -> Result<(), EngineError> {
        let Some(batch) = sled_undo::load(directory)? else { return Ok(()) };
        let keys = batch.len();
        self.commit(batch)?;
        sled_undo::remove(directory)?;
        tracing::warn!(directory = %directory.display(), keys, "a change that had failed in part was taken back");
        Ok(())
    }

    /// Lets so many attempts to apply a transaction fail after its first table has entered the trees.
    #[cfg(test)]
    pub(super) fn tear(&mut self, attempts: usize) {
        self.torn = attempts.into();
    }

    /// Syncs another file than the log from now on.
    #[cfg(test)]
    pub(super) fn sync_instead(&mut self, file: File) {
        self.log = file;
    }

    /// Flushes the rest and releases the files.
    pub(super) fn close(self) -> Result<(), EngineError> {
        let Self { log_path, log, database, trees, .. } = self;
        database.flush().map_err(|error| explain(&log_path, error))?;
        drop(trees);
        drop(database);
        sync_file(&log, &log_path)
    }
}

/// Opens sled; waits briefly until the lock of an earlier opening is released.
fn open_when_unlocked(config: &Config) -> Result<Db, Error> {
    let deadline = Instant::now() + LOCK_WAIT;
    loop {
        match config.open() {
            Err(Error::Io(error)) if error.to_string().contains("lock") && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome,
        }
    }
}

/// Refuses a directory that holds sled's other files but not its log: sled would begin a new, empty one.
fn refuse_headless(directory: &Path, log_path: &Path) -> Result<(), EngineError> {
    if directory.join("conf").exists() && !log_path.exists() {
        return Err(EngineError::damaged(log_path, "the file is missing"));
    }
    Ok(())
}

/// Refuses a log of which a part cannot be read.
fn refuse_unreadable(log_path: &Path) -> Result<(), EngineError> {
    let read = File::open(log_path)
        .and_then(|log| io::copy(&mut BufReader::with_capacity(READ_BYTES, log), &mut io::sink()));
    match read {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(EngineError::from_io(log_path, error)),
        // A new database has no log yet.
        _ => Ok(()),
    }
}

/// Brings the small files beside the log, and the names of all files, to disk.
fn sync_beside(directory: &Path) -> Result<(), EngineError> {
    let path = directory.join("conf");
    let conf = File::open(&path).map_err(|error| EngineError::from_io(&path, error))?;
    sync_file(&conf, &path)?;
    sync_directory(directory)
}

//----------- reading -------------------------------------------------------------------------------------------------

impl Sled {
    /// The values of these keys, in the order of the keys; each commit is seen completely or not at all.
    pub(super) fn get_many(
        &self,
        table: Table,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        let _reading = self.reading.read().unwrap_or_else(PoisonError::into_inner);
        let tree = self.trees.of(table);
        let in_tree: Result<Vec<_>, Error> = keys.iter().map(|key| tree.get(key)).collect();
        let in_tree = in_tree.map_err(|error| explain(&self.log_path, error))?;
        // Read after the tree: a commit that has entered the tree meanwhile is found here.
        let pending = self.pending();
        let seen = keys.iter().zip(in_tree).map(|(key, value)| pending.seen(table, key, value));
        Ok(seen.map(|value| value.map(|value| value.to_vec())).collect())
    }

    /// A part of a table; each commit is seen completely or not at all.
    pub(super) fn scan(
        &self,
        table: Table,
        range: &ScanRange,
        order: Order,
        limit: PageLimit,
    ) -> Result<Vec<KeyValue>, EngineError> {
        let _reading = self.reading.read().unwrap_or_else(PoisonError::into_inner);
        let (start, end) = range.bounds();
        let (near, far) = match order {
            Order::Forward => (start, end),
            Order::Backward => (end, start),
        };
        let mut rest = self.trees.of(table).range::<&[u8], _>((start, end));
        let mut pending = Arc::default();
        let mut last = None;
        let mut page = Page::new(limit);
        while !page.is_full() {
            let next = match order {
                Order::Forward => rest.next(),
                Order::Backward => rest.next_back(),
            };
            let next = next.transpose().map_err(|error| explain(&self.log_path, error))?;
            if Pending::is_empty(&pending) {
                // Read after the tree; it cannot be removed while we read.
                pending = self.pending();
            }
            let from = last.as_deref().map_or(near, Bound::Excluded);
            let to = next.as_ref().map_or(far, |(key, _)| Bound::Excluded(key.as_ref()));
            for (key, value) in pending.between(table, Gap::crossed(order, from, to), order) {
                page.push(key, value);
            }
            let Some((key, value)) = next else { break };
            if let Some(value) = pending.seen(table, &key, Some(value)) {
                page.push(&key, &value);
            }
            last = Some(key);
        }
        Ok(page.into_found())
    }

    fn pending(&self) -> Arc<Pending> {
        Arc::clone(&self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn set_pending(&self, pending: Pending) {
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(pending);
    }
}

//----------- writing -------------------------------------------------------------------------------------------------

impl Sled {
    /// Applies the batch as one transaction and brings it to disk; only then readers see it.
    pub(super) fn commit(&self, batch: WriteBatch) -> Result<(), EngineError> {
        let mut unsettled = self.unsettled.lock().map_err(|_| EngineError::Poisoned)?;
        if *unsettled {
            return Err(EngineError::Poisoned);
        }
        *unsettled = true;
        let retained = self.apply(&ByTable::new(batch.into_changes()))?;
        self.database.flush().map_err(|error| explain(&self.log_path, error))?;
        match self.policy {
            SyncPolicy::Full => sync_file(&self.log, &self.log_path)?,
            SyncPolicy::EngineOnly => (),
        }
        if retained == Some(Retained::Now) {
            sled_undo::remove(self.folder())?;
        }
        let _between_readings = self.reading.write().unwrap_or_else(PoisonError::into_inner);
        self.set_pending(Pending::default());
        *unsettled = false;
        Ok(())
    }

    /// Applies the batch, and once more when sled could not read or write: what has entered the trees is the same each time.
    /// What it replaced is retained before, and when sled panics. Returns whether that was done.
    fn apply(&self, batch: &ByTable) -> Result<Option<Retained>, EngineError> {
        let _in_panic = RetainInPanic(self);
        let Err(error) = self.apply_once(batch) else { return Ok(None) };
        let retained = self.retain_replaced();
        let error = match error {
            TransactionError::Storage(Error::Io(_)) => match self.apply_once(batch) {
                Ok(()) => return Ok(retained),
                Err(error) => error,
            },
            error => error,
        };
        self.is_torn.store(true, Ordering::Release);
        Err(match error {
            TransactionError::Storage(error) => explain(&self.log_path, error),
            TransactionError::Abort(()) => EngineError::Poisoned,
        })
    }

    /// Writes the values before a failed transaction, of all its keys, into a file, unless none can have entered the trees.
    fn retain_replaced(&self) -> Option<Retained> {
        let pending = self.pending();
        if pending.is_empty() {
            return None;
        }
        match sled_undo::save(self.folder(), &pending) {
            Ok(retained) => Some(retained),
            Err(error) => {
                tracing::error!(
                    error = %Chain(&error),
                    "a change has failed, and what it replaced could not be retained: a part of it may be there after a \
                     restart; `idnode store check` names it"
                );
                None
            }
        }
    }

    fn folder(&self) -> &Path {
        self.log_path.parent().unwrap_or(&self.log_path)
    }

    /// One transaction over the trees of the batch. The replaced values are recorded before sled admits readers again; those
    /// that an earlier attempt has recorded stay.
    fn apply_once(&self, batch: &ByTable) -> Result<(), TransactionError<()>> {
        #[cfg(test)]
        if self.is_torn(batch) {
            return Err(TransactionError::Storage(Error::Io(io::Error::from_raw_os_error(5))));
        }
        let trees: Vec<Tree> = batch.tables.iter().map(|table| self.trees.of(*table).clone()).collect();
        let is_recorded = !Pending::is_empty(&self.pending());
        trees.transaction(|trees: &Vec<TransactionalTree>| {
            let mut noted = Pending::default();
            for ((tree, table), changes) in trees.iter().zip(&batch.tables).zip(&batch.changes) {
                for change in changes {
                    let before = match &change.value {
                        Some(value) => tree.insert(change.key.as_slice(), value.as_slice())?,
                        None => tree.remove(change.key.as_slice())?,
                    };
                    noted.note(*table, &change.key, before);
                }
            }
            if !is_recorded {
                self.set_pending(noted);
            }
            Ok::<_, ConflictableTransactionError<()>>(())
        })
    }
}

#[cfg(test)]
impl Sled {
    /// Whether this attempt is to fail; then the changes of the first table have entered the trees.
    fn is_torn(&self, batch: &ByTable) -> bool {
        use Ordering::Relaxed;
        if self.torn.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_err() {
            return false;
        }
        let mut noted = Pending::default();
        for (table, changes) in batch.tables.iter().zip(&batch.changes) {
            for change in changes {
                noted.note(*table, &change.key, self.trees.of(*table).get(&change.key).unwrap());
            }
        }
        if Pending::is_empty(&self.pending()) {
            self.set_pending(noted);
        }
        for change in &batch.changes[0] {
            match &change.value {
                Some(value) => self.trees.of(batch.tables[0]).insert(&change.key, value.as_slice()).unwrap(),
                None => self.trees.of(batch.tables[0]).remove(&change.key).unwrap(),
            };
        }
        self.database.flush().unwrap();
        true
    }
}

/// Retains what a transaction replaced when sled panics in it.
struct RetainInPanic<'a>(&'a Sled);

impl Drop for RetainInPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.retain_replaced();
        }
    }
}

/// The changes of a batch, table by table, in the order they were made.
struct ByTable {
    tables: Vec<Table>,
    changes: Vec<Vec<Change>>,
}

impl ByTable {
    fn new(changes: Vec<Change>) -> Self {
        let mut tables = std::collections::BTreeMap::<Table, Vec<Change>>::new();
        for change in changes {
            tables.entry(change.table).or_default().push(change);
        }
        let (tables, changes) = tables.into_iter().unzip();
        Self { tables, changes }
    }
}

//----------- errors --------------------------------------------------------------------------------------------------

/// Converts an error of sled.
fn explain(log_path: &Path, error: Error) -> EngineError {
    match error {
        Error::Io(source) => EngineError::from_io(log_path, source),
        Error::Corruption { .. } | Error::CollectionNotFound(_) | Error::ReportableBug(_) => {
            EngineError::damaged(log_path, error.to_string())
        }
        Error::Unsupported(text) => {
            let source = io::Error::new(io::ErrorKind::Unsupported, text);
            EngineError::Io { path: log_path.to_path_buf(), source }
        }
    }
}
