//! The check of a stopped store: reads the journal, all states, the counts and the memory of requests, and checks that they agree.
//! Digests, bookmarks and most seals are not read.
//!
//! ```text
//!   journal, as retained      dense · chained · of its incarnation · bodies with their digests · every state at least as new
//!   files and witness         what is missing, or older than it was
//!   states                    checksums · each names the journal entry that it comes from · none ahead of the journal
//!   beside them               counts as counted · requests of entries that exist · the high-water mark
//! ```
//! It changes no entry of a complete store. The small files beside the engine may be written again, as at an opening. It reads on
//! after a problem, so that all damage is reported at once.

mod journal;
mod states;

use crate::model::position::Position;
use crate::store::Store;
use crate::store::engine::PageLimit;
use crate::store::entry::state::for_every_state;
use crate::store::error::Error;
use crate::store::journal::Subject;
use crate::store::open::proof::FileProof;
use crate::store::open::{Attached, StoreOptions, attach, refuse_without_data};
use crate::store::open::{findings, loss, proof};
use crate::store::writer::counts::Counts;

/// Problems that are reported one by one; the others are counted.
const PROBLEMS_MAX: usize = 100;
/// Size of one step.
const STEP: PageLimit = PageLimit { entries: 256, bytes: 4 * 1024 * 1024 };

//----------- CheckReport ----------------------------------------------------

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// The journal's end.
    pub end: Position,
    /// The first journal entry that is retained.
    pub headers_from: u64,
    /// Journal entries read.
    pub headers: u64,
    /// Journal entries whose body is retained.
    pub bodies: u64,
    /// Live identifiers.
    pub identifiers: u64,
    /// Removed identifiers, whose version is retained.
    pub tombstones: u64,
    /// Prefixes.
    pub prefixes: u64,
    /// Tokens.
    pub tokens: u64,
    /// Notes on prefixes, removed ones included.
    pub notes: u64,
    /// Request items remembered.
    pub requests: u64,
    /// The first hundred problems, each with its place.
    pub problems: Vec<String>,
    /// Number of all problems.
    pub problem_count: u64,
}

impl CheckReport {
    /// Whether there are no problems.
    pub fn is_sound(&self) -> bool {
        self.problem_count == 0
    }

    /// Counts a state by what the journal calls it.
    fn count(&mut self, subject: &Subject, is_live: bool) {
        let counter = match subject {
            Subject::Identifier(_) if is_live => &mut self.identifiers,
            Subject::Identifier(_) => &mut self.tombstones,
            Subject::Prefix(_) => &mut self.prefixes,
            Subject::Token(_) => &mut self.tokens,
            Subject::Note(_) => &mut self.notes,
            Subject::Store => return,
        };
        *counter += 1;
    }

    fn problem(&mut self, problem: impl Into<String>) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem.into());
        }
    }
}

/// Checks a store that no node has open. An error means that it could not be opened at all.
pub async fn check(options: StoreOptions) -> Result<CheckReport, Error> {
    refuse_without_data(&options)?;
    let directory = options.directory.clone();
    let Attached { store, fresh, proof, .. } = attach(options).await?;
    if fresh {
        store.inner.engine.close().await?;
        let detail = "holds no journal entry".to_owned();
        return Err(Error::Format { directory, detail });
    }
    let report = check_open(&store, &proof).await;
    store.inner.engine.close().await?;
    if report.as_ref().is_ok_and(CheckReport::is_sound) {
        proof::list_closed_files(&store).await?;
    }
    report
}

/// Checks a store that is open and not written to, and reports what was found before it was opened.
pub(in crate::store) async fn check_open(store: &Store, proof: &FileProof) -> Result<CheckReport, Error> {
    let mut check = Check::new(store.clone());
    proof.differences.iter().for_each(|difference| check.report.problem(difference));
    if let Some(witness) = proof.witness() {
        let found = findings::compare_with_witness(store, witness).await?;
        found.into_sentences().into_iter().for_each(|finding| check.report.problem(finding));
    }
    check.run().await
}

/// A running check.
struct Check {
    store: Store,
    report: CheckReport,
    counts: Counts,
}

impl Check {
    fn new(store: Store) -> Self {
        let report = CheckReport {
            end: store.head(),
            headers_from: store.retained().headers_from,
            headers: 0,
            bodies: 0,
            identifiers: 0,
            tombstones: 0,
            prefixes: 0,
            tokens: 0,
            notes: 0,
            requests: 0,
            problems: Vec::new(),
            problem_count: 0,
        };
        Self { store, report, counts: Counts::default() }
    }

    async fn run(mut self) -> Result<CheckReport, Error> {
        loss::compare_high_water(&self.store).await?;
        if let Some(reason) = self.store.read_only_reason() {
            self.report.problem(reason);
        }
        self.walk_journal().await?;
        let mut all_read = true;
        for_every_state!(S => {
            all_read &= self.walk_states::<S>().await;
        });
        self.walk_requests().await;
        if all_read {
            self.compare_counts();
        }
        Ok(self.report)
    }
}
pub(in crate::store) fn display(subject: &Subject) -> String {
    match subject {
        Subject::Identifier(name) => name.as_str().to_owned(),
        Subject::Prefix(text) => format!("prefix {text}"),
        Subject::Token(id) => format!("token {id}"),
        Subject::Note(prefix) => format!("note on prefix {prefix}"),
        Subject::Store => "the store".to_owned(),
    }
}
