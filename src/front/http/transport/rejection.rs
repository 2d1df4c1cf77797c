//! Rejections by the transport itself, the same for every face.
//!
//! A rejection travels within the response, so that the face renders it in its own form; without a face it is a line of text.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::authority::credential::Unproven;
use crate::front::handle_semantics::proof::sentence_of;
use crate::front::listen::budget::BudgetSpent;
use crate::model::refusal::{Failure, Problem, Refusal};

/// Why the transport does not pass a request on, or does not wait for its answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::front::http) enum Rejection {
    /// The request is malformed.
    #[error("{reason}")]
    Malformed {
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// The method is not offered at the path; the header `Allow` says which are.
    #[error("Unknown HTTP API endpoint {endpoint}; the header Allow names the methods it takes")]
    MethodNotAllowed {
        /// Method and path of the request.
        endpoint: String,
    },
    /// The body is larger than any record.
    #[error("the body has more than {max} bytes")]
    TooLarge {
        /// Largest number of bytes that is accepted.
        max: usize,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The content type of the body is not accepted.
    #[error("the body must be {accepted}; send it with Content-Type: {accepted}")]
    UnsupportedMediaType {
        /// The content type that is accepted.
        accepted: &'static str,
    },
    /// The body has a content coding, and none is accepted.
    #[error("the body must be sent without Content-Encoding")]
    UnsupportedEncoding,
    /// The body has a transfer coding beside chunked.
    #[error("the body must be sent without a transfer coding, or chunked alone")]
    UnknownTransferCoding,
    /// The caller must prove who it is, or its credentials cannot be read.
    #[error("{}", complaint.as_deref().unwrap_or("authentication is required"))]
    AuthenticationNeeded {
        /// What is wrong with the credentials that were presented.
        complaint: Option<String>,
    },
    /// The proof of an identity was judged and is not accepted.
    #[error("{}", sentence_of(.0))]
    Unproven(Unproven),
    /// A page of another origin sent a command with credentials that the browser adds by itself.
    #[error(
        "a page of another origin sent this command with a password or certificate that the browser adds by itself; \
         use a token or a Handle session, or send it from a page of this host"
    )]
    CrossOrigin,
    /// The core refused while it determined the caller.
    #[error(transparent)]
    Refused(Refusal),
    /// The node failed, or has no capacity.
    #[error(transparent)]
    Failed(Failure),
    /// The memory that requests and answers may take is in use.
    #[error(transparent)]
    MemorySpent(BudgetSpent),
    /// All slots for connections are taken; those that are reserved serve health, readiness and metrics alone.
    #[error("too many connections are open; try again in a few seconds")]
    TooManyConnections,
    /// The request exceeded its time limit.
    #[error("the answer took too long; nothing was changed")]
    TooLate,
}

impl Rejection {
    /// The rejection of a malformed request.
    pub(in crate::front::http) fn malformed(reason: &str) -> Self {
        Self::Malformed { reason: reason.to_owned() }
    }

    /// What is wrong with the credentials that were presented, where that is the reason.
    pub(in crate::front::http) fn complaint(&self) -> Option<String> {
        match self {
            Self::AuthenticationNeeded { complaint } => complaint.clone(),
            Self::Unproven(_) => Some(self.to_string()),
            Self::Malformed { .. }
            | Self::MethodNotAllowed { .. }
            | Self::TooLarge { .. }
            | Self::TooSlow
            | Self::UnsupportedMediaType { .. }
            | Self::UnsupportedEncoding
            | Self::UnknownTransferCoding
            | Self::CrossOrigin
            | Self::Refused(_)
            | Self::Failed(_)
            | Self::MemorySpent(_)
            | Self::TooManyConnections
            | Self::TooLate => None,
        }
    }

    /// The status of what the transport itself refuses; none where it follows from the core's reason.
    pub(in crate::front::http) fn status(&self) -> Option<StatusCode> {
        Some(match self {
            Self::Malformed { .. } => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType { .. } | Self::UnsupportedEncoding => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::UnknownTransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::AuthenticationNeeded { .. } | Self::Unproven(_) => StatusCode::UNAUTHORIZED,
            Self::CrossOrigin => StatusCode::FORBIDDEN,
            Self::TooLate | Self::TooManyConnections | Self::MemorySpent(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Refused(_) | Self::Failed(_) => return None,
        })
    }

    /// Adds the headers by which a client learns what would be taken (RFC 9110 section 15.5.16).
    pub(in crate::front::http) fn add_headers(&self, response: &mut Response) {
        let (name, value) = match self {
            Self::UnsupportedMediaType { accepted } => (header::ACCEPT, *accepted),
            Self::UnsupportedEncoding => (header::ACCEPT_ENCODING, "identity"),
            Self::Failed(Failure::Overloaded) | Self::MemorySpent(_) => (header::RETRY_AFTER, "1"),
            Self::TooManyConnections => (header::RETRY_AFTER, "5"),
            _ => return,
        };
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let status = self.status().unwrap_or(match self {
            Self::Failed(Failure::Bug { .. }) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        });
        let mut response = (status, format!("{self}\n")).into_response();
        self.add_headers(&mut response);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Unproven> for Rejection {
    fn from(unproven: Unproven) -> Self {
        match unproven {
            Unproven::Failed(failure) => Self::Failed(failure),
            other @ (Unproven::NoKey { .. }
            | Unproven::Wrong { .. }
            | Unproven::Unusable { .. }
            | Unproven::Unreachable { .. }) => Self::Unproven(other),
        }
    }
}

impl From<BudgetSpent> for Rejection {
    fn from(spent: BudgetSpent) -> Self {
        Self::MemorySpent(spent)
    }
}

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Problem> for Rejection {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Refused(refusal) => Self::Refused(refusal),
            Problem::Failed(failure) => Self::Failed(failure),
        }
    }
}
