//! The directory beside the data directory in which a restore builds the store.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::error::Error;
use super::folder::{create_directory, sync_directory};

//----------- Sibling --------------------------------------------------------

/// The directory beside the data directory in which the store is built. Dropping it before it is complete removes it.
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    data: PathBuf,
    complete: bool,
    /// Held while the restore runs, so that it differs from an interrupted one. None where directories cannot be
    /// locked.
    _lock: Option<File>,
}

impl Sibling {
    pub(super) fn create(data: &Path) -> Result<Self, Error> {
        let data = std::path::absolute(data).map_err(Error::file("cannot find", data))?;
        if is_occupied(&data)? {
            return Err(Error::DataNotEmpty { directory: data });
        }
        let mut name = data.file_name().unwrap_or_default().to_owned();
        name.push(".restoring");
        let path = data.with_file_name(name);
        if let Some(parent) = path.parent() {
            create_directory(parent).map_err(Error::file("cannot make", parent))?;
        }
        if path.exists() {
            remove_interrupted(&path)?;
        }
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => {
                let lock = File::open(&path).ok().filter(|directory| directory.try_lock().is_ok());
                Ok(Self { path, data, complete: false, _lock: lock })
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::RestoreUnderWay { directory: path })
            }
            Err(error) => Err(Error::file("cannot make", &path)(error)),
        }
    }

    /// Renames the directory to the data directory; when this returns, that is durable.
    pub(super) fn complete(mut self) -> Result<(), Error> {
        let parent = self.data.parent().unwrap_or(Path::new("/"));
        let named = sync_directory(&self.path)
            .and_then(|()| fs::rename(&self.path, &self.data))
            .and_then(|()| sync_directory(parent));
        named.map_err(Error::file("cannot put the restored store at", &self.data))?;
        self.complete = true;
        Ok(())
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the directory of a failed restore could not be removed; remove it by hand");
        }
    }
}

/// Removes what an interrupted restore left; refuses while another one is under way.
fn remove_interrupted(path: &Path) -> Result<(), Error> {
    let locked = File::open(path).map_err(TryLockError::Error).and_then(|directory| {
        directory.try_lock()?;
        Ok(directory)
    });
    let Ok(_lock) = locked else {
        return Err(Error::RestoreUnderWay { directory: path.to_owned() });
    };
    tracing::warn!(path = %path.display(), "what an interrupted restore left is removed");
    fs::remove_dir_all(path).map_err(Error::file("cannot remove", path))
}

/// Returns whether a directory is not empty.
fn is_occupied(directory: &Path) -> Result<bool, Error> {
    match fs::read_dir(directory) {
        Ok(mut files) => Ok(files.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::file("cannot read", directory)(error)),
    }
}
