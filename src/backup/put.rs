//! Reading the backups of a plan, and putting their content into the store that is restored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::blocking::off_the_reactor;
use super::chunk::{self, Content};
use super::create::{FILES, JOURNAL};
use super::error::Error;
use super::file::RestoredFile;
use super::finding::Finding;
use super::key::DataKey;
use super::list::CHUNK;
use super::manifest::{self, Holds, Manifest};
use super::progress::Progress;
use super::restore::Damaged;
use super::until::Until;
use crate::store::copy::image::CopiedChange;
use crate::store::copy::restore::Restorer;
use crate::store::error::Error as StoreError;

type Tell<'a> = &'a (dyn Fn(Progress) + Send + Sync);

//----------- Put ------------------------------------------------------------

/// A restore in progress: where it reads and writes, and how far it has come.
pub(super) struct Put {
    pub(super) directory: PathBuf,
    pub(super) data: PathBuf,
    pub(super) key_file: Option<PathBuf>,
    pub(super) until: Until,
    pub(super) total_bytes: u64,
    pub(super) done_bytes: u64,
    pub(super) entries: u64,
}

/// Reads chunk after chunk and stores the content, until the target is reached. All parts must be there.
pub(super) async fn put_chain(
    mut put: Put,
    parts: &[Manifest],
    restorer: &mut Restorer,
    on_progress: Tell<'_>,
) -> Result<Result<(), Damaged>, Error> {
    for part in parts {
        let damaged =
            |finding: Finding| Damaged { backup: part.name.clone(), finding: finding.within(&part.name) };
        match put.put_part(part, restorer, on_progress).await? {
            Ok(Wanted::More) => {}
            Ok(Wanted::Nothing) => break,
            Err(finding) => return Ok(Err(damaged(finding))),
        }
    }
    match (put.until, restorer.end()) {
        (Until::Position(wanted), Some(end)) if end.position() != wanted => {
            let reach = vec![format!("the entry of that sequence has position {}", end.position())];
            Err(Error::Unreachable { target: put.until.display(), reach })
        }
        _ => Ok(Ok(())),
    }
}

/// Whether the target is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    More,
    Nothing,
}

impl Put {
    /// Puts one backup. Of a full one that is not the first, only the journal is read, and of that only what is not put yet.
    async fn put_part(
        &mut self,
        part: &Manifest,
        restorer: &mut Restorer,
        on_progress: Tell<'_>,
    ) -> Result<Result<Wanted, Finding>, Error> {
        let folder = self.directory.join(&part.name);
        let opened = off_the_reactor({
            let (folder, key_file) = (folder.clone(), self.key_file.clone());
            move || {
                Ok(Manifest::load_with_key(&folder, key_file.as_deref())?.and_then(|(manifest, key)| {
                    no_foreign_chunk(&folder, &manifest).map(|()| (manifest, key))
                }))
            }
        });
        let (manifest, key) = match opened.await? {
            Ok(opened) => opened,
            Err(finding) => return Ok(Err(finding)),
        };
        if manifest != *part {
            return Ok(Err(Finding::new(manifest::FILE, "it was replaced during the restore")));
        }
        let mut tally =
            Tally { only_journal: manifest.image.is_some() && restorer.end().is_some(), ..Tally::default() };
        let mut first = manifest.journal_first;
        for (number, chunk) in (1_u64..).zip(&manifest.chunks) {
            self.done_bytes += chunk.raw_bytes;
            if chunk.holds == Holds::Journal {
                first = first.saturating_add(chunk.entries);
            }
            let is_put =
                chunk.holds == Holds::Journal && restorer.end().is_some_and(|end| first <= end.sequence + 1);
            if is_put || tally.only_journal && chunk.holds == Holds::Image {
                continue;
            }
            self.entries += chunk.entries;
            let content = match read(&folder, chunk, number, key.as_ref()).await? {
                Ok(content) => content,
                Err(finding) => return Ok(Err(finding)),
            };
            let wanted = match self.put_content(content, &mut tally, restorer).await {
                Ok(wanted) => wanted,
                Err(Error::Store { source: StoreError::CopyDamaged { detail }, .. }) => {
                    return Ok(Err(Finding::new(&chunk.file, detail)));
                }
                Err(error) => return Err(error),
            };
            let (done_bytes, total_bytes) = (self.done_bytes, Some(self.total_bytes));
            on_progress(Progress { stage: "restore", done_bytes, total_bytes, entries: self.entries });
            if wanted == Wanted::Nothing {
                return Ok(tally.compare(&manifest, restorer, Wanted::Nothing).map(|()| Wanted::Nothing));
            }
        }
        Ok(tally.compare(&manifest, restorer, Wanted::More).map(|()| Wanted::More))
    }

    async fn put_content(
        &self,
        content: Content,
        tally: &mut Tally,
        restorer: &mut Restorer,
    ) -> Result<Wanted, Error> {
        let failed = || Error::store("cannot store the content of the backup");
        match content {
            Content::Files(files) => {
                tally.add(FILES, files.len());
                put_files(self.data.clone(), files).await?;
            }
            Content::Entries(page) => {
                page.iter().for_each(|entry| tally.add(entry.kind(), 1));
                restorer.put_entries(page).await.map_err(failed())?;
            }
            Content::Changes(mut page) => {
                tally.add(JOURNAL, page.len());
                if let Some(end) = restorer.end() {
                    page.retain(|change: &CopiedChange| change.header.position.sequence > end.sequence);
                }
                if !restorer.put_changes(page).await.map_err(failed())? {
                    return Ok(Wanted::Nothing);
                }
            }
        }
        Ok(Wanted::More)
    }
}

async fn read(
    folder: &Path,
    chunk: &manifest::Chunk,
    number: u64,
    key: Option<&DataKey>,
) -> Result<Result<Content, Finding>, Error> {
    let (folder, chunk, key) = (folder.to_owned(), chunk.clone(), key.cloned());
    off_the_reactor(move || Ok(chunk::read(&folder, &chunk, number, key.as_ref()))).await
}

/// Writes small files beside the store; those of a later backup replace those of an earlier one.
async fn put_files(data: PathBuf, files: Vec<RestoredFile>) -> Result<(), Error> {
    off_the_reactor(move || {
        files
            .iter()
            .try_for_each(|file| file.put(&data))
            .map_err(Error::file("cannot write a file to", &data))
    })
    .await
}

/// A chunk that the manifest does not name shows that the manifest is not the one that the backup was made with.
fn no_foreign_chunk(folder: &Path, manifest: &Manifest) -> Result<(), Finding> {
    let known: BTreeSet<&str> = manifest.chunks.iter().map(|chunk| chunk.file.as_str()).collect();
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let mut chunks = files.filter(|file| file.extension().is_some_and(|ending| ending == CHUNK));
    let name = |file: &PathBuf| file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match chunks.find(|file| !known.contains(name(file).as_str())) {
        Some(file) => Err(Finding::new(name(&file), "it is not part of this backup")),
        None => Ok(()),
    }
}

//----------- Tally ----------------------------------------------------------

/// What was read of one backup, for comparison with its manifest.
#[derive(Default)]
struct Tally {
    counts: BTreeMap<String, u64>,
    /// Whether the image is not read.
    only_journal: bool,
}

impl Tally {
    fn add(&mut self, what: &str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        match self.counts.get_mut(what) {
            Some(present) => *present += count,
            None => drop(self.counts.insert(what.to_owned(), count)),
        }
    }

    /// Compares with the totals of the manifest; those of the journal only when all of it was wanted.
    fn compare(mut self, manifest: &Manifest, restorer: &Restorer, wanted: Wanted) -> Result<(), Finding> {
        let wrong = |message: String| Err(Finding::new(manifest::FILE, message));
        let mut said = manifest.entries.clone();
        if wanted == Wanted::Nothing || self.only_journal {
            said.remove(JOURNAL);
            self.counts.remove(JOURNAL);
        }
        if !self.only_journal && self.counts != said {
            return wrong(format!("it counts {said:?}; the chunks hold {:?}", self.counts));
        }
        let live = restorer.live_entries();
        if manifest.image.is_some() && !self.only_journal && live != manifest.identifiers {
            return wrong(format!(
                "it counts {} live identifiers; the image holds {live}",
                manifest.identifiers
            ));
        }
        if wanted == Wanted::More && restorer.end() != Some(manifest.to) {
            let found = restorer.end().map_or(0, |end| end.sequence);
            return wrong(format!(
                "it ends at entry {}; the journal held ends at {found}",
                manifest.to.sequence
            ));
        }
        Ok(())
    }
}
