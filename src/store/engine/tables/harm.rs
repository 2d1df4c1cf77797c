//! Damage done on purpose, for tests: entries lost or changed behind the store's back, and disks that fail.

use super::Tables;
use super::batch::WriteBatch;
use super::scan::{Order, PageLimit, ScanRange};
use super::table::Table;
use crate::store::entry::{EntryKey, Readable};

impl Tables {
    /// From now on no commit reaches the disk. On sled only.
    pub(in crate::store) fn fail_syncs(&self) {
        self.backend.fail_syncs();
    }

    /// Holds every write that begins from now on, or releases them all.
    pub(in crate::store) fn hold_writes(&self, hold: bool) {
        self.backend.hold_writes(hold);
    }

    /// Holds every write that begins from now on, with its usual deadline.
    pub(in crate::store) fn hold_writes_patiently(&self) {
        self.backend.hold_writes_patiently();
    }

    /// Brings everything from the engine's memory into its tables, where it has such.
    pub(in crate::store) async fn flush(&self) {
        self.backend.flush_tables().await;
    }

    /// Number of pieces of all entries.
    pub(in crate::store) async fn count_pieces(&self) -> usize {
        let limit = PageLimit { entries: 10_000, bytes: usize::MAX };
        let page = self.backend.scan(Table::Piece, ScanRange::all(), Order::Forward, limit).await;
        page.expect("the table reads").len()
    }

    /// Loses the entry under a key.
    pub(in crate::store) async fn lose<R: Readable>(&self, key: &R::Key) {
        let mut batch = WriteBatch::new();
        batch.delete(Table::from(R::KIND), key.to_bytes());
        self.backend.commit(batch).await.expect("the engine writes");
    }

    /// Changes a bit of the entry under a key.
    pub(in crate::store) async fn flip<R: Readable>(&self, key: &R::Key) {
        let (table, key) = (Table::from(R::KIND), key.to_bytes());
        let stored = self.backend.get_many(table, vec![key.clone()]).await;
        let mut stored = stored.expect("the table reads").remove(0).expect("the entry");
        *stored.last_mut().expect("some bytes") ^= 1;
        let mut batch = WriteBatch::new();
        batch.put(table, key, stored);
        self.backend.commit(batch).await.expect("the engine writes");
    }
}
