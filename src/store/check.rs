//! The check of a stopped store: reads everything in it, and checks that all parts agree.
//!
//! ```text
//!   journal, as retained      dense · chained · of its incarnation · bodies with their digests · every state at least as new
//!   states                    checksums · each names the journal entry that it comes from · none ahead of the journal
//!   beside them               counts as counted · requests of entries that exist · the high-water mark
//! ```
//! It writes nothing except what the engine itself writes when it opens its files. It reads on after a problem, so that all
//! damage is reported at once.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use crate::model::identifier::{CanonicalIdentifier, Prefix};
use crate::model::position::Position;
use crate::wire::cursor::Reader;

use super::engine::scan::{KeyValue, Order, ScanLimit, ScanRange};
use super::engine::table::Table;
use super::entry::IdentifierEntry;
use super::error::Error;
use super::journal::{Hash, Header, JournalEntry, Subject};
use super::open::{StoreOptions, attach, engine_folder};
use super::retention::chain_of_seal;
use super::writes::Counts;
use super::{Store, entry_v1, key};

/// Problems that are reported one by one; the others are counted.
const PROBLEMS_MAX: usize = 100;
/// Size of one step.
const STEP: ScanLimit = ScanLimit { entries: 256, bytes: 4 * 1024 * 1024 };

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
    /// Request items remembered.
    pub requests: u64,
    /// What is wrong: the first hundred, each with its place.
    pub problems: Vec<String>,
    /// Number of all problems.
    pub problem_count: u64,
}

impl CheckReport {
    /// Whether there are no problems.
    pub fn is_sound(&self) -> bool {
        self.problem_count == 0
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
    let directory = options.directory.clone();
    let folder = directory.join(engine_folder(options.engine));
    if !folder.is_dir() {
        let detail = format!("holds no data of engine {}; name the engine that wrote it", options.engine);
        return Err(Error::Format { directory, detail });
    }
    let (store, fresh) = attach(options).await?;
    if fresh {
        store.inner.engine.clone().close().await?;
        let detail = "holds no journal entry".to_owned();
        return Err(Error::Format { directory, detail });
    }
    let report = Check::new(store.clone()).run().await;
    store.inner.engine.clone().close().await?;
    report
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
            requests: 0,
            problems: Vec::new(),
            problem_count: 0,
        };
        Self { store, report, counts: Counts::default() }
    }

    async fn run(mut self) -> Result<CheckReport, Error> {
        self.store.compare_high_water().await?;
        if let Some(reason) = self.store.read_only_reason() {
            self.report.problem(reason);
        }
        self.walk_journal().await?;
        self.walk_identifiers().await?;
        self.look_at_prefixes_and_tokens().await;
        self.walk_requests().await?;
        self.compare_counts();
        Ok(self.report)
    }
}

//----------- Journal --------------------------------------------------------

/// Where a walk through the journal stands.
struct Walk {
    next: u64,
    /// The chained hash before `next`; none where it is not known.
    chain: Option<Hash>,
    time_ms: u64,
}

impl Check {
    async fn walk_journal(&mut self) -> Result<(), Error> {
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
        let loaded = self.store.load(Table::Meta, vec![key::meta::seal(from)]).await?;
        let seal = loaded.into_iter().flatten().next();
        let chain = seal.and_then(|seal| chain_of_seal(&seal.body).ok());
        if chain.is_none() {
            self.report.problem(format!("the seal before journal entry {from} is missing"));
        }
        Ok(chain)
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
        let name = |entry: &JournalEntry| match &entry.header.subject {
            Subject::Identifier(name) => Some(name.clone()),
            Subject::Prefix(_) | Subject::Token(_) | Subject::Store => None,
        };
        let names: Vec<CanonicalIdentifier> = entries.iter().filter_map(name).collect();
        let identifiers = self.versions(&names).await;
        let directory = self.store.directory();
        for JournalEntry { header, .. } in entries {
            let held = match &header.subject {
                Subject::Identifier(name) => identifiers.get(name).copied(),
                Subject::Prefix(text) => Prefix::parse(text)
                    .ok()
                    .map(|prefix| directory.get(&prefix).map_or(0, |entry| entry.version)),
                Subject::Token(id) => Some(directory.token(*id).map_or(0, |entry| entry.version)),
                Subject::Store => None,
            };
            if let Some(held) = held.filter(|held| *held < header.version) {
                let (sequence, version) = (header.position.sequence, header.version);
                self.report.problem(format!(
                    "{} is at version {held}, behind journal entry {sequence}, which leads to version {version}",
                    display(&header.subject)
                ));
            }
        }
    }
}

impl Check {
    /// The versions at which identifiers are, without those that cannot be read: these are reported with the states.
    async fn versions(&self, names: &[CanonicalIdentifier]) -> HashMap<CanonicalIdentifier, u64> {
        let version = |entry: Option<IdentifierEntry>| entry.map_or(0, |entry| entry.version);
        if let Ok(present) = self.store.identifiers(names).await {
            return names.iter().cloned().zip(present.into_iter().map(version)).collect();
        }
        let mut versions = HashMap::new();
        for name in names {
            if let Ok(mut present) = self.store.identifiers(std::slice::from_ref(name)).await {
                versions.insert(name.clone(), version(present.pop().flatten()));
            }
        }
        versions
    }
}

fn display(subject: &Subject) -> String {
    match subject {
        Subject::Identifier(name) => name.as_str().to_owned(),
        Subject::Prefix(text) => format!("prefix {text}"),
        Subject::Token(id) => format!("token {id}"),
        Subject::Store => "the store".to_owned(),
    }
}

//----------- States ---------------------------------------------------------

impl Check {
    /// The next page of a table, and where to continue.
    async fn page(&self, table: Table, start: &mut Bound<Vec<u8>>) -> Result<Vec<KeyValue>, Error> {
        let range = ScanRange { start: start.clone(), end: Bound::Unbounded };
        let page = self.store.inner.engine.scan(table, range, Order::Forward, STEP).await?;
        if let Some((last, _)) = page.last() {
            *start = Bound::Excluded(last.clone());
        }
        Ok(page)
    }

    async fn walk_identifiers(&mut self) -> Result<(), Error> {
        let mut start = Bound::Unbounded;
        loop {
            let page = self.page(Table::Identifier, &mut start).await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut entries = Vec::with_capacity(page.len());
            for (key, stored) in page {
                match self.store.join_one(Table::Identifier, &key, stored).await {
                    Ok(Some(loaded)) => match self.store.decode_identifier(&key, &loaded) {
                        Ok(entry) => entries.extend(self.named(&key, entry)),
                        Err(error) => self.report.problem(error.to_string()),
                    },
                    Ok(None) => {}
                    Err(error) => self.report.problem(error.to_string()),
                }
            }
            self.compare_with_journal(&entries).await;
        }
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

    async fn look_at_prefixes_and_tokens(&mut self) {
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
    async fn walk_requests(&mut self) -> Result<(), Error> {
        let mut start = Bound::Unbounded;
        loop {
            let page = self.page(Table::Request, &mut start).await?;
            if page.is_empty() {
                return Ok(());
            }
            for (key, stored) in page {
                self.report.requests += 1;
                let loaded = self.store.join_one(Table::Request, &key, stored).await;
                let problem = match loaded {
                    Ok(None) => None,
                    Ok(Some(loaded)) => match entry_v1::read_memory(&mut Reader::new(&loaded.body)) {
                        Ok(memory) if memory.sequence > self.report.end.sequence => Some(format!(
                            "a request remembers journal entry {}, beyond the end",
                            memory.sequence
                        )),
                        Ok(_) => None,
                        Err(error) => Some(format!("a request cannot be read: {error}")),
                    },
                    Err(error) => Some(error.to_string()),
                };
                problem.into_iter().for_each(|problem| self.report.problem(problem));
            }
        }
    }

    fn compare_counts(&mut self) {
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
