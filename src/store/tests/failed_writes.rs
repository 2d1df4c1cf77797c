//! A block that is decided while another is written, and a store that recovers from a failed write without a restart.

use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::{canonical, change, commit, data_of, opened, present};
use crate::store::error::Error;
use crate::store::open::{Opened, engine_folder};
use crate::store::simulated::{Disk, DiskFault};
use crate::store::writer::recovery::Pauses;
use crate::store::writer::{Block, BlockOutcome, JournalWriter, Proposed, Recovery, Standing};
use crate::store::{EngineError, EngineKind, Store};

const A: &str = "88.118/A";
const B: &str = "88.118/B";

fn disk(directory: &Path) -> Disk {
    Disk::of(&directory.join(engine_folder(EngineKind::Simulated)))
}

fn block(writer: &JournalWriter, changes: Vec<Proposed>) -> Block {
    Block { since: writer.end().position(), changes, remembered: Vec::new() }
}

fn register(name: &str, data: &[u8]) -> Vec<Proposed> {
    vec![change(name, Some(data), 1, None)]
}

/// A store in which A has been registered, and its directory.
async fn store_with_a(engine: EngineKind) -> (TempDir, Store, JournalWriter) {
    let directory = tempfile::tempdir().expect("a directory");
    let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
    commit(&mut writer, register(A, b"one")).await;
    (directory, store, writer)
}

/// Overwrites A, as the writer sees it, and registers B.
async fn overwrite_a_and_register_b(writer: &JournalWriter) -> Block {
    let read = writer.view().identifiers(&[canonical(A), canonical(B)]).await.expect("it reads");
    let [Some(a), None] = read.as_slice() else { panic!("{read:?}") };
    let version = a.version + 1;
    let changes = vec![
        change(A, Some(format!("version {version}").as_bytes()), version, Some(a.mark())),
        change(B, Some(b"other"), 1, None),
    ];
    block(writer, changes)
}

//----------- Two blocks at a time -------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_decided_on_the_one_that_is_being_written() {
    for engine in [EngineKind::Simulated, EngineKind::Fjall, EngineKind::Sled] {
        let (directory, store, mut writer) = store_with_a(engine).await;
        let settled = store.end();
        store.hold_writes_patiently();
        let a = present(&store, A).await.expect("A");
        let first = block(&writer, vec![change(A, Some(&[7; 20_000]), 2, Some(a.mark()))]);
        let first = writer.append(first).await;
        assert_eq!((store.end(), data_of(&present(&store, A).await.expect("A"))), (settled, b"one".to_vec()));
        assert_eq!(writer.end().sequence, settled.sequence + 1);

        let second = overwrite_a_and_register_b(&writer).await;
        let (second, ()) = tokio::join!(writer.append(second), async { store.hold_writes(false) });
        assert_eq!(first.settled().await, BlockOutcome::Committed, "{engine}");
        assert_eq!(second.settled().await, BlockOutcome::Committed, "{engine}");
        assert_eq!(second.positions.last(), Some(&store.head()));
        let a = present(&store, A).await.expect("A");
        assert_eq!((a.version, data_of(&a), store.count()), (3, b"version 3".to_vec(), 2));
        // The pieces of the long state were replaced with it, although it was not on disk when that was decided. Those of the journal
        // entry stay.
        assert_eq!(store.count_pieces().await, 2, "{engine}");
        let headers = store.headers_from(first.positions[0].sequence, 3).await.expect("the journal reads");
        assert_eq!(headers[1].previous, Some(first.positions[0].sequence));

        store.close(writer).await.expect("it closes");
        let Opened { store, writer, report } = opened(directory.path(), engine).await;
        assert_eq!((report.repaired, store.read_only_reason(), store.count()), (0, None, 2));
        store.close(writer).await.expect("it closes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_on_one_that_does_not_settle_shares_its_outcome() {
    for (fault, is_there) in [(DiskFault::SyncFails, true), (DiskFault::WriteFails, false)] {
        let (directory, store, mut writer) = store_with_a(EngineKind::Simulated).await;
        let settled = store.end();
        store.hold_writes_patiently();
        disk(directory.path()).fail_next(fault);
        let a = present(&store, A).await.expect("A");
        let first = block(&writer, vec![change(A, Some(b"two"), 2, Some(a.mark()))]);
        let first = writer.append(first).await;
        let second = overwrite_a_and_register_b(&writer).await;
        let (second, ()) = tokio::join!(writer.append(second), async { store.hold_writes(false) });
        let outcome = first.settled().await;
        assert!(matches!(outcome, BlockOutcome::Unsure { .. }), "{fault:?}: {outcome:?}");
        assert_eq!(second.settled().await, outcome);
        assert_eq!((store.end(), writer.end()), (settled, settled));

        writer.recover().await.expect("the disk works again");
        assert_eq!(data_of(&present(&store, A).await.expect("A")), if is_there { b"two" } else { b"one" });
        assert!(present(&store, B).await.is_none(), "{fault:?}: the second was never written");
        let third = overwrite_a_and_register_b(&writer).await;
        writer.commit(third).await.expect("changes are accepted");
        disk(directory.path()).cut_power(0);
        drop((store, writer));
        let Opened { store, .. } = opened(directory.path(), EngineKind::Simulated).await;
        assert_eq!((store.read_only_reason(), store.count()), (None, 2));
        assert_eq!(present(&store, A).await.expect("A").version, if is_there { 3 } else { 2 });
    }
}

/// A disk fault inside a commit may leave a part of it: what the journal leads to is there before changes are accepted again.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_the_journal_leads_to_is_redone_when_the_store_recovers() {
    let (directory, store, mut writer) = store_with_a(EngineKind::Simulated).await;
    store.lose_state(A).await;
    disk(directory.path()).fail_next(DiskFault::WriteFails);
    let failed = block(&writer, register(B, b"other"));
    writer.commit(failed).await.expect_err("the disk fails");
    writer.recover().await.expect("the disk works again");
    assert_eq!(data_of(&present(&store, A).await.expect("it was redone")), b"one");
    assert_eq!(store.standing(), Standing::Open);
}

/// The process, or the power, ends while one block is written and another waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_two_blocks_leaves_the_first_or_none() {
    let cuts =
        [None, Some(DiskFault::PowerCut { survives: false }), Some(DiskFault::PowerCut { survives: true })];
    for cut in cuts {
        let (directory, store, mut writer) = store_with_a(EngineKind::Simulated).await;
        store.hold_writes_patiently();
        cut.into_iter().for_each(|cut| disk(directory.path()).fail_next(cut));
        let a = present(&store, A).await.expect("A");
        let first = block(&writer, vec![change(A, Some(b"two"), 2, Some(a.mark()))]);
        let first = writer.append(first).await;
        let second = overwrite_a_and_register_b(&writer).await;
        if cut.is_none() {
            disk(directory.path()).kill();
        }
        let (second, ()) = tokio::join!(writer.append(second), async { store.hold_writes(false) });
        for appended in [&first, &second] {
            let outcome = appended.settled().await;
            assert_ne!(outcome, BlockOutcome::Committed, "{cut:?}");
        }
        drop((store, writer));
        let Opened { store, writer, .. } = opened(directory.path(), EngineKind::Simulated).await;
        let survives = cut == Some(DiskFault::PowerCut { survives: true });
        let a = present(&store, A).await.expect("A was acknowledged");
        assert_eq!((a.version, store.count()), (if survives { 2 } else { 1 }, 1), "{cut:?}");
        assert_eq!((store.read_only_reason(), store.end()), (None, writer.end()));
    }
}

//----------- Recovery -------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_sync_left_is_written_anew_before_it_is_shown() {
    let (directory, store, mut writer) = store_with_a(EngineKind::Simulated).await;
    disk(directory.path()).fail_next(DiskFault::SyncFails);
    let failed = writer.commit(block(&writer, register(B, b"other"))).await;
    assert!(matches!(failed, Err(Error::Unsure { .. })), "{failed:?}");
    let Standing::Unsure { reason, .. } = store.standing() else { panic!("{:?}", store.standing()) };
    assert_eq!(store.read_only_reason(), Some(reason.clone()));
    writer.settle().await;
    let refused = writer.commit(block(&writer, register(B, b"other"))).await;
    assert!(matches!(refused, Err(Error::ReadOnly { reason: found }) if found == reason));
    assert!(present(&store, B).await.is_none());

    writer.recover().await.expect("the disk works again");
    assert_eq!(store.standing(), Standing::Open);
    assert_eq!(data_of(&present(&store, B).await.expect("B")), b"other");
    disk(directory.path()).cut_power(0);
    drop((store, writer));
    let Opened { store, .. } = opened(directory.path(), EngineKind::Simulated).await;
    assert_eq!((store.read_only_reason(), store.count()), (None, 2), "what was shown stays");
}

/// Our own sync is made to fail by a file that cannot be synced.
#[tokio::test(flavor = "multi_thread")]
async fn sled_recovers_from_a_failed_sync_over_a_copy_of_its_log() {
    let (directory, store, mut writer) = store_with_a(EngineKind::Sled).await;
    store.fail_syncs();
    let failed = writer.commit(block(&writer, register(B, &[7; 20_000]))).await;
    assert!(matches!(failed, Err(Error::Unsure { .. })), "{failed:?}");
    assert!(present(&store, B).await.is_none());
    let log = directory.path().join("sled/db");
    let number = |path: &Path| std::os::unix::fs::MetadataExt::ino(&path.metadata().expect("the log"));
    let before = number(&log);
    writer.recover().await.expect("the disk works again");
    assert_ne!(number(&log), before, "another file");
    assert_eq!(data_of(&present(&store, B).await.expect("B")), [7; 20_000]);
    reads_back(&directory, store, writer, EngineKind::Sled).await;
}

/// Writing the log anew is made to fail, once the files are closed, by a directory in the place of the copy.
#[tokio::test(flavor = "multi_thread")]
async fn sled_recovers_after_an_attempt_that_failed_with_its_files_closed() {
    let (directory, store, mut writer) = store_with_a(EngineKind::Sled).await;
    store.fail_syncs();
    let failed = writer.commit(block(&writer, register(B, &[7; 20_000]))).await;
    assert!(matches!(failed, Err(Error::Unsure { .. })), "{failed:?}");
    let copy = directory.path().join("sled/renewed.new");
    std::fs::create_dir(&copy).expect("made");
    for _ in 0..2 {
        let failed = writer.recover().await;
        assert!(matches!(failed, Err(Error::Engine(EngineError::Io { .. }))), "{failed:?}");
        let unread = store.identifiers(&[canonical(A)]).await.err();
        assert!(matches!(unread, Some(Error::Engine(EngineError::NotOpen))), "{unread:?}");
    }

    std::fs::remove_dir(&copy).expect("removed");
    writer.recover().await.expect("the copy can be written");
    assert_eq!(store.standing(), Standing::Open);
    assert_eq!(data_of(&present(&store, B).await.expect("B")), [7; 20_000]);
    reads_back(&directory, store, writer, EngineKind::Sled).await;
}

/// The background writing of tables is made to fail by taking their directory away for a time.
#[tokio::test(flavor = "multi_thread")]
async fn fjall_recovers_from_a_failed_write_over_new_tables_and_a_new_journal() {
    let (directory, store, mut writer) = store_with_a(EngineKind::Fjall).await;
    let folder = directory.path().join("fjall");
    let (keyspaces, away) = (folder.join("keyspaces"), directory.path().join("away"));
    std::fs::rename(&keyspaces, &away).expect("moved");
    let mut numbers = 0..2_000;
    let failed = loop {
        let name = format!("88.118/{}", numbers.next().expect("the background work fails at last"));
        if let Err(error) = writer.commit(block(&writer, register(&name, &[7; 200_000]))).await {
            break error;
        }
    };
    assert!(matches!(failed, Error::ReadOnly { .. }), "{failed:?}");
    assert!(matches!(store.standing(), Standing::Unsure { .. }));
    let (count, mut image) = (store.count(), store.image().await.expect("an image"));
    writer.recover().await.expect_err("the tables are away");
    assert!(matches!(store.standing(), Standing::Unsure { .. }));

    std::fs::rename(&away, &keyspaces).expect("moved back");
    writer.recover().await.expect("the disk works again");
    assert_eq!((store.standing(), store.count()), (Standing::Open, count));
    let outdated = image.next().await.err();
    assert!(matches!(outdated, Some(Error::Engine(EngineError::Reopened))), "{outdated:?}");
    commit(&mut writer, register(B, b"other")).await;
    reads_back(&directory, store, writer, EngineKind::Fjall).await;
}

/// Times of recovery that a test can wait for.
const PAUSES: Pauses = Pauses {
    first: Duration::from_millis(4),
    max: Duration::from_millis(40),
    forget_after: Duration::from_secs(600),
};

/// Lets a write fail after each recovery, up to so many times. Returns how long each first attempt waited, until the store stopped.
async fn fail_after_each_recovery(
    fault: DiskFault,
    pauses: Pauses,
    rounds: u64,
) -> (Vec<Duration>, Standing) {
    let (directory, store, mut writer) = store_with_a(EngineKind::Simulated).await;
    let mut recovery = Recovery::with(store.clone(), pauses);
    let mut waited = Vec::new();
    for round in 1..=rounds {
        disk(directory.path()).fail_next(fault);
        let a = present(&store, A).await.expect("A");
        let change = change(A, Some(b"again"), a.version + 1, Some(a.mark()));
        writer.commit(block(&writer, vec![change])).await.expect_err("it is made to fail");
        let begun = Instant::now();
        tokio::select! {
            () = recovery.due() => waited.push(begun.elapsed()),
            stopped = store.recovered() => return (waited, stopped),
        }
        recovery.attempt(&mut writer).await;
        assert_eq!(store.standing(), Standing::Open, "round {round}");
    }
    (waited, store.standing())
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_fail_after_each_recovery_stop_the_store() {
    let (waited, standing) = fail_after_each_recovery(DiskFault::SyncFails, PAUSES, 20).await;
    let Standing::Stopped { reason } = standing else { panic!("{standing:?}") };
    assert!(reason.starts_with("writes fail again after the files were opened again"), "{reason}");
    let least = [0, 4, 8, 16, 32, 40].map(Duration::from_millis);
    assert_eq!(waited.len(), least.len(), "{waited:?}");
    assert!(waited.iter().zip(least).all(|(waited, least)| *waited >= least), "{waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_failures_are_forgotten_once_the_store_has_been_open_for_a_time() {
    let pauses =
        Pauses { first: PAUSES.forget_after, max: PAUSES.forget_after, forget_after: Duration::ZERO };
    let (waited, standing) = fail_after_each_recovery(DiskFault::SyncFails, pauses, 20).await;
    assert_eq!((waited.len(), standing), (20, Standing::Open));
}

/// Space and file descriptors are waited for without limit, but not without a pause.
#[tokio::test(flavor = "multi_thread")]
async fn a_lack_that_returns_after_each_recovery_does_not_stop_the_store() {
    for fault in [DiskFault::WriteFails, DiskFault::NoDescriptors] {
        let (waited, standing) = fail_after_each_recovery(fault, PAUSES, 10).await;
        assert_eq!((waited.len(), standing), (10, Standing::Open), "{fault:?}");
        assert!(waited.iter().skip(1).all(|waited| *waited >= PAUSES.max), "{fault:?}: {waited:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_file_descriptors_names_their_limit() {
    let (directory, store, mut writer) = store_with_a(EngineKind::Simulated).await;
    disk(directory.path()).fail_next(DiskFault::NoDescriptors);
    writer.commit(block(&writer, register(B, b"other"))).await.expect_err("no file can be opened");
    let reason = store.stop_reason().expect("it is unsure");
    assert!(reason.contains("raise LimitNOFILE") && !reason.contains("disk and its free space"), "{reason}");
}

/// Closes the store, and opens it with every proof: nothing differs.
async fn reads_back(directory: &TempDir, store: Store, writer: JournalWriter, engine: EngineKind) {
    let (count, head) = (store.count(), store.head());
    store.close(writer).await.expect("it closes");
    let Opened { store, writer, report } = opened(directory.path(), engine).await;
    assert_eq!((store.read_only_reason(), report.repaired), (None, 0));
    assert_eq!((store.count(), store.head()), (count, head));
    assert_eq!(data_of(&present(&store, A).await.expect("A")), b"one");
    assert!(present(&store, B).await.is_some());
    store.close(writer).await.expect("it closes");
}
