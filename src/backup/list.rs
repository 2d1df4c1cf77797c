//! The content of a directory of backups: what can be used, and what looks like a backup and cannot be.
//!
//! ```text
//!   directory ─ scan ─▶ manifests (read, of their folder's name, and authenticated where a key is given)
//!                     ─▶ unusable folders, each with its finding; also those that the catalog lists and that are missing
//! ```
//! A folder looks like a backup when it has a backup's name, or holds a manifest or a chunk. Other folders are ignored.

use std::cmp::Reverse;
use std::fs;
use std::path::Path;

use super::catalog::{self, Catalog, Listed};
use super::chain::{self, base_of};
use super::error::Error;
use super::finding::Finding;
use super::folder;
use super::key::Key;
use super::manifest::{self, Manifest};
use super::summary::{Listing, Summary};
use crate::model::position::Incarnation;

/// Ending of the name of a chunk's file.
pub(super) const CHUNK: &str = "zst";

//----------- list_directory -------------------------------------------------

/// Lists the backups in a directory, the newest first, and what is wrong with them. With a key file, only what its key
/// authenticates is a backup. A directory that is not there is an error.
pub fn list_directory(directory: &Path, key_file: Option<&Path>) -> Result<Listing, Error> {
    fs::read_dir(directory).map_err(Error::file("cannot read", directory))?;
    let key = key_file.map(Key::load).transpose()?;
    Ok(scan(directory, key.as_ref())?.listing(directory))
}

//----------- Held -----------------------------------------------------------

/// The content of a directory of backups.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Manifests of the backups, the newest first by their position in the journal.
    pub(super) manifests: Vec<Manifest>,
    /// Folders that look like a backup and cannot be used.
    pub(super) unusable: Vec<Unusable>,
    /// What the catalog lists.
    listed: Vec<Listed>,
}

/// A folder that looks like a backup and cannot be used.
#[derive(Debug)]
pub(super) struct Unusable {
    /// Name of the folder.
    pub(super) name: String,
    /// Why it cannot be used; the file is named within the directory.
    pub(super) finding: Finding,
    /// Where it ends, when its manifest can be read and is proved, or the catalog lists it.
    pub(super) end: Option<(Incarnation, u64)>,
}

impl Held {
    /// Returns the summaries, with all that is wrong as far as manifests and sizes of files show it.
    pub(super) fn listing(&self, directory: &Path) -> Listing {
        let backups = self.manifests.iter().map(|manifest| Summary::of(manifest, directory)).collect();
        let unusable = self.unusable.iter().map(|unusable| unusable.finding.clone());
        let harmed = self.manifests.iter().flat_map(|manifest| {
            let base = base_of(manifest, directory).err().map(|finding| finding.within(&manifest.name));
            chain::missing_files(manifest, directory).into_iter().chain(base)
        });
        let findings = unusable.chain(harmed);
        let findings = findings.map(|finding| finding.within(&directory.display().to_string())).collect();
        Listing { backups, findings }
    }

    /// Compares with the catalog: names what it lists and what is missing, and completes where an unusable folder ends.
    fn compare(&mut self, catalog: Result<Option<Catalog>, Finding>) {
        let catalog = match catalog {
            Ok(catalog) => catalog.unwrap_or_default(),
            Err(finding) => {
                // What it listed is not known, so that anything may be missing.
                let unusable = Unusable { name: catalog::FILE.to_owned(), finding, end: None };
                return self.unusable.push(unusable);
            }
        };
        self.listed.clone_from(&catalog.listed);
        for Listed { name, to } in catalog.listed {
            let end = Some((to.incarnation, to.sequence));
            if let Some(unusable) = self.unusable.iter_mut().find(|unusable| unusable.name == name) {
                unusable.end = end;
            } else if !self.manifests.iter().any(|manifest| manifest.name == name) {
                let message = format!("it is missing; the catalog of the directory lists it, up to {to}");
                let finding = Finding::new(name.clone(), message);
                self.unusable.push(Unusable { name, finding, end });
            }
        }
    }

    /// Returns the catalog of what is there: what can be used, and what cannot and was listed before.
    pub(super) fn catalog(&self, directory: &Path) -> Catalog {
        let usable = self.manifests.iter().map(Listed::of);
        let unusable = self.listed.iter().filter(|listed| {
            let is_unusable = self.unusable.iter().any(|unusable| unusable.name == listed.name);
            is_unusable && directory.join(&listed.name).exists()
        });
        Catalog { listed: usable.chain(unusable.cloned()).collect() }
    }

    /// Writes what cannot be used to the log.
    pub(super) fn log(&self, directory: &Path) {
        for unusable in &self.unusable {
            let folder = directory.join(&unusable.name);
            tracing::warn!(
                folder = %folder.display(), finding = %unusable.finding, "a folder looks like a backup and cannot be used"
            );
        }
    }
}

/// Returns the finding for a directory that held backups and holds none.
pub(super) fn vanished(directory: &Path) -> Finding {
    let message = "no backup is there, and there were some since the node started: put the directory back or mount its \
                   disk, or make a full backup";
    Finding::new(directory.display().to_string(), message)
}

/// Reads the manifests in a directory; there are none in a directory that does not exist.
pub(super) fn scan(directory: &Path, key: Option<&Key>) -> Result<Held, Error> {
    let folders = match fs::read_dir(directory) {
        Ok(folders) => folders,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Held::default()),
        Err(error) => return Err(Error::file("cannot read", directory)(error)),
    };
    let mut held = Held::default();
    for folder in folders {
        let path = folder.map_err(Error::file("cannot read", directory))?.path();
        if folder::is_unfinished(&path) || !looks_like_backup(&path) {
            continue;
        }
        match open(&path, key) {
            Ok(manifest) => held.manifests.push(manifest),
            Err(unusable) => held.unusable.push(unusable),
        }
    }
    held.compare(Catalog::load(directory, key));
    held.manifests.sort_by_key(|manifest| Reverse(manifest.rank()));
    held.unusable.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(held)
}

fn open(folder: &Path, key: Option<&Key>) -> Result<Manifest, Unusable> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let unusable =
        |finding: Finding, end| Unusable { name: name.clone(), finding: finding.within(&name), end };
    let (manifest, proved) = Manifest::load_proved(folder, key).map_err(|finding| unusable(finding, None))?;
    // What is not proved may state any end.
    let end = proved.is_ok().then(|| manifest.end());
    match proved.and_then(|()| has_name_of(&manifest, folder)) {
        Ok(()) => Ok(manifest),
        Err(finding) => Err(unusable(finding, end)),
    }
}

/// Checks that a manifest carries the name of its folder.
pub(super) fn has_name_of(manifest: &Manifest, folder: &Path) -> Result<(), Finding> {
    if folder.file_name().unwrap_or_default().to_string_lossy() == manifest.name.as_str() {
        return Ok(());
    }
    let message = format!("it is the manifest of {}; give the folder that name again", manifest.name);
    Err(Finding::new(manifest::FILE, message))
}

//----------- Recognizing ----------------------------------------------------

fn looks_like_backup(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    is_backup_name(&name) || holds_files_of_backup(path)
}

/// Returns whether a name is one that a backup gets: `2026-11-23T203243Z-full`, perhaps with a number behind.
pub(super) fn is_backup_name(name: &str) -> bool {
    let Some((time, kind)) = name.split_once("Z-") else {
        return false;
    };
    let kind = kind.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let is_time = time.len() == 17 && time.bytes().all(|byte| byte.is_ascii_digit() || b"-T".contains(&byte));
    is_time && matches!(kind, "full" | "incremental")
}

fn holds_files_of_backup(path: &Path) -> bool {
    let files = fs::read_dir(path).into_iter().flatten().flatten();
    files.map(|file| file.path()).any(|file| {
        file.extension().is_some_and(|ending| ending == CHUNK)
            || file.file_name().is_some_and(|name| name == manifest::FILE)
    })
}

#[cfg(test)]
mod tests {
    use super::is_backup_name;

    #[test]
    fn names_of_backups_are_recognized() {
        for (name, is_one) in [
            ("2026-11-23T203243Z-full", true),
            ("2026-11-23T203243Z-incremental-2", true),
            ("lost+found", false),
            ("2026-11-23T203243Z-notes", false),
            ("2026-11-23", false),
        ] {
            assert_eq!(is_backup_name(name), is_one, "{name}");
        }
    }
}
