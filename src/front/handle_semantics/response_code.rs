//! Response codes: what the Handle protocol calls each reason, at both doors that speak it, Handle and HTTP.
//!
//! Every match is total, so that a new reason does not compile until it has a code. What belongs to one door alone, a
//! challenge that ran out or a verb that is not allowed, gets its code there.

use crate::model::value::ValueError;
use crate::registry::refusal::{Failure, Problem, Refusal};
use crate::resolver::recursion::Unanswered;
use crate::wire::handle::code::ResponseCode;

/// Why a question or command was refused or failed.
pub(in crate::front) fn of_problem(problem: &Problem) -> ResponseCode {
    match problem {
        Problem::Refused(refusal) => of_refusal(refusal),
        Problem::Failed(failure) => of_failure(failure),
    }
}

/// The caller's part.
pub(in crate::front) fn of_refusal(refusal: &Refusal) -> ResponseCode {
    match refusal {
        Refusal::IdentifierMalformed(_) => ResponseCode::INVALID_HANDLE,
        Refusal::Absent => ResponseCode::HANDLE_NOT_FOUND,
        Refusal::AlreadyExists { .. } => ResponseCode::HANDLE_ALREADY_EXISTS,
        Refusal::IndexAbsent { .. } => ResponseCode::VALUES_NOT_FOUND,
        Refusal::ValueInvalid(ValueError::RepeatedIndex { .. }) | Refusal::IndexExists { .. } => {
            ResponseCode::VALUE_ALREADY_EXISTS
        }
        Refusal::ValueInvalid(_)
        | Refusal::CommandInvalid { .. }
        | Refusal::SiteInvalid(_)
        | Refusal::RegistrantInvalid(_) => ResponseCode::INVALID_VALUE,
        Refusal::NotResponsible { .. }
        | Refusal::PrefixDelegated { .. }
        | Refusal::PrefixSuspended { .. }
        | Refusal::PrefixRevoked { .. }
        | Refusal::PrefixAbsent { .. } => ResponseCode::SERVER_NOT_RESPONSIBLE,
        Refusal::Unauthenticated
        | Refusal::TokenUnknown
        | Refusal::TokenExpired
        | Refusal::TokenRevoked
        | Refusal::TokenAbsent { .. } => ResponseCode::AUTHENTICATION_NEEDED,
        Refusal::NotAdministrator { .. } => ResponseCode::INVALID_ADMIN,
        Refusal::PermissionDenied { .. } | Refusal::ValueProtected { .. } => {
            ResponseCode::INSUFFICIENT_PERMISSIONS
        }
        Refusal::PrefixHomedHere { .. }
        | Refusal::VersionMismatch { .. }
        | Refusal::RequestConflict
        | Refusal::RequestExpired { .. }
        | Refusal::RequestIdInvalid
        | Refusal::TooManyItems { .. }
        | Refusal::IncarnationSuperseded => ResponseCode::PROTOCOL_ERROR,
    }
}

/// Our part.
pub(in crate::front) fn of_failure(failure: &Failure) -> ResponseCode {
    match failure {
        Failure::ReadOnly { .. } => ResponseCode::SERVER_READ_ONLY,
        Failure::Overloaded | Failure::Stopping | Failure::Contended => ResponseCode::SERVER_BUSY,
        Failure::AdministratorsUnread { .. } => ResponseCode::UNABLE_TO_AUTHENTICATE,
        Failure::OutcomeUnknown { .. } | Failure::Store { .. } => ResponseCode::ERROR,
    }
}

/// Why a question that went onward has no answer.
pub(in crate::front) fn of_unanswered(unanswered: &Unanswered) -> ResponseCode {
    match unanswered {
        Unanswered::Here(problem) => of_problem(problem),
        Unanswered::Loop | Unanswered::TooDeep => ResponseCode::RECURSION_COUNT_TOO_HIGH,
        Unanswered::Peer(_) => ResponseCode::ERROR,
    }
}
