//! The files of sled, read without sled.
//!
//! ```text
//!   db                      the log, with everything in it
//!   renewed.new             a copy that is to take its place (see `renew`)
//!   conf                    the size of its segments
//!   snap.<position>         where the pages lie in the log up to a position; the log after it is read at open
//!   snap.<position>.generating   a snapshot that is being written; sled takes a left-over one for a whole one
//!   undo                    ours: what a failed transaction has replaced, until the next opening (see `sled_undo`);
//!                           undo.new while it is written, undo.unreadable after a repair
//!   blobs/                  pages that are too large for the log; none with our sizes
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::EngineError;
use super::files::sync_directory;
use super::survey::{Earlier, Rising};

/// The file by which sled recognizes a database.
pub(super) const MAIN_FILE: &str = "db";
/// Under this name the position of the latest snapshot is noted.
const SNAPSHOTS: &str = "snap.*";
/// How the names of snapshots begin.
const SNAPSHOT: &str = "snap.";
/// How the name of an unfinished snapshot ends.
const UNFINISHED: &str = ".generating";

/// Reads what the files show; a missing log is damage, and so is a snapshot older than the one that was there.
pub(super) fn survey(folder: &Path, earlier: Earlier<'_>) -> Result<Rising, EngineError> {
    let log = folder.join(MAIN_FILE);
    if !matches!(earlier, Earlier::Incomplete) && !log.is_file() {
        return Err(EngineError::damaged(&log, "the file is missing"));
    }
    let mut rising = Rising::new();
    match (latest_snapshot(folder)?, earlier) {
        (Some(position), _) => {
            rising.insert(SNAPSHOTS.to_owned(), position);
        }
        // Without a snapshot sled reads the whole log.
        (None, Earlier::Noted(noted)) => rising.clone_from(noted),
        (None, Earlier::Incomplete | Earlier::Complete) => {}
    }
    Ok(rising)
}

/// Reads what the files of an open database show. The name behind the number is on disk when this returns, given that the one
/// noted before is.
pub(super) fn note(folder: &Path, noted: &Rising) -> Result<Rising, EngineError> {
    let mut rising = Rising::new();
    if let Some(position) = latest_snapshot(folder)? {
        if noted.get(SNAPSHOTS) != Some(&position) {
            sync_directory(folder)?;
        }
        rising.insert(SNAPSHOTS.to_owned(), position);
    }
    Ok(rising)
}

/// Removes what sled had made before its log.
pub(super) fn clear_unfinished(folder: &Path) -> Result<(), EngineError> {
    let conf = folder.join("conf");
    if folder.join(MAIN_FILE).exists() {
        return Ok(());
    }
    match fs::remove_file(&conf) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(EngineError::from_io(&conf, error)),
        _ => Ok(()),
    }
}

/// Removes unfinished snapshots: the one before stays until its successor is complete, so that none is lost by it.
pub(super) fn remove_unfinished_snapshots(folder: &Path) -> Result<(), EngineError> {
    let mut removed = false;
    for path in snapshots(folder)?.into_iter().filter(|path| is_unfinished(path)) {
        fs::remove_file(&path).map_err(|error| EngineError::from_io(&path, error))?;
        tracing::info!(file = %path.display(), "a snapshot that was not written to its end was removed");
        removed = true;
    }
    if removed { sync_directory(folder) } else { Ok(()) }
}

/// The position of the latest whole snapshot.
fn latest_snapshot(folder: &Path) -> Result<Option<u64>, EngineError> {
    let positions = snapshots(folder)?.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?;
        u64::from_str_radix(name.strip_prefix(SNAPSHOT)?, 16).ok()
    });
    Ok(positions.max())
}

fn is_unfinished(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(UNFINISHED))
}

fn snapshots(folder: &Path) -> Result<Vec<PathBuf>, EngineError> {
    let failed = |error| EngineError::from_io(folder, error);
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for file in files {
        let file = file.map_err(failed)?;
        if file.file_name().to_str().is_some_and(|name| name.starts_with(SNAPSHOT)) {
            found.push(file.path());
        }
    }
    Ok(found)
}
