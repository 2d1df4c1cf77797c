//! A key proves an identity for as long as it stands where it was read: what was proved by it and is remembered allows
//! nothing afterwards.

use std::time::Duration;

use super::fixture::{
    Fixture, START_MS, add, admin, amend, home, identity, register, registration, remove, revoke, suspend,
    typed, value, with,
};
use crate::authority::caller::{Caller, HeldKey, KeyHolder};
use crate::model::identity::AdminPermissions as May;
use crate::model::refusal::Refusal;
use crate::model::value::{Index, Value, ValueType};
use crate::registry::command::{Amend, Command};
use crate::store::EngineKind;

const OURS: &str = "300:88.118/us";

fn key(index: u32, text: &str) -> Value {
    with("1100", typed(index, ValueType::HS_SECKEY, text))
}

/// Who was proved as this identity by that key.
fn holder(whom: &str, key: HeldKey) -> Caller {
    Caller::Identity(KeyHolder { identity: identity(whom), key })
}

/// A fixture with our key at index 300 and a record that we administer, under either name.
async fn fixture() -> (Fixture, Caller) {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(home("77")).await.expect("homed");
    let administrators = [OURS, "0:88.118/us", "300:99/us"];
    let administrators = (100..).zip(administrators).map(|(index, whom)| admin(index, May::ALL, whom));
    fixture.node(registration("77/x", administrators.collect())).await.expect("registered");
    fixture
        .node(registration("88.118/us", vec![key(300, "ours"), value(1, "one")]))
        .await
        .expect("registered");
    (fixture, holder(OURS, HeldKey::here(&key(300, "ours"))))
}

fn ours(change: Amend) -> Command {
    Command::Amend(change)
}

#[tokio::test]
async fn a_key_holds_while_its_value_stands() {
    let (fixture, us) = fixture().await;
    fixture.one(&us, add("77/x", 1, "first")).await.expect("with the key");
    fixture.node(add("88.118/us", 2, "beside the key")).await.expect("another value");
    let relabeled = with("1000", key(300, "ours"));
    let replace = ours(Amend { replace: vec![relabeled], ..amend("88.118/us") });
    fixture.node(replace).await.expect("who may read it says nothing about the key");
    fixture.one(&us, add("77/x", 2, "second")).await.expect("the key is the same");
    // Any key of an identifier stands for all of it, and goes alone.
    let any = holder("0:88.118/us", HeldKey::here(&key(300, "ours")));
    fixture.one(&any, add("77/x", 3, "third")).await.expect("by any key");
    fixture.node(ours(Amend { add: vec![key(301, "ours")], ..amend("88.118/us") })).await.expect("added");
    let index = Index::new(300).expect("an index");
    fixture.node(ours(Amend { remove: vec![index], ..amend("88.118/us") })).await.expect("removed");
    assert_eq!(fixture.one(&any, add("77/x", 4, "fourth")).await.err(), Some(Refusal::Unauthenticated));
}

#[tokio::test]
async fn a_key_that_is_withdrawn_allows_nothing() {
    let index = Index::new(300).expect("an index");
    let retyped = Value { value_type: ValueType::new("NOTE").expect("a type"), ..key(300, "ours") };
    let withdrawals: [(&str, Command); 6] = [
        ("removed", ours(Amend { remove: vec![index], ..amend("88.118/us") })),
        ("replaced", ours(Amend { replace: vec![key(300, "another")], ..amend("88.118/us") })),
        ("retyped", ours(Amend { replace: vec![retyped], ..amend("88.118/us") })),
        ("record removed", remove("88.118/us")),
        ("prefix suspended", suspend("88.118")),
        ("prefix revoked", revoke("88.118")),
    ];
    for (what, withdrawal) in withdrawals {
        let (fixture, us) = fixture().await;
        fixture.one(&us, add("77/x", 1, "before")).await.expect("with the key");
        fixture.node(withdrawal).await.expect(what);
        let commands = [
            add("77/x", 2, "after"),
            remove("77/x"),
            register("77/y", "after"),
            // A command that changes nothing needs a proved caller, too.
            ours(Amend { set: vec![value(1, "before")], ..amend("77/x") }),
        ];
        for command in commands {
            assert_eq!(fixture.one(&us, command).await.err(), Some(Refusal::Unauthenticated), "{what}");
        }
        assert_eq!(fixture.state("77/x").await.expect("an entry").version, 2, "{what}");
    }
}

#[tokio::test]
async fn who_removes_its_own_key_has_commanded_for_the_last_time() {
    let (fixture, us) = fixture().await;
    let administered = vec![key(300, "ours"), admin(100, May::ALL, OURS)];
    fixture.node(registration("88.118/us", administered)).await.expect("registered");
    let index = Index::new(300).expect("an index");
    let commands =
        vec![ours(Amend { remove: vec![index], ..amend("88.118/us") }), add("77/x", 1, "too late")];
    let outcomes = fixture.request(&us, None, commands).await;
    let [Ok(removed), Err(refused)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!((removed.version, refused), (3, &Refusal::Unauthenticated));
}

#[tokio::test]
async fn a_key_of_another_node_holds_for_its_time() {
    let (fixture, _) = fixture().await;
    let until_ms = START_MS + 60_000;
    let away = holder("300:99/us", HeldKey::Elsewhere { until_ms });
    fixture.advance(Duration::from_millis(59_999));
    fixture.one(&away, add("77/x", 1, "in time")).await.expect("the time is not over");
    fixture.advance(Duration::from_millis(1));
    assert_eq!(fixture.one(&away, add("77/x", 2, "late")).await.err(), Some(Refusal::Unauthenticated));
    // A record that is stored here by now is not read from another node.
    let longer = holder("300:99/us", HeldKey::Elsewhere { until_ms: u64::MAX });
    fixture.one(&longer, add("77/x", 2, "there")).await.expect("stored elsewhere");
    fixture.node(home("99")).await.expect("homed");
    assert_eq!(fixture.one(&longer, add("77/x", 3, "here")).await.err(), Some(Refusal::Unauthenticated));
}
