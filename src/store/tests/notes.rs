//! Notes on prefixes, on both engines: whole after reopening, adopted, rebuilt, and copied only where there are some.

use super::opening::{Outcome, homed, look, sample};
use super::{Proposed, change, commit, opened, options};
use crate::model::identifier::Prefix;
use crate::model::prefix::{NoteText, PrefixNote};
use crate::store::copy::check::check;
use crate::store::copy::repair::repair;
use crate::store::entry::note::NoteState;
use crate::store::entry::prefix::CanonicalPrefix;
use crate::store::entry::{Change, EntryKind, Operation};
use crate::store::journal::Subject;
use crate::store::open::loss::accept_loss;
use crate::store::open::witness::{FoundWitness, Witness};
use crate::store::open::{Opened, save_high_water};
use crate::store::{EngineKind, Store};

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a prefix")
}

fn noted(on: &str, text: &str, version: u64) -> Proposed {
    let text = NoteText::new(text).expect("a text");
    Proposed {
        change: Change::Note(PrefixNote { prefix: prefix(on), text, version, changed_ms: 0 }),
        operation: Operation::PrefixNoted,
        ..change("88/unused", None, version, None)
    }
}

fn note(store: &Store, on: &str) -> Option<(String, u64, u64)> {
    let directory = store.directory();
    let note = directory.note(&prefix(on))?;
    let sequence = directory.note_sequence(&prefix(on)).expect("that of the note");
    Some((note.text.as_str().to_owned(), note.version, sequence))
}

fn key(on: &str) -> CanonicalPrefix {
    CanonicalPrefix::of(&prefix(on))
}

/// The prefix and its entry are another subject than the note: neither has the version of the other.
#[tokio::test]
async fn notes_are_there_after_reopening_and_are_checked_apart_from_prefixes() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
        commit(&mut writer, vec![homed("88.Ab"), homed("88.1")]).await;
        commit(&mut writer, vec![noted("88.Ab", "one", 1), noted("88.Ab", "two", 2)]).await;
        commit(&mut writer, vec![noted("88.1", "old", 1)]).await;
        commit(&mut writer, vec![noted("88.1", "", 2)]).await;
        store.close(writer).await.expect("the store closes");
        let report = check(options(directory.path(), engine)).await.expect("checked");
        assert!(report.is_sound(), "{:#?}", report.problems);
        assert_eq!((report.prefixes, report.notes), (2, 2));

        let FoundWitness::Witness(witness) = Witness::load(directory.path()).expect("read") else {
            panic!("no witness");
        };
        assert!(witness.filled.contains(&EntryKind::Note), "{witness:?}");
        let Opened { store, report, .. } = opened(directory.path(), engine).await;
        assert_eq!((report.repaired, store.read_only_reason()), (0, None));
        assert_eq!(note(&store, "88.aB"), Some(("two".to_owned(), 2, 5)));
        assert_eq!(note(&store, "88.1"), Some((String::new(), 2, 7)), "a tombstone retains its version");
        assert_eq!(store.directory().get(&prefix("88.Ab")).map(|entry| entry.version), Some(1));
        let headers = store.headers_from(5, 10).await.expect("the journal reads");
        let linked: Vec<_> = headers.iter().map(|header| (header.subject.clone(), header.previous)).collect();
        let subject = |text: &str| Subject::Note(text.to_owned());
        let expected = [(subject("88.ab"), Some(4)), (subject("88.1"), None), (subject("88.1"), Some(6))];
        assert_eq!(linked, expected);
    }
}

/// What is redone at an opening is what the next change is decided on, and what it publishes.
#[tokio::test]
async fn a_note_that_was_redone_at_open_is_there_after_the_next_change_too() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
        commit(&mut writer, vec![homed("88.1")]).await;
        commit(&mut writer, vec![noted("88.1", "one", 1)]).await;
        store.inner.engine.lose::<NoteState>(&key("88.1")).await;
        store.release(writer).await;
        let Opened { store, mut writer, report } = opened(directory.path(), engine).await;
        assert_eq!((report.repaired, store.read_only_reason()), (1, None));
        let redone = note(&store, "88.1").expect("it was redone");
        commit(&mut writer, vec![change("88.1/x", Some(b"one"), 1, None)]).await;
        assert_eq!(note(&store, "88.1"), Some(redone), "on {engine}");
    }
}

/// A note that is missing or cannot be read comes back from the journal.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_rebuilds_notes() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        sample(directory.path(), engine).await;
        let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
        commit(&mut writer, vec![noted("88", "one", 1), homed("88.1"), noted("88.1", "two", 1)]).await;
        store.close(writer).await.expect("it closes");
        let Opened { store, writer, .. } = opened(directory.path(), engine).await;
        store.inner.engine.lose::<NoteState>(&key("88")).await;
        store.inner.engine.flip::<NoteState>(&key("88.1")).await;
        store.release(writer).await;
        let report = check(options(directory.path(), engine)).await;
        let error = report.expect_err("the directory is read at the opening").to_string();
        assert!(error.contains("table note, key 88.1"), "{error}");
        let report = repair(options(directory.path(), engine)).await.expect("repaired");
        assert!(report.is_whole(), "{report:#?}");
        assert_eq!((report.rebuilt, report.check.notes), (2, 2), "{report:#?}");
        assert_eq!(look(directory.path(), engine).await, Outcome::Whole);
        let Opened { store, .. } = opened(directory.path(), engine).await;
        let texts = ["88", "88.1"].map(|on| note(&store, on).map(|(text, ..)| text));
        assert_eq!(texts, [Some("one".to_owned()), Some("two".to_owned())]);
    }
}

/// A note whose journal entry was lost is recorded again; the prefix has nothing to do with it.
#[tokio::test]
async fn a_note_ahead_of_the_journal_is_adopted() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
        commit(&mut writer, vec![homed("88")]).await;
        commit(&mut writer, vec![noted("88", "one", 1)]).await;
        save_high_water(&store).expect("space on disk");
        store.lose_entry(3).await;
        store.release(writer).await;
        let problems = check(options(directory.path(), engine)).await.expect("checked").problems;
        assert!(problems.iter().any(|one| one.contains("note on prefix 88, version 1")), "{problems:#?}");
        let accepted = accept_loss(options(directory.path(), engine)).await.expect("accepted");
        assert_eq!((accepted.lost, accepted.adopted), (Some(1), 1));
        let Opened { store, .. } = opened(directory.path(), engine).await;
        assert_eq!(note(&store, "88"), Some(("one".to_owned(), 2, 4)));
    }
}
