//! Follows referrals from node to node until one answers.
//!
//! ```text
//!   target ── ask ─▶ values, absent, unknown            done
//!     ▲        └───▶ referral to a site not asked yet ─┐
//!     └────────────────────────────────────────────────┘
//! ```
//! The question carries the incarnations of the nodes that passed it on. It ends at a node that was asked before, at the
//! depth bound, and at the deadline that all nodes share.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::limits::RECURSION_DEPTH_MAX;

use super::Federation;
use super::error::PeerError;
use super::question::{PeerAnswer, PeerQuestion, PeerTarget};

/// Reason code: the question returned to a node that had passed it on.
const LOOP: &str = "RECURSION_LOOP";
/// Reason code: the question was passed on too often.
pub(super) const TOO_DEEP: &str = "RECURSION_TOO_DEEP";

/// Why a question has no answer after all referrals were followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The question returned to a node that had passed it on.
    #[error(
        "the question came back to a node that had passed it on: a prefix is delegated to a site that passes \
         questions up again; have the site of that delegation corrected"
    )]
    Loop,
    /// The question was passed on too often.
    #[error("the question was passed on by {RECURSION_DEPTH_MAX} nodes without an answer")]
    TooDeep,
    /// Another node refused, or gave no answer.
    #[error(transparent)]
    Peer(PeerError),
}

impl FollowError {
    /// Returns the stable reason code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Loop => LOOP,
            Self::TooDeep => TOO_DEEP,
            Self::Peer(error) => error.code(),
        }
    }
}

impl From<PeerError> for FollowError {
    fn from(error: PeerError) -> Self {
        match error.refused_as() {
            Some(LOOP) => Self::Loop,
            Some(TOO_DEEP) => Self::TooDeep,
            _ => Self::Peer(error.for_callers()),
        }
    }
}

//----------- Follower -------------------------------------------------------

/// Asks other nodes, one referral after the other. Clones share the federation.
#[derive(Clone)]
pub struct Follower {
    /// The client of the other nodes.
    pub federation: Arc<Federation>,
    /// Longest time spent on one question.
    pub question_max: Duration,
}

impl Follower {
    /// Returns whether there is an upper node that can be asked.
    pub fn has_upper(&self) -> bool {
        self.federation.upper().is_some()
    }

    /// Asks the target, then each site that it and the next ones refer to. Never returns [`PeerAnswer::Elsewhere`]. Ends by
    /// the deadline, or after `question_max`. Safe to drop.
    pub async fn follow(
        &self,
        mut target: PeerTarget,
        question: &PeerQuestion,
        deadline: Option<Instant>,
    ) -> Result<PeerAnswer, FollowError> {
        let latest = Instant::now() + self.question_max;
        let deadline = deadline.map_or(latest, |deadline| deadline.min(latest));
        let depth_max = usize::try_from(RECURSION_DEPTH_MAX).unwrap_or(usize::MAX);
        let mut visited: Vec<PeerTarget> = Vec::new();
        loop {
            if visited.contains(&target) {
                return Err(FollowError::Loop);
            }
            if question.path.len() + visited.len() > depth_max {
                return Err(FollowError::TooDeep);
            }
            let answer = self.federation.ask(&target, question, deadline).await?;
            let PeerAnswer::Elsewhere { site, .. } = answer else {
                return Ok(answer);
            };
            visited.push(std::mem::replace(&mut target, PeerTarget::Site(site)));
        }
    }
}
