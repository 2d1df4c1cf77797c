//! The chain of a backup: the full one that it rests on, and all between.

use std::fs;
use std::path::Path;

use super::finding::Finding;
use super::folder;
use super::key::Key;
use super::list::has_name_of;
use super::manifest::{Chunk, Manifest};

/// Most increments of one full backup; a longer chain is treated as circular.
const CHAIN_MAX: usize = 10_000;
/// Bytes of a chain that are read back before it is continued, the newest first: some seconds of reading.
const READ_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Returns the chain of a backup: the full one first, the backup itself last; each continues the one before without a
/// gap. With a key, each is authenticated.
pub(super) fn chain(folder: &Path, key: Option<&Key>) -> Result<Vec<Manifest>, Finding> {
    let directory = folder.parent().unwrap_or(Path::new("."));
    let mut chain = vec![load(folder, key)?];
    while let Some(next) = chain.last()
        && let Some(base) = &next.base
    {
        let name = base.name.clone();
        base_of(next, directory)?;
        let manifest = load(&directory.join(&name), key).map_err(|finding| finding.within(&name))?;
        chain.push(manifest);
        if chain.len() > CHAIN_MAX {
            return Err(Finding::new(name, "the chain of backups has no end"));
        }
    }
    chain.reverse();
    Ok(chain)
}

/// Loads the manifest of a folder, which must carry the folder's name.
fn load(folder: &Path, key: Option<&Key>) -> Result<Manifest, Finding> {
    let (manifest, proved) = Manifest::load_proved(folder, key)?;
    proved.and_then(|()| has_name_of(&manifest, folder)).map(|()| manifest)
}

/// Checks that the backup which an incremental one continues is there and ends where this one begins.
pub(super) fn base_of(manifest: &Manifest, directory: &Path) -> Result<(), Finding> {
    let Some(base) = &manifest.base else {
        return Ok(());
    };
    let broken = |message: &str| Finding::new(base.name.clone(), message);
    let folder = folder::named(directory, &base.name).ok_or_else(|| broken("is not the name of a backup"))?;
    if !folder.is_dir() {
        return Err(broken("the backup that this one continues is missing"));
    }
    let found = load(&folder, None).map_err(|finding| finding.within(&base.name))?;
    if found.id != base.id {
        return Err(broken("it is not the backup that this one continues, but another of its name"));
    }
    if found.to != manifest.from {
        return Err(broken("it does not end where the backup that continues it begins"));
    }
    Ok(())
}

/// Returns a finding for each chunk of a backup that is missing or has another size than its manifest says.
pub(super) fn missing_files(manifest: &Manifest, directory: &Path) -> Vec<Finding> {
    let folder = directory.join(&manifest.name);
    let check = |chunk: &Chunk| {
        let message = match fs::metadata(folder.join(&chunk.file)).map(|facts| facts.len()) {
            Ok(bytes) if bytes == chunk.stored_bytes => return None,
            Ok(bytes) => format!("it has {bytes} bytes, not {}", chunk.stored_bytes),
            Err(error) => format!("cannot be read: {error}"),
        };
        Some(Finding::new(&chunk.file, message).within(&manifest.name))
    };
    manifest.chunks.iter().filter_map(check).collect()
}

/// Checks that a backup can be continued: its whole chain is there, with files of the right sizes; as many chunks as are
/// affordable are read back and compared with their SHA-256, the newest first.
pub(super) fn check_whole(folder: &Path, key: Option<&Key>) -> Result<(), Finding> {
    let directory = folder.parent().unwrap_or(Path::new("."));
    let chain = chain(folder, key)?;
    if let Some(finding) = chain.iter().flat_map(|manifest| missing_files(manifest, directory)).next() {
        return Err(finding);
    }
    let mut left = READ_BYTES_MAX;
    for manifest in chain.iter().rev() {
        let folder = directory.join(&manifest.name);
        for chunk in &manifest.chunks {
            let Some(rest) = left.checked_sub(chunk.stored_bytes) else {
                return Ok(());
            };
            left = rest;
            chunk.check_stored(&folder).map_err(|finding| finding.within(&manifest.name))?;
        }
    }
    Ok(())
}
