//! Response codes: the code of each reason in the Handle protocol.
//!
//! Every match is total, so that a new reason does not compile until it has a code. A reason that only one front end
//! knows, such as an expired challenge or an HTTP method that is not allowed, gets its code there.

use crate::authority::credential::Unproven;
use crate::model::identifier::Identifier;
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::value::ValueError;
use crate::resolver::recursion::Unanswered;
use crate::wire::handle::code::{ResponseCode, Version};

use super::question::Hidden;

/// The code of a question or command that was refused or failed.
pub(in crate::front) fn of_problem(problem: &Problem) -> ResponseCode {
    match problem {
        Problem::Refused(refusal) => of_refusal(refusal),
        Problem::Failed(failure) => of_failure(failure),
    }
}

/// The code of a refusal.
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
        | Refusal::AdministratorMissing { .. }
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
        | Refusal::PrefixFiled { .. }
        | Refusal::DelegationStands { .. }
        | Refusal::VersionMismatch { .. }
        | Refusal::RequestConflict
        | Refusal::RequestExpired { .. }
        | Refusal::RequestIdInvalid
        | Refusal::RequestAhead { .. }
        | Refusal::TooManyItems { .. }
        | Refusal::IncarnationSuperseded
        | Refusal::IncarnationForked { .. }
        | Refusal::PeerReset
        | Refusal::IncarnationAhead { .. } => ResponseCode::PROTOCOL_ERROR,
    }
}

/// The code of a failure of this node.
pub(in crate::front) fn of_failure(failure: &Failure) -> ResponseCode {
    match failure {
        Failure::ReadOnly { .. } => ResponseCode::SERVER_READ_ONLY,
        Failure::Overloaded | Failure::Stopping | Failure::Contended => ResponseCode::SERVER_BUSY,
        Failure::AdministratorsUnread { .. } => ResponseCode::UNABLE_TO_AUTHENTICATE,
        Failure::OutcomeUnknown { .. } | Failure::Bug { .. } | Failure::Store { .. } => ResponseCode::ERROR,
    }
}

/// The code of a proof that was not accepted.
pub(in crate::front) fn of_unproven(unproven: &Unproven) -> ResponseCode {
    match unproven {
        Unproven::NoKey { .. } | Unproven::Wrong { .. } => ResponseCode::AUTHENTICATION_FAILED,
        Unproven::Unusable { .. } => ResponseCode::INVALID_CREDENTIAL,
        Unproven::Unreachable { .. } => ResponseCode::UNABLE_TO_AUTHENTICATE,
        Unproven::Failed(failure) => of_failure(failure),
    }
}

/// The code of a question that was passed on to other nodes and has no answer.
pub(in crate::front) fn of_unanswered(unanswered: &Unanswered) -> ResponseCode {
    match unanswered {
        Unanswered::Here(problem) => of_problem(problem),
        Unanswered::Loop | Unanswered::TooDeep => ResponseCode::RECURSION_COUNT_TOO_HIGH,
        Unanswered::Peer(_) => ResponseCode::ERROR,
    }
}

/// The code of values that are hidden from a caller.
pub(in crate::front) fn of_hidden(hidden: Hidden) -> ResponseCode {
    match hidden {
        Hidden::UntilProof => ResponseCode::AUTHENTICATION_NEEDED,
        // Clients of this protocol know this code for whoever is not an administrator with the permission to read.
        Hidden::FromCaller => ResponseCode::INVALID_ADMIN,
        Hidden::FromAll => ResponseCode::INSUFFICIENT_PERMISSIONS,
    }
}

/// The code of a referral. The record of a prefix is looked for at the service of prefixes of the delegated site, which
/// versions before 2.5 do not tell apart.
pub(in crate::front) fn of_referral(asked: &Identifier, version: Version) -> ResponseCode {
    match asked.named_prefix() {
        Some(_) if version >= Version::V2_5 => ResponseCode::PREFIX_REFERRAL,
        Some(_) | None => ResponseCode::SERVICE_REFERRAL,
    }
}

#[cfg(test)]
mod tests {
    use super::{of_failure, of_unproven};
    use crate::authority::credential::Unproven;
    use crate::model::refusal::Failure;

    #[test]
    fn a_failure_has_one_code_whether_it_hits_a_proof_or_a_command() {
        for failure in [
            Failure::Overloaded,
            Failure::Stopping,
            Failure::Store { detail: "unread".to_owned() },
            Failure::Bug { what: "nothing is impossible" },
        ] {
            assert_eq!(of_unproven(&Unproven::Failed(failure.clone())), of_failure(&failure));
        }
    }
}
