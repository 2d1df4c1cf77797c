//! What is to be said → response codes, bodies and flags: the only place of this door that knows which is which.

use crate::model::identifier::{IdentifierError, Prefix};
use crate::model::value::ValueError;
use crate::registry::refusal::{Failure, Problem, Refusal};
use crate::resolver::recursion::Unanswered;
use crate::wire::cursor::DecodeError;
use crate::wire::handle::body::ErrorText;
use crate::wire::handle::code::{OpFlags, ResponseCode, Version};

//----------- Reply ----------------------------------------------------------

/// What is to be said to a request, before it is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// How it went.
    pub(super) code: ResponseCode,
    /// The body, without the digest of the request.
    pub(super) body: Vec<u8>,
    /// Flags that the reply has beside those of its request.
    pub(super) flags: OpFlags,
    /// Whether this node keeps what it tells.
    pub(super) standing: Standing,
}

/// Whether a reply is of this node's own knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is.
    Authoritative,
    /// Another node told it.
    Retold,
}

impl Reply {
    /// Done.
    pub(super) fn success(body: Vec<u8>) -> Self {
        Self { code: ResponseCode::SUCCESS, body, flags: OpFlags::NONE, standing: Standing::Authoritative }
    }

    /// Not done: a code and a sentence that helps.
    pub(super) fn refuse(code: ResponseCode, sentence: &str) -> Self {
        Self { code, ..Self::success(ErrorText(sentence.as_bytes()).encode()) }
    }
}

//----------- Reasons --------------------------------------------------------

/// A message that cannot be read.
pub(super) fn unreadable(error: &DecodeError) -> Reply {
    Reply::refuse(ResponseCode::PROTOCOL_ERROR, &error.to_string())
}

/// A handle that is no identifier.
pub(super) fn malformed(error: &IdentifierError) -> Reply {
    Reply::refuse(ResponseCode::INVALID_HANDLE, &error.to_string())
}

/// No node above knows more, or none is asked for this caller.
pub(super) fn not_responsible(upper: Option<&str>) -> Reply {
    let sentence = match upper {
        Some(upper) => format!("that prefix is not served here; the node above is {upper}"),
        None => "that prefix is not served here".to_owned(),
    };
    Reply::refuse(ResponseCode::SERVER_NOT_RESPONSIBLE, &sentence)
}

/// Why a question or command was refused or failed.
pub(super) fn problem(problem: &Problem) -> Reply {
    match problem {
        Problem::Refused(reason) => refusal(reason),
        Problem::Failed(reason) => failure(reason),
    }
}

/// The caller's part.
pub(super) fn refusal(refusal: &Refusal) -> Reply {
    let code = match refusal {
        Refusal::IdentifierMalformed(_) => ResponseCode::INVALID_HANDLE,
        Refusal::Absent => ResponseCode::HANDLE_NOT_FOUND,
        Refusal::AlreadyExists { .. } => ResponseCode::HANDLE_ALREADY_EXISTS,
        Refusal::IndexAbsent { .. } => ResponseCode::VALUES_NOT_FOUND,
        Refusal::IndexExists { .. } => ResponseCode::VALUE_ALREADY_EXISTS,
        Refusal::ValueInvalid(error) => return Reply::refuse(of_value_error(error), &refusal.to_string()),
        Refusal::CommandInvalid { .. } => ResponseCode::INVALID_VALUE,
        Refusal::NotResponsible { .. }
        | Refusal::PrefixDelegated { .. }
        | Refusal::PrefixSuspended { .. }
        | Refusal::PrefixRevoked { .. }
        | Refusal::PrefixAbsent { .. } => ResponseCode::SERVER_NOT_RESPONSIBLE,
        Refusal::Unauthenticated => ResponseCode::AUTHENTICATION_NEEDED,
        Refusal::NotAdministrator { .. } => ResponseCode::INVALID_ADMIN,
        Refusal::PermissionDenied { .. } | Refusal::ValueProtected { .. } => {
            ResponseCode::INSUFFICIENT_PERMISSIONS
        }
        Refusal::TokenUnknown
        | Refusal::TokenExpired
        | Refusal::TokenRevoked
        | Refusal::TokenAbsent { .. } => ResponseCode::AUTHENTICATION_FAILED,
        Refusal::SiteInvalid(_)
        | Refusal::RegistrantInvalid(_)
        | Refusal::PrefixHomedHere { .. }
        | Refusal::VersionMismatch { .. }
        | Refusal::RequestConflict
        | Refusal::RequestExpired { .. }
        | Refusal::RequestIdInvalid
        | Refusal::TooManyItems { .. }
        | Refusal::IncarnationSuperseded => ResponseCode::ERROR,
    };
    Reply::refuse(code, &refusal.to_string())
}

/// Our part.
pub(super) fn failure(failure: &Failure) -> Reply {
    let code = match failure {
        Failure::ReadOnly { .. } => ResponseCode::SERVER_READ_ONLY,
        Failure::Overloaded | Failure::Stopping | Failure::Contended => ResponseCode::SERVER_BUSY,
        Failure::AdministratorsUnread { .. } => ResponseCode::UNABLE_TO_AUTHENTICATE,
        Failure::OutcomeUnknown { .. } | Failure::Store { .. } => ResponseCode::ERROR,
    };
    Reply::refuse(code, &failure.to_string())
}

/// Why a question that went onward has no answer.
pub(super) fn unanswered(unanswered: &Unanswered) -> Reply {
    let code = match unanswered {
        Unanswered::Here(here) => return problem(here),
        Unanswered::Loop | Unanswered::TooDeep => ResponseCode::RECURSION_COUNT_TOO_HIGH,
        Unanswered::Peer(_) => ResponseCode::ERROR,
    };
    Reply::refuse(code, &unanswered.to_string())
}

fn of_value_error(error: &ValueError) -> ResponseCode {
    match error {
        ValueError::RepeatedIndex { .. } => ResponseCode::VALUE_ALREADY_EXISTS,
        ValueError::Index { .. }
        | ValueError::Type { .. }
        | ValueError::Permissions { .. }
        | ValueError::PublicSecret { .. }
        | ValueError::TooManyReferences { .. }
        | ValueError::TooMany { .. }
        | ValueError::TooLarge { .. } => ResponseCode::INVALID_VALUE,
    }
}

/// Another site answers: for a prefix below the delegated one, clients look for the service of prefixes there; peers
/// before 2.5 know one kind of referral only.
pub(super) fn referral(named: Option<&Prefix>, version: Version, body: Vec<u8>) -> Reply {
    let code = match named {
        Some(_) if version >= Version::V2_5 => ResponseCode::PREFIX_REFERRAL,
        Some(_) | None => ResponseCode::SERVICE_REFERRAL,
    };
    Reply { code, ..Reply::success(body) }
}
