//! The proof of a store's files before the engine opens them, and what is noted for the next opening.
//!
//! ```text
//!   witness, list of files, high-water mark ─▶ compare with the files ─▶ engine may open ─▶ … ─▶ note, list
//! ```
//! An engine that misses a small file may begin an empty one and delete what no longer belongs to it. So nothing is
//! opened by the engine until its files are what was noted. A directory that was once a store never becomes a new one by
//! itself: without the engine's files, opening is refused.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use crate::store::Store;
use crate::store::engine::{EngineError, EngineKind, survey};
use crate::store::entry::EntryKind;
use crate::store::error::Error;
use crate::store::open::high_water::{HighWater, HighWaterFile};
use crate::store::open::witness::{ClosedFiles, FoundWitness, Stage, Witness};
use crate::store::open::{engine_folder, gone};

/// Kinds of which no entry is ever deleted, or never the last one.
const NEVER_EMPTIED: [EntryKind; 9] = [
    EntryKind::Meta,
    EntryKind::Identifier,
    EntryKind::Prefix,
    EntryKind::Token,
    EntryKind::Count,
    EntryKind::Header,
    EntryKind::Body,
    EntryKind::Digest,
    EntryKind::Note,
];

//----------- FileProof ------------------------------------------------------

/// What was found before the engine opened its files.
#[derive(Clone, Debug)]
pub(in crate::store) struct FileProof {
    /// The witness, as it was read.
    pub(in crate::store) found: FoundWitness,
    /// Whether the store may have acknowledged entries before.
    pub(in crate::store) was_complete: bool,
    /// Differences with which the store opens read-only.
    pub(in crate::store) differences: Vec<String>,
    /// Whether an operator has asked for a repair of what is left, whatever was found.
    pub(in crate::store) asks_for_repair: bool,
}

impl FileProof {
    /// Compares the engine's files with what is known of them. An error means that the engine must not open them. Makes the data
    /// directory of a new store, removes what an unfinished first start left, and the list of files when nothing differs.
    pub(in crate::store) fn of(directory: &Path, engine: EngineKind) -> Result<Self, Error> {
        let folder = directory.join(engine_folder(engine));
        let found = Witness::load(directory)?;
        refuse_other_engine(directory, engine, &found)?;
        let mark = HighWaterFile::read(directory)?;
        let has_main_file = survey::has_main_file(engine, &folder);
        let was_complete = match &found {
            FoundWitness::Witness(witness) => witness.stage == Stage::Complete || mark.is_some(),
            // A release that wrote no witness has a mark after its first start.
            FoundWitness::Absent | FoundWitness::Unreadable => mark.is_some() || has_main_file,
        };
        if was_complete && !folder.is_dir() {
            return Err(gone(directory, engine));
        }
        if found == FoundWitness::Unreadable {
            let file = Witness::path(directory);
            tracing::warn!(file = %file.display(), "the witness is damaged; it is written again if the store is whole");
        }
        if !was_complete {
            if found == FoundWitness::Absent || found.engine().is_some_and(|noted| noted != engine) {
                make_directory(directory)?;
                Witness::incomplete(engine).save(directory)?;
            }
            survey::clear_unfinished(engine, &folder)?;
        }
        let mut differences = survey::survey(engine, &folder, found.earlier(was_complete))?;
        differences.extend(compare_closed(directory, &folder, mark)?);
        survey::refuse_deletions(engine, &folder, &differences)?;
        if differences.is_empty() {
            // The engine changes its files now. After a difference the list stays, so that it is found again.
            ClosedFiles::remove(directory)?;
        }
        Ok(Self { found, was_complete, differences, asks_for_repair: false })
    }

    /// No proof: an operator has asked for a repair of what is left. These differences were found.
    pub(in crate::store) fn for_repair(found: FoundWitness, differences: Vec<String>) -> Self {
        Self { found, was_complete: false, differences, asks_for_repair: true }
    }

    /// The same, after the differences have been dealt with.
    pub(in crate::store) fn without_differences(&self) -> Self {
        Self { differences: Vec::new(), ..self.clone() }
    }

    /// The witness of a store that was complete.
    pub(in crate::store) fn witness(&self) -> Option<&Witness> {
        self.found.complete()
    }
}

/// Compares the engine's files with what is known of them, before they are opened again after a failed write. A difference is an
/// error: the files stay as they are.
pub(in crate::store) async fn prove_again(store: &Store) -> Result<(), Error> {
    let (files, kind) = (store.inner.files.clone(), store.engine_kind());
    let proven = tokio::task::spawn_blocking(move || FileProof::of(&files, kind)).await;
    let proof = proven.unwrap_or(Err(Error::Engine(EngineError::NotOpen)))?;
    match proof.differences.as_slice() {
        [] => Ok(()),
        differences => Err(store.format(format!("has changed: {}", differences.join("; ")))),
    }
}

/// Returns an error when the store was completed by another engine than the one that is to open it.
pub(in crate::store) fn refuse_other_engine(
    directory: &Path,
    engine: EngineKind,
    found: &FoundWitness,
) -> Result<(), Error> {
    match found.complete().map(|witness| witness.engine) {
        Some(noted) if noted != engine => {
            let detail = format!(
                "was created by the engine {noted}, which cannot change; write store.engine = \"{noted}\""
            );
            Err(Error::Format { directory: directory.to_owned(), detail })
        }
        Some(_) | None => Ok(()),
    }
}

/// Makes the data directory where there is none.
fn make_directory(directory: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| Error::File { action: "cannot make", path: directory.to_owned(), source })
}

/// Compares the files with the list of the last ordered stop, if the store has not been opened since.
fn compare_closed(directory: &Path, folder: &Path, mark: Option<HighWater>) -> Result<Option<String>, Error> {
    let Some(closed) = ClosedFiles::load(directory) else { return Ok(None) };
    if mark.is_none_or(|mark| mark.position.sequence != closed.sequence) {
        return Ok(None);
    }
    Ok(survey::compare_lists(folder, &closed.files, &survey::list(folder)?))
}

//----------- Noting ---------------------------------------------------------

impl Store {
    /// Accepts no more changes when the engine's files are gone, because somebody removed or unmounted them: what is written
    /// would be lost with the process. Blocks for a look at the disk.
    pub fn stop_if_gone(&self) {
        let folder = folder_of(self);
        if self.stop_reason().is_none() && !survey::has_main_file(self.inner.kind, &folder) {
            self.stop_writing(&format!(
                "the files of the store are gone from {}; changes of the last second may be lost: put the disk or the files \
                 back, then restart the node, or restore the latest backup with `idnode backup restore`",
                folder.display()
            ));
        }
    }
}

/// Notes what the store now holds and what its files show, for the next opening; on disk when this returns.
pub(in crate::store) async fn note_witness(store: &Store) -> Result<(), Error> {
    let filled = filled_kinds(store).await?;
    let directory = store.directory();
    let prefixes = directory.prefixes().count() as u64;
    let tokens = directory.tokens().count() as u64;
    let store = store.clone();
    let noted = tokio::task::spawn_blocking(move || {
        let before = store.inner.witness.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let before = before.map(|witness| witness.rising).unwrap_or_default();
        let rising = survey::note(store.inner.kind, &folder_of(&store), &before)?;
        let witness =
            Witness { engine: store.inner.kind, stage: Stage::Complete, rising, filled, prefixes, tokens };
        save_witness(&store, witness)
    });
    noted.await.unwrap_or(Err(Error::Engine(EngineError::NotOpen)))
}

fn save_witness(store: &Store, witness: Witness) -> Result<(), Error> {
    let mut present = store.inner.witness.lock().unwrap_or_else(PoisonError::into_inner);
    if present.as_ref() == Some(&witness) {
        return Ok(());
    }
    witness.save(&store.inner.files)?;
    *present = Some(witness);
    Ok(())
}

/// The kinds that never become empty again and of which there is something. Only those are read that were empty before.
async fn filled_kinds(store: &Store) -> Result<Vec<EntryKind>, Error> {
    let known = store.inner.witness.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let known = known.map(|witness| witness.filled).unwrap_or_default();
    let mut filled = Vec::new();
    for kind in NEVER_EMPTIED {
        if known.contains(&kind) || !is_empty(store, kind).await? {
            filled.push(kind);
        }
    }
    Ok(filled)
}

/// Whether there is no entry of a kind.
pub(in crate::store) async fn is_empty(store: &Store, kind: EntryKind) -> Result<bool, Error> {
    Ok(store.inner.engine.is_empty(kind).await?)
}

/// Lists the files of the engine, which is closed.
pub(in crate::store) async fn list_closed_files(store: &Store) -> Result<(), Error> {
    let (directory, folder) = (store.inner.files.clone(), folder_of(store));
    let sequence = store.end().sequence;
    let listed = tokio::task::spawn_blocking(move || {
        ClosedFiles { sequence, files: survey::list(&folder)? }.save(&directory)
    });
    listed.await.unwrap_or(Err(Error::Engine(EngineError::NotOpen)))
}

/// The folder of the engine's files.
pub(in crate::store) fn folder_of(store: &Store) -> PathBuf {
    store.inner.files.join(engine_folder(store.inner.kind))
}
