//! Recursion: asking other nodes for a caller that desires it.
//!
//! ```text
//!   answer here ─▶ values, absent                                  done
//!              ├▶ referral ───────── ask down ─▶ values, absent    done, not authoritative
//!              │                       ▲    └──▶ referral ─┐
//!              │                       └───────────────────┘
//!              └▶ not responsible ── ask up ──▶ the same
//! ```
//! The question carries the incarnations of the nodes that passed it on. A node that finds its own among them ends it;
//! so do the depth bound and the deadline that all nodes share. What this node itself holds is answered whatever happens to
//! the others.
//!
//! A site that gives no answer, or that this node cannot ask, is what the caller is referred to: the caller may be able to
//! reach it. Only a caller that cannot be referred gets the error.

use tokio::time::Instant;

use crate::authority::caller::Caller;
use crate::authority::visibility::Withheld;
use crate::federation::error::PeerError;
use crate::federation::follow::{FollowError, Follower};
use crate::federation::question::{PeerAnswer, PeerQuestion, PeerTarget};
use crate::model::limits::RECURSION_DEPTH_MAX;
use crate::model::position::Incarnation;
use crate::model::refusal::Problem;

use super::Resolver;
use super::answer::{Absence, Answer, Found, NotResponsible, Question, Referral};

/// The path of a question so far, and the time until which its caller waits.
#[derive(Clone, Debug, Default)]
pub struct Recursion {
    /// Time at which the caller stops waiting; none when it is not stated.
    pub deadline: Option<Instant>,
    /// The nodes that passed the question on so far, where the protocol names them.
    pub path: Vec<Incarnation>,
    /// How often the question was passed on by nodes that the path does not name.
    pub unnamed: u32,
}

/// Why a question that went to other nodes has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// This node itself refused or failed.
    #[error(transparent)]
    Here(#[from] Problem),
    /// The question returned to a node that had passed it on.
    #[error("{}", FollowError::Loop)]
    Loop,
    /// The question was passed on too often.
    #[error("{}", FollowError::TooDeep)]
    TooDeep,
    /// Another node refused, or gave no answer.
    #[error(transparent)]
    Peer(PeerError),
}

impl Unanswered {
    /// Stable code of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Here(Problem::Refused(refusal)) => refusal.code(),
            Self::Here(Problem::Failed(failure)) => failure.code(),
            Self::Loop => FollowError::Loop.code(),
            Self::TooDeep => FollowError::TooDeep.code(),
            Self::Peer(error) => error.code(),
        }
    }
}

impl From<FollowError> for Unanswered {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Loop => Self::Loop,
            FollowError::TooDeep => Self::TooDeep,
            FollowError::Peer(error) => Self::Peer(error),
        }
    }
}

/// The referral to a site that gave no answer, with the reason. What another node refused is final.
fn refer_instead(own: Answer, unanswered: Unanswered) -> Result<Answer, Unanswered> {
    let is_final = match &unanswered {
        Unanswered::Peer(error) => error.refused_as().is_some(),
        Unanswered::Here(_) | Unanswered::Loop | Unanswered::TooDeep => true,
    };
    match own {
        Answer::Referral(referral) if !is_final => {
            Ok(Answer::Referral(Referral { unanswered: Some(Box::new(unanswered)), ..referral }))
        }
        _ => Err(unanswered),
    }
}

impl Resolver {
    /// Lets the resolver ask other nodes.
    pub fn with_follower(self, follower: Follower) -> Self {
        Self { follower: Some(follower), ..self }
    }

    /// Answers a question, asking other nodes where this one has no answer of its own and recursion is allowed.
    pub async fn recurse(
        &self,
        caller: &Caller,
        question: &Question,
        recursion: Recursion,
    ) -> Result<Answer, Unanswered> {
        let Some(follower) = &self.follower else {
            return Ok(self.answer(caller, question).await?);
        };
        if let Some(site) = self.site_below(question) {
            let (target, whole) = Self::question_below(site, &question.identifier);
            let below = self.follow(follower, target, &whole, recursion).await;
            return self.complete(caller, question, below).await;
        }
        let answer = self.answer(caller, question).await?;
        let target = match &answer {
            Answer::Referral(referral) => PeerTarget::Site(referral.site.clone()),
            Answer::NotResponsible(_) if follower.has_upper() => PeerTarget::Upper,
            Answer::NotResponsible(_) | Answer::Values(_) | Answer::Absent(_) => return Ok(answer),
        };
        match self.follow(follower, target, question, recursion).await {
            Ok(found) => Ok(self.answer_of_peer(found)),
            Err(unanswered) => refer_instead(answer, unanswered),
        }
    }

    /// Asks other nodes, this one being the last that passed the question on.
    async fn follow(
        &self,
        follower: &Follower,
        target: PeerTarget,
        question: &Question,
        recursion: Recursion,
    ) -> Result<PeerAnswer, Unanswered> {
        let own = self.store.head().incarnation;
        let Recursion { deadline, mut path, unnamed } = recursion;
        if path.contains(&own) {
            return Err(Unanswered::Loop);
        }
        if unnamed >= RECURSION_DEPTH_MAX {
            return Err(Unanswered::TooDeep);
        }
        path.push(own);
        let Question { identifier, indexes, types } = question.clone();
        let question = PeerQuestion { identifier, indexes, types, path };
        Ok(follower.follow(target, &question, deadline).await?)
    }

    /// What another node answered, as this node's answer.
    fn answer_of_peer(&self, answer: PeerAnswer) -> Answer {
        match answer {
            PeerAnswer::Values(found) => Answer::Values(Found {
                identifier: found.identifier,
                version: found.version,
                values: found.values,
                changed_ms: found.changed_ms,
                authoritative: false,
                withheld: Withheld::Nothing,
            }),
            PeerAnswer::NoIdentifier => Answer::Absent(Absence::Identifier),
            PeerAnswer::NoValues => Answer::Absent(Absence::Values(Withheld::Nothing)),
            PeerAnswer::Elsewhere { .. } | PeerAnswer::Unknown => {
                Answer::NotResponsible(NotResponsible { upper: self.options.upper.clone() })
            }
        }
    }
}
