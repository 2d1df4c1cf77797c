//! Backups: made while the node works, stored outside of it, verified, restored.
//!
//! ```text
//!   create  image [from, to] + journal ─▶ chunks ─▶ manifest ─▶ NAME.partial ─ renamed ─▶ NAME     (the store copies)
//!   verify  every chunk read back ─▶ findings that name the file
//!   restore chain: full, incremental … ─▶ a new store beside the data directory ─ renamed ─▶ the data directory
//! ```
//!
//! # Form
//!
//! A backup is a folder, named by its time and kind, such as `2026-11-23T203243Z-full`:
//!
//! - `files-000001.zst`: small files of the data directory that the node is known by: its server key.
//! - `image-000001.zst` …: the present states. Only in a full backup; exact or fuzzy, see [`crate::store::image`].
//! - `journal-000001.zst` …: journal entries. A full backup holds the journal that the store holds; an incremental
//!   one holds it from the end of the backup it continues, its base.
//! - `manifest.json`: what it is, from where to where it reaches, and every chunk with its sizes and SHA-256; written
//!   last; its last lines are the SHA-256 of all lines before.
//!
//! A chunk is compressed by zstd and, where a key file is configured, then encrypted with ChaCha20-Poly1305 under a
//! data key of this backup alone. The nonce is the number of the chunk; the backup's id and the chunk's name are
//! associated data, so that no chunk passes for another. The data key lies in the manifest, encrypted with
//! XChaCha20-Poly1305 under the key of the key file. The manifest is plain, for it holds no restricted data, and is
//! sealed under the data key.
//!
//! Folders are 0700 and files 0600. A backup under way is a folder that ends in `.partial`; it is renamed when all of
//! it is on disk, so that a backup is there whole or not at all.
//!
//! # What is not in it
//!
//! Tokens are backed up as hashes, as the store keeps them. The file of the admin token is not: who restores needs
//! the token itself; the first start after a restore makes another admin token unless its file was put back. Requests that changed nothing are remembered up to the image only.

mod error;
mod finding;
mod kind;
mod options;
mod progress;

mod blocking;

mod chunk;
mod file;
mod key;
mod manifest;
mod manifest_file;
mod manifest_v1;

mod folder;

mod create;
mod list;
mod verify;

mod report;
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
pub use self::kind::Kind;
pub use self::list::{Summary, list_directory};
pub use self::options::{CHUNK_BYTES_DEFAULT, Options};
pub use self::progress::Progress;
pub use self::report::{CreateReport, VerifyReport};
pub use self::restore::{RestoreReport, RestoreRequest, Until, restore};
pub use self::schedule::Schedule;
pub use self::verify::verify_folder;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::store::Store;
use crate::telemetry::Chain;

use self::blocking::off_the_reactor;
use self::key::Key;

//----------- Backups --------------------------------------------------------

/// The backups of one open store. Clones are the same.
#[derive(Clone)]
pub struct Backups {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    options: Options,
    counters: Counters,
    /// Held by who makes or retires a backup.
    working: Mutex<()>,
}

impl Backups {
    /// Takes up the backups of a store; a key file that cannot be used is refused now, not when the first is due.
    pub fn new(store: Store, options: Options) -> Result<Self, Error> {
        options.key_file.as_deref().map(Key::load).transpose()?;
        let counters = Counters::default();
        let held = options.directories.iter().filter_map(|directory| list_directory(directory).ok());
        if let Some(newest) = held.flatten().max_by_key(|backup| backup.created_ms) {
            counters.take_up(&newest);
        }
        Ok(Self { inner: Arc::new(Inner { store, options, counters, working: Mutex::new(()) }) })
    }

    /// How backups went so far.
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Makes a backup in one of the directories, by default the first. Progress is reported. Dropping the
    /// future abandons the backup; when it returns a summary, the backup is on disk.
    ///
    /// An incremental backup that nothing can be continued from becomes a full one; its summary says why.
    pub async fn create(
        &self,
        directory: Option<&Path>,
        kind: Kind,
        tell: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Summary, Error> {
        let directory = self.directory(directory)?;
        let Ok(_working) = self.inner.working.try_lock() else {
            return Err(Error::Busy { directory: directory.to_owned() });
        };
        let begun_ms = self.inner.store.now_ms();
        let made = create::create(&self.inner.store, &self.inner.options, directory, kind, tell).await;
        match &made {
            Ok(summary) => {
                let duration_ms = self.inner.store.now_ms().saturating_sub(begun_ms);
                self.inner.counters.count_success(summary, duration_ms);
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

    /// The backups of one directory, or of all; the newest first.
    pub async fn list(&self, directory: Option<&Path>) -> Result<Vec<Summary>, Error> {
        let directories = match directory {
            Some(directory) => vec![self.directory(Some(directory))?.to_owned()],
            None => self.inner.options.directories.clone(),
        };
        off_the_reactor(move || {
            let mut found = Vec::new();
            for directory in directories {
                found.extend(list_directory(&directory)?);
            }
            found.sort_by_key(|backup| std::cmp::Reverse(backup.created_ms));
            Ok(found)
        })
        .await
    }

    /// Reads a backup back, from one of the directories or the first that holds the name. Dropping the future ends
    /// the reading.
    pub async fn verify(
        &self,
        directory: Option<&Path>,
        name: &str,
        tell: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Verdict, Error> {
        let directories = match directory {
            Some(directory) => vec![self.directory(Some(directory))?.to_owned()],
            None => self.inner.options.directories.clone(),
        };
        let folders = directories.iter().filter_map(|directory| folder::named(directory, name));
        let Some(folder) = folders.into_iter().find(|folder| folder.is_dir()) else {
            return Err(Error::Absent { name: name.to_owned() });
        };
        verify_folder(&folder, self.inner.options.key_file.as_deref(), tell).await
    }

    /// Removes what retention does not keep from a directory; returns the names.
    pub async fn retire(&self, directory: Option<&Path>) -> Result<Vec<String>, Error> {
        let directory = self.directory(directory)?.to_owned();
        let Ok(_working) = self.inner.working.try_lock() else {
            return Err(Error::Busy { directory });
        };
        let (store, options) = (self.inner.store.clone(), self.inner.options.clone());
        off_the_reactor(move || retire::retire(&store, &options, &directory)).await
    }

    /// The directory asked for, if it is one that may be used.
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
