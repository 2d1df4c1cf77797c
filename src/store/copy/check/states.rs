//! States of identifiers, prefixes, tokens and notes, the memory of requests, and the counts.

use std::collections::BTreeSet;

use super::{Check, STEP, display};
use crate::store::engine::{Step, Walk, Walked};
use crate::store::entry::state::State;
use crate::store::entry::{EntryKey as _, Readable, RequestMemory};
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

    /// Reads every state of a kind. Returns whether all parts of it could be read.
    pub(super) async fn walk_states<S: State>(&mut self) -> bool {
        let mut walk = Walk::<S>::through_all(STEP);
        while let Some(page) = self.next(&mut walk).await {
            let mut origins = Vec::with_capacity(page.len());
            for Walked { key, entry } in page {
                match entry {
                    Ok(state) => origins.extend(self.look_at(&key, &state)),
                    Err(error) => self.report.problem(error.to_string()),
                }
            }
            self.compare_with_journal(&origins).await;
        }
        !walk.is_broken()
    }

    /// Counts a state; one that is stored under another's key is reported.
    fn look_at<S: State>(&mut self, key: &[u8], state: &S) -> Option<Origin> {
        let folding = self.store.folding();
        let subject = state.subject(folding);
        if state.key(folding).to_bytes() != key {
            self.report.problem(format!("{} is stored under another key", display(&subject)));
            return None;
        }
        if let Some((prefix, is_live)) = state.counted() {
            self.counts.follow(prefix, || 0, false, is_live);
        }
        self.report.count(&subject, state.counted().is_none_or(|(_, is_live)| is_live));
        Some(Origin { subject, sequence: state.sequence(), version: state.version() })
    }

    /// Checks that each state names its journal entry, unless that is pruned.
    async fn compare_with_journal(&mut self, states: &[Origin]) {
        let (from, end) = (self.report.headers_from, self.report.end.sequence);
        let retained: Vec<&Origin> = states.iter().filter(|state| state.sequence >= from).collect();
        let sequences: Vec<u64> = retained.iter().map(|state| state.sequence).collect();
        // What cannot be read was reported when the journal was read.
        let headers = self.store.headers_at(&sequences).await.unwrap_or_default();
        for (state, header) in retained.into_iter().zip(headers) {
            let Origin { subject, sequence, version } = state;
            let text = display(subject);
            if *sequence > end {
                self.report.problem(format!(
                    "{text}, version {version}, is ahead of the journal: it comes from entry {sequence}, the journal \
                     ends at {end}"
                ));
            } else if !header.is_some_and(|header| state.is_of(&header)) {
                self.report.problem(format!(
                    "{text}, version {version}, does not come from journal entry {sequence}, which it names"
                ));
            }
        }
    }
}

/// The journal entry that a state names.
struct Origin {
    subject: Subject,
    sequence: u64,
    version: u64,
}

impl Origin {
    fn is_of(&self, header: &Header) -> bool {
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
                    Err(error) => self.report.problem(error.to_string()),
                }
            }
        }
    }

    pub(super) fn compare_counts(&mut self) {
        let held = self.store.counts();
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
