//! Files of an engine's folder: made, replaced and synced so that they last.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::EngineError;

/// The file with which a disk is tried.
const PROBE: &str = "probe";
/// Its bytes.
const PROBE_BYTES: usize = 64 * 1_024;

/// Makes the directory, and its name durable.
pub(super) fn create_directory(directory: &Path) -> Result<(), EngineError> {
    if directory.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(directory).map_err(|error| EngineError::from_io(directory, error))?;
    match directory.parent() {
        Some(parent) if parent != Path::new("") => sync_directory(parent),
        _ => Ok(()),
    }
}

/// Brings the names of a directory's files to disk.
pub(super) fn sync_directory(directory: &Path) -> Result<(), EngineError> {
    let names = File::open(directory).map_err(|error| EngineError::from_io(directory, error))?;
    names.sync_all().map_err(|error| EngineError::from_io(directory, error))
}

/// Writes a file, or replaces it whole; when this returns, it is on disk.
pub(super) fn replace_file(path: &Path, content: &[u8]) -> Result<(), EngineError> {
    let beside = path.with_extension("new");
    let written = || -> std::io::Result<()> {
        let mut file = File::create(&beside)?;
        std::io::Write::write_all(&mut file, content)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    if let Err(error) = written() {
        // On a full disk what was begun takes space. The first error says more than one of removing it.
        let _removed = std::fs::remove_file(&beside);
        return Err(EngineError::from_io(path, error));
    }
    sync_directory(path.parent().unwrap_or(path))
}

/// Whether a file can be written and brought to disk.
pub(super) fn probe(directory: &Path) -> Result<(), EngineError> {
    let path = directory.join(PROBE);
    replace_file(&path, &[0; PROBE_BYTES])?;
    std::fs::remove_file(&path).map_err(|error| EngineError::from_io(&path, error))
}

/// Brings a file's bytes and length to disk.
pub(super) fn sync_file(file: &File, path: &Path) -> Result<(), EngineError> {
    file.sync_data().map_err(|error| EngineError::from_io(path, error))
}

/// Bytes on disk of all files in a directory and below; files that are deleted meanwhile are not counted.
pub(super) fn occupied_bytes(directory: &Path) -> Result<u64, EngineError> {
    let mut bytes = 0;
    let mut waiting: Vec<PathBuf> = vec![directory.to_path_buf()];
    while let Some(path) = waiting.pop() {
        match occupied_here(&path, &mut waiting) {
            Ok(here) => bytes += here,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (),
            Err(error) => return Err(EngineError::from_io(&path, error)),
        }
    }
    Ok(bytes)
}

/// Bytes of one file, or none for a directory, whose contents are queued.
fn occupied_here(path: &Path, waiting: &mut Vec<PathBuf>) -> std::io::Result<u64> {
    let facts = std::fs::symlink_metadata(path)?;
    if !facts.is_dir() {
        return Ok(facts.blocks() * 512);
    }
    for file in std::fs::read_dir(path)? {
        waiting.push(file?.path());
    }
    Ok(0)
}
