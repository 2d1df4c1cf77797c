//! Disks that fail: after a failed write nothing more is taken, readers see what was there before, and the next opening finds
//! each commit whole or not at all.

use std::ops::Bound;
use std::time::Duration;

use tempfile::TempDir;

use super::{CACHE_BYTES, EVERYTHING, all, fresh, get, key, noise, open, puts};
use crate::store::engine::tables::backend::{Backend, SyncPolicy};
use crate::store::engine::tables::batch::WriteBatch;
use crate::store::engine::tables::scan::{Order, PageLimit, ScanRange};
use crate::store::engine::tables::table::Table;
use crate::store::engine::{EngineError, EngineKind};

/// Our sync is made to fail by a file that cannot be synced.
#[tokio::test]
async fn sled_takes_nothing_after_a_failed_sync() {
    let (directory, engine) = fresh(EngineKind::Sled).await;
    engine.commit(puts(Table::Meta, [(key(1), vec![1]), (key(2), vec![1])])).await.unwrap();
    engine.fail_syncs();
    let mut batch = puts(Table::Meta, [(key(1), vec![2]), (key(3), vec![2])]);
    batch.delete(Table::Meta, key(2));
    let failed = engine.commit(batch).await.unwrap_err();
    assert!(matches!(&failed, EngineError::Io { path, .. } if path.ends_with("db")), "{failed:?}");
    for _ in 0..2 {
        let refused = engine.commit(puts(Table::Meta, [(key(4), vec![2])])).await;
        assert!(matches!(refused, Err(EngineError::Poisoned)));
    }
    let before = [(key(1), vec![1]), (key(2), vec![1])];
    assert_eq!(all(&engine, Table::Meta).await, before);
    let backward = engine.scan(Table::Meta, ScanRange::all(), Order::Backward, EVERYTHING).await.unwrap();
    assert_eq!(backward, before.iter().rev().cloned().collect::<Vec<_>>());
    let one = PageLimit { entries: 1, bytes: usize::MAX };
    let beyond = ScanRange { start: Bound::Excluded(key(1)), end: Bound::Unbounded };
    assert_eq!(engine.scan(Table::Meta, beyond, Order::Forward, one).await.unwrap(), [(key(2), vec![1])]);
    let many = engine.get_many(Table::Meta, vec![key(1), key(2), key(3)]).await.unwrap();
    assert_eq!(many, [Some(vec![1]), Some(vec![1]), None]);
    drop(engine);
    let engine = open(EngineKind::Sled, &directory.path().join("engine")).await;
    engine.commit(puts(Table::Meta, [(key(4), vec![3])])).await.unwrap();
    assert_eq!(get(&engine, Table::Meta, &key(4)).await, Some(vec![3]));
}

/// A store, and a batch of which the first table enters the trees when it is torn.
async fn with_torn_batch() -> (TempDir, Backend, WriteBatch) {
    let (directory, engine) = fresh(EngineKind::Sled).await;
    let mut first = puts(Table::Meta, [(key(1), vec![1]), (key(2), vec![1])]);
    first.put(Table::Piece, key(7), vec![1]);
    engine.commit(first).await.unwrap();
    let mut torn = puts(Table::Meta, [(key(1), vec![2]), (key(3), vec![2])]);
    torn.delete(Table::Meta, key(2));
    torn.put(Table::Piece, key(8), vec![2]);
    (directory, engine, torn)
}

/// A transaction enters the trees in part, as when a page of the others cannot be read, and its repetition too.
#[tokio::test]
async fn sled_takes_back_a_transaction_that_failed_in_the_trees() {
    let (directory, engine, torn) = with_torn_batch().await;
    let folder = directory.path().join("engine");
    engine.tear(2);
    let failed = engine.commit(torn).await.unwrap_err();
    assert!(matches!(&failed, EngineError::Io { path, .. } if path.ends_with("db")), "{failed:?}");
    assert!(folder.join("undo").exists());
    drop(engine);
    for _ in 0..2 {
        let engine = open(EngineKind::Sled, &folder).await;
        assert_eq!(all(&engine, Table::Meta).await, [(key(1), vec![1]), (key(2), vec![1])]);
        assert_eq!(all(&engine, Table::Piece).await, [(key(7), vec![1])]);
        assert!(!folder.join("undo").exists());
        engine.close().await.unwrap();
    }
}

/// What is to be put back is not replaced by what an opening found that failed to put it back.
#[tokio::test]
async fn sled_takes_back_a_transaction_at_a_later_opening() {
    let (directory, engine, torn) = with_torn_batch().await;
    let folder = directory.path().join("engine");
    engine.tear(2);
    engine.commit(torn).await.unwrap_err();
    drop(engine);
    let retained = std::fs::read(folder.join("undo")).unwrap();
    let engine = open(EngineKind::Sled, &folder).await;
    engine.commit(puts(Table::Meta, [(key(1), vec![5])])).await.unwrap();
    std::fs::write(folder.join("undo"), &retained).unwrap();
    engine.tear(2);
    engine.fail_undo(&folder);
    assert_eq!(std::fs::read(folder.join("undo")).unwrap(), retained);
    drop(engine);
    let engine = open(EngineKind::Sled, &folder).await;
    assert_eq!(get(&engine, Table::Meta, &key(1)).await, Some(vec![1]));
}

#[tokio::test]
async fn sled_completes_a_transaction_after_a_fault_that_has_passed() {
    let (directory, engine, torn) = with_torn_batch().await;
    let folder = directory.path().join("engine");
    engine.tear(1);
    engine.commit(torn).await.unwrap();
    assert!(!folder.join("undo").exists());
    engine.commit(puts(Table::Meta, [(key(4), vec![3])])).await.unwrap();
    engine.close().await.unwrap();
    let engine = open(EngineKind::Sled, &folder).await;
    let now = [(key(1), vec![2]), (key(3), vec![2]), (key(4), vec![3])];
    assert_eq!(all(&engine, Table::Meta).await, now);
    assert_eq!(all(&engine, Table::Piece).await, [(key(7), vec![1]), (key(8), vec![2])]);
}

#[tokio::test]
async fn sled_does_not_open_beside_a_damaged_undo_file() {
    let (directory, engine, torn) = with_torn_batch().await;
    let folder = directory.path().join("engine");
    engine.tear(2);
    engine.commit(torn).await.unwrap_err();
    drop(engine);
    let mut content = std::fs::read(folder.join("undo")).unwrap();
    *content.last_mut().unwrap() ^= 1;
    std::fs::write(folder.join("undo"), content).unwrap();
    let refused = Backend::open(EngineKind::Sled, &folder, CACHE_BYTES).await.map(drop);
    assert!(
        matches!(&refused, Err(EngineError::Damaged { path, .. }) if path.ends_with("undo")),
        "{refused:?}"
    );
}

/// The log is there and cannot be read: here it is a directory.
#[tokio::test]
async fn sled_does_not_open_a_log_that_it_cannot_read() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("db")).unwrap();
    let refused = Backend::open(EngineKind::Sled, directory.path(), CACHE_BYTES).await.map(drop);
    assert!(matches!(&refused, Err(EngineError::Io { path, .. }) if path.ends_with("db")), "{refused:?}");
    assert!(!directory.path().join("conf").exists(), "sled was not asked");
}

/// The background writing of tables is made to fail by taking their directory away.
#[tokio::test]
async fn fjall_takes_nothing_after_a_failed_write() {
    let (directory, engine) = fresh(EngineKind::Fjall).await;
    std::fs::remove_dir_all(directory.path().join("engine/keyspaces")).unwrap();
    let write = async {
        for number in 0.. {
            let entries = (0..40).map(|slot| (key(number * 40 + slot), noise(slot, 20_000)));
            if let Err(error) = engine.commit(puts(Table::Count, entries)).await {
                return error;
            }
        }
        EngineError::NotOpen
    };
    let failed = tokio::time::timeout(Duration::from_secs(300), write).await.unwrap();
    assert!(matches!(failed, EngineError::Poisoned), "{failed:?}");
    let refused = engine.commit(puts(Table::Meta, [(key(1), vec![])])).await;
    assert!(matches!(refused, Err(EngineError::Poisoned)));
    assert_eq!(get(&engine, Table::Count, &key(0)).await.map(|value| value.len()), Some(20_000));
}

#[tokio::test]
async fn sled_without_our_sync_still_reads_what_it_wrote() {
    let directory = tempfile::tempdir().unwrap();
    let opened = Backend::open_with(EngineKind::Sled, directory.path(), CACHE_BYTES, SyncPolicy::EngineOnly);
    let engine = opened.await.unwrap();
    engine.commit(puts(Table::Meta, [(key(1), vec![1])])).await.unwrap();
    assert_eq!(get(&engine, Table::Meta, &key(1)).await, Some(vec![1]));
}
