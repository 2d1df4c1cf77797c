//! The committer's life: draining, a store that accepts no changes, a write that fails.

use std::time::Duration;

use crate::authority::caller::Caller;
use crate::authority::{Authority, AuthorityOptions};
use crate::model::position::Position;
use crate::model::refusal::{Failure, Problem};
use crate::model::token::Scope;
use crate::registry::receipt::Outcome;
use crate::registry::{Registry, RegistryOptions};
use crate::store::EngineKind;
use crate::store::writer::Standing;

use super::fixture::{Fixture, WINDOW, batch, home, prefix, register, request_id, suspend};

#[tokio::test]
async fn what_is_queued_is_committed_before_the_registry_stops() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let registry = std::sync::Arc::clone(&fixture.registry);
        let commands = (0..500).map(|n| register(&format!("88.118/{n}"), "x")).collect();
        let stop = async {
            tokio::task::yield_now().await;
            fixture.stop().await
        };
        let (applied, (store, writer, _directory)) =
            tokio::join!(registry.apply(&Caller::Node, batch(None, commands)), stop);
        let outcomes = applied.expect("queued before the stop");
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!((store.count(), writer.end().sequence), (500, 502));
        let late = registry.apply(&Caller::Node, batch(None, vec![register("88.118/late", "x")])).await;
        assert_eq!(late, Err(Failure::Stopping));
        store.close(writer).await.expect("the store closes");
    }
}

#[tokio::test]
async fn a_store_that_accepts_no_changes_says_why() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let (store, writer, directory) = fixture.stop().await;
    store.close(writer).await.expect("the store closes");
    crate::store::tests::raise_high_water(directory.path(), 7);
    let opened = crate::store::tests::opened(directory.path(), EngineKind::Fjall).await;
    let reason = opened.store.read_only_reason().expect("a reason");
    let options = RegistryOptions { request_window: WINDOW, ..RegistryOptions::default() };
    let (registry, running) = {
        let authority = Authority::new(opened.store.clone(), AuthorityOptions::default());
        Registry::start(opened.store.clone(), opened.writer, authority, options)
    };
    let refused = registry.apply_one(&Caller::Node, home("77")).await;
    assert!(reason.contains("7 changes are missing"), "{reason}");
    assert_eq!(refused, Err(Problem::Failed(Failure::ReadOnly { reason })));
    registry.stop();
    let writer = running.await.expect("the committer ends");
    opened.store.close(writer).await.expect("the store closes");
}

/// On sled, whose sync is ours to break.
#[tokio::test]
async fn after_a_failed_write_the_node_recovers_and_a_repetition_gets_the_outcome() {
    let fixture = Fixture::open(EngineKind::Sled).await;
    fixture.node(register("88.118/a", "one")).await.expect("registered");
    let (end, id) = (fixture.store.end(), Some(fixture.request_id(1)));
    fixture.store.fail_syncs();
    let commands = || vec![register("88.118/b", "one"), suspend("88.118")];
    let failure = fixture.try_request(&Caller::Node, id, commands()).await.expect_err("no sync");
    assert_eq!(failure.code(), "OUTCOME_UNKNOWN");

    let recovered = tokio::time::timeout(Duration::from_secs(60), fixture.store.recovered()).await;
    assert_eq!(recovered, Ok(Standing::Open));
    let expected = Position { sequence: end.sequence + 1, ..end.position() };
    assert_eq!(fixture.end(), end.sequence + 2, "the change is there");
    let outcomes = fixture.request(&Caller::Node, id, commands()).await;
    let first = outcomes[0].as_ref().expect("registered before");
    assert_eq!((first.outcome, first.position, first.repeated), (Outcome::Registered, expected, true));
    assert_eq!((fixture.end(), fixture.store.count()), (end.sequence + 2, 2));
    let suspended = fixture.node(register("88.118/c", "one")).await.expect_err("its prefix is suspended");
    assert_eq!(suspended.code(), "PREFIX_SUSPENDED");

    let fixture = fixture.reopen().await;
    assert_eq!((fixture.end(), fixture.store.count()), (end.sequence + 2, 2));
    assert_eq!(fixture.store.read_only_reason(), None);
}

#[tokio::test]
async fn counters_count_what_happened() {
    use std::sync::atomic::Ordering::Relaxed;
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let id = Some(fixture.request_id(1));
    for _ in 0..2 {
        fixture
            .request(&Caller::Node, id, vec![register("88.118/a", "one"), register("88.118/a", "two")])
            .await;
    }
    let counters = fixture.registry.counters();
    let counts = [
        &counters.administered,
        &counters.registered,
        &counters.repeated,
        &counters.refused,
        &counters.groups,
    ];
    assert_eq!(counts.map(|count| count.load(Relaxed)), [1, 1, 1, 2, 3]);
    assert_eq!(counters.group_changes.load(Relaxed), 2);
}

/// A command that never reaches the queue is counted too, whoever gave it.
#[tokio::test]
async fn refusals_before_the_queue_are_counted() {
    use std::sync::atomic::Ordering::Relaxed;
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let counters = fixture.registry.counters();
    let reader = fixture.caller(Scope::Reader(vec![prefix("88.118")])).await;
    let cases = [
        ("a caller without proof", fixture.one(&Caller::Anonymous, register("88.118/a", "one")).await),
        ("a token without the scope", fixture.one(&reader, register("88.118/a", "one")).await),
        ("a prefix of another node", fixture.node(register("99.1/a", "one")).await),
    ];
    for (what, outcome) in &cases {
        assert!(outcome.is_err(), "{what}: {outcome:?}");
    }
    assert_eq!(counters.rejected.load(Relaxed), 3);
    let late = Some(request_id(0, 1));
    let outcomes = fixture
        .request(&Caller::Node, late, vec![register("88.118/a", "1"), register("88.118/b", "2")])
        .await;
    assert!(outcomes.iter().all(Result::is_err), "{outcomes:?}");
    assert_eq!(counters.rejected.load(Relaxed), 5);
    assert_eq!((counters.refused.load(Relaxed), counters.registered.load(Relaxed)), (0, 0));
}
