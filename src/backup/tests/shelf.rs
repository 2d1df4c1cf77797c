//! The directory of backups: no partial backups, no concurrent ones, removal of old ones.

use std::fs;

use super::{
    Bench, EngineKind, Error, Kind, Options, check_restored, files, name_of, options, refused, restored,
};
use crate::backup::list_directory;

/// The folder is removed during the backup, as if the disk failed.
#[tokio::test]
async fn a_backup_that_fails_or_is_abandoned_leaves_nothing() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..400).await;
    let directory = bench.path("backups");
    let vanish = |progress: crate::backup::Progress| {
        if progress.stage == "image" {
            let partial = files(&directory).into_iter().find(|path| path.extension().is_some());
            fs::remove_dir_all(partial.expect("the folder under way")).expect("it goes");
        }
    };
    let backups = bench.backups();
    let error = backups.create(None, Kind::Full, &vanish).await.expect_err("it fails");
    assert!(matches!(&error, Error::File { action: "cannot write", .. }), "{error}");
    assert_eq!(backups.counters().failures(), 1);
    assert_eq!(files(&directory).iter().map(|path| name_of(path)).collect::<Vec<_>>(), [".lock"]);

    // The future is dropped at its first wait.
    let begun =
        futures_util::future::poll_immediate(Box::pin(backups.create(None, Kind::Full, &|_| {}))).await;
    assert!(begun.is_none());
    let made = when_free(&backups).await;
    let left: Vec<String> = files(&directory).iter().map(|path| name_of(path)).collect();
    assert_eq!(left, [".lock".to_owned(), made.name.clone(), "catalog.json".to_owned()]);
    assert_eq!(backups.counters().last_success_ms(), Some(made.created_ms));

    // The next backup removes what a crash left.
    fs::create_dir(directory.join("2026-01-01T000000Z-full.partial")).expect("a folder");
    let next = bench.create(Kind::Full).await;
    assert_eq!(files(&directory).len(), 4);
    assert!(
        list_directory(&directory, None)
            .expect("the backups")
            .backups
            .iter()
            .any(|backup| backup.name == next.name)
    );
}

/// Creates a backup as soon as the thread that opened the directory for the abandoned one has released it.
async fn when_free(backups: &crate::backup::Backups) -> crate::backup::Summary {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        match backups.create(None, Kind::Full, &|_| {}).await {
            Err(Error::Busy { .. }) if std::time::Instant::now() < deadline => tokio::task::yield_now().await,
            made => return made.expect("the way is free again"),
        }
    }
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_an_error_that_names_it() {
    let bench = Bench::new(EngineKind::Fjall).await;
    fs::write(bench.path("backups"), "a file, not a directory").expect("space on disk");
    let error = bench.backups().create(None, Kind::Full, &|_| {}).await.expect_err("it fails");
    assert!(
        error.to_string().starts_with("cannot make") && error.to_string().ends_with("backups"),
        "{error}"
    );
}

#[tokio::test]
async fn only_configured_directories_and_plain_names_are_used() {
    let bench = Bench::new(EngineKind::Fjall).await;
    let backups = bench.backups();
    let strange = bench.path("elsewhere");
    let error = backups.create(Some(&strange), Kind::Full, &|_| {}).await.expect_err("not configured");
    assert!(matches!(&error, Error::DirectoryUnknown { known, .. } if known.len() == 2), "{error}");
    assert!(!strange.exists());
    let made = backups.create(Some(&bench.path("others")), Kind::Full, &|_| {}).await.expect("configured");
    for name in ["../others", "/", "..", "", "x/../y", made.name.trim_end_matches("full")] {
        let error = backups.verify(None, name, &|_| {}).await.expect_err("no backup's name");
        assert!(matches!(error, Error::Absent { .. }), "{name}: {error}");
    }
    assert!(backups.verify(None, &made.name, &|_| {}).await.expect("it is there").is_whole());
    let listed = backups.list(None).await.expect("the backups").backups;
    assert_eq!(listed, [made]);
}

#[tokio::test]
async fn one_backup_at_a_time() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..10).await;
    let (backups, others) = (bench.backups(), bench.backups());
    // A second node's view of the same directory, and the first one's own second call, while the first is under way.
    let refusals = std::sync::Mutex::new(Vec::new());
    let on_progress = |progress: crate::backup::Progress| {
        if progress.stage == "journal" {
            for backups in [&backups, &others] {
                let second = backups.create(None, Kind::Full, &|_| {});
                let ended = std::thread::scope(|scope| {
                    let runtime = tokio::runtime::Builder::new_current_thread();
                    let run = move || { runtime }.enable_all().build().expect("a runtime").block_on(second);
                    scope.spawn(run).join().expect("no panic")
                });
                refusals.lock().expect("no panic").push(ended.err());
            }
        }
    };
    backups.create(None, Kind::Full, &on_progress).await.expect("the first one is made");
    let refusals = refusals.into_inner().expect("no panic");
    assert_eq!(refusals.len(), 2);
    assert!(refusals.iter().all(|error| matches!(error, Some(Error::Busy { .. }))), "{refusals:?}");
}

#[tokio::test]
async fn a_restore_needs_an_empty_directory_and_says_when_another_is_under_way() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..10).await;
    let made = bench.create(Kind::Full).await;
    let error =
        crate::backup::restore(bench.request(&made.name, "data"), &|_| {}).await.expect_err("it is full");
    assert!(matches!(error, Error::DataNotEmpty { .. }), "{error}");
    fs::create_dir(bench.path("again.restoring")).expect("a directory");
    fs::write(bench.path("again.restoring").join("rest"), "of an interrupted one").expect("space on disk");
    let other = fs::File::open(bench.path("again.restoring")).expect("a directory");
    other.try_lock().expect("nobody else has it");
    let error = crate::backup::restore(bench.request(&made.name, "again"), &|_| {}).await.expect_err("busy");
    assert!(matches!(error, Error::RestoreUnderWay { .. }), "{error}");
    assert!(bench.path("again.restoring").join("rest").exists());
    // The other one is interrupted: what it left is removed.
    drop(other);
    fs::create_dir(bench.path("again")).expect("an empty directory will do");
    restored(bench.request(&made.name, "again")).await;
    check_restored(&bench.path("again"), EngineKind::Fjall, bench.states_at(made.to.sequence)).await;
    let error = refused(bench.request("no-such-backup", "third")).await;
    assert!(matches!(error, Error::Absent { .. }), "{error}");
}

#[tokio::test]
async fn retention_goes_by_count_and_age_and_keeps_what_increments_need() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    let mut names = Vec::new();
    for kind in [Kind::Full, Kind::Incremental, Kind::Full, Kind::Incremental, Kind::Incremental, Kind::Full]
    {
        bench.write(0..5).await;
        names.push(bench.create(kind).await.name);
    }
    let keep = |keep_count, keep_days| Options { keep_count, keep_days, ..options(bench.scratch.path()) };
    let retire = async |options| bench.backups_with(options).retire(None).await.expect("it retires");
    assert_eq!(retire(keep(0, 0)).await.len(), 0);
    assert_eq!(retire(keep(3, 1)).await.len(), 0);
    // The increments of the oldest full backup are removed before it.
    assert_eq!(retire(keep(2, 0)).await, [names[1].clone(), names[0].clone()]);
    let left = || {
        let listed = list_directory(&bench.path("backups"), None).expect("the backups").backups;
        let mut left: Vec<String> = listed.into_iter().map(|backup| backup.name).collect();
        left.sort();
        left
    };
    let mut expected = names[2..].to_vec();
    expected.sort();
    assert_eq!(left(), expected);
    assert_eq!(retire(keep(1, 0)).await.len(), 3);
    assert_eq!(left(), names[5..]);
    assert_eq!(files(&bench.path("backups")).len(), 3);
}

/// The directory is gone, or empty as a mount point without its disk.
#[tokio::test]
async fn a_directory_whose_backups_vanished_is_named() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..5).await;
    let (backups, directory) = (bench.backups(), bench.path("backups"));
    assert_eq!(backups.list(None).await.expect("no backups yet").findings, []);
    backups.create(None, Kind::Full, &|_| {}).await.expect("it is made");
    let restarted = bench.backups();
    fs::remove_dir_all(&directory).expect("the backups");
    for is_there in [false, true] {
        if is_there {
            fs::create_dir(&directory).expect("a directory");
        }
        for backups in [&backups, &restarted] {
            let listed = backups.list(None).await.expect("the directories");
            let files: Vec<_> = listed.findings.iter().map(|finding| finding.file.clone()).collect();
            assert_eq!(files, [directory.display().to_string()]);
            assert_eq!(backups.list(Some(&bench.path("others"))).await.expect("the other one").findings, []);
        }
    }
    backups.create(None, Kind::Full, &|_| {}).await.expect("it is made");
    assert_eq!(backups.list(None).await.expect("the backups").findings, []);
}

#[tokio::test]
async fn a_scheduled_run_is_full_at_first_and_then_incremental() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    let backups = bench.backups();
    for expected in [Kind::Full, Kind::Incremental, Kind::Incremental] {
        bench.write(0..5).await;
        backups.run_scheduled().await.expect("it runs");
        let newest = backups.list(None).await.expect("the backups").backups.remove(0);
        assert_eq!(newest.kind, expected);
    }
    assert_eq!((backups.counters().successes(), backups.counters().failures()), (3, 0));
}
