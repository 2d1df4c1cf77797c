//! Redoing journal entries onto states when a store is opened or opened again: by version, so that repetition has no effect. What
//! is done after a failed write before that is in `writer::recovery`.

use std::collections::HashMap;

use crate::model::caller::CallerName;
use crate::model::limits::{GROUP_ITEMS_MAX, GROUP_ITEMS_SLED_MAX, TAIL_ENTRIES_MAX};
use crate::store::Store;
use crate::store::directory::Directory;
use crate::store::engine::{PageLimit, Span, WriteId, Writes};
use crate::store::entry::count::PrefixCount;
use crate::store::entry::state::{State, for_every_state};
use crate::store::entry::{Change, Operation};
use crate::store::error::Error;
use crate::store::journal::lineage::Lineage;
use crate::store::journal::{Body, Hash, JournalEntry, Subject};
use crate::store::open::take_up_journal;
use crate::store::writer::counts::Counts;
use crate::store::writer::{Block, JournalWriter, Proposed};

/// Entries read in one step.
const STEP: usize = 1_000;
/// Size of one step through the states.
const STATES_STEP: PageLimit = PageLimit { entries: STEP, bytes: 4 * 1024 * 1024 };

/// States behind the journal's tail that are redone without an operator; more are a finding. A torn write of sled leaves those of one
/// group at most. A commit of fjall is never torn.
const HANDFUL: u64 = GROUP_ITEMS_SLED_MAX as u64;

/// Which states are redone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Redo {
    /// None: the store is read-only.
    Nothing,
    /// A handful, or none when there are more.
    Handful,
    /// All, because an operator has accepted what is missing.
    All,
}

/// What a walk through the journal's tail does with states that are behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Count,
    Redo,
}

/// The result of checking the journal's tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct CheckedTail {
    /// Journal entries that were checked.
    pub(in crate::store) checked: u64,
    /// States that are missing or older than the journal says.
    pub(in crate::store) behind: u64,
    /// States that were redone.
    pub(in crate::store) repaired: u64,
}

/// Checks the journal's tail (dense, chained, bodies there), and redoes what the states lack.
///
/// States and journal are written together, so that only a damaged log leaves any behind: more than a handful are a finding, and
/// nothing is redone then.
pub(in crate::store) async fn repair_tail(store: &Store, redo: Redo) -> Result<CheckedTail, Error> {
    let present = store.directory();
    let counted = walk_tail(store, Behind::Count).await;
    // Counting takes up in memory what it would redo.
    store.set_directory(present);
    let counted = counted?;
    match redo {
        Redo::All if counted.behind > 0 => walk_tail(store, Behind::Redo).await,
        Redo::Handful if (1..=HANDFUL).contains(&counted.behind) => walk_tail(store, Behind::Redo).await,
        Redo::All | Redo::Handful | Redo::Nothing => Ok(counted),
    }
}

/// The first entry of the journal's tail.
pub(in crate::store) fn tail_from(store: &Store) -> u64 {
    store.end().sequence.saturating_sub(TAIL_ENTRIES_MAX).max(store.retained().headers_from).max(1)
}

async fn walk_tail(store: &Store, which: Behind) -> Result<CheckedTail, Error> {
    let (first, end) = (tail_from(store), store.end().sequence);
    let mut next = first;
    let mut chain: Option<Hash> = None;
    let mut tail = CheckedTail { checked: end + 1 - first, behind: 0, repaired: 0 };
    while next <= end {
        let entries = store.entries_from(next, STEP).await?;
        if entries.is_empty() {
            return Err(store.journal_damage(next, "the entry is missing".to_owned()));
        }
        check_chain(store, &entries, &mut next, &mut chain)?;
        let mut writes = Writes::default();
        let behind = redo_into(store, &entries, &mut writes).await?;
        tail.behind += behind;
        if which == Behind::Redo && behind > 0 {
            store.write(writes).await?;
            tail.repaired += behind;
        }
    }
    Ok(tail)
}

/// Checks that entries follow each other without gap and hash by hash; moves `next` and `chain` on.
pub(in crate::store) fn check_chain(
    store: &Store,
    entries: &[JournalEntry],
    next: &mut u64,
    chain: &mut Option<Hash>,
) -> Result<(), Error> {
    for JournalEntry { header, body } in entries {
        let sequence = header.position.sequence;
        if sequence != *next {
            return Err(
                store.journal_damage(*next, format!("the entry is missing; entry {sequence} follows"))
            );
        }
        if chain.is_some_and(|before| header.chain_after(&before) != header.chain) {
            let detail = "the chained hash does not follow from the entry before".to_owned();
            return Err(store.journal_damage(sequence, detail));
        }
        if body.is_none() && sequence >= store.retained().bodies_from {
            return Err(store.journal_damage(sequence, "the body is missing".to_owned()));
        }
        *chain = Some(header.chain);
        *next = sequence + 1;
    }
    Ok(())
}

/// Collects the writes of redone entries: states that are older, and all memory of requests. Takes up in the directory what
/// is redone.
pub(in crate::store) async fn redo_into(
    store: &Store,
    entries: &[JournalEntry],
    writes: &mut Writes,
) -> Result<u64, Error> {
    let mut directory = (*store.directory()).clone();
    let mut redone = 0;
    for_every_state!(S => {
        redone += redo::<S>(store, entries, writes, &mut directory).await?;
    });
    store.set_directory(directory.into());
    entries.iter().filter_map(|entry| entry.body.as_ref()).for_each(|body| writes.put_request(body));
    Ok(redone)
}

/// Redoes the states of a kind.
async fn redo<S: State>(
    store: &Store,
    entries: &[JournalEntry],
    writes: &mut Writes,
    directory: &mut Directory,
) -> Result<u64, Error> {
    let mut latest: HashMap<&Subject, (S, WriteId)> = HashMap::new();
    for JournalEntry { header, body } in entries {
        let body = body.as_ref().filter(|_| S::key_of(&header.subject).is_some());
        let Some(body) = body else { continue };
        if let Ok(state) = S::after(header, body.change.clone()) {
            latest.insert(&header.subject, (state, body.write_id()));
        }
    }
    let latest: Vec<(S, WriteId)> = latest.into_values().collect();
    let keys: Vec<S::Key> = latest.iter().map(|(state, _)| state.key(store.folding())).collect();
    let present: Vec<Option<S>> = store.inner.engine.get(&keys).await?;
    let mut redone = 0;
    for ((state, id), present) in latest.into_iter().zip(present) {
        if present.as_ref().is_none_or(|present| present.version() < state.version()) {
            let replaced = present.and_then(|present| present.replaceable());
            writes.put_state(store.folding(), &state, replaced, id);
            state.hold(directory);
            redone += 1;
        }
    }
    Ok(redone)
}

/// Takes up incarnations that the journal's tail names but the lineage does not yet: it is written just after them.
pub(in crate::store) async fn mend_lineage(store: &Store, mut lineage: Lineage) -> Result<Lineage, Error> {
    let Some(last) = store.last_header().await? else {
        return Ok(lineage);
    };
    let known = lineage.present().map(|entry| entry.incarnation);
    if known == Some(last.position.incarnation) {
        return Ok(lineage);
    }
    // Only the very last entry can be one whose incarnation is not yet in the lineage.
    let entry = store.with_bodies(vec![last]).await?.pop();
    let Some(JournalEntry { header, body: Some(Body { change, .. }) }) = entry else {
        return Ok(lineage);
    };
    if let Change::Incarnation(begun) = change {
        lineage.begin(begun.at(header.position));
    }
    Ok(lineage)
}

/// Records states again that name a journal entry beyond the journal's end. Returns their number.
pub(in crate::store) async fn adopt_ahead_of(
    store: &Store,
    end: u64,
    writer: &mut JournalWriter,
) -> Result<u64, Error> {
    let mut adopted = 0;
    for_every_state!(S => {
        adopted += adopt::<S>(store, end, writer).await?;
    });
    Ok(adopted)
}

async fn adopt<S: State>(store: &Store, end: u64, writer: &mut JournalWriter) -> Result<u64, Error> {
    let mut span = Span::<S>::all();
    let mut ahead = Vec::new();
    let mut adopted = 0;
    loop {
        let page = store.inner.engine.next(&mut span, STATES_STEP).await?;
        let is_last = page.is_empty();
        ahead.extend(page.into_iter().filter(|state| state.sequence() > end).map(record_again));
        while ahead.len() >= GROUP_ITEMS_MAX || is_last && !ahead.is_empty() {
            let group = ahead.drain(..ahead.len().min(GROUP_ITEMS_MAX)).collect();
            adopted += commit(writer, group).await?;
        }
        if is_last {
            return Ok(adopted);
        }
    }
}

/// Reads again everything that is held in memory, after the files were opened again.
pub(in crate::store) async fn take_up_again(store: &Store) -> Result<(), Error> {
    load_directory(store).await?;
    load_counts(store).await?;
    take_up_journal(store).await
}

/// Reads into memory what is held there of the states.
pub(in crate::store) async fn load_directory(store: &Store) -> Result<(), Error> {
    let mut directory = Directory::default();
    for_every_state!(S => {
        if S::IS_HELD {
            load::<S>(store, &mut directory).await?;
        }
    });
    store.set_directory(directory.into());
    Ok(())
}

async fn load<S: State>(store: &Store, directory: &mut Directory) -> Result<(), Error> {
    let mut span = Span::<S>::all();
    loop {
        let page = store.inner.engine.next(&mut span, STATES_STEP).await?;
        if page.is_empty() {
            return Ok(());
        }
        page.into_iter().for_each(|state| state.hold(directory));
    }
}

/// Reads the counts of live identifiers into memory.
pub(in crate::store) async fn load_counts(store: &Store) -> Result<(), Error> {
    let mut counts = Counts::default();
    let mut span = Span::<PrefixCount>::all();
    loop {
        let page = store.inner.engine.next(&mut span, STATES_STEP).await?;
        if page.is_empty() {
            break;
        }
        page.into_iter().for_each(|PrefixCount { prefix, count }| counts.load(prefix.0, count));
    }
    store.set_counts(counts);
    Ok(())
}

/// A state that is recorded again as it is, one version later.
fn record_again<S: State>(state: S) -> Proposed {
    Proposed {
        operation: Operation::Adopted,
        caller: CallerName::Node,
        version: state.version() + 1,
        replaces: state.replaceable(),
        change: state.record_again(),
        request: None,
        named: false,
    }
}

async fn commit(writer: &mut JournalWriter, changes: Vec<Proposed>) -> Result<u64, Error> {
    let (since, count) = (writer.end().position(), changes.len() as u64);
    writer.commit(Block { since, changes, remembered: Vec::new() }).await?;
    Ok(count)
}
