//! Images taken while the store works, and stores built from them: the same identifiers, whatever the engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{RestoreTarget, Restored, Restorer};
use crate::model::caller::CallerName;
use crate::model::identifier::{Folding, Identifier, Prefix};
use crate::model::prefix::{Homing, NoteText, PrefixEntry, PrefixNote, PrefixStatus};
use crate::model::request::RequestId;
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use crate::store::copy::image::{CopiedChange, CopiedEntry};
use crate::store::entry::{Change, IdentifierChange, IdentifierEntry, Operation, RequestKey};
use crate::store::error::Error;
use crate::store::journal::Body;
use crate::store::journal::check::JournalCheck;
use crate::store::open::{Opened, StoreOptions, open};
use crate::store::writer::{Block, End, JournalWriter, Proposed};
use crate::store::{EngineKind, Store};

//----------- A small language -----------------------------------------------

/// A clock that moves on by a millisecond each time it is read.
fn options(directory: &Path, engine: EngineKind) -> StoreOptions {
    let now_ms = AtomicU64::new(1_800_000_000_000);
    StoreOptions {
        directory: directory.to_owned(),
        engine,
        cache_bytes: 16 * 1024 * 1024,
        folding: Folding::Insensitive,
        clock: Arc::new(move || now_ms.fetch_add(1, Ordering::Relaxed)),
        entropy: Arc::new(|bytes| getrandom::fill(bytes).expect("the system has randomness")),
    }
}

fn identifier(number: u64) -> Identifier {
    Identifier::parse(&format!("88.118/S{number:05}")).expect("a valid identifier")
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

/// Writes the next version of identifiers, some of them large, some of them removed.
async fn write(store: &Store, writer: &mut JournalWriter, numbers: impl Iterator<Item = u64>) {
    let numbers: Vec<u64> = numbers.collect();
    let names: Vec<_> =
        numbers.iter().map(|number| identifier(*number).canonical(Folding::Insensitive)).collect();
    let present = store.identifiers(&names).await.expect("the store reads");
    let propose = |(number, present): (&u64, Option<IdentifierEntry>)| {
        let version = present.as_ref().map_or(0, |entry| entry.version) + 1;
        let bytes = if number % 7 == 0 { 40_000 } else { 20 };
        let fill = u8::try_from((number + version) % 251).expect("below 256");
        let removed = number % 5 == 1 && version.is_multiple_of(2);
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("randomness");
        let request = uuid::Builder::from_unix_timestamp_millis(1_800_000_000_000, &[random[0]; 10]);
        let request = RequestId::from_bytes(request.into_uuid().into_bytes()).expect("a request id");
        let item = u32::try_from(*number).expect("a small number");
        Proposed {
            change: Change::Identifier(IdentifierChange {
                identifier: identifier(*number),
                values: (!removed).then(|| values(vec![fill; bytes])),
                created_ms: 1_800_000_000_000,
            }),
            operation: if removed { Operation::Removed } else { Operation::Overwritten },
            caller: CallerName::Node,
            version,
            replaces: present.map(|entry| entry.mark()),
            request: Some((RequestKey { request, caller: random, item }, [4; 16])),
            named: false,
        }
    };
    let changes = numbers.iter().zip(present).map(propose).collect();
    commit(writer, changes).await;
}

async fn commit(writer: &mut JournalWriter, changes: Vec<Proposed>) {
    let since = writer.end().position();
    writer.commit(Block { since, changes, remembered: Vec::new() }).await.expect("the block commits");
}

fn home(prefix: &str) -> Proposed {
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
        caller: CallerName::Node,
        version: 1,
        replaces: None,
        request: None,
        named: false,
    }
}

fn noted(prefix: &str, text: &str, version: u64) -> Proposed {
    let (prefix, text) = (Prefix::parse(prefix).expect("a prefix"), NoteText::new(text).expect("a text"));
    Proposed {
        change: Change::Note(PrefixNote { prefix, text, version, changed_ms: 0 }),
        operation: Operation::PrefixNoted,
        version,
        ..home("88")
    }
}

/// A copy as a backup keeps it.
struct Copy {
    from: End,
    to: End,
    entries: Vec<CopiedEntry>,
    changes: Vec<CopiedChange>,
}

async fn copy(store: &Store, mut between: impl AsyncFnMut()) -> Copy {
    let _hold = store.hold_journal().await;
    let mut image = store.image().await.expect("an image begins");
    let from = image.from();
    let mut entries = Vec::new();
    loop {
        let page = image.next().await.expect("the image reads");
        if page.is_empty() {
            break;
        }
        entries.extend(page);
        between().await;
    }
    let to = image.finish().await.expect("the image ends");
    let changes = journal(store, 1, store.end().sequence.max(to.sequence)).await;
    Copy { from, to, entries, changes }
}

async fn journal(store: &Store, first: u64, last: u64) -> Vec<CopiedChange> {
    let mut changes: Vec<CopiedChange> = Vec::new();
    loop {
        let next = changes.last().map_or(first, |change| change.header.position.sequence + 1);
        let page = store.copy_journal(next, last).await.expect("the journal reads");
        if page.is_empty() {
            return changes;
        }
        changes.extend(page);
    }
}

async fn build(
    copy: &Copy,
    directory: &Path,
    engine: EngineKind,
    target: RestoreTarget,
) -> Result<Restored, Error> {
    let options = options(directory, engine);
    let mut restorer = Restorer::begin(options, copy.from.sequence, copy.to.sequence, target).await?;
    restorer.put_entries(copy.entries.clone()).await?;
    restorer.put_changes(copy.changes.clone()).await?;
    restorer.finish().await
}

/// What a journal says every identifier was at its entry of this sequence.
fn states_at(changes: &[CopiedChange], sequence: u64) -> BTreeMap<String, (u64, Option<Values>)> {
    let mut states = BTreeMap::new();
    for change in changes.iter().filter(|change| change.header.position.sequence <= sequence) {
        let body = change.body.as_deref().expect("no body was pruned");
        let body = Body::decode(body).expect("a body");
        if let Change::Identifier(state) = body.change {
            states.insert(state.identifier.to_string(), (change.header.version, state.values));
        }
    }
    states
}

async fn check_states(store: &Store, expected: &BTreeMap<String, (u64, Option<Values>)>) {
    let parse = |name: &String| Identifier::parse(name).expect("an identifier");
    let names: Vec<_> = expected.keys().map(|name| parse(name).canonical(Folding::Insensitive)).collect();
    let found = store.identifiers(&names).await.expect("the store reads");
    for ((name, state), found) in expected.iter().zip(found) {
        assert_eq!(found.map(|entry| (entry.version, entry.values)).as_ref(), Some(state), "{name}");
    }
    let live = expected.values().filter(|(_, values)| values.is_some()).count();
    assert_eq!(store.count(), live as u64);
    let prefix = Prefix::parse("88.118").expect("a prefix");
    assert_eq!(store.list(&prefix, None, 100_000).await.expect("the list reads").items.len(), live);
}

//----------- Tests ----------------------------------------------------------

/// The store is written while its image is read, then every identifier is compared, on each engine from each.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_taken_during_writes_restores_the_states_of_its_end() {
    for source in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } = open(options(directory.path(), source)).await.expect("opens");
        commit(&mut writer, vec![home("88.118")]).await;
        write(&store, &mut writer, 0..2_500).await;
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn({
            let (store, stop) = (store.clone(), Arc::clone(&stop));
            async move {
                let mut round = 0;
                while !stop.load(Ordering::Relaxed) {
                    write(&store, &mut writer, (0..30).map(|n| (n * 97 + round * 13) % 3_000)).await;
                    round += 1;
                }
                writer
            }
        });
        let mut end = store.follow();
        let copy = copy(&store, async || {
            end.borrow_and_update();
            end.changed().await.expect("the writer goes on");
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        let writer = writer.await.expect("the writer ends");
        assert_eq!(copy.to == copy.from, source == EngineKind::Fjall);
        let last = copy.changes.last().expect("a journal").header.position.sequence;
        assert!(last > copy.from.sequence);
        for engine in EngineKind::ALL {
            for target in [RestoreTarget::End, RestoreTarget::Sequence(copy.to.sequence)] {
                let restored_to = tempfile::tempdir().expect("a directory");
                let restored = build(&copy, restored_to.path(), engine, target).await.expect("it is built");
                let sequence = if target == RestoreTarget::End { last } else { copy.to.sequence };
                assert_eq!(restored.continues.sequence, sequence);
                let opened = open(options(restored_to.path(), engine)).await.expect("the store opens");
                assert!(opened.store.head().incarnation > copy.to.incarnation);
                assert_eq!(opened.report.repaired, 0);
                check_states(&opened.store, &states_at(&copy.changes, sequence)).await;
                let held = journal(&opened.store, 1, sequence).await;
                assert!(held.iter().eq(copy.changes.iter().take(held.len())));
                assert_eq!(held.len() as u64, sequence);
                let prefix = Prefix::parse("88.118").expect("a prefix");
                assert!(opened.store.directory().get(&prefix).is_some());
                check_requests(&opened.store, &copy.changes, sequence).await;
                opened.store.close(opened.writer).await.expect("it closes");
            }
        }
        store.close(writer).await.expect("the store closes");
    }
}

/// Every request that the journal names up to here is remembered.
async fn check_requests(store: &Store, changes: &[CopiedChange], sequence: u64) {
    let held = changes.iter().filter(|change| change.header.position.sequence <= sequence);
    let request = |change: &CopiedChange| {
        Body::decode(change.body.as_deref().expect("a body")).expect("a body").request
    };
    let (keys, expected): (Vec<_>, Vec<_>) = held.filter_map(request).unzip();
    let found = store.requests(&keys).await.expect("the store reads");
    assert!(found.into_iter().eq(expected.into_iter().map(Some)));
}

/// Notes in the image and those of later journal entries are restored on each engine. An image without notes does not name their
/// kind: releases that do not know it restore the image.
#[tokio::test(flavor = "multi_thread")]
async fn notes_are_restored_and_an_image_without_any_does_not_name_them() {
    for source in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } = open(options(directory.path(), source)).await.expect("opens");
        commit(&mut writer, vec![home("88"), home("88.1"), home("88.2")]).await;
        let kinds = |copy: &Copy| copy.entries.iter().filter(|entry| entry.kind() == "note").count();
        assert_eq!(kinds(&copy(&store, async || {}).await), 0);
        commit(&mut writer, vec![noted("88", "one", 1), noted("88.1", "gone", 1)]).await;
        commit(&mut writer, vec![noted("88.1", "", 2)]).await;
        let image = copy(&store, async || {}).await;
        assert_eq!(kinds(&image), 2);
        commit(&mut writer, vec![noted("88", "two", 2), noted("88.2", "new", 1)]).await;
        let changes = journal(&store, 1, store.end().sequence).await;
        let copy = Copy { changes, ..image };
        for engine in EngineKind::ALL {
            let restored_to = tempfile::tempdir().expect("a directory");
            build(&copy, restored_to.path(), engine, RestoreTarget::End).await.expect("it is built");
            let Opened { store, .. } = open(options(restored_to.path(), engine)).await.expect("it opens");
            let directory = store.directory();
            let note = |text| directory.note(&Prefix::parse(text).expect("a prefix")).cloned();
            let found = ["88", "88.1", "88.2"]
                .map(|text| note(text).map(|note| (note.text.as_str().to_owned(), note.version)));
            let expected = [("two", 2), ("", 2), ("new", 1)];
            assert_eq!(found, expected.map(|(text, version)| Some((text.to_owned(), version))));
        }
        store.close(writer).await.expect("the store closes");
    }
}

#[tokio::test]
async fn a_time_restores_the_last_entry_not_after_it_and_writing_goes_on_from_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let Opened { store, mut writer, .. } =
        open(options(directory.path(), EngineKind::Fjall)).await.expect("opens");
    write(&store, &mut writer, 0..10).await;
    let copy_of_ten = copy(&store, async || {}).await;
    write(&store, &mut writer, 5..20).await;
    let (time_ms, at) = (writer.end().time_ms, writer.end().sequence);
    write(&store, &mut writer, 0..30).await;
    let changes = journal(&store, 1, store.end().sequence).await;
    let copy = Copy { changes, ..copy_of_ten };
    let restored_to = tempfile::tempdir().expect("a directory");
    let restored = build(&copy, restored_to.path(), EngineKind::Fjall, RestoreTarget::Time(time_ms)).await;
    assert_eq!(restored.expect("it is built").continues.sequence, at);
    let Opened { store, mut writer, .. } =
        open(options(restored_to.path(), EngineKind::Fjall)).await.expect("the store opens");
    check_states(&store, &states_at(&copy.changes, at)).await;
    write(&store, &mut writer, 0..40).await;
    let headers = store.headers_from(at, 2).await.expect("the journal reads");
    let operations: Vec<_> = headers.iter().map(|header| header.operation).collect();
    assert_eq!(operations, [Operation::Overwritten, Operation::Begun]);
}

/// Something done to a copied journal.
type Harm = fn(&mut Vec<CopiedChange>);

#[tokio::test]
async fn a_copy_that_does_not_hold_together_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let Opened { store, mut writer, .. } =
        open(options(directory.path(), EngineKind::Fjall)).await.expect("opens");
    write(&store, &mut writer, 0..10).await;
    write(&store, &mut writer, 0..10).await;
    let whole = copy(&store, async || {}).await;
    let cases: [(&str, Harm); 4] = [
        ("journal entry 4: it is missing; entry 5 follows", |changes| drop(changes.remove(3))),
        ("journal entry 4: its chained hash does not follow", |changes| changes[3].header.version += 1),
        ("its journal ends before its image does", |changes| drop(changes.pop())),
        ("journal entry 4: its body is missing", |changes| changes[3].body = None),
    ];
    for (expected, harm) in cases {
        let mut changes = whole.changes.clone();
        harm(&mut changes);
        let copy = Copy { from: whole.from, to: whole.to, entries: whole.entries.clone(), changes };
        let restored_to = tempfile::tempdir().expect("a directory");
        let refused = build(&copy, restored_to.path(), EngineKind::Fjall, RestoreTarget::End).await;
        let Err(Error::CopyDamaged { detail }) = refused else {
            panic!("{expected}: {refused:?}");
        };
        assert!(detail.contains(expected), "{detail}");
    }
}

/// However long the bodies are, a copy of the journal has all of them: a page of the engine ends by more bytes than a step counts.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_journal_has_every_body() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } =
            open(options(directory.path(), engine)).await.expect("it opens");
        for (first, bytes) in [(0, 6_000), (1_000, 20_000), (2_000, 9)] {
            for group in 0..10 {
                let numbers = first + group * 100..first + (group + 1) * 100;
                let propose = |number| Proposed {
                    change: Change::Identifier(IdentifierChange {
                        identifier: identifier(number),
                        values: Some(values(vec![7; bytes])),
                        created_ms: 1_800_000_000_000,
                    }),
                    operation: Operation::Registered,
                    caller: CallerName::Node,
                    version: 1,
                    replaces: None,
                    request: None,
                    named: false,
                };
                commit(&mut writer, numbers.map(propose).collect()).await;
            }
        }
        let end = store.head().sequence;
        let mut journal = JournalCheck::starting_at(1);
        let mut copied = Vec::new();
        while journal.next() <= end {
            let step = store.copy_journal(journal.next(), end).await.expect("it reads");
            assert!(!step.is_empty(), "nothing after {}", journal.next());
            for change in &step {
                journal.follow(change).expect("dense, chained, with a body");
                assert!(change.has_body(), "entry {}", change.header.position.sequence);
            }
            copied.extend(step);
        }
        // A body that is missing between others is found where copies are checked.
        copied[7].body = None;
        let mut journal = JournalCheck::starting_at(1);
        let broken = copied.iter().find_map(|change| journal.follow(change).err()).expect("found");
        assert_eq!(broken.to_string(), "journal entry 8: its body is missing");
        store.close(writer).await.expect("it closes");
    }
}
