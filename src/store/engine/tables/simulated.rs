//! An engine in memory, for tests: its disk keeps what was synced when the power is cut, and fails when a test asks for it.
//!
//! ```text
//!   commit ─▶ written (in the cache of the operating system) ─ sync ─▶ durable, visible
//!                │ power cut: the first few written batches survive, the rest is gone
//!                └ kill: all of it survives
//! ```
//! A disk outlives the engines that open it. It belongs to the folder that holds its number, so that a folder that is
//! renamed takes its disk along.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::backend::SyncPolicy;
use super::batch::{Change, WriteBatch};
use super::error::EngineError;
use super::scan::{KeyValue, Order, Page, PageLimit, ScanRange};
use super::table::Table;

/// The file that holds the number of a folder's disk.
pub(super) const MAIN_FILE: &str = "disk";

/// All tables: each key with its value, in order.
type Tables = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// Every disk, by its number.
static DISKS: Mutex<Vec<Disk>> = Mutex::new(Vec::new());

//----------- Disk -----------------------------------------------------------

/// A fault of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskFault {
    /// The next write fails before anything is written.
    WriteFails,
    /// The next write fails before anything is written, because no file can be opened.
    NoDescriptors,
    /// The next sync fails; the batch is written, and it is not known how far.
    SyncFails,
    /// The power is cut in the next commit; the batches before it survive.
    PowerCut {
        /// Whether the batch itself survives.
        survives: bool,
    },
}

/// What a simulated disk holds. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    content: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    durable: Tables,
    visible: Tables,
    /// Batches that are written and not synced.
    written: Vec<Vec<Change>>,
    fault: Option<DiskFault>,
    /// Raised by each crash: engines that were open before have ended with their process.
    crashes: u64,
}

impl Disk {
    /// The disk of an engine's folder.
    pub(crate) fn of(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join(MAIN_FILE)).expect("the folder has a disk");
        let number: usize = text.trim().parse().expect("the number of a disk");
        DISKS.lock().unwrap_or_else(PoisonError::into_inner).get(number).expect("a known disk").clone()
    }

    /// The disk of a folder, which gets a new one when it has none.
    fn of_or_new(folder: &Path) -> Result<Self, EngineError> {
        let path = folder.join(MAIN_FILE);
        if !path.exists() {
            let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
            disks.push(Self::default());
            let written = fs::write(&path, (disks.len() - 1).to_string());
            written.map_err(|error| EngineError::from_io(&path, error))?;
        }
        Ok(Self::of(folder))
    }

    /// Lets the next commit fail.
    pub(crate) fn fail_next(&self, fault: DiskFault) {
        self.lock().fault = Some(fault);
    }

    /// Ends the process that uses the disk: what is written survives.
    pub(crate) fn kill(&self) {
        let mut content = self.lock();
        let written = content.written.len();
        content.crash(written);
    }

    /// Cuts the power: of the batches that are written and not synced, the first `survivors` survive.
    pub(crate) fn cut_power(&self, survivors: usize) {
        self.lock().crash(survivors);
    }

    /// Writes anew what the cache of the operating system holds, and syncs it; whoever opens the disk then sees it.
    pub(super) fn renew(&self) {
        let mut content = self.lock();
        content.sync();
        content.visible = content.durable.clone();
    }

    /// Forgets everything, to release the memory.
    pub(crate) fn discard(&self) {
        *self.lock() = Content::default();
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn crash(&mut self, survivors: usize) {
        let written: Vec<Vec<Change>> = self.written.drain(..).collect();
        written.into_iter().take(survivors).for_each(|batch| apply(&mut self.durable, batch));
        self.visible = self.durable.clone();
        self.fault = None;
        self.crashes += 1;
    }

    fn sync(&mut self) {
        let written: Vec<Vec<Change>> = self.written.drain(..).collect();
        written.into_iter().for_each(|batch| apply(&mut self.durable, batch));
    }
}

fn apply(tables: &mut Tables, batch: Vec<Change>) {
    for Change { table, key, value } in batch {
        match value {
            Some(value) => tables.insert((table, key), value),
            None => tables.remove(&(table, key)),
        };
    }
}

//----------- Simulated ------------------------------------------------------

/// An engine that has opened a simulated disk.
pub(in crate::store) struct Simulated {
    folder: PathBuf,
    disk: Disk,
    policy: SyncPolicy,
    /// The disk's count of crashes when it was opened.
    opened_after: u64,
}

impl Simulated {
    /// Opens the disk of a folder, which exists.
    pub(super) fn open(folder: &Path, policy: SyncPolicy) -> Result<Self, EngineError> {
        let disk = Disk::of_or_new(folder)?;
        let opened_after = disk.lock().crashes;
        Ok(Self { folder: folder.to_path_buf(), disk, policy, opened_after })
    }

    /// The disk, unless the process that opened it has ended.
    fn content(&self) -> Result<MutexGuard<'_, Content>, EngineError> {
        let content = self.disk.lock();
        if content.crashes == self.opened_after { Ok(content) } else { Err(EngineError::NotOpen) }
    }

    /// The values of these keys, in the order of the keys.
    pub(super) fn get_many(
        &self,
        table: Table,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        let content = self.content()?;
        Ok(keys.iter().map(|key| content.visible.get(&(table, key.clone())).cloned()).collect())
    }

    /// A part of a table, in order.
    pub(super) fn scan(
        &self,
        table: Table,
        range: &ScanRange,
        order: Order,
        limit: PageLimit,
    ) -> Result<Vec<KeyValue>, EngineError> {
        let content = self.content()?;
        let bounds = range.bounds();
        let of_table = content.visible.range((table, Vec::new())..).take_while(|((its, _), _)| *its == table);
        let mut found: Vec<(&[u8], &[u8])> = of_table
            .map(|((_, key), value)| (key.as_slice(), value.as_slice()))
            .filter(|(key, _)| RangeBounds::<[u8]>::contains(&bounds, *key))
            .collect();
        if order == Order::Backward {
            found.reverse();
        }
        let mut page = Page::new(limit);
        found.into_iter().for_each(|(key, value)| page.push(key, value));
        Ok(page.into_found())
    }

    /// Writes the batch and syncs it; only then it is visible.
    pub(super) fn commit(&self, batch: WriteBatch) -> Result<(), EngineError> {
        let mut content = self.content()?;
        let changes = batch.into_changes();
        let fault = content.fault.take();
        if fault == Some(DiskFault::WriteFails) {
            return Err(EngineError::Full { path: self.folder.clone() });
        }
        if fault == Some(DiskFault::NoDescriptors) {
            return Err(EngineError::from_io(&self.folder, nix::errno::Errno::EMFILE.into()));
        }
        content.written.push(changes.clone());
        match fault {
            Some(DiskFault::SyncFails) => {
                let source = std::io::Error::other("a simulated fault");
                return Err(EngineError::Io { path: self.folder.clone(), source });
            }
            Some(DiskFault::PowerCut { survives }) => {
                let written = content.written.len();
                content.crash(if survives { written } else { written - 1 });
                return Err(EngineError::NotOpen);
            }
            Some(DiskFault::WriteFails | DiskFault::NoDescriptors) | None => {}
        }
        if self.policy == SyncPolicy::Full {
            content.sync();
        }
        apply(&mut content.visible, changes);
        Ok(())
    }
}
