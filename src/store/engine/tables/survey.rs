//! What an engine's files show while the engine is not open, or writes nothing more after a failed write. Nothing is written and
//! nothing is deleted, except by `clear_unfinished` and `mend`.
//!
//! ```text
//!   survey ─▶ Rising: numbers in names and contents of files, which the engine only ever raises
//!   list   ─▶ FileList: every file with its size, as it is once the engine is closed
//! ```
//! An engine that misses one of its small files may take a store for a new one and delete the rest. The store therefore
//! compares the files with what it noted earlier, before it lets the engine open them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::error::EngineError;
#[cfg(test)]
use super::simulated;
use super::{fjall_files, fjall_mend, sled_files, sled_undo};
use crate::store::engine::EngineKind;

/// Files up to this size are compared by their contents too.
const SMALL_FILE_BYTES_MAX: u64 = 4 * 1_024;

/// Numbers that an engine only raises, by the file that shows them, relative to the engine's folder.
pub(in crate::store) type Rising = BTreeMap<String, u64>;

/// Every file of a closed engine, by its path relative to the engine's folder.
pub(in crate::store) type FileList = BTreeMap<String, FileFacts>;

/// What is noted of a file of a closed engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct FileFacts {
    /// Size of the file.
    pub(in crate::store) bytes: u64,
    /// CRC-32C of the contents of a small file; 0 for others.
    pub(in crate::store) checksum: u32,
}

/// What is known of an engine's files from earlier.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Earlier<'a> {
    /// The store was never complete: files may be missing.
    Incomplete,
    /// The store was complete once; what its files showed was not noted.
    Complete,
    /// The store was complete, and its files have shown these numbers.
    Noted(&'a Rising),
}

/// Reads what the files of a closed engine show, and compares that with what is known from earlier. Returns the differences
/// with which the engine can still open without deleting anything; with any other, it is an error.
pub(in crate::store) fn survey(
    kind: EngineKind,
    folder: &Path,
    earlier: Earlier<'_>,
) -> Result<Vec<String>, EngineError> {
    let found = match kind {
        EngineKind::Fjall => fjall_files::survey(folder, earlier)?,
        EngineKind::Sled => sled_files::survey(folder, earlier)?,
        #[cfg(test)]
        EngineKind::Simulated => Rising::new(),
    };
    let Earlier::Noted(noted) = earlier else { return Ok(Vec::new()) };
    let mut differences = Vec::new();
    for (name, reached) in noted {
        let path = folder.join(name);
        match found.get(name) {
            Some(number) if number >= reached => {}
            Some(number) => differences.push(format!(
                "{} is an older copy: it is at {number}, the store had reached {reached}",
                path.display()
            )),
            // What is gone because the engine can do without it was left out of what is compared.
            None => return Err(EngineError::damaged(&path, "the file is missing")),
        }
    }
    Ok(differences)
}

/// Refuses differences that would make the engine delete files: those that an older version of a keyspace does not list.
pub(in crate::store) fn refuse_deletions(
    kind: EngineKind,
    folder: &Path,
    differences: &[String],
) -> Result<(), EngineError> {
    let unlisted = match kind {
        EngineKind::Fjall if !differences.is_empty() => fjall_files::unlisted_table(folder)?,
        EngineKind::Fjall | EngineKind::Sled => None,
        #[cfg(test)]
        EngineKind::Simulated => None,
    };
    unlisted.map_or(Ok(()), |table| Err(EngineError::damaged(&table, differences.join("; "))))
}

/// Reads what the files of an open engine show, for the next opening. What is returned is on disk, given that what was noted
/// before is: only folders that have changed since are synced.
pub(in crate::store) fn note(kind: EngineKind, folder: &Path, noted: &Rising) -> Result<Rising, EngineError> {
    match kind {
        EngineKind::Fjall => fjall_files::note(folder, noted),
        EngineKind::Sled => sled_files::note(folder, noted),
        #[cfg(test)]
        EngineKind::Simulated => Ok(Rising::new()),
    }
}

/// Removes what a first start left that ended before the store was complete, where the engine could not go on from it.
pub(in crate::store) fn clear_unfinished(kind: EngineKind, folder: &Path) -> Result<(), EngineError> {
    match kind {
        EngineKind::Fjall => fjall_files::clear_unfinished(folder),
        EngineKind::Sled => sled_files::clear_unfinished(folder),
        #[cfg(test)]
        EngineKind::Simulated => Ok(()),
    }
}

/// Rebuilds small files that follow from others, and sets aside what cannot be read, so that the engine opens what is left.
/// Returns what was done.
pub(in crate::store) fn mend(kind: EngineKind, folder: &Path) -> Result<Vec<String>, EngineError> {
    match kind {
        EngineKind::Fjall => fjall_mend::mend(folder),
        EngineKind::Sled => sled_undo::mend(folder),
        #[cfg(test)]
        EngineKind::Simulated => Ok(Vec::new()),
    }
}

/// Whether the folder holds the file by which the engine recognizes its data.
pub(in crate::store) fn has_main_file(kind: EngineKind, folder: &Path) -> bool {
    match kind {
        EngineKind::Fjall => fjall_files::has_main_file(folder),
        EngineKind::Sled => folder.join(sled_files::MAIN_FILE).is_file(),
        #[cfg(test)]
        EngineKind::Simulated => folder.join(simulated::MAIN_FILE).is_file(),
    }
}

/// The files of a closed engine.
pub(in crate::store) fn list(folder: &Path) -> Result<FileList, EngineError> {
    let mut found = FileList::new();
    let mut waiting = vec![String::new()];
    while let Some(below) = waiting.pop() {
        let path = folder.join(&below);
        let listed = fs::read_dir(&path).map_err(|error| EngineError::from_io(&path, error))?;
        for file in listed {
            let file = file.map_err(|error| EngineError::from_io(&path, error))?;
            let name = format!("{below}{}", file.file_name().to_string_lossy());
            // Of the file itself, where a name is a link.
            let facts =
                fs::metadata(file.path()).map_err(|error| EngineError::from_io(&file.path(), error))?;
            if facts.is_dir() {
                waiting.push(format!("{name}/"));
                continue;
            }
            let checksum = checksum_of_small(&file.path(), facts.len());
            let checksum = checksum.map_err(|error| EngineError::from_io(&file.path(), error))?;
            found.insert(name, FileFacts { bytes: facts.len(), checksum });
        }
    }
    // Locks say nothing about the data.
    found.remove("lock");
    Ok(found)
}

fn checksum_of_small(path: &Path, bytes: u64) -> io::Result<u32> {
    if bytes > SMALL_FILE_BYTES_MAX {
        return Ok(0);
    }
    let mut content = Vec::new();
    File::open(path)?.take(SMALL_FILE_BYTES_MAX).read_to_end(&mut content)?;
    Ok(crc32c::crc32c(&content))
}

/// The first difference between the files of a closed engine and what was noted when it was closed.
pub(in crate::store) fn compare_lists(folder: &Path, noted: &FileList, found: &FileList) -> Option<String> {
    noted.iter().find_map(|(name, facts)| {
        let path = folder.join(name);
        let difference = match found.get(name) {
            None => "is missing".to_owned(),
            Some(now) if now.bytes != facts.bytes => {
                format!("has {} bytes, it had {} when the store was closed", now.bytes, facts.bytes)
            }
            Some(now) if now.checksum != facts.checksum => {
                "was changed while the store was closed".to_owned()
            }
            Some(_) => return None,
        };
        Some(format!("{} {difference}", path.display()))
    })
}
