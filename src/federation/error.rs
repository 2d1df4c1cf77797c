//! What goes wrong with other nodes, and with which.

use std::path::PathBuf;

/// Why another node gave no answer. `peer` is its address, or its name as well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// There is no connection, or it broke.
    #[error("node {peer} cannot be reached: {detail}")]
    Unreachable {
        /// Which node.
        peer: String,
        /// What happened.
        detail: String,
    },
    /// It did not answer lately and is left alone for a while.
    #[error("node {peer} is not asked for another {seconds} s, because it cannot be reached: {detail}")]
    LeftAlone {
        /// Which node.
        peer: String,
        /// For how long.
        seconds: u64,
        /// What happened the last time.
        detail: String,
    },
    /// It did not answer in time.
    #[error("node {peer} did not answer in time")]
    DeadlinePassed {
        /// Which node.
        peer: String,
    },
    /// It refused.
    #[error("node {peer} refused: {message} ({code})")]
    Refused {
        /// Which node.
        peer: String,
        /// Its stable reason.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// It answered something that cannot be understood.
    #[error("node {peer} answered something that cannot be understood: {detail}")]
    Unintelligible {
        /// Which node.
        peer: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Nothing says where to ask it.
    #[error("node {peer} offers no gRPC port; add one to its site, or use another protocol")]
    Nowhere {
        /// Which node.
        peer: String,
    },
    /// Its certificate cannot be checked.
    #[error("certificate of node {peer} cannot be checked: name the PEM file of its authority in {key}")]
    NoAuthority {
        /// Which node.
        peer: String,
        /// The configuration key that would tell.
        key: &'static str,
    },
    /// The address, the name or the authority of a node cannot be used.
    #[error("node {peer} cannot be called as configured: {detail}")]
    Configured {
        /// Which node.
        peer: String,
        /// What is wrong and what would be right.
        detail: String,
    },
    /// The token for it cannot be read.
    #[error("token for node {peer} cannot be read from {}: {detail}", path.display())]
    Token {
        /// Which node.
        peer: String,
        /// The file.
        path: PathBuf,
        /// What went wrong.
        detail: String,
    },
}

impl PeerError {
    /// Its stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::LeftAlone { .. } => "PEER_UNREACHABLE",
            Self::DeadlinePassed { .. } => "PEER_TOO_SLOW",
            Self::Refused { .. } => "PEER_REFUSED",
            Self::Unintelligible { .. } => "PEER_UNINTELLIGIBLE",
            Self::Nowhere { .. } => "PEER_NOWHERE",
            Self::NoAuthority { .. } => "PEER_NO_AUTHORITY",
            Self::Configured { .. } => "PEER_CONFIGURED",
            Self::Token { .. } => "PEER_TOKEN",
        }
    }

    /// Which node.
    pub fn peer(&self) -> &str {
        match self {
            Self::Unreachable { peer, .. }
            | Self::LeftAlone { peer, .. }
            | Self::DeadlinePassed { peer }
            | Self::Refused { peer, .. }
            | Self::Unintelligible { peer, .. }
            | Self::Nowhere { peer }
            | Self::NoAuthority { peer, .. }
            | Self::Configured { peer, .. }
            | Self::Token { peer, .. } => peer,
        }
    }

    /// The reason that the other node gave, when it refused.
    pub fn refused_as(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the node was not there, so that another address may be tried.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::LeftAlone { .. } | Self::DeadlinePassed { .. })
    }
}
