//! Recursion: asking other nodes for a caller that wishes it.
//!
//! ```text
//!   answer here ─▶ values, absent                                  done
//!              ├▶ referral ───────── ask down ─▶ values, absent    done, not authoritative
//!              │                       ▲    └──▶ referral ─┐
//!              │                       └───────────────────┘
//!              └▶ not responsible ── ask up ──▶ the same
//! ```
//! The question carries the incarnations of the nodes that passed it on. A node that finds its own among them ends it;
//! so does the depth bound, and the deadline that all nodes share. What this node keeps itself is answered whatever
//! happens to the others.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::federation::error::PeerError;
use crate::federation::question::{Asked, Told};
use crate::federation::{Federation, Target};
use crate::model::limits::RECURSION_DEPTH_MAX;
use crate::model::position::Incarnation;
use crate::registry::caller::Caller;
use crate::registry::refusal::Problem;

use super::Resolver;
use super::answer::{Absence, Answer, Found, NotResponsible, Question, Withheld};

/// The reason of a question that came back to where it had been.
const LOOP: &str = "RECURSION_LOOP";
/// The reason of a question that was passed on too often.
const TOO_DEEP: &str = "RECURSION_TOO_DEEP";

/// How a question came here and until when its caller waits.
#[derive(Clone, Debug, Default)]
pub struct Recursion {
    /// When the caller stops waiting; none when it does not say.
    pub deadline: Option<Instant>,
    /// The nodes that passed the question on so far.
    pub path: Vec<Incarnation>,
}

/// Whom the resolver asks onward, and for how long.
#[derive(Clone)]
pub(super) struct Onward {
    pub(super) federation: Arc<Federation>,
    pub(super) longest: Duration,
}

/// Why a question that went onward has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// This node itself refused or failed.
    #[error(transparent)]
    Here(#[from] Problem),
    /// The question came back to a node that had passed it on.
    #[error(
        "the question came back to a node that had passed it on: a delegation points up again; have its site corrected"
    )]
    Loop,
    /// The question was passed on too often.
    #[error("the question was passed on by {RECURSION_DEPTH_MAX} nodes without an answer")]
    TooDeep,
    /// Another node refused, or gave no answer.
    #[error(transparent)]
    Peer(PeerError),
}

impl Unanswered {
    /// Its stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Here(Problem::Refused(refusal)) => refusal.code(),
            Self::Here(Problem::Failed(failure)) => failure.code(),
            Self::Loop => LOOP,
            Self::TooDeep => TOO_DEEP,
            Self::Peer(error) => error.code(),
        }
    }
}

impl From<PeerError> for Unanswered {
    fn from(error: PeerError) -> Self {
        match error.refused_as() {
            Some(LOOP) => Self::Loop,
            Some(TOO_DEEP) => Self::TooDeep,
            _ => Self::Peer(error),
        }
    }
}

impl Resolver {
    /// Lets the resolver ask other nodes, for at most so long a question.
    pub fn with_federation(self, federation: Arc<Federation>, longest: Duration) -> Self {
        Self { onward: Some(Onward { federation, longest }), ..self }
    }

    /// Answers a question, asking other nodes where this one has no answer of its own and recursion is allowed.
    pub async fn recurse(
        &self,
        caller: &Caller,
        question: &Question,
        recursion: Recursion,
    ) -> Result<Answer, Unanswered> {
        let answer = self.answer(caller, question).await?;
        let Some(onward) = &self.onward else {
            return Ok(answer);
        };
        let target = match &answer {
            Answer::Referral(referral) => Target::Site(referral.site.clone()),
            Answer::NotResponsible(_) if onward.federation.upper().is_some() => Target::Upper,
            Answer::NotResponsible(_) | Answer::Values(_) | Answer::Absent(_) => return Ok(answer),
        };
        let own = self.store.head().incarnation;
        let Recursion { deadline, mut path } = recursion;
        if path.contains(&own) {
            return Err(Unanswered::Loop);
        }
        path.push(own);
        let longest = Instant::now() + onward.longest;
        let deadline = deadline.map_or(longest, |deadline| deadline.min(longest));
        let Question { identifier, indexes, types } = question.clone();
        self.follow(&onward.federation, target, Asked { identifier, indexes, types, path }, deadline).await
    }

    /// Asks, and goes where it is referred to.
    async fn follow(
        &self,
        federation: &Arc<Federation>,
        target: Target,
        asked: Asked,
        deadline: Instant,
    ) -> Result<Answer, Unanswered> {
        let depth_max = usize::try_from(RECURSION_DEPTH_MAX).unwrap_or(usize::MAX);
        let mut visited: Vec<Target> = Vec::new();
        let mut target = target;
        loop {
            if visited.contains(&target) {
                return Err(Unanswered::Loop);
            }
            if asked.path.len() + visited.len() > depth_max {
                return Err(Unanswered::TooDeep);
            }
            let told = federation.ask(&target, &asked, deadline).await?;
            let Told::Elsewhere { site, .. } = told else {
                return Ok(self.retell(told));
            };
            visited.push(std::mem::replace(&mut target, Target::Site(site)));
        }
    }

    /// What another node told, as this node's answer.
    fn retell(&self, told: Told) -> Answer {
        match told {
            Told::Values(told) => Answer::Values(Found {
                identifier: told.identifier,
                version: told.version,
                values: told.values,
                changed_ms: told.changed_ms,
                authoritative: false,
                withheld: Withheld::Nothing,
            }),
            Told::NoIdentifier => Answer::Absent(Absence::Identifier),
            Told::NoValues => Answer::Absent(Absence::Values(Withheld::Nothing)),
            Told::Elsewhere { .. } | Told::Unknown => {
                Answer::NotResponsible(NotResponsible { upper: self.options.upper.clone() })
            }
        }
    }
}
