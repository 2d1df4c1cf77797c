//! The data directory: created, locked against a second process, with the small files beside the store.
//!
//! ```text
//!   <data>/lock          locked while a process uses the directory; holds its process id
//!   <data>/addresses     the addresses of the running node; removed when it stops
//!   <data>/admin-token   the token of the first start, readable by its owner only
//!   <data>/server-key.pem  the key the node signs with, readable by its owner only
//!   <data>/<engine>/     the store
//!   <data>/witness, closed-files, high-water   of the store: what it held; see `store`
//! ```

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::DaemonError;
use crate::store::EngineKind;

/// Bytes of a small file that are read at most.
const SMALL_FILE_BYTES_MAX: u64 = 16 * 1024;

//----------- DataDirectory --------------------------------------------------

/// A data directory that belongs to this process until it is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    lock: File,
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started holds a copy of it for a moment.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "cannot unlock the data directory; its lock ends with the process");
        }
    }
}

impl DataDirectory {
    const LOCK: &'static str = "lock";
    const ADDRESSES: &'static str = "addresses";
    const ADMIN_TOKEN: &'static str = "admin-token";
    /// The name of the file that holds the server key.
    pub(super) const SERVER_KEY: &'static str = "server-key.pem";

    /// Makes the directory where there is none, and locks it.
    pub fn open(path: &Path) -> Result<Self, DaemonError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|source| failed("make the data directory", path, source))?;
        restrict_access(path)?;
        let file = path.join(Self::LOCK);
        let (mut lock, access) = open_lock(&file).map_err(|source| failed("open", &file, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DaemonError::Locked { directory: path.into(), holder: holder(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", &file, source)),
        }
        // On a full disk the lock still works, but it does not name the process.
        if access == LockAccess::Writable {
            let written = unless_full_or_read_only(write_holder(&mut lock), &file);
            written.map_err(|source| failed("write", &file, source))?;
        }
        let directory = Self { path: path.into(), lock };
        directory.remove_addresses()?;
        Ok(directory)
    }

    /// Path of the data directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the file with the admin token of the first start.
    pub fn admin_token_path(&self) -> PathBuf {
        self.path.join(Self::ADMIN_TOKEN)
    }

    /// The file with the admin token of the first start.
    pub(super) fn admin_token_file(&self) -> AdminTokenFile {
        AdminTokenFile { directory: self.path.clone() }
    }

    /// Path of the file with the server key.
    pub(super) fn server_key_path(&self) -> PathBuf {
        self.path.join(Self::SERVER_KEY)
    }

    /// Writes the server key; on disk when this returns.
    pub(super) fn save_server_key(&self, text: &str) -> Result<(), DaemonError> {
        self.save(Self::SERVER_KEY, text)
    }

    /// Reads the server key from its file; none when there is no such file.
    pub(super) fn load_server_key(&self) -> Result<Option<String>, DaemonError> {
        let path = self.server_key_path();
        let mut text = String::new();
        let read =
            File::open(&path).and_then(|file| file.take(SMALL_FILE_BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => {
                warn_if_shared(&path);
                Ok(Some(text))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", &path, source)),
        }
    }

    /// Whether the directory contains a store already, of either engine.
    pub(super) fn holds_store(&self) -> bool {
        EngineKind::ALL.iter().any(|engine| self.path.join(engine.to_string()).exists())
    }

    /// Writes the addresses of the node for other processes. On a full or read-only disk the node runs without them.
    pub(super) fn save_addresses(&self, addresses: &Addresses) -> Result<(), DaemonError> {
        let path = self.path.join(Self::ADDRESSES);
        let saved = self.write(Self::ADDRESSES, &addresses.display());
        unless_full_or_read_only(saved, &path).map_err(|source| failed("write", &path, source))
    }

    /// Removes the addresses, so that other processes find no node.
    pub(super) fn remove_addresses(&self) -> Result<(), DaemonError> {
        let path = self.path.join(Self::ADDRESSES);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => {
                let removed = unless_full_or_read_only(Err(source), &path);
                removed.map_err(|source| failed("remove", &path, source))
            }
        }
    }

    fn save(&self, name: &str, text: &str) -> Result<(), DaemonError> {
        self.write(name, text).map_err(|source| failed("write", &self.path.join(name), source))
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        replace(&self.path, name, text)
    }
}

/// Writes a small file atomically: to a temporary name, synced, renamed, the directory synced.
fn replace(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let beside = directory.join(format!("{name}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&beside, directory.join(name))?;
    File::open(directory)?.sync_all()
}

fn holder(lock: &mut File) -> Option<u32> {
    let mut text = String::new();
    lock.take(SMALL_FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

/// Takes the access of everybody but the owner away: the store holds secret keys.
fn restrict_access(path: &Path) -> Result<(), DaemonError> {
    let failed = |source| failed("restrict the access to", path, source);
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let owner_only = mode & 0o700;
    match fs::set_permissions(path, fs::Permissions::from_mode(owner_only)) {
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            tracing::warn!(
                directory = %path.display(),
                "the data directory is open to others (mode {mode:03o}), and its file system is read-only"
            );
            return Ok(());
        }
        restricted => restricted.map_err(failed)?,
    }
    tracing::warn!(
        directory = %path.display(),
        "the data directory was open to others (mode {mode:03o}); it is its owner's only now (mode {owner_only:03o})"
    );
    Ok(())
}

/// Lets what is only for other processes fail on a full or read-only disk.
fn unless_full_or_read_only(written: io::Result<()>, path: &Path) -> io::Result<()> {
    match written {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            tracing::error!(
                %error,
                file = %path.display(),
                "disk full or read-only: the file is not written; the node goes on without it"
            );
            Ok(())
        }
        written => written,
    }
}

/// Whether the lock file can name the process that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LockAccess {
    Writable,
    ReadOnly,
}

/// Opens the lock file. On a read-only file system an existing one can be locked all the same.
fn open_lock(file: &Path) -> io::Result<(File, LockAccess)> {
    let mut options = OpenOptions::new();
    match options.read(true).write(true).create(true).truncate(false).mode(0o600).open(file) {
        Ok(lock) => Ok((lock, LockAccess::Writable)),
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            File::open(file).map(|lock| (lock, LockAccess::ReadOnly)).map_err(|_| error)
        }
        Err(error) => Err(error),
    }
}

/// Logs a warning when others than the owner may read a secret.
fn warn_if_shared(path: &Path) {
    let is_shared = fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & 0o077 != 0);
    if is_shared {
        tracing::warn!(file = %path.display(), "others than its owner may read this secret; run chmod 600 on it");
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> DaemonError {
    DaemonError::Directory { action, path: path.into(), source }
}

//----------- AdminTokenFile -------------------------------------------------

/// The file with the admin token of the first start, readable by its owner only.
#[derive(Clone, Debug)]
pub(super) struct AdminTokenFile {
    directory: PathBuf,
}

impl AdminTokenFile {
    /// Path of the file.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.join(DataDirectory::ADMIN_TOKEN)
    }

    /// Writes the token; on disk when this returns.
    pub(super) fn save(&self, token: &str) -> Result<(), DaemonError> {
        let saved = replace(&self.directory, DataDirectory::ADMIN_TOKEN, &format!("{token}\n"));
        saved.map_err(|source| failed("write", &self.path(), source))
    }

    /// Reads the token; none when there is no such file.
    pub(super) fn load(&self) -> Option<String> {
        let file = File::open(self.path()).ok()?;
        let mut text = String::new();
        file.take(SMALL_FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
        Some(text.trim().to_owned())
    }
}

//----------- Addresses ------------------------------------------------------

/// The addresses of a running node, as seen from this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Id of the process.
    pub process: u32,
    /// URLs of gRPC.
    pub grpc: Vec<String>,
    /// Socket addresses of DNS.
    pub dns: Vec<SocketAddr>,
    /// Socket addresses of the Handle protocol.
    pub handle: Vec<SocketAddr>,
    /// URLs of HTTP.
    pub http: Vec<String>,
}

impl Addresses {
    /// Reads the addresses that the node using a data directory has written; none when there are none.
    pub fn load(directory: &Path) -> Option<Self> {
        let file = File::open(directory.join(DataDirectory::ADDRESSES)).ok()?;
        let mut text = String::new();
        file.take(SMALL_FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut addresses = Self::default();
        for line in text.lines() {
            match line.split_once(' ')? {
                ("process", id) => addresses.process = id.parse().ok()?,
                ("grpc", url) => addresses.grpc.push(url.into()),
                ("dns", address) => addresses.dns.push(address.parse().ok()?),
                ("handle", address) => addresses.handle.push(address.parse().ok()?),
                ("http", url) => addresses.http.push(url.into()),
                _ => {}
            }
        }
        Some(addresses)
    }

    fn display(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _never = writeln!(text, "process {}", self.process);
        for url in &self.grpc {
            let _never = writeln!(text, "grpc {url}");
        }
        for address in &self.dns {
            let _never = writeln!(text, "dns {address}");
        }
        for address in &self.handle {
            let _never = writeln!(text, "handle {address}");
        }
        for url in &self.http {
            let _never = writeln!(text, "http {url}");
        }
        text
    }
}

/// An address that reaches a socket bound to `bound` from this machine.
pub(super) fn reachable(bound: SocketAddr) -> SocketAddr {
    match bound.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), bound.port()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), bound.port()),
        _ => bound,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Addresses, DaemonError, DataDirectory, reachable};

    #[test]
    fn a_directory_belongs_to_one_process() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("deep/data");
        let first = DataDirectory::open(&path).expect("opened");
        match DataDirectory::open(&path) {
            Err(DaemonError::Locked { directory, holder }) => {
                assert_eq!((directory, holder), (path.clone(), Some(std::process::id())));
            }
            other => panic!("opened twice: {other:?}"),
        }
        drop(first);
        DataDirectory::open(&path).expect("opened again");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_directory_that_is_open_to_others_becomes_its_owners_only() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("data");
        std::fs::create_dir(&path).expect("made");
        let mode = || std::fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        for open in [0o755, 0o770, 0o777] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(open)).expect("set");
            drop(DataDirectory::open(&path).expect("opened"));
            assert_eq!(mode(), 0o700);
        }
    }

    #[test]
    fn the_admin_token_is_for_its_owner_only() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = DataDirectory::open(parent.path()).expect("opened");
        directory.admin_token_file().save("idn_0_1").expect("saved");
        let file = directory.admin_token_path();
        assert_eq!(std::fs::read_to_string(&file).expect("there"), "idn_0_1\n");
        assert_eq!(std::fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn addresses_are_written_while_the_node_runs() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = DataDirectory::open(parent.path()).expect("opened");
        let addresses = Addresses {
            process: 7,
            grpc: vec!["http://127.0.0.1:7373".into()],
            dns: vec!["127.0.0.1:5300".parse().expect("an address")],
            handle: vec!["127.0.0.1:2641".parse().expect("an address")],
            http: vec!["http://[::1]:8080".into()],
        };
        directory.save_addresses(&addresses).expect("saved");
        assert_eq!(Addresses::load(parent.path()), Some(addresses));
        directory.remove_addresses().expect("removed");
        assert_eq!(Addresses::load(parent.path()), None);
    }

    #[test]
    fn an_unspecified_address_is_reached_on_loopback() {
        let reached = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(reached("0.0.0.0:53"), "127.0.0.1:53");
        assert_eq!(reached("[::]:53"), "[::1]:53");
        assert_eq!(reached("192.0.2.1:53"), "192.0.2.1:53");
    }
}
