//! Register, overwrite, amend, remove, mint: decided in order, on both engines.

use crate::model::identifier::IdentifierError;
use crate::model::identity::AdminPermissions;
use crate::model::limits::{VALUES_BYTES_MAX, VALUES_MAX};
use crate::model::refusal::Refusal;
use crate::model::value::{Index, Permissions, Value, ValueError, ValueType, Values};
use crate::registry::command::{Amend, Command, Existing, Precondition, Register, Target};
use crate::registry::receipt::Outcome;
use crate::store::EngineKind;

use super::fixture::{
    Fixture, add, admin, amend, given, identifier, mint, overwrite, prefix, register, registration, remove,
    typed, value,
};

fn index(number: u32) -> Index {
    Index::new(number).expect("a valid index")
}

/// Applies a command to `88.118/x` as registered with one URL at index 1, and expects this refusal.
async fn refused(fixture: &Fixture, command: Command, expected: Refusal) {
    let end = fixture.end();
    let code = expected.code();
    assert_eq!(fixture.node(command).await, Err(expected));
    assert_eq!(fixture.end(), end, "{code} has changed something");
}

#[tokio::test]
async fn a_life_of_an_identifier() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let first = fixture.node(register("88.118/SN1", "one")).await.expect("registered");
        assert_eq!(first.brief(), (Outcome::Registered, 1, 3));
        assert_eq!(first.position.incarnation, fixture.store.head().incarnation);
        assert!(!first.repeated);

        let second = fixture.node(overwrite("88.118/sn1", "two")).await.expect("overwritten");
        assert_eq!(second.brief(), (Outcome::Overwritten, 2, 4));
        assert_eq!(second.spelled(), "88.118/SN1", "the registered spelling stays");

        let third = fixture.node(add("88.118/sN1", 7, "seven")).await.expect("amended");
        assert_eq!(third.brief(), (Outcome::Amended, 3, 5));
        assert_eq!(fixture.data("88.118/SN1").await, Some(vec!["two".into(), "seven".into()]));
        assert_eq!(fixture.store.count_of(&prefix("88.118")), 1);

        let fixture = fixture.reopen().await;
        let last = fixture.node(remove("88.118/sn1")).await.expect("removed");
        assert_eq!(last.brief(), (Outcome::Removed, 4, 6));
        assert_eq!(last.spelled(), "88.118/SN1");
        assert_eq!(fixture.data("88.118/SN1").await, None);
        assert_eq!(fixture.store.count(), 0);
    }
}

#[tokio::test]
async fn a_version_never_goes_back_and_links_lead_over_a_removal() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        fixture.node(register("88.118/x", "one")).await.expect("registered");
        fixture.node(remove("88.118/x")).await.expect("removed");
        let fixture = fixture.reopen().await;
        let again = fixture.node(register("88.118/X", "one")).await.expect("registered anew");
        assert_eq!(again.brief(), (Outcome::Registered, 3, 5));
        assert_eq!(again.spelled(), "88.118/X", "a new registration has its own spelling");
        let headers = fixture.store.headers_after(fixture.position(2), 10).await.expect("the journal reads");
        let links: Vec<Option<u64>> = headers.iter().map(|header| header.previous).collect();
        assert_eq!(links, [None, Some(3), Some(4)]);
    }
}

#[tokio::test]
async fn journal_time_stands_behind_every_state() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.advance(std::time::Duration::from_secs(60));
    fixture.node(register("88.118/a", "one")).await.expect("registered");
    fixture.set_back(std::time::Duration::from_secs(30));
    fixture.node(register("88.118/b", "one")).await.expect("registered");
    let (first, second) = (fixture.state("88.118/a").await, fixture.state("88.118/b").await);
    let (first, second) = (first.expect("the first"), second.expect("the second"));
    assert_eq!((second.created_ms, second.changed_ms), (first.created_ms, first.changed_ms));
    let values = second.values.expect("its values");
    assert_eq!(u64::from(values.as_slice()[0].timestamp), second.changed_ms / 1_000);
}

#[tokio::test]
async fn preconditions_hold_or_refuse() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let absent = |command| given(Precondition::Absent, command);
    let version = |number, command| given(Precondition::Version(number), command);

    // Nothing there yet, then a tombstone: version 0 both times.
    for _ in 0..2 {
        let mismatch = Refusal::VersionMismatch { expected: 3, found: 0 };
        refused(&fixture, version(3, register("88.118/x", "one")), mismatch.clone()).await;
        refused(&fixture, version(3, add("88.118/x", 2, "two")), mismatch.clone()).await;
        refused(&fixture, version(3, remove("88.118/x")), mismatch).await;
        refused(&fixture, absent(add("88.118/x", 2, "two")), Refusal::Absent).await;
        refused(&fixture, absent(remove("88.118/x")), Refusal::Absent).await;
        fixture.node(absent(register("88.118/x", "one"))).await.expect("it is absent");
        let present = fixture.state("88.118/x").await.expect("the identifier").version;
        fixture.node(version(present, remove("88.118/x"))).await.expect("it is at that version");
    }

    fixture.node(version(0, overwrite("88.118/x", "one"))).await.expect("version 0 means absent");
    let other = Refusal::AlreadyExists { version: 5, same: false };
    let same = Refusal::AlreadyExists { version: 5, same: true };
    refused(&fixture, absent(overwrite("88.118/x", "two")), other.clone()).await;
    refused(&fixture, absent(overwrite("88.118/x", "one")), same).await;
    refused(&fixture, absent(add("88.118/x", 2, "two")), other.clone()).await;
    refused(&fixture, absent(remove("88.118/x")), other).await;
    for found in [version(4, overwrite("88.118/x", "two")), version(4, remove("88.118/x"))] {
        refused(&fixture, found, Refusal::VersionMismatch { expected: 4, found: 5 }).await;
    }
    let changed = fixture.node(version(5, overwrite("88.118/x", "two"))).await.expect("it is at version 5");
    assert_eq!((changed.outcome, changed.version), (Outcome::Overwritten, 6));
    fixture.node(version(6, add("88.118/x", 2, "three"))).await.expect("it is at version 6");
}

#[tokio::test]
async fn what_contradicts_the_present_state_is_refused() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    refused(&fixture, add("88.118/x", 1, "one"), Refusal::Absent).await;
    refused(&fixture, remove("88.118/x"), Refusal::Absent).await;
    fixture.node(register("88.118/x", "one")).await.expect("registered");

    let exists = |same| Refusal::AlreadyExists { version: 1, same };
    refused(&fixture, register("88.118/x", "one"), exists(true)).await;
    refused(&fixture, register("88.118/X", "two"), exists(false)).await;
    refused(&fixture, add("88.118/x", 1, "two"), Refusal::IndexExists { index: index(1) }).await;
    let replace = Amend { replace: vec![value(2, "two")], ..amend("88.118/x") };
    refused(&fixture, Command::Amend(replace), Refusal::IndexAbsent { index: index(2) }).await;
    let gone = Amend { remove: vec![index(3)], ..amend("88.118/x") };
    refused(&fixture, Command::Amend(gone), Refusal::IndexAbsent { index: index(3) }).await;
}

#[tokio::test]
async fn what_contradicts_itself_is_refused() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(register("88.118/x", "one")).await.expect("registered");
    let invalid = |reason: &str| Refusal::CommandInvalid { reason: reason.into() };

    let nothing = invalid("amend names no value; add, replace or remove at least one");
    refused(&fixture, Command::Amend(amend("88.118/x")), nothing).await;
    let twice = Amend { replace: vec![value(1, "two")], remove: vec![index(1)], ..amend("88.118/x") };
    refused(
        &fixture,
        Command::Amend(twice),
        invalid("index 1 is given twice in one amend; name each index once"),
    )
    .await;
    let site = invalid(
        "index 4: the HS_SITE of a prefix follows from its prefix entry here and is not written; leave it out, or have \
         an administrator move the prefix with `idnode prefix delegate`",
    );
    let command = |identifier_text: &str, values: Vec<Value>| {
        Command::Register(Register {
            target: Target::Named(identifier(identifier_text)),
            values: Values::new(values).expect("valid values"),
            existing: Existing::Refuse,
            precondition: Precondition::None,
        })
    };
    refused(&fixture, command("0.NA/88.118", vec![typed(4, "hs_site", "x")]), site.clone()).await;
    fixture.node(command("0.NA/88.118", vec![typed(5, "DESC", "x")])).await.expect("anything else is stored");
    let add_site = Amend { add: vec![typed(4, ValueType::HS_SITE, "x")], ..amend("0.na/88.118") };
    refused(&fixture, Command::Amend(add_site), site).await;
}

#[tokio::test]
async fn values_that_cannot_be_stored_are_refused() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let half = "x".repeat(VALUES_BYTES_MAX / 2);
    fixture.node(register("88.118/x", &half)).await.expect("registered");
    let secret = Value { permissions: Permissions::DEFAULT, ..typed(2, ValueType::HS_SECKEY, "s") };
    let secret = Amend { add: vec![secret], ..amend("88.118/x") };
    let public = ValueError::PublicSecret { index: index(2) };
    refused(&fixture, Command::Amend(secret), Refusal::ValueInvalid(public)).await;

    let held = value(1, &half).encoded_bytes();
    let more = value(2, &half);
    let bytes = held + more.encoded_bytes();
    let large = Amend { add: vec![more], ..amend("88.118/x") };
    refused(&fixture, Command::Amend(large), Refusal::ValueInvalid(ValueError::TooLarge { bytes })).await;
    let many = (2..).map(|number| value(number, "")).take(VALUES_MAX).collect();
    let many = Amend { add: many, ..amend("88.118/x") };
    let count = VALUES_MAX + 1;
    refused(&fixture, Command::Amend(many), Refusal::ValueInvalid(ValueError::TooMany { count })).await;
    // Refused before it takes a place in the queue.
    let whole = vec![value(2, &half), value(3, &half), value(4, &half)];
    let bytes = whole.iter().map(Value::encoded_bytes).sum();
    let huge = Amend { add: whole, ..amend("88.118/x") };
    refused(&fixture, Command::Amend(huge), Refusal::ValueInvalid(ValueError::TooLarge { bytes })).await;
}

#[tokio::test]
async fn an_amend_adds_replaces_and_removes_at_once() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let three = Values::new(vec![value(1, "one"), value(2, "two"), value(3, "three")]).expect("values");
    fixture
        .node(Command::Register(Register {
            target: Target::Named(identifier("88.118/x")),
            values: three,
            existing: Existing::Refuse,
            precondition: Precondition::None,
        }))
        .await
        .expect("registered");
    let all = Amend {
        add: vec![value(9, "nine")],
        replace: vec![value(2, "zwei")],
        remove: vec![index(1)],
        ..amend("88.118/x")
    };
    fixture.node(Command::Amend(all)).await.expect("amended");
    assert_eq!(fixture.data("88.118/x").await, Some(vec!["zwei".into(), "three".into(), "nine".into()]));
    let same = Amend { replace: vec![value(2, "zwei")], ..amend("88.118/x") };
    let unchanged = fixture.node(Command::Amend(same)).await.expect("it holds");
    assert_eq!(unchanged.brief(), (Outcome::Unchanged, 2, 4), "where it last changed");
    assert_eq!(fixture.end(), 4);
}

#[tokio::test]
async fn an_overwrite_with_the_same_values_changes_nothing() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(register("88.118/X", "one")).await.expect("registered");
    fixture.node(register("88.118/y", "one")).await.expect("registered");
    fixture.advance(std::time::Duration::from_secs(5));
    let unchanged = fixture.node(overwrite("88.118/x", "one")).await.expect("it holds");
    assert_eq!(unchanged.brief(), (Outcome::Unchanged, 1, 3));
    assert_eq!(unchanged.spelled(), "88.118/X");
    assert_eq!(fixture.end(), 4);
}

#[tokio::test]
async fn outcomes_stand_in_item_order_and_later_items_see_earlier_ones() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let outcomes = fixture
            .batch(vec![
                register("88.118/a", "one"),
                register("99/elsewhere", "one"),
                add("88.118/a", 2, "two"),
                register("88.118/A", "three"),
                remove("88.118/b"),
                overwrite("88.118/a", "three"),
                overwrite("88.118/a", "three"),
                remove("88.118/a"),
                register("88.118/a", "four"),
            ])
            .await;
        let brief: Vec<_> =
            outcomes.iter().map(|outcome| outcome.as_ref().map(|receipt| receipt.brief())).collect();
        let elsewhere = Refusal::NotResponsible { prefix: prefix("99") };
        let exists = Refusal::AlreadyExists { version: 2, same: false };
        let expected = [
            Ok((Outcome::Registered, 1, 3)),
            Err(&elsewhere),
            Ok((Outcome::Amended, 2, 4)),
            Err(&exists),
            Err(&Refusal::Absent),
            Ok((Outcome::Overwritten, 3, 5)),
            Ok((Outcome::Unchanged, 3, 5)),
            Ok((Outcome::Removed, 4, 6)),
            Ok((Outcome::Registered, 5, 7)),
        ];
        assert_eq!(brief, expected);
        assert_eq!(fixture.store.count(), 1);
        let fixture = fixture.reopen().await;
        assert_eq!(fixture.data("88.118/a").await, Some(vec!["four".into()]));
    }
}

#[tokio::test]
async fn two_amends_of_one_identifier_in_one_group_both_hold() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(register("88.118/x", "one")).await.expect("registered");
    let groups = fixture.groups();
    let (left, right) = tokio::join!(
        fixture.node(add("88.118/x", 2, "two")),
        fixture.node(given(Precondition::Version(2), add("88.118/x", 3, "three"))),
    );
    assert_eq!(left.expect("amended").brief(), (Outcome::Amended, 2, 4));
    assert_eq!(right.expect("amended").brief(), (Outcome::Amended, 3, 5));
    assert_eq!(fixture.groups(), groups + 1, "one group");
    assert_eq!(fixture.data("88.118/x").await, Some(vec!["one".into(), "two".into(), "three".into()]));
}

#[tokio::test]
async fn a_minted_suffix_is_new_each_time_and_begins_as_asked() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let outcomes =
        fixture.batch(vec![mint("88.118", "SN-"), mint("88.118", "SN-"), mint("88.118", "")]).await;
    let names: Vec<String> = outcomes.into_iter().map(|outcome| outcome.expect("minted").spelled()).collect();
    assert_ne!(names[0], names[1]);
    for name in &names[..2] {
        let minted = name.strip_prefix("88.118/SN-").expect("the start");
        assert!(minted.len() == 26 && minted.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()));
        assert_eq!(fixture.data(name).await, Some(vec!["minted".into()]));
    }
    let long = mint("88.118", &"x".repeat(2_020));
    let bytes = "88.118/".len() + 2_020 + 26;
    refused(&fixture, long, Refusal::IdentifierMalformed(IdentifierError::TooLong { bytes })).await;
    let reason = "identifiers that name prefixes are not minted; name the prefix".to_owned();
    refused(&fixture, mint("0.na", "88.118."), Refusal::CommandInvalid { reason }).await;
}

#[tokio::test]
async fn an_overwrite_leaves_a_prefix_record_its_administrators_unless_it_says_so() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let administered =
            |data: &str| vec![value(1, data), admin(100, AdminPermissions::ALL, "300:0.NA/88.118")];
        let overwrite = |text: &str, values: Vec<Value>, existing| {
            let Command::Register(register) = registration(text, values) else { panic!("a registration") };
            Command::Register(Register { existing, ..register })
        };
        fixture.node(registration("0.NA/88.118", administered("one"))).await.expect("registered");
        let without = || vec![value(1, "two"), typed(100, "HS_ADMIN", "not one")];
        let missing = Err(Refusal::AdministratorMissing { prefix: prefix("88.118") });
        let plain = overwrite("0.na/88.118", without(), Existing::Overwrite);
        assert_eq!(fixture.node(plain.clone()).await, missing);
        assert_eq!(fixture.data("0.NA/88.118").await.map(|values| values[0].clone()), Some("one".to_owned()));
        let still_administered = overwrite("0.NA/88.118", administered("three"), Existing::Overwrite);
        assert_eq!(
            fixture.node(still_administered).await.expect("overwritten").outcome,
            Outcome::Overwritten
        );
        let said = overwrite("0.NA/88.118", without(), Existing::OverwriteWithoutAdministrator);
        assert_eq!(fixture.node(said).await.expect("overwritten").outcome, Outcome::Overwritten);
        let again = overwrite("0.NA/88.118", vec![value(1, "four")], Existing::Overwrite);
        fixture.node(again).await.expect("there is none to lose");
        // Other identifiers need none.
        fixture.node(registration("88.118/x", administered("one"))).await.expect("registered");
        let other = overwrite("88.118/x", vec![value(1, "two")], Existing::Overwrite);
        fixture.node(other).await.expect("overwritten");
    }
}
