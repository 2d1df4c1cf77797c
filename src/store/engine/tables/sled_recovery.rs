//! Opening sled's files again after a failed write, within the process.
//!
//! What the page cache shows of the log may not be on disk, and syncing the same file again does not help: the operating system has
//! forgotten that its bytes are missing. So the log is copied, and the copy takes its place once it is on disk. What it holds is
//! there for ever, and what it does not hold never comes back. That needs free space of the size of the log, and takes as long as
//! reading and writing it.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::statvfs::statvfs;

use super::error::EngineError;
use super::files::sync_directory;
use super::sled_files::MAIN_FILE;

/// The copy, until it takes the place of the log.
const COPY: &str = "db.new";
/// Bytes that are copied at a time.
const COPY_BYTES: usize = 1_024 * 1_024;
/// How long sled may take to release its log after it was closed.
const RELEASE_WAIT: Duration = Duration::from_secs(10);

/// Returns an error where there is no space for a copy of the log.
pub(super) fn check_space(folder: &Path) -> Result<(), EngineError> {
    let log = folder.join(MAIN_FILE);
    let facts = fs::metadata(&log).map_err(|error| EngineError::from_io(&log, error))?;
    let space = statvfs(folder).map_err(|error| EngineError::from_io(folder, error.into()))?;
    if space.blocks_available().saturating_mul(space.fragment_size()) > facts.len() {
        return Ok(());
    }
    Err(EngineError::Full { path: folder.to_path_buf() })
}

/// Puts a copy of a closed log in its place; when this returns, it is on disk.
pub(super) fn copy_log(folder: &Path) -> Result<(), EngineError> {
    let (path, beside) = (folder.join(MAIN_FILE), folder.join(COPY));
    let log = File::open(&path).map_err(|error| EngineError::from_io(&path, error))?;
    wait_for_release(&log).map_err(|error| EngineError::from_io(&path, error))?;
    if let Err(error) = copy(log, &beside).and_then(|()| fs::rename(&beside, &path)) {
        // On a full disk what was begun takes space. The first error says more than one of removing it.
        let _removed = fs::remove_file(&beside);
        return Err(EngineError::from_io(&path, error));
    }
    sync_directory(folder)
}

/// Removes a copy that was not completed.
pub(super) fn remove_unfinished_copy(folder: &Path) -> Result<(), EngineError> {
    let beside = folder.join(COPY);
    match fs::remove_file(&beside) {
        Ok(()) => sync_directory(folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(EngineError::from_io(&beside, error)),
    }
}

/// Waits until sled's own threads have ended: until then it holds a lock.
fn wait_for_release(log: &File) -> io::Result<()> {
    let deadline = Instant::now() + RELEASE_WAIT;
    loop {
        match log.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Copies every byte, without sharing them with the file that is read.
fn copy(log: File, beside: &Path) -> io::Result<()> {
    let mut bytes = BufReader::with_capacity(COPY_BYTES, log);
    let mut copied = File::create(beside)?;
    loop {
        let step = bytes.fill_buf()?;
        if step.is_empty() {
            return copied.sync_all();
        }
        copied.write_all(step)?;
        let length = step.len();
        bytes.consume(length);
    }
}
