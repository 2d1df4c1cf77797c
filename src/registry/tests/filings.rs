//! Filings from below.

use std::collections::BTreeSet;

use crate::authority::caller::Caller;
use crate::model::limits::INCARNATION_AHEAD_SECONDS_MAX;
use crate::model::position::{Incarnation, Position};
use crate::model::prefix::{Homing, PrefixStatus, Registrant};
use crate::model::refusal::{Problem, Refusal};
use crate::model::token::Scope;
use crate::registry::command::{Command, Filing, PrefixCommand, TokenCommand};
use crate::registry::receipt::Outcome;
use crate::store::EngineKind;
use crate::store::entry::Operation;

use super::authorization::token_of;
use super::fixture::{Fixture, delegate, elsewhere, home, prefix, register, revoke, site, suspend};
use super::prefixes::end_delegation;

pub(super) fn registrant(name: &str) -> Option<Registrant> {
    Some(Registrant::new(name, None, "ops@example").expect("a registrant"))
}

pub(super) fn filing(text: &str, incarnation: u8, sequence: u64) -> Filing {
    Filing {
        prefix: prefix(text),
        site: site(1),
        registrant: registrant("Works 1"),
        status: PrefixStatus::Active,
        position: elsewhere(incarnation, sequence),
    }
}

pub(super) async fn file(
    fixture: &Fixture,
    peer: &Caller,
    filing: Filing,
) -> Result<(Outcome, u64), Refusal> {
    let receipt = fixture.one(peer, Command::Prefix(PrefixCommand::File(filing))).await?;
    Ok((receipt.outcome, receipt.version))
}

/// The caller of a new call with the same token.
pub(super) fn again(fixture: &Fixture, caller: &Caller) -> Caller {
    let directory = fixture.store.directory();
    Caller::Token(directory.token(token_of(caller)).expect("a token").clone())
}

#[tokio::test]
async fn a_filing_delegates_and_the_same_place_has_no_effect_twice() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
        assert_eq!(file(&fixture, &peer, filing("88.5", 1, 10)).await, Ok((Outcome::PrefixChanged, 1)));
        assert_eq!(file(&fixture, &peer, filing("88.5", 1, 10)).await, Ok((Outcome::Unchanged, 1)));
        let moved = |sequence| Filing { site: site(2), ..filing("88.5", 1, sequence) };
        assert_eq!(file(&fixture, &peer, moved(9)).await, Ok((Outcome::Unchanged, 1)), "an earlier place");
        let fixture = fixture.reopen().await;
        let same = file(&fixture, &peer, filing("88.5", 1, 10)).await;
        assert_eq!(same, Ok((Outcome::Unchanged, 1)), "the same place");
        assert_eq!(
            file(&fixture, &peer, moved(10)).await,
            Ok((Outcome::PrefixChanged, 2)),
            "from another site"
        );
        assert_eq!(file(&fixture, &peer, moved(12)).await, Ok((Outcome::Unchanged, 2)), "the same content");
        let entry = fixture.registry.prefix(&prefix("88.5")).expect("the entry");
        assert_eq!((entry.homing, entry.registrant), (Homing::Delegated(site(2)), registrant("Works 1")));
        let suspended = Filing { status: PrefixStatus::Suspended, ..moved(13) };
        assert_eq!(file(&fixture, &peer, suspended).await, Ok((Outcome::PrefixChanged, 3)));
        assert_eq!(file(&fixture, &peer, moved(14)).await, Ok((Outcome::PrefixChanged, 4)), "lifted below");
    }
}

#[tokio::test]
async fn an_older_incarnation_files_no_more() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    file(&fixture, &peer, filing("88.5", 2, 10)).await.expect("filed");
    let older = Filing { site: site(2), ..filing("88.5", 1, 99) };
    assert_eq!(file(&fixture, &peer, older).await, Err(Refusal::IncarnationSuperseded));
    let newer = Filing { site: site(2), ..filing("88.5", 3, 1) };
    assert_eq!(file(&fixture, &peer, newer).await, Ok((Outcome::PrefixChanged, 2)));
}

#[tokio::test]
async fn an_administrators_word_stands_against_filings() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    file(&fixture, &peer, filing("88.5", 1, 1)).await.expect("filed");
    fixture.node(suspend("88.5")).await.expect("suspended");
    let suspended = Refusal::PrefixSuspended { prefix: prefix("88.5") };
    assert_eq!(file(&fixture, &peer, filing("88.5", 1, 2)).await, Err(suspended));
    fixture.node(revoke("88.5")).await.expect("revoked");
    let revoked = Refusal::PrefixRevoked { prefix: prefix("88.5") };
    assert_eq!(file(&fixture, &peer, filing("88.5", 1, 3)).await, Err(revoked));
    fixture.node(delegate("88.5", 9)).await.expect("delegated");
    assert_eq!(file(&fixture, &peer, filing("88.5", 1, 4)).await, Ok((Outcome::PrefixChanged, 5)));
    let homed = Refusal::PrefixHomedHere { prefix: prefix("88.118") };
    let all = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    assert_eq!(file(&fixture, &all, filing("88.118", 1, 5)).await, Err(homed));
}

#[tokio::test]
async fn a_filing_takes_nothing_that_is_homed_here() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let wide = fixture.caller(Scope::Peer(vec![prefix("88.118")])).await;
        let narrow = fixture.caller(Scope::Peer(vec![prefix("88.118.8")])).await;
        let homed = |text| Err(Refusal::PrefixHomedHere { prefix: prefix(text) });
        assert_eq!(file(&fixture, &wide, filing("88.118.8.1", 1, 1)).await, homed("88.118"));
        fixture.node(home("88.118.8")).await.expect("homed");
        fixture.node(register("88.118.8.1/x", "one")).await.expect("registered");
        assert_eq!(file(&fixture, &wide, filing("88.118.8.1", 1, 1)).await, homed("88.118.8"));
        assert_eq!(file(&fixture, &narrow, filing("88.118.8.2", 1, 1)).await, homed("88.118.8"));
        fixture.node(suspend("88.118.8")).await.expect("suspended");
        let suspended = Err(Refusal::PrefixSuspended { prefix: prefix("88.118.8") });
        assert_eq!(file(&fixture, &wide, filing("88.118.8.1", 1, 1)).await, suspended);
        fixture.node(home("88.118.8")).await.expect("homed");
        assert_eq!(fixture.data("88.118.8.1/x").await, Some(vec!["one".to_owned()]));
        // An administrator decides otherwise.
        fixture.node(delegate("88.118.8.1", 9)).await.expect("delegated");
        assert_eq!(file(&fixture, &wide, filing("88.118.8.1", 1, 1)).await, Ok((Outcome::PrefixChanged, 2)));
        assert_eq!(
            file(&fixture, &wide, filing("88.118.8.1.5", 1, 2)).await,
            Ok((Outcome::PrefixChanged, 1))
        );
    }
}

#[tokio::test]
async fn a_scope_below_a_homed_prefix_grants_what_holds_no_identifiers() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let peer = fixture.caller(Scope::Peer(vec![prefix("88.118.8"), prefix("88.118.9")])).await;
        fixture.node(register("88.118.80/x", "one")).await.expect("registered");
        fixture.node(register("0.NA/88.118.8", "one")).await.expect("registered");
        assert_eq!(file(&fixture, &peer, filing("88.118.8", 1, 1)).await, Ok((Outcome::PrefixChanged, 1)));
        fixture.node(register("88.118.9.5/x", "one")).await.expect("registered");
        let homed = |text| Err(Refusal::PrefixHomedHere { prefix: prefix(text) });
        assert_eq!(file(&fixture, &peer, filing("88.118.9", 1, 2)).await, homed("88.118.9"));
        fixture.node(home("88.118.9.5")).await.expect("homed");
        let parts = file(&fixture, &peer, filing("88.118.9", 1, 2)).await;
        assert_eq!(parts, Ok((Outcome::PrefixChanged, 1)), "that part has an entry of its own");
        fixture.node(register("88.118.9.5/y", "two")).await.expect("still registered here");
    }
}

#[tokio::test]
async fn what_one_batch_registers_is_not_taken_by_the_same_batch() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let both = Scope::Peer(vec![prefix("88.118.8")]);
    let draft = crate::registry::TokenDraft {
        label: "both".into(),
        scopes: vec![both, Scope::Registrar(vec![prefix("88.118")])],
        expires_ms: None,
    };
    let (text, _) = fixture.registry.create_token(&Caller::Node, draft).await.expect("a token");
    let caller = fixture.authority.authenticate(&text).expect("known");
    let filed = Command::Prefix(PrefixCommand::File(filing("88.118.8", 1, 1)));
    let batch = super::fixture::batch(None, vec![register("88.118.8/x", "one"), filed]);
    let outcomes = fixture.registry.apply(&caller, batch).await.expect("applied");
    let codes: Vec<_> = outcomes.iter().map(|one| one.as_ref().map_err(Refusal::code).map(|_| ())).collect();
    assert_eq!(codes, [Ok(()), Err("PREFIX_HOMED_HERE")]);
}

/// Identifiers that were left from before a delegation belong to this node again when it ends.
#[tokio::test]
async fn what_one_batch_leads_back_is_not_taken_by_the_same_batch() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        fixture.node(home("88.1")).await.expect("homed");
        fixture.node(register("88.1.2/x", "one")).await.expect("registered");
        fixture.node(delegate("88.1", 9)).await.expect("delegated");
        let draft = crate::registry::TokenDraft {
            label: "both".into(),
            scopes: vec![Scope::Admin, Scope::Peer(vec![prefix("88.1.2")])],
            expires_ms: None,
        };
        let (text, _) = fixture.registry.create_token(&Caller::Node, draft).await.expect("a token");
        let caller = fixture.authority.authenticate(&text).expect("known");
        let filed = Command::Prefix(PrefixCommand::File(filing("88.1.2", 1, 1)));
        let outcomes = fixture.request(&caller, None, vec![end_delegation("88.1", 2), filed]).await;
        let codes: Vec<_> =
            outcomes.iter().map(|one| one.as_ref().map_err(Refusal::code).map(|_| ())).collect();
        assert_eq!(codes, [Ok(()), Err("PREFIX_HOMED_HERE")], "{engine}");
        assert_eq!(fixture.registry.prefix(&prefix("88.1.2")), None);
    }
}

#[tokio::test]
async fn incarnations_are_ordered_within_one_peer() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let one = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
        let other = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
        file(&fixture, &one, filing("88.5", 2, 10)).await.expect("filed");
        let filed = |caller: &Caller, text| {
            Err(Refusal::PrefixFiled { prefix: prefix(text), peer: token_of(caller).to_string() })
        };
        let theirs = |incarnation| Filing { site: site(2), ..filing("88.5", incarnation, 99) };
        assert_eq!(file(&fixture, &other, theirs(1)).await, filed(&one, "88.5"), "an earlier incarnation");
        assert_eq!(file(&fixture, &other, theirs(3)).await, filed(&one, "88.5"), "a later incarnation");
        let below = Filing { prefix: prefix("88.5.1"), ..theirs(3) };
        assert_eq!(file(&fixture, &other, below).await, filed(&one, "88.5"), "a part of it");
        // The same store with another token is the same lower node.
        assert_eq!(file(&fixture, &other, theirs(2)).await, Ok((Outcome::PrefixChanged, 2)));
        assert_eq!(file(&fixture, &one, filing("88.5", 3, 1)).await, filed(&other, "88.5"));
        let end = Command::Token(TokenCommand::Revoke { id: token_of(&other) });
        fixture.node(end).await.expect("revoked");
        assert_eq!(file(&fixture, &one, filing("88.5", 1, 1)).await, Ok((Outcome::PrefixChanged, 3)));
    }
}

#[tokio::test]
async fn an_incarnation_far_ahead_of_the_clock_is_refused() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    let at = |incarnation| Position { incarnation: Incarnation(incarnation), ..elsewhere(1, 1) };
    let ahead = at([0xff; 16]);
    let code = |problem: Problem| match problem {
        Problem::Refused(refusal) => refusal.code(),
        Problem::Failed(failure) => panic!("{failure}"),
    };
    let announced = fixture.registry.announce(&peer, ahead.incarnation, &[]).await;
    assert_eq!(announced.map_err(code), Err("INCARNATION_AHEAD"));
    assert_eq!(fixture.registry.confirm(&peer, ahead).await.map_err(code), Err("INCARNATION_AHEAD"));
    let refused = file(&fixture, &peer, Filing { position: ahead, ..filing("88.5", 1, 1) }).await;
    assert_eq!(refused.map_err(|refusal| refusal.code()), Err("INCARNATION_AHEAD"));
    let named = |began_ms: u64| {
        let mut name = [0; 16];
        name.iter_mut().zip(began_ms.to_be_bytes().into_iter().skip(2)).for_each(|(to, from)| *to = from);
        Incarnation(name)
    };
    let bound_ms = fixture.store.now_ms() + INCARNATION_AHEAD_SECONDS_MAX * 1_000;
    assert_eq!(fixture.registry.announce(&peer, named(bound_ms), &[]).await, Ok(None));
    let beyond = fixture.registry.announce(&peer, named(bound_ms + 1_000), &[]).await;
    assert_eq!(beyond.map_err(code), Err("INCARNATION_AHEAD"));
    assert_eq!(
        fixture.registry.announce(&peer, elsewhere(1, 0).incarnation, &[]).await,
        Ok(None),
        "not shut out"
    );
}

#[tokio::test]
async fn a_reset_peer_files_with_an_older_incarnation() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
        let reset = Command::Token(TokenCommand::ResetPeer { id: token_of(&peer) });
        file(&fixture, &peer, filing("88.5", 5, 10)).await.expect("filed");
        fixture.registry.confirm(&peer, elsewhere(5, 10)).await.expect("confirmed");
        let older = || Filing { site: site(2), ..filing("88.5", 1, 3) };
        assert_eq!(file(&fixture, &peer, older()).await, Err(Refusal::IncarnationSuperseded));
        let registrar = fixture.caller(Scope::Registrar(vec![prefix("88")])).await;
        let denied = fixture.one(&registrar, reset.clone()).await;
        assert_eq!(denied, Err(Refusal::PermissionDenied { needed: "scope admin".to_owned() }));
        let receipt = fixture.node(reset).await.expect("reset");
        assert_eq!((receipt.outcome, receipt.version), (Outcome::PeerReset, 2));
        let header = fixture.store.header(receipt.position).await.expect("the journal reads");
        let operation = header.map(|header| header.operation);
        assert_eq!(operation, Some(Operation::PeerReset));

        let fixture = fixture.reopen().await;
        let peer = again(&fixture, &peer);
        let first = elsewhere(1, 0).incarnation;
        assert_eq!(
            fixture.registry.announce(&peer, first, &[]).await,
            Ok(None),
            "it files its present state"
        );
        assert_eq!(file(&fixture, &peer, older()).await, Ok((Outcome::PrefixChanged, 2)));
        fixture.registry.confirm(&peer, elsewhere(1, 3)).await.expect("confirmed");
        assert_eq!(fixture.registry.announce(&peer, first, &[]).await, Ok(Some(elsewhere(1, 3))));
        let other_token = Command::Token(TokenCommand::ResetPeer { id: token_of(&registrar) });
        let refused = fixture.node(other_token).await.map_err(|refusal| refusal.code());
        assert_eq!(refused, Err("COMMAND_INVALID"), "no peer");
    }
}

/// A call that began before the reset, such as a stream whose messages are under way, files and confirms nothing after it.
#[tokio::test]
async fn a_call_from_before_the_reset_of_its_peer_files_no_more() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    file(&fixture, &peer, filing("88.5", 5, 10)).await.expect("filed");
    fixture.registry.confirm(&peer, elsewhere(5, 10)).await.expect("confirmed");
    let reset = Command::Token(TokenCommand::ResetPeer { id: token_of(&peer) });
    fixture.node(reset).await.expect("reset");
    let refused = file(&fixture, &peer, filing("88.6", 5, 11)).await;
    assert_eq!(refused.map_err(|refusal| refusal.code()), Err("PEER_RESET"));
    assert_eq!(fixture.registry.prefix(&prefix("88.6")), None);
    let confirmed = fixture.registry.confirm(&peer, elsewhere(5, 11)).await;
    let Err(Problem::Refused(refusal)) = confirmed else { panic!("{confirmed:?}") };
    assert_eq!(refusal.code(), "PEER_RESET");
    let first = elsewhere(1, 0).incarnation;
    assert_eq!(
        fixture.registry.announce(&again(&fixture, &peer), first, &[]).await,
        Ok(None),
        "the reset stands"
    );
}

/// A node whose store began under a clock far ahead, and so began all its later incarnations, too.
#[tokio::test]
async fn a_reset_peer_files_with_an_incarnation_far_ahead_of_the_clock() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    let at = |last, sequence| {
        let mut name = [0xfe; 16];
        name[15] = last;
        Position { incarnation: Incarnation(name), ..elsewhere(1, sequence) }
    };
    let refused = fixture.registry.announce(&peer, at(1, 0).incarnation, &[]).await;
    assert!(matches!(refused, Err(Problem::Refused(Refusal::IncarnationAhead { .. }))), "{refused:?}");
    let reset = Command::Token(TokenCommand::ResetPeer { id: token_of(&peer) });
    fixture.node(reset).await.expect("reset");
    let peer = again(&fixture, &peer);
    for life in [1, 2] {
        let placed = |sequence| Filing { position: at(life, sequence), ..filing("88.5", 1, 1) };
        assert_eq!(fixture.registry.announce(&peer, at(life, 0).incarnation, &[]).await, Ok(None));
        let moved = Filing { site: site(life), ..placed(3) };
        let version = u64::from(life);
        assert_eq!(file(&fixture, &peer, moved).await, Ok((Outcome::PrefixChanged, version)), "life {life}");
        fixture.registry.confirm(&peer, at(life, 3)).await.expect("confirmed");
        let known = fixture.registry.announce(&peer, at(life, 0).incarnation, &[]).await;
        assert_eq!(known, Ok(Some(at(life, 3))));
    }
    let older = fixture.registry.announce(&peer, at(1, 0).incarnation, &[]).await;
    assert_eq!(
        older,
        Err(Problem::Refused(Refusal::IncarnationSuperseded)),
        "its order is that of any other"
    );
    let other = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    let refused = fixture.registry.announce(&other, at(3, 0).incarnation, &[]).await;
    assert!(matches!(refused, Err(Problem::Refused(Refusal::IncarnationAhead { .. }))), "{refused:?}");
}

#[tokio::test]
async fn a_peer_is_confirmed_forward_only_and_within_its_life() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
        let second = elsewhere(2, 0).incarnation;
        let superseded = Problem::Refused(Refusal::IncarnationSuperseded);
        assert_eq!(fixture.registry.announce(&peer, second, &[]).await, Ok(None), "never met");
        fixture.registry.confirm(&peer, elsewhere(2, 50)).await.expect("confirmed");
        fixture.registry.confirm(&peer, elsewhere(2, 40)).await.expect("behind, without effect");
        let fixture = fixture.reopen().await;
        assert_eq!(fixture.registry.announce(&peer, second, &[]).await, Ok(Some(elsewhere(2, 50))));
        let older = elsewhere(1, 99);
        assert_eq!(fixture.registry.announce(&peer, older.incarnation, &[]).await, Err(superseded.clone()));
        assert_eq!(fixture.registry.confirm(&peer, older).await, Err(superseded));
        let newer = elsewhere(3, 1);
        assert_eq!(fixture.registry.announce(&peer, newer.incarnation, &[]).await, Ok(None), "a new life");
        fixture.registry.confirm(&peer, newer).await.expect("confirmed");
        assert_eq!(fixture.registry.announce(&peer, newer.incarnation, &[]).await, Ok(Some(newer)));
        let other = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
        assert_eq!(fixture.registry.announce(&other, second, &[]).await, Ok(None), "of each peer its own");
        let nobody = fixture.registry.announce(&Caller::Anonymous, second, &[]).await;
        assert_eq!(nobody, Err(Problem::Refused(Refusal::Unauthenticated)));
    }
}

#[tokio::test]
async fn what_a_resynchronization_does_not_name_is_revoked() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    let other = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    for (number, text) in (1..).zip(["88.1", "88.2", "88.3"]) {
        file(&fixture, &peer, filing(text, 1, number)).await.expect("filed");
    }
    file(&fixture, &other, filing("88.4", 1, 1)).await.expect("filed");
    fixture.node(suspend("88.3")).await.expect("suspended");
    let filed = BTreeSet::from([prefix("88.1")]);
    fixture.registry.settle(&peer, &filed, elsewhere(2, 7), false).await.expect("settled");
    let status = |text| fixture.registry.prefix(&prefix(text)).expect("the entry").status;
    assert_eq!(status("88.1"), PrefixStatus::Active);
    assert_eq!(status("88.2"), PrefixStatus::Revoked);
    assert_eq!(status("88.3"), PrefixStatus::Suspended, "an administrator's word");
    assert_eq!(status("88.4"), PrefixStatus::Active, "another peer's");
    let confirmed = fixture.registry.announce(&peer, elsewhere(2, 0).incarnation, &[]).await;
    assert_eq!(confirmed, Ok(Some(elsewhere(2, 7))));
}

/// A resynchronization that was refused is not confirmed: the peer would take it for done.
#[tokio::test]
async fn a_resynchronization_ends_only_for_a_peer_that_may_file() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    file(&fixture, &peer, filing("88.1", 2, 1)).await.expect("filed");
    let nothing = BTreeSet::new();
    let older = fixture.registry.settle(&peer, &nothing, elsewhere(1, 7), false).await;
    assert_eq!(older, Err(Problem::Refused(Refusal::IncarnationSuperseded)));
    assert_eq!(fixture.registry.announce(&peer, elsewhere(2, 0).incarnation, &[]).await, Ok(None));
    let id = token_of(&peer);
    fixture.node(Command::Token(TokenCommand::Revoke { id })).await.expect("revoked");
    let revoked = fixture.registry.settle(&peer, &nothing, elsewhere(2, 7), false).await;
    assert_eq!(revoked, Err(Problem::Refused(Refusal::TokenRevoked)));
    assert_eq!(fixture.registry.announce(&peer, elsewhere(2, 0).incarnation, &[]).await, Ok(None));
    let entry = fixture.registry.prefix(&prefix("88.1")).expect("the entry");
    assert_eq!((entry.status, entry.version), (PrefixStatus::Active, 1), "nothing has changed");
}

/// The incarnations that a lower node's store has had.
fn lineage(incarnations: &[u8]) -> Vec<Incarnation> {
    incarnations.iter().map(|incarnation| elsewhere(*incarnation, 0).incarnation).collect()
}

/// Announces the last of these incarnations.
async fn announce(
    fixture: &Fixture,
    peer: &Caller,
    incarnations: &[u8],
) -> Result<Option<Position>, Problem> {
    let lineage = lineage(incarnations);
    fixture.registry.announce(peer, *lineage.last().expect("one"), &lineage).await
}

fn forked(filed: u8) -> Result<Option<Position>, Problem> {
    Err(Problem::Refused(Refusal::IncarnationForked { filed: elsewhere(filed, 0).incarnation }))
}

/// Of two stores that continue the same one, the one that files first is the lower node; the other is a fork, however late it began.
#[tokio::test]
async fn a_store_that_does_not_continue_the_one_that_filed_last_is_refused_until_a_reset() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
        assert_eq!(announce(&fixture, &peer, &[1]).await, Ok(None), "first contact");
        fixture.registry.confirm(&peer, elsewhere(1, 9)).await.expect("confirmed");
        assert_eq!(announce(&fixture, &peer, &[1, 2]).await, Ok(None), "it continues");
        fixture.registry.confirm(&peer, elsewhere(2, 12)).await.expect("confirmed");
        let fixture = fixture.reopen().await;
        for other in [&[1, 3][..], &[3]] {
            assert_eq!(announce(&fixture, &peer, other).await, forked(2), "{other:?}");
        }
        assert_eq!(announce(&fixture, &peer, &[1, 2, 4, 5]).await, Ok(None), "by way of another");
        assert_eq!(announce(&fixture, &peer, &[1, 2]).await, Ok(Some(elsewhere(2, 12))));
        // One that begins its present state and files nothing of it is not the lower node yet.
        fixture.registry.confirm(&peer, elsewhere(5, 0)).await.expect("begun");
        assert_eq!(announce(&fixture, &peer, &[1, 2, 6]).await, Ok(None));
        let reset = Command::Token(TokenCommand::ResetPeer { id: token_of(&peer) });
        fixture.node(reset).await.expect("reset");
        let peer = again(&fixture, &peer);
        assert_eq!(announce(&fixture, &peer, &[1, 3]).await, Ok(None), "an administrator has decided");
    }
}

/// The bookmarks of a restored store may be older than what its journal has: the marks count too.
#[tokio::test]
async fn the_marks_of_what_was_filed_count_where_no_bookmark_does() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    file(&fixture, &peer, filing("88.1", 1, 3)).await.expect("filed");
    file(&fixture, &peer, filing("88.2", 2, 5)).await.expect("filed");
    assert_eq!(announce(&fixture, &peer, &[1, 3]).await, forked(2));
    let superseded = Err(Problem::Refused(Refusal::IncarnationSuperseded));
    assert_eq!(announce(&fixture, &peer, &[1]).await, superseded);
    assert_eq!(announce(&fixture, &peer, &[1, 2, 3]).await, Ok(None));
    file(&fixture, &peer, filing("88.2", 3, 6)).await.expect("filed");
    let filed = BTreeSet::from([prefix("88.2")]);
    fixture.registry.settle(&peer, &filed, elsewhere(3, 6), true).await.expect("settled");
    assert_eq!(lost(&fixture).await, ["88.1"]);
}

/// What a lower node has lost stands and is listed, until the node files it again or an administrator decides.
#[tokio::test]
async fn what_a_lower_node_has_lost_is_listed_and_not_revoked_by_itself() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
        for (sequence, text) in [(3, "88.1"), (7, "88.3"), (8, "88.4"), (9, "88.5")] {
            file(&fixture, &peer, filing(text, 1, sequence)).await.expect("filed");
        }
        fixture.registry.confirm(&peer, elsewhere(1, 9)).await.expect("confirmed");
        assert_eq!(announce(&fixture, &peer, &[1, 2]).await, Ok(None), "accepted, whatever it has lost");
        // The present state of the second incarnation: 88.4 is part of it again, with the same content.
        fixture.registry.confirm(&peer, elsewhere(2, 0)).await.expect("begun");
        for text in ["88.1", "88.4"] {
            assert_eq!(file(&fixture, &peer, filing(text, 2, 7)).await, Ok((Outcome::PrefixChanged, 2)));
            assert_eq!(lost(&fixture).await, [""; 0], "known at the end");
        }
        let filed = BTreeSet::from([prefix("88.1"), prefix("88.4")]);
        let fixture = fixture.reopen().await;
        fixture.registry.settle(&peer, &filed, elsewhere(2, 7), true).await.expect("settled");
        assert_eq!(lost(&fixture).await, ["88.3", "88.5"]);
        let status = |text| fixture.registry.prefix(&prefix(text)).expect("the entry").status;
        assert_eq!((status("88.3"), status("88.5")), (PrefixStatus::Active, PrefixStatus::Active));
        // Another resynchronization of the same incarnation, and one of a further one that has lost more.
        fixture.registry.settle(&peer, &filed, elsewhere(2, 7), true).await.expect("settled");
        file(&fixture, &peer, filing("88.6", 2, 9)).await.expect("filed");
        assert_eq!(announce(&fixture, &peer, &[1, 2, 3]).await, Ok(None));
        for text in ["88.1", "88.4"] {
            file(&fixture, &peer, filing(text, 3, 9)).await.expect("filed");
        }
        fixture.registry.settle(&peer, &filed, elsewhere(3, 9), true).await.expect("settled");
        assert_eq!(lost(&fixture).await, ["88.3", "88.5", "88.6"]);
        let seen = fixture.registry.lost_filings(&peer, &fixture.registry.prefixes()).await.expect("read");
        assert!(fixture.registry.prefixes().iter().all(|entry| !seen.contains(entry)), "for administrators");
        // An administrator suspends one, or decides: one by one, or all.
        fixture.node(suspend("88.6")).await.expect("suspended");
        fixture.node(revoke("88.3")).await.expect("revoked");
        assert_eq!(lost(&fixture).await, ["88.5"]);
        let reset = Command::Token(TokenCommand::ResetPeer { id: token_of(&peer) });
        fixture.node(reset).await.expect("reset");
        let peer = again(&fixture, &peer);
        assert_eq!(lost(&fixture).await, [""; 0]);
        for text in ["88.1", "88.4"] {
            file(&fixture, &peer, filing(text, 3, 9)).await.expect("filed");
        }
        fixture.registry.settle(&peer, &filed, elsewhere(3, 9), true).await.expect("settled");
        assert_eq!((status("88.5"), status("88.1")), (PrefixStatus::Revoked, PrefixStatus::Active));
        assert_eq!(status("88.6"), PrefixStatus::Suspended, "an administrator's word");
    }
}

/// A token that is revoked takes the list of what was lost with it no more than the prefixes.
#[tokio::test]
async fn what_was_lost_is_listed_also_after_its_token_was_revoked() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    for (sequence, text) in [(3, "88.1"), (7, "88.2")] {
        file(&fixture, &peer, filing(text, 1, sequence)).await.expect("filed");
    }
    file(&fixture, &peer, filing("88.1", 2, 5)).await.expect("filed");
    fixture
        .registry
        .settle(&peer, &BTreeSet::from([prefix("88.1")]), elsewhere(2, 5), true)
        .await
        .expect("settled");
    assert_eq!(lost(&fixture).await, ["88.2"]);
    fixture.node(Command::Token(TokenCommand::Revoke { id: token_of(&peer) })).await.expect("revoked");
    assert_eq!(lost(&fixture).await, ["88.2"]);
}

/// Prefixes whose filing a lower node has lost.
async fn lost(fixture: &Fixture) -> Vec<String> {
    let mut entries = fixture.registry.prefixes();
    entries.sort_by(|left, right| left.prefix.cmp(&right.prefix));
    let lost = fixture.registry.lost_filings(&Caller::Node, &entries).await.expect("read");
    entries.iter().filter(|entry| lost.contains(entry)).map(|entry| entry.prefix.to_string()).collect()
}
