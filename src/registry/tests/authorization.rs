//! Who may do what, and that an authorization does not outlive what it was read from.

use std::sync::Arc;

use crate::authority::caller::Caller;
use crate::model::prefix::PrefixStatus;
use crate::model::refusal::{Problem, Refusal};
use crate::model::token::{Scope, TokenId};
use crate::registry::TokenDraft;
use crate::registry::command::{Command, Filing, PrefixCommand, TokenCommand};
use crate::store::EngineKind;

use super::fixture::{
    Fixture, add, delegate, elsewhere, home, mint, overwrite, prefix, register, remove, revoke, site, suspend,
};

fn denied(needed: &str) -> Refusal {
    Refusal::PermissionDenied { needed: needed.into() }
}

fn file(text: &str) -> Command {
    Command::Prefix(PrefixCommand::File(Filing {
        prefix: prefix(text),
        site: site(1),
        registrant: None,
        status: PrefixStatus::Active,
        position: elsewhere(1, 1),
    }))
}

fn end_token(id: TokenId) -> Command {
    Command::Token(TokenCommand::Revoke { id })
}

pub(super) fn token_of(caller: &Caller) -> TokenId {
    match caller {
        Caller::Token(token) => token.id,
        other => panic!("not a token: {other:?}"),
    }
}

#[tokio::test]
async fn each_scope_opens_its_commands_and_no_others() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(home("77")).await.expect("homed");
    let own = || vec![prefix("88")];
    let admin = fixture.caller(Scope::Admin).await;
    let registrar = fixture.caller(Scope::Registrar(own())).await;
    let reader = fixture.caller(Scope::Reader(own())).await;
    let peer = fixture.caller(Scope::Peer(own())).await;

    let changes = [
        overwrite("88.118/x", "one"),
        add("88.118/x", 2, "two"),
        remove("88.118/x"),
        mint("88.118", "m"),
        overwrite("0.NA/88.118", "one"),
    ];
    for command in changes {
        for caller in [&admin, &registrar] {
            assert!(fixture.one(caller, command.clone()).await.is_ok(), "{command:?}");
            if matches!(command, Command::Amend(_)) {
                fixture.node(overwrite("88.118/x", "one")).await.expect("overwritten");
            }
            if matches!(command, Command::Remove(_)) {
                fixture.node(register("88.118/x", "one")).await.expect("registered");
            }
        }
        for caller in [&reader, &peer] {
            let refused = fixture.one(caller, command.clone()).await;
            assert_eq!(refused, Err(denied("scope registrar on prefix 88.118")), "{command:?}");
        }
        assert_eq!(fixture.one(&Caller::Anonymous, command).await, Err(Refusal::Unauthenticated));
    }
    let foreign = fixture.one(&registrar, register("77/x", "one")).await;
    assert_eq!(foreign, Err(denied("scope registrar on prefix 77")));
    let foreign = fixture.one(&registrar, register("0.NA/77", "one")).await;
    assert_eq!(foreign, Err(denied("scope registrar on prefix 77")));

    let administration =
        [home("88.1"), delegate("88.2", 1), suspend("88.1"), revoke("88.1"), end_token(token_of(&reader))];
    for command in administration {
        for caller in [&registrar, &peer] {
            let refused = fixture.one(caller, command.clone()).await;
            assert_eq!(refused, Err(denied("scope admin")), "{command:?}");
        }
        assert!(fixture.one(&admin, command).await.is_ok());
    }
    for caller in [&admin, &registrar, &Caller::Node] {
        assert_eq!(fixture.one(caller, file("88.3")).await, Err(denied("scope peer on prefix 88.3")));
    }
    assert!(fixture.one(&peer, file("88.3")).await.is_ok());
    assert_eq!(fixture.one(&peer, file("89")).await, Err(denied("scope peer on prefix 89")));
}

#[tokio::test]
async fn only_administrators_see_and_make_tokens() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let admin = fixture.caller(Scope::Admin).await;
    let reader = fixture.caller(Scope::Reader(vec![prefix("88")])).await;
    let draft = || TokenDraft { label: "line 4".into(), scopes: vec![Scope::Admin], expires_ms: None };
    let refused = fixture.registry.create_token(&reader, draft()).await;
    assert_eq!(refused.err(), Some(Problem::Refused(denied("scope admin"))));
    assert_eq!(fixture.registry.tokens(&reader).err(), Some(denied("scope admin")));
    assert_eq!(fixture.registry.tokens(&Caller::Anonymous).err(), Some(denied("scope admin")));
    let (text, entry) = fixture.registry.create_token(&admin, draft()).await.expect("a token");
    assert!(text.starts_with(&format!("idn_{}_", entry.id)) && !text.contains(&entry.label));
    let tokens = fixture.registry.tokens(&admin).expect("the tokens");
    assert_eq!(tokens.len(), 3);
    assert!(tokens.contains(&entry));
    let fixture = fixture.reopen().await;
    assert!(matches!(fixture.authority.authenticate(&text), Ok(Caller::Token(token)) if *token == entry));
}

#[tokio::test]
async fn a_draft_that_makes_no_sense_is_refused() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let draft = |label: &str, scopes| TokenDraft { label: label.into(), scopes, expires_ms: None };
    let many = vec![prefix("88"); 1_025];
    let past_ms = fixture.store.now_ms() - 60_000;
    let past = TokenDraft { expires_ms: Some(past_ms), ..draft("x", vec![Scope::Admin]) };
    let cases = [
        (draft(" ", vec![Scope::Admin]), "token label has 1 bytes"),
        (draft(&"x".repeat(513), vec![Scope::Admin]), "token label has 513 bytes"),
        (draft("x", Vec::new()), "token has 0 scopes"),
        (draft("x", vec![Scope::Admin; 65]), "token has 65 scopes"),
        (draft("x", vec![Scope::Reader(Vec::new())]), "a scope names 0 prefixes"),
        (draft("x", vec![Scope::Peer(many)]), "a scope names 1025 prefixes"),
        (past, "token would have expired 60 s ago"),
    ];
    for (draft, expected) in cases {
        match fixture.registry.create_token(&Caller::Node, draft).await {
            Err(Problem::Refused(Refusal::CommandInvalid { reason })) => {
                assert!(reason.starts_with(expected), "{reason}");
            }
            other => panic!("expected {expected:?}, not {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_that_has_ended_opens_nothing() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let caller = fixture.caller(Scope::Registrar(vec![prefix("88")])).await;
    let draft = TokenDraft {
        label: "an hour".into(),
        scopes: vec![Scope::Admin],
        expires_ms: Some(fixture.store.now_ms() + 3_600_000),
    };
    let (text, _) = fixture.registry.create_token(&Caller::Node, draft).await.expect("a token");
    let short = fixture.authority.authenticate(&text).expect("it opens");
    let id = token_of(&caller);
    let ended = fixture.node(end_token(id)).await.expect("revoked");
    assert_eq!(ended.version, 2);
    let same = fixture.node(end_token(id)).await.expect("it holds");
    assert_eq!((same.outcome, same.version), (crate::registry::receipt::Outcome::Unchanged, 2));
    let refused = fixture.one(&caller, register("88.118/x", "one")).await;
    assert_eq!(refused, Err(Refusal::TokenRevoked));

    fixture.one(&short, home("88.1")).await.expect("homed");
    fixture.advance(std::time::Duration::from_secs(3_600));
    assert_eq!(fixture.one(&short, home("88.2")).await, Err(Refusal::TokenExpired));
    assert_eq!(fixture.authority.authenticate(&text).err(), Some(Refusal::TokenExpired));

    let unknown = TokenId([9; 8]);
    let absent = Refusal::TokenAbsent { id: unknown.to_string() };
    assert_eq!(fixture.node(end_token(unknown)).await, Err(absent));
    let Caller::Token(entry) = caller else { panic!("not a token") };
    let mut unlisted = (*entry).clone();
    unlisted.id = unknown;
    let unlisted = fixture.one(&Caller::Token(Arc::new(unlisted)), register("88.118/x", "one")).await;
    assert_eq!(unlisted, Err(Refusal::TokenUnknown));
    let reason = format!("there is a token {id} already; make one with another id");
    let taken = fixture.node(Command::Token(TokenCommand::Create((*entry).clone()))).await;
    assert_eq!(taken, Err(Refusal::CommandInvalid { reason }));
}

/// Both are authorized before either commits: the queue decides.
#[tokio::test]
async fn nothing_commits_under_a_prefix_suspended_before_it() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let groups = fixture.groups();
    let (before, suspended, after, deeper) = tokio::join!(
        fixture.node(register("88.118/before", "one")),
        fixture.node(suspend("88.118")),
        fixture.node(register("88.118/after", "one")),
        fixture.node(register("88.118.9/after", "one")),
    );
    assert_eq!(fixture.groups(), groups + 1, "one group");
    assert!(before.is_ok() && suspended.is_ok());
    let refused = Err(Refusal::PrefixSuspended { prefix: prefix("88.118") });
    assert_eq!((after, deeper), (refused.clone(), refused));
    assert_eq!(fixture.data("88.118/after").await, None);

    let (delegated, after) =
        tokio::join!(fixture.node(delegate("88.118", 1)), fixture.node(register("88.118/after", "one")),);
    assert!(delegated.is_ok());
    // Refused before it was queued: the prefix was suspended when it was authorized.
    assert_eq!(after, Err(Refusal::PrefixSuspended { prefix: prefix("88.118") }));
    assert_eq!(
        fixture.node(register("88.118/after", "one")).await,
        Err(Refusal::PrefixDelegated { prefix: prefix("88.118") })
    );
}

#[tokio::test]
async fn nothing_commits_with_a_token_revoked_before_it() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let caller = fixture.caller(Scope::Registrar(vec![prefix("88")])).await;
    let (before, ended, after) = tokio::join!(
        fixture.one(&caller, register("88.118/before", "one")),
        fixture.node(end_token(token_of(&caller))),
        fixture.one(&caller, register("88.118/after", "one")),
    );
    assert!(before.is_ok() && ended.is_ok());
    assert_eq!(after, Err(Refusal::TokenRevoked));
}

#[tokio::test]
async fn a_longer_prefix_homed_in_the_same_batch_governs_at_once() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let outcomes = fixture.batch(vec![delegate("88.118.5", 1), register("88.118.5/x", "one")]).await;
    assert!(outcomes[0].is_ok());
    assert_eq!(outcomes[1], Err(Refusal::PrefixDelegated { prefix: prefix("88.118.5") }));
}
