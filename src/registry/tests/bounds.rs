//! Bounds: batches, groups, the queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::authority::caller::Caller;
use crate::model::limits::{
    BATCH_ITEMS_MAX, BATCH_WARNINGS_MAX, COMMANDS_WAITING_MAX, GROUP_BYTES_MAX, RECEIPT_WARNINGS_MAX,
    STEP_ITEMS_MAX, VALUES_BYTES_MAX,
};
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::value::Value;
use crate::registry::command::{Amend, Batch, Command};
use crate::registry::failure_of;
use crate::store::EngineKind;

use super::fixture::{Fixture, add, amend, batch, passed, register, registration, remove, value};

/// The longest data that one URL of an identifier can have.
fn longest() -> String {
    "x".repeat(VALUES_BYTES_MAX - value(1, "").encoded_bytes())
}

#[tokio::test]
async fn a_batch_holds_so_many_items_and_no_more() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let commands = |count: usize| (0..count).map(|n| register(&format!("88.118/{n}"), "x")).collect();
    let outcomes = fixture.batch(commands(BATCH_ITEMS_MAX + 1)).await;
    let count = BATCH_ITEMS_MAX + 1;
    assert_eq!(outcomes.len(), count);
    assert!(outcomes.iter().all(|outcome| *outcome == Err(Refusal::TooManyItems { count })));
    assert_eq!(fixture.end(), 2);
    let outcomes = fixture.batch(commands(BATCH_ITEMS_MAX)).await;
    let positions: Vec<u64> =
        outcomes.into_iter().map(|outcome| outcome.expect("registered").position.sequence).collect();
    let expected: Vec<u64> = (3..).take(BATCH_ITEMS_MAX).collect();
    assert_eq!(positions, expected, "in item order, over all groups");
    assert_eq!(fixture.batch(Vec::new()).await, []);
}

#[tokio::test]
async fn a_block_carries_what_the_engine_takes_without_holding_readers_up() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let groups = fixture.groups();
        let commands = (0..1_000).map(|n| register(&format!("88.118/{n}"), "x")).collect();
        assert!(fixture.batch(commands).await.iter().all(Result::is_ok));
        let groups = fixture.groups() - groups;
        let most = fixture.store.block_changes_max() as u64 + STEP_ITEMS_MAX as u64;
        assert!(groups >= 1_000_u64.div_ceil(most), "{engine}: {groups} groups");
        assert!(groups <= 8, "{engine}: {groups} groups of a step each at least");
    }
}

#[tokio::test]
async fn the_largest_identifiers_go_in_whole_and_a_group_is_closed_by_its_bytes() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let (groups, data) = (fixture.groups(), longest());
        let names: Vec<String> = (0..50).map(|n| format!("88.118/large-{n}")).collect();
        let outcomes = fixture.batch(names.iter().map(|name| register(name, &data)).collect()).await;
        assert!(outcomes.iter().all(Result::is_ok));
        let groups = fixture.groups() - groups;
        let bytes = 2 * 50 * VALUES_BYTES_MAX as u64;
        assert!(groups >= bytes / (2 * GROUP_BYTES_MAX as u64), "{engine}: {groups} groups");
        let fixture = fixture.reopen().await;
        for name in &names {
            assert_eq!(fixture.data(name).await.as_deref(), Some([data.clone()].as_slice()));
        }
        let refused = fixture.node(add(&names[0], 2, "")).await;
        assert_eq!(refused.expect_err("too large").code(), "VALUE_INVALID");
        fixture.node(remove(&names[0])).await.expect("removed");
        fixture.node(register(&names[0], "small")).await.expect("registered anew");
        assert_eq!(fixture.data(&names[0]).await, Some(vec!["small".into()]));
    }
}

/// A waiting command takes a slot for every 4 KiB of it; one that finds none waits, and is refused at its deadline.
#[tokio::test]
async fn what_waits_is_bounded_in_number_and_bytes() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let taken = Arc::clone(&fixture.registry.slots)
        .try_acquire_many_owned(u32::try_from(COMMANDS_WAITING_MAX).expect("a small number") - 2)
        .expect("nothing waits");
    let hurried = |command: Command| Batch { deadline: Some(passed()), ..batch(None, vec![command]) };
    let data = "x".repeat(8_192);
    let refused = fixture.registry.apply(&Caller::Node, hurried(register("88.118/a", &data))).await;
    assert_eq!(refused, Err(Failure::Overloaded));
    assert_eq!(fixture.registry.slots_taken(), COMMANDS_WAITING_MAX - 2);
    assert_eq!(fixture.registry.counters().overloaded.load(Ordering::Relaxed), 1);
    assert_eq!((fixture.end(), fixture.data("88.118/a").await), (2, None));
    fixture.node(register("88.118/small", "x")).await.expect("there are slots for it");
    drop(taken);
    fixture.node(register("88.118/a", &data)).await.expect("registered");
    assert_eq!(fixture.registry.slots_taken(), 0, "every slot is free again");
}

#[tokio::test]
async fn half_a_batch_that_found_no_slot_is_of_unknown_outcome() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let id = Some(fixture.request_id(1));
    let slots = u32::try_from(COMMANDS_WAITING_MAX).expect("a small number");
    let step = u32::try_from(STEP_ITEMS_MAX).expect("a small number");
    let taken = Arc::clone(&fixture.registry.slots).try_acquire_many_owned(slots - step);
    let taken = taken.expect("nothing waits");
    let commands: Vec<Command> =
        (0..=STEP_ITEMS_MAX).map(|n| register(&format!("88.118/{n}"), "x")).collect();
    let hurried = Batch { deadline: Some(passed()), ..batch(id, commands.clone()) };
    let failure = fixture.registry.apply(&Caller::Node, hurried).await.expect_err("no slot for the last");
    assert_eq!(failure.code(), "OUTCOME_UNKNOWN");
    drop(taken);
    let outcomes = fixture.request(&Caller::Node, id, commands).await;
    let repeated: Vec<bool> = outcomes.iter().flatten().map(|receipt| receipt.repeated).collect();
    assert_eq!(repeated.len(), STEP_ITEMS_MAX + 1);
    assert_eq!(repeated.iter().filter(|repeated| **repeated).count(), STEP_ITEMS_MAX);
}

/// A receipt that is on disk reaches the caller, whatever becomes of the items after it.
#[tokio::test]
async fn what_is_settled_has_its_outcome_when_later_items_fail() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let _taken = fixture.registry.take_slots_but(STEP_ITEMS_MAX);
    let absent = "88.118/none";
    let small = (1..STEP_ITEMS_MAX).map(|n| register(&format!("88.118/{n}"), "x"));
    // More than the slots that are left.
    let large = (0..3).map(|n| register(&format!("88.118/large-{n}"), &longest()));
    let commands: Vec<Command> = small.chain([remove(absent)]).chain(large).collect();
    let items = fixture.registry.apply_items(&Caller::Node, batch(None, commands));
    let registered = STEP_ITEMS_MAX as u64 - 1;
    let (outcomes, ()) = tokio::join!(items, fixture.registry.close_slots_after(registered));
    let (settled, failed) = outcomes.split_at(STEP_ITEMS_MAX);
    assert_eq!(settled.iter().filter(|outcome| outcome.is_ok()).count(), STEP_ITEMS_MAX - 1);
    assert_eq!(settled.last(), Some(&Err(Refusal::Absent.into())));
    assert_eq!(failed, [const { Err(Problem::Failed(Failure::Stopping)) }; 3]);
    let unknown = failure_of(&outcomes).map(|failure| failure.code());
    assert_eq!(unknown, Some("OUTCOME_UNKNOWN"), "as a whole");
    assert_eq!(failure_of(failed), Some(Failure::Stopping));
}

/// Amends are small themselves; the states they lead to are not.
#[tokio::test]
async fn small_amends_of_large_states_do_not_add_up() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let data = "x".repeat(VALUES_BYTES_MAX / 2);
    let names: Vec<String> = (0..256).map(|n| format!("88.118/{n}")).collect();
    assert!(
        fixture.batch(names.iter().map(|n| register(n, &data)).collect()).await.iter().all(Result::is_ok)
    );
    let groups = fixture.groups();
    let outcomes = fixture.batch(names.iter().map(|name| add(name, 2, "two")).collect()).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(fixture.groups() - groups, 2, "a step a group, because each step's states fill it");
    let last = fixture.state(&names[255]).await.expect("the identifier").values.expect("its values");
    assert_eq!(last.as_slice().iter().map(Value::encoded_bytes).sum::<usize>(), last.encoded_bytes());
    assert_eq!(last.as_slice()[1].data, b"two");
}

//----------- Warnings -------------------------------------------------------

/// Every warning is listed or counted, whatever is written: the size of warnings never hides what was done.
#[tokio::test]
async fn warnings_of_a_receipt_and_of_a_batch_are_bounded_and_counted() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let wrong = |count: u32| (1..=count).map(|index| value(index, "www.e.example")).collect::<Vec<_>>();
    let mut commands = vec![registration("88.118/most", wrong(2_048))];
    let added: Vec<Value> = (1..=9).map(|index| value(3_000 + index, "no uri")).collect();
    commands.push(Command::Amend(Amend { add: added, ..amend("88.118/absent") }));
    commands.push(registration("88.118/none", vec![value(1, "https://e.example/")]));
    commands.extend((0..300).map(|number| registration(&format!("88.118/{number}"), wrong(2))));
    let outcomes = fixture.batch(commands).await;
    let counts: Vec<Option<(usize, u32)>> = outcomes
        .iter()
        .map(|outcome| outcome.as_ref().ok().map(|one| (one.warnings.listed.len(), one.warnings.left_out)))
        .collect();
    let most = u32::try_from(2_048 - RECEIPT_WARNINGS_MAX).expect("a small number");
    assert_eq!(counts[..4], [Some((RECEIPT_WARNINGS_MAX, most)), None, Some((0, 0)), Some((2, 0))]);
    assert_eq!(counts.last(), Some(&Some((0, 2))), "the last ones are only counted");
    let listed: usize = counts.iter().flatten().map(|(listed, _)| listed).sum();
    let left_out: u32 = counts.iter().flatten().map(|(_, left_out)| left_out).sum();
    assert_eq!(listed, BATCH_WARNINGS_MAX);
    assert_eq!(listed + usize::try_from(left_out).expect("a small number"), 2_048 + 300 * 2);
}
