//! Every refusal, failure and answer has its status or message, and each is looked at here.

use std::path::PathBuf;

use std::collections::BTreeSet;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::super::response::{self, answer, outcome, too_large};
use super::{FrontRefusal, backup_failed, failed, problem, refused, refused_here, unanswered_onward};
use crate::authority::visibility::Withheld;
use crate::backup;
use crate::model::identifier::{Identifier, IdentifierError, Prefix};
use crate::model::identity::Identity;
use crate::model::position::Incarnation;
use crate::model::prefix::RegistrantError;
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::request::RequestId;
use crate::model::site::{Ports, Site, SiteError};
use crate::model::value::{Index, Permissions, Reference, Ttl, Value, ValueError, ValueType};
use crate::resolver::answer::{Absence, Answer, Found, NotResponsible, Referral};
use crate::resolver::recursion::Unanswered;
use crate::wire::proto;
use crate::wire::proto::{answer, outcome};

fn prefix() -> Prefix {
    Prefix::parse("88.118").expect("a prefix")
}

fn index() -> Index {
    Index::new(7).expect("an index")
}

/// The name of a fact and what it says.
type Fact = (&'static str, &'static str);

/// One of each refusal, the status it must have, and one of its facts.
fn refusals() -> Vec<(Refusal, Code, Option<Fact>)> {
    let by_prefix = Some(("prefix", "88.118"));
    let by_index = Some(("index", "7"));
    vec![
        (Refusal::IdentifierMalformed(IdentifierError::NoSlash), Code::InvalidArgument, None),
        (Refusal::ValueInvalid(ValueError::Index { found: 0 }), Code::InvalidArgument, None),
        (Refusal::SiteInvalid(SiteError::Ports), Code::InvalidArgument, None),
        (Refusal::RegistrantInvalid(RegistrantError::Name { bytes: 0 }), Code::InvalidArgument, None),
        (Refusal::CommandInvalid { reason: "no".to_owned() }, Code::InvalidArgument, None),
        (Refusal::RequestIdInvalid, Code::InvalidArgument, None),
        (Refusal::TooManyItems { count: 10_001 }, Code::InvalidArgument, Some(("count", "10001"))),
        (Refusal::NotResponsible { prefix: prefix() }, Code::FailedPrecondition, by_prefix),
        (Refusal::PrefixDelegated { prefix: prefix() }, Code::FailedPrecondition, by_prefix),
        (Refusal::PrefixSuspended { prefix: prefix() }, Code::FailedPrecondition, by_prefix),
        (Refusal::PrefixRevoked { prefix: prefix() }, Code::FailedPrecondition, by_prefix),
        (Refusal::PrefixHomedHere { prefix: prefix() }, Code::FailedPrecondition, by_prefix),
        (
            Refusal::PrefixFiled { prefix: prefix(), peer: "x".to_owned() },
            Code::FailedPrecondition,
            Some(("token", "x")),
        ),
        (Refusal::AdministratorMissing { prefix: prefix() }, Code::FailedPrecondition, by_prefix),
        (Refusal::DelegationStands { prefix: prefix() }, Code::FailedPrecondition, by_prefix),
        (Refusal::PrefixAbsent { prefix: prefix() }, Code::NotFound, by_prefix),
        (Refusal::AlreadyExists { version: 3, same: true }, Code::AlreadyExists, Some(("version", "3"))),
        (Refusal::Absent, Code::NotFound, None),
        (Refusal::IndexExists { index: index() }, Code::AlreadyExists, by_index),
        (Refusal::IndexAbsent { index: index() }, Code::NotFound, by_index),
        (Refusal::VersionMismatch { expected: 1, found: 2 }, Code::Aborted, Some(("found", "2"))),
        (Refusal::Unauthenticated, Code::Unauthenticated, None),
        (Refusal::TokenUnknown, Code::Unauthenticated, None),
        (Refusal::TokenExpired, Code::Unauthenticated, None),
        (Refusal::TokenRevoked, Code::Unauthenticated, None),
        (Refusal::TokenAbsent { id: "x".to_owned() }, Code::NotFound, Some(("token", "x"))),
        (Refusal::PermissionDenied { needed: "y".to_owned() }, Code::PermissionDenied, Some(("needed", "y"))),
        (
            Refusal::NotAdministrator {
                identity: Identity::parse("300:88.118/a").expect("an identity"),
                of: "88.118/x".to_owned(),
            },
            Code::PermissionDenied,
            Some(("identity", "300:88.118/a")),
        ),
        (Refusal::ValueProtected { index: index() }, Code::PermissionDenied, by_index),
        (Refusal::RequestConflict, Code::FailedPrecondition, None),
        (
            Refusal::RequestExpired { age_seconds: 9, window_seconds: 8 },
            Code::FailedPrecondition,
            Some(("age_seconds", "9")),
        ),
        (Refusal::IncarnationSuperseded, Code::FailedPrecondition, None),
        (Refusal::PeerReset, Code::FailedPrecondition, None),
        (
            Refusal::IncarnationForked { filed: Incarnation([7; 16]) },
            Code::FailedPrecondition,
            Some(("incarnation", "07070707070707070707070707070707")),
        ),
        (
            Refusal::IncarnationAhead { ahead_seconds: 90_000 },
            Code::FailedPrecondition,
            Some(("ahead_seconds", "90000")),
        ),
        (
            Refusal::RequestAhead { ahead_seconds: 28_800 },
            Code::InvalidArgument,
            Some(("ahead_seconds", "28800")),
        ),
    ]
}

/// Numbers every variant. A new one does not compile until it is numbered here, and fails until it is in the table.
fn number(refusal: &Refusal) -> usize {
    match refusal {
        Refusal::IdentifierMalformed(_) => 0,
        Refusal::ValueInvalid(_) => 1,
        Refusal::SiteInvalid(_) => 2,
        Refusal::RegistrantInvalid(_) => 3,
        Refusal::CommandInvalid { .. } => 4,
        Refusal::RequestIdInvalid => 5,
        Refusal::TooManyItems { .. } => 6,
        Refusal::NotResponsible { .. } => 7,
        Refusal::PrefixDelegated { .. } => 8,
        Refusal::PrefixSuspended { .. } => 9,
        Refusal::PrefixRevoked { .. } => 10,
        Refusal::PrefixHomedHere { .. } => 11,
        Refusal::PrefixAbsent { .. } => 12,
        Refusal::AlreadyExists { .. } => 13,
        Refusal::Absent => 14,
        Refusal::IndexExists { .. } => 15,
        Refusal::IndexAbsent { .. } => 16,
        Refusal::VersionMismatch { .. } => 17,
        Refusal::Unauthenticated => 18,
        Refusal::TokenUnknown => 19,
        Refusal::TokenExpired => 20,
        Refusal::TokenRevoked => 21,
        Refusal::TokenAbsent { .. } => 22,
        Refusal::PermissionDenied { .. } => 23,
        Refusal::RequestConflict => 24,
        Refusal::RequestExpired { .. } => 25,
        Refusal::IncarnationSuperseded => 26,
        Refusal::NotAdministrator { .. } => 27,
        Refusal::ValueProtected { .. } => 28,
        Refusal::RequestAhead { .. } => 29,
        Refusal::PrefixFiled { .. } => 30,
        Refusal::IncarnationAhead { .. } => 31,
        Refusal::AdministratorMissing { .. } => 32,
        Refusal::DelegationStands { .. } => 33,
        Refusal::PeerReset => 34,
        Refusal::IncarnationForked { .. } => 35,
    }
}

fn check_info(status: &Status, reason: &str) -> std::collections::HashMap<String, String> {
    let info = status.get_details_error_info().expect("ErrorInfo");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "idnode"));
    info.metadata
}

#[test]
fn every_refusal_has_its_status_reason_and_facts() {
    let request = RequestId::parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    for (refusal, code, expected) in refusals() {
        let status = refused(&refusal, request);
        assert_eq!(status.code(), code, "{refusal:?}");
        assert_eq!(status.message(), refusal.to_string());
        let facts = check_info(&status, refusal.code());
        assert_eq!(facts.get("request_id").map(String::as_str), Some("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"));
        if let Some((name, fact)) = expected {
            assert_eq!(facts.get(name).map(String::as_str), Some(fact), "{refusal:?}");
        }
    }
    let numbers: BTreeSet<usize> = refusals().iter().map(|(refusal, ..)| number(refusal)).collect();
    assert_eq!(numbers, (0..=35).collect(), "every variant is in the table");
}

#[test]
fn every_refusal_of_an_item_names_the_item() {
    for (refusal, _, expected) in refusals() {
        let outcome = outcome(41, Err(refusal.clone().into()), None);
        assert_eq!(outcome.number, 41);
        let Some(outcome::Result::Refusal(message)) = outcome.result else { panic!("{refusal:?}") };
        assert_eq!((message.code.as_str(), message.message), (refusal.code(), refusal.to_string()));
        assert_eq!(message.facts.get("item").map(String::as_str), Some("41"));
        if let Some((name, fact)) = expected {
            assert_eq!(message.facts.get(name).map(String::as_str), Some(fact));
        }
    }
}

#[test]
fn every_failure_has_its_status_and_reason() {
    let unknown = Failure::OutcomeUnknown { cause: "the deadline passed".to_owned() };
    let read_only = Failure::ReadOnly { reason: "a sync failed".to_owned() };
    let store = Failure::Store { detail: "a checksum".to_owned() };
    let check = |failure: Failure, code: Code, reason: &str| {
        for status in [failed(&failure, None), problem(&Problem::Failed(failure.clone()))] {
            assert_eq!(status.code(), code, "{failure:?}");
            check_info(&status, reason);
        }
    };
    check(unknown.clone(), Code::Unknown, "OUTCOME_UNKNOWN");
    check(read_only, Code::FailedPrecondition, "READ_ONLY");
    check(Failure::Overloaded, Code::Unavailable, "OVERLOADED");
    check(Failure::Stopping, Code::Unavailable, "STOPPING");
    check(store, Code::Internal, "STORE");
    check(Failure::Bug { what: "an invariant" }, Code::Internal, "INTERNAL");
    let message = failed(&unknown, None).message().to_owned();
    assert!(message.starts_with("outcome unknown: repeat with the same request"), "{message}");
}

#[test]
fn a_question_that_went_onward_in_vain_has_its_status() {
    let here = Unanswered::Here(Problem::Refused(Refusal::PrefixSuspended { prefix: prefix() }));
    for (unanswered, code, reason) in [
        (Unanswered::Loop, Code::FailedPrecondition, "RECURSION_LOOP"),
        (Unanswered::TooDeep, Code::FailedPrecondition, "RECURSION_TOO_DEEP"),
        (here, Code::FailedPrecondition, "PREFIX_SUSPENDED"),
    ] {
        let status = unanswered_onward(&unanswered);
        assert_eq!((status.code(), status.message()), (code, unanswered.to_string().as_str()));
        check_info(&status, reason);
    }
}

#[test]
fn every_refusal_of_this_front_end_has_its_status_and_reason() {
    let table = [
        (FrontRefusal::TokenOverheard, Code::Unauthenticated, "TOKEN_IN_PLAIN_TEXT"),
        (FrontRefusal::AuthorizationMalformed, Code::Unauthenticated, "AUTHORIZATION_MALFORMED"),
        (FrontRefusal::AuthorizationRepeated, Code::InvalidArgument, "AUTHORIZATION_REPEATED"),
        (FrontRefusal::PageTokenInvalid, Code::InvalidArgument, "PAGE_TOKEN_INVALID"),
        (FrontRefusal::AnswerTooLarge, Code::ResourceExhausted, "ANSWER_TOO_LARGE"),
        (FrontRefusal::DeadlinePassed, Code::DeadlineExceeded, "DEADLINE_PASSED"),
        (FrontRefusal::NotAnnounced, Code::FailedPrecondition, "NOT_ANNOUNCED"),
    ];
    for (refusal, code, reason) in table {
        let status = refused_here(&refusal);
        assert_eq!((status.code(), status.message()), (code, refusal.to_string().as_str()));
        check_info(&status, reason);
    }
}

#[test]
fn a_backup_that_fails_has_its_status_and_reason() {
    let (directory, name) = (PathBuf::from("/x"), "b".to_owned());
    let known = vec![PathBuf::from("/y")];
    let detail = "disk full".to_owned();
    let unknown = backup::Error::DirectoryUnknown { directory: directory.clone(), known };
    let table = [
        (
            unknown,
            Code::InvalidArgument,
            "BACKUP_DIRECTORY_UNKNOWN",
            "/x is not a configured backup directory",
        ),
        (backup::Error::Absent { name }, Code::NotFound, "BACKUP_ABSENT", "there is no backup \"b\""),
        (backup::Error::Busy { directory }, Code::Unavailable, "BACKUP_UNDER_WAY", "a backup is running"),
        (
            backup::Error::Stopped { detail },
            Code::Internal,
            "BACKUP_FAILED",
            "backup failed: the operation was ended",
        ),
    ];
    for (error, code, reason, sentence) in table {
        let status = backup_failed(error);
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().starts_with(sentence), "{status:?}");
        check_info(&status, reason);
    }
}

#[test]
fn every_answer_is_a_message() {
    let site = Site::new(
        vec!["192.0.2.7".parse().expect("an address")],
        Some("node.example"),
        Ports { grpc: Some(7373), ..Ports::default() },
    );
    let site = site.expect("a site");
    let message = |given| answer(given).answer.expect("an answer");
    let referral =
        Answer::Referral(Referral { prefix: prefix(), site, unanswered: Some(Box::new(Unanswered::Loop)) });
    let answer::Answer::Referral(referred) = message(referral) else { panic!("a referral") };
    let why = referred.unanswered.expect("a reason");
    assert_eq!((why.code.as_str(), why.message), ("RECURSION_LOOP", Unanswered::Loop.to_string()));
    let to = referred.site.expect("a site");
    assert_eq!((referred.prefix.as_str(), to.host_name.as_str()), ("88.118", "node.example"));
    assert_eq!(to.addresses, ["192.0.2.7"]);
    assert_eq!(to.ports.and_then(|ports| ports.grpc), Some(7373));

    let absent = |absence: proto::Absence| answer::Answer::Absent(absence.into());
    assert_eq!(message(Answer::Absent(Absence::Identifier)), absent(proto::Absence::Identifier));
    assert_eq!(
        message(Answer::Absent(Absence::Values(Withheld::FromPublic))),
        absent(proto::Absence::Values)
    );

    let upper = NotResponsible { upper: Some("https://upper.example:7373".to_owned()) };
    let answer::Answer::NotResponsible(sent) = message(Answer::NotResponsible(upper)) else {
        panic!("not responsible")
    };
    assert_eq!(sent.upper, "https://upper.example:7373");
}

#[test]
fn a_value_travels_whole() {
    let value = Value {
        index: index(),
        value_type: ValueType::new("URL").expect("a type"),
        data: vec![0, 255, 7],
        ttl: Ttl::Absolute(99),
        permissions: Permissions::SECRET,
        references: vec![Reference {
            identifier: Identifier::parse("88/x").expect("an identifier"),
            index: 0,
        }],
        timestamp: 1_700_000_000,
    };
    let found = Found {
        identifier: Identifier::parse("88.118/Ab").expect("an identifier"),
        version: 4,
        values: vec![value],
        changed_ms: 5,
        authoritative: false,
        withheld: Withheld::Nothing,
    };
    let message = response::found(found);
    assert_eq!((message.identifier.as_str(), message.version), ("88.118/Ab", 4));
    assert_eq!((message.changed_ms, message.authoritative), (5, false));
    assert_eq!(
        message.values,
        [proto::Value {
            index: 7,
            r#type: "URL".to_owned(),
            data: vec![0, 255, 7],
            ttl: Some(proto::value::Ttl::AbsoluteSeconds(99)),
            permissions: Some(0b1100),
            references: vec![proto::Reference { identifier: "88/x".to_owned(), index: 0 }],
            timestamp_seconds: 1_700_000_000,
        }]
    );
}

#[test]
fn an_answer_that_does_not_fit_names_its_question() {
    let outcome = too_large(12);
    let Some(proto::resolve_outcome::Result::Refusal(refusal)) = outcome.result else { panic!("a refusal") };
    assert_eq!((outcome.number, refusal.code.as_str()), (12, "ANSWER_TOO_LARGE"));
}
