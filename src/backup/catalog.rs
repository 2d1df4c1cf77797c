//! The catalog of a directory: which backups were there when the last one was made or removed.
//!
//! It names a folder that vanished, also when no other backup continues it. It is written durably before the success of a
//! backup is reported, and sealed where there is a key. A directory without a catalog is one of an earlier version, or a copy of
//! single backups. What is missing is forgotten, with a warning, when the next backup is made: that one reaches further.

use std::fs;
use std::io;
use std::path::Path;

use super::catalog_v1::CatalogV1;
use super::chunk::write_file;
use super::error::Error;
use super::finding::Finding;
use super::folder::sync_directory;
use super::key::Key;
use super::manifest::Manifest;
use super::signed::{self, Signed};
use crate::model::position::Position;

/// The file's name in a directory of backups.
pub(super) const FILE: &str = "catalog.json";
/// The name under which it is written, before it is renamed.
const NEXT: &str = ".catalog.json";
/// Largest catalog that is read, in bytes: some hundred thousand backups.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

//----------- Catalog --------------------------------------------------------

/// The backups of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Catalog {
    pub(super) listed: Vec<Listed>,
}

/// One backup of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Name of the backup's folder.
    pub(super) name: String,
    /// Last position that the backup holds.
    pub(super) to: Position,
}

impl Listed {
    pub(super) fn of(manifest: &Manifest) -> Self {
        Self { name: manifest.name.clone(), to: manifest.to.position() }
    }
}

impl Catalog {
    /// Loads the catalog of a directory; none when it has no file. With a key, it must be sealed by it.
    pub(super) fn load(directory: &Path, key: Option<&Key>) -> Result<Option<Self>, Finding> {
        let refuse = |message: String| Finding::new(FILE, message);
        let path = directory.join(FILE);
        let facts = match fs::metadata(&path) {
            Ok(facts) => facts,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refuse(format!("cannot be read: {error}"))),
        };
        if facts.len() > BYTES_MAX {
            return Err(refuse(format!("its {} bytes are more than any catalog has", facts.len())));
        }
        let bytes = fs::read(&path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        let Signed { text, digest, seal } = signed::decode(&bytes).map_err(refuse)?;
        if key.is_some_and(|key| !seal.is_some_and(|seal| key.has_sealed_catalog(&digest, &seal))) {
            return Err(refuse(
                "it was not sealed with this key: it was replaced, or written before there was one".into(),
            ));
        }
        let mirror: CatalogV1 = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        Self::try_from(mirror).map(Some).map_err(refuse)
    }

    /// Writes the catalog into a directory; when this returns, it is on disk.
    pub(super) fn save(&self, directory: &Path, seal: Option<(&Key, [u8; 24])>) -> Result<(), Error> {
        let (path, next) = (directory.join(FILE), directory.join(NEXT));
        let written = serde_json::to_string_pretty(&CatalogV1::from(self)).map_err(io::Error::other);
        let written = written.and_then(|text| {
            let seal = |digest: &str| seal.map(|(key, nonce)| key.seal_catalog(digest, &nonce));
            match fs::remove_file(&next) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            write_file(&next, &signed::encode(text, seal))?;
            fs::rename(&next, &path)?;
            sync_directory(directory)
        });
        written.map_err(Error::file("cannot write", &path))
    }
}
