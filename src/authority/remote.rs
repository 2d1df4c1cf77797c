//! Records of other nodes: what they show to everybody, read through the federation.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::federation::error::PeerError;
use crate::federation::follow::{FollowError, Follower};
use crate::federation::question::{PeerAnswer, PeerQuestion, PeerTarget};
use crate::model::identifier::{Identifier, Prefix};
use crate::model::position::Incarnation;
use crate::model::prefix::Homing;
use crate::model::value::{Index, Value, ValueType};
use crate::store::directory::Directory;

/// Longest time that reading records of other nodes may take for one decision or one proof.
pub(super) const ELSEWHERE_MAX: Duration = Duration::from_secs(5);

/// How records of other nodes are read.
#[derive(Clone, Default)]
pub enum RemoteOptions {
    /// Records of other nodes are not read; only those of this node count.
    #[default]
    Unread,
    /// Records are read by questions to the nodes that hold them.
    Asked(Follower),
    /// Records are supplied by a function of a test.
    #[cfg(test)]
    Stub(Stub),
}

/// Stands for all other nodes in a test: returns the administrators and lists of an identifier.
#[cfg(test)]
pub(crate) type Stub = Arc<
    dyn Fn(Identifier) -> futures_util::future::BoxFuture<'static, Result<Vec<Value>, String>> + Send + Sync,
>;

/// Reads records of other nodes.
#[derive(Clone)]
pub(super) struct RemoteRecords(Arc<RemoteOptions>);

/// Which values of which identifier another node is asked for.
pub(super) struct RemoteQuestion {
    pub(super) identifier: Identifier,
    pub(super) indexes: Vec<Index>,
    pub(super) types: Vec<ValueType>,
    /// The node that asks.
    pub(super) own: Incarnation,
    /// Time at which reading ends.
    pub(super) deadline: Instant,
}

/// Why a record of another node was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    /// This node asks no other nodes.
    #[error("this node asks no other nodes; the node of prefix {0} has it")]
    NotAsked(Prefix),
    /// No node is known to have it.
    #[error("no node is known to have it")]
    NoNode,
    /// The other nodes gave no answer.
    #[error(transparent)]
    Follow(FollowError),
    /// A test said so.
    #[cfg(test)]
    #[error("{0}")]
    Stub(String),
}

impl RemoteError {
    /// Whether it is certain that no other node shows the record; otherwise one may, which could not be asked.
    pub(super) fn means_no_record(&self) -> bool {
        match self {
            Self::NotAsked(_) | Self::NoNode => true,
            Self::Follow(FollowError::Peer(PeerError::Nowhere { .. })) => true,
            Self::Follow(_) => false,
            #[cfg(test)]
            Self::Stub(_) => false,
        }
    }
}

impl RemoteRecords {
    pub(super) fn new(options: RemoteOptions) -> Self {
        Self(Arc::new(options))
    }

    /// Whether other nodes are asked at all.
    pub(super) fn are_read(&self) -> bool {
        !matches!(*self.0, RemoteOptions::Unread)
    }

    /// Reads values that another node shows to everybody; none where the node has no such record.
    pub(super) async fn read(
        &self,
        question: RemoteQuestion,
        directory: &Directory,
    ) -> Result<Vec<Value>, RemoteError> {
        let governing = directory.governing(&question.identifier.governing_prefix());
        let follower = match &*self.0 {
            RemoteOptions::Asked(follower) => follower,
            RemoteOptions::Unread => {
                return Err(governing
                    .map_or(RemoteError::NoNode, |entry| RemoteError::NotAsked(entry.prefix.clone())));
            }
            #[cfg(test)]
            RemoteOptions::Stub(stub) => return stub(question.identifier).await.map_err(RemoteError::Stub),
        };
        let target = match governing.map(|entry| &entry.homing) {
            Some(Homing::Delegated(site)) => PeerTarget::Site(site.clone()),
            None if follower.has_upper() => PeerTarget::Upper,
            Some(Homing::Here) | None => return Err(RemoteError::NoNode),
        };
        let RemoteQuestion { identifier, indexes, types, own, deadline } = question;
        let question = PeerQuestion { identifier, indexes, types, path: vec![own] };
        match follower.follow(target, &question, Some(deadline)).await.map_err(RemoteError::Follow)? {
            PeerAnswer::Values(found) => Ok(found.values),
            PeerAnswer::NoIdentifier | PeerAnswer::NoValues => Ok(Vec::new()),
            PeerAnswer::Unknown | PeerAnswer::Elsewhere { .. } => Err(RemoteError::NoNode),
        }
    }
}
