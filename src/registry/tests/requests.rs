//! Request ids: repeating a command is harmless, on another connection, after a restart, within the window.

use std::time::Duration;

use crate::authority::caller::Caller;
use crate::model::caller::CallerName;
use crate::model::refusal::{Failure, Refusal};
use crate::model::token::Scope;
use crate::registry::command::{Batch, Item};
use crate::registry::digest::RequestOfCaller;
use crate::registry::receipt::{Outcome, Receipt};
use crate::store::EngineKind;

use super::fixture::{
    Fixture, Outcomes, WINDOW, add, batch, home, mint, overwrite, passed, prefix, register, remove,
    request_id, revoke, suspend,
};

fn again(first: &Outcomes) -> Outcomes {
    first.iter().map(|outcome| outcome.as_ref().map(Receipt::again).map_err(Clone::clone)).collect()
}

#[tokio::test]
async fn a_repeated_request_gets_its_first_receipts_also_after_a_restart() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        fixture.node(register("88.118/Held", "one")).await.expect("registered");
        let id = Some(fixture.request_id(1));
        let commands = vec![
            register("88.118/a", "one"),
            add("88.118/a", 2, "two"),
            mint("88.118", "SN"),
            overwrite("88.118/HELD", "two"),
            overwrite("88.118/HELD", "two"),
            remove("88.118/a"),
        ];
        let first = fixture.request(&Caller::Node, id, commands.clone()).await;
        assert!(first.iter().all(|outcome| outcome.as_ref().is_ok_and(|receipt| !receipt.repeated)));
        let end = fixture.end();
        assert_eq!(fixture.request(&Caller::Node, id, commands.clone()).await, again(&first));
        fixture.node(remove("88.118/held")).await.expect("removed");
        let fixture = fixture.reopen().await;
        assert_eq!(fixture.request(&Caller::Node, id, commands).await, again(&first));
        assert_eq!(fixture.end(), end + 1, "nothing was done again");
        assert_eq!(fixture.data("88.118/held").await, None);
    }
}

#[tokio::test]
async fn a_repetition_does_the_rest() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let id = Some(fixture.request_id(1));
    let first = fixture.request(&Caller::Node, id, vec![register("88.118/a", "one")]).await;
    let both = vec![register("88.118/a", "one"), register("88.118/b", "one")];
    let second = fixture.request(&Caller::Node, id, both).await;
    assert_eq!(second[0], again(&first)[0]);
    assert_eq!(second[1].as_ref().expect("registered").brief(), (Outcome::Registered, 1, 4));
}

#[tokio::test]
async fn the_same_id_with_other_content_is_refused() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let id = Some(fixture.request_id(1));
    fixture.request(&Caller::Node, id, vec![register("88.118/a", "one")]).await;
    let end = fixture.end();
    for other in [
        register("88.118/a", "two"),
        register("88.118/b", "one"),
        overwrite("88.118/a", "one"),
        remove("88.118/a"),
        suspend("88.118"),
        mint("88.118", "a"),
    ] {
        let outcomes = fixture.request(&Caller::Node, id, vec![other]).await;
        assert_eq!(outcomes, [Err(Refusal::RequestConflict)]);
    }
    assert_eq!(fixture.end(), end);
}

#[tokio::test]
async fn ids_are_scoped_to_the_caller() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let other = fixture.caller(Scope::Registrar(vec![prefix("88.118")])).await;
    let id = Some(fixture.request_id(1));
    fixture.request(&Caller::Node, id, vec![overwrite("88.118/a", "one")]).await;
    let theirs = fixture.request(&other, id, vec![overwrite("88.118/a", "two")]).await;
    assert_eq!(theirs[0].as_ref().expect("its own request").outcome, Outcome::Overwritten);
    let repeated = fixture.request(&other, id, vec![overwrite("88.118/a", "two")]).await;
    assert_eq!(repeated, again(&theirs));
}

#[tokio::test]
async fn an_id_outside_the_window_is_refused_and_never_run() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let id = fixture.request_id(1);
    let first = fixture.request(&Caller::Node, Some(id), vec![register("88.118/a", "one")]).await;
    fixture.advance(WINDOW);
    fixture.registry.keep_up(fixture.store.now_ms(), None).await.expect("forgotten");
    let last = fixture.request(&Caller::Node, Some(id), vec![register("88.118/a", "one")]).await;
    assert_eq!(last, again(&first), "remembered to the last second of the window");

    fixture.advance(Duration::from_secs(1));
    let end = fixture.end();
    let (age_seconds, window_seconds) = (WINDOW.as_secs() + 1, WINDOW.as_secs());
    let expired = Err(Refusal::RequestExpired { age_seconds, window_seconds });
    let late = vec![register("88.118/a", "one"), register("88.118/new", "one")];
    assert_eq!(fixture.request(&Caller::Node, Some(id), late).await, [expired.clone(), expired]);

    let ahead = request_id(fixture.store.now_ms() + 300_001, 2);
    let outcomes = fixture.request(&Caller::Node, Some(ahead), vec![register("88.118/new", "one")]).await;
    assert_eq!(outcomes, [Err(Refusal::RequestAhead { ahead_seconds: 301 })]);
    assert_eq!(fixture.end(), end);
    let near = request_id(fixture.store.now_ms() + 300_000, 2);
    let outcomes = fixture.request(&Caller::Node, Some(near), vec![register("88.118/new", "one")]).await;
    assert_eq!(outcomes[0].as_ref().expect("registered").outcome, Outcome::Registered);
}

#[tokio::test]
async fn what_expired_is_forgotten_and_nothing_else() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let old = fixture.request_id(1);
    fixture.request(&Caller::Node, Some(old), vec![register("88.118/a", "one")]).await;
    fixture.advance(WINDOW + Duration::from_secs(3_601));
    let new = fixture.request_id(2);
    let first = fixture.request(&Caller::Node, Some(new), vec![register("88.118/b", "one")]).await;
    fixture.registry.keep_up(fixture.store.now_ms(), None).await.expect("forgotten");
    let key = |request| RequestOfCaller::new(request, &CallerName::Node).remembered(&item(0)).0;
    let remembered = fixture.store.requests(&[key(old), key(new)]).await.expect("the store reads");
    let remembered: Vec<bool> = remembered.iter().map(Option::is_some).collect();
    assert_eq!(remembered, [false, true]);
    let repeated = fixture.request(&Caller::Node, Some(new), vec![register("88.118/b", "one")]).await;
    assert_eq!(repeated, again(&first));
}

fn item(number: u32) -> Item {
    Item { number, command: remove("88.118/any") }
}

#[tokio::test]
async fn refusals_are_not_remembered() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let id = Some(fixture.request_id(1));
    let command = || vec![add("88.118/a", 2, "two")];
    assert_eq!(fixture.request(&Caller::Node, id, command()).await, [Err(Refusal::Absent)]);
    fixture.node(register("88.118/a", "one")).await.expect("registered");
    let outcomes = fixture.request(&Caller::Node, id, command()).await;
    assert_eq!(outcomes[0].as_ref().expect("amended").brief(), (Outcome::Amended, 2, 4));
    // Nor does a refusal bind the id to its content.
    let id = Some(fixture.request_id(2));
    assert_eq!(fixture.request(&Caller::Node, id, vec![remove("88.118/b")]).await, [Err(Refusal::Absent)]);
    assert!(fixture.request(&Caller::Node, id, vec![remove("88.118/a")]).await[0].is_ok());
}

#[tokio::test]
async fn that_nothing_had_to_be_done_is_remembered() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        fixture.node(register("88.118/a", "one")).await.expect("registered");
        let id = Some(fixture.request_id(1));
        let commands = || vec![overwrite("88.118/a", "one"), home("88.118")];
        let first = fixture.request(&Caller::Node, id, commands()).await;
        let brief: Vec<_> = first.iter().flatten().map(Receipt::brief).collect();
        assert_eq!(brief, [(Outcome::Unchanged, 1, 3), (Outcome::Unchanged, 1, 2)]);
        assert_eq!(fixture.end(), 3);
        fixture.node(overwrite("88.118/a", "two")).await.expect("overwritten");
        fixture.node(suspend("88.118")).await.expect("suspended");
        let fixture = fixture.reopen().await;
        assert_eq!(fixture.request(&Caller::Node, id, commands()).await, again(&first));
        assert_eq!(fixture.data("88.118/a").await, Some(vec!["two".into()]), "not overwritten again");
        let refused = Refusal::PrefixSuspended { prefix: prefix("88.118") };
        assert_eq!(fixture.node(remove("88.118/a")).await, Err(refused), "not homed again");
    }
}

#[tokio::test]
async fn what_was_done_under_a_prefix_suspended_since_has_its_receipt() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let caller = fixture.caller(Scope::Registrar(vec![prefix("88.118")])).await;
    let id = Some(fixture.request_id(1));
    let first = fixture.request(&caller, id, vec![register("88.118/a", "one"), mint("88.118", "")]).await;
    fixture.node(revoke("88.118")).await.expect("revoked");
    let more = vec![register("88.118/a", "one"), mint("88.118", ""), register("88.118/b", "one")];
    let second = fixture.request(&caller, id, more).await;
    assert_eq!(second[..2], again(&first));
    assert_eq!(second[2], Err(Refusal::PrefixRevoked { prefix: prefix("88.118") }));
    let other = fixture.request(&caller, id, vec![register("88.118/a", "two")]).await;
    assert_eq!(other, [Err(Refusal::RequestConflict)]);
    let nobody = fixture.request(&Caller::Anonymous, id, vec![register("88.118/a", "one")]).await;
    assert_eq!(nobody, [Err(Refusal::PrefixRevoked { prefix: prefix("88.118") })]);
}

#[tokio::test]
async fn an_item_that_stands_twice_in_a_batch_is_done_once() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let items = [register("88.118/a", "one"), register("88.118/a", "one"), register("88.118/b", "one")];
    let items = items.into_iter().map(|command| Item { number: 4, command }).collect();
    let twice = Batch { request: Some(fixture.request_id(1)), items, deadline: None };
    let outcomes = fixture.registry.apply(&Caller::Node, twice).await.expect("applied");
    let first = outcomes[0].as_ref().expect("registered");
    assert_eq!(first.brief(), (Outcome::Registered, 1, 3));
    assert_eq!(outcomes[1], Ok(first.again()));
    assert_eq!(outcomes[2], Err(Refusal::RequestConflict));
    assert_eq!(fixture.end(), 3);
}

#[tokio::test]
async fn the_same_request_on_two_connections_is_done_once() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let id = Some(fixture.request_id(1));
    let (groups, commands) = (fixture.groups(), vec![mint("88.118", ""), home("88.118.1")]);
    let (left, right) = tokio::join!(
        fixture.request(&Caller::Node, id, commands.clone()),
        fixture.request(&Caller::Node, id, commands.clone()),
    );
    assert_eq!(right, again(&left));
    assert_eq!((fixture.groups(), fixture.end()), (groups + 1, 4), "one group, two changes");
}

#[tokio::test]
async fn after_a_passed_deadline_the_repetition_tells() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let id = Some(fixture.request_id(1));
    let hurried = Batch { deadline: Some(passed()), ..batch(id, vec![register("88.118/a", "one")]) };
    let failure = fixture.registry.apply(&Caller::Node, hurried).await.expect_err("no time");
    assert_eq!(failure, Failure::OutcomeUnknown { cause: "the deadline passed".into() });
    assert_eq!(failure.code(), "OUTCOME_UNKNOWN");
    let outcomes = fixture.request(&Caller::Node, id, vec![register("88.118/a", "one")]).await;
    let receipt = outcomes[0].as_ref().expect("it was done");
    assert_eq!((receipt.brief(), receipt.repeated), ((Outcome::Registered, 1, 3), true));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_commands_to_be_done() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let id = Some(fixture.request_id(1));
    {
        let apply = fixture.request(&Caller::Node, id, vec![register("88.118/a", "one")]);
        let mut apply = std::pin::pin!(apply);
        // Polled once: queued, and then dropped.
        let first = std::future::poll_fn(|context| std::task::Poll::Ready(apply.as_mut().poll(context)));
        assert!(first.await.is_pending());
    }
    let outcomes = fixture.request(&Caller::Node, id, vec![register("88.118/a", "one")]).await;
    assert!(outcomes[0].as_ref().is_ok_and(|receipt| receipt.repeated));
    assert_eq!(fixture.end(), 3);
}

/// Whether the clock of a node goes on from a day of changes is seen in the journal, also when a jump is long ago in entries.
#[tokio::test]
async fn a_gap_in_the_journal_of_the_last_day_is_found() {
    const HOUR_MS: u64 = 3_600_000;
    let mut fixture = Fixture::open(EngineKind::Fjall).await;
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let work = async |fixture: &Fixture, changes: u64, pause: Duration| {
        for number in 0..changes {
            fixture.node(overwrite("88.118/a", &number.to_string())).await.expect("registered");
            fixture.advance(pause);
        }
        fixture.store.is_dense(24 * HOUR_MS, HOUR_MS).await.expect("the journal is read")
    };
    assert!(!work(&fixture, 20, minutes(59)).await, "not a day yet");
    assert!(work(&fixture, 10, minutes(59)).await);
    fixture.advance(minutes(2));
    assert!(!work(&fixture, 300, minutes(1)).await, "an hour and a minute without a change");
    assert!(!work(&fixture, 18, minutes(59)).await, "the gap is within the day");
    assert!(work(&fixture, 3, minutes(59)).await);
    fixture.advance(minutes(400 * 24 * 60));
    assert!(!work(&fixture, 5, minutes(10)).await, "a jump");
    fixture = fixture.reopen().await;
    assert!(!work(&fixture, 5, minutes(10)).await, "a jump, also after a restart");
}
