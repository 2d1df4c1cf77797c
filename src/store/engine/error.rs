//! Errors of an engine, with messages that an operator can act on.

use std::{
    io,
    path::{Path, PathBuf},
};

use nix::errno::Errno;

/// Why a call of an engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The files are damaged.
    #[error(
        "the stored data at {} is damaged ({detail}); stop the node and restore it from a backup with \
         `idnode backup restore`, or rebuild what is left with `idnode store check --repair`",
        path.display()
    )]
    Damaged {
        /// The damaged file; the directory when the engine does not report the file.
        path: PathBuf,
        /// Description of the damage.
        detail: String,
    },
    /// The file system is full.
    #[error("disk full: no space left for the stored data at {}", path.display())]
    Full {
        /// The full directory.
        path: PathBuf,
    },
    /// The process, or the whole system, has too many files and connections open.
    #[error("too many open files: none of the stored data at {} can be opened (see LimitNOFILE)", path.display())]
    NoDescriptors {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused a read, a write or a sync.
    #[error("the stored data at {} could not be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// An earlier write or sync failed: nothing is written any more until the files have been opened again.
    #[error(
        "an earlier change could not be written to disk; no changes are accepted until the stored data has been opened \
         again"
    )]
    Poisoned,
    /// The files have been opened again since an image was begun, so that it no longer shows one instant.
    #[error("the stored data has been opened again after a failed write; begin the copy again")]
    Reopened,
    /// A call has not returned by its deadline; it may still end.
    #[error(
        "{what} in the stored data at {} has not returned after {seconds} seconds; check the disk and its load",
        path.display()
    )]
    Stalled {
        /// The kind of call.
        what: &'static str,
        /// The engine's directory.
        path: PathBuf,
        /// Seconds that the call was given.
        seconds: u64,
    },
    /// The engine has no open files: it was closed, or its files could not be opened again after a failed write.
    #[error("the stored data is not open")]
    NotOpen,
}

impl EngineError {
    /// Whether it is about stored data that cannot be read, not about the engine's present state.
    pub(in crate::store) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Io { .. } => true,
            Self::Full { .. }
            | Self::NoDescriptors { .. }
            | Self::Poisoned
            | Self::Reopened
            | Self::Stalled { .. }
            | Self::NotOpen => false,
        }
    }

    /// What was lacking; none when the error may be a lasting one.
    pub(in crate::store) fn lacks(&self) -> Option<Lack> {
        match self {
            Self::Full { .. } => Some(Lack::Space),
            Self::NoDescriptors { .. } => Some(Lack::Descriptors),
            Self::Stalled { .. } => Some(Lack::Time),
            Self::Damaged { .. } | Self::Io { .. } | Self::Poisoned | Self::Reopened | Self::NotOpen => None,
        }
    }

    /// Damage found at `path`.
    pub(super) fn damaged(path: &Path, detail: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_path_buf(), detail: detail.into() }
    }

    /// Converts an error of the operating system about `path`, while the engine runs.
    pub(super) fn from_io(path: &Path, source: io::Error) -> Self {
        match Lack::of(&source) {
            Some(Lack::Space) => return Self::Full { path: path.to_path_buf() },
            Some(Lack::Descriptors) => return Self::NoDescriptors { path: path.to_path_buf() },
            Some(Lack::Time) | None => {}
        }
        match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                Self::damaged(path, source.to_string())
            }
            _ => Self::Io { path: path.to_path_buf(), source },
        }
    }

    /// Converts an error during opening, when a missing file, or an unexpected one, is damage.
    pub(super) fn while_opening(self) -> Self {
        match self {
            Self::Io { path, source }
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) =>
            {
                Self::Damaged { path, detail: source.to_string() }
            }
            other => other,
        }
    }
}

/// What a call that failed was lacking. It is waited for as long as that lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Space on the disk.
    Space,
    /// File descriptors, of the process or of the whole system.
    Descriptors,
    /// Time: the disk or the engine has not answered.
    Time,
}

impl Lack {
    /// What an error of the operating system is about; none when that may be a lasting fault.
    pub(in crate::store) fn of(error: &io::Error) -> Option<Self> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(Self::Space),
            _ => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EMFILE | Errno::ENFILE) => Some(Self::Descriptors),
                Some(_) | None => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EngineError, Errno, Lack, Path, io};

    #[test]
    fn a_disk_that_is_full_or_slow_has_lost_nothing() {
        let path = Path::new("/data/fjall");
        let is_damage = |error: EngineError| error.is_damage();
        assert!(is_damage(EngineError::damaged(path, "a checksum")));
        assert!(is_damage(EngineError::from_io(path, io::Error::from_raw_os_error(5))), "EIO");
        assert!(!is_damage(EngineError::from_io(path, io::ErrorKind::StorageFull.into())));
        for number in [Errno::EMFILE, Errno::ENFILE] {
            let error = EngineError::from_io(path, number.into());
            assert_eq!(error.lacks(), Some(Lack::Descriptors), "{error:?}");
            assert!(!is_damage(error));
        }
        assert!(!is_damage(EngineError::Stalled { what: "a read", path: path.into(), seconds: 30 }));
        assert!(!is_damage(EngineError::NotOpen));
        assert!(!is_damage(EngineError::Poisoned));
    }
}
