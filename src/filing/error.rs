//! Errors that interrupt or end filing; each says what the operator can do.

use crate::federation::error::PeerError;
use crate::model::position::Position;
use crate::store::error::Error;

/// Why filing over one connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum FilingError {
    /// The upper node refused or cannot be reached.
    #[error("{}{}", .0, advice(.0))]
    Peer(PeerError),
    /// The store of this node failed.
    #[error("the store failed: {0}")]
    Store(Error),
    /// The upper node sends no acknowledgement.
    #[error("the upper node sends no acknowledgements, although the connection is open")]
    Silent,
    /// The upper node's store was restored after the announcement.
    #[error("the upper node was restored; this node announces itself again")]
    UpperRestored,
    /// The journal was pruned while it was read.
    #[error("the journal was pruned beyond what was filed; the present state is filed instead")]
    Pruned,
    /// The upper node confirmed a later entry than this store holds.
    #[error(
        "the upper node confirmed entry {} of the journal, but it ends at {}: this store has lost its \
         latest entries; see `idnode store accept-loss`, after which filing starts again",
        .confirmed.sequence, .head.sequence
    )]
    Ahead {
        /// Position that the upper node confirmed.
        confirmed: Position,
        /// Last position of this store.
        head: Position,
    },
}

impl FilingError {
    /// Returns whether filing must not be retried with this incarnation of the store.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Peer(error) if error.refused_as() == Some("INCARNATION_SUPERSEDED"))
    }
}

/// Returns what the operator of this node can do about a refusal.
fn advice(error: &PeerError) -> &'static str {
    match error.refused_as() {
        Some("INCARNATION_SUPERSEDED") => {
            "; another copy of this node's store, restored later, has filed: stop whichever of the two is not wanted"
        }
        Some("INCARNATION_FORKED") => {
            "; stop the other store if this one is the right one, then ask the operator of the upper node for the reset"
        }
        Some("INCARNATION_AHEAD") => {
            "; if this node's store began under a wrong clock, ask the operator of the upper node to reset its peer token \
             with `idnode token reset-peer`"
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
