//! Prefix commands.

use std::collections::BTreeSet;

use crate::authority::caller::Caller;
use crate::model::prefix::{Homing, PrefixStatus};
use crate::model::refusal::Refusal;
use crate::model::token::Scope;
use crate::registry::command::{Command, Filing, PrefixCommand, TokenCommand};
use crate::registry::receipt::Outcome;
use crate::store::EngineKind;

use super::authorization::token_of;
use super::filings::{again, file, filing, registrant};
use super::fixture::{
    Fixture, add, delegate, elsewhere, home, prefix, register, remove, revoke, site, suspend,
};

#[tokio::test]
async fn a_life_of_a_prefix() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let steps = [
            (home("88.1"), Outcome::PrefixChanged, 1),
            (home("88.1"), Outcome::Unchanged, 1),
            (suspend("88.1"), Outcome::PrefixChanged, 2),
            (suspend("88.1"), Outcome::Unchanged, 2),
            (home("88.1"), Outcome::PrefixChanged, 3),
            (delegate("88.1", 1), Outcome::PrefixChanged, 4),
            (delegate("88.1", 1), Outcome::Unchanged, 4),
            (delegate("88.1", 2), Outcome::PrefixChanged, 5),
            (revoke("88.1"), Outcome::PrefixChanged, 6),
            (revoke("88.1"), Outcome::Unchanged, 6),
        ];
        for (command, outcome, version) in steps {
            let receipt = fixture.node(command.clone()).await.expect("done");
            assert_eq!((receipt.outcome, receipt.version), (outcome, version), "{command:?}");
            assert_eq!(receipt.identifier, None);
        }
        let fixture = fixture.reopen().await;
        let entry = fixture.registry.prefix(&prefix("88.1")).expect("the entry");
        assert_eq!((entry.version, entry.status), (6, PrefixStatus::Revoked));
        assert_eq!(entry.homing, Homing::Delegated(site(2)));
        let revoked = Refusal::PrefixRevoked { prefix: prefix("88.1") };
        assert_eq!(fixture.node(suspend("88.1")).await, Err(revoked.clone()));
        assert_eq!(fixture.node(register("88.1/x", "one")).await, Err(revoked.clone()));
        assert_eq!(fixture.node(resume("88.1")).await, Err(revoked.clone()), "no suspension");
        fixture.node(end_delegation("88.1", 6)).await.expect("an administrator leads back");
        fixture.node(register("88.1/x", "one")).await.expect("registered");
        let all: Vec<String> =
            fixture.registry.prefixes().iter().map(|entry| entry.prefix.to_string()).collect();
        assert_eq!(all, ["88.1", "88.118"]);
    }
}

fn resume(text: &str) -> Command {
    Command::Prefix(PrefixCommand::Resume { prefix: prefix(text) })
}

pub(super) fn end_delegation(text: &str, version: u64) -> Command {
    Command::Prefix(PrefixCommand::EndDelegation { prefix: prefix(text), version })
}

/// A suspension ends as the prefix was before: homed here with its identifiers, or delegated.
#[tokio::test]
async fn a_resumed_prefix_is_what_it_was() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        fixture.node(register("88.118/x", "one")).await.expect("registered");
        fixture.node(delegate("88.5", 1)).await.expect("delegated");
        for text in ["88.118", "88.5"] {
            let before = fixture.registry.prefix(&prefix(text)).expect("the entry");
            let active = fixture.node(resume(text)).await.expect("active");
            assert_eq!((active.outcome, active.version), (Outcome::Unchanged, before.version));
            fixture.node(suspend(text)).await.expect("suspended");
            let resumed = fixture.node(resume(text)).await.expect("resumed");
            assert_eq!((resumed.outcome, resumed.version), (Outcome::PrefixChanged, before.version + 2));
            let after = fixture.registry.prefix(&prefix(text)).expect("the entry");
            assert_eq!((after.homing, after.status), (before.homing, PrefixStatus::Active));
        }
        fixture.node(register("88.118/y", "one")).await.expect("registered");
        let fixture = fixture.reopen().await;
        let entry = fixture.registry.prefix(&prefix("88.5")).expect("the entry");
        assert_eq!((entry.homing, entry.status), (Homing::Delegated(site(1)), PrefixStatus::Active));
        let absent = Refusal::PrefixAbsent { prefix: prefix("88.9") };
        assert_eq!(fixture.node(resume("88.9")).await, Err(absent));
    }
}

/// Homing a delegated prefix would make one without identifiers here, while the other site holds them.
#[tokio::test]
async fn a_delegation_ends_only_by_its_own_command() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    file(&fixture, &peer, filing("88.5", 1, 1)).await.expect("filed");
    let stands = Refusal::DelegationStands { prefix: prefix("88.5") };
    for command in [None, Some(suspend("88.5")), Some(revoke("88.5"))] {
        if let Some(command) = command {
            fixture.node(command).await.expect("changed");
        }
        assert_eq!(fixture.node(home("88.5")).await, Err(stands.clone()));
    }
    let entry = fixture.registry.prefix(&prefix("88.5")).expect("the entry");
    assert_eq!(entry.homing, Homing::Delegated(site(1)), "nothing has changed");
    let other = Refusal::VersionMismatch { expected: 2, found: 3 };
    assert_eq!(fixture.node(end_delegation("88.5", 2)).await, Err(other), "not the one that was seen");
    fixture.node(end_delegation("88.5", 3)).await.expect("ended");
    let entry = fixture.registry.prefix(&prefix("88.5")).expect("the entry");
    assert_eq!((entry.homing, entry.status), (Homing::Here, PrefixStatus::Active));
    let again = fixture.node(end_delegation("88.5", 4)).await;
    assert!(matches!(again, Err(Refusal::CommandInvalid { .. })), "{again:?}");
}

/// Who repeats it has read the entry again, whose version is another since.
#[tokio::test]
async fn the_end_of_a_delegation_is_repeated_under_its_request_id() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        fixture.node(delegate("88.5", 1)).await.expect("delegated");
        let id = Some(fixture.request_id(1));
        let first = fixture.request(&Caller::Node, id, vec![end_delegation("88.5", 1)]).await;
        let [Ok(first)] = first.as_slice() else { panic!("ended: {first:?}") };
        assert_eq!((first.outcome, first.version), (Outcome::PrefixChanged, 2));
        let again = fixture.request(&Caller::Node, id, vec![end_delegation("88.5", 2)]).await;
        assert_eq!(again, [Ok(first.again())]);
        let other = fixture.request(&Caller::Node, id, vec![end_delegation("88.118", 2)]).await;
        assert_eq!(other, [Err(Refusal::RequestConflict)], "another prefix");
    }
}

/// What the lower node suspended is resumed there; what was suspended here takes filings again once it is resumed.
#[tokio::test]
async fn a_filed_prefix_is_resumed_where_it_was_suspended() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    let suspended = Filing { status: PrefixStatus::Suspended, ..filing("88.5", 1, 1) };
    file(&fixture, &peer, suspended).await.expect("filed");
    let refused = fixture.node(resume("88.5")).await;
    let Err(Refusal::CommandInvalid { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("suspended by the lower node"), "{reason}");
    file(&fixture, &peer, filing("88.5", 1, 2)).await.expect("resumed below");
    fixture.node(suspend("88.5")).await.expect("suspended");
    fixture.node(resume("88.5")).await.expect("resumed");
    let moved = Filing { site: site(2), ..filing("88.5", 1, 3) };
    assert_eq!(file(&fixture, &peer, moved).await, Ok((Outcome::PrefixChanged, 5)));
    let entry = fixture.registry.prefix(&prefix("88.5")).expect("the entry");
    assert_eq!(entry.homing, Homing::Delegated(site(2)));
}

/// Who filed a prefix stays known through a suspension here: neither another peer nor an older copy takes it afterwards.
#[tokio::test]
async fn a_resumed_prefix_is_that_of_the_node_which_filed_it() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let one = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
        let other = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
        file(&fixture, &one, filing("88.5", 2, 10)).await.expect("filed");
        fixture.node(suspend("88.5")).await.expect("suspended");
        let suspended = || Err(Refusal::PrefixSuspended { prefix: prefix("88.5") });
        let fixture = fixture.reopen().await;
        for (caller, incarnation) in [(&one, 2), (&other, 3)] {
            assert_eq!(file(&fixture, caller, filing("88.5", incarnation, 11)).await, suspended());
            assert_eq!(file(&fixture, caller, filing("88.5.1", incarnation, 11)).await, suspended());
        }
        assert_eq!(fixture.node(suspend("88.5")).await.expect("it holds").outcome, Outcome::Unchanged);
        fixture.node(resume("88.5")).await.expect("resumed");
        let fixture = fixture.reopen().await;
        let moved = |incarnation| Filing { site: site(2), ..filing("88.5", incarnation, 99) };
        let filed = Refusal::PrefixFiled { prefix: prefix("88.5"), peer: token_of(&one).to_string() };
        assert_eq!(file(&fixture, &other, moved(3)).await, Err(filed));
        assert_eq!(file(&fixture, &one, moved(1)).await, Err(Refusal::IncarnationSuperseded));
        fixture.registry.settle(&one, &BTreeSet::new(), elsewhere(2, 100), false).await.expect("settled");
        let entry = fixture.registry.prefix(&prefix("88.5")).expect("the entry");
        assert_eq!(entry.status, PrefixStatus::Revoked, "its node does not have it any more");
    }
}

/// A suspension here ends here, also where the lower node had suspended the prefix before or meanwhile.
#[tokio::test]
async fn a_suspension_here_and_one_below_end_each_at_its_node() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    let below = |sequence| Filing { status: PrefixStatus::Suspended, ..filing("88.5", 1, sequence) };
    file(&fixture, &peer, below(1)).await.expect("filed");
    let here = fixture.node(suspend("88.5")).await.expect("suspended");
    assert_eq!((here.outcome, here.version), (Outcome::PrefixChanged, 2), "a decision of its own");
    let suspended = Refusal::PrefixSuspended { prefix: prefix("88.5") };
    assert_eq!(file(&fixture, &peer, filing("88.5", 1, 2)).await, Err(suspended));
    fixture.node(resume("88.5")).await.expect("resumed");
    assert_eq!(file(&fixture, &peer, below(3)).await, Ok((Outcome::PrefixChanged, 4)), "suspended below");
    assert_eq!(file(&fixture, &peer, filing("88.5", 1, 4)).await, Ok((Outcome::PrefixChanged, 5)));
}

/// What a peer filed before its reset is not compared again because an administrator suspended the prefix and resumed it.
#[tokio::test]
async fn a_suspension_here_does_not_undo_the_reset_of_a_peer() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    let other = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    file(&fixture, &peer, filing("88.5", 5, 10)).await.expect("filed");
    let reset = Command::Token(TokenCommand::ResetPeer { id: token_of(&peer) });
    fixture.node(reset).await.expect("reset");
    fixture.node(suspend("88.5")).await.expect("suspended");
    fixture.node(resume("88.5")).await.expect("resumed");
    let moved = |incarnation| Filing { site: site(2), ..filing("88.5", incarnation, 3) };
    let filed = Refusal::PrefixFiled { prefix: prefix("88.5"), peer: token_of(&peer).to_string() };
    assert_eq!(file(&fixture, &other, moved(6)).await, Err(filed));
    let peer = again(&fixture, &peer);
    assert_eq!(file(&fixture, &peer, moved(1)).await, Ok((Outcome::PrefixChanged, 4)));
}

#[tokio::test]
async fn each_change_of_a_prefix_links_to_the_one_before() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        fixture.node(suspend("88.118")).await.expect("suspended");
        let fixture = fixture.reopen().await;
        fixture.node(register("88.118/x", "one")).await.expect_err("suspended");
        let unchanged = fixture.node(suspend("88.118")).await.expect("it holds");
        assert_eq!(unchanged.brief(), (Outcome::Unchanged, 2, 3), "where it last changed");
        let outcomes = fixture.batch(vec![home("88.118"), revoke("88.118")]).await;
        assert!(outcomes.iter().all(Result::is_ok));
        let headers = fixture.store.headers_after(fixture.position(1), 10).await.expect("the journal reads");
        let links: Vec<Option<u64>> = headers.iter().map(|header| header.previous).collect();
        assert_eq!(links, [None, Some(2), Some(3), Some(4)]);
    }
}

#[tokio::test]
async fn a_registrant_stays_until_another_is_named() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let named = |name| PrefixCommand::Home { prefix: prefix("88.118"), registrant: registrant(name) };
    fixture.node(Command::Prefix(named("Works 1"))).await.expect("named");
    fixture.node(delegate("88.118", 1)).await.expect("delegated");
    let entry = fixture.registry.prefix(&prefix("88.118")).expect("the entry");
    assert_eq!(entry.registrant, registrant("Works 1"));
    fixture.node(end_delegation("88.118", entry.version)).await.expect("ended");
    fixture.node(Command::Prefix(named("Works 2"))).await.expect("named");
    let entry = fixture.registry.prefix(&prefix("88.118")).expect("the entry");
    assert_eq!((entry.registrant, entry.homing), (registrant("Works 2"), Homing::Here));
}

#[tokio::test]
async fn a_prefix_that_is_not_there_or_not_wanted_is_refused() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let absent = Refusal::PrefixAbsent { prefix: prefix("88.9") };
    assert_eq!(fixture.node(suspend("88.9")).await, Err(absent.clone()));
    assert_eq!(fixture.node(revoke("88.9")).await, Err(absent));
    let rule = Refusal::CommandInvalid { reason: "the root is too long".into() };
    let peer = fixture.caller(Scope::Peer(vec![prefix("forbidden")])).await;
    assert_eq!(fixture.node(home("forbidden")).await, Err(rule.clone()));
    assert_eq!(fixture.node(delegate("forbidden", 1)).await, Err(rule.clone()));
    assert_eq!(file(&fixture, &peer, filing("forbidden", 1, 1)).await, Err(rule));
}

#[tokio::test]
async fn the_record_of_a_revoked_prefix_is_removed_and_nothing_else() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        fixture.node(home("88.55")).await.expect("homed");
        for identifier in ["0.NA/88.55", "88.55/x"] {
            fixture.node(register(identifier, "one")).await.expect("registered");
        }
        fixture.node(suspend("88.55")).await.expect("suspended");
        let suspended = Err(Refusal::PrefixSuspended { prefix: prefix("88.55") });
        assert_eq!(fixture.node(remove("0.NA/88.55")).await, suspended, "it may come back");
        fixture.node(revoke("88.55")).await.expect("revoked");
        let fixture = fixture.reopen().await;
        let revoked = || Err(Refusal::PrefixRevoked { prefix: prefix("88.55") });
        assert_eq!(fixture.node(remove("88.55/x")).await, revoked());
        assert_eq!(fixture.node(add("0.NA/88.55", 2, "two")).await, revoked());
        assert_eq!(fixture.node(register("0.NA/88.55", "one")).await, revoked());
        let other = fixture.caller(Scope::Registrar(vec![prefix("88.56")])).await;
        let needed = "scope registrar on prefix 88.55".to_owned();
        let denied = fixture.one(&other, remove("0.NA/88.55")).await;
        assert_eq!(denied, Err(Refusal::PermissionDenied { needed }));
        assert_eq!(
            fixture.one(&Caller::Anonymous, remove("0.NA/88.55")).await,
            Err(Refusal::Unauthenticated)
        );
        let own = fixture.caller(Scope::Registrar(vec![prefix("88.55")])).await;
        let removed = fixture.one(&own, remove("0.NA/88.55")).await.expect("removed");
        assert_eq!((removed.outcome, removed.version), (Outcome::Removed, 2));
        assert_eq!(fixture.node(remove("0.NA/88.55")).await, Err(Refusal::Absent));
        fixture.node(home("88.55")).await.expect("homed again");
        assert_eq!(fixture.data("0.NA/88.55").await, None);
        assert_eq!(fixture.data("88.55/x").await, Some(vec!["one".to_owned()]));
    }
}
