//! One battery for every engine, and what is true of one engine only.

mod damage;
mod faults;
mod model;

use std::{collections::BTreeMap, ops::Bound, path::Path, time::Duration};

use tempfile::TempDir;

use super::{
    EngineError, EngineKind,
    backend::Backend,
    batch::{KEY_BYTES_MAX, VALUE_BYTES_MAX, WriteBatch},
    scan::{KeyValue, Order, PageLimit, ScanRange},
    table::Table,
};

const CACHE_BYTES: u64 = 16 * 1_024 * 1_024;
const EVERYTHING: PageLimit = PageLimit { entries: usize::MAX, bytes: usize::MAX };

/// Runs each test on each engine.
macro_rules! battery {
    ($($name:ident),+ $(,)?) => {
        mod on_fjall {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::EngineKind::Fjall).await; })+
        }
        mod on_sled {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::EngineKind::Sled).await; })+
        }
    };
}

battery!(
    commits_across_tables,
    scans_in_order,
    scans_within_bounds,
    scans_up_to_limits,
    reads_many_keys_in_their_order,
    overwrites_and_removes,
    last_change_of_a_key_counts,
    opens_again_after_close,
    opens_again_after_drop,
    refuses_what_breaks_a_bound,
    keeps_large_values_by_the_thousand,
    keeps_the_longest_keys,
    shows_each_commit_whole,
    stops_when_closed,
    refuses_a_second_opening,
    snapshot_tells_whether_it_is_exact,
    counts_its_bytes_on_disk,
);

//----------- helpers -------------------------------------------------------------------------------------------------

async fn open(kind: EngineKind, directory: &Path) -> Backend {
    Backend::open(kind, directory, CACHE_BYTES).await.unwrap()
}

async fn fresh(kind: EngineKind) -> (TempDir, Backend) {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(kind, &directory.path().join("engine")).await;
    (directory, engine)
}

fn key(number: u32) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn puts(table: Table, entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (key, value) in entries {
        batch.put(table, key, value);
    }
    batch
}

async fn all(engine: &Backend, table: Table) -> Vec<KeyValue> {
    engine.scan(table, ScanRange::all(), Order::Forward, EVERYTHING).await.unwrap()
}

async fn get(engine: &Backend, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    engine.get_many(table, vec![key.to_vec()]).await.unwrap().remove(0)
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u32, bytes: usize) -> Vec<u8> {
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(step).take(bytes).collect()
}

//----------- vocabulary ----------------------------------------------------------------------------------------------

#[test]
fn names_of_engines_are_read_as_they_are_printed() {
    for kind in EngineKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    let refused = "Fjall ".parse::<EngineKind>().unwrap_err();
    assert_eq!(refused.to_string(), "\"Fjall \" is not a storage engine; it is \"fjall\" or \"sled\"");
}

#[test]
fn tables_keep_their_codes_and_names() {
    let names: Vec<_> = Table::ALL.iter().map(|table| (table.code(), table.name())).collect();
    let released = [
        (1, "meta"),
        (2, "identifier"),
        (3, "prefix"),
        (4, "token"),
        (5, "request"),
        (6, "count"),
        (7, "bookmark"),
        (8, "header"),
        (9, "body"),
        (10, "piece"),
        (11, "digest"),
        (12, "note"),
    ];
    assert_eq!(names, released);
    for table in Table::ALL {
        assert_eq!(Table::from_code(table.code()), Some(table));
    }
    assert_eq!((Table::from_code(0), Table::from_code(13)), (None, None));
}

#[test]
fn a_range_covers_the_keys_that_begin_so() {
    let end_of = |start: &[u8]| ScanRange::starting_with(start).end;
    assert_eq!(end_of(b"ab"), Bound::Excluded(b"ac".to_vec()));
    assert_eq!(end_of(b"a\xff\xff"), Bound::Excluded(b"b".to_vec()));
    assert_eq!(end_of(b"\xff"), Bound::Unbounded);
    assert_eq!(
        ScanRange::starting_with(b""),
        ScanRange { start: Bound::Included(vec![]), end: Bound::Unbounded }
    );
}

//----------- reading and writing -------------------------------------------------------------------------------------

async fn commits_across_tables(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    let mut batch = WriteBatch::new();
    for table in Table::ALL {
        batch.put(table, key(1), table.name().into());
    }
    engine.commit(batch).await.unwrap();
    for table in Table::ALL {
        assert_eq!(all(&engine, table).await, [(key(1), table.name().into())]);
    }
    engine.commit(WriteBatch::new()).await.unwrap();
}

async fn scans_in_order(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    let entries: Vec<_> = (0..500).map(|number| (key(number * 7 % 500), key(number))).collect();
    engine.commit(puts(Table::Identifier, entries.clone())).await.unwrap();
    let mut expected: Vec<_> = BTreeMap::from_iter(entries).into_iter().collect();
    assert_eq!(all(&engine, Table::Identifier).await, expected);
    expected.reverse();
    let backward =
        engine.scan(Table::Identifier, ScanRange::all(), Order::Backward, EVERYTHING).await.unwrap();
    assert_eq!(backward, expected);
    assert_eq!(all(&engine, Table::Prefix).await, []);
}

async fn scans_within_bounds(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    engine.commit(puts(Table::Header, (0..10).map(|number| (key(number), vec![])))).await.unwrap();
    let (included, excluded) = (|n| Bound::Included(key(n)), |n| Bound::Excluded(key(n)));
    let cases = [
        (included(3), included(5), vec![3, 4, 5]),
        (included(3), excluded(5), vec![3, 4]),
        (excluded(3), included(5), vec![4, 5]),
        (excluded(3), excluded(5), vec![4]),
        (excluded(3), excluded(3), vec![]),
        (included(3), included(3), vec![3]),
        (included(3), excluded(3), vec![]),
        (included(5), included(3), vec![]),
        (Bound::Unbounded, excluded(2), vec![0, 1]),
        (excluded(7), Bound::Unbounded, vec![8, 9]),
        (included(10), Bound::Unbounded, vec![]),
    ];
    for (start, end, mut expected) in cases {
        let range = ScanRange { start, end };
        for order in [Order::Forward, Order::Backward] {
            let found = engine.scan(Table::Header, range.clone(), order, EVERYTHING).await.unwrap();
            let found: Vec<_> = found.into_iter().map(|(key, _)| key).collect();
            assert_eq!(found, expected.iter().copied().map(key).collect::<Vec<_>>(), "{range:?} {order:?}");
            expected.reverse();
        }
    }
}

async fn scans_up_to_limits(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    engine.commit(puts(Table::Body, (0..10).map(|number| (key(number), vec![1; 6])))).await.unwrap();
    let cases = [
        (3, usize::MAX, 3),
        (0, usize::MAX, 0),
        (99, 1, 1),
        (99, 10, 1),
        (99, 11, 2),
        (99, 20, 2),
        (2, 99, 2),
    ];
    for (entries, bytes, expected) in cases {
        for order in [Order::Forward, Order::Backward] {
            let limit = PageLimit { entries, bytes };
            let found = engine.scan(Table::Body, ScanRange::all(), order, limit).await.unwrap();
            assert_eq!(found.len(), expected, "{limit:?} {order:?}");
        }
    }
}

async fn reads_many_keys_in_their_order(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    engine
        .commit(puts(Table::Token, [(key(1), vec![10]), (key(2), vec![]), (key(3), vec![30])]))
        .await
        .unwrap();
    let asked = vec![key(3), key(9), key(1), key(2), key(3), vec![]];
    let found = engine.get_many(Table::Token, asked).await.unwrap();
    assert_eq!(found, [Some(vec![30]), None, Some(vec![10]), Some(vec![]), Some(vec![30]), None]);
    assert_eq!(engine.get_many(Table::Meta, vec![key(3)]).await.unwrap(), [None]);
    assert_eq!(engine.get_many(Table::Token, vec![]).await.unwrap(), Vec::<Option<Vec<u8>>>::new());
}

async fn overwrites_and_removes(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    engine.commit(puts(Table::Count, (0..3).map(|number| (key(number), vec![1])))).await.unwrap();
    let mut batch = puts(Table::Count, [(key(0), vec![2])]);
    batch.delete(Table::Count, key(1));
    batch.delete(Table::Count, key(9));
    engine.commit(batch).await.unwrap();
    assert_eq!(all(&engine, Table::Count).await, [(key(0), vec![2]), (key(2), vec![1])]);
    assert_eq!(get(&engine, Table::Count, &key(1)).await, None);
}

async fn last_change_of_a_key_counts(kind: EngineKind) {
    let (directory, engine) = fresh(kind).await;
    let mut batch = puts(Table::Meta, [(key(1), vec![1]), (key(1), vec![2]), (key(2), vec![3])]);
    batch.delete(Table::Meta, key(2));
    batch.delete(Table::Meta, key(3));
    batch.put(Table::Meta, key(3), vec![4]);
    engine.commit(batch).await.unwrap();
    let expected = [(key(1), vec![2]), (key(3), vec![4])];
    assert_eq!(all(&engine, Table::Meta).await, expected);
    engine.close().await.unwrap();
    let engine = open(kind, &directory.path().join("engine")).await;
    assert_eq!(all(&engine, Table::Meta).await, expected);
}

//----------- opening and closing -------------------------------------------------------------------------------------

async fn opens_again_after_close(kind: EngineKind) {
    let (directory, mut engine) = fresh(kind).await;
    for number in 0..5 {
        engine.commit(puts(Table::Bookmark, [(key(number), key(number))])).await.unwrap();
        engine.close().await.unwrap();
        engine = open(kind, &directory.path().join("engine")).await;
        let expected: Vec<_> = (0..=number).map(|number| (key(number), key(number))).collect();
        assert_eq!(all(&engine, Table::Bookmark).await, expected);
    }
}

async fn opens_again_after_drop(kind: EngineKind) {
    let (directory, mut engine) = fresh(kind).await;
    for number in 0..5 {
        engine.commit(puts(Table::Request, [(key(number), vec![7])])).await.unwrap();
        drop(engine);
        engine = open(kind, &directory.path().join("engine")).await;
        assert_eq!(all(&engine, Table::Request).await.len(), number as usize + 1);
    }
}

async fn stops_when_closed(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    let snapshot = engine.snapshot().await.unwrap();
    engine.clone().close().await.unwrap();
    let everything = || (ScanRange::all(), Order::Forward, EVERYTHING);
    let (range, order, limit) = everything();
    assert!(matches!(engine.scan(Table::Meta, range, order, limit).await, Err(EngineError::NotOpen)));
    let (range, order, limit) = everything();
    assert!(matches!(snapshot.scan(Table::Meta, range, order, limit).await, Err(EngineError::NotOpen)));
    assert!(matches!(engine.get_many(Table::Meta, vec![key(1)]).await, Err(EngineError::NotOpen)));
    let commit = engine.commit(puts(Table::Meta, [(key(1), vec![])])).await;
    assert!(matches!(commit, Err(EngineError::NotOpen)));
    assert!(matches!(engine.snapshot().await, Err(EngineError::NotOpen)));
    assert!(matches!(engine.close().await, Err(EngineError::NotOpen)));
}

async fn refuses_a_second_opening(kind: EngineKind) {
    let (directory, engine) = fresh(kind).await;
    let second = Backend::open(kind, &directory.path().join("engine"), CACHE_BYTES).await;
    assert!(matches!(second.map(|_| ()), Err(EngineError::Io { .. })));
    engine.commit(puts(Table::Meta, [(key(1), vec![1])])).await.unwrap();
    assert_eq!(get(&engine, Table::Meta, &key(1)).await, Some(vec![1]));
}

async fn counts_its_bytes_on_disk(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    let before = engine.disk_bytes().await.unwrap();
    let entries = (0..200).map(|number| (key(number), noise(number, 10_000)));
    engine.commit(puts(Table::Piece, entries)).await.unwrap();
    let grown = engine.disk_bytes().await.unwrap() - before;
    assert!((1_900_000..20_000_000).contains(&grown), "{grown}");
}

//----------- bounds --------------------------------------------------------------------------------------------------

async fn refuses_what_breaks_a_bound(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    let broken =
        [(vec![], vec![1]), (vec![1; KEY_BYTES_MAX + 1], vec![1]), (vec![1], vec![1; VALUE_BYTES_MAX + 1])];
    for entry in broken {
        let refused = engine.commit(puts(Table::Meta, [(key(7), vec![7]), entry])).await.unwrap_err();
        let EngineError::Io { source, .. } = refused else { panic!("{refused:?}") };
        assert_eq!(source.kind(), std::io::ErrorKind::InvalidInput);
    }
    assert_eq!(all(&engine, Table::Meta).await, []);
    engine.commit(puts(Table::Meta, [(key(7), vec![7])])).await.unwrap();
    assert_eq!(get(&engine, Table::Meta, &key(7)).await, Some(vec![7]));
}

/// The files that hold sled's pages outside its log: no sync of ours covers them.
fn files_outside_the_log(directory: &Path) -> usize {
    std::fs::read_dir(directory.join("blobs")).map(Iterator::count).unwrap_or_default()
}

async fn keeps_large_values_by_the_thousand(kind: EngineKind) {
    let (directory, mut engine) = fresh(kind).await;
    let expected: BTreeMap<_, _> = (0..1_200_u32)
        .map(|number| (key(number.wrapping_mul(0x9e37_79b9)), noise(number, VALUE_BYTES_MAX)))
        .collect();
    let entries: Vec<_> = (0..1_200_u32).map(|number| key(number.wrapping_mul(0x9e37_79b9))).collect();
    for chunk in entries.chunks(100) {
        let chunk = chunk.iter().map(|key| (key.clone(), expected[key].clone()));
        engine.commit(puts(Table::Piece, chunk)).await.unwrap();
    }
    for opening in 0..2 {
        let found: BTreeMap<_, _> = all(&engine, Table::Piece).await.into_iter().collect();
        assert!(found == expected, "opening {opening}: {} of {} are there", found.len(), expected.len());
        assert_eq!(files_outside_the_log(&directory.path().join("engine")), 0);
        engine.close().await.unwrap();
        engine = open(kind, &directory.path().join("engine")).await;
    }
}

async fn keeps_the_longest_keys(kind: EngineKind) {
    let (directory, mut engine) = fresh(kind).await;
    // Keys of full length that differ at once, so that nothing of them can be left out of an index page.
    let keys: Vec<_> = (0..3_000).map(|number| noise(number, KEY_BYTES_MAX)).collect();
    for chunk in keys.chunks(200) {
        engine.commit(puts(Table::Identifier, chunk.iter().map(|key| (key.clone(), vec![1])))).await.unwrap();
    }
    engine.close().await.unwrap();
    engine = open(kind, &directory.path().join("engine")).await;
    let found = engine.get_many(Table::Identifier, keys.clone()).await.unwrap();
    assert_eq!(found.iter().flatten().count(), keys.len());
    assert_eq!(all(&engine, Table::Identifier).await.len(), keys.len());
    assert_eq!(files_outside_the_log(&directory.path().join("engine")), 0);
}

//----------- readers beside commits ----------------------------------------------------------------------------------

/// Each commit sets the same keys to its own number and moves one key; a reader must never see two numbers.
async fn shows_each_commit_whole(kind: EngineKind) {
    const COMMITS: u32 = 60;
    let (_directory, engine) = fresh(kind).await;
    let commit = |number: u32| {
        let mut batch = puts(Table::Identifier, (0..40).map(|slot| (key(slot * 10), key(number))));
        batch.delete(Table::Identifier, key((number + 19) % 20 * 20 + 5));
        batch.put(Table::Identifier, key(number % 20 * 20 + 5), key(number));
        batch
    };
    engine.commit(commit(0)).await.unwrap();
    let readers: Vec<_> = [Order::Forward, Order::Backward]
        .map(|order| tokio::spawn(read_until(engine.clone(), order, COMMITS)))
        .into();
    for number in 1..=COMMITS {
        engine.commit(commit(number)).await.unwrap();
        assert_eq!(get(&engine, Table::Identifier, &key(0)).await, Some(key(number)));
    }
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}

/// Reads until the last commit is seen; says how many readings it took.
async fn read_until(engine: Backend, order: Order, last: u32) -> u32 {
    let mut newest = key(0);
    for readings in 1.. {
        let scanned = engine.scan(Table::Identifier, ScanRange::all(), order, EVERYTHING).await.unwrap();
        let many =
            engine.get_many(Table::Identifier, (0..40).map(|slot| key(slot * 10)).collect()).await.unwrap();
        let first = scanned[1].1.clone();
        assert_eq!(scanned.len(), 41);
        assert!(scanned.iter().all(|(_, value)| *value == first), "a scan saw two commits");
        assert!(many.iter().all(|value| *value == many[0]), "a reading of many keys saw two commits");
        let after = many[0].clone().unwrap();
        assert!(newest <= first && first <= after, "a commit went away");
        newest = after;
        if newest == key(last) {
            return readings;
        }
    }
    0
}

async fn snapshot_tells_whether_it_is_exact(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    engine.commit(puts(Table::Prefix, [(key(1), vec![1]), (key(2), vec![1])])).await.unwrap();
    let snapshot = engine.snapshot().await.unwrap();
    let mut batch = puts(Table::Prefix, [(key(1), vec![2]), (key(3), vec![2])]);
    batch.delete(Table::Prefix, key(2));
    batch.put(Table::Header, key(1), vec![2]);
    engine.commit(batch).await.unwrap();
    let (before, now) = ([(key(1), vec![1]), (key(2), vec![1])], [(key(1), vec![2]), (key(3), vec![2])]);
    let read = |table| snapshot.scan(table, ScanRange::all(), Order::Forward, EVERYTHING);
    assert_eq!(all(&engine, Table::Prefix).await, now);
    assert_eq!(snapshot.is_exact(), kind == EngineKind::Fjall);
    if snapshot.is_exact() {
        assert_eq!(read(Table::Prefix).await.unwrap(), before);
        assert_eq!(read(Table::Header).await.unwrap(), []);
    } else {
        assert_eq!(read(Table::Prefix).await.unwrap(), now);
        assert_eq!(read(Table::Header).await.unwrap(), [(key(1), vec![2])]);
    }
}

//----------- Held ----------------------------------------------------------------------------------------------------

/// Holds the writes of an engine back, as a disk does that does not answer.
#[derive(Default)]
pub(in crate::store) struct Held {
    is_held: std::sync::Mutex<bool>,
    released: std::sync::Condvar,
    /// Whether a held write has its usual deadline.
    is_patient: std::sync::atomic::AtomicBool,
}

/// How long a held write may take: a disk that does not answer needs no long proof.
pub(super) const HELD_DEADLINE: Duration = Duration::from_millis(50);

impl Held {
    /// Holds writes, or releases them.
    pub(in crate::store) fn set(&self, hold: bool) {
        *self.is_held.lock().unwrap() = hold;
        self.released.notify_all();
    }

    /// Holds writes, with their usual deadline.
    pub(in crate::store) fn set_patiently(&self) {
        self.is_patient.store(true, std::sync::atomic::Ordering::Relaxed);
        self.set(true);
    }

    /// Whether writes are held beyond their deadline.
    pub(super) fn is_set(&self) -> bool {
        *self.is_held.lock().unwrap() && !self.is_patient.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Waits while writes are held.
    pub(super) fn wait(&self) {
        let held = self.is_held.lock().unwrap();
        drop(self.released.wait_while(held, |held| *held).unwrap());
    }
}

impl Backend {
    /// Holds every write that begins from now on, or releases them all.
    pub(super) fn hold_writes(&self, hold: bool) {
        match self {
            Self::Fjall(running) => running.held().set(hold),
            Self::Sled(running) => running.held().set(hold),
            Self::Simulated(running) => running.held().set(hold),
        }
    }

    /// Holds every write that begins from now on, with its usual deadline.
    pub(super) fn hold_writes_patiently(&self) {
        match self {
            Self::Fjall(running) => running.held().set_patiently(),
            Self::Sled(running) => running.held().set_patiently(),
            Self::Simulated(running) => running.held().set_patiently(),
        }
    }
}

async fn a_commit_that_does_not_return_fails_and_reads_go_on(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    engine.commit(puts(Table::Meta, [(key(1), vec![1])])).await.unwrap();
    engine.hold_writes(true);
    let stalled = engine.commit(puts(Table::Meta, [(key(1), vec![2])])).await.unwrap_err();
    assert!(matches!(stalled, EngineError::Stalled { what: "a change", .. }), "{stalled:?}");
    assert!(engine.write_in_flight().is_some());
    assert_eq!(get(&engine, Table::Meta, &key(1)).await, Some(vec![1]));
    let refused = engine.commit(puts(Table::Meta, [(key(3), vec![3])]));
    engine.hold_writes(false);
    assert!(matches!(refused.await.unwrap_err(), EngineError::Poisoned));
    engine.close().await.unwrap();
}

#[tokio::test]
async fn fjall_commit_that_does_not_return_fails_and_reads_go_on() {
    a_commit_that_does_not_return_fails_and_reads_go_on(EngineKind::Fjall).await;
}

#[tokio::test]
async fn sled_commit_that_does_not_return_fails_and_reads_go_on() {
    a_commit_that_does_not_return_fails_and_reads_go_on(EngineKind::Sled).await;
}

//----------- damage done on purpose ----------------------------------------------------------------------------------

impl Backend {
    /// Brings everything from memory into sorted tables. Sled has none.
    pub(super) async fn flush_tables(&self) {
        if let Self::Fjall(running) = self {
            let flush = |engine: &super::fjall::Fjall| {
                engine.flush_tables();
                Ok(())
            };
            running.read(flush).await.unwrap();
        }
    }

    /// Lets so many attempts to apply a commit fail in part. On sled only.
    fn tear(&self, attempts: usize) {
        let Self::Sled(running) = self else { panic!("not sled") };
        running.exchange(|sled| sled.tear(attempts));
    }

    /// Puts back what a failed transaction replaced, which fails. On sled only.
    fn fail_undo(&self, folder: &Path) {
        let Self::Sled(running) = self else { panic!("not sled") };
        running.exchange(|sled| assert!(sled.undo(folder).is_err()));
    }

    /// From now on no commit reaches the disk. On sled only.
    pub(super) fn fail_syncs(&self) {
        let Self::Sled(running) = self else { panic!("not sled") };
        running.exchange(|sled| sled.sync_instead(std::fs::File::open("/dev/null").unwrap()));
    }
}
