//! Backups without damage, and what is restored from them.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Arc, BTreeMap, Bench, EngineKind, Kind, RestoreRequest, check_restored, files, restored, write};
use super::{States, check_states, open, read, store_options, verdict};
use crate::backup::verify_folder;
use crate::model::position::Position;
use crate::store::entry::Change;
use crate::store::journal::Body;

/// The state of every identifier at an entry, according to the journal.
async fn states_of_journal(bench: &Bench, sequence: u64) -> States {
    let mut states: States = BTreeMap::new();
    let mut read_to = None;
    while read_to.is_none_or(|position: Position| position.sequence < sequence) {
        let page = bench.store.headers_after(read_to, 1_000).await.expect("the journal reads");
        for entry in bench.store.with_bodies(page).await.expect("the journal reads") {
            read_to = Some(entry.header.position);
            let Some(Body { change: Change::Identifier(change), .. }) = entry.body else { continue };
            if entry.header.position.sequence <= sequence {
                states.insert(change.identifier.to_string(), (entry.header.version, change.values));
            }
        }
    }
    states
}

/// The node writes during the backup; afterwards its data directory is deleted and restored.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_made_during_writes_restores_every_identifier_as_it_was_at_its_end() {
    for engine in EngineKind::ALL {
        let mut bench = Bench::new(engine).await;
        for block in 0..4 {
            bench.write(block * 500..(block + 1) * 500).await;
        }
        let Bench { scratch, store, mut writer, past } = bench;
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn({
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            async move {
                let mut round = 0;
                while !stop.load(Ordering::Relaxed) {
                    let numbers: Vec<u64> = (0..20).map(|n| (n * 97 + round * 13) % 2_400).collect();
                    write(&store, &mut writer, &numbers).await;
                    round += 1;
                }
                writer
            }
        });
        let before = store.end().sequence;
        let backups =
            super::Backups::new(store.clone(), super::options(scratch.path())).expect("no key file");
        let made = backups.create(None, Kind::Full, &|_| {}).await.expect("the backup is made");
        stop.store(true, Ordering::Relaxed);
        let writer = writer.await.expect("the writer ends");
        assert!(made.to.sequence > before, "nothing was written meanwhile");
        let bench = Bench { scratch, store, writer, past };
        let found = verdict(&bench.path("backups").join(&made.name)).await;
        assert_eq!((found.findings.as_slice(), found.entries), ([].as_slice(), made.entries));
        let expected = states_of_journal(&bench, made.to.sequence).await;
        let old = bench.store.head();
        let request = bench.request(&made.name, "data");
        let scratch = bench.close().await;
        std::fs::remove_dir_all(scratch.path().join("data")).expect("the data directory goes");
        for target in EngineKind::ALL {
            let data = scratch.path().join(format!("data-{target}"));
            let request = RestoreRequest { data: data.clone(), engine: Some(target), ..request.clone() };
            let report = restored(request).await;
            assert_eq!(report.restored.continues, made.to);
            assert!(report.restored.present.incarnation > old.incarnation);
            check_restored(&data, target, &expected).await;
        }
    }
}

#[tokio::test]
async fn a_restored_node_writes_on_and_its_history_reaches_back() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..20).await;
    bench.write(0..20).await;
    let made = bench.create(Kind::Full).await;
    restored(bench.request(&made.name, "again")).await;
    let expected = bench.states_at(made.to.sequence).clone();
    let scratch = bench.close().await;
    let mut again = Bench::at(scratch, "again", EngineKind::Fjall).await;
    check_states(&again.store, &expected).await;
    again.write(3..5).await;
    let entry = read(&again.store, &[3]).await.remove(0);
    let lineage = again.store.lineage();
    let mut sequence = Some(entry.sequence);
    let mut versions = Vec::new();
    while let Some(there) = sequence.and_then(|there| lineage.position_of(there)) {
        let header = again.store.header(there).await.expect("the journal reads").expect("a header");
        versions.push(header.version);
        sequence = header.previous;
    }
    assert_eq!(versions, [3, 2, 1]);
    // A backup of the restored store continues the one it came from.
    let next = again.create(Kind::Incremental).await;
    assert_eq!((next.kind, next.base, next.note), (Kind::Incremental, Some(made.name), None));
}

#[tokio::test]
async fn folders_and_files_are_private_and_progress_is_reported() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..200).await;
    let reported = Mutex::new(Vec::new());
    let on_progress = |progress| reported.lock().expect("no panic").push(progress);
    let made = bench.backups().create(None, Kind::Full, &on_progress).await.expect("the backup is made");
    let folder = bench.path("backups").join(&made.name);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&bench.path("backups")), mode(&folder)), (0o700, 0o700));
    let files = files(&folder);
    assert!(files.iter().all(|file| mode(file) == 0o600));
    assert!(files.len() > 4, "several chunks: {files:?}");
    let bytes: u64 = files.iter().map(|file| std::fs::metadata(file).expect("a file").len()).sum();
    assert_eq!(bytes, made.bytes);
    verify_folder(&folder, None, &on_progress).await.expect("it can be examined");
    let reported = reported.into_inner().expect("no panic");
    let stages: std::collections::BTreeSet<&str> = reported.iter().map(|progress| progress.stage).collect();
    assert_eq!(stages.into_iter().collect::<Vec<_>>(), ["begin", "done", "image", "journal", "read back"]);
    let last = reported.last().expect("progress");
    assert_eq!((Some(last.done_bytes), last.entries), (last.total_bytes, made.entries));
}

#[tokio::test]
async fn an_encrypted_backup_needs_its_key() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..100).await;
    let key = |name: &str, content: &[u8], mode| {
        let path = bench.path(name);
        std::fs::write(&path, content).expect("space on disk");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
        path
    };
    let right = key("right", b"00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n", 0o600);
    let other = key("other", &[7; 32], 0o400);
    let open_to_all = key("open", &[7; 32], 0o644);
    let short = key("short", b"00112233", 0o600);
    let with = |key| super::Options { key_file: Some(key), ..super::options(bench.scratch.path()) };
    for (wrong, expected) in [(open_to_all, "chmod 600"), (short, "openssl rand -hex 32")] {
        let refused = super::Backups::new(bench.store.clone(), with(wrong)).err().expect("it is refused");
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    let backups = bench.backups_with(with(right.clone()));
    let made = backups.create(None, Kind::Full, &|_| {}).await.expect("the backup is made");
    assert!(made.encrypted);
    let folder = bench.path("backups").join(&made.name);
    assert!(backups.verify(None, &made.name, &|_| {}).await.expect("it can be examined").is_whole());

    let unlocked = verify_folder(&folder, None, &|_| {}).await.expect_err("no key");
    assert!(unlocked.to_string().contains("is encrypted; name its key file"), "{unlocked}");
    let wrong = verify_folder(&folder, Some(&other), &|_| {}).await.expect_err("another key");
    assert!(wrong.to_string().contains("not the key that this backup was encrypted with"), "{wrong}");
    let request = RestoreRequest { key_file: Some(other), ..bench.request(&made.name, "again") };
    let wrong = super::refused(request).await;
    assert!(wrong.to_string().contains("not the key that this backup was encrypted with"), "{wrong}");
    let plain = std::fs::read(folder.join("journal-000001.zst")).expect("a chunk");
    assert_ne!(&plain[..4], &[0x28, 0xb5, 0x2f, 0xfd], "the magic number of zstd");

    let request = RestoreRequest { key_file: Some(right), ..bench.request(&made.name, "again") };
    let data = request.data.clone();
    restored(request).await;
    check_restored(&data, EngineKind::Fjall, bench.states_at(made.to.sequence)).await;
    let opened = open(store_options(&data, EngineKind::Fjall)).await.expect("it opens");
    assert_eq!(opened.store.lineage().entries().len(), 2);
}

#[tokio::test]
async fn small_files_of_the_data_directory_come_back_for_their_owner_only() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..3).await;
    let made = bench.backups().create(None, Kind::Full, &|_| {}).await.expect("the backup is made");
    bench.write(3..5).await;
    let later = bench.backups().create(None, Kind::Incremental, &|_| {}).await.expect("the backup is made");
    for (name, data) in [(&made.name, "full"), (&later.name, "incremental")] {
        restored(bench.request(name, data)).await;
        let file = bench.path(data).join("server-key.pem");
        assert_eq!(std::fs::read(&file).expect("the file is there"), b"a secret");
        let mode = std::fs::metadata(&file).expect("the file is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    bench.close().await;
}
