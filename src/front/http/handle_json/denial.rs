//! Reasons for which a face that shows handles denies a request: those of the core, of the transport, and its own.
//!
//! A denial travels within the response; the renderer around the routes writes it, in the form that the request wishes.

use axum::response::{IntoResponse, Response};

use super::json::shape::Wrong;
use super::reply;
use crate::authority::credential::Unproven;
use crate::front::handle_semantics::proof::sentence_of;
use crate::front::handle_semantics::question::Hidden;
use crate::front::http::transport::rejection::Rejection;
use crate::model::identifier::IdentifierError;
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::value::ValueError;
use crate::resolver::recursion::Unanswered;

//----------- Denial ---------------------------------------------------------

/// Why a request is not fulfilled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::front::http) enum Denial {
    /// The core refused.
    #[error(transparent)]
    Refused(Refusal),
    /// The core failed.
    #[error(transparent)]
    Failed(Failure),
    /// Another node was asked and gave no answer.
    #[error(transparent)]
    Unanswered(Unanswered),
    /// The transport refused.
    #[error(transparent)]
    Rejected(Rejection),
    /// The API itself refused.
    #[error(transparent)]
    Here(ApiRefusal),
}

/// A refusal that only the API makes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::front::http) enum ApiRefusal {
    /// The path names no identifier.
    #[error("Empty handle invalid")]
    EmptyHandle,
    /// The API has no operation at this path.
    #[error("Unknown HTTP API endpoint {endpoint}")]
    UnknownEndpoint {
        /// Method and path of the request.
        endpoint: String,
    },
    /// An answer to the challenge of another server cannot be judged.
    #[error("{}", sentence_of(.0))]
    Unverifiable(Unproven),
    /// Values asked for are hidden from the caller.
    #[error("{}", hidden_from(*.0))]
    Hidden(Hidden),
    /// Another service answers, and the caller wishes no referral.
    #[error("this node is not responsible for the handle")]
    NotResponsible,
    /// What is asked for is not offered by this node.
    #[error("{what} is not offered by this node")]
    NotOffered {
        /// Name of the operation that is not offered.
        what: &'static str,
    },
    /// The path names neither a handle nor anything else.
    #[error(
        "there is nothing at this path: see /openapi.json, /healthz, /readyz, /metrics, or name a handle"
    )]
    NoPage,
    /// The record is not in the state that the request is conditioned on.
    #[error("{}", unmet(present))]
    ConditionFailed {
        /// Description of the present state.
        present: Refusal,
    },
    /// The representation is not the one that a read is conditioned on.
    #[error("the representation is not the one that If-Match names; read it again")]
    RepresentationChanged,
}

/// The sentence about a condition that does not hold, by the present state.
fn unmet(present: &Refusal) -> &'static str {
    match present {
        Refusal::AlreadyExists { .. } => {
            "the identifier exists, and If-None-Match: * asks that it does not; leave the header out to change what exists"
        }
        Refusal::Absent => "the identifier is not registered, and If-Match asks that it is",
        _ => {
            "the record is not in a state that If-Match names, or is in one that If-None-Match names; read it again \
             for its ETag"
        }
    }
}

fn hidden_from(hidden: Hidden) -> &'static str {
    match hidden {
        Hidden::FromAll => "some of the values may not be read by anybody",
        Hidden::UntilProof | Hidden::FromCaller => {
            "some of the values are visible only to administrators with the permission to read values, and the \
             caller is not one"
        }
    }
}

impl Denial {
    /// Denies a malformed request.
    pub(in crate::front::http) fn malformed(reason: &str) -> Self {
        Self::Rejected(Rejection::malformed(reason))
    }
}

impl IntoResponse for Denial {
    fn into_response(self) -> Response {
        let mut response = reply::unwritten();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Rejection> for Denial {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Refused(refusal) => Self::Refused(refusal),
            Rejection::Failed(failure) => Self::Failed(failure),
            other => Self::Rejected(other),
        }
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

impl From<ApiRefusal> for Denial {
    fn from(refusal: ApiRefusal) -> Self {
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
            Wrong::Shape(reason) => Self::malformed(&reason),
            Wrong::Value(error) => error.into(),
            // An identifier within a value makes the value invalid, not the identifier asked about.
            Wrong::Identifier(error) => Self::malformed(&error.to_string()),
        }
    }
}
