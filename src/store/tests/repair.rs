//! `store repair`: what it rebuilds from the journal, and what it cannot.

use std::fs;
use std::path::Path;

use super::opening::{IDENTIFIERS, Image, Outcome, homed, look, name, sample};
use super::{change, commit, data_of, opened, options, present};
use crate::model::limits::SEGMENT_ENTRIES;
use crate::store::EngineKind;
use crate::store::copy::check::check;
use crate::store::copy::repair::repair;
use crate::store::journal::retention::Retention;
use crate::store::open::Opened;

/// What was lost with the names of versions comes back from the versions, and what was lost with whole keyspaces from the
/// journal.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_rebuilds_files_and_states() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("made");
    sample(&data, EngineKind::Fjall).await;
    let whole = Image::of(&data);
    let losses: [&[&str]; 6] = [
        &["keyspaces/1"],
        &["keyspaces/1", "keyspaces/2/current", "keyspaces/6"],
        &["keyspaces/2/current"],
        &["keyspaces/2", "keyspaces/6"],
        &["version", "keyspaces/3/current", "keyspaces/8/current"],
        &["keyspaces/5", "keyspaces/11"],
    ];
    for lost in losses {
        whole.lay_out(&data);
        for name in lost {
            let path = data.join("fjall").join(name);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.expect("removed");
        }
        assert!(matches!(look(&data, EngineKind::Fjall).await, Outcome::Refused(_)), "{lost:?}");
        let report = repair(options(&data, EngineKind::Fjall)).await.expect("repaired");
        assert!(report.is_whole(), "{lost:?}: {report:#?}");
        assert_eq!(look(&data, EngineKind::Fjall).await, Outcome::Whole, "{lost:?}");
    }
}

/// What a failed change of sled replaced cannot be read: the store is refused, and a repair sets the file aside.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_sets_aside_what_it_cannot_read() {
    let directory = tempfile::tempdir().expect("a directory");
    sample(directory.path(), EngineKind::Sled).await;
    let undo = directory.path().join("sled/undo");
    fs::write(&undo, "damaged").expect("written");
    let refused = look(directory.path(), EngineKind::Sled).await;
    assert!(matches!(&refused, Outcome::Refused(why) if why.contains("sled/undo")), "{refused:?}");
    let report = repair(options(directory.path(), EngineKind::Sled)).await.expect("repaired");
    assert!(report.is_whole(), "{report:#?}");
    assert!(report.files.iter().any(|line| line.contains("undo.unreadable")), "{report:#?}");
    assert_eq!(fs::read(directory.path().join("sled/undo.unreadable")).expect("set aside"), b"damaged");
    assert_eq!(look(directory.path(), EngineKind::Sled).await, Outcome::Whole);
}

/// Entries without a state are rebuilt where their bodies are there, and named where they are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_says_what_it_cannot_rebuild() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        sample(directory.path(), engine).await;
        let Opened { store, writer, .. } = opened(directory.path(), engine).await;
        store.lose_state(&name(3)).await;
        store.flip_state(&name(4)).await;
        store.lose_state(&name(5)).await;
        let entry = present(&store, &name(6)).await.expect("the identifier");
        store.lose_body(entry.sequence - 1).await;
        store.release(writer).await;
        let report = repair(options(directory.path(), engine)).await.expect("repaired");
        assert_eq!((report.rebuilt, report.lost_count), (2, 2), "{report:#?}");
        assert!(report.lost[0].starts_with("88/n5: the body of journal entry"), "{:?}", report.lost);
        assert_eq!(report.lost[1], "prefix 88 has 119 identifiers, its count says 120");
        assert!(!report.is_whole());
        let Opened { store, .. } = opened(directory.path(), engine).await;
        for number in [3, 4] {
            let entry = present(&store, &name(number)).await.expect("rebuilt");
            assert_eq!(data_of(&entry), name(number).as_bytes());
        }
        assert!(store.read_only_reason().is_some());
    }
}

/// Incarnations that cannot be read follow from the journal.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_rebuilds_damaged_incarnations() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        sample(directory.path(), engine).await;
        let Opened { store, writer, .. } = opened(directory.path(), engine).await;
        let lineage = store.lineage();
        store.flip_lineage().await;
        store.release(writer).await;
        let refused = look(directory.path(), engine).await;
        assert!(
            matches!(&refused, Outcome::Refused(why) if why.contains("table meta, key lineage")),
            "{refused:?}"
        );
        let report = repair(options(directory.path(), engine)).await.expect("repaired");
        assert!(report.is_whole(), "{report:#?}");
        assert_eq!(look(directory.path(), engine).await, Outcome::Whole);
        let Opened { store, .. } = opened(directory.path(), engine).await;
        assert_eq!(store.lineage(), lineage);
    }
}

/// A prefix that cannot be read comes back from the journal, and those beside it are there as before.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_rebuilds_a_damaged_prefix() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        sample(directory.path(), engine).await;
        let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
        commit(&mut writer, vec![homed("88.1"), homed("88.2")]).await;
        store.close(writer).await.expect("it closes");
        let Opened { store, writer, .. } = opened(directory.path(), engine).await;
        store.flip_prefix("88.1").await;
        store.release(writer).await;
        let refused = look(directory.path(), engine).await;
        assert!(
            matches!(&refused, Outcome::Refused(why) if why.contains("table prefix, key 88.1")),
            "{refused:?}"
        );
        let report = repair(options(directory.path(), engine)).await.expect("repaired");
        assert!(report.is_whole(), "{report:#?}");
        assert_eq!(report.rebuilt, 1, "{report:#?}");
        let Opened { store, writer, .. } = opened(directory.path(), engine).await;
        assert_eq!(store.read_only_reason(), None);
        for prefix in ["88.1", "88.2"] {
            let prefix = crate::model::identifier::Prefix::parse(prefix).expect("a prefix");
            assert!(store.directory().get(&prefix).is_some(), "{prefix}");
        }
        store.close(writer).await.expect("it closes");
    }
}

/// What is older than the journal shows in the counts and in the witness only. Both stay as they were, so that it is missed
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_misses_what_the_journal_no_longer_holds() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, engine) = (directory.path(), EngineKind::Fjall);
    let Opened { store, mut writer, .. } = opened(data, engine).await;
    commit(&mut writer, vec![homed("88"), homed("88.1")]).await;
    for number in 0..3 {
        let block =
            (0..SEGMENT_ENTRIES).map(|n| change(&format!("88/{number}-{n}"), Some(b"x"), 1, None)).collect();
        commit(&mut writer, block).await;
    }
    let later = 1_800_000_000_001;
    let all = Retention { bodies_before_ms: later, headers_before_ms: later };
    assert_eq!(writer.upkeep().prune(all).await.expect("pruned").headers_from, 3 * SEGMENT_ENTRIES + 1);
    store.close(writer).await.expect("the store closes");

    let Opened { store, writer, .. } = opened(data, engine).await;
    for name in ["88/0-0", "88/1-1"] {
        store.lose_state(name).await;
    }
    store.lose_prefix("88.1").await;
    store.release(writer).await;
    for _ in 0..2 {
        let report = repair(options(data, engine)).await.expect("repaired");
        let expected = ["1 of 2 prefixes are there", "prefix 88 has 190 identifiers, its count says 192"];
        assert_eq!(report.lost, expected, "{report:#?}");
        assert!(!report.is_whole());
        let problems = check(options(data, engine)).await.expect("checked").problems;
        assert!(problems.contains(&expected[0].to_owned()), "{problems:#?}");
        let Outcome::ReadOnly(reason) = look(data, engine).await else { panic!("it is taken for whole") };
        assert!(reason.contains(expected[0]), "{reason}");
    }
}

/// A block of the table of identifiers that cannot be read: what lies around it is counted, and the repair goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_goes_on_behind_a_block_that_cannot_be_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, engine) = (directory.path(), EngineKind::Fjall);
    sample(data, engine).await;
    let tables = data.join("fjall/keyspaces/2/tables");
    for table in fs::read_dir(&tables).expect("the tables") {
        damage_first_block(&table.expect("a table").path());
    }
    fs::remove_file(data.join("closed-files")).expect("removed");
    // The store opens all the same, and says what is damaged.
    let Outcome::ReadOnly(reason) = look(data, engine).await else { panic!("it is taken for whole") };
    assert!(reason.contains("keyspaces/2") && reason.contains("is damaged"), "{reason}");
    let report = repair(options(data, engine)).await.expect("repaired");
    assert!(report.lost.iter().any(|lost| lost.contains("is damaged")), "{report:#?}");
    // What is in the journal can be read again, one by one.
    let Opened { store, .. } = opened(data, engine).await;
    for number in 0..IDENTIFIERS {
        let entry = present(&store, &name(number)).await.expect("rebuilt");
        assert_eq!(data_of(&entry), name(number).as_bytes());
    }
}

/// Flips a bit near the beginning of a table, where its first block of entries is.
fn damage_first_block(table: &Path) {
    use std::os::unix::fs::FileExt as _;
    let file = fs::OpenOptions::new().read(true).write(true).open(table).expect("the table");
    let mut byte = [0];
    file.read_exact_at(&mut byte, 100).expect("read");
    file.write_all_at(&[byte[0] ^ 0x10], 100).expect("written");
}

/// A later version that was not written to its end was never in use; the one before is.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_names_the_latest_version_that_is_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, engine) = (directory.path(), EngineKind::Fjall);
    sample(data, engine).await;
    let keyspace = data.join("fjall/keyspaces/2");
    let names = fs::read_dir(&keyspace).expect("the keyspace").map(|file| file.expect("a file").file_name());
    let versions = names.filter_map(|name| name.to_str()?.strip_prefix('v')?.parse::<u64>().ok());
    let latest = versions.max().expect("a version");
    let whole = fs::read(keyspace.join(format!("v{latest}"))).expect("the version");
    for torn in [&whole[..whole.len() / 2], &[], &vec![0; whole.len()]] {
        fs::write(keyspace.join(format!("v{}", latest + 1)), torn).expect("space on disk");
        fs::remove_file(keyspace.join("current")).expect("removed");
        let report = repair(options(data, engine)).await.expect("repaired");
        assert!(report.is_whole(), "{report:#?}");
        assert_eq!(look(data, engine).await, Outcome::Whole);
        let is_torn = fs::read(keyspace.join(format!("v{}", latest + 1)));
        if is_torn.is_ok_and(|found| found != torn) {
            break;
        }
    }
}
