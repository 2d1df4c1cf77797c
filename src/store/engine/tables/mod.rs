//! The engines that keep entries as ordered tables of bytes in files on this machine: fjall and sled.
//!
//! ```text
//!   entry ─ key, body ─▶ envelope (checksum, pieces) ─▶ batch ─▶ Backend ─▶ Running ─▶ fjall, sled
//! ```
//! Here stands everything that knows tables: which kind of entry lies in which, how a large entry is cut, in which order keys are
//! read, which threads wait for the disk. Above, only whole entries are seen.
//!
//! An image on fjall shows one instant. On sled each entry is whole, and later entries may show later commits.

pub(in crate::store) mod image;
pub(in crate::store) mod list;
mod read;
pub(in crate::store) mod span;
pub(in crate::store) mod walk;
pub(in crate::store) mod write;

pub(in crate::store) mod envelope;
mod key;
mod table;

mod backend;
pub(in crate::store) mod batch;
mod read_offload;
mod running;
pub(in crate::store) mod scan;
mod stall;

mod files;
mod renew;
pub(in crate::store) mod survey;

mod fjall;
mod fjall_files;
mod fjall_journal;
mod fjall_mend;
mod fjall_version;

mod pending;
mod sled;
mod sled_files;
mod sled_undo;

#[cfg(test)]
mod harm;
#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::backend::Backend;
use super::EngineKind;
use super::error::{self, EngineError};

/// An open engine; cloning it is cheap and gives the same engine.
///
/// Close it before the runtime ends: dropping the last one releases the files too, but blocks while it does.
#[derive(Clone)]
pub(in crate::store) struct Tables {
    backend: Backend,
    /// The data directory, as messages name it.
    directory: Arc<Path>,
}

impl Tables {
    /// Opens an engine in a folder of its own; creates the folder where there is none. Messages name the data directory.
    pub(in crate::store) async fn open(
        kind: EngineKind,
        folder: &Path,
        directory: &Path,
        cache_bytes: u64,
    ) -> Result<Self, EngineError> {
        let backend = Backend::open(kind, folder, cache_bytes).await?;
        Ok(Self { backend, directory: directory.into() })
    }

    /// How long the oldest commit that has not ended has been running; none when there is none.
    pub(in crate::store) fn write_in_flight(&self) -> Option<Duration> {
        self.backend.write_in_flight()
    }

    /// Opens the files again after a failed commit, so that commits are accepted again. Each earlier commit is there completely or
    /// not at all, and stays so: what is read from then on is on disk, never only in the page cache. Other calls wait meanwhile,
    /// each up to its deadline. There is no limit for the whole: it takes as long as reading and copying the files.
    ///
    /// After an error nothing is accepted as before, and when the files could not be opened, nothing is read either until another
    /// attempt succeeds. A disk that is full or refuses a write is found before anything is closed.
    pub(in crate::store) async fn recover(&self) -> Result<(), EngineError> {
        let directory = self.directory.to_path_buf();
        let probed = tokio::task::spawn_blocking(move || files::probe(&directory)).await;
        probed.unwrap_or(Err(EngineError::NotOpen))?;
        self.backend.recover().await
    }

    /// Writes the files of an engine that is not open anew, after a process that did not recover from a failed write.
    pub(in crate::store) async fn renew(kind: EngineKind, folder: &Path) -> Result<(), EngineError> {
        let folder = folder.to_path_buf();
        let renewed = tokio::task::spawn_blocking(move || {
            renew::check_space(kind, &folder)?;
            renew::renew(kind, &folder)
        });
        renewed.await.unwrap_or(Err(EngineError::NotOpen))
    }

    /// Bytes that the engine's files occupy.
    pub(in crate::store) async fn disk_bytes(&self) -> Result<u64, EngineError> {
        self.backend.disk_bytes().await
    }

    /// Waits for the running calls and releases the files; when this returns, the same process can open them again. Every clone
    /// and image then returns [`EngineError::NotOpen`].
    pub(in crate::store) async fn close(&self) -> Result<(), EngineError> {
        self.backend.clone().close().await
    }
}
