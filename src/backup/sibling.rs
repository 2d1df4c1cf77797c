//! The directory beside the data directory in which a restore builds the store.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
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
                let lock = lock(&path)?;
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
    let Some(_lock) = lock(path)? else {
        return Err(Error::RestoreUnderWay { directory: path.to_owned() });
    };
    tracing::warn!(path = %path.display(), "what an interrupted restore left is removed");
    fs::remove_dir_all(path).map_err(Error::file("cannot remove", path))
}

/// Locks the directory of a restore; refused while another restore has it. None where directories cannot be locked.
fn lock(path: &Path) -> Result<Option<File>, Error> {
    let directory = File::open(path).map_err(Error::file("cannot open", path))?;
    match directory.try_lock() {
        // Another restore may have removed the directory since it was opened, and made its own.
        Ok(()) if is_at(&directory, path).map_err(Error::file("cannot read", path))? => Ok(Some(directory)),
        Ok(()) | Err(TryLockError::WouldBlock) => Err(Error::RestoreUnderWay { directory: path.to_owned() }),
        Err(TryLockError::Error(error)) => {
            tracing::debug!(path = %path.display(), %error, "directories cannot be locked here");
            Ok(None)
        }
    }
}

/// Returns whether an open directory is still the one at a path.
fn is_at(directory: &File, path: &Path) -> io::Result<bool> {
    let (open, found) = (directory.metadata()?, fs::metadata(path)?);
    Ok((open.dev(), open.ino()) == (found.dev(), found.ino()))
}

/// Returns whether a directory is not empty.
fn is_occupied(directory: &Path) -> Result<bool, Error> {
    match fs::read_dir(directory) {
        Ok(mut files) => Ok(files.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::file("cannot read", directory)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::File;

    use super::{Error, is_at, lock};

    #[test]
    fn a_directory_that_another_restore_has_or_has_replaced_is_not_taken() {
        let scratch = tempfile::tempdir().expect("a directory");
        let path = scratch.path().join("data.restoring");
        fs::create_dir(&path).expect("made");
        let held = lock(&path).expect("free").expect("directories can be locked here");
        let refused = lock(&path).expect_err("it is locked");
        assert!(matches!(refused, Error::RestoreUnderWay { .. }), "{refused}");
        assert!(is_at(&held, &path).expect("readable"));
        fs::remove_dir(&path).expect("removed");
        fs::create_dir(&path).expect("made again");
        assert!(!is_at(&held, &path).expect("readable"));
        // What cannot be opened is not taken for another restore.
        let absent = lock(&scratch.path().join("absent")).expect_err("nothing there");
        assert!(!matches!(absent, Error::RestoreUnderWay { .. }), "{absent}");
        let again = File::open(&path).expect("there");
        assert!(is_at(&again, &path).expect("readable"));
    }
}
