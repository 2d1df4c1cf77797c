//! Repairs at open, and redoing journal entries onto states: by version, so that repetition has no effect.

use std::collections::HashMap;

use crate::model::caller::CallerName;
use crate::model::identifier::CanonicalIdentifier;
use crate::model::limits::{GROUP_ITEMS_MAX, GROUP_ITEMS_SLED_MAX, TAIL_ENTRIES_MAX};

use crate::store::Store;
use crate::store::directory::Directory;
use crate::store::engine::{PageLimit, Span, WriteId, Writes};
use crate::store::entry::count::PrefixCount;
use crate::store::entry::prefix::PrefixState;
use crate::store::entry::token::TokenState;
use crate::store::entry::{Change, IdentifierEntry, Mark, Operation};
use crate::store::error::Error;
use crate::store::journal::lineage::{Lineage, LineageEntry};
use crate::store::journal::{Body, Hash, JournalEntry};
use crate::store::writer::counts::Counts;
use crate::store::writer::writes::identifier_state;
use crate::store::writer::{Appender, Block, Proposed};

/// Entries read in one step.
const STEP: usize = 1_000;
/// Size of one step through the states.
const STATES_STEP: PageLimit = PageLimit { entries: STEP, bytes: 4 * 1024 * 1024 };

/// States behind the journal's tail that a torn write may have left: those of one group on the engine with the smaller ones.
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
pub(in crate::store) struct Tail {
    /// Journal entries that were checked.
    pub(in crate::store) checked: u64,
    /// States that are missing or older than the journal says.
    pub(in crate::store) behind: u64,
    /// States that were redone.
    pub(in crate::store) repaired: u64,
}

impl Store {
    /// Checks the journal's tail (dense, chained, bodies there), and redoes what the states lack.
    ///
    /// States and journal are written together, so that only a torn write leaves any behind: more than a handful are a
    /// finding, and nothing is redone then.
    pub(in crate::store) async fn repair_tail(&self, redo: Redo) -> Result<Tail, Error> {
        let present = self.directory();
        let counted = self.walk_tail(Behind::Count).await;
        // Counting takes up in memory what it would redo.
        self.inner.directory.store(present);
        let counted = counted?;
        match redo {
            Redo::All if counted.behind > 0 => self.walk_tail(Behind::Redo).await,
            Redo::Handful if (1..=HANDFUL).contains(&counted.behind) => self.walk_tail(Behind::Redo).await,
            Redo::All | Redo::Handful | Redo::Nothing => Ok(counted),
        }
    }

    /// The first entry of the journal's tail.
    pub(in crate::store) fn tail_from(&self) -> u64 {
        self.end().sequence.saturating_sub(TAIL_ENTRIES_MAX).max(self.retained().headers_from).max(1)
    }

    async fn walk_tail(&self, which: Behind) -> Result<Tail, Error> {
        let (first, end) = (self.tail_from(), self.end().sequence);
        let mut next = first;
        let mut chain: Option<Hash> = None;
        let mut tail = Tail { checked: end + 1 - first, behind: 0, repaired: 0 };
        while next <= end {
            let entries = self.entries_from(next, STEP).await?;
            if entries.is_empty() {
                return Err(self.journal_damage(next, "the entry is missing".to_owned()));
            }
            self.check_chain(&entries, &mut next, &mut chain)?;
            let mut writes = Writes::default();
            let behind = self.redo_into(&entries, &mut writes).await?;
            tail.behind += behind;
            if which == Behind::Redo && behind > 0 {
                self.write(writes).await?;
                tail.repaired += behind;
            }
        }
        Ok(tail)
    }

    /// Checks that entries follow each other without gap and hash by hash; moves `next` and `chain` on.
    pub(in crate::store) fn check_chain(
        &self,
        entries: &[JournalEntry],
        next: &mut u64,
        chain: &mut Option<Hash>,
    ) -> Result<(), Error> {
        for JournalEntry { header, body } in entries {
            let sequence = header.position.sequence;
            if sequence != *next {
                return Err(
                    self.journal_damage(*next, format!("the entry is missing; entry {sequence} follows"))
                );
            }
            if chain.is_some_and(|before| header.chain_after(&before) != header.chain) {
                let detail = "the chained hash does not follow from the entry before".to_owned();
                return Err(self.journal_damage(sequence, detail));
            }
            if body.is_none() && sequence >= self.retained().bodies_from {
                return Err(self.journal_damage(sequence, "the body is missing".to_owned()));
            }
            *chain = Some(header.chain);
            *next = sequence + 1;
        }
        Ok(())
    }

    /// Collects the writes of redone entries: states that are older, and all memory of requests.
    pub(in crate::store) async fn redo_into(
        &self,
        entries: &[JournalEntry],
        writes: &mut Writes,
    ) -> Result<u64, Error> {
        let mut redone = self.redo_identifiers(entries, writes).await?;
        redone += self.redo_few(entries, writes);
        for entry in entries {
            if let Some(body) = &entry.body {
                writes.put_request(body);
            }
        }
        Ok(redone)
    }

    async fn redo_identifiers(&self, entries: &[JournalEntry], writes: &mut Writes) -> Result<u64, Error> {
        let mut latest: HashMap<CanonicalIdentifier, (IdentifierEntry, WriteId)> = HashMap::new();
        for (state, id) in entries.iter().filter_map(identifier_state) {
            latest.insert(state.identifier.canonical(self.folding()), (state, id));
        }
        let names: Vec<CanonicalIdentifier> = latest.keys().cloned().collect();
        let present = self.identifiers(&names).await?;
        let mut redone = 0;
        for (name, present) in names.iter().zip(present) {
            let Some((state, id)) = latest.get(name) else {
                continue;
            };
            if present.as_ref().is_none_or(|present| present.version < state.version) {
                writes.put_identifier(self.folding(), state, present.map(|entry| entry.mark()), *id);
                redone += 1;
            }
        }
        Ok(redone)
    }

    fn redo_few(&self, entries: &[JournalEntry], writes: &mut Writes) -> u64 {
        let mut directory = (*self.directory()).clone();
        let mut redone = 0;
        for JournalEntry { header, body } in entries {
            let Some(body) = body else {
                continue;
            };
            match &body.change {
                Change::Prefix(entry) => {
                    let present = directory.get(&entry.prefix).map_or(0, |present| present.version);
                    if present < header.version {
                        let mut entry = entry.clone();
                        entry.version = header.version;
                        entry.changed_ms = header.time_ms;
                        let state = PrefixState { entry, sequence: header.position.sequence };
                        writes.put_prefix(&state, body.write_id());
                        directory.put_prefix(state.entry, state.sequence);
                        redone += 1;
                    }
                }
                Change::Token(entry) => {
                    let present = directory.token(entry.id).map_or(0, |present| present.version);
                    if present < header.version {
                        let mut entry = entry.clone();
                        entry.version = header.version;
                        let state = TokenState { entry, sequence: header.position.sequence };
                        writes.put_token(&state, body.write_id());
                        directory.put_token(state.entry, state.sequence);
                        redone += 1;
                    }
                }
                Change::Identifier { .. } | Change::Incarnation { .. } => {}
            }
        }
        self.inner.directory.store(directory.into());
        redone
    }

    /// Takes up incarnations that the journal's tail names but the lineage does not yet: it is written just after them.
    pub(in crate::store) async fn mend_lineage(&self, mut lineage: Lineage) -> Result<Lineage, Error> {
        let Some(last) = self.last_header().await? else {
            return Ok(lineage);
        };
        let known = lineage.present().map(|entry| entry.incarnation);
        if known == Some(last.position.incarnation) {
            return Ok(lineage);
        }
        // Only the very last entry can be one whose incarnation is not yet in the lineage.
        let entry = self.with_bodies(vec![last]).await?.pop();
        let Some(JournalEntry { header, body: Some(Body { change, .. }) }) = entry else {
            return Ok(lineage);
        };
        if let Change::Incarnation { continues, chain, .. } = change {
            lineage.begin(LineageEntry {
                incarnation: header.position.incarnation,
                first_sequence: header.position.sequence,
                continues: continues.map(|position| (position, chain)),
            });
        }
        Ok(lineage)
    }

    /// Records states again that name a journal entry beyond the journal's end. Returns their number.
    pub(in crate::store) async fn adopt_ahead_of(
        &self,
        end: u64,
        appender: &mut Appender,
    ) -> Result<u64, Error> {
        let mut ahead = Vec::new();
        let mut adopted = 0;
        let mut span = Span::<IdentifierEntry>::all();
        loop {
            let page = self.inner.engine.next(&mut span, STATES_STEP).await?;
            if page.is_empty() {
                break;
            }
            ahead.extend(page.into_iter().filter(|entry| entry.sequence > end));
            while ahead.len() >= GROUP_ITEMS_MAX {
                adopted += adopt(appender, ahead.drain(..GROUP_ITEMS_MAX).collect()).await?;
            }
        }
        adopted += adopt(appender, ahead).await?;
        Ok(adopted + self.adopt_few(end, appender).await?)
    }

    /// Records prefixes and tokens again that name a journal entry beyond the journal's end.
    async fn adopt_few(&self, end: u64, appender: &mut Appender) -> Result<u64, Error> {
        let directory = self.directory();
        let is_ahead = |sequence: Option<u64>| sequence.is_some_and(|sequence| sequence > end);
        let prefixes =
            directory.prefixes().filter(|entry| is_ahead(directory.prefix_sequence(&entry.prefix)));
        let prefixes =
            prefixes.map(|entry| adopted(Change::Prefix((**entry).clone()), entry.version + 1, None));
        let tokens = directory.tokens().filter(|entry| is_ahead(directory.token_sequence(entry.id)));
        let tokens = tokens.map(|entry| adopted(Change::Token((**entry).clone()), entry.version + 1, None));
        commit(appender, prefixes.chain(tokens).collect()).await
    }

    /// Reads prefixes and tokens into memory.
    pub(in crate::store) async fn load_directory(&self) -> Result<(), Error> {
        let mut directory = Directory::default();
        let mut prefixes = Span::<PrefixState>::all();
        loop {
            let page = self.inner.engine.next(&mut prefixes, STATES_STEP).await?;
            if page.is_empty() {
                break;
            }
            page.into_iter().for_each(|state| directory.put_prefix(state.entry, state.sequence));
        }
        let mut tokens = Span::<TokenState>::all();
        loop {
            let page = self.inner.engine.next(&mut tokens, STATES_STEP).await?;
            if page.is_empty() {
                break;
            }
            page.into_iter().for_each(|state| directory.put_token(state.entry, state.sequence));
        }
        self.inner.directory.store(directory.into());
        Ok(())
    }

    /// Reads the counts of live identifiers into memory.
    pub(in crate::store) async fn load_counts(&self) -> Result<(), Error> {
        let mut counts = Counts::default();
        let mut span = Span::<PrefixCount>::all();
        loop {
            let page = self.inner.engine.next(&mut span, STATES_STEP).await?;
            if page.is_empty() {
                break;
            }
            page.into_iter().for_each(|PrefixCount { prefix, count }| counts.load(prefix.0, count));
        }
        *self.lock_counts() = counts;
        Ok(())
    }
}

async fn adopt(appender: &mut Appender, ahead: Vec<IdentifierEntry>) -> Result<u64, Error> {
    let propose = |entry: IdentifierEntry| {
        let (version, mark) = (entry.version + 1, entry.mark());
        let IdentifierEntry { identifier, values, created_ms, .. } = entry;
        adopted(Change::Identifier { identifier, values, created_ms }, version, Some(mark))
    };
    commit(appender, ahead.into_iter().map(propose).collect()).await
}

/// A state that is entered again as it is, one version later.
fn adopted(change: Change, version: u64, replaces: Option<Mark>) -> Proposed {
    Proposed {
        change,
        operation: Operation::Adopted,
        caller: CallerName::Node,
        version,
        replaces,
        request: None,
        named: false,
    }
}

async fn commit(appender: &mut Appender, changes: Vec<Proposed>) -> Result<u64, Error> {
    let (since, count) = (appender.end().sequence, changes.len() as u64);
    appender.commit(Block { since, changes, remembered: Vec::new() }).await?;
    Ok(count)
}
