//! What every engine promises of entries: one battery for all of them.

use std::path::Path;

use tempfile::TempDir;

use super::{
    Engine, EngineError, EngineKind, ImageCursor, List, PageLimit, Span, Step, StoredAs, Walk, WriteId,
    Writes,
};
use crate::model::caller::CallerName;
use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier, Prefix};
use crate::model::position::{Bookmark, Incarnation, Position, Stream};
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use crate::store::entry::count::PrefixCount;
use crate::store::entry::identifier::LiveName;
use crate::store::entry::journaled::{EncodedBody, JournalKey};
use crate::store::entry::prefix::CanonicalPrefix;
use crate::store::entry::{EntryKey as _, EntryKind, IdentifierEntry, Operation, Readable as _};
use crate::store::error::Error;
use crate::store::journal::lineage::Lineage;
use crate::store::journal::retention::{RetainedFrom, Seal};
use crate::store::journal::{Header, Subject};

/// Bytes of a value that is cut into some pieces.
const LONG: usize = 100_000;
const STEP: PageLimit = PageLimit { entries: 3, bytes: 1024 * 1024 };

/// Runs each test on each engine.
macro_rules! battery {
    ($($name:ident),+ $(,)?) => {
        mod on_fjall {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::EngineKind::Fjall).await; })+
        }
        mod on_sled {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::EngineKind::Sled).await; })+
        }
        mod on_simulated {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::EngineKind::Simulated).await; })+
        }
    };
}

battery!(
    entries_are_read_by_key_in_the_order_of_the_keys,
    entries_are_there_after_opening_again,
    a_span_of_a_prefix_is_read_page_by_page,
    a_page_ends_at_its_bytes,
    the_ends_of_the_journal_are_found,
    the_last_write_of_an_entry_counts,
    what_replaces_a_long_entry_leaves_none_of_its_pieces,
    deletions_take_the_pieces_along,
    a_damaged_entry_is_named,
    a_walk_passes_a_damaged_entry,
    facts_and_seals_are_apart,
    a_kind_is_empty_until_there_is_an_entry,
    an_image_holds_every_entry_whole_while_commits_go_on,
    a_closed_engine_answers_nothing,
);

//----------- A small language -----------------------------------------------

async fn open(kind: EngineKind, directory: &Path) -> Engine {
    let folder = directory.join("engine");
    Engine::open(kind, &folder, directory, 16 * 1024 * 1024).await.expect("it opens")
}

async fn fresh(kind: EngineKind) -> (TempDir, Engine) {
    let directory = tempfile::tempdir().expect("a directory");
    let engine = open(kind, directory.path()).await;
    (directory, engine)
}

fn name(text: &str) -> CanonicalIdentifier {
    Identifier::parse(text).expect("an identifier").canonical(Folding::Insensitive)
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a prefix")
}

/// The state of an identifier at a version, with so many bytes of data.
fn state(text: &str, version: u64, bytes: usize) -> IdentifierEntry {
    let value = Value {
        index: Index::new(1).expect("an index"),
        value_type: ValueType::new("TEXT").expect("a type"),
        data: vec![u8::try_from(version % 251).expect("a byte"); bytes],
        ttl: Ttl::default(),
        permissions: Permissions::from_bits(0b1110),
        references: Vec::new(),
        timestamp: 0,
    };
    IdentifierEntry {
        identifier: Identifier::parse(text).expect("an identifier"),
        version,
        values: Some(Values::new(vec![value]).expect("values")),
        created_ms: 1,
        changed_ms: 2,
        sequence: version,
        stored: StoredAs::default(),
    }
}

/// Writes of states, each under a number of its own.
fn puts(states: &[IdentifierEntry]) -> Writes {
    let mut writes = Writes::default();
    for (entry, number) in states.iter().zip(1..) {
        writes.put(&entry.identifier.canonical(Folding::Insensitive), entry, WriteId(number));
    }
    writes
}

async fn put(engine: &Engine, states: &[IdentifierEntry]) {
    engine.commit(puts(states)).await.expect("it is committed");
}

async fn get(engine: &Engine, text: &str) -> Option<IdentifierEntry> {
    engine.get_one(&name(text)).await.expect("it reads")
}

/// Name and version of entries, and how many bytes of data.
fn facts(entries: &[IdentifierEntry]) -> Vec<(String, u64, usize)> {
    let bytes = |entry: &IdentifierEntry| entry.values.as_ref().map_or(0, Values::encoded_bytes);
    entries.iter().map(|entry| (entry.identifier.to_string(), entry.version, bytes(entry))).collect()
}

/// Writes headers and bodies of these sequences.
fn journal(sequences: impl IntoIterator<Item = u64>, body: &[u8]) -> Writes {
    let mut writes = Writes::default();
    for sequence in sequences {
        let position = Position { incarnation: Incarnation([1; 16]), stream: Stream::ONLY, sequence };
        let header = Header {
            position,
            time_ms: sequence,
            operation: Operation::Begun,
            subject: Subject::Store,
            version: 1,
            previous: None,
            caller: CallerName::Node,
            body_digest: [0; 32],
            chain: [7; 32],
        };
        writes.put_journal(&header, body, WriteId(sequence));
    }
    writes
}

//----------- Entries --------------------------------------------------------

async fn entries_are_read_by_key_in_the_order_of_the_keys(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    put(&engine, &[state("88/a", 1, 10), state("88/b", 2, LONG), state("88/c", 3, 0)]).await;
    let asked = ["88/c", "88/absent", "88/b", "88/a", "88/b"].map(name);
    let found: Vec<Option<IdentifierEntry>> = engine.get(&asked).await.expect("they read");
    let versions: Vec<Option<u64>> =
        found.iter().map(|entry| entry.as_ref().map(|entry| entry.version)).collect();
    assert_eq!(versions, [Some(3), None, Some(2), Some(1), Some(2)]);
    let long = found[2].as_ref().and_then(|entry| entry.values.as_ref()).expect("values");
    assert_eq!(long.as_slice()[0].data, vec![2; LONG]);
    engine.close().await.expect("it closes");
}

async fn entries_are_there_after_opening_again(kind: EngineKind) {
    let (directory, engine) = fresh(kind).await;
    put(&engine, &[state("88/a", 1, LONG)]).await;
    engine.close().await.expect("it closes");
    let engine = open(kind, directory.path()).await;
    let found = get(&engine, "88/a").await.expect("it is there");
    assert_eq!(IdentifierEntry { stored: StoredAs::default(), ..found }, state("88/a", 1, LONG));
    engine.close().await.expect("it closes");
}

async fn the_last_write_of_an_entry_counts(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    put(&engine, &[state("88/a", 1, 10), state("88/a", 2, 10)]).await;
    assert_eq!(get(&engine, "88/a").await.map(|entry| entry.version), Some(2));
    let mut writes = puts(&[state("88/a", 3, 10)]);
    writes.delete::<IdentifierEntry>(&name("88/a"));
    engine.commit(writes).await.expect("it is committed");
    assert_eq!(get(&engine, "88/a").await, None);
    engine.close().await.expect("it closes");
}

async fn what_replaces_a_long_entry_leaves_none_of_its_pieces(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    put(&engine, &[state("88/a", 1, LONG)]).await;
    let pieces = engine.count_pieces().await;
    assert!(pieces > 1, "{pieces}");
    for (version, bytes, left) in [(2, LONG, pieces), (3, 10, 0)] {
        let replaced = get(&engine, "88/a").await.expect("it is there").stored;
        let mut writes = Writes::default();
        writes.replace(&name("88/a"), &state("88/a", version, bytes), replaced, WriteId(version));
        engine.commit(writes).await.expect("it is committed");
        assert_eq!(get(&engine, "88/a").await.map(|entry| entry.version), Some(version));
        assert_eq!(engine.count_pieces().await, left, "version {version}");
    }
    engine.close().await.expect("it closes");
}

//----------- Order ----------------------------------------------------------

async fn a_span_of_a_prefix_is_read_page_by_page(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    let of_prefix = ["88.1/a", "88.1/b", "88.1/c", "88.1/d", "88.1/e"];
    let others = ["88/a", "88.1.2/a", "88.10/a", "88.1-x/a"];
    let states: Vec<_> = of_prefix.iter().chain(&others).map(|text| state(text, 1, 10)).collect();
    put(&engine, &states).await;
    for (after, expected) in
        [(None, &of_prefix[..]), (Some("88.1/b"), &of_prefix[2..]), (Some("88.1/e"), &[])]
    {
        let own = prefix("88.1");
        let list = List { prefix: &own, folding: Folding::Insensitive };
        let after = after.map(|text| engine.cursor_after(&Identifier::parse(text).expect("an identifier")));
        let mut span = engine.list::<LiveName>(list, after.as_ref()).expect("a cursor of this list");
        let mut found = Vec::new();
        loop {
            let page = engine.next(&mut span, STEP).await.expect("it reads");
            assert!(page.len() <= STEP.entries);
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().filter_map(|LiveName(name)| name).map(|name| name.to_string()));
        }
        assert_eq!(found, expected, "after {after:?}");
    }
    engine.close().await.expect("it closes");
}

async fn a_page_ends_at_its_bytes(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    let states: Vec<_> = ["88/a", "88/b", "88/c"].map(|text| state(text, 1, LONG)).to_vec();
    put(&engine, &states).await;
    let mut span = Span::<IdentifierEntry>::all();
    // The second entry reaches the bound, counted as a whole and not as its first piece.
    let limit = PageLimit { entries: 10, bytes: LONG + 1_000 };
    let first = engine.next(&mut span, limit).await.expect("it reads");
    let second = engine.next(&mut span, limit).await.expect("it reads");
    assert_eq!((facts(&first).len(), facts(&second).len()), (2, 1));
    assert!(engine.next(&mut span, limit).await.expect("it reads").is_empty());
    engine.close().await.expect("it closes");
}

async fn the_ends_of_the_journal_are_found(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    assert_eq!(engine.last::<Header>().await.expect("it reads"), None);
    assert_eq!(engine.first_sequence::<EncodedBody>().await.expect("it reads"), None);
    engine.commit(journal(300..=520, b"body")).await.expect("it is committed");
    let last: Header = engine.last().await.expect("it reads").expect("a header");
    assert_eq!(last.position.sequence, 520);
    assert_eq!(engine.first_sequence::<EncodedBody>().await.expect("it reads"), Some(300));
    let mut span = Span::<EncodedBody>::sequences(518, 600);
    let bodies = engine.next(&mut span, STEP).await.expect("it reads");
    assert_eq!(bodies.iter().map(|body| body.sequence).collect::<Vec<_>>(), [518, 519, 520]);
    engine.close().await.expect("it closes");
}

async fn deletions_take_the_pieces_along(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    engine.commit(journal(1..=9, &[5; LONG])).await.expect("it is committed");
    let of_one = engine.count_pieces().await / 9;
    // One that cannot be read is deleted too.
    engine.flip::<EncodedBody>(&JournalKey::of(3)).await;
    let mut span = Span::<EncodedBody>::before(8);
    let mut deleted = 0;
    while let Some((writes, count)) = engine.deletions(&mut span, STEP).await.expect("it reads") {
        assert!(count <= STEP.entries as u64);
        engine.commit(writes).await.expect("it is committed");
        deleted += count;
    }
    assert_eq!(deleted, 7);
    assert_eq!(engine.first_sequence::<EncodedBody>().await.expect("it reads"), Some(8));
    assert_eq!(engine.first_sequence::<Header>().await.expect("it reads"), Some(1), "headers stay");
    // The bit that was flipped stands in the name of the cut: the pieces of that one are not found any more.
    assert!(engine.count_pieces().await <= 3 * of_one);
    engine.close().await.expect("it closes");
}

//----------- Damage ---------------------------------------------------------

async fn a_damaged_entry_is_named(kind: EngineKind) {
    let (directory, engine) = fresh(kind).await;
    put(&engine, &[state("88/a", 1, 10), state("88/b", 1, 10)]).await;
    engine.flip::<IdentifierEntry>(&name("88/a")).await;
    let error = engine.get::<IdentifierEntry>(&[name("88/b"), name("88/a")]).await.expect_err("damaged");
    let Error::Damaged { directory: named, table, key, detail } = error else { panic!("{error:?}") };
    assert_eq!((named.as_path(), table, key.as_str()), (directory.path(), "identifier", "88/a"));
    assert!(detail.contains("checksum"), "{detail}");
    assert!(get(&engine, "88/b").await.is_some(), "the others are read");
    engine.close().await.expect("it closes");
}

async fn a_walk_passes_a_damaged_entry(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    let texts = ["88/a", "88/b", "88/c", "88/d", "88/e"];
    put(&engine, &texts.map(|text| state(text, 1, 10))).await;
    engine.flip::<IdentifierEntry>(&name("88/c")).await;
    let mut walk = Walk::<IdentifierEntry>::through_all(STEP);
    let mut met = Vec::new();
    loop {
        match walk.next(&engine).await {
            Step::Page(page) => met.extend(page.into_iter().map(|walked| (walked.key, walked.entry.is_ok()))),
            Step::Unreadable(error) => panic!("{error}"),
            Step::End => break,
        }
    }
    let expected = texts.map(|text| (name(text).to_bytes(), text != "88/c"));
    assert_eq!(met, expected);
    assert!(!walk.is_broken(), "an entry is damaged, no part of the table");
    engine.close().await.expect("it closes");
}

async fn a_closed_engine_answers_nothing(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    engine.close().await.expect("it closes");
    let refused = engine.get_one::<IdentifierEntry>(&name("88/a")).await.expect_err("closed");
    assert!(matches!(refused, Error::Engine(EngineError::NotOpen)), "{refused:?}");
    let refused = engine.commit(puts(&[state("88/a", 1, 1)])).await.expect_err("closed");
    assert!(matches!(refused, EngineError::NotOpen), "{refused:?}");
}

//----------- Kinds ----------------------------------------------------------

async fn facts_and_seals_are_apart(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    assert_eq!(engine.fact::<Lineage>().await.expect("it reads"), None);
    let retained = RetainedFrom { headers_from: 3, bodies_from: 5 };
    let incarnation = Incarnation([1; 16]);
    let seal = |sequence| Seal {
        position: Position { incarnation, stream: Stream::ONLY, sequence },
        chain: [9; 32],
        time_ms: sequence,
    };
    let mut writes = Writes::default();
    writes.put_fact(&retained);
    writes.put_fact(&Lineage::default());
    for sequence in [65_536, 131_072] {
        writes.put(&seal(sequence).key(), &seal(sequence), WriteId::SMALL);
    }
    engine.commit(writes).await.expect("it is committed");
    assert_eq!(engine.fact::<RetainedFrom>().await.expect("it reads"), Some(retained));
    assert_eq!(engine.fact::<Lineage>().await.expect("it reads"), Some(Lineage::default()));
    let seals = engine.next(&mut Span::<Seal>::seals(), STEP).await.expect("it reads");
    assert_eq!(seals, [seal(65_536), seal(131_072)]);
    engine.close().await.expect("it closes");
}

async fn a_kind_is_empty_until_there_is_an_entry(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    assert!(engine.is_empty(EntryKind::Count).await.expect("it reads"));
    let mut writes = Writes::default();
    let key = CanonicalPrefix("88".to_owned());
    writes.put(&key.clone(), &PrefixCount { prefix: key, count: 7 }, WriteId::SMALL);
    writes.put(&"follower".to_owned(), &Bookmark::default(), WriteId::SMALL);
    engine.commit(writes).await.expect("it is committed");
    assert!(!engine.is_empty(EntryKind::Count).await.expect("it reads"));
    assert!(!engine.is_empty(EntryKind::Bookmark).await.expect("it reads"));
    assert!(engine.is_empty(EntryKind::Token).await.expect("it reads"));
    let most = engine.entries_at_most(EntryKind::Count).await.expect("it reads");
    assert!(most.is_none_or(|most| most >= 1), "{most:?}");
    engine.close().await.expect("it closes");
}

//----------- Image ----------------------------------------------------------

async fn an_image_holds_every_entry_whole_while_commits_go_on(kind: EngineKind) {
    let (_directory, engine) = fresh(kind).await;
    let texts: Vec<String> = (0..40).map(|number| format!("88/{number:02}")).collect();
    put(&engine, &texts.iter().map(|text| state(text, 1, LONG)).collect::<Vec<_>>()).await;
    let image = engine.image().await.expect("an image");
    let mut cursor = ImageCursor::default();
    let mut versions = Vec::new();
    // Numbers of writes so far: no two share one.
    let mut written = texts.len() as u64;
    loop {
        let page = image.next(EntryKind::Identifier, &mut cursor, STEP).await.expect("it reads");
        if page.is_empty() {
            break;
        }
        for (key, body) in page {
            let entry = IdentifierEntry::decode(&key, &body, StoredAs::default()).expect("a whole entry");
            let data = &entry.values.expect("values").as_slice()[0].data.clone();
            assert!(data.len() == LONG && data.iter().all(|byte| u64::from(*byte) == entry.version));
            versions.push(entry.version);
        }
        // All entries are replaced between two pages.
        let found: Vec<Option<IdentifierEntry>> =
            engine.get(&texts.iter().map(|text| name(text)).collect::<Vec<_>>()).await.expect("they read");
        let mut writes = Writes::default();
        for (text, before) in texts.iter().zip(found) {
            let before = before.expect("it is there");
            let version = before.version + 1;
            written += 1;
            writes.replace(&name(text), &state(text, version, LONG), before.stored, WriteId(written));
        }
        engine.commit(writes).await.expect("it is committed");
    }
    assert_eq!(versions.len(), texts.len());
    let later = versions.iter().filter(|version| **version > 1).count();
    assert_eq!(image.is_exact(), later == 0, "{versions:?}");
    drop(image);
    engine.close().await.expect("it closes");
}
