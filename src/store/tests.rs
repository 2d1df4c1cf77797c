//! What the store promises, on both engines: whole after reopening, dense and chained, never behind unnoticed.

mod check;
mod failed_writes;
mod lists;
mod notes;
mod opening;
mod positions;
mod repair;

use std::path::Path;
use std::sync::Arc;

use crate::model::caller::CallerName;
use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier, Prefix};
use crate::model::limits::SEGMENT_ENTRIES;
use crate::model::position::{Position, Stream};
use crate::model::request::RequestId;
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use crate::store::entry::journaled::{EncodedBody, JournalKey};
use crate::store::entry::meta::Fact as _;
use crate::store::entry::prefix::{CanonicalPrefix, PrefixState};
use crate::store::entry::{Change, IdentifierChange, IdentifierEntry, Mark, Operation, RequestKey};
use crate::store::error::Error;
use crate::store::journal::Header;
use crate::store::journal::lineage::Lineage;
use crate::store::journal::retention::Retention;
use crate::store::names::NameRange;
use crate::store::open::high_water::{HighWater, HighWaterFile};
use crate::store::open::loss::accept_loss;
use crate::store::open::redo;
use crate::store::open::{Opened, StoreOptions, open};
use crate::store::writer::{Block, Committed, JournalWriter, Proposed};
use crate::store::{EngineKind, Store};

//----------- A small language -----------------------------------------------

fn options(directory: &Path, engine: EngineKind) -> StoreOptions {
    StoreOptions {
        directory: directory.to_owned(),
        engine,
        cache_bytes: 16 * 1024 * 1024,
        folding: Folding::Insensitive,
        clock: Arc::new(|| 1_800_000_000_000),
        entropy: Arc::new(|bytes| getrandom::fill(bytes).expect("the system has randomness")),
    }
}

pub(crate) async fn opened(directory: &Path, engine: EngineKind) -> Opened {
    open(options(directory, engine)).await.expect("the store opens")
}

fn identifier(text: &str) -> Identifier {
    Identifier::parse(text).expect("a valid identifier")
}

fn canonical(text: &str) -> CanonicalIdentifier {
    identifier(text).canonical(Folding::Insensitive)
}

fn values(data: &[u8]) -> Values {
    let value = Value {
        index: Index::new(1).expect("a valid index"),
        value_type: ValueType::new("URL").expect("a valid type"),
        data: data.to_vec(),
        ttl: Ttl::default(),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 1_800_000_000,
    };
    Values::new(vec![value]).expect("one value")
}

fn change(text: &str, data: Option<&[u8]>, version: u64, replaces: Option<Mark>) -> Proposed {
    Proposed {
        change: Change::Identifier(IdentifierChange {
            identifier: identifier(text),
            values: data.map(values),
            created_ms: 1_800_000_000_000,
        }),
        operation: if data.is_some() { Operation::Registered } else { Operation::Removed },
        caller: CallerName::Node,
        version,
        replaces,
        request: None,
        named: false,
    }
}

async fn commit(writer: &mut JournalWriter, changes: Vec<Proposed>) -> Committed {
    let since = writer.end().position();
    writer.commit(Block { since, changes, remembered: Vec::new() }).await.expect("the block commits")
}

async fn present(store: &Store, text: &str) -> Option<IdentifierEntry> {
    let found = store.identifiers(&[canonical(text)]).await.expect("the store reads");
    found.into_iter().next().expect("one answer a question")
}

fn data_of(entry: &IdentifierEntry) -> Vec<u8> {
    let values = entry.values.as_ref().expect("a live identifier");
    values.as_slice().first().expect("one value").data.clone()
}

//----------- Tests ----------------------------------------------------------

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, report } = opened(directory.path(), engine).await;
        assert!(report.created);
        commit(&mut writer, vec![change("88.118/A", Some(b"one"), 1, None)]).await;
        let end = writer.end();
        store.close(writer).await.expect("the store closes");
        let Opened { store, writer, report } = opened(directory.path(), engine).await;
        assert_eq!((report.created, report.checked, report.repaired), (false, 2, 0));
        assert_eq!(writer.end(), end);
        let entry = present(&store, "88.118/a").await.expect("the identifier");
        assert_eq!((entry.identifier.to_string(), data_of(&entry)), ("88.118/A".into(), b"one".to_vec()));
        assert_eq!(store.count(), 1);
    }
}

#[tokio::test]
async fn a_large_state_is_cut_and_its_old_pieces_go() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
        let large = vec![7; 200_000];
        commit(&mut writer, vec![change("88/x", Some(&large), 1, None)]).await;
        let entry = present(&store, "88/x").await.expect("the identifier");
        assert_eq!(data_of(&entry), large);
        let other = vec![8; 100_000];
        commit(&mut writer, vec![change("88/x", Some(&other), 2, Some(entry.mark()))]).await;
        let entry = present(&store, "88/x").await.expect("the identifier");
        assert_eq!(data_of(&entry), other);
        // 7 pieces of the state, 7 of the newer body, 13 of the older body: none of the older state.
        let pieces = store.count_pieces().await;
        assert_eq!(pieces, 7 + 7 + 13);
    }
}

#[tokio::test]
async fn several_changes_of_one_identifier_may_stand_in_one_block() {
    let directory = tempfile::tempdir().expect("a directory");
    let Opened { store, mut writer, .. } = opened(directory.path(), EngineKind::Fjall).await;
    let block = vec![
        change("88/x", Some(&[1; 50_000]), 1, None),
        change("88/x", Some(&[2; 60_000]), 2, None),
        change("88/x", None, 3, None),
        change("88/x", Some(b"last"), 4, None),
    ];
    let committed = commit(&mut writer, block).await;
    let entry = present(&store, "88/x").await.expect("the identifier");
    assert_eq!((entry.version, data_of(&entry)), (4, b"last".to_vec()));
    assert_eq!(store.count(), 1);
    let sequences: Vec<u64> = committed.positions.iter().map(|position| position.sequence).collect();
    let headers = store.headers_from(2, 10).await.expect("the journal reads");
    let previous: Vec<Option<u64>> = headers.iter().map(|header| header.previous).collect();
    assert_eq!(sequences, [2, 3, 4, 5]);
    assert_eq!(previous, [None, Some(2), Some(3), Some(4)]);
}

#[tokio::test]
async fn the_journal_is_dense_and_chained_and_holds_the_whole_change() {
    let directory = tempfile::tempdir().expect("a directory");
    let Opened { store, mut writer, .. } = opened(directory.path(), EngineKind::Fjall).await;
    let request = RequestId::parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398f").expect("a request id");
    let key = RequestKey { request, caller: [1; 16], item: 4 };
    let mut first = change("88/x", Some(b"one"), 1, None);
    first.request = Some((key, [5; 16]));
    commit(&mut writer, vec![first]).await;
    commit(&mut writer, vec![change("88/y", Some(b"two"), 1, None)]).await;
    let entries = store.entries_from(1, 10).await.expect("the journal reads");
    let (mut next, mut chain) = (1, Some([0; 32]));
    redo::check_chain(&store, &entries, &mut next, &mut chain).expect("dense and chained");
    assert_eq!(next, 4);
    assert_eq!(chain, Some(store.end().chain));
    let body = entries[1].body.as_ref().expect("a body");
    let Change::Identifier(change) = &body.change else {
        panic!("an identifier's change, not {:?}", body.change);
    };
    assert_eq!((change.identifier.to_string(), &change.values), ("88/x".into(), &Some(values(b"one"))));
    let memory = store.requests(&[key]).await.expect("the store reads").remove(0).expect("remembered");
    assert_eq!((memory.content, memory.version, memory.sequence), ([5; 16], 1, 2));
}

#[tokio::test]
async fn lists_are_ordered_paged_and_without_tombstones() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
        let mut block: Vec<Proposed> =
            (0..200).map(|n| change(&format!("88.1/S{n:03}"), Some(b"x"), 1, None)).collect();
        block.push(change("88.1.2/other", Some(b"x"), 1, None));
        block.push(change("88.10/other", Some(b"x"), 1, None));
        commit(&mut writer, block).await;
        let gone = present(&store, "88.1/S001").await.expect("the identifier");
        commit(&mut writer, vec![change("88.1/S001", None, 2, Some(gone.mark()))]).await;
        let prefix = Prefix::parse("88.1").expect("a prefix");
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let page = store.list(&prefix, after.as_ref(), 64).await.expect("the list reads");
            names.extend(page.items.into_iter().map(|entry| entry.identifier.to_string()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let expected: Vec<String> = (0..200).filter(|n| *n != 1).map(|n| format!("88.1/S{n:03}")).collect();
        assert_eq!(names, expected);
        assert_eq!((store.count_of(&prefix), store.count()), (199, 201));
        let after = store.cursor_after(&identifier("88.1/S009")).await.expect("the store reads");
        for (after, skip, limit, from) in [
            (None, 0, 500, 0),
            (None, 0, 2, 0),
            (None, 1, 70, 1),
            (Some(&after), 150, 3, 159),
            (None, 199, 5, 199),
        ] {
            let range = NameRange { after, skip, limit };
            let names = store.names(&prefix, range).await.expect("the names read");
            assert_eq!(names.next.is_some(), from + limit < expected.len(), "{range:?}");
            let names: Vec<String> = names.items.iter().map(ToString::to_string).collect();
            let wanted: Vec<&String> = expected.iter().skip(from).take(limit).collect();
            assert_eq!(names.iter().collect::<Vec<_>>(), wanted, "{range:?}");
        }
    }
}

#[tokio::test]
async fn a_journal_behind_its_high_water_mark_opens_read_only_until_the_loss_is_accepted() {
    let directory = tempfile::tempdir().expect("a directory");
    let Opened { store, mut writer, .. } = opened(directory.path(), EngineKind::Fjall).await;
    commit(&mut writer, vec![change("88/x", Some(b"one"), 1, None)]).await;
    let end = writer.end();
    store.close(writer).await.expect("the store closes");
    raise_high_water(directory.path(), 3);

    let Opened { store, mut writer, .. } = opened(directory.path(), EngineKind::Fjall).await;
    let reason = store.read_only_reason().expect("read-only");
    assert!(reason.contains("3 changes are missing") && reason.contains("accept-loss"), "{reason}");
    let refused =
        writer.commit(Block { since: end.position(), changes: Vec::new(), remembered: Vec::new() }).await;
    assert!(matches!(refused.err(), Some(Error::ReadOnly { reason: found }) if found == reason));
    assert!(present(&store, "88/x").await.is_some());
    store.close(writer).await.expect("the store closes");

    let accepted =
        accept_loss(options(directory.path(), EngineKind::Fjall)).await.expect("the loss is accepted");
    assert_eq!((accepted.lost, accepted.adopted), (Some(3), 0));
    let Opened { store, .. } = opened(directory.path(), EngineKind::Fjall).await;
    assert_eq!(store.read_only_reason(), None);
    let lineage = store.lineage();
    let entry = lineage.present().expect("an incarnation");
    assert_eq!(entry.continues, Some((end.position(), end.chain)));
    assert!(entry.incarnation > end.incarnation);
}

#[tokio::test]
async fn states_that_the_journal_leads_to_are_redone_at_open() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
        commit(&mut writer, vec![change("88/x", Some(&[3; 40_000]), 1, None)]).await;
        store.lose_state("88/x").await;
        assert_eq!(present(&store, "88/x").await, None);
        store.close(writer).await.expect("the store closes");
        let Opened { store, report, .. } = opened(directory.path(), engine).await;
        assert_eq!(report.repaired, 1);
        let entry = present(&store, "88/x").await.expect("the identifier");
        assert_eq!(data_of(&entry), vec![3; 40_000]);
    }
}

#[tokio::test]
async fn a_changed_byte_is_named_and_never_answered() {
    let directory = tempfile::tempdir().expect("a directory");
    let Opened { store, mut writer, .. } = opened(directory.path(), EngineKind::Fjall).await;
    commit(&mut writer, vec![change("88/x", Some(b"one"), 1, None)]).await;
    store.flip_state("88/x").await;
    let found = store.identifiers(&[canonical("88/x")]).await;
    let error = found.expect_err("a damaged entry").to_string();
    assert!(
        error.contains("table identifier, key 88/x: the stored checksum") && error.contains("restore"),
        "{error}"
    );
}

#[tokio::test]
async fn a_long_suffix_is_found_by_its_digest() {
    use sha2::{Digest as _, Sha256};
    let directory = tempfile::tempdir().expect("a directory");
    let Opened { store, mut writer, .. } = opened(directory.path(), EngineKind::Fjall).await;
    let suffix = "Ab".repeat(40);
    commit(&mut writer, vec![change(&format!("88/{suffix}"), Some(b"one"), 1, None)]).await;
    let digest = Sha256::digest(suffix.to_ascii_lowercase());
    let digest = digest[..20].try_into().expect("20 bytes");
    let prefix = Prefix::parse("88").expect("a prefix");
    let found = store.by_digest(&prefix, &digest).await.expect("the store reads");
    assert_eq!(found, Some(canonical(&format!("88/{suffix}"))));
    assert_eq!(store.by_digest(&prefix, &[0; 20]).await.expect("the store reads"), None);
}

#[tokio::test]
async fn whole_segments_are_pruned_bodies_before_headers() {
    let directory = tempfile::tempdir().expect("a directory");
    let Opened { store, mut writer, .. } = opened(directory.path(), EngineKind::Fjall).await;
    let block = |block: u64, items: u64| {
        (0..items).map(|n| change(&format!("88/{block}-{n}"), Some(b"x"), 1, None)).collect()
    };
    // One entry began the store.
    commit(&mut writer, block(0, SEGMENT_ENTRIES - 1)).await;
    let later = 1_800_000_000_001;
    // The segment is sealed, but it is the journal's end: without it the store could not go on.
    assert_eq!(store.head().sequence, SEGMENT_ENTRIES);
    let all = Retention { bodies_before_ms: later, headers_before_ms: later };
    assert_eq!(writer.upkeep().prune(all).await.expect("nothing to prune").headers_from, 1);
    commit(&mut writer, block(1, SEGMENT_ENTRIES / 2)).await;
    // Pruning makes space, so that it goes on while the lack of it has paused the store.
    store.pause("disk full");
    let retained = writer
        .upkeep()
        .prune(Retention { bodies_before_ms: later, headers_before_ms: 0 })
        .await
        .expect("pruned");
    writer.upkeep().forget_requests(0).await.expect("nothing to forget");
    store.resume();
    assert_eq!((retained.headers_from, retained.bodies_from), (1, SEGMENT_ENTRIES + 1));
    let at = |sequence| Position { sequence, ..store.head() };
    assert_eq!(store.complete_from(), None, "every header is there");
    assert!(store.retains_after(at(SEGMENT_ENTRIES)) && !store.retains_after(at(SEGMENT_ENTRIES - 1)));
    let entries = store.entries_from(SEGMENT_ENTRIES, 2).await.expect("the journal reads");
    let retained_bodies: Vec<bool> = entries.iter().map(|entry| entry.body.is_some()).collect();
    assert_eq!(retained_bodies, [false, true]);
    writer.upkeep().prune(all).await.expect("pruned");
    let first = store.headers_from(1, 1).await.expect("the journal reads");
    assert_eq!(first[0].position.sequence, SEGMENT_ENTRIES + 1);
    assert_eq!(store.complete_from(), Some(at(SEGMENT_ENTRIES + 1)));
    assert!(store.retains_after(at(SEGMENT_ENTRIES)) && !store.retains_after(at(SEGMENT_ENTRIES - 1)));
    let passed_over = store.headers_after(Some(at(1)), 1).await.expect("the journal reads");
    assert_eq!(passed_over[0].position, at(SEGMENT_ENTRIES + 1));
    assert_eq!(store.header(at(1)).await.expect("the journal reads"), None, "it was pruned");
    store.close(writer).await.expect("the store closes");
    let Opened { store, .. } = opened(directory.path(), EngineKind::Fjall).await;
    assert_eq!(store.retained().headers_from, SEGMENT_ENTRIES + 1);
    assert!(present(&store, "88/0-0").await.is_some());
    assert_eq!(store.head().stream, Stream::ONLY);
}

/// A body that is missing is damage of the store, not of the backup that is being made.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_journal_names_a_missing_body() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
        let numbers = (0..4).map(|number| change(&format!("88/{number}"), Some(b"x"), 1, None));
        commit(&mut writer, numbers.collect()).await;
        store.lose_body(3).await;
        let error = store.copy_journal(1, 5).await.expect_err("a body is missing");
        let Error::JournalDamaged { sequence, detail, .. } = error else { panic!("{error:?}") };
        assert_eq!((sequence, detail.as_str()), (3, "the body is missing"));
        store.release(writer).await;
    }
}

//----------- Damage done on purpose -----------------------------------------

/// Makes the high-water file of a closed store name a position so many entries later.
pub(crate) fn raise_high_water(directory: &Path, by: u64) {
    let (mut file, mark) = HighWaterFile::open(directory).expect("the file");
    let HighWater { mut position, chain } = mark.expect("a mark");
    position.sequence += by;
    file.save(&HighWater { position, chain }).expect("space on disk");
}

impl Store {
    /// From now on no commit reaches the disk. On sled only.
    pub(crate) fn fail_syncs(&self) {
        self.inner.engine.fail_syncs();
    }

    /// Holds every write that begins from now on, or releases them all.
    pub(crate) fn hold_writes(&self, hold: bool) {
        self.inner.engine.hold_writes(hold);
    }

    /// Holds every write that begins from now on, with its usual deadline.
    pub(crate) fn hold_writes_patiently(&self) {
        self.inner.engine.hold_writes_patiently();
    }

    /// Brings everything from the engine's memory into its tables, where it has such.
    async fn flush_tables(&self) {
        self.inner.engine.flush().await;
    }

    async fn count_pieces(&self) -> usize {
        self.inner.engine.count_pieces().await
    }

    /// Loses a journal entry, header and body.
    async fn lose_entry(&self, sequence: u64) {
        self.inner.engine.lose::<Header>(&JournalKey::of(sequence)).await;
        self.lose_body(sequence).await;
    }

    /// Loses the body of a journal entry.
    async fn lose_body(&self, sequence: u64) {
        self.inner.engine.lose::<EncodedBody>(&JournalKey::of(sequence)).await;
    }

    /// Releases the files without a word in the high-water file.
    async fn release(&self, writer: JournalWriter) {
        drop(writer);
        self.inner.engine.close().await.expect("the engine closes");
    }

    async fn lose_state(&self, text: &str) {
        self.inner.engine.lose::<IdentifierEntry>(&canonical(text)).await;
    }

    async fn lose_prefix(&self, text: &str) {
        let prefix = Prefix::parse(text).expect("a prefix");
        self.inner.engine.lose::<PrefixState>(&CanonicalPrefix::of(&prefix)).await;
    }

    /// Changes a bit of the incarnations.
    async fn flip_lineage(&self) {
        self.inner.engine.flip::<Lineage>(&Lineage::NAME).await;
    }

    async fn flip_prefix(&self, text: &str) {
        let prefix = Prefix::parse(text).expect("a prefix");
        self.inner.engine.flip::<PrefixState>(&CanonicalPrefix::of(&prefix)).await;
    }

    async fn flip_state(&self, text: &str) {
        self.inner.engine.flip::<IdentifierEntry>(&canonical(text)).await;
    }
}
