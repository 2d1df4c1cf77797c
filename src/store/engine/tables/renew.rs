//! Files written anew after a failed write or sync.
//!
//! What the page cache shows of a file may not be on disk then, and syncing the same file again does not help: the operating system
//! has forgotten that its bytes are missing. So each file that may be concerned is copied, and the copy takes its place once it is on
//! disk. What it holds is there for ever, and what it does not hold never comes back. The files are closed meanwhile.
//!
//! ```text
//!   fjall   every journal, the present version of each keyspace and the file that names it; a table is on disk before a
//!           version lists it
//!   sled    the log
//! ```
//! That needs free space for the largest of these files, and takes as long as reading and writing all of them. After a crash in
//! between, each file is the old or the new one, and the next time an unfinished copy is removed.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use super::error::EngineError;
use super::files::sync_directory;
#[cfg(test)]
use super::simulated;
use super::{fjall_files, sled_files};
use crate::store::engine::EngineKind;

/// A copy in an engine's folder, until it takes its place.
const COPY: &str = "renewed.new";
/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1_024 * 1_024;
/// How long an engine may take to release its files after it was closed.
const RELEASE_WAIT: Duration = Duration::from_secs(10);

/// Writes the files of a closed engine anew; when this returns, they are on disk.
pub(super) fn renew(kind: EngineKind, folder: &Path) -> Result<(), EngineError> {
    #[cfg(test)]
    if kind == EngineKind::Simulated {
        simulated::Disk::of(folder).renew();
        return Ok(());
    }
    if kind == EngineKind::Sled {
        wait_for_release(&folder.join(sled_files::MAIN_FILE))?;
    }
    files(kind, folder)?.iter().try_for_each(|path| replace_by_copy(folder, path))
}

/// Returns an error where there is no space for the copies.
pub(super) fn check_space(kind: EngineKind, folder: &Path) -> Result<(), EngineError> {
    let mut largest = 0;
    for path in files(kind, folder)? {
        let facts = fs::metadata(&path).map_err(|error| EngineError::from_io(&path, error))?;
        largest = facts.len().max(largest);
    }
    let space = statvfs(folder).map_err(|error| EngineError::from_io(folder, error.into()))?;
    if space.blocks_available().saturating_mul(space.fragment_size()) > largest {
        return Ok(());
    }
    Err(EngineError::Full { path: folder.to_path_buf() })
}

/// Removes a copy that was not completed.
pub(super) fn remove_unfinished(folder: &Path) -> Result<(), EngineError> {
    let copy = folder.join(COPY);
    match fs::remove_file(&copy) {
        Ok(()) => sync_directory(folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(EngineError::from_io(&copy, error)),
    }
}

/// The files that a failed write may concern.
fn files(kind: EngineKind, folder: &Path) -> Result<Vec<PathBuf>, EngineError> {
    match kind {
        EngineKind::Fjall => fjall_files::unsettled(folder),
        EngineKind::Sled => Ok(vec![folder.join(sled_files::MAIN_FILE)]),
        #[cfg(test)]
        EngineKind::Simulated => Ok(Vec::new()),
    }
}

/// Puts a copy of a file in its place; when this returns, it is on disk.
fn replace_by_copy(folder: &Path, path: &Path) -> Result<(), EngineError> {
    let beside = folder.join(COPY);
    if let Err(error) = copy(path, &beside).and_then(|()| fs::rename(&beside, path)) {
        // On a full disk what was begun takes space. The first error says more than one of removing it.
        let _removed = fs::remove_file(&beside);
        return Err(EngineError::from_io(path, error));
    }
    sync_directory(path.parent().unwrap_or(folder))?;
    sync_directory(folder)
}

/// Copies every byte, without sharing them with the file that is read. Zeros take no space.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut bytes = BufReader::with_capacity(COPY_BYTES, File::open(from)?);
    let mut copied = File::create(to)?;
    let mut length = 0;
    loop {
        let step = bytes.fill_buf()?;
        if step.is_empty() {
            copied.set_len(length)?;
            return copied.sync_all();
        }
        if step.iter().any(|byte| *byte != 0) {
            copied.seek(SeekFrom::Start(length))?;
            copied.write_all(step)?;
        }
        let count = step.len();
        length += count as u64;
        bytes.consume(count);
    }
}

/// Waits until sled's own threads have ended: until then they hold a lock on the log.
fn wait_for_release(path: &Path) -> Result<(), EngineError> {
    let failed = |error| EngineError::from_io(path, error);
    let log = File::open(path).map_err(failed)?;
    let deadline = Instant::now() + RELEASE_WAIT;
    loop {
        match log.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(failed(error.into())),
        }
    }
}
