//! The check of a store at rest, and the acceptance of a loss, on both engines.

use std::path::Path;

use super::{change, commit, data_of, opened, options, present, raise_high_water};
use crate::store::EngineKind;
use crate::store::copy::check::{CheckReport, check};
use crate::store::entry::EntryKind;
use crate::store::entry::Operation;
use crate::store::error::Error;
use crate::store::open::Opened;
use crate::store::open::loss::{accept_loss, find_loss};
use crate::store::open::save_high_water;
use crate::store::open::witness::{FoundWitness, Witness};

async fn checked(directory: &Path, engine: EngineKind) -> CheckReport {
    check(options(directory, engine)).await.expect("the store opens")
}

/// Expects exactly these problems, by their beginnings.
async fn expect(directory: &Path, engine: EngineKind, problems: &[&str]) {
    let report = checked(directory, engine).await;
    assert_eq!(report.problems.len(), problems.len(), "{engine}: {:#?}", report.problems);
    for (found, expected) in report.problems.iter().zip(problems) {
        assert!(found.contains(expected), "{engine}: {found:?} does not contain {expected:?}");
    }
}

/// A closed store of entries 2 to 5: `88/x` twice, `88/y`, and `88/z` removed again in 6.
async fn sample(directory: &Path, engine: EngineKind) {
    let Opened { store, mut writer, .. } = opened(directory, engine).await;
    commit(&mut writer, vec![change("88/x", Some(&[1; 40_000]), 1, None)]).await;
    let mark = present(&store, "88/x").await.expect("the identifier").mark();
    let block = vec![
        change("88/x", Some(b"two"), 2, Some(mark)),
        change("88/y", Some(b"one"), 1, None),
        change("88/z", Some(b"one"), 1, None),
        change("88/z", None, 2, None),
    ];
    commit(&mut writer, block).await;
    store.close(writer).await.expect("the store closes");
}

#[tokio::test]
async fn a_sound_store_is_sound_and_stays_so() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        sample(directory.path(), engine).await;
        let report = checked(directory.path(), engine).await;
        assert!(report.is_sound(), "{:#?}", report.problems);
        let counts = (report.headers, report.bodies, report.identifiers, report.tombstones);
        assert_eq!(counts, (6, 6, 2, 1));
        assert_eq!((report.end.sequence, report.headers_from), (6, 1));
        assert_eq!(checked(directory.path(), engine).await, report);
        let Opened { report, .. } = opened(directory.path(), engine).await;
        assert_eq!(report.repaired, 0);
    }
}

#[tokio::test]
async fn a_directory_without_a_store_is_no_store() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let error = check(options(directory.path(), engine)).await.expect_err("nothing there");
        assert!(error.to_string().contains(&format!("holds no data of engine {engine}")), "{error}");
        assert_eq!(std::fs::read_dir(directory.path()).expect("the directory").count(), 0);
    }
}

#[tokio::test]
async fn each_kind_of_damage_is_named() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        sample(at, engine).await;
        let Opened { store, writer, .. } = opened(at, engine).await;
        store.flip_state("88/y").await;
        store.lose_state("88/z").await;
        store.lose_entry(3).await;
        store.close(writer).await.expect("the store closes");
        let problems = [
            "journal entry 3 is missing",
            "88/z is at version 0, behind journal entry 5",
            "88/z is at version 0, behind journal entry 6",
            "table identifier, key 88/y: the stored checksum",
            "88/x, version 2, does not come from journal entry 3",
            "prefix 88 has 1 identifiers, its count says 2",
        ];
        let found = checked(at, engine).await.problems;
        for problem in problems {
            assert!(found.iter().any(|found| found.contains(problem)), "{problem:?} is not in {found:#?}");
        }
    }
}

/// What a cut file leaves: states whose journal entries are gone.
#[tokio::test]
async fn states_ahead_of_the_journal_are_found_and_adopted_when_the_loss_is_accepted() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        sample(at, engine).await;
        let Opened { store, writer, .. } = opened(at, engine).await;
        for sequence in 3..=6 {
            store.lose_entry(sequence).await;
        }
        store.release(writer).await;
        let behind = "4 changes are missing";
        let ahead = "is ahead of the journal";
        expect(at, engine, &[behind, ahead, ahead, ahead]).await;
        let Opened { store, writer, .. } = opened(at, engine).await;
        assert!(store.read_only_reason().is_some_and(|reason| reason.contains(behind)));
        store.release(writer).await;

        let accepted = accept_loss(options(at, engine)).await.expect("accepted");
        assert_eq!((accepted.lost, accepted.adopted), (Some(4), 3));
        expect(at, engine, &[]).await;
        let Opened { store, .. } = opened(at, engine).await;
        assert_eq!((store.read_only_reason(), store.count()), (None, 2));
        let entry = present(&store, "88/x").await.expect("the identifier");
        assert_eq!((entry.version, data_of(&entry)), (3, b"two".to_vec()));
        let headers = store.headers_from(4, 10).await.expect("the journal reads");
        let adopted: Vec<_> =
            headers.iter().map(|header| (header.operation, header.version, header.previous)).collect();
        let expected = [3, 2, 3].map(|version| (Operation::Adopted, version, None));
        assert_eq!(adopted, expected);
    }
}

/// An older copy of one table: the check says so, although every entry agrees with every other, and no loss is accepted.
#[tokio::test]
async fn what_the_files_and_the_witness_show_is_a_problem_and_no_loss_of_the_end() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        sample(at, engine).await;
        assert!(!find_loss(options(at, engine)).await.expect("compared"), "{engine}");
        let FoundWitness::Witness(mut witness) = Witness::load(at).expect("readable") else {
            panic!("no witness")
        };
        witness.prefixes = 3;
        witness.save(at).expect("space on disk");
        let finding = "0 of 3 prefixes are there";
        for _ in 0..2 {
            expect(at, engine, &[finding]).await;
            let refused = find_loss(options(at, engine)).await.expect_err("other damage");
            assert!(
                matches!(&refused, Error::OtherDamage { reason } if reason.contains(finding)),
                "{refused}"
            );
            assert!(refused.to_string().contains("idnode store check --repair"), "{refused}");
        }
    }
}

#[tokio::test]
async fn the_end_of_a_journal_is_a_loss_that_can_be_accepted() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        sample(at, engine).await;
        raise_high_water(at, 3);
        assert!(find_loss(options(at, engine)).await.expect("compared"), "{engine}");
        // The lost end may have held the first entry of a table.
        let FoundWitness::Witness(mut witness) = Witness::load(at).expect("readable") else {
            panic!("no witness")
        };
        witness.filled.push(EntryKind::Digest);
        witness.save(at).expect("space on disk");
        assert!(
            find_loss(options(at, engine)).await.expect("compared"),
            "{engine}: an end without the digests"
        );
    }
}

#[tokio::test]
async fn prefixes_and_tokens_ahead_of_the_journal_are_found_and_adopted() {
    use crate::model::identifier::Prefix;
    use crate::model::prefix::{Homing, PrefixEntry, PrefixStatus};
    use crate::store::entry::Change;
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let at = directory.path();
        sample(at, engine).await;
        let Opened { store, mut writer, .. } = opened(at, engine).await;
        let entry = PrefixEntry {
            prefix: Prefix::parse("88").expect("a prefix"),
            homing: Homing::Here,
            status: PrefixStatus::Active,
            registrant: None,
            filing: None,
            version: 1,
            changed_ms: 0,
        };
        let homed = super::Proposed {
            change: Change::Prefix(entry.clone()),
            operation: Operation::PrefixHomed,
            ..change("88/unused", None, 1, None)
        };
        commit(&mut writer, vec![homed]).await;
        save_high_water(&store).expect("space on disk");
        store.lose_entry(7).await;
        store.release(writer).await;
        expect(at, engine, &["1 changes are missing", "prefix 88, version 1, is ahead of the journal"]).await;
        let accepted = accept_loss(options(at, engine)).await.expect("accepted");
        assert_eq!((accepted.lost, accepted.adopted), (Some(1), 1));
        expect(at, engine, &[]).await;
        let Opened { store, .. } = opened(at, engine).await;
        assert_eq!(store.directory().get(&entry.prefix).map(|entry| entry.version), Some(2));
        assert_eq!(store.directory().prefix_sequence(&entry.prefix), Some(8));
    }
}
