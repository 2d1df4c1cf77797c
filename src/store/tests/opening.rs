//! Stores with missing, damaged and older files: every answer is right, or the opening says what is wrong; the engine
//! deletes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Proposed, change, commit, data_of, opened, options, present};
use crate::model::identifier::Prefix;
use crate::model::prefix::{Homing, PrefixEntry, PrefixStatus};
use crate::store::copy::check::check;
use crate::store::copy::repair::repair;
use crate::store::entry::Change;
use crate::store::entry::Operation;
use crate::store::error::Error;
use crate::store::open::witness::{FoundWitness, Witness};
use crate::store::open::{Opened, engine_folder, open};
use crate::store::{EngineKind, Store};
use crate::telemetry::Chain;

/// Identifiers of a sample store.
pub(super) const IDENTIFIERS: usize = 120;

//----------- An image of a directory ----------------------------------------

/// The files of a directory, with the zeros at their ends left out.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Image(BTreeMap<PathBuf, (Vec<u8>, u64)>);

impl Image {
    pub(super) fn of(directory: &Path) -> Self {
        let mut files = BTreeMap::new();
        let mut waiting = vec![PathBuf::new()];
        while let Some(below) = waiting.pop() {
            for file in fs::read_dir(directory.join(&below)).expect("a directory") {
                let file = file.expect("a file");
                let name = below.join(file.file_name());
                if file.file_type().expect("a type").is_dir() {
                    waiting.push(name);
                    continue;
                }
                let length = file.metadata().expect("facts").len();
                files.insert(name, (used_bytes(&file.path()), length));
            }
        }
        Self(files)
    }

    /// Makes a directory hold exactly these files.
    pub(super) fn lay_out(&self, directory: &Path) {
        fs::remove_dir_all(directory).expect("removed");
        for (name, (bytes, length)) in &self.0 {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(&path, bytes).expect("space on disk");
            let file = fs::OpenOptions::new().write(true).open(&path).expect("the file");
            file.set_len(*length).expect("space on disk");
        }
        for folder in ["fjall/keyspaces", "sled/blobs"] {
            if directory.join(folder).parent().is_some_and(Path::is_dir) {
                fs::create_dir_all(directory.join(folder)).expect("made");
            }
        }
        let keyspaces = fs::read_dir(directory.join("fjall/keyspaces"));
        for keyspace in keyspaces.into_iter().flatten() {
            fs::create_dir_all(keyspace.expect("a keyspace").path().join("tables")).expect("made");
        }
    }

    fn names(&self) -> Vec<PathBuf> {
        self.0.keys().cloned().collect()
    }
}

/// The content of a file without the zeros at its end. Of a sparse file only what is on the disk is read.
fn used_bytes(path: &Path) -> Vec<u8> {
    use std::io::Read as _;
    use std::os::unix::fs::MetadataExt as _;
    let file = fs::File::open(path).expect("a file");
    let allocated = file.metadata().expect("facts").blocks() * 512;
    let mut bytes = Vec::new();
    file.take(allocated.max(64 * 1024)).read_to_end(&mut bytes).expect("read");
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    bytes
}

//----------- A sample store -------------------------------------------------

pub(super) fn homed(prefix: &str) -> Proposed {
    let entry = PrefixEntry {
        prefix: Prefix::parse(prefix).expect("a prefix"),
        homing: Homing::Here,
        status: PrefixStatus::Active,
        registrant: None,
        filing: None,
        version: 1,
        changed_ms: 0,
    };
    Proposed {
        change: Change::Prefix(entry),
        operation: Operation::PrefixHomed,
        ..change("88/unused", None, 1, None)
    }
}

pub(super) fn name(number: usize) -> String {
    format!("88/n{number}")
}

/// A closed store, a part of which is in the engine's tables and the rest in its journal.
pub(super) async fn sample(directory: &Path, engine: EngineKind) {
    let Opened { store, mut writer, .. } = opened(directory, engine).await;
    commit(&mut writer, vec![homed("88")]).await;
    for number in 0..IDENTIFIERS {
        if number == IDENTIFIERS / 2 {
            store.flush_tables().await;
        }
        commit(&mut writer, vec![change(&name(number), Some(name(number).as_bytes()), 1, None)]).await;
    }
    store.close(writer).await.expect("the store closes");
}

/// What an opening came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything is there and changes are taken.
    Whole,
    /// It is read-only, and says why.
    ReadOnly(String),
    /// It is refused.
    Refused(String),
}

/// Opens a store and asks for everything that was put into it.
pub(super) async fn look(directory: &Path, engine: EngineKind) -> Outcome {
    let Opened { store, writer, .. } = match open(options(directory, engine)).await {
        Ok(opened) => opened,
        Err(error) => return Outcome::Refused(Chain(&error).to_string()),
    };
    let reason = store.read_only_reason();
    let outcome = match reason {
        Some(reason) => Outcome::ReadOnly(reason),
        None => {
            assert_whole(&store).await;
            Outcome::Whole
        }
    };
    store.close(writer).await.expect("the store closes");
    outcome
}

pub(super) async fn assert_whole(store: &Store) {
    for number in 0..IDENTIFIERS {
        let entry = present(store, &name(number)).await;
        let entry = entry.unwrap_or_else(|| panic!("{} is missing without a message", name(number)));
        assert_eq!(data_of(&entry), name(number).as_bytes());
    }
    assert_eq!(store.count(), IDENTIFIERS as u64);
    let prefix = Prefix::parse("88").expect("a prefix");
    assert!(store.directory().get(&prefix).is_some(), "the prefix is missing without a message");
}

//----------- Missing files --------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_keyspace_without_its_present_version_is_refused_and_nothing_is_deleted() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("made");
    sample(&data, EngineKind::Fjall).await;
    let whole = Image::of(&data);
    let currents: Vec<PathBuf> = whole.names().into_iter().filter(|name| name.ends_with("current")).collect();
    assert_eq!(currents.len(), 13);
    // With the notes of a release that wrote them, and without.
    for notes in [&["witness", "closed-files"][..], &["closed-files"], &[]] {
        for current in &currents {
            whole.lay_out(&data);
            for note in ["witness", "closed-files"].iter().filter(|note| !notes.contains(note)) {
                fs::remove_file(data.join(note)).expect("removed");
            }
            fs::remove_file(data.join(current)).expect("removed");
            let before = engine_files(&data, EngineKind::Fjall);
            let Outcome::Refused(error) = look(&data, EngineKind::Fjall).await else {
                panic!("{} was not missed", current.display());
            };
            assert!(error.contains(&data.join(current).display().to_string()), "{error}");
            assert_eq!(engine_files(&data, EngineKind::Fjall), before, "{}", current.display());
        }
    }
}

fn engine_files(data: &Path, engine: EngineKind) -> Vec<PathBuf> {
    Image::of(&data.join(engine_folder(engine))).names()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_copy_of_a_keyspace_is_named_and_nothing_is_deleted() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("made");
    sample(&data, EngineKind::Fjall).await;
    let old = Image::of(&data);
    let Opened { store, mut writer, .. } = opened(&data, EngineKind::Fjall).await;
    commit(&mut writer, vec![change("88/later", Some(b"x"), 1, None)]).await;
    store.flush_tables().await;
    store.close(writer).await.expect("the store closes");
    let new = Image::of(&data);
    let keyspaces: Vec<PathBuf> = (1..=12).map(|id| format!("fjall/keyspaces/{id}").into()).collect();
    let FoundWitness::Witness(witness) = Witness::load(&data).expect("it reads") else {
        panic!("no witness")
    };
    // A table that was only moved after the witness was written leaves the older version whole.
    let is_older = |folder: &&PathBuf| {
        let current = &old.0[&folder.join("current")].0;
        let version = u64::from_le_bytes(current[..8].try_into().expect("8 bytes"));
        let name = folder.join("current").strip_prefix("fjall").expect("below it").display().to_string();
        version < witness.rising[&name]
    };
    let changed: Vec<&PathBuf> = keyspaces.iter().filter(is_older).collect();
    assert!(changed.len() >= 3, "{changed:?}");
    for keyspace in changed {
        let mut mixed = new.clone();
        mixed.0.retain(|name, _| !name.starts_with(keyspace));
        mixed.0.extend(folder_of(&old, keyspace));
        mixed.lay_out(&data);
        fs::remove_file(data.join("closed-files")).expect("removed");
        // Twice, for an ordered stop must not make it unseen.
        for _ in 0..2 {
            match look(&data, EngineKind::Fjall).await {
                Outcome::ReadOnly(reason) => assert!(reason.contains("is an older copy"), "{reason}"),
                other => panic!("{}: {other:?}", keyspace.display()),
            }
        }
        // Newer tables that an older version does not list would be deleted.
        let newer = folder_of(&new, keyspace)
            .into_iter()
            .filter(|(name, _)| name.iter().any(|part| part == "tables"));
        mixed.0.extend(newer);
        mixed.lay_out(&data);
        fs::remove_file(data.join("closed-files")).expect("removed");
        let before = engine_files(&data, EngineKind::Fjall);
        let Outcome::Refused(error) = look(&data, EngineKind::Fjall).await else {
            panic!("{} was not missed", keyspace.display());
        };
        assert!(error.contains("is an older copy"), "{error}");
        assert_eq!(engine_files(&data, EngineKind::Fjall), before);
    }
}

fn folder_of(image: &Image, folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u64)> {
    image.0.iter().filter(|(name, _)| name.starts_with(folder)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_journal_is_named_and_no_changes_are_counted_as_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("made");
    sample(&data, EngineKind::Fjall).await;
    for name in Image::of(&data).names().iter().filter(|name| name.extension().is_some_and(|e| e == "jnl")) {
        fs::remove_file(data.join(name)).expect("removed");
    }
    for file in ["witness", "closed-files"] {
        fs::remove_file(data.join(file)).expect("removed");
        let Outcome::Refused(error) = look(&data, EngineKind::Fjall).await else { panic!("it opened") };
        assert!(
            error.contains("the journal is missing") && !error.contains("changes are missing"),
            "{error}"
        );
    }
}

//----------- A journal of fjall ---------------------------------------------

/// Whole changes behind a broken part of a journal: fjall would cut them off. They stay until a repair leaves out the broken
/// part alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_broken_in_the_middle_is_refused_before_it_is_cut() {
    use std::os::unix::fs::FileExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("made");
    sample(&data, EngineKind::Fjall).await;
    for file in ["witness", "closed-files"] {
        fs::remove_file(data.join(file)).expect("removed");
    }
    let whole = Image::of(&data);
    let journal = Path::new("fjall/0.jnl");
    let used = whole.0[journal].0.len();
    // The mark of an entry, and a page.
    for (at, broken) in [(0, vec![0; 1]), (used / 2 / 4_096 * 4_096, vec![0; 4_096])] {
        whole.lay_out(&data);
        let file = fs::OpenOptions::new().write(true).open(data.join(journal)).expect("the journal");
        file.write_all_at(&broken, at as u64).expect("written");
        let before = fs::read(data.join(journal)).expect("the journal");
        let Outcome::Refused(error) = look(&data, EngineKind::Fjall).await else { panic!("it opened") };
        assert!(error.contains("0.jnl") && error.contains("it is broken at byte"), "{error}");
        assert!(fs::read(data.join(journal)).expect("the journal") == before, "the journal was changed");
        let report = repair(options(&data, EngineKind::Fjall)).await.expect("repaired");
        let is_named =
            |files: &[String]| files.iter().any(|file| file.contains("cannot be read were left out of"));
        assert!(is_named(&report.files), "{report:#?}");
        let Opened { store, .. } = open(options(&data, EngineKind::Fjall)).await.expect("opens");
        let last = present(&store, &name(IDENTIFIERS - 1)).await.expect("what lies behind the broken part");
        assert_eq!(data_of(&last), name(IDENTIFIERS - 1).as_bytes());
    }
}

/// A batch that was not written to its end is what a crash leaves.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_end_of_a_journal_is_no_damage() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("made");
    sample(&data, EngineKind::Fjall).await;
    let Opened { store, mut writer, .. } = opened(&data, EngineKind::Fjall).await;
    commit(&mut writer, vec![change("88/later", Some(b"x"), 1, None)]).await;
    store.release(writer).await;
    let journal = data.join("fjall/0.jnl");
    let file = fs::OpenOptions::new().write(true).open(&journal).expect("the journal");
    file.set_len(used_bytes(&journal).len() as u64 - 9).expect("cut");
    let Opened { store, .. } = opened(&data, EngineKind::Fjall).await;
    assert_eq!(store.read_only_reason(), None);
    assert_eq!(present(&store, "88/later").await, None);
    assert_whole(&store).await;
}

//----------- The other engine -----------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_opened_by_the_engine_that_completed_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path();
    sample(data, EngineKind::Fjall).await;
    // A folder of the other engine, as a mistaken copy leaves it.
    fs::create_dir(data.join("sled")).expect("made");
    for refused in [
        open(options(data, EngineKind::Sled)).await.map(|_| ()),
        repair(options(data, EngineKind::Sled)).await.map(|_| ()),
        check(options(data, EngineKind::Sled)).await.map(|_| ()),
    ] {
        let refused = refused.expect_err("another engine").to_string();
        assert!(refused.contains("was created by the engine fjall"), "{refused}");
    }
    assert_eq!(fs::read_dir(data.join("sled")).expect("the folder").count(), 0);
    assert_eq!(look(data, EngineKind::Fjall).await, Outcome::Whole);
}

//----------- Every file, every damage ---------------------------------------

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Delete,
    Cut,
    Zero,
    Flip,
}

fn damage(path: &Path, how: Damage) {
    if matches!(how, Damage::Delete) {
        return fs::remove_file(path).expect("removed");
    }
    let used = used_bytes(path).len();
    let file = fs::OpenOptions::new().read(true).write(true).open(path).expect("the file");
    use std::os::unix::fs::FileExt as _;
    match how {
        Damage::Delete => {}
        Damage::Cut => file.set_len(used as u64 / 2).expect("cut"),
        Damage::Zero => {
            let (from, until) = (used / 2 / 4_096 * 4_096, used);
            file.write_all_at(&vec![0; (until - from).min(4_096)], from as u64).expect("written");
        }
        Damage::Flip => {
            let mut byte = [0];
            file.read_exact_at(&mut byte, used as u64 / 2).expect("read");
            file.write_all_at(&[byte[0] ^ 0x10], used as u64 / 2).expect("written");
        }
    }
}

/// Damages each file of a closed store in each way, with and without the list of files.
async fn damage_every_file(engine: EngineKind) -> BTreeMap<&'static str, usize> {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    fs::create_dir(&data).expect("made");
    sample(&data, engine).await;
    // The second opening finds what the first one has left.
    assert_eq!(look(&data, engine).await, Outcome::Whole);
    let whole = Image::of(&data);
    let mut outcomes = BTreeMap::new();
    for file in whole.names().iter().filter(|file| !whole.0[*file].0.is_empty()) {
        for how in [Damage::Delete, Damage::Cut, Damage::Zero, Damage::Flip] {
            for listed in [true, false] {
                whole.lay_out(&data);
                if !listed && fs::remove_file(data.join("closed-files")).is_err() {
                    continue;
                }
                if data.join(file).exists() {
                    damage(&data.join(file), how);
                }
                let outcome = look(&data, engine).await;
                let is_small_file = !file.starts_with(engine_folder(engine));
                let is_whole = outcome == Outcome::Whole;
                assert!(!is_small_file || is_whole, "{} {how:?}: {outcome:?}", file.display());
                *outcomes.entry(if is_whole { "whole" } else { "named" }).or_default() += 1;
            }
        }
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_any_file_of_fjall_is_named_or_harmless() {
    let outcomes = damage_every_file(EngineKind::Fjall).await;
    assert!(outcomes["named"] > outcomes["whole"], "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_to_any_file_of_sled_is_named_or_harmless() {
    let outcomes = damage_every_file(EngineKind::Sled).await;
    assert!(outcomes["named"] > 0, "{outcomes:?}");
}

//----------- A directory that was a store -----------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_a_store_does_not_become_a_new_one() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        fs::create_dir(&data).expect("made");
        sample(&data, engine).await;
        let whole = Image::of(&data);
        for evidence in ["witness", "high-water"] {
            for leave_folder in [true, false] {
                whole.lay_out(&data);
                for other in
                    ["witness", "closed-files", "high-water"].iter().filter(|other| **other != evidence)
                {
                    fs::remove_file(data.join(other)).expect("removed");
                }
                let folder = data.join(engine_folder(engine));
                fs::remove_dir_all(&folder).expect("removed");
                if leave_folder {
                    fs::create_dir(&folder).expect("made");
                }
                let refused = open(options(&data, engine)).await.err().expect("refused");
                let is_named = matches!(refused, Error::Gone { .. }) || leave_folder;
                assert!(is_named, "{engine}, {evidence}: {refused}");
                let left = Image::of(&folder_or(&folder)).names();
                assert!(left.is_empty(), "{engine}, {evidence}: {left:?}");
            }
        }
    }
}

/// The folder, made where there is none.
fn folder_or(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).expect("made");
    folder.to_owned()
}

//----------- Unfinished first starts ----------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_ended_anywhere_is_begun_again() {
    type Files<'a> = &'a [(&'a str, &'a [u8])];
    let zeros = [0; 4_096];
    let beginnings: [(EngineKind, Files<'_>); 4] = [
        (EngineKind::Fjall, &[("lock", b""), ("0.jnl", b"")]),
        (EngineKind::Fjall, &[("lock", b""), ("0.jnl", &zeros), ("version", b"")]),
        (EngineKind::Fjall, &[("lock", b""), ("0.jnl", &zeros), ("version", b"FJL")]),
        (EngineKind::Sled, &[("conf", b"")]),
    ];
    for (engine, files) in beginnings {
        let directory = tempfile::tempdir().expect("a directory");
        let folder = directory.path().join(engine_folder(engine));
        fs::create_dir_all(folder.join("keyspaces")).expect("made");
        for (name, content) in files {
            fs::write(folder.join(name), content).expect("space on disk");
        }
        let Opened { store, writer, report } = opened(directory.path(), engine).await;
        assert!(report.created, "{engine} {files:?}");
        store.close(writer).await.expect("the store closes");
    }
}

/// A left-over file of a snapshot that sled had not written to its end.
#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_snapshot_of_sled_does_no_harm() {
    for content in [&b""[..], &[7; 40]] {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        fs::create_dir(&data).expect("made");
        sample(&data, EngineKind::Sled).await;
        let left = data.join("sled/snap.FFFFFFFFFFFFFFFF.generating");
        fs::write(&left, content).expect("space on disk");
        assert_eq!(look(&data, EngineKind::Sled).await, Outcome::Whole);
        assert!(!left.exists());
    }
}
