//! Listing: the backups in a directory, and the chain that each belongs to.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::finding::Finding;
use super::folder;
use super::kind::Kind;
use super::manifest::{self, Manifest};
use crate::model::position::Position;

/// Most increments of one full backup; a longer chain is treated as circular.
pub(super) const CHAIN_MAX: usize = 10_000;

//----------- Summary --------------------------------------------------------

/// Summary of one backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Name of the backup within its directory.
    pub name: String,
    /// Directory that holds the backup.
    pub directory: PathBuf,
    /// Kind of the backup: full or incremental.
    pub kind: Kind,
    /// First position to which the backup can be restored.
    pub from: Position,
    /// Last position that the backup holds.
    pub to: Position,
    /// When the last entry of the backup was made, in milliseconds since 1970.
    pub to_ms: u64,
    /// When the backup was completed, in milliseconds since 1970.
    pub created_ms: u64,
    /// Number of entries and journal entries.
    pub entries: u64,
    /// Size on disk in bytes.
    pub bytes: u64,
    /// Whether the chunks are encrypted.
    pub encrypted: bool,
    /// The backup that an incremental one continues.
    pub base: Option<String>,
    /// Why the backup is not of the requested kind, when it is not.
    pub note: Option<String>,
}

impl Summary {
    pub(super) fn of(manifest: &Manifest, directory: &Path) -> Self {
        let stored: u64 = manifest.chunks.iter().map(|chunk| chunk.stored_bytes).sum();
        let manifest_path = directory.join(&manifest.name).join(manifest::FILE);
        Self {
            name: manifest.name.clone(),
            directory: directory.to_owned(),
            kind: manifest.kind(),
            from: manifest.from.position(),
            to: manifest.to.position(),
            to_ms: manifest.to.time_ms,
            created_ms: manifest.created_ms,
            entries: manifest.entries.values().sum(),
            bytes: stored + fs::metadata(manifest_path).map_or(0, |facts| facts.len()),
            encrypted: manifest.lock.is_some(),
            base: manifest.base.as_ref().map(|base| base.name.clone()),
            note: None,
        }
    }
}

/// Returns the backups in a directory, the newest first; one without a readable manifest is logged and omitted.
pub fn list_directory(directory: &Path) -> Result<Vec<Summary>, Error> {
    let found = manifests(directory)?;
    Ok(found.iter().map(|manifest| Summary::of(manifest, directory)).collect())
}

/// Returns the manifests in a directory, the newest first.
pub(super) fn manifests(directory: &Path) -> Result<Vec<Manifest>, Error> {
    let folders = match fs::read_dir(directory) {
        Ok(folders) => folders,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("cannot read", directory)(error)),
    };
    let mut found = Vec::new();
    for folder in folders {
        let path = folder.map_err(Error::file("cannot read", directory))?.path();
        if !path.is_dir() || folder::is_unfinished(&path) {
            continue;
        }
        match named_manifest(&path) {
            Ok(manifest) => found.push(manifest),
            Err(finding) => {
                tracing::warn!(folder = %path.display(), %finding, "a folder is not a readable backup and is not listed");
            }
        }
    }
    found.sort_by_key(|manifest| std::cmp::Reverse((manifest.created_ms, manifest.to.sequence)));
    Ok(found)
}

/// Loads the manifest of a folder, which must carry the folder's name.
pub(super) fn named_manifest(folder: &Path) -> Result<Manifest, Finding> {
    let manifest = Manifest::load(folder)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    if manifest.name == name {
        return Ok(manifest);
    }
    let message = format!("it is the manifest of {}; give the folder that name again", manifest.name);
    Err(Finding::new(manifest::FILE, message))
}

/// Returns the chain of a backup: the full one first, the backup itself last; each continues the one before without a
/// gap.
pub(super) fn chain(folder: &Path) -> Result<Vec<Manifest>, Finding> {
    let directory = folder.parent().unwrap_or(Path::new("."));
    let mut chain = vec![named_manifest(folder)?];
    while let Some(base) = chain.last().and_then(|manifest| manifest.base.clone()) {
        let broken = |message: &str| Finding::new(base.name.clone(), message);
        let folder =
            folder::named(directory, &base.name).ok_or_else(|| broken("is not the name of a backup"))?;
        if !folder.is_dir() {
            return Err(broken("the backup that this one continues is missing"));
        }
        let manifest = named_manifest(&folder).map_err(|finding| finding.within(&base.name))?;
        if manifest.id != base.id {
            return Err(broken("it is not the backup that this one continues, but another of its name"));
        }
        if chain.last().is_some_and(|next| manifest.to != next.from) {
            return Err(broken("it does not end where the backup that continues it begins"));
        }
        chain.push(manifest);
        if chain.len() > CHAIN_MAX {
            return Err(broken("the chain of backups has no end"));
        }
    }
    chain.reverse();
    Ok(chain)
}
