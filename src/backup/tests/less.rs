//! A restore never returns less than was asked for without saying so, and no backup rests on one that is not whole.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::{
    Bench, Damage, EngineKind, Error, Kind, RestoreRequest, Summary, Until, check_restored, refused, restored,
};
use crate::backup::catalog::Catalog;
use crate::backup::manifest::{Holds, Manifest};
use crate::backup::{Options, list_directory};

impl Bench {
    /// Writes a block, and makes a backup after it.
    async fn next(&mut self, kind: Kind) -> Summary {
        self.write(0..20).await;
        let made = self.create(kind).await;
        assert_eq!((made.kind, made.note.as_ref()), (kind, None));
        made
    }

    fn manifest(&self, backup: &Summary) -> PathBuf {
        backup.directory.join(&backup.name).join("manifest.json")
    }

    pub(super) fn key_file(&self) -> PathBuf {
        let key = self.path("key");
        fs::write(&key, [9; 32]).expect("space on disk");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("it is ours");
        key
    }
}

/// Writes a manifest anew, with a digest that is right.
fn forge(bench: &Bench, backup: &Summary, change: impl FnOnce(&mut Manifest)) {
    let folder = backup.directory.join(&backup.name);
    let (mut manifest, _) = Manifest::load_proved(&folder, None).expect("the manifest");
    change(&mut manifest);
    fs::write(bench.manifest(backup), manifest.encode(None).expect("it encodes")).expect("space on disk");
}

#[tokio::test]
async fn an_increment_is_made_only_on_a_chain_that_is_whole() {
    for engine in EngineKind::ALL {
        let mut bench = Bench::new(engine).await;
        bench.next(Kind::Full).await;
        let first = bench.next(Kind::Incremental).await;
        bench.next(Kind::Incremental).await;
        fs::remove_dir_all(first.directory.join(&first.name)).expect("the increment");
        bench.write(0..30).await;
        let made = bench.create(Kind::Incremental).await;
        let note = made.note.expect("a reason");
        let expected = format!("{}: the backup that this one continues is missing", first.name);
        assert!(made.kind == Kind::Full && note.contains(&expected), "{note}");
        let report = restored(bench.request("", "again")).await;
        assert_eq!((report.restored.continues, report.lost.len()), (made.to, 0));
        check_restored(&bench.path("again"), engine, bench.states_at(made.to.sequence)).await;
    }
}

#[tokio::test]
async fn a_base_with_a_missing_cut_or_changed_file_is_not_continued() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    let mut harm: Vec<fn(&std::path::Path)> = Vec::new();
    harm.push(|file| fs::remove_file(file).expect("a file"));
    harm.push(|file| fs::write(file, b"short").expect("space on disk"));
    harm.push(|file| {
        let mut bytes = fs::read(file).expect("a file");
        *bytes.last_mut().expect("some bytes") ^= 1;
        fs::write(file, bytes).expect("space on disk");
    });
    for harm in harm {
        let full = bench.next(Kind::Full).await;
        bench.next(Kind::Incremental).await;
        harm(&full.directory.join(&full.name).join("image-000001.zst"));
        let made = bench.create(Kind::Incremental).await;
        let note = made.note.expect("a reason");
        assert!(note.contains(&format!("{}/image-000001.zst", full.name)), "{note}");
    }
}

/// The newest full backup has no manifest, or one that cannot be read: it is named, and nothing less is restored silently.
#[tokio::test]
async fn a_backup_without_a_readable_manifest_is_named_by_list_and_restore() {
    for engine in EngineKind::ALL {
        let mut bench = Bench::new(engine).await;
        let older = bench.next(Kind::Full).await;
        let newest = bench.next(Kind::Full).await;
        let manifest = bench.manifest(&newest);
        let whole = fs::read(&manifest).expect("the manifest");
        let named = manifest.display().to_string();
        for harmed in [None, Some(&b""[..]), Some(&whole[..whole.len() / 2])] {
            match harmed {
                None => fs::remove_file(&manifest).expect("the manifest"),
                Some(harmed) => fs::write(&manifest, harmed).expect("space on disk"),
            }
            let listing = list_directory(&bench.path("backups"), None).expect("the directory");
            assert_eq!(listing.findings.iter().map(|finding| &finding.file).collect::<Vec<_>>(), [&named]);
            assert_eq!(listing.backups.len(), 1);
            for until in [Until::End, Until::Time(u64::MAX)] {
                let error = refused(RestoreRequest { until, ..bench.request("", "again") }).await;
                let Error::Older { lost, .. } = &error else { panic!("{error}") };
                assert_eq!(lost[0].file, format!("{}/manifest.json", newest.name));
            }
            let beyond = Until::Sequence(newest.to.sequence);
            let error = refused(RestoreRequest { until: beyond, ..bench.request("", "again") }).await;
            assert!(matches!(&error, Error::Unreachable { .. }), "{error}");
            assert!(error.to_string().contains(&newest.name), "{error}");
            let error = refused(bench.request(&newest.name, "again")).await;
            assert!(matches!(error, Error::NotWhole { .. }), "{error}");
            // What does not need the newest backup is restored, and the folder is named all the same.
            let until = Until::Position(older.to);
            let report = restored(RestoreRequest { until, ..bench.request("", "again") }).await;
            assert_eq!((report.restored.continues, report.lost.len(), report.unused.len()), (older.to, 0, 1));
            fs::remove_dir_all(bench.path("again")).expect("the restored store");
            let damage = Damage::AcceptOlder;
            let report = restored(RestoreRequest { damage, ..bench.request("", "again") }).await;
            assert_eq!((report.restored.continues, report.lost.len()), (older.to, 1));
            fs::remove_dir_all(bench.path("again")).expect("the restored store");
        }
    }
}

/// A backup made while the clock was years ahead is not the newest one; neither is its age known.
#[tokio::test]
async fn backups_are_chosen_by_position_not_by_clock() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    let ahead = bench.next(Kind::Full).await;
    forge(&bench, &ahead, |manifest| manifest.created_ms = 2_208_988_800_000);
    let newest = bench.next(Kind::Full).await;
    let listed = bench.backups().list(None).await.expect("the backups").backups;
    assert_eq!(listed.iter().map(|one| &one.name).collect::<Vec<_>>(), [&newest.name, &ahead.name]);
    let report = restored(bench.request("", "again")).await;
    assert_eq!(
        (report.backups.as_slice(), report.restored.continues),
        (&[newest.name.clone()][..], newest.to)
    );
    let made = bench.create(Kind::Incremental).await;
    assert_eq!(made.base.as_ref(), Some(&newest.name));
    // Retention removes what is older by position.
    let options = Options { keep_count: 1, ..super::options(bench.scratch.path()) };
    let gone = bench.backups_with(options).retire(None).await.expect("it retires");
    assert_eq!(gone, [ahead.name]);
    // With the only full one of the future, the next scheduled one is full.
    forge(&bench, &newest, |manifest| manifest.created_ms = 2_208_988_800_000);
    bench.backups().run_scheduled().await.expect("it runs");
    assert_eq!(bench.backups().newest().await.expect("the backups").expect("one").kind, Kind::Full);
}

/// A backup made while the clock was behind is as old as its last entry, which is never dated before the one before it.
#[tokio::test]
async fn a_backup_made_while_the_clock_was_behind_is_not_too_old() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    let behind = bench.next(Kind::Full).await;
    forge(&bench, &behind, |manifest| manifest.created_ms = 0);
    bench.next(Kind::Full).await;
    let backups = bench.backups_with(Options { keep_days: 1, ..super::options(bench.scratch.path()) });
    backups.set_trusted_time(behind.to_ms + 3_600_000);
    assert_eq!(backups.retire(None).await.expect("it retires"), Vec::<String>::new());
    backups.set_trusted_time(behind.to_ms + 2 * 86_400_000);
    assert_eq!(backups.retire(None).await.expect("it retires"), [behind.name]);
}

#[tokio::test]
async fn retention_does_not_count_a_damaged_full_backup() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    let whole = bench.next(Kind::Full).await;
    let harmed = bench.next(Kind::Full).await;
    fs::remove_file(harmed.directory.join(&harmed.name).join("image-000001.zst")).expect("a chunk");
    let options = Options { keep_count: 1, ..super::options(bench.scratch.path()) };
    let gone = bench.backups_with(options).retire(None).await.expect("it retires");
    assert_eq!(gone, Vec::<String>::new());
    assert!(bench.manifest(&whole).exists());
}

/// One bit of a chunk is flipped; its size is right.
#[tokio::test]
async fn retention_does_not_count_a_full_backup_with_changed_content() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    let whole = bench.next(Kind::Full).await;
    let harmed = bench.next(Kind::Full).await;
    let chunk = harmed.directory.join(&harmed.name).join("image-000001.zst");
    let mut bytes = fs::read(&chunk).expect("a chunk");
    *bytes.last_mut().expect("some bytes") ^= 1;
    fs::write(&chunk, bytes).expect("space on disk");
    let keep = |keep_count| Options { keep_count, ..super::options(bench.scratch.path()) };
    let gone = bench.backups_with(keep(1)).retire(None).await.expect("it retires");
    assert_eq!(gone, Vec::<String>::new());
    let newest = bench.create(Kind::Full).await;
    let gone = bench.backups_with(keep(2)).retire(None).await.expect("it retires");
    assert_eq!(gone, Vec::<String>::new());
    let gone = bench.backups_with(keep(1)).retire(None).await.expect("it retires");
    assert_eq!(gone, [harmed.name, whole.name]);
    assert!(bench.manifest(&newest).exists());
}

/// full, incremental, changes, full: what was between the incremental and the second full one is restored from the journal
/// that the second full one holds.
#[tokio::test]
async fn every_position_in_the_gap_before_a_full_backup_is_restored() {
    for engine in EngineKind::ALL {
        let mut bench = Bench::new(engine).await;
        bench.next(Kind::Full).await;
        let before = bench.next(Kind::Incremental).await;
        for round in 0..3 {
            bench.write(round * 10..round * 10 + 30).await;
        }
        let after = bench.next(Kind::Full).await;
        bench.next(Kind::Incremental).await;
        let ends: Vec<u64> = bench.past.iter().map(|(end, _)| *end).collect();
        let mut tried = 0;
        for sequence in
            ends.into_iter().filter(|end| (before.to.sequence + 1..after.to.sequence).contains(end))
        {
            let header = bench.header(sequence).await;
            for until in [Until::Position(header.position), Until::Time(header.time_ms)] {
                let report = restored(RestoreRequest { until, ..bench.request("", "again") }).await;
                assert_eq!((report.restored.continues, report.lost.len()), (header.position, 0));
                assert_eq!(report.backups.last(), Some(&after.name));
                check_restored(&bench.path("again"), engine, bench.states_at(sequence)).await;
                fs::remove_dir_all(bench.path("again")).expect("the restored store");
                tried += 1;
            }
        }
        assert!(tried >= 4, "{tried}");
    }
}

/// An increment is damaged, but a later full backup holds its journal.
#[tokio::test]
async fn what_another_backup_holds_as_well_is_restored_in_spite_of_damage() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.next(Kind::Full).await;
    let harmed = bench.next(Kind::Incremental).await;
    let newest = bench.next(Kind::Full).await;
    let file = harmed.directory.join(&harmed.name).join("journal-000001.zst");
    let mut bytes = fs::read(&file).expect("a chunk");
    *bytes.last_mut().expect("some bytes") ^= 1;
    fs::write(&file, bytes).expect("space on disk");
    let until = Until::Position(harmed.to);
    let report = restored(RestoreRequest { until, ..bench.request("", "again") }).await;
    assert_eq!((report.restored.continues, report.backups.last()), (harmed.to, Some(&newest.name)));
    assert_eq!(report.unused[0].file, format!("{}/journal-000001.zst", harmed.name));
    check_restored(&bench.path("again"), EngineKind::Fjall, bench.states_at(harmed.to.sequence)).await;
}

/// The last chunk of the journal is dropped, and the digest of the manifest is right again.
#[tokio::test]
async fn a_restore_checks_the_totals_that_a_verification_checks() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    let made = bench.next(Kind::Full).await;
    bench.write(0..300).await;
    let made_later = bench.create(Kind::Incremental).await;
    for backup in [&made, &made_later] {
        let whole = fs::read(bench.manifest(backup)).expect("the manifest");
        let mut dropped = String::new();
        forge(&bench, backup, |manifest| {
            let chunk = manifest.chunks.pop().expect("a chunk");
            assert_eq!(chunk.holds, Holds::Journal);
            dropped = chunk.file;
        });
        let file = backup.directory.join(&backup.name).join(&dropped);
        let error = refused(bench.request(&backup.name, "again")).await.to_string();
        assert!(error.contains(&format!("{dropped}: it is not part of this backup")), "{error}");
        let chunk = fs::read(&file).expect("the chunk");
        fs::remove_file(&file).expect("the chunk");
        let error = refused(bench.request(&backup.name, "again")).await;
        assert!(matches!(&error, Error::NotWhole { .. }), "{error}");
        assert!(error.to_string().contains("manifest.json: it counts"), "{error}");
        fs::write(&file, chunk).expect("space on disk");
        fs::write(bench.manifest(backup), whole).expect("space on disk");
    }
}

/// With a key, an unencrypted backup of the same name is not a backup: not for the list, a restore, or a verification.
#[tokio::test]
async fn with_a_key_only_what_it_proves_is_taken() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    let key = bench.key_file();
    let sealed = Options { key_file: Some(key.clone()), ..super::options(bench.scratch.path()) };
    bench.write(0..20).await;
    let made =
        bench.backups_with(sealed.clone()).create(None, Kind::Full, &|_| {}).await.expect("it is made");
    // A forged one in its place: made without the key, renamed, with a manifest of that name.
    bench.write(0..20).await;
    let others = bench.path("others");
    let forged = bench.backups().create(Some(&others), Kind::Full, &|_| {}).await.expect("it is made");
    fs::remove_dir_all(made.directory.join(&made.name)).expect("the backup");
    fs::rename(forged.directory.join(&forged.name), made.directory.join(&made.name)).expect("it is renamed");
    forge(&bench, &made, |manifest| manifest.name.clone_from(&made.name));

    let with_key =
        |from: &str| RestoreRequest { key_file: Some(key.clone()), ..bench.request(from, "again") };
    for from in ["", made.name.as_str()] {
        let error = refused(with_key(from)).await;
        assert!(matches!(&error, Error::NotWhole { .. }), "{error}");
        assert!(error.to_string().contains("manifest.json: it is not encrypted"), "{error}");
    }
    let listing = list_directory(&bench.path("backups"), Some(&key)).expect("the directory");
    assert_eq!((listing.backups.len(), listing.findings.len()), (0, 1));
    let backups = bench.backups_with(sealed);
    let found = backups.verify(None, &made.name, &|_| {}).await.expect("it can be examined").findings;
    assert!(found[0].to_string().starts_with("manifest.json: it is not encrypted"), "{found:?}");
    let next = backups.create(None, Kind::Incremental, &|_| {}).await.expect("it is made");
    assert_eq!(next.kind, Kind::Full);
}

/// With a key, a manifest that the key does not prove does not say where its backup ends.
#[tokio::test]
async fn with_a_key_the_end_that_an_unproved_manifest_states_is_not_believed() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    let key = bench.key_file();
    let sealed = Options { key_file: Some(key.clone()), ..super::options(bench.scratch.path()) };
    let backups = bench.backups_with(sealed);
    bench.write(0..20).await;
    let older = backups.create(None, Kind::Full, &|_| {}).await.expect("it is made");
    let (older_manifest, _) = Manifest::load_proved(&older.directory.join(&older.name), None).expect("read");
    bench.write(0..20).await;
    let newest = backups.create(None, Kind::Full, &|_| {}).await.expect("it is made");
    forge(&bench, &newest, |manifest| manifest.to = older_manifest.to);
    fs::remove_file(bench.path("backups").join("catalog.json")).expect("the catalog");
    let error = refused(RestoreRequest { key_file: Some(key), ..bench.request("", "again") }).await;
    let Error::Older { lost, .. } = &error else { panic!("{error}") };
    assert_eq!(lost[0].file, format!("{}/manifest.json", newest.name));
}

/// The newest backup vanished, and no other one continues it: the catalog lists it. A catalog that is damaged, or not
/// sealed where there is a key, proves nothing.
#[tokio::test]
async fn a_backup_that_vanished_without_a_follower_is_named() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    let key = bench.key_file();
    for (directory, key_file) in [("plain", None), ("sealed", Some(key))] {
        let directory = bench.path(directory);
        let directories = vec![directory.clone()];
        let options =
            Options { key_file: key_file.clone(), directories, ..super::options(bench.scratch.path()) };
        let backups = bench.backups_with(options);
        bench.write(0..20).await;
        let older = backups.create(None, Kind::Full, &|_| {}).await.expect("it is made");
        bench.write(0..20).await;
        let newest = backups.create(None, Kind::Incremental, &|_| {}).await.expect("it is made");
        fs::remove_dir_all(directory.join(&newest.name)).expect("the backup");
        let missing = format!(
            "{}: it is missing; the catalog of the directory lists it, up to {}",
            newest.name, newest.to
        );
        let listing = list_directory(&directory, key_file.as_deref()).expect("the directory");
        assert!(listing.findings[0].to_string().ends_with(&missing), "{:?}", listing.findings);
        let request = RestoreRequest { key_file: key_file.clone(), ..bench.request(&directory, "again") };
        let error = refused(request.clone()).await;
        let Error::Older { lost, .. } = &error else { panic!("{error}") };
        assert_eq!(lost.iter().map(ToString::to_string).collect::<Vec<_>>(), [missing]);

        let catalog = directory.join("catalog.json");
        let text = fs::read_to_string(&catalog).expect("the catalog");
        fs::write(&catalog, text.replacen("full", "fuil", 1)).expect("space on disk");
        let error = refused(request.clone()).await;
        assert!(error.to_string().contains("catalog.json: its SHA-256 is"), "{error}");
        // Written anew by one who has no key.
        Catalog { listed: Vec::new() }.save(&directory, None).expect("space on disk");
        if key_file.is_some() {
            let error = refused(request.clone()).await;
            assert!(error.to_string().contains("catalog.json: it was not sealed with this key"), "{error}");
        }
        // The next backup reaches further; then nothing is missed any more.
        bench.write(0..20).await;
        let next = backups.create(None, Kind::Incremental, &|_| {}).await.expect("it is made");
        assert_eq!(next.base.as_ref(), Some(&older.name));
        assert_eq!(backups.list(None).await.expect("the directory").findings, []);
        let report = restored(request).await;
        assert_eq!((report.restored.continues, report.lost.len()), (next.to, 0));
        fs::remove_dir_all(bench.path("again")).expect("the restored store");
    }
}
