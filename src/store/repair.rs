//! The repair of a stopped store: rebuilds what the journal still holds, and says what it cannot.
//!
//! ```text
//!   small files of the engine rebuilt ─▶ engine opens, unproven ─▶ every entry's body redone onto the states
//!   ─▶ counts and digests of suffixes made anew ─▶ the whole store checked
//! ```
//! Only an operator asks for it. What is older than the retained bodies, and what the journal has lost itself, does not come
//! back: that needs a backup.

use super::Store;
use super::check::{CheckReport, check_open};
use super::engine::scan::{Order, ScanLimit, ScanRange};
use super::engine::survey;
use super::engine::table::Table;
use super::error::Error;
use super::journal::{Header, JournalEntry};
use super::open::{Attached, StoreOptions, attach_as, engine_folder};
use super::proof::Proof;
use super::writes::{Counts, Writes, suffix_digest};

use std::ops::Bound;

/// Entries of one step.
const STEP: usize = 256;
/// Things that could not be rebuilt and are named one by one; the others are counted.
const NAMED_MAX: usize = 100;

//----------- RepairReport ---------------------------------------------------

/// The result of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairReport {
    /// Files of the engine that were rebuilt, each with what was done.
    pub files: Vec<String>,
    /// States that were rebuilt from the journal.
    pub rebuilt: u64,
    /// The first hundred things that could not be rebuilt.
    pub lost: Vec<String>,
    /// Number of all things that could not be rebuilt.
    pub lost_count: u64,
    /// The check of the store afterwards.
    pub check: CheckReport,
}

impl RepairReport {
    /// Whether nothing is missing and the store is sound.
    pub fn is_whole(&self) -> bool {
        self.lost_count == 0 && self.check.is_sound()
    }
}

/// Repairs a store that no node has open. When this returns, what was rebuilt is on disk.
pub async fn repair(options: StoreOptions) -> Result<RepairReport, Error> {
    let folder = options.directory.join(engine_folder(options.engine));
    if !folder.is_dir() {
        let detail = format!("holds no data of engine {}; name the engine that wrote it", options.engine);
        return Err(Error::Format { directory: options.directory, detail });
    }
    let engine = options.engine;
    let mended = tokio::task::spawn_blocking(move || survey::mend(engine, &folder));
    let files = mended.await.unwrap_or(Err(super::EngineError::Stopped))?;
    let Attached { store, .. } = attach_as(options, Proof::unproven()).await?;
    let repaired = Repair { store: store.clone(), rebuilt: 0, lost: Vec::new(), lost_count: 0 }.run().await;
    let checked = check_open(&store).await;
    let ended = match &checked {
        Ok(report) if report.is_sound() => store.note_witness().await,
        Ok(_) | Err(_) => Ok(()),
    };
    store.inner.engine.clone().close().await?;
    ended?;
    let (repair, check) = (repaired?, checked?);
    if check.is_sound() {
        store.list_closed_files().await?;
    }
    let Repair { rebuilt, lost, lost_count, .. } = repair;
    Ok(RepairReport { files, rebuilt, lost, lost_count, check })
}

//----------- Repair ---------------------------------------------------------

struct Repair {
    store: Store,
    rebuilt: u64,
    lost: Vec<String>,
    lost_count: u64,
}

impl Repair {
    async fn run(mut self) -> Result<Self, Error> {
        let (mut next, end) = (self.store.retained().headers_from, self.store.end().sequence);
        while next <= end {
            let entries = self.entries(next).await;
            let Some(last) = entries.last() else {
                self.lose(format!("journal entry {next} cannot be read"));
                next += 1;
                continue;
            };
            for missing in next..entries.first().map_or(next, |first| first.header.position.sequence) {
                self.lose(format!("journal entry {missing} is missing"));
            }
            next = last.header.position.sequence + 1;
            self.redo(&entries).await?;
        }
        self.derive().await?;
        Ok(self)
    }

    /// Entries from a sequence on; where a step cannot be read, its first entry alone, without a body that is damaged.
    async fn entries(&self, from: u64) -> Vec<JournalEntry> {
        if let Ok(entries) = self.store.entries_from(from, STEP).await {
            return entries;
        }
        let header = self.store.headers_at(&[from]).await.ok().and_then(|mut found| found.pop().flatten());
        let Some(header) = header else { return Vec::new() };
        let alone = self.store.with_bodies(vec![header.clone()]).await;
        alone.unwrap_or_else(|_| vec![JournalEntry { header, body: None }])
    }

    /// Redoes a step onto the states, and names what stays behind.
    async fn redo(&mut self, entries: &[JournalEntry]) -> Result<(), Error> {
        self.remove_damaged(entries).await?;
        let mut writes = Writes::default();
        self.rebuilt += self.store.redo_into(entries, &mut writes).await?;
        self.store.write(writes.into_batch()).await?;
        let without: Vec<Header> =
            entries.iter().filter(|entry| entry.body.is_none()).map(|entry| entry.header.clone()).collect();
        for header in without {
            if self.store.count_behind(std::slice::from_ref(&header)).await? > 0 {
                let (subject, sequence) = (super::check::display(&header.subject), header.position.sequence);
                self.lose(format!("{subject}: the body of journal entry {sequence} is not there"));
            }
        }
        Ok(())
    }

    /// Removes states that cannot be read, so that they are redone.
    async fn remove_damaged(&self, entries: &[JournalEntry]) -> Result<(), Error> {
        let names: Vec<_> = entries.iter().filter_map(|entry| entry.header.subject.identifier()).collect();
        if self.store.identifiers(&names).await.is_ok() {
            return Ok(());
        }
        let mut writes = Writes::default();
        for name in names {
            if self.store.identifiers(std::slice::from_ref(&name)).await.is_err() {
                writes.delete(Table::Identifier, name.as_bytes().to_vec());
            }
        }
        self.store.write(writes.into_batch()).await
    }

    fn lose(&mut self, what: String) {
        self.lost_count += 1;
        if self.lost.len() < NAMED_MAX {
            self.lost.push(what);
        }
    }

    /// Makes what follows from the states: counts by prefix, and the digests of long suffixes.
    async fn derive(&mut self) -> Result<(), Error> {
        let mut counts = Counts::default();
        self.store.lock_counts().each(|prefix, _| counts.load(prefix.to_owned(), 0));
        let mut range = ScanRange::all();
        loop {
            let limit = ScanLimit { entries: STEP, bytes: 4 * 1024 * 1024 };
            let page = self.store.inner.engine.scan(Table::Identifier, range, Order::Forward, limit).await?;
            let Some((last, _)) = page.last() else { break };
            range = ScanRange { start: Bound::Excluded(last.clone()), end: Bound::Unbounded };
            let mut writes = Writes::default();
            for (key, stored) in page {
                let loaded = self.store.join_one(Table::Identifier, &key, stored).await;
                let Ok(Some(loaded)) = loaded else { continue };
                let Ok(entry) = self.store.decode_identifier(&key, &loaded) else { continue };
                counts.follow(entry.identifier.prefix(), || 0, false, entry.is_live());
                let canonical = entry.identifier.canonical(self.store.folding());
                if let Some(digest) = suffix_digest(&entry.identifier, &canonical) {
                    let key = super::key::digest(entry.identifier.prefix(), &digest);
                    writes.put(Table::Digest, key, canonical.as_bytes(), 0);
                }
            }
            self.store.write(writes.into_batch()).await?;
        }
        let mut writes = Writes::default();
        counts.each(|prefix, count| writes.put_count(prefix, count));
        self.store.write(writes.into_batch()).await?;
        *self.store.lock_counts() = counts;
        Ok(())
    }
}
