//! The journal, as far as it is retained: dense, chained, with its bodies, and no state behind it.

use std::collections::HashMap;

use super::{Check, STEP, display};
use crate::store::entry::meta::SealKey;
use crate::store::entry::state::{State, for_every_state};
use crate::store::error::Error;
use crate::store::journal::retention::Seal;
use crate::store::journal::{Hash, JournalEntry, Subject};

/// Where a walk through the journal stands.
struct Walk {
    next: u64,
    /// The chained hash before `next`; none where it is not known.
    chain: Option<Hash>,
    time_ms: u64,
}

impl Check {
    pub(super) async fn walk_journal(&mut self) -> Result<(), Error> {
        let from = self.report.headers_from;
        let mut walk = Walk { next: from, chain: self.chain_before(from).await?, time_ms: 0 };
        while walk.next <= self.report.end.sequence {
            let entries = self.entries(walk.next).await;
            for entry in &entries {
                self.follow(&mut walk, entry);
            }
            self.compare_states(&entries).await;
            if entries.is_empty() {
                self.report.problem(format!("journal entry {} is missing", walk.next));
                walk = Walk { next: walk.next + 1, chain: None, ..walk };
            }
        }
        Ok(())
    }

    /// The chained hash that the first entry follows on: zeros at the very first, else the seal's.
    async fn chain_before(&mut self, from: u64) -> Result<Option<Hash>, Error> {
        if from == 1 {
            return Ok(Some([0; 32]));
        }
        match self.store.inner.engine.get_one::<Seal>(&SealKey(from)).await {
            Ok(Some(seal)) => return Ok(Some(seal.chain)),
            Ok(None) => self.report.problem(format!("the seal before journal entry {from} is missing")),
            Err(error) if error.is_damage() => self.report.problem(error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Entries from a sequence on. Where a step cannot be read, its first entry alone is tried, and reported.
    async fn entries(&mut self, from: u64) -> Vec<JournalEntry> {
        if let Ok(entries) = self.store.entries_from(from, STEP.entries).await {
            return entries;
        }
        let header = match self.store.headers_at(&[from]).await {
            Ok(found) => found.into_iter().flatten().next(),
            Err(error) => {
                self.report.problem(error.to_string());
                None
            }
        };
        let Some(header) = header else {
            return Vec::new();
        };
        match self.store.with_bodies(vec![header.clone()]).await {
            Ok(entries) => entries,
            Err(error) => {
                self.report.problem(error.to_string());
                vec![JournalEntry { header, body: None }]
            }
        }
    }

    fn follow(&mut self, walk: &mut Walk, entry: &JournalEntry) {
        let JournalEntry { header, body } = entry;
        let sequence = header.position.sequence;
        for missing in walk.next..sequence {
            self.report.problem(format!("journal entry {missing} is missing"));
            walk.chain = None;
        }
        if walk.chain.is_some_and(|before| header.chain_after(&before) != header.chain) {
            self.report.problem(format!("journal entry {sequence} is not chained to the one before"));
        }
        if header.time_ms < walk.time_ms {
            self.report.problem(format!("journal entry {sequence} is earlier than the one before"));
        }
        if self.store.lineage().position_of(sequence) != Some(header.position) {
            self.report.problem(format!(
                "journal entry {sequence} belongs to another incarnation than the store had"
            ));
        }
        if header.previous.is_some_and(|previous| previous >= sequence) {
            self.report.problem(format!("journal entry {sequence} links to a later one"));
        }
        if body.is_none() && sequence >= self.store.retained().bodies_from {
            self.report.problem(format!("journal entry {sequence} has no body"));
        }
        self.report.headers += 1;
        self.report.bodies += u64::from(body.is_some());
        *walk = Walk { next: sequence + 1, chain: Some(header.chain), time_ms: header.time_ms };
    }

    /// Each entry's subject must be at its version, or beyond.
    async fn compare_states(&mut self, entries: &[JournalEntry]) {
        let mut held = HashMap::new();
        for_every_state!(S => {
            self.versions::<S>(entries, &mut held).await;
        });
        for JournalEntry { header, .. } in entries {
            let version = held.get(&header.subject).copied();
            if let Some(held) = version.filter(|held| *held < header.version) {
                let (sequence, version) = (header.position.sequence, header.version);
                self.report.problem(format!(
                    "{} is at version {held}, behind journal entry {sequence}, which leads to version {version}",
                    display(&header.subject)
                ));
            }
        }
    }

    /// The versions at which the states of a kind are that these entries are about, 0 for absent ones. Those that cannot be read
    /// are left out: they are reported with the states.
    async fn versions<'a, S: State>(
        &self,
        entries: &'a [JournalEntry],
        held: &mut HashMap<&'a Subject, u64>,
    ) {
        let keyed = |entry: &'a JournalEntry| {
            let subject = &entry.header.subject;
            S::key_of(subject).map(|key| (subject, key))
        };
        let asked: Vec<(&Subject, S::Key)> = entries.iter().filter_map(keyed).collect();
        let version = |state: Option<S>| state.map_or(0, |state| state.version());
        let engine = &self.store.inner.engine;
        if let Ok(states) = engine.get(asked.iter().map(|(_, key)| key)).await {
            held.extend(asked.iter().map(|(subject, _)| *subject).zip(states.into_iter().map(version)));
            return;
        }
        for (subject, key) in asked {
            if let Ok(state) = engine.get_one(&key).await {
                held.insert(subject, version(state));
            }
        }
    }
}
