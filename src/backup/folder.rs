//! Folders: where backups lie, and how one comes to be there whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use super::error::Error;

/// How the folder of a backup under way ends.
const PARTIAL: &str = "partial";
/// How the folder of a backup being removed ends.
const RETIRED: &str = "retired";
/// Backups of one second that find a name.
const NAMES_MAX: u32 = 1_000;

//----------- Directory ------------------------------------------------------

/// A directory of backups, locked: nobody else, not even another process, makes or removes backups in it.
pub(super) struct LockedDirectory {
    path: PathBuf,
    _lock: File,
}

impl LockedDirectory {
    /// Makes the directory if need be, locks it, and removes what was interrupted earlier.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        create_directory(path).map_err(Error::file("cannot make", path))?;
        let lock_path = path.join(".lock");
        let failed = |error| Error::file("cannot lock", &lock_path)(error);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock_path);
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(Error::Busy { directory: path.to_owned() }),
            Err(fs::TryLockError::Error(error)) => return Err(failed(error)),
        }
        let locked = Self { path: path.to_owned(), _lock: lock };
        locked.sweep().map_err(Error::file("cannot clean up", path))?;
        Ok(locked)
    }

    /// Removes what an interrupted creation or removal left.
    fn sweep(&self) -> io::Result<()> {
        for found in fs::read_dir(&self.path)? {
            let path = found?.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            if ending == Some(PARTIAL) || ending == Some(RETIRED) {
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }

    /// Begins a backup's folder under a name that starts like this and is free.
    pub(super) fn begin(&self, start: &str) -> Result<PartialFolder, Error> {
        let names = (1..NAMES_MAX).map(|number| match number {
            1 => start.to_owned(),
            _ => format!("{start}-{number}"),
        });
        for name in names {
            if self.path.join(&name).exists() {
                continue;
            }
            let path = self.path.join(format!("{name}.{PARTIAL}"));
            DirBuilder::new().mode(0o700).create(&path).map_err(Error::file("cannot make", &path))?;
            return Ok(PartialFolder { directory: self.path.clone(), name, path, complete: false });
        }
        let full = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(Error::file("cannot make", &self.path.join(start))(full))
    }

    /// Removes a backup: first its name, so that a part of it is never taken for it.
    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        let aside = self.path.join(format!("{name}.{RETIRED}"));
        let removed = fs::rename(&path, &aside)
            .and_then(|()| sync_directory(&self.path))
            .and_then(|()| fs::remove_dir_all(&aside));
        removed.map_err(Error::file("cannot remove", &path))
    }
}

/// Makes a directory that only we may enter, and its parents; its name is on disk when this returns.
pub(super) fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().mode(0o700).recursive(true).create(path)?;
    match path.parent() {
        Some(parent) if parent != Path::new("") => sync_directory(parent),
        _ => sync_directory(Path::new(".")),
    }
}

/// Brings the names of a directory's files to disk.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The folder of a backup by its name; none when the name is a path.
pub(super) fn named(directory: &Path, name: &str) -> Option<PathBuf> {
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    (plain && !is_unfinished(Path::new(name))).then(|| directory.join(name))
}

/// Whether a folder is that of a backup under way or being removed.
pub(super) fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == PARTIAL || ending == RETIRED)
}

//----------- PartialFolder --------------------------------------------------

/// The folder of a backup under way. Dropping it before it is complete removes it.
pub(super) struct PartialFolder {
    directory: PathBuf,
    name: String,
    path: PathBuf,
    complete: bool,
}

impl PartialFolder {
    /// The name that the backup will have.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where its files are written.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the folder its name; when this returns, the backup is there and on disk.
    pub(super) fn complete(mut self) -> Result<(), Error> {
        let named = sync_directory(&self.path)
            .and_then(|()| fs::rename(&self.path, self.directory.join(&self.name)))
            .and_then(|()| sync_directory(&self.directory));
        named.map_err(Error::file("cannot complete", &self.path))?;
        self.complete = true;
        Ok(())
    }
}

impl Drop for PartialFolder {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            let path = self.path.display();
            tracing::warn!(%path, %error, "an abandoned backup could not be removed; the next one will try again");
        }
    }
}
