//! Errors of calls to other nodes; each names the node.

use std::path::PathBuf;

/// Why another node gave no answer. `peer` is its address, with its name when it has one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The other node cannot be reached, or the connection broke.
    #[error("node {peer} cannot be reached: {detail}")]
    Unreachable {
        /// The node concerned.
        peer: String,
        /// The cause.
        detail: String,
    },
    /// The node did not answer recently and is not called for a while.
    #[error("node {peer} is not asked for another {seconds} s, because it cannot be reached: {detail}")]
    LeftAlone {
        /// The node concerned.
        peer: String,
        /// Seconds until the node is called again.
        seconds: u64,
        /// The last failure.
        detail: String,
    },
    /// The node did not answer in time.
    #[error("node {peer} did not answer in time")]
    DeadlinePassed {
        /// The node concerned.
        peer: String,
    },
    /// The node gave no answer that can be used. It is all that callers learn: whether an address refuses connections,
    /// drops them or answers something else is in the log alone.
    #[error("node {peer} gave no answer that can be used; the log of this node says why")]
    NoAnswer {
        /// The node concerned.
        peer: String,
    },
    /// The node refused the request.
    #[error("node {peer} refused: {message} ({code})")]
    Refused {
        /// The node concerned.
        peer: String,
        /// The node's stable reason code.
        code: String,
        /// The node's explanation.
        message: String,
    },
    /// The node's answer cannot be understood.
    #[error("node {peer} sent an answer that cannot be decoded: {detail}")]
    Unintelligible {
        /// The node concerned.
        peer: String,
        /// What is wrong with the answer.
        detail: String,
    },
    /// The node has neither a gRPC port nor a Handle port.
    #[error(
        "node {peer} offers neither gRPC nor the Handle protocol; add the port of one of them to its site, or query the \
         node with another protocol"
    )]
    Nowhere {
        /// The node concerned.
        peer: String,
    },
    /// No certificate authority is configured, so that the node's certificate cannot be checked.
    #[error("certificate of node {peer} cannot be checked: name the PEM file of its authority in {key}")]
    NoAuthority {
        /// The node concerned.
        peer: String,
        /// The configuration key to set.
        key: &'static str,
    },
    /// The address, the name or the authority of a node cannot be used.
    #[error("node {peer} cannot be called as configured: {detail}")]
    Configured {
        /// The node concerned.
        peer: String,
        /// What is wrong, and what to write instead.
        detail: String,
    },
    /// The token for the node cannot be read.
    #[error("token for node {peer} cannot be read from {}: {detail}", path.display())]
    Token {
        /// The node concerned.
        peer: String,
        /// Path of the token file.
        path: PathBuf,
        /// The cause.
        detail: String,
    },
}

impl PeerError {
    /// Returns the stable reason code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::LeftAlone { .. } | Self::NoAnswer { .. } => "PEER_UNREACHABLE",
            Self::DeadlinePassed { .. } => "PEER_TOO_SLOW",
            Self::Refused { .. } => "PEER_REFUSED",
            Self::Unintelligible { .. } => "PEER_UNINTELLIGIBLE",
            Self::Nowhere { .. } => "PEER_NOWHERE",
            Self::NoAuthority { .. } => "PEER_NO_AUTHORITY",
            Self::Configured { .. } => "PEER_CONFIGURED",
            Self::Token { .. } => "PEER_TOKEN",
        }
    }

    /// Returns the node concerned.
    pub fn peer(&self) -> &str {
        match self {
            Self::Unreachable { peer, .. }
            | Self::LeftAlone { peer, .. }
            | Self::DeadlinePassed { peer }
            | Self::NoAnswer { peer }
            | Self::Refused { peer, .. }
            | Self::Unintelligible { peer, .. }
            | Self::Nowhere { peer }
            | Self::NoAuthority { peer, .. }
            | Self::Configured { peer, .. }
            | Self::Token { peer, .. } => peer,
        }
    }

    /// Returns the reason code that the other node gave, when it refused.
    pub fn refused_as(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Returns the error as callers see it, who may be anybody and may have chosen the address: what happened at the address
    /// is left out.
    pub(super) fn for_callers(self) -> Self {
        match self {
            Self::Unreachable { peer, .. }
            | Self::LeftAlone { peer, .. }
            | Self::DeadlinePassed { peer }
            | Self::Unintelligible { peer, .. } => Self::NoAnswer { peer },
            other @ (Self::NoAnswer { .. }
            | Self::Refused { .. }
            | Self::Nowhere { .. }
            | Self::NoAuthority { .. }
            | Self::Configured { .. }
            | Self::Token { .. }) => other,
        }
    }

    /// Returns whether the node was unreachable, so that another address may be tried.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::LeftAlone { .. } | Self::DeadlinePassed { .. })
    }
}
