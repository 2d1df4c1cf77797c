//! Backups: created while the node runs, stored outside of it, verified, and restored.
//!
//! ```text
//!   create  image [from, to] + journal ─▶ chunks ─▶ manifest ─▶ NAME.partial ─ renamed ─▶ NAME
//!   verify  every chunk read back ─▶ findings, each with the name of the file
//!   restore chain: full, incremental … ─▶ a new store beside the data directory ─ renamed ─▶ the data directory
//! ```
//!
//! # Form
//!
//! A backup is a folder, named after its time and kind, for example `2026-11-23T203243Z-full`:
//!
//! - `files-000001.zst`: small files of the data directory: the server key.
//! - `image-000001.zst` …: the present states. Only in a full backup; exact or fuzzy, see [`crate::store::copy::image`].
//! - `journal-000001.zst` …: journal entries. A full backup holds the journal that the store holds; an incremental
//!   one holds it from the end of the backup it continues, its base.
//! - `manifest.json`: a description of the backup, its range of positions, and every chunk with its sizes and SHA-256.
//!   It is written last; its last lines are the SHA-256 of all lines before.
//!
//! Beside the folders, `catalog.json` lists the backups that were there when the last one was made or removed, so that a
//! folder that vanished is named. It ends with a SHA-256 as a manifest does, and is sealed under the key of the key file.
//!
//! A chunk is compressed by zstd and, where a key file is configured, then encrypted with ChaCha20-Poly1305 under a
//! data key of this backup alone. The nonce is the number of the chunk; the backup's id and the chunk's name are
//! associated data, so that chunks cannot be exchanged. The data key is in the manifest, encrypted with
//! XChaCha20-Poly1305 under the key of the key file. The manifest is plain text, because it holds no restricted data, and is
//! sealed under the data key.
//!
//! Folders are 0700 and files 0600. A backup in progress is a folder with the suffix `.partial`; it is renamed when all of
//! it is on disk, so that a backup appears completely or not at all.
//!
//! # What can be relied on
//!
//! Backups are ordered by their position in the journal, never by a clock. A folder that looks like a backup and cannot be
//! used is named by the list, the log and a restore; a restore of a directory is refused when that may change its result.
//! With a key, only what the key proves is used. An incremental backup is made only on a chain that is whole.
//!
//! # What a backup does not hold
//!
//! Tokens are backed up as hashes, as the store holds them. The file of the admin token is not backed up: keep the token
//! itself. The first start after a restore creates another admin token unless its file was put back. Requests that changed
//! nothing are remembered only up to the image.

mod error;
mod finding;
mod kind;
mod options;
mod progress;

mod blocking;

mod chunk;
mod file;
mod key;
mod signed;

mod manifest;
mod manifest_file;
mod manifest_v1;

mod catalog;
mod catalog_v1;

mod folder;

mod chain;
mod list;
mod summary;

mod create;
mod verify;

mod report;

mod until;

mod plan;
mod put;
mod sibling;

mod restore;

mod counters;
mod retire;
mod schedule;

#[cfg(test)]
mod tests;

pub use self::counters::Counters;
pub use self::error::Error;
pub use self::file::BackedUpFile;
pub use self::finding::{Finding, Verdict};
pub use self::key::check_key_file;
pub use self::kind::Kind;
pub use self::list::list_directory;
pub use self::options::{CHUNK_BYTES_DEFAULT, Options};
pub use self::progress::Progress;
pub use self::report::{CreateReport, VerifyReport};
pub use self::restore::{Damage, RestoreReport, RestoreRequest, restore};
pub use self::schedule::Schedule;
pub use self::summary::{Listing, Summary};
pub use self::until::Until;
pub use self::verify::verify_folder;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::Mutex;

use crate::store::Store;
use crate::telemetry::Chain;

use self::blocking::off_the_reactor;
use self::key::Key;

//----------- Backups --------------------------------------------------------

/// The backups of one open store. Clones share it.
#[derive(Clone)]
pub struct Backups {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    options: Options,
    counters: Counters,
    /// The time by which a backup is too old; 0 until it is known.
    trusted_ms: AtomicU64,
    /// Directories in which backups were found when the node started, or were made since.
    used: std::sync::Mutex<BTreeSet<PathBuf>>,
    /// Held while a backup is created or old ones are removed.
    working: Mutex<()>,
}

impl Backups {
    /// Prepares the backups of a store. A key file that cannot be used is refused here, not when the first backup is due.
    pub fn new(store: Store, options: Options) -> Result<Self, Error> {
        let key = options.key_file.as_deref().map(Key::load).transpose()?;
        let counters = Counters::default();
        let newest = newest_of_each(&options.directories, key.as_ref());
        if let Some(newest) = newest.iter().max_by_key(|backup| backup.rank()) {
            counters.take_up(newest);
        }
        let used = std::sync::Mutex::new(newest.into_iter().map(|backup| backup.directory).collect());
        let (trusted_ms, working) = (AtomicU64::new(0), Mutex::new(()));
        Ok(Self { inner: Arc::new(Inner { store, options, counters, trusted_ms, used, working }) })
    }

    /// Sets the time by which retention judges the age of backups, in milliseconds since 1970. The caller trusts no jump of
    /// the clock. Until the first call no backup is too old.
    pub fn set_trusted_time(&self, trusted_ms: u64) {
        self.inner.trusted_ms.store(trusted_ms, Ordering::Relaxed);
    }

    /// Returns the counts of backups.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Creates a backup in one of the directories, by default the first, and reports progress. Dropping the future
    /// abandons the backup; when it returns a summary, the backup is on disk.
    ///
    /// An incremental backup becomes a full one when there is no backup that it can continue; the summary says why.
    pub async fn create(
        &self,
        directory: Option<&Path>,
        kind: Kind,
        on_progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Summary, Error> {
        let directory = self.directory(directory)?;
        let Ok(_working) = self.inner.working.try_lock() else {
            return Err(Error::Busy { directory: directory.to_owned() });
        };
        let started_ms = self.inner.store.now_ms();
        let made = create::create(&self.inner.store, &self.inner.options, directory, kind, on_progress).await;
        match &made {
            Ok(summary) => {
                let duration_ms = self.inner.store.now_ms().saturating_sub(started_ms);
                self.inner.counters.count_success(summary, duration_ms);
                self.used().insert(summary.directory.clone());
                tracing::info!(
                    name = %summary.name, kind = %summary.kind, to = %summary.to, entries = summary.entries,
                    bytes = summary.bytes, duration_ms, note = summary.note.as_deref(), "backup complete"
                );
            }
            Err(error) => {
                self.inner.counters.count_failure();
                tracing::error!(directory = %directory.display(), error = %Chain(&error), "backup failed");
            }
        }
        made
    }

    /// Returns the backups of one directory, or of all, and what is wrong with them. A directory that held backups since the
    /// node started and holds nothing now, or is gone, is a finding.
    pub async fn list(&self, directory: Option<&Path>) -> Result<Listing, Error> {
        let directories = self.directories(directory)?;
        let key_file = self.inner.options.key_file.clone();
        let used = self.used().clone();
        off_the_reactor(move || {
            let key = key_file.as_deref().map(Key::load).transpose()?;
            let mut all = Listing::default();
            for directory in directories {
                let found = list::scan(&directory, key.as_ref())?.listing(&directory);
                if found == Listing::default() && used.contains(&directory) {
                    all.findings.push(list::vanished(&directory));
                }
                all.backups.extend(found.backups);
                all.findings.extend(found.findings);
            }
            all.backups.sort_by_key(|backup| std::cmp::Reverse(backup.rank()));
            Ok(all)
        })
        .await
    }

    /// Returns the newest backup of all directories, by its position in the journal. A directory that cannot be read is
    /// named in the log.
    pub async fn newest(&self) -> Result<Option<Summary>, Error> {
        let options = self.inner.options.clone();
        off_the_reactor(move || {
            let key = options.key_file.as_deref().map(Key::load).transpose()?;
            Ok(newest_of_each(&options.directories, key.as_ref()).into_iter().max_by_key(Summary::rank))
        })
        .await
    }

    /// Verifies a backup, from one of the directories or the first that holds the name. Dropping the future ends
    /// the reading.
    pub async fn verify(
        &self,
        directory: Option<&Path>,
        name: &str,
        on_progress: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Verdict, Error> {
        let directories = self.directories(directory)?;
        let folders = directories.iter().filter_map(|directory| folder::named(directory, name));
        let Some(folder) = folders.into_iter().find(|folder| folder.is_dir()) else {
            return Err(Error::Absent { name: name.to_owned() });
        };
        verify_folder(&folder, self.inner.options.key_file.as_deref(), on_progress).await
    }

    /// Removes the backups in a directory that are beyond retention; returns their names. Their age is judged by the
    /// trusted time.
    pub async fn retire(&self, directory: Option<&Path>) -> Result<Vec<String>, Error> {
        let directory = self.directory(directory)?.to_owned();
        let Ok(_working) = self.inner.working.try_lock() else {
            return Err(Error::Busy { directory });
        };
        let trusted_ms = self.inner.trusted_ms.load(Ordering::Relaxed);
        retire::retire(&self.inner.store, &self.inner.options, &directory, trusted_ms).await
    }

    fn used(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.inner.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the requested directory, if it is a configured one, or all.
    fn directories(&self, asked: Option<&Path>) -> Result<Vec<PathBuf>, Error> {
        match asked {
            Some(_) => Ok(vec![self.directory(asked)?.to_owned()]),
            None => Ok(self.inner.options.directories.clone()),
        }
    }

    /// Returns the requested directory, if it is a configured one.
    fn directory<'a>(&'a self, asked: Option<&Path>) -> Result<&'a Path, Error> {
        let known = &self.inner.options.directories;
        let found = match asked {
            Some(asked) => known.iter().find(|directory| *directory == asked),
            None => known.first(),
        };
        found.map(PathBuf::as_path).ok_or_else(|| Error::DirectoryUnknown {
            directory: asked.unwrap_or(Path::new("")).to_owned(),
            known: known.clone(),
        })
    }
}

/// Returns the newest backup of each of these directories that holds one, by its position in the journal.
fn newest_of_each(directories: &[PathBuf], key: Option<&Key>) -> Vec<Summary> {
    let read = |directory: &PathBuf| match list::scan(directory, key) {
        Ok(held) => held.manifests.first().map(|manifest| Summary::of(manifest, directory)),
        Err(error) => {
            tracing::warn!(directory = %directory.display(), error = %Chain(&error), "the backups cannot be listed");
            None
        }
    };
    directories.iter().filter_map(read).collect()
}
