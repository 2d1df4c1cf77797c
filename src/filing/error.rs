//! Why filing breaks off, in words that an operator can act on.

use crate::federation::error::PeerError;
use crate::store::error::Error;

/// Why filing over one connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilingError {
    /// The upper node refused or is not there.
    #[error("{}{}", .0, advice(.0))]
    Peer(PeerError),
    /// Our own store failed.
    #[error("the store failed: {0}")]
    Store(Error),
    /// The upper node says nothing any more.
    #[error("the upper node acknowledges nothing any more, though the connection stands")]
    Silent,
    /// The upper node lives a new life since we announced ourselves.
    #[error("the upper node was restored; this node announces itself anew")]
    Reborn,
    /// The journal was pruned under our eyes.
    #[error("the journal was pruned beyond what was filed; the present state is filed instead")]
    Pruned,
    /// The upper node has confirmed more than this store holds.
    #[error(
        "the upper node confirmed entry {confirmed} of the journal, but it ends at {head}: this store has lost its \
         end; see `idnode store accept-loss`, after which filing begins anew"
    )]
    Ahead {
        /// Confirmed there.
        confirmed: u64,
        /// Held here.
        head: u64,
    },
}

impl FilingError {
    /// Whether filing must never go on in this life of the store.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Peer(error) if error.refused_as() == Some("INCARNATION_SUPERSEDED"))
    }
}

/// What the operator of this node can do about a refusal.
fn advice(error: &PeerError) -> &'static str {
    match error.refused_as() {
        Some("INCARNATION_SUPERSEDED") => {
            "; another copy of this node's store, restored later, has filed: stop whichever of the two is not wanted"
        }
        Some("TOKEN_UNKNOWN" | "TOKEN_EXPIRED" | "TOKEN_REVOKED" | "UNAUTHENTICATED") => {
            "; put a peer token of the upper node into the file that upper.token_file names"
        }
        Some("PERMISSION_DENIED") => {
            "; ask its operator for a token with the scope peer on this node's prefixes"
        }
        Some("TOKEN_IN_PLAIN_TEXT") => "; write https:// in upper.address",
        _ => "",
    }
}

impl From<PeerError> for FilingError {
    fn from(error: PeerError) -> Self {
        Self::Peer(error)
    }
}

impl From<Error> for FilingError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}
