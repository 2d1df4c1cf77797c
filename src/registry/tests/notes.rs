//! Notes on prefixes.

use std::time::Duration;

use crate::authority::caller::Caller;
use crate::model::prefix::NoteText;
use crate::model::refusal::Refusal;
use crate::model::token::Scope;
use crate::registry::command::{Command, NotePrefix};
use crate::registry::receipt::Outcome;
use crate::store::EngineKind;
use crate::store::entry::Operation;

use super::fixture::{Fixture, START_MS, delegate, prefix, proved, revoke, suspend};

fn note(on: &str, text: &str) -> Command {
    Command::Note(NotePrefix { prefix: prefix(on), text: NoteText::new(text).expect("a text") })
}

impl Fixture {
    /// Text, version and time of the note that an administrator sees.
    fn note(&self, on: &str) -> Option<(String, u64, u64)> {
        let note = self.registry.note(&Caller::Node, &prefix(on))?;
        Some((note.text.as_str().to_owned(), note.version, note.changed_ms))
    }
}

/// Each change of the note is one version of it and none of the entry.
#[tokio::test]
async fn a_life_of_a_note() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let entry = fixture.registry.prefix(&prefix("88.118")).expect("the entry");
        fixture.advance(Duration::from_secs(1));
        let steps = [
            (note("88.118", ""), Outcome::Unchanged, 0, None),
            (note("88.118", "one"), Outcome::PrefixNoted, 1, Some("one")),
            (note("88.118", "one"), Outcome::Unchanged, 1, Some("one")),
            (note("88.118", "two"), Outcome::PrefixNoted, 2, Some("two")),
            (note("88.118", ""), Outcome::PrefixNoted, 3, None),
            (note("88.118", ""), Outcome::Unchanged, 3, None),
            (note("88.118", "two"), Outcome::PrefixNoted, 4, Some("two")),
        ];
        for (command, outcome, version, text) in steps {
            let receipt = fixture.node(command.clone()).await.expect("done");
            assert_eq!((receipt.outcome, receipt.version), (outcome, version), "{command:?}");
            let found = fixture.note("88.118").map(|(text, ..)| text);
            assert_eq!(found.as_deref(), text, "{command:?}");
        }
        let last = fixture.end();
        let unchanged = fixture.node(note("88.118", "two")).await.expect("done");
        assert_eq!((unchanged.position.sequence, fixture.end()), (last, last), "that of the last change");
        let headers = fixture.store.headers_after(None, 100).await.expect("the journal reads");
        let noted = headers.iter().filter(|header| header.operation == Operation::PrefixNoted).count();
        assert_eq!(noted, 4);
        let fixture = fixture.reopen().await;
        assert_eq!(fixture.note("88.118"), Some(("two".to_owned(), 4, START_MS + 1_000)));
        assert_eq!(fixture.registry.prefix(&prefix("88.118")), Some(entry), "the entry has not changed");
    }
}

/// A note is for a prefix with an entry, whatever that says. Commands of one batch see those before them.
#[tokio::test]
async fn a_prefix_without_an_entry_has_no_note() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let absent = Refusal::PrefixAbsent { prefix: prefix("88.118.5") };
        assert_eq!(fixture.node(note("88.118.5", "one")).await, Err(absent), "below a prefix with an entry");
        let absent = Refusal::PrefixAbsent { prefix: prefix("88.5") };
        let commands =
            vec![note("88.5", "one"), delegate("88.5", 1), note("88.5", "two"), note("88.5", "two")];
        let outcomes = fixture.batch(commands).await;
        let outcomes: Vec<_> =
            outcomes.into_iter().map(|one| one.map(|receipt| (receipt.outcome, receipt.version))).collect();
        let changed = |outcome, version| Ok((outcome, version));
        let expected = [
            Err(absent),
            changed(Outcome::PrefixChanged, 1),
            changed(Outcome::PrefixNoted, 1),
            changed(Outcome::Unchanged, 1),
        ];
        assert_eq!(outcomes, expected);
        for command in [suspend("88.5"), note("88.5", "suspended"), revoke("88.5"), note("88.5", "revoked")] {
            fixture.node(command).await.expect("done");
        }
        assert_eq!(
            fixture.note("88.5").map(|(text, version, _)| (text, version)),
            Some(("revoked".into(), 3))
        );
    }
}

#[tokio::test]
async fn only_administrators_set_and_see_notes() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let admin = fixture.caller(Scope::Admin).await;
    fixture.one(&admin, note("88.118", "one")).await.expect("an administrator");
    assert!(fixture.registry.note(&admin, &prefix("88.118")).is_some());
    let denied = Refusal::PermissionDenied { needed: "scope admin".to_owned() };
    let others = [
        (fixture.caller(Scope::Registrar(vec![prefix("88.118")])).await, denied.clone()),
        (fixture.caller(Scope::Reader(vec![prefix("88.118")])).await, denied.clone()),
        (fixture.caller(Scope::Peer(vec![prefix("88.118")])).await, denied),
        (Caller::Anonymous, Refusal::Unauthenticated),
    ];
    for (caller, refusal) in others {
        assert_eq!(fixture.one(&caller, note("88.118", "two")).await, Err(refusal), "{caller:?}");
        assert_eq!(fixture.registry.note(&caller, &prefix("88.118")), None, "{caller:?}");
    }
    let identity = proved("300:0.NA/88.118");
    let refused = fixture.one(&identity, note("88.118", "two")).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(fixture.registry.note(&identity, &prefix("88.118")), None);
    assert_eq!(fixture.note("88.118").map(|(text, ..)| text).as_deref(), Some("one"));
}

/// The same id with another text is another command.
#[tokio::test]
async fn a_note_is_repeated_under_its_request_id() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let id = Some(fixture.request_id(1));
    let first = fixture.request(&Caller::Node, id, vec![note("88.118", "one")]).await;
    let [Ok(first)] = first.as_slice() else { panic!("noted: {first:?}") };
    fixture.node(note("88.118", "two")).await.expect("done");
    let fixture = fixture.reopen().await;
    let again = fixture.request(&Caller::Node, id, vec![note("88.118", "one")]).await;
    assert_eq!(again, [Ok(first.again())]);
    let other = fixture.request(&Caller::Node, id, vec![note("88.118", "two")]).await;
    assert_eq!(other, [Err(Refusal::RequestConflict)]);
    assert_eq!(fixture.note("88.118").map(|(text, ..)| text).as_deref(), Some("two"));
}
