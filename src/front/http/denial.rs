//! Why a request is not fulfilled: the core's reasons, and those of this door.

use super::value_json::Wrong;
use crate::front::handle_semantics::question::Hidden;
use crate::model::identifier::IdentifierError;
use crate::model::value::ValueError;
use crate::registry::refusal::{Failure, Problem, Refusal};
use crate::resolver::recursion::Unanswered;

//----------- Denial ---------------------------------------------------------

/// Why a request is not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Denial {
    /// The core refused.
    #[error(transparent)]
    Refused(Refusal),
    /// The core failed.
    #[error(transparent)]
    Failed(Failure),
    /// Another node was asked in vain.
    #[error(transparent)]
    Unanswered(Unanswered),
    /// This door refuses.
    #[error(transparent)]
    Here(DoorRefusal),
}

/// What this door refuses by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DoorRefusal {
    /// The request is of another shape.
    #[error("{reason}")]
    Malformed {
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The body is larger than any record.
    #[error("the body has more than {max} bytes")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// The body did not come.
    #[error("the body did not come in time")]
    TooSlow,
    /// The path names no identifier.
    #[error("Empty handle invalid")]
    EmptyHandle,
    /// The path is not of the API.
    #[error("Unknown HTTP API endpoint {endpoint}")]
    UnknownEndpoint {
        /// Verb and path.
        endpoint: String,
    },
    /// The path does not take this verb.
    #[error("Unknown HTTP API endpoint {endpoint}; it takes {allow}")]
    VerbNotAllowed {
        /// Verb and path.
        endpoint: String,
        /// The verbs that it takes.
        allow: &'static str,
    },
    /// The caller must prove who it is, or its proof is not accepted.
    #[error("{}", complaint.as_deref().unwrap_or("this needs a caller that proves who it is"))]
    AuthenticationNeeded {
        /// What is wrong with the proof that was shown.
        complaint: Option<String>,
    },
    /// A page of another origin commands with what its visitor's browser shows by itself.
    #[error(
        "a page of another origin sent this command with the browser's own password or certificate, and it was refused; \
         prove yourself by a token or a Handle session, or send it from a page of this host"
    )]
    ForeignPage,
    /// Values asked for are hidden from the caller.
    #[error("{}", hidden_from(*.0))]
    Hidden(Hidden),
    /// Another service answers, and the caller wishes no referral.
    #[error("this node is not responsible for the handle")]
    NotResponsible,
    /// What is asked for is not offered by this node.
    #[error("{what} is not offered by this node")]
    NotOffered {
        /// What.
        what: &'static str,
    },
    /// The path names neither a handle nor anything else.
    #[error("nothing stands here: see /openapi.json, /healthz, /readyz, /metrics, or name a handle")]
    NoPage,
    /// The answer took too long.
    #[error("the answer took too long; nothing is known of its outcome")]
    TooLate,
}

fn hidden_from(hidden: Hidden) -> &'static str {
    match hidden {
        Hidden::FromAll => "values asked for may be read by nobody",
        Hidden::UntilProof | Hidden::FromCaller => {
            "values asked for may be read by administrators with the permission to read values, and the caller is none"
        }
    }
}

impl Denial {
    /// A request of another shape.
    pub(super) fn malformed(reason: &str) -> Self {
        Self::Here(DoorRefusal::Malformed { reason: reason.to_owned() })
    }

    /// A proof that is missing or not accepted.
    pub(super) fn unproven(complaint: Option<String>) -> Self {
        Self::Here(DoorRefusal::AuthenticationNeeded { complaint })
    }
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for Denial {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Problem> for Denial {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Refused(refusal) => Self::Refused(refusal),
            Problem::Failed(failure) => Self::Failed(failure),
        }
    }
}

impl From<Unanswered> for Denial {
    fn from(unanswered: Unanswered) -> Self {
        Self::Unanswered(unanswered)
    }
}

impl From<DoorRefusal> for Denial {
    fn from(refusal: DoorRefusal) -> Self {
        Self::Here(refusal)
    }
}

impl From<IdentifierError> for Denial {
    fn from(error: IdentifierError) -> Self {
        Self::Refused(Refusal::IdentifierMalformed(error))
    }
}

impl From<ValueError> for Denial {
    fn from(error: ValueError) -> Self {
        Self::Refused(Refusal::ValueInvalid(error))
    }
}

impl From<Wrong> for Denial {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Shape(reason) => Self::Here(DoorRefusal::Malformed { reason }),
            Wrong::Value(error) => error.into(),
            // An identifier within a value makes the value invalid, not the identifier asked about.
            Wrong::Identifier(error) => Self::Here(DoorRefusal::Malformed { reason: error.to_string() }),
        }
    }
}
