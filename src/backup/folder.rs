//! Folders of backups; a backup appears under its name completely or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use super::error::Error;

/// Suffix of the folder of a backup in progress.
const PARTIAL: &str = "partial";
/// Suffix of the folder of a backup that is being removed.
const RETIRED: &str = "retired";
/// Most backups with a name of the same second.
const NAMES_MAX: u32 = 1_000;

//----------- Directory ------------------------------------------------------

/// A directory of backups, locked: no other task or process creates or removes backups in it.
pub(super) struct LockedDirectory {
    path: PathBuf,
    _lock: File,
}

impl LockedDirectory {
    /// Creates the directory if needed, locks it, and removes what an interrupted operation left.
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

    /// Creates the folder of a new backup under an unused name with this beginning.
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

    /// Removes a backup. It is renamed first, so that a partly removed backup never has a valid name.
    pub(super) fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path.join(name);
        let aside = self.path.join(format!("{name}.{RETIRED}"));
        let removed = fs::rename(&path, &aside)
            .and_then(|()| sync_directory(&self.path))
            .and_then(|()| fs::remove_dir_all(&aside));
        removed.map_err(Error::file("cannot remove", &path))
    }
}

/// Creates a directory with mode 0700, and its parents; its name is on disk when this returns.
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

/// Syncs a directory: the names of its files are on disk when this returns.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Returns the folder of a backup by its name; none when the name is a path.
pub(super) fn named(directory: &Path, name: &str) -> Option<PathBuf> {
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    (plain && !is_unfinished(Path::new(name))).then(|| directory.join(name))
}

/// Returns whether a folder is that of a backup in progress or being removed.
pub(super) fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == PARTIAL || ending == RETIRED)
}

//----------- PartialFolder --------------------------------------------------

/// The folder of a backup in progress. Dropping it before it is complete removes it.
pub(super) struct PartialFolder {
    directory: PathBuf,
    name: String,
    path: PathBuf,
    complete: bool,
}

impl PartialFolder {
    /// Returns the final name of the backup.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the path that the files are written to.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames the folder to its final name; when this returns, the backup is complete and on disk.
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
