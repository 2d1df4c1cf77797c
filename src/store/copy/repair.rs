//! The repair of a stopped store: rebuilds what the journal still holds, and says what it cannot.
//!
//! ```text
//!   small files of the engine rebuilt ─▶ engine opens, unproven ─▶ every entry's body redone onto the states
//!   ─▶ compared with what the store is known to have held ─▶ counts and digests of suffixes rebuilt ─▶ checked
//! ```
//! Only an operator asks for it. What is older than the retained bodies, and what the journal has lost itself, does not come
//! back: that needs a backup.

use crate::store::Store;
use crate::store::copy::check::{CheckReport, check_open};
use crate::store::engine::{PageLimit, Step, Walk, Writes, survey};
use crate::store::entry::IdentifierEntry;
use crate::store::entry::state::{State, for_every_state};
use crate::store::error::Error;
use crate::store::journal::{Header, JournalEntry};
use crate::store::open::proof::{FileProof, refuse_other_engine};
use crate::store::open::read_only_image::refuse_read_only;
use crate::store::open::witness::Witness;
use crate::store::open::{Attached, StoreOptions, attach_as, engine_folder, refuse_without_data};
use crate::store::open::{findings, proof, redo};
use crate::store::writer::counts::Counts;
use crate::telemetry::Chain;

/// Entries of one step.
const STEP: usize = 256;
/// Size of one step through the states.
const STATES_STEP: PageLimit = PageLimit { entries: STEP, bytes: 4 * 1024 * 1024 };
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
///
/// What is known of the store from before is compared with what was rebuilt. When anything is missing, the witness is not
/// rewritten and higher counts stay, so that the next opening reports the same loss.
pub async fn repair(options: StoreOptions) -> Result<RepairReport, Error> {
    refuse_without_data(&options)?;
    refuse_read_only(&options.directory)?;
    let found = Witness::load(&options.directory)?;
    refuse_other_engine(&options.directory, options.engine, &found)?;
    let (folder, engine) = (options.directory.join(engine_folder(options.engine)), options.engine);
    let mended = tokio::task::spawn_blocking(move || {
        let files = survey::mend(engine, &folder)?;
        let differences = survey::survey(engine, &folder, found.earlier(true));
        let differences = differences.unwrap_or_else(|error| vec![Chain(&error).to_string()]);
        Ok((files, FileProof::for_repair(found, differences)))
    });
    let (mut files, proof) = mended.await.unwrap_or(Err(crate::store::EngineError::NotOpen))?;
    let Attached { store, proof, rebuilt, .. } = attach_as(options, None, proof).await?;
    files.extend(rebuilt);
    let ended = carry_out(&store, &proof).await;
    store.inner.engine.close().await?;
    let (Repair { rebuilt, lost, lost_count, .. }, check) = ended?;
    let report = RepairReport { files, rebuilt, lost, lost_count, check };
    if report.is_whole() {
        proof::list_closed_files(&store).await?;
    }
    Ok(report)
}

async fn carry_out(store: &Store, proof: &FileProof) -> Result<(Repair, CheckReport), Error> {
    let repair =
        Repair { store: store.clone(), rebuilt: 0, lost: Vec::new(), lost_count: 0 }.run(proof).await?;
    // What the files have lost was compared above, with what was rebuilt since.
    let check = check_open(store, &proof.without_differences()).await?;
    if repair.lost_count == 0 && check.is_sound() {
        proof::note_witness(store).await?;
    }
    Ok((repair, check))
}

//----------- Repair ---------------------------------------------------------

struct Repair {
    store: Store,
    rebuilt: u64,
    lost: Vec<String>,
    lost_count: u64,
}

impl Repair {
    async fn run(mut self, proof: &FileProof) -> Result<Self, Error> {
        let stated = self.store.counts();
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
        self.read_directory().await?;
        self.compare(proof);
        self.derive(stated).await?;
        Ok(self)
    }

    /// Names what was known of the store and neither there nor in the journal. What the journal tells from its beginning is
    /// rebuilt, whatever the files had lost.
    fn compare(&mut self, proof: &FileProof) {
        let from = self.store.retained().headers_from;
        if from > 1 {
            for difference in &proof.differences {
                self.lose(format!(
                    "{difference}; what was changed before journal entry {from} is not rebuilt"
                ));
            }
        }
        let Some(witness) = proof.witness() else { return };
        let directory = self.store.directory();
        let (prefixes, tokens) = (directory.prefixes().count() as u64, directory.tokens().count() as u64);
        if prefixes < witness.prefixes {
            self.lose(format!("{prefixes} of {} prefixes are there", witness.prefixes));
        }
        if tokens < witness.tokens {
            self.lose(format!("{tokens} of {} tokens are there", witness.tokens));
        }
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

    /// Reads the directory, which may not have been read at the opening. What cannot be read is lost.
    async fn read_directory(&mut self) -> Result<(), Error> {
        match redo::load_directory(&self.store).await {
            Err(error) if error.is_damage() => {
                self.lose(Chain(&error).to_string());
                Ok(())
            }
            read => read,
        }
    }

    /// Redoes a step onto the states, and names what stays behind.
    async fn redo(&mut self, entries: &[JournalEntry]) -> Result<(), Error> {
        self.remove_damaged(entries).await?;
        let mut writes = Writes::default();
        self.rebuilt += redo::redo_into(&self.store, entries, &mut writes).await?;
        self.store.write(writes).await?;
        let without: Vec<Header> =
            entries.iter().filter(|entry| entry.body.is_none()).map(|entry| entry.header.clone()).collect();
        for header in without {
            let (subject, sequence) =
                (crate::store::copy::check::display(&header.subject), header.position.sequence);
            match findings::count_behind(&self.store, std::slice::from_ref(&header)).await {
                Ok(0) => {}
                Ok(_) => self.lose(format!("{subject}: the body of journal entry {sequence} is not there")),
                Err(error) if error.is_damage() => {
                    let error = Chain(&error);
                    self.lose(format!(
                        "{subject}: the body of journal entry {sequence} is not there: {error}"
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes states that cannot be read, so that they are redone. Those whose change is not there stay as they are: an error
    /// when they are asked for, not absent.
    async fn remove_damaged(&self, entries: &[JournalEntry]) -> Result<(), Error> {
        let mut writes = Writes::default();
        for_every_state!(S => {
            self.gather_damaged::<S>(entries, &mut writes).await;
        });
        self.store.write(writes).await
    }

    async fn gather_damaged<S: State>(&self, entries: &[JournalEntry], writes: &mut Writes) {
        let with_body = entries.iter().filter(|entry| entry.body.is_some());
        let keys: Vec<S::Key> = with_body.filter_map(|entry| S::key_of(&entry.header.subject)).collect();
        let engine = &self.store.inner.engine;
        if engine.get::<S>(&keys).await.is_ok() {
            return;
        }
        for key in keys {
            if engine.get_one::<S>(&key).await.is_err() {
                writes.delete::<S>(&key);
            }
        }
    }

    fn lose(&mut self, what: String) {
        self.lost_count += 1;
        if self.lost.len() < NAMED_MAX {
            self.lost.push(what);
        }
    }

    /// Makes what follows from the states: counts by prefix, and the digests of long suffixes. A count that was higher stays
    /// when the journal does not show that the states are complete: it is evidence of what is missing.
    async fn derive(&mut self, stated: Counts) -> Result<(), Error> {
        let mut counts = Counts::default();
        stated.each(|prefix, _| counts.load(prefix.to_owned(), 0));
        let is_read = self.derive_from_states(&mut counts).await?;
        let is_complete = is_read && self.lost_count == 0 && self.store.retained().headers_from == 1;
        if !is_complete {
            stated.each(|prefix, stated| {
                let counted = counts.get(prefix);
                if counted < stated {
                    counts.load(prefix.to_owned(), stated);
                    self.lose(format!("prefix {prefix} has {counted} identifiers, its count says {stated}"));
                }
            });
        }
        let mut writes = Writes::default();
        counts.put_into(&mut writes);
        self.store.write(writes).await?;
        self.store.set_counts(counts);
        Ok(())
    }

    /// Returns whether all states could be read.
    async fn derive_from_states(&mut self, counts: &mut Counts) -> Result<bool, Error> {
        let mut is_read = true;
        let mut walk = Walk::<IdentifierEntry>::through_all(STATES_STEP);
        loop {
            let page = match walk.next(&self.store.inner.engine).await {
                Step::Page(page) => page,
                Step::Unreadable(error) => {
                    is_read = false;
                    self.lose(Chain(&error).to_string());
                    continue;
                }
                Step::End => return Ok(is_read),
            };
            let mut writes = Writes::default();
            for walked in page {
                // The check names those that cannot be read.
                let Ok(entry) = walked.entry else {
                    is_read = false;
                    continue;
                };
                counts.follow(entry.identifier.prefix(), || 0, false, entry.is_live());
                entry.put_derived(&entry.key(self.store.folding()), &mut writes);
            }
            self.store.write(writes).await?;
        }
    }
}
