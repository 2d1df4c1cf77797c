//! A store whose files cannot be opened where they are can be read all the same: on a file system that is mounted read-only, as Linux
//! does with a disk that has failed, and on a full disk where the engine writes while it opens.
//!
//! ```text
//!   data directory ─▶ image in the directory for temporary files ─▶ engine opens that, and may write there
//!                        tables of fjall, which no engine changes, are links; everything else is copied
//! ```
//! Nothing that is written to the image lasts: it is removed with the store, or, where the process was killed, by the next one
//! that makes an image. What is copied takes at most half of what is free there.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::{FsFlags, statvfs};

use crate::store::error::Error;
use crate::store::open::{StoreOptions, engine_folder, refuse_without_data};

/// The folder of fjall's tables, in each keyspace.
const TABLES: &str = "tables";
/// Directories for temporary files; the first is used that takes the image. The last is in memory.
const PARENTS: [&str; 3] = ["/var/tmp", "/tmp", "/dev/shm"];
/// How the name of an image begins; the id of the process and a random number follow.
const NAME_BEGINS: &str = "idnode-image-";
/// Random bytes in the name of an image.
const NAME_BYTES: usize = 8;

/// Why the files cannot be opened where they are.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Obstacle {
    /// Their file system is mounted read-only.
    ReadOnly,
    /// Their disk is full, and the engine writes while it opens, as sled does.
    Full,
}

impl Obstacle {
    /// Why a store in this directory accepts no changes, and the remedy.
    pub(in crate::store) fn reason(self, directory: &Path) -> String {
        let directory = directory.display();
        match self {
            Self::ReadOnly => format!(
                "the file system of {directory} is mounted read-only: check the disk, mount it for writing, then restart the node"
            ),
            Self::Full => format!(
                "the disk was full when the store in {directory} was to be opened, and an image of it is read: make space, then \
                 restart the node"
            ),
        }
    }
}

/// An image of a data directory; removed when it is dropped.
pub(in crate::store) struct ReadOnlyImage {
    path: PathBuf,
    obstacle: Obstacle,
}

impl ReadOnlyImage {
    /// An image of a data directory on a file system that is mounted read-only; none on any other.
    pub(in crate::store) fn of(options: &StoreOptions) -> Result<Option<Self>, Error> {
        if !is_read_only(&options.directory) {
            return Ok(None);
        }
        Self::because(options, Obstacle::ReadOnly)
    }

    /// An image of a data directory whose files cannot be opened. No other process may have them open.
    pub(in crate::store) fn because(
        options: &StoreOptions,
        obstacle: Obstacle,
    ) -> Result<Option<Self>, Error> {
        refuse_without_data(options)?;
        let mut failed = None;
        for parent in PARENTS {
            remove_orphans(Path::new(parent));
            match Self::make(options, obstacle, Path::new(parent)) {
                Ok(image) => {
                    tracing::warn!(
                        directory = %options.directory.display(),
                        image = %image.path.display(),
                        ?obstacle,
                        "the files cannot be opened where they are; the store is read from an image of them"
                    );
                    return Ok(Some(image));
                }
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(None), Err)
    }

    fn make(options: &StoreOptions, obstacle: Obstacle, parent: &Path) -> Result<Self, Error> {
        let mut random = [0; NAME_BYTES];
        (options.entropy)(&mut random);
        let (process, random) = (std::process::id(), u64::from_be_bytes(random));
        let path = parent.join(format!("{NAME_BEGINS}{process}-{random:016x}"));
        let failed = |source| Error::File { action: "cannot copy the store to", path: path.clone(), source };
        let folder = engine_folder(options.engine);
        refuse_without_space(&options.directory.join(&folder), parent).map_err(failed)?;
        make_directory(&path).map_err(failed)?;
        // From here on it is removed when copying fails.
        let image = Self { path: path.clone(), obstacle };
        for name in ["witness", "closed-files", "high-water"] {
            match fs::copy(options.directory.join(name), path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                Ok(_) | Err(_) => {}
            }
        }
        copy(&options.directory.join(&folder), &path.join(&folder)).map_err(failed)?;
        Ok(image)
    }

    /// Why it was made.
    pub(in crate::store) fn obstacle(&self) -> Obstacle {
        self.obstacle
    }

    /// Where it is.
    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ReadOnlyImage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, image = %self.path.display(), "the image of the store is not removed; remove it by hand");
        }
    }
}

/// Returns an error when the file system of a directory is mounted read-only.
pub(in crate::store) fn refuse_read_only(directory: &Path) -> Result<(), Error> {
    if !is_read_only(directory) {
        return Ok(());
    }
    let source = io::ErrorKind::ReadOnlyFilesystem.into();
    Err(Error::File { action: "cannot write to", path: directory.to_owned(), source })
}

fn is_read_only(path: &Path) -> bool {
    statvfs(path).is_ok_and(|facts| facts.flags().contains(FsFlags::ST_RDONLY))
}

/// Removes images whose process is gone. One that cannot be removed belongs to another user.
fn remove_orphans(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(NAME_BEGINS)?.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            let _removed = fs::remove_dir_all(entry.path());
        }
    }
}

/// Returns an error when a copy of a folder would take more than half of what is free.
fn refuse_without_space(folder: &Path, parent: &Path) -> io::Result<()> {
    let facts = statvfs(parent)?;
    let free = facts.blocks_available().saturating_mul(facts.fragment_size());
    if copied_bytes(folder)? > free / 2 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
}

fn copied_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes += copied_bytes(&entry.path())?;
        } else if !folder.ends_with(TABLES) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    make_directory(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy(&source, &target)?;
        } else if from.ends_with(TABLES) {
            symlink(fs::canonicalize(&source)?, &target)?;
        } else {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{NAME_BEGINS, fs, remove_orphans};

    #[test]
    fn an_image_is_removed_when_its_process_is_gone() {
        let directory = tempfile::tempdir().expect("a directory");
        let (own, gone) = (std::process::id(), u32::MAX);
        for process in [own, gone] {
            fs::create_dir_all(directory.path().join(format!("{NAME_BEGINS}{process}-1/fjall")))
                .expect("made");
        }
        fs::create_dir(directory.path().join("others")).expect("made");
        remove_orphans(directory.path());
        let mut left: Vec<_> = fs::read_dir(directory.path())
            .expect("a directory")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        left.sort();
        assert_eq!(left, [format!("{NAME_BEGINS}{own}-1"), "others".to_owned()]);
    }
}
