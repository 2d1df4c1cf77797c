//! Whether a write of unknown outcome was left behind, noted for a process that is started after this one.
//!
//! ```text
//!   writes-settled ──a write fails──▶ writes-unsettled ──its files written anew──▶ writes-settled
//! ```
//! As long as the machine runs, the page cache may show a process what is not on disk. One that finds `writes-unsettled` has the
//! engine's files written anew before it opens them. After a loss of power the note does not matter: what is read then is on disk.
//! The note is a renamed file, because a rename works on a full disk, and often on one that fails.

use std::fs;
use std::io;
use std::path::Path;

use crate::store::error::Error;

/// The name of the note while the outcome of every write is known.
const SETTLED: &str = "writes-settled";
/// Its name while the outcome of one is not.
const UNSETTLED: &str = "writes-unsettled";

/// Makes the note of a data directory, where there is none.
pub(in crate::store) fn begin(directory: &Path) -> Result<(), Error> {
    let path = directory.join(SETTLED);
    if is_noted(directory) || path.exists() {
        return Ok(());
    }
    fs::write(&path, "").map_err(|source| Error::File { action: "cannot write", path, source })
}

/// Notes that the outcome of a write is not known.
pub(in crate::store) fn note(directory: &Path) -> Result<(), Error> {
    rename(directory, SETTLED, UNSETTLED)
}

/// Whether that was noted and not cleared.
pub(in crate::store) fn is_noted(directory: &Path) -> bool {
    directory.join(UNSETTLED).exists()
}

/// Notes that the outcome of every write is known again.
pub(in crate::store) fn clear(directory: &Path) -> Result<(), Error> {
    rename(directory, UNSETTLED, SETTLED)
}

fn rename(directory: &Path, from: &str, to: &str) -> Result<(), Error> {
    let path = directory.join(from);
    match fs::rename(&path, directory.join(to)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed.map_err(|source| Error::File { action: "cannot rename", path, source }),
    }
}
