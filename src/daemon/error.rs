//! Errors that prevent a node from starting or continuing; each says what to change.

use std::io;
use std::path::PathBuf;

use crate::store;

/// Why a node cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The data directory, or a small file in it, cannot be used.
    #[error("cannot {action} {}", path.display())]
    Directory {
        /// The action that failed.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Another process holds the data directory.
    #[error(
        "data directory {} is in use by {}; stop that one, or give this one a directory of its own with \
         --data or store.directory", directory.display(), holder_text(*holder)
    )]
    Locked {
        /// The data directory.
        directory: PathBuf,
        /// The process that uses the data directory, where known.
        holder: Option<u32>,
    },
    /// The data directory belongs to another user, who could not read the files that this one would leave in it.
    #[error(
        "{} belongs to the user with the id {owner}, and this is {ours}; run the command as that user, such as \
         `runuser -u idnode -- idnode store ...`", directory.display()
    )]
    OtherOwner {
        /// The data directory.
        directory: PathBuf,
        /// Id of the user that it belongs to.
        owner: u32,
        /// Id of the user of this process.
        ours: u32,
    },
    /// The store was created by the other engine.
    #[error(
        "the store in {} was created by the engine {found}, which cannot change; write store.engine = \"{found}\"",
        directory.display()
    )]
    EngineChanged {
        /// The data directory.
        directory: PathBuf,
        /// Engine that created the store.
        found: store::EngineKind,
    },
    /// The store cannot be opened.
    #[error("cannot open the store")]
    Store(#[source] store::error::Error),
    /// The store cannot be closed cleanly.
    #[error("cannot close the store cleanly; the next start will repair it")]
    Close(#[source] store::error::Error),
    /// Something did not end in time, so that the store was not closed; what was acknowledged is on disk.
    #[error(
        "the store was not closed: {what} did not end in time; what was acknowledged is on disk, and the next start \
         completes or drops the rest: check the disk"
    )]
    Unclosed {
        /// Description of what did not end.
        what: &'static str,
    },
    /// The admin token of the first start could not be created.
    #[error("cannot make the admin token of the first start: {reason}")]
    FirstToken {
        /// Reason of the failure.
        reason: String,
    },
    /// The admin token could not be replaced.
    #[error("cannot replace the admin token: {reason}")]
    AdminToken {
        /// Reason of the failure.
        reason: String,
    },
    /// The key that the node signs with cannot be made or used.
    #[error("{}: the server key cannot be used: {reason}; put it back from a backup, or remove the file to make another", file.display())]
    ServerKey {
        /// Path of the key file.
        file: PathBuf,
        /// Reason of the failure.
        reason: String,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({transport}): {}", remedy(source, key))]
    Bind {
        /// The configuration key of the address.
        key: &'static str,
        /// The address, or all addresses of the front end.
        address: String,
        /// UDP or TCP.
        transport: &'static str,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A front end ended although the node was not stopping.
    #[error("the {front_end} front end ended by itself: {reason}")]
    FrontEnd {
        /// Name of the front end.
        front_end: &'static str,
        /// Reason of the failure.
        reason: String,
    },
    /// A configured file cannot be used.
    #[error("{key}: {reason}")]
    Configured {
        /// The configuration key of the file.
        key: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The operating system refused an essential resource.
    #[error("cannot {action}")]
    System {
        /// The action that failed.
        action: &'static str,
        /// Error of the operating system.
        source: io::Error,
    },
}

impl DaemonError {
    /// The exit code of a process that ends with it, by the meaning of BSD's sysexits.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Directory { .. } | Self::OtherOwner { .. } => 73,
            Self::Locked { .. } => 75,
            Self::EngineChanged { .. } | Self::Configured { .. } | Self::ServerKey { .. } => 78,
            Self::Store(_) | Self::Close(_) | Self::Unclosed { .. } => 74,
            Self::Bind { .. } => 69,
            Self::FrontEnd { .. } | Self::FirstToken { .. } | Self::AdminToken { .. } => 70,
            Self::System { .. } => 71,
        }
    }
}

fn holder_text(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

fn remedy(error: &io::Error, key: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another program listens there; stop it, or change {key} (also: --set {key}=ADDRESS:PORT)"
            )
        }
        io::ErrorKind::PermissionDenied => format!(
            "ports below 1024 need the capability CAP_NET_BIND_SERVICE, as the systemd unit gives it; or change {key}"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine has no such address; change {key}")
        }
        _ => format!("see {key}"),
    }
}
