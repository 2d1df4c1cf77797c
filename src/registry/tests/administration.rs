//! What identities may do: each rule of HS_ADMIN and HS_VLIST, with what it allows and what it refuses.

use std::sync::Arc;

use crate::authority::AuthorityOptions;
use crate::authority::caller::Caller;
use crate::model::caller::CallerName;
use crate::model::identity::AdminPermissions as May;
use crate::model::refusal::{Problem, Refusal};
use crate::model::value::{Index, Value, ValueType, Values};
use crate::registry::command::{
    Amend, Command, Existing, Precondition, Register, Remove, Target, TokenCommand,
};
use crate::registry::receipt::Outcome;
use crate::store::EngineKind;

use super::fixture::{
    Fixture, add, admin, amend, delegate, home, identifier, identity, list, mint, overwrite, prefix, proved,
    register, registration, remove, revoke, suspend, typed, value, values, with,
};

/// The administrator of most tests.
pub(super) const OURS: &str = "300:88.118/us";
/// Somebody whom nothing names.
pub(super) const UNLISTED: &str = "300:88.118/unlisted";

pub(super) fn not_administrator(whom: &str, of: &str) -> Refusal {
    Refusal::NotAdministrator { identity: identity(whom), of: of.to_owned() }
}

fn denied(needed: &str) -> Refusal {
    Refusal::PermissionDenied { needed: needed.to_owned() }
}

pub(super) async fn check(fixture: &Fixture, caller: &Caller, command: &Command) -> Result<(), Refusal> {
    match fixture.registry.check(caller, command).await {
        Ok(()) => Ok(()),
        Err(Problem::Refused(refusal)) => Err(refusal),
        Err(Problem::Failed(failure)) => panic!("not a failure: {failure}"),
    }
}

fn amended(change: Amend) -> Command {
    Command::Amend(change)
}

/// 88.118/x with our permissions at index 100, two URLs, and another administrator at 101.
fn record(permissions: May) -> Command {
    let others = admin(101, May::ALL, "300:88.118/others");
    registration("88.118/x", vec![value(1, "one"), value(2, "two"), admin(100, permissions, OURS), others])
}

fn without(permissions: May, bit: u16) -> May {
    May::from_bits(permissions.bits() & !bit)
}

/// Every single bit of permissions.
fn bits(permissions: May) -> Vec<u16> {
    (0..12).map(|position| 1 << position).filter(|bit| permissions.bits() & bit != 0).collect()
}

//----------- Single values --------------------------------------------------

#[tokio::test]
async fn each_change_needs_its_permissions_and_no_others() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let x = || amend("88.118/x");
    let index = |number| Index::new(number).expect("an index");
    let new_admin = |at| admin(at, May::ALL, "300:88.118/new");
    let cases = [
        (amended(Amend { add: vec![value(3, "new")], ..x() }), May::ADD_VALUE),
        (amended(Amend { add: vec![new_admin(102)], ..x() }), May::ADD_ADMIN),
        (amended(Amend { remove: vec![index(2)], ..x() }), May::REMOVE_VALUE),
        (amended(Amend { remove: vec![index(101)], ..x() }), May::REMOVE_ADMIN),
        (amended(Amend { replace: vec![value(1, "new")], ..x() }), May::MODIFY_VALUE),
        (amended(Amend { replace: vec![new_admin(101)], ..x() }), May::MODIFY_ADMIN),
        (amended(Amend { replace: vec![new_admin(2)], ..x() }), May::MODIFY_VALUE | May::ADD_ADMIN),
        (amended(Amend { replace: vec![value(101, "new")], ..x() }), May::REMOVE_ADMIN | May::MODIFY_VALUE),
        (amended(Amend { set: vec![value(1, "one"), value(3, "new")], ..x() }), May::ADD_VALUE),
        (amended(Amend { set: vec![value(2, "new"), value(1, "one")], ..x() }), May::MODIFY_VALUE),
        (
            amended(Amend { add: vec![value(3, "new")], remove: vec![index(2)], ..x() }),
            May::ADD_VALUE | May::REMOVE_VALUE,
        ),
        (remove("88.118/x"), May::DELETE_IDENTIFIER),
    ];
    let ours = proved(OURS);
    for (command, needed) in cases {
        for bit in bits(needed) {
            fixture.node(record(without(May::ALL, bit))).await.expect("registered");
            let refused = fixture.one(&ours, command.clone()).await;
            assert!(matches!(refused, Err(Refusal::PermissionDenied { .. })), "{command:?}: {refused:?}");
        }
        fixture.node(record(needed)).await.expect("registered");
        let refused = fixture.one(&proved(UNLISTED), command.clone()).await;
        assert_eq!(refused, Err(not_administrator(UNLISTED, "88.118/x")), "{command:?}");
        assert_eq!(
            fixture.one(&Caller::Anonymous, command.clone()).await,
            Err(Refusal::Unauthenticated),
            "{command:?}"
        );
        assert_eq!(check(&fixture, &ours, &command).await, Ok(()), "{command:?}");
        let receipt = fixture.one(&ours, command.clone()).await.expect("allowed");
        assert_ne!(receipt.outcome, Outcome::Unchanged, "{command:?}");
    }
}

#[tokio::test]
async fn what_stays_as_it_is_needs_nothing() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(record(May::NONE)).await.expect("registered");
    let same = amended(Amend { set: vec![value(1, "one"), value(2, "two")], ..amend("88.118/x") });
    for caller in [proved(OURS), proved(UNLISTED), Caller::Anonymous] {
        let receipt = fixture.one(&caller, same.clone()).await.expect("it holds");
        assert_eq!((receipt.outcome, receipt.version), (Outcome::Unchanged, 1));
    }
    let receipt = fixture.one(&proved(UNLISTED), record(May::NONE)).await.expect("it holds");
    assert_eq!(receipt.outcome, Outcome::Unchanged);
}

/// Who could tell a right guess from a wrong one would not need to read.
#[tokio::test]
async fn a_hidden_value_is_not_guessed_by_saying_it_again() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let secret = |text: &str| with("1100", typed(2, ValueType::HS_SECKEY, text));
    let open = |text: &str| with("1111", value(1, text));
    let ours = || admin(100, May::MODIFY_VALUE, OURS);
    let state = |text: &str| vec![open("open"), secret(text), ours()];
    fixture.node(registration("88.118/x", state("the secret"))).await.expect("registered");
    for guess in ["the secret", "a wrong guess"] {
        let commands = [
            amended(Amend { replace: vec![secret(guess)], ..amend("88.118/x") }),
            amended(Amend { set: vec![secret(guess)], ..amend("88.118/x") }),
            amended(Amend { replace: vec![secret(guess), open("new")], ..amend("88.118/x") }),
            registration("88.118/x", state(guess)),
        ];
        for command in commands {
            let nobody = fixture.one(&Caller::Anonymous, command.clone()).await;
            assert_eq!(nobody, Err(Refusal::Unauthenticated), "{guess}: {command:?}");
            let unlisted = fixture.one(&proved(UNLISTED), command.clone()).await;
            assert_eq!(unlisted, Err(not_administrator(UNLISTED, "88.118/x")), "{guess}: {command:?}");
        }
        let new = Command::Register(Register {
            target: Target::Named(identifier("88.118/x")),
            values: Values::new(state(guess)).expect("valid values"),
            existing: Existing::Refuse,
            precondition: Precondition::None,
        });
        let exists = Refusal::AlreadyExists { version: 1, same: false };
        assert_eq!(fixture.one(&proved(UNLISTED), new).await, Err(exists), "{guess}");
    }
    let same = amended(Amend { replace: vec![secret("the secret")], ..amend("88.118/x") });
    let receipt = fixture.one(&proved(OURS), same).await.expect("who may change it may say it");
    assert_eq!((receipt.outcome, receipt.version), (Outcome::Unchanged, 1));
}

#[tokio::test]
async fn one_value_must_allow_all_of_it() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let split = vec![value(2, "two"), admin(100, May::ADD_VALUE, OURS), admin(101, May::REMOVE_VALUE, OURS)];
    fixture.node(registration("88.118/x", split)).await.expect("registered");
    let remove = vec![Index::new(2).expect("an index")];
    let both = amended(Amend { add: vec![value(3, "new")], remove, ..amend("88.118/x") });
    let refused = fixture.one(&proved(OURS), both).await;
    assert_eq!(refused, Err(denied("permission to remove values and add values on 88.118/x")));
}

#[tokio::test]
async fn a_value_open_to_the_public_is_written_by_anybody() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let open = |value: Value| with("1111", value);
    let values = vec![
        open(value(1, "open")),
        open(value(2, "open, too")),
        with("1010", value(3, "closed")),
        with("1011", value(5, "closed to administrators and so to all")),
        open(typed(4, ValueType::HS_PUBKEY, "a key")),
        open(admin(100, May::ALL, OURS)),
    ];
    fixture.node(registration("88.118/x", values)).await.expect("registered");
    let replace = |value: Value| amended(Amend { replace: vec![value], ..amend("88.118/x") });
    for (caller, text) in [(Caller::Anonymous, "1"), (proved(UNLISTED), "2")] {
        for index in [1, 2] {
            let command = replace(open(value(index, text)));
            assert_eq!(check(&fixture, &caller, &command).await, Ok(()));
            fixture.one(&caller, command).await.expect("written");
        }
    }
    let fourth_last = fixture.position(fixture.end() - 3).expect("it was written");
    let by_nobody = fixture.store.header(fourth_last).await.expect("the journal reads");
    assert_eq!(by_nobody.map(|header| header.caller), Some(CallerName::Anonymous));

    // Never where it is decided who may do what.
    let forbidden = [
        replace(open(admin(1, May::ALL, UNLISTED))),
        replace(open(admin(100, May::ALL, UNLISTED))),
        replace(with("1101", typed(1, ValueType::HS_SECKEY, "mine"))),
        replace(open(list(1, &[UNLISTED]))),
        replace(open(typed(1, "HS_SERV", "another type"))),
        replace(open(typed(4, ValueType::HS_PUBKEY, "another"))),
        replace(with("1110", value(1, "closed to the public"))),
        replace(with("1101", value(1, "hidden"))),
        amended(Amend { add: vec![open(value(6, "new"))], ..amend("88.118/x") }),
        remove("88.118/x"),
    ];
    for command in forbidden {
        let nobody = check(&fixture, &Caller::Anonymous, &command).await;
        assert_eq!(nobody, Err(Refusal::Unauthenticated), "{command:?}");
        let unlisted = check(&fixture, &proved(UNLISTED), &command).await;
        assert_eq!(unlisted, Err(not_administrator(UNLISTED, "88.118/x")), "{command:?}");
    }
    for index in [3, 5] {
        let protected = Err(Refusal::ValueProtected { index: Index::new(index).expect("an index") });
        for caller in [Caller::Anonymous, proved(UNLISTED), proved(OURS)] {
            assert_eq!(
                check(&fixture, &caller, &replace(value(index, "mine"))).await,
                protected,
                "{caller:?}"
            );
        }
    }
    assert_eq!(check(&fixture, &Caller::Anonymous, &replace(value(9, "none"))).await, Err(index_absent(9)));
}

fn index_absent(index: u32) -> Refusal {
    Refusal::IndexAbsent { index: Index::new(index).expect("an index") }
}

//----------- Registering ----------------------------------------------------

fn prefix_record(text: &str, may: May) -> Command {
    registration(text, vec![admin(100, may, OURS)])
}

#[tokio::test]
async fn registering_is_allowed_by_the_prefix() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let ours = proved(OURS);
    let new = register("88.118/new", "one");
    assert_eq!(fixture.one(&ours, new.clone()).await, Err(not_administrator(OURS, "0.NA/88.118")));
    let short = without(May::ALL, May::ADD_IDENTIFIER.bits());
    fixture.node(prefix_record("0.NA/88.118", short)).await.expect("registered");
    let refused = denied("permission to add identifiers on 0.NA/88.118");
    assert_eq!(fixture.one(&ours, new.clone()).await, Err(refused.clone()));
    assert_eq!(fixture.one(&ours, mint("88.118", "m")).await, Err(refused));
    fixture.node(prefix_record("0.NA/88.118", May::ADD_IDENTIFIER)).await.expect("registered");
    fixture.one(&ours, mint("88.118", "m")).await.expect("minted");
    let receipt = fixture.one(&ours, new.clone()).await.expect("registered");
    assert_eq!((receipt.outcome, receipt.version), (Outcome::Registered, 1));
    let exists = Refusal::AlreadyExists { version: 1, same: true };
    assert_eq!(fixture.one(&ours, new.clone()).await, Err(exists));
    let unlisted = fixture.one(&proved(UNLISTED), register("88.118/other", "one")).await;
    assert_eq!(unlisted, Err(not_administrator(UNLISTED, "0.NA/88.118")));
}

/// Without a record of its own, a prefix below is governed by that of the homed one; with one, by that alone.
#[tokio::test]
async fn a_prefix_below_is_governed_by_its_own_record_when_it_has_one() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let ours = proved(OURS);
    fixture.node(prefix_record("0.NA/88.118", May::ADD_IDENTIFIER)).await.expect("registered");
    fixture.one(&ours, register("88.118.5/new", "one")).await.expect("registered");
    let others = vec![admin(100, May::ALL, "300:88.118/others")];
    fixture.node(registration("0.NA/88.118.5", others)).await.expect("registered");
    let refused = fixture.one(&ours, register("88.118.5/newer", "one")).await;
    assert_eq!(refused, Err(not_administrator(OURS, "0.NA/88.118.5")));
}

#[tokio::test]
async fn a_prefix_is_made_by_the_administrators_of_its_parent() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let ours = proved(OURS);
    let short = without(May::ALL, May::ADD_DERIVED_PREFIX.bits());
    fixture.node(prefix_record("0.NA/88.118", short)).await.expect("registered");
    let derived = |text: &str| registration(text, vec![typed(1, "DESC", "a line")]);
    let needed = denied("permission to add derived prefixes on 0.NA/88.118");
    assert_eq!(fixture.one(&ours, derived("0.NA/88.118.6")).await, Err(needed));
    fixture.node(prefix_record("0.NA/88.118", May::ADD_DERIVED_PREFIX)).await.expect("registered");
    fixture.one(&ours, derived("0.NA/88.118.6")).await.expect("registered");
    // The parent has no record: that of the homed prefix governs.
    fixture.one(&ours, derived("0.NA/88.118.7.1")).await.expect("registered");
    let own = fixture.one(&ours, derived("0.NA/88.118")).await;
    assert_eq!(own, Err(denied("permission to add values and remove administrators on 0.NA/88.118")));
    // The record of a homed prefix does not allow its own making.
    fixture.node(home("77")).await.expect("homed");
    assert_eq!(fixture.one(&ours, derived("0.NA/77")).await, Err(not_administrator(OURS, "0.NA/0.NA")));
}

/// As clients of the Handle protocol set up a prefix and take it down again, all by one list on its parent.
#[tokio::test]
async fn a_prefix_is_homed_named_used_and_unhomed() {
    let administrators = Arc::from([identity("300:0.NA/88.118")]);
    let fixture =
        Fixture::open_with(AuthorityOptions { administrators, ..AuthorityOptions::default() }).await;
    let by_list = || admin(100, May::ALL, "200:0.NA/88.118");
    let own = vec![by_list(), list(200, &["300:0.NA/88.118"])];
    fixture.node(registration("0.NA/88.118", own)).await.expect("registered");
    let ours = proved("300:0.NA/88.118");
    let used = || registration("88.118.77/x", vec![value(1, "one"), by_list()]);
    fixture.one(&ours, home("88.118.77")).await.expect("homed");
    assert_eq!(fixture.one(&ours, used()).await, Err(not_administrator("300:0.NA/88.118", "0.NA/88.118.77")));
    fixture.one(&ours, registration("0.NA/88.118.77", vec![by_list()])).await.expect("named");
    fixture.one(&ours, used()).await.expect("used");
    fixture.one(&ours, remove("88.118.77/x")).await.expect("removed");
    fixture.one(&ours, remove("0.NA/88.118.77")).await.expect("removed");
    fixture.one(&ours, revoke("88.118.77")).await.expect("unhomed");
    assert_eq!(fixture.one(&ours, used()).await, Err(Refusal::PrefixRevoked { prefix: prefix("88.118.77") }));
}

#[tokio::test]
async fn overwriting_is_allowed_in_three_ways() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let ours = proved(OURS);
    // The new state: one value modified, two gone; our own administrator stays.
    let onto = |may: May| registration("88.118/x", vec![value(1, "new"), admin(100, may, OURS)]);
    let single = May::MODIFY_VALUE | May::REMOVE_VALUE | May::REMOVE_ADMIN;
    let cases = [
        ("by its single changes", single, May::NONE, true),
        ("one of them short", without(single, May::REMOVE_VALUE.bits()), May::NONE, false),
        ("by administrators who may add some", May::ADD_ADMIN, May::NONE, true),
        ("by who may delete here and add there", May::DELETE_IDENTIFIER, May::ADD_IDENTIFIER, true),
        ("by who may delete only", May::DELETE_IDENTIFIER, May::NONE, false),
        ("by who may add only", May::NONE, May::ADD_IDENTIFIER, false),
    ];
    for (case, here, there, allowed) in cases {
        fixture.node(record(here)).await.expect("registered");
        fixture.node(prefix_record("0.NA/88.118", there)).await.expect("registered");
        match fixture.one(&ours, onto(here)).await {
            Ok(receipt) => assert!(allowed && receipt.outcome == Outcome::Overwritten, "{case}: {receipt:?}"),
            Err(refusal) => {
                assert!(
                    !allowed && matches!(refusal, Refusal::PermissionDenied { .. }),
                    "{case}: {refusal:?}"
                );
            }
        }
    }
    // Where an administrator is added, single permissions do not do.
    let adds = registration("88.118/x", vec![admin(100, May::ALL, OURS), admin(102, May::ALL, UNLISTED)]);
    fixture
        .node(record(without(without(May::ALL, May::ADD_ADMIN.bits()), May::DELETE_IDENTIFIER.bits())))
        .await
        .expect("registered");
    let refused = denied("permission to add administrators on 88.118/x");
    assert_eq!(fixture.one(&ours, adds).await, Err(refused));
    let refused = fixture.one(&proved(UNLISTED), overwrite("88.118/x", "mine")).await;
    assert_eq!(refused, Err(not_administrator(UNLISTED, "88.118/x")));
}

//----------- The node's own administrators ----------------------------------

#[tokio::test]
async fn the_administrators_of_the_node_home_and_revoke_prefixes() {
    let administrators = Arc::from([identity("300:0.NA/88.118"), identity("0:88.118/any")]);
    let fixture =
        Fixture::open_with(AuthorityOptions { administrators, ..AuthorityOptions::default() }).await;
    let ours = proved("300:0.na/88.118");
    for caller in [&ours, &proved("7:88.118/any")] {
        fixture.one(caller, home("77")).await.expect("homed");
        fixture.one(caller, revoke("77")).await.expect("revoked");
    }
    let refused = fixture.node(register("77/x", "one")).await;
    assert_eq!(refused, Err(Refusal::PrefixRevoked { prefix: prefix("77") }));
    fixture.one(&ours, home("77")).await.expect("homed again");
    fixture.node(register("77/x", "one")).await.expect("registered");
    assert_eq!(fixture.one(&ours, revoke("78")).await, Err(Refusal::PrefixAbsent { prefix: prefix("78") }));

    let token = Command::Token(TokenCommand::Revoke { id: crate::model::token::TokenId([9; 8]) });
    for command in [delegate("77", 1), suspend("77"), token] {
        assert_eq!(fixture.one(&ours, command.clone()).await, Err(denied("scope admin")), "{command:?}");
    }
    for whom in ["301:0.NA/88.118", UNLISTED] {
        for command in [home("79"), revoke("77"), delegate("77", 1)] {
            assert_eq!(fixture.one(&proved(whom), command).await, Err(not_administrator(whom, "this node")));
        }
    }
    assert_eq!(fixture.one(&Caller::Anonymous, home("79")).await, Err(Refusal::Unauthenticated));
}

//----------- Order ----------------------------------------------------------

/// The check before a challenge: responsibility first, then the structure, then the caller.
#[tokio::test]
async fn nobody_is_asked_to_prove_what_would_be_refused_all_the_same() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(record(May::ALL)).await.expect("registered");
    fixture.node(home("88.2")).await.expect("homed");
    fixture.node(suspend("88.2")).await.expect("suspended");
    let site = vec![typed(1, ValueType::HS_SITE, "mine")];
    let replace = |text: &str, index| amended(Amend { replace: vec![value(index, "new")], ..amend(text) });
    let unproved = || Err(Refusal::Unauthenticated);
    let cases = [
        (register("99/x", "one"), Err(Refusal::NotResponsible { prefix: prefix("99") })),
        (remove("88.2/x"), Err(Refusal::PrefixSuspended { prefix: prefix("88.2") })),
        (register("88.118/new", "one"), unproved()),
        (register("88.118/x", "one"), unproved()),
        (mint("88.118", "m"), unproved()),
        (remove("88.118/absent"), unproved()),
        (add("88.118/absent", 1, "one"), unproved()),
        (replace("88.118/x", 1), unproved()),
        (replace("88.118/absent", 1), Err(Refusal::Absent)),
        (replace("88.118/x", 9), Err(index_absent(9))),
    ];
    for (command, expected) in cases {
        assert_eq!(check(&fixture, &Caller::Anonymous, &command).await, expected, "{command:?}");
    }
    for caller in [Caller::Anonymous, proved(OURS)] {
        let refused = check(&fixture, &caller, &registration("0.NA/88.118", site.clone())).await;
        assert!(matches!(refused, Err(Refusal::CommandInvalid { .. })), "{refused:?}");
    }
    assert_eq!(check(&fixture, &proved(OURS), &remove("88.118/absent")).await, Err(Refusal::Absent));
    let stale = Command::Remove(Remove {
        identifier: identifier("88.118/x"),
        precondition: Precondition::Version(9),
    });
    let mismatch = Refusal::VersionMismatch { expected: 9, found: 1 };
    assert_eq!(check(&fixture, &proved(OURS), &stale).await, Err(mismatch));
}

/// A repeated request has its first receipt, although its own doing took the permission away.
#[tokio::test]
async fn a_repeated_request_of_an_identity_has_its_first_receipt() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(record(May::ALL)).await.expect("registered");
    let command = Command::Register(Register {
        target: Target::Named(identifier("88.118/x")),
        values: values("nobody's"),
        existing: Existing::Overwrite,
        precondition: Precondition::None,
    });
    let request = fixture.request_id(1);
    let ours = proved(OURS);
    let first = fixture.request(&ours, Some(request), vec![command.clone()]).await;
    let receipt = first[0].clone().expect("overwritten");
    let again = fixture.request(&ours, Some(request), vec![command.clone()]).await;
    assert_eq!(again, [Ok(receipt.again())]);
    let new = fixture.request(&ours, None, vec![command]).await;
    assert_eq!(new[0].as_ref().map(|receipt| receipt.outcome), Ok(Outcome::Unchanged));
    assert_eq!(fixture.one(&ours, remove("88.118/x")).await, Err(not_administrator(OURS, "88.118/x")));
}
