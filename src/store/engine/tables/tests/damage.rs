//! Damaged files: an error that says so, or a state that was once committed; never wrong data, never a panic.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    super::{EngineError, EngineKind, backend::Backend, scan::Order, scan::ScanRange, table::Table},
    CACHE_BYTES, EVERYTHING, fresh, key, noise, puts,
};

const COMMITS: u32 = 60;

/// What is done to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip {
        per_mille: u64,
    },
    /// One bit in each block of 4 KiB.
    FlipThroughout,
    Zero {
        per_mille: u64,
    },
    Cut {
        bytes: u64,
    },
}

/// What was found afterwards.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Refused,
    /// The first so many commits, and nothing else.
    Prefix(u32),
    /// Not whole commits, but nothing that was not written.
    Part,
}

/// Sled's log must span several segments: in the last one, damage is taken for a torn tail.
fn value_bytes(kind: EngineKind) -> usize {
    match kind {
        EngineKind::Fjall => 300,
        EngineKind::Sled => 16_000,
        EngineKind::Simulated => panic!("it has no files"),
    }
}

/// A closed store of numbered commits.
async fn closed_store(kind: EngineKind) -> (tempfile::TempDir, PathBuf) {
    let (directory, engine) = fresh(kind).await;
    for number in 0..COMMITS {
        let mut batch = puts(
            Table::Identifier,
            (0..10).map(|slot| (key(number * 10 + slot), noise(number, value_bytes(kind)))),
        );
        batch.put(Table::Header, key(number), key(number));
        engine.commit(batch).await.unwrap();
    }
    engine.close().await.unwrap();
    let store = directory.path().join("engine");
    (directory, store)
}

fn log_of(kind: EngineKind, store: &Path) -> PathBuf {
    store.join(match kind {
        EngineKind::Fjall => "0.jnl",
        EngineKind::Sled => "db",
        EngineKind::Simulated => panic!("it has no files"),
    })
}

/// The length of a file without the zeroes at its end.
fn used_bytes(path: &Path) -> u64 {
    let bytes = std::fs::read(path).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1
}

fn damage(path: &Path, damage: Damage) {
    let used = used_bytes(path);
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    match damage {
        Damage::Cut { bytes } => file.set_len(used - bytes).unwrap(),
        Damage::Flip { per_mille } => flip(&file, used * per_mille / 1_000),
        Damage::FlipThroughout => (0..used).step_by(4_096).for_each(|position| flip(&file, position)),
        Damage::Zero { per_mille } => {
            let position = used * per_mille / 1_000 / 4_096 * 4_096;
            file.write_all_at(&[0; 4_096], position).unwrap();
        }
    }
}

fn flip(file: &File, position: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], position).unwrap();
}

fn assert_says_the_way_back(error: &EngineError, store: &Path) {
    let EngineError::Damaged { path, .. } = error else { panic!("{error:?}") };
    let text = error.to_string();
    assert!(path.starts_with(store), "{text}");
    assert!(text.contains(&path.display().to_string()), "{text}");
    assert!(text.contains("idnode backup restore"), "{text}");
}

/// Opens and reads everything.
async fn look(kind: EngineKind, store: &Path) -> Found {
    let engine = match Backend::open(kind, store, CACHE_BYTES).await {
        Ok(engine) => engine,
        Err(error) => {
            assert_says_the_way_back(&error, store);
            return Found::Refused;
        }
    };
    let mut read = Vec::new();
    for table in [Table::Header, Table::Identifier] {
        match engine.scan(table, ScanRange::all(), Order::Forward, EVERYTHING).await {
            Ok(found) => read.push(found),
            Err(error) => {
                assert_says_the_way_back(&error, store);
                return Found::Refused;
            }
        }
    }
    let written: Vec<_> =
        (0..COMMITS * 10).map(|number| (key(number), noise(number / 10, value_bytes(kind)))).collect();
    let commits = u32::try_from(read[0].len()).unwrap();
    let headers: Vec<_> = (0..commits).map(|number| (key(number), key(number))).collect();
    assert!(read[0] == headers, "the headers are not those written");
    assert!(read[1].iter().all(|entry| written.contains(entry)), "an entry was never written");
    engine.close().await.unwrap();
    if read[1] == written[..commits as usize * 10] { Found::Prefix(commits) } else { Found::Part }
}

async fn damaged(kind: EngineKind, how: Damage) -> Found {
    let (_directory, store) = closed_store(kind).await;
    damage(&log_of(kind, &store), how);
    look(kind, &store).await
}

/// Damages copies of one store in many places; what is found is checked on the way.
async fn damage_in_many_places(kind: EngineKind) -> Vec<Found> {
    let mut found = Vec::new();
    for per_mille in [0, 90, 210, 333, 480, 601, 777, 890] {
        found.push(damaged(kind, Damage::Flip { per_mille }).await);
    }
    for per_mille in [250, 700] {
        found.push(damaged(kind, Damage::Zero { per_mille }).await);
    }
    for bytes in [1, 700, 20_000] {
        found.push(damaged(kind, Damage::Cut { bytes }).await);
    }
    found
}

#[tokio::test]
async fn a_store_without_damage_is_whole() {
    for kind in EngineKind::ALL {
        let (_directory, store) = closed_store(kind).await;
        assert_eq!(look(kind, &store).await, Found::Prefix(COMMITS));
    }
}

/// The first flip hits the mark by which fjall knows an entry of its journal: that looks like a torn tail.
#[tokio::test]
async fn fjall_refuses_flipped_bits_and_drops_torn_tails() {
    let found = damage_in_many_places(EngineKind::Fjall).await;
    let (flipped, rest) = found.split_at(8);
    let (marks, contents) = flipped.split_at(1);
    assert_eq!(marks, [Found::Prefix(0)]);
    assert!(contents.iter().all(|found| *found == Found::Refused), "{found:?}");
    assert!(
        rest.iter().all(|found| matches!(found, Found::Prefix(commits) if *commits < COMMITS)),
        "{found:?}"
    );
}

/// Sled drops the tail at some damage and gives up at other, and its own thread decides which bytes lie where. So
/// nothing is said here about the kind of outcome at any one place; what is found is checked by [`look`].
#[tokio::test]
async fn sled_refuses_damage_or_loses_the_tail() {
    damage_in_many_places(EngineKind::Sled).await;
}

/// Once sled has noted where its pages lie, it looks for them there.
#[tokio::test]
async fn sled_refuses_a_log_without_one_sound_page() {
    let (_directory, store) = closed_store(EngineKind::Sled).await;
    assert_eq!(look(EngineKind::Sled, &store).await, Found::Prefix(COMMITS));
    damage(&log_of(EngineKind::Sled, &store), Damage::FlipThroughout);
    assert_eq!(look(EngineKind::Sled, &store).await, Found::Refused);
}

#[tokio::test]
async fn a_missing_main_file_is_damage() {
    for (kind, name) in [(EngineKind::Fjall, "version"), (EngineKind::Sled, "db")] {
        let (_directory, store) = closed_store(kind).await;
        std::fs::remove_file(store.join(name)).unwrap();
        let refused = Backend::open(kind, &store, CACHE_BYTES).await.map(|_| ()).unwrap_err();
        assert_says_the_way_back(&refused, &store);
        assert!(refused.to_string().contains(name), "{refused}");
        assert!(!store.join(name).exists());
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_no_damage() {
    for kind in EngineKind::ALL {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        File::create(&path).unwrap();
        let refused = Backend::open(kind, &path.join("engine"), CACHE_BYTES).await.map(|_| ()).unwrap_err();
        assert!(matches!(refused, EngineError::Io { .. }), "{refused:?}");
    }
}
