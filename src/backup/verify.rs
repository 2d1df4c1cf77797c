//! Verification: everything is read back, and each finding names its file.
//!
//! For an incremental backup, its own chunks are read. Of the backups that it continues, only the manifests and the sizes
//! of the files are checked; verify those backups as well to read everything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::blocking::off_the_reactor;
use super::chain::{chain, missing_files};
use super::chunk::{self, Content};
use super::create::{FILES, JOURNAL};
use super::error::Error;
use super::finding::{Finding, Verdict};
use super::key::{DataKey, Key};
use super::list::has_name_of;
use super::manifest::{self, Holds, Manifest};
use super::progress::Progress;
use crate::store::copy::image::{CopiedChange, CopiedEntry};
use crate::store::journal::check::JournalCheck;

/// Reads back the backup in a folder. Dropping the future ends the reading after the present chunk.
///
/// Damage is reported in the verdict. An error means that the backup could not be examined, for example because its key
/// is missing.
pub async fn verify_folder(
    folder: &Path,
    key_file: Option<&Path>,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Verdict, Error> {
    if !folder.is_dir() {
        return Err(Error::Absent { name: folder.display().to_string() });
    }
    let opened = off_the_reactor({
        let (folder, key_file) = (folder.to_owned(), key_file.map(Path::to_owned));
        move || Manifest::load_with_key(&folder, key_file.as_deref())
    });
    let (manifest, key) = match opened.await? {
        Ok(opened) => opened,
        Err(finding) => return Ok(Verdict { findings: vec![finding], entries: 0, bytes: 0 }),
    };
    let (verdict, total) = (Verdict::default(), manifest.raw_bytes());
    let mut reading = Some(Reading::new(folder.to_owned(), manifest, key, verdict));
    let mut done_bytes = 0;
    // One blocking task per chunk, so that dropping the future ends the work after the present chunk.
    while let Some(mut present) = reading.take_if(|reading| !reading.is_done()) {
        present = off_the_reactor(move || {
            present.read_next();
            Ok(present)
        })
        .await?;
        done_bytes = present.raw_bytes_read();
        let entries = present.verdict.entries;
        on_progress(Progress { stage: "read back", done_bytes, total_bytes: Some(total), entries });
        reading = Some(present);
    }
    let verdict = match reading {
        Some(reading) => {
            let key_file = key_file.map(Path::to_owned);
            let conclude = move || {
                let key = key_file.as_deref().map(Key::load).transpose()?;
                Ok(reading.conclude(key.as_ref()))
            };
            off_the_reactor(conclude).await?
        }
        None => Verdict::default(),
    };
    on_progress(Progress { stage: "done", done_bytes, total_bytes: Some(total), entries: verdict.entries });
    Ok(verdict)
}

//----------- Reading --------------------------------------------------------

/// A backup being read back.
struct Reading {
    folder: PathBuf,
    manifest: Arc<Manifest>,
    key: Option<DataKey>,
    verdict: Verdict,
    next: usize,
    counts: BTreeMap<String, u64>,
    identifiers: u64,
    journal: JournalCheck,
    /// Whether a chunk could not be read, so that totals cannot be compared.
    gaps: bool,
}

impl Reading {
    fn new(folder: PathBuf, manifest: Manifest, key: Option<DataKey>, verdict: Verdict) -> Self {
        let journal = match &manifest.base {
            Some(_) => JournalCheck::after(&manifest.from),
            None => JournalCheck::starting_at(manifest.journal_first),
        };
        let (counts, manifest) = (BTreeMap::new(), Arc::new(manifest));
        Self { folder, manifest, key, verdict, next: 0, counts, identifiers: 0, journal, gaps: false }
    }

    fn is_done(&self) -> bool {
        self.next >= self.manifest.chunks.len()
    }

    fn raw_bytes_read(&self) -> u64 {
        self.manifest.chunks.iter().take(self.next).map(|chunk| chunk.raw_bytes).sum()
    }

    fn read_next(&mut self) {
        let manifest = Arc::clone(&self.manifest);
        let Some(chunk) = manifest.chunks.get(self.next) else {
            return;
        };
        self.next += 1;
        let number = u64::try_from(self.next).unwrap_or(u64::MAX);
        match chunk::read(&self.folder, chunk, number, self.key.as_ref()) {
            Ok(content) => {
                self.verdict.entries += chunk.entries;
                self.verdict.bytes += chunk.stored_bytes;
                self.check(&chunk.file, content);
            }
            Err(finding) => {
                self.gaps = true;
                self.verdict.findings.push(finding);
                if chunk.holds == Holds::Journal {
                    self.journal = self.journal.clone().skipping(chunk.entries);
                }
            }
        }
    }

    fn check(&mut self, file: &str, content: Content) {
        match content {
            Content::Entries(entries) => entries.iter().for_each(|entry| self.check_entry(file, entry)),
            Content::Files(files) => {
                *self.counts.entry(FILES.to_owned()).or_default() += files.len() as u64;
            }
            Content::Changes(changes) => changes.iter().for_each(|change| self.check_change(file, change)),
        }
    }

    fn check_entry(&mut self, file: &str, entry: &CopiedEntry) {
        *self.counts.entry(entry.kind().to_owned()).or_default() += 1;
        match entry.check(self.manifest.folding) {
            Ok(live) => self.identifiers += u64::from(live.is_some()),
            Err(error) => self.find(file, format!("an entry of table {}: {error}", entry.kind())),
        }
    }

    fn check_change(&mut self, file: &str, change: &CopiedChange) {
        *self.counts.entry(JOURNAL.to_owned()).or_default() += 1;
        if let Err(broken) = self.journal.follow(change) {
            self.find(file, broken.to_string());
            self.journal = JournalCheck::resuming_after(change);
        }
    }

    fn find(&mut self, file: &str, message: String) {
        self.verdict.findings.push(Finding::new(file, message));
    }

    /// Compares the totals with the manifest, looks for foreign files, and follows the chain of backups.
    fn conclude(mut self, key: Option<&Key>) -> Verdict {
        let manifest = Arc::clone(&self.manifest);
        if !self.gaps {
            self.compare_totals(&manifest);
        }
        self.check_name();
        self.find_foreign_files(&manifest);
        if manifest.base.is_some() {
            self.check_bases(key);
        }
        self.verdict
    }

    fn compare_totals(&mut self, manifest: &Manifest) {
        if self.counts != manifest.entries {
            let message = format!("it counts {:?}; the chunks hold {:?}", manifest.entries, self.counts);
            self.find(manifest::FILE, message);
        }
        if self.identifiers != manifest.identifiers {
            let (said, found) = (manifest.identifiers, self.identifiers);
            self.find(manifest::FILE, format!("it counts {said} live identifiers; the image holds {found}"));
        }
        let chain = self.journal.chain().unwrap_or(manifest.to.chain);
        if (self.journal.next(), chain) != (manifest.to.sequence + 1, manifest.to.chain) {
            let (said, found) = (manifest.to.sequence, self.journal.next().saturating_sub(1));
            self.find(manifest::FILE, format!("it ends at entry {said}; the journal held ends at {found}"));
        }
    }

    fn check_name(&mut self) {
        if let Err(finding) = has_name_of(&self.manifest, &self.folder) {
            self.verdict.findings.push(finding);
        }
    }

    fn find_foreign_files(&mut self, manifest: &Manifest) {
        let known: BTreeSet<&str> = manifest.chunks.iter().map(|chunk| chunk.file.as_str()).collect();
        let Ok(files) = fs::read_dir(&self.folder) else {
            return;
        };
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name != manifest::FILE && !known.contains(name.as_str()) {
                self.find(&name, "it is not part of this backup".to_owned());
            }
        }
    }

    fn check_bases(&mut self, key: Option<&Key>) {
        let directory = self.folder.parent().unwrap_or(Path::new(".")).to_owned();
        let chain = match chain(&self.folder, key) {
            Ok(chain) => chain,
            Err(finding) => return self.verdict.findings.push(finding),
        };
        for base in chain.iter().filter(|base| base.id != self.manifest.id) {
            self.verdict.findings.extend(missing_files(base, &directory));
        }
    }
}
