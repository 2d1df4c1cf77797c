//! Backups of a real store: created during writes, damaged in every file, restored to every position.

mod chains;
mod damage;
mod less;
mod matrix;
mod shelf;
mod whole;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::{
    BackedUpFile, Backups, Damage, Error, Kind, Options, RestoreReport, RestoreRequest, Summary, Until,
    Verdict, restore, verify_folder,
};
use crate::model::caller::CallerName;
use crate::model::environment::{Clock, Entropy};
use crate::model::identifier::{Folding, Identifier};
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use crate::store::entry::{Change, IdentifierChange, IdentifierEntry, Operation};
use crate::store::journal::Header;
use crate::store::open::{Opened, StoreOptions, open};
use crate::store::writer::{Block, JournalWriter, Proposed};
use crate::store::{EngineKind, Store};

//----------- Bench ----------------------------------------------------------

/// A store with its writer, what every identifier was after each block, and a directory for its backups.
struct Bench {
    scratch: TempDir,
    store: Store,
    writer: JournalWriter,
    /// After this sequence, the identifiers were these.
    past: Vec<(u64, States)>,
}

/// Version and values of each identifier, in canonical form; none of values when it is removed.
type States = BTreeMap<String, (u64, Option<Values>)>;

fn clock() -> Clock {
    // One clock for all stores: a store that is opened later must not see an earlier time.
    static NOW_MS: AtomicU64 = AtomicU64::new(1_800_000_000_000);
    Arc::new(|| NOW_MS.fetch_add(7, Ordering::Relaxed))
}

fn entropy() -> Entropy {
    Arc::new(|bytes| getrandom::fill(bytes).expect("the system has randomness"))
}

fn store_options(directory: &Path, engine: EngineKind) -> StoreOptions {
    StoreOptions {
        directory: directory.to_owned(),
        engine,
        cache_bytes: 16 * 1024 * 1024,
        folding: Folding::Insensitive,
        clock: clock(),
        entropy: entropy(),
    }
}

fn options(scratch: &Path) -> Options {
    Options {
        directories: vec![scratch.join("backups"), scratch.join("others")],
        key_file: None,
        keep_count: 0,
        keep_days: 0,
        chunk_bytes: 64 * 1024,
        files: vec![BackedUpFile { name: "server-key.pem", content: b"a secret"[..].into() }],
        node_version: "test".to_owned(),
    }
}

impl Bench {
    async fn new(engine: EngineKind) -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        Self::at(scratch, "data", engine).await
    }

    /// Opens the store in a subdirectory of the scratch directory.
    async fn at(scratch: TempDir, data: &str, engine: EngineKind) -> Self {
        let options = store_options(&scratch.path().join(data), engine);
        let Opened { store, writer, .. } = open(options).await.expect("the store opens");
        assert_eq!(store.read_only_reason(), None);
        Self { scratch, store, writer, past: vec![(0, States::new())] }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Writes the next version of these identifiers; each seventh is large, some are removed again.
    async fn write(&mut self, numbers: impl Iterator<Item = u64>) {
        let numbers: Vec<u64> = numbers.collect();
        write(&self.store, &mut self.writer, &numbers).await;
        let mut states = self.past.last().expect("the beginning").1.clone();
        for found in read(&self.store, &numbers).await {
            states.insert(found.identifier.to_string(), (found.version, found.values));
        }
        self.past.push((self.writer.end().sequence, states));
    }

    /// What the identifiers were after the last block that ends at or before this sequence.
    fn states_at(&self, sequence: u64) -> &States {
        let block = self.past.iter().rev().find(|(end, _)| *end <= sequence);
        &block.expect("the beginning").1
    }

    /// The header of this sequence.
    async fn header(&self, sequence: u64) -> Header {
        let position = self.store.lineage().position_of(sequence).expect("a position");
        self.store.header(position).await.expect("the journal reads").expect("a header")
    }

    fn backups(&self) -> Backups {
        self.backups_with(options(self.scratch.path()))
    }

    fn backups_with(&self, options: Options) -> Backups {
        Backups::new(self.store.clone(), options).expect("the key file is good")
    }

    async fn create(&self, kind: Kind) -> Summary {
        self.backups().create(None, kind, &|_| {}).await.expect("the backup is made")
    }

    fn request(&self, from: impl AsRef<Path>, data: &str) -> RestoreRequest {
        RestoreRequest {
            from: self.path("backups").join(from),
            data: self.path(data),
            engine: None,
            until: Until::End,
            damage: Damage::Refuse,
            key_file: None,
            cache_bytes: 16 * 1024 * 1024,
            clock: clock(),
            entropy: entropy(),
        }
    }

    /// Closes the store and returns the scratch directory.
    async fn close(self) -> TempDir {
        self.store.close(self.writer).await.expect("the store closes");
        self.scratch
    }
}

fn identifier(number: u64) -> Identifier {
    Identifier::parse(&format!("88.118/S{number:05}")).expect("a valid identifier")
}

async fn read(store: &Store, numbers: &[u64]) -> Vec<IdentifierEntry> {
    let names: Vec<_> = numbers.iter().map(|n| identifier(*n).canonical(Folding::Insensitive)).collect();
    let found = store.identifiers(&names).await.expect("the store reads");
    found.into_iter().flatten().collect()
}

/// Commits the next version of these identifiers in one block.
async fn write(store: &Store, writer: &mut JournalWriter, numbers: &[u64]) {
    let names: Vec<_> = numbers.iter().map(|n| identifier(*n).canonical(Folding::Insensitive)).collect();
    let present = store.identifiers(&names).await.expect("the store reads");
    let propose = |(number, present): (&u64, Option<IdentifierEntry>)| {
        let version = present.as_ref().map_or(0, |entry| entry.version) + 1;
        let removed = number % 5 == 1 && version.is_multiple_of(2);
        let mut data = vec![0; if number % 7 == 0 { 40_000 } else { 20 }];
        getrandom::fill(&mut data).expect("randomness");
        let change = Change::Identifier(IdentifierChange {
            identifier: identifier(*number),
            values: (!removed).then(|| values(data)),
            created_ms: 1_800_000_000_000,
        });
        Proposed {
            change,
            operation: if removed { Operation::Removed } else { Operation::Overwritten },
            caller: CallerName::Node,
            version,
            replaces: present.map(|entry| entry.mark()),
            request: None,
            named: false,
        }
    };
    let changes = numbers.iter().zip(present).map(propose).collect();
    let since = writer.end().position();
    let block = Block { since, changes, remembered: Vec::new() };
    writer.commit(block).await.expect("the block commits");
}

fn values(data: Vec<u8>) -> Values {
    let value = Value {
        index: Index::new(1).expect("a valid index"),
        value_type: ValueType::new("URL").expect("a valid type"),
        data,
        ttl: Ttl::default(),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 1_800_000_000,
    };
    Values::new(vec![value]).expect("one value")
}

//----------- Questions ------------------------------------------------------

/// Opens the data directory and compares every identifier, tombstones and counts included.
async fn check_restored(data: &Path, engine: EngineKind, expected: &States) {
    let Opened { store, writer, report } = open(store_options(data, engine)).await.expect("it opens");
    assert_eq!((report.created, report.repaired, store.read_only_reason()), (false, 0, None));
    check_states(&store, expected).await;
    store.close(writer).await.expect("it closes");
}

async fn check_states(store: &Store, expected: &States) {
    let names = expected.keys().map(|name| Identifier::parse(name).expect("an identifier"));
    let names: Vec<_> = names.map(|name| name.canonical(Folding::Insensitive)).collect();
    let found = store.identifiers(&names).await.expect("the store reads");
    for ((name, state), found) in expected.iter().zip(found) {
        assert_eq!(found.map(|entry| (entry.version, entry.values)).as_ref(), Some(state), "{name}");
    }
    assert_eq!(store.count(), expected.values().filter(|(_, values)| values.is_some()).count() as u64);
}

async fn restored(request: RestoreRequest) -> RestoreReport {
    restore(request, &|_| {}).await.expect("it restores")
}

async fn refused(request: RestoreRequest) -> Error {
    let data = request.data.clone();
    let error = restore(request, &|_| {}).await.expect_err("it is refused");
    assert!(!data.exists(), "a refused restore left {}", data.display());
    assert!(!data.with_extension("restoring").exists());
    error
}

async fn verdict(folder: &Path) -> Verdict {
    verify_folder(folder, None, &|_| {}).await.expect("it can be examined")
}

/// Every file of a backup, in order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).expect("the backup").map(|file| file.expect("a file").path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    files
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}
