//! Every kind of damage, every kind of target, both engines, plain and encrypted: a restore never returns less silently.
//!
//! ```text
//!   full 0 ─ incremental 1 ─ incremental 2 ─ (gap) ─ full 3 ─ incremental 4
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use super::{Bench, Damage, EngineKind, Error, Kind, Options, RestoreRequest, Until, check_restored};
use crate::backup::manifest::Manifest;
use crate::backup::restore;
use crate::model::position::Position;

/// What happens to one backup.
#[derive(Clone, Copy, Debug)]
enum Harm {
    None,
    /// One bit of its last chunk is flipped.
    Damaged(usize),
    /// Its folder is gone.
    Missing(usize),
    /// Its manifest is gone.
    Unreadable(usize),
    /// Its last chunk is dropped and the manifest is written anew, without a key.
    Forged(usize),
    /// It was made while the clock showed this.
    Clock(usize, u64),
}

const AHEAD_MS: u64 = 2_208_988_800_000;
const BEHIND_MS: u64 = 946_684_800_000;

const HARMS: [Harm; 10] = [
    Harm::None,
    Harm::Damaged(1),
    Harm::Damaged(4),
    Harm::Missing(1),
    Harm::Missing(4),
    Harm::Unreadable(3),
    Harm::Unreadable(4),
    Harm::Forged(3),
    Harm::Clock(0, AHEAD_MS),
    Harm::Clock(4, BEHIND_MS),
];

struct Matrix {
    bench: Bench,
    engine: EngineKind,
    key_file: Option<PathBuf>,
    names: Vec<String>,
    /// Each target with the position that a restore to it must end at.
    targets: Vec<(Until, Position)>,
}

impl Matrix {
    async fn new(engine: EngineKind, encrypted: bool) -> Self {
        let mut bench = Bench::new(engine).await;
        let key_file = encrypted.then(|| bench.key_file());
        let options = Options { key_file: key_file.clone(), ..super::options(bench.scratch.path()) };
        let (mut names, mut ends) = (Vec::new(), Vec::new());
        for kind in [Kind::Full, Kind::Incremental, Kind::Incremental, Kind::Full, Kind::Incremental] {
            bench.write(0..20).await;
            if names.len() == 3 {
                bench.write(10..30).await;
                bench.write(15..40).await;
            }
            let made = bench.backups_with(options.clone()).create(None, kind, &|_| {}).await;
            let made = made.expect("the backup is made");
            assert_eq!((made.kind, made.note), (kind, None));
            names.push(made.name);
            ends.push(made.to);
        }
        let gap = bench
            .past
            .iter()
            .map(|(end, _)| *end)
            .filter(|end| (ends[2].sequence + 1..ends[3].sequence).contains(end));
        let gap: Vec<u64> = gap.collect();
        let mut targets = vec![(Until::End, ends[4])];
        for sequence in [gap[0], ends[4].sequence] {
            let header = bench.header(sequence).await;
            targets.push((Until::Position(header.position), header.position));
            targets.push((Until::Time(header.time_ms), header.position));
        }
        Self { bench, engine, key_file, names, targets }
    }

    fn folder(&self, backup: usize) -> PathBuf {
        self.bench.path("backups").join(&self.names[backup])
    }

    fn harm(&self, harm: Harm) {
        match harm {
            Harm::None => {}
            Harm::Missing(backup) => fs::remove_dir_all(self.folder(backup)).expect("the backup"),
            Harm::Unreadable(backup) => {
                fs::remove_file(self.folder(backup).join("manifest.json")).expect("the manifest");
            }
            Harm::Damaged(backup) => {
                let file = self.folder(backup).join("journal-000001.zst");
                let mut bytes = fs::read(&file).expect("a chunk");
                *bytes.last_mut().expect("some bytes") ^= 1;
                fs::write(file, bytes).expect("space on disk");
            }
            Harm::Forged(backup) => {
                let folder = self.folder(backup);
                let (mut manifest, _) = Manifest::load_proved(&folder, None).expect("the manifest");
                let dropped = manifest.chunks.pop().expect("a chunk");
                fs::remove_file(folder.join(dropped.file)).expect("the chunk");
                manifest.lock = None;
                let bytes = manifest.encode(None).expect("it encodes");
                fs::write(folder.join("manifest.json"), bytes).expect("space on disk");
            }
            Harm::Clock(backup, created_ms) => {
                let folder = self.folder(backup);
                let loaded = Manifest::load_with_key(&folder, self.key_file.as_deref());
                let (mut manifest, key) = loaded.expect("the key").expect("the manifest");
                manifest.created_ms = created_ms;
                let bytes = manifest.encode(key.as_ref()).expect("it encodes");
                fs::write(folder.join("manifest.json"), bytes).expect("space on disk");
            }
        }
    }

    /// Restores to each target after one harm; returns how many were restored, and how many refused.
    async fn check(&self, harm: Harm) -> (u32, u32) {
        let (mut done, mut refused) = (0, 0);
        for (until, wanted) in &self.targets {
            let what = format!("{}, encrypted {}, {harm:?}, {until:?}", self.engine, self.key_file.is_some());
            let request = RestoreRequest {
                until: *until,
                key_file: self.key_file.clone(),
                ..self.bench.request("", "again")
            };
            match restore(request.clone(), &|_| {}).await {
                Ok(report) => {
                    assert_eq!((report.restored.continues, report.lost.len()), (*wanted, 0), "{what}");
                    self.check_state(wanted.sequence).await;
                    done += 1;
                }
                Err(error) => {
                    assert!(!matches!(harm, Harm::None | Harm::Clock(..)), "{what}: {error}");
                    assert!(
                        matches!(error, Error::Older { .. } | Error::Unreachable { .. }),
                        "{what}: {error}"
                    );
                    assert!(!self.bench.path("again").exists(), "{what}");
                    refused += 1;
                    self.check_accepted(request, &what).await;
                }
            }
        }
        (done, refused)
    }

    /// With an older state accepted, it is restored and what is lost is named; a position is never replaced by another.
    async fn check_accepted(&self, request: RestoreRequest, what: &str) {
        let accepting = RestoreRequest { damage: Damage::AcceptOlder, ..request };
        match restore(accepting, &|_| {}).await {
            Ok(report) => {
                assert!(!report.lost.is_empty(), "{what}");
                self.check_state(report.restored.continues.sequence).await;
            }
            Err(error) => assert!(matches!(error, Error::Unreachable { .. }), "{what}: {error}"),
        }
    }

    async fn check_state(&self, sequence: u64) {
        let data = self.bench.path("again");
        check_restored(&data, self.engine, self.bench.states_at(sequence)).await;
        fs::remove_dir_all(data).expect("the restored store");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("space on disk");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("space on disk");
        }
    }
}

async fn check_matrix(engine: EngineKind, encrypted: bool) {
    let matrix = Matrix::new(engine, encrypted).await;
    let (backups, whole) = (matrix.bench.path("backups"), matrix.bench.path("whole"));
    copy(&backups, &whole);
    let (mut done, mut refused) = (0, 0);
    for harm in HARMS {
        matrix.harm(harm);
        let counts = matrix.check(harm).await;
        (done, refused) = (done + counts.0, refused + counts.1);
        fs::remove_dir_all(&backups).expect("the directory");
        copy(&whole, &backups);
    }
    assert!(done > 20 && refused > 5, "{done} restored, {refused} refused");
}

#[tokio::test]
async fn a_restore_never_returns_less_silently_from_plain_backups_of_fjall() {
    check_matrix(EngineKind::Fjall, false).await;
}

#[tokio::test]
async fn a_restore_never_returns_less_silently_from_encrypted_backups_of_fjall() {
    check_matrix(EngineKind::Fjall, true).await;
}

#[tokio::test]
async fn a_restore_never_returns_less_silently_from_plain_backups_of_sled() {
    check_matrix(EngineKind::Sled, false).await;
}

#[tokio::test]
async fn a_restore_never_returns_less_silently_from_encrypted_backups_of_sled() {
    check_matrix(EngineKind::Sled, true).await;
}
