//! States of identifiers, prefixes and tokens, the memory of requests, and the counts.

use std::collections::BTreeSet;

use super::{Check, STEP, display};
use crate::store::engine::{Step, Walk, Walked};
use crate::store::entry::{IdentifierEntry, Readable, RequestMemory};
use crate::store::journal::{Header, Subject};
use crate::telemetry::Chain;

//----------- States ---------------------------------------------------------

impl Check {
    /// The next page of a walk; a part that cannot be read is reported. None at the end.
    async fn next<R: Readable>(&mut self, walk: &mut Walk<R>) -> Option<Vec<Walked<R>>> {
        loop {
            match walk.next(&self.store.inner.engine).await {
                Step::Page(page) => return Some(page),
                Step::Unreadable(error) => self.report.problem(Chain(&error).to_string()),
                Step::End => return None,
            }
        }
    }

    /// Returns whether all of them could be read.
    pub(super) async fn walk_identifiers(&mut self) -> bool {
        let mut walk = Walk::<IdentifierEntry>::through_all(STEP);
        while let Some(page) = self.next(&mut walk).await {
            let mut entries = Vec::with_capacity(page.len());
            for Walked { key, entry } in page {
                match entry {
                    Ok(entry) => entries.extend(self.named(&key, entry)),
                    Err(error) => self.report.problem(error.to_string()),
                }
            }
            self.compare_with_journal(&entries).await;
        }
        !walk.is_broken()
    }

    /// Counts an identifier's state; one that is stored under another's key is reported.
    fn named(&mut self, key: &[u8], entry: IdentifierEntry) -> Option<State> {
        let name = entry.identifier.canonical(self.store.folding());
        if name.as_bytes() != key {
            self.report
                .problem(format!("{name} is stored under another identifier's key", name = name.as_str()));
            return None;
        }
        let live = entry.is_live();
        if live {
            self.report.identifiers += 1;
        } else {
            self.report.tombstones += 1;
        }
        self.counts.follow(entry.identifier.prefix(), || 0, false, live);
        let (sequence, version) = (entry.sequence, entry.version);
        Some(State { subject: Subject::Identifier(name), sequence, version })
    }

    pub(super) async fn look_at_prefixes_and_tokens(&mut self) {
        let directory = self.store.directory();
        let prefixes = directory.prefixes().map(|entry| State {
            subject: Subject::Prefix(entry.prefix.canonical()),
            sequence: directory.prefix_sequence(&entry.prefix).unwrap_or(0),
            version: entry.version,
        });
        let tokens = directory.tokens().map(|entry| State {
            subject: Subject::Token(entry.id),
            sequence: directory.token_sequence(entry.id).unwrap_or(0),
            version: entry.version,
        });
        let states: Vec<State> = prefixes.chain(tokens).collect();
        self.report.prefixes = directory.prefixes().count() as u64;
        self.report.tokens = directory.tokens().count() as u64;
        for step in states.chunks(STEP.entries) {
            self.compare_with_journal(step).await;
        }
    }

    /// Checks that each state names its journal entry, unless that is pruned.
    async fn compare_with_journal(&mut self, states: &[State]) {
        let (from, end) = (self.report.headers_from, self.report.end.sequence);
        let retained: Vec<&State> = states.iter().filter(|state| state.sequence >= from).collect();
        let sequences: Vec<u64> = retained.iter().map(|state| state.sequence).collect();
        // What cannot be read was reported when the journal was read.
        let headers = self.store.headers_at(&sequences).await.unwrap_or_default();
        for (state, header) in retained.into_iter().zip(headers) {
            let State { subject, sequence, version } = state;
            let text = display(subject);
            if *sequence > end {
                self.report.problem(format!(
                    "{text}, version {version}, is ahead of the journal: it comes from entry {sequence}, the journal \
                     ends at {end}"
                ));
            } else if !header.is_some_and(|header| state.comes_from(&header)) {
                self.report.problem(format!(
                    "{text}, version {version}, does not come from journal entry {sequence}, which it names"
                ));
            }
        }
    }
}

/// A state, and the position of its journal entry.
struct State {
    subject: Subject,
    sequence: u64,
    version: u64,
}

impl State {
    fn comes_from(&self, header: &Header) -> bool {
        header.subject == self.subject && header.version == self.version
    }
}
//----------- Beside the states ----------------------------------------------

impl Check {
    pub(super) async fn walk_requests(&mut self) {
        let mut walk = Walk::<RequestMemory>::through_all(STEP);
        let end = self.report.end.sequence;
        while let Some(page) = self.next(&mut walk).await {
            for walked in page {
                self.report.requests += 1;
                match walked.entry {
                    Ok(memory) if memory.sequence > end => self.report.problem(format!(
                        "a request remembers journal entry {}, beyond the end",
                        memory.sequence
                    )),
                    Ok(_) => {}
                    Err(error) => self.report.problem(format!("a request cannot be read: {error}")),
                }
            }
        }
    }

    pub(super) fn compare_counts(&mut self) {
        let held = self.store.lock_counts().clone();
        let mut prefixes = BTreeSet::new();
        for counts in [&held, &self.counts] {
            counts.each(|prefix, _| prefixes.extend([prefix.to_owned()]));
        }
        for prefix in prefixes {
            let (stated, counted) = (held.get(&prefix), self.counts.get(&prefix));
            if stated != counted {
                let problem = format!("prefix {prefix} has {counted} identifiers, its count says {stated}");
                self.report.problem(problem);
            }
        }
    }
}
