//! What the resolver promises: the longest prefix decides, nobody sees more than they may, tombstones are nowhere.

use std::sync::atomic::Ordering;

use tokio::task;

use crate::authority::caller::Caller;
use crate::authority::visibility::Withheld;
use crate::model::identifier::Prefix;
use crate::model::limits::SUFFIX_DIGEST_BYTES;
use crate::model::position::Position;
use crate::model::refusal::{Problem, Refusal};
use crate::model::site::{Ports, Site};
use crate::model::token::Scope;
use crate::model::value::{Index, ValueType};
use crate::registry::command::{Command, PrefixCommand};
use crate::registry::tests::fixture::{
    Fixture, add, delegate, home, identifier, overwrite, prefix, register, registration, remove, revoke,
    site, suspend, typed, value, with,
};
use crate::store::EngineKind;
use crate::store::entry::Operation;
use crate::wire::handle::site::encode_site;

use super::answer::{Absence, Answer, Found, History, NamesAsked, NotResponsible, Question, Referral};
use super::{Cursor, Resolver, ResolverOptions};

mod administration;

//----------- A small language -----------------------------------------------

fn resolver(fixture: &Fixture) -> Resolver {
    resolver_of(fixture, None)
}

/// A resolver of a node that announces this site.
fn resolver_of(fixture: &Fixture, site: Option<Site>) -> Resolver {
    let upper = Some("upper.example:7000".into());
    Resolver::new(fixture.store.clone(), fixture.authority.clone(), ResolverOptions { upper, site })
}

fn all(text: &str) -> Question {
    Question::all(identifier(text))
}

async fn ask(resolver: &Resolver, caller: &Caller, question: &Question) -> Result<Answer, Refusal> {
    match resolver.answer(caller, question).await {
        Ok(answer) => Ok(answer),
        Err(Problem::Refused(refusal)) => Err(refusal),
        Err(Problem::Failed(failure)) => panic!("not a failure: {failure}"),
    }
}

async fn found(resolver: &Resolver, caller: &Caller, question: &Question) -> Found {
    match ask(resolver, caller, question).await {
        Ok(Answer::Values(found)) => found,
        other => panic!("expected values, not {other:?}"),
    }
}

/// Index and type of each value.
fn shown(found: &Found) -> Vec<(u32, String)> {
    found.values.iter().map(|value| (value.index.get(), value.value_type.as_str().to_owned())).collect()
}

async fn reader(fixture: &Fixture, text: &str) -> Caller {
    fixture.caller(Scope::Reader(vec![prefix(text)])).await
}

//----------- Routing --------------------------------------------------------

#[tokio::test]
async fn the_longest_match_decides_who_answers() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        fixture.node(register("88.118.5/x", "one")).await.expect("registered");
        fixture.node(register("88.118.50/x", "one")).await.expect("registered");
        fixture.node(delegate("88.118.5", 1)).await.expect("delegated");
        fixture.node(home("88.118.5.7")).await.expect("homed");
        fixture.node(register("88.118.5.7/X", "seven")).await.expect("registered");
        let resolver = resolver(&fixture);
        let referral = Referral { prefix: prefix("88.118.5"), site: site(1), unanswered: None };
        for text in ["88.118.5/x", "88.118.5/none", "88.118.5.8/x", "0.NA/88.118.5.8"] {
            let answer = ask(&resolver, &Caller::Anonymous, &all(text)).await;
            assert_eq!(answer, Ok(Answer::Referral(referral.clone())), "{text}");
        }
        let seven = found(&resolver, &Caller::Anonymous, &all("88.118.5.7/x")).await;
        assert_eq!((seven.identifier.to_string(), seven.version), ("88.118.5.7/X".into(), 1));
        assert!(seven.authoritative);
        assert_eq!(seven.changed_ms, fixture.store.now_ms());
        let fifty = found(&resolver, &Caller::Anonymous, &all("88.118.50/x")).await;
        assert_eq!(fifty.values[0].data, b"one");
        let absent = ask(&resolver, &Caller::Anonymous, &all("88.118/none")).await;
        assert_eq!(absent, Ok(Answer::Absent(Absence::Identifier)));
    }
}

#[tokio::test]
async fn who_is_not_responsible_names_the_upper_node() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let upper = Some("upper.example:7000".to_owned());
    let answer = ask(&resolver(&fixture), &Caller::Anonymous, &all("88/x")).await;
    assert_eq!(answer, Ok(Answer::NotResponsible(NotResponsible { upper })));
    let top = Resolver::new(fixture.store.clone(), fixture.authority.clone(), ResolverOptions::default());
    let answer = ask(&top, &Caller::Anonymous, &all("99/x")).await;
    assert_eq!(answer, Ok(Answer::NotResponsible(NotResponsible { upper: None })));
}

#[tokio::test]
async fn a_suspended_or_revoked_prefix_is_refused_and_its_data_stays() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(register("88.118/x", "one")).await.expect("registered");
    let resolver = resolver(&fixture);
    let (suspended, revoked) = (
        Refusal::PrefixSuspended { prefix: prefix("88.118") },
        Refusal::PrefixRevoked { prefix: prefix("88.118") },
    );
    for (command, refusal) in [(suspend("88.118"), suspended), (revoke("88.118"), revoked)] {
        fixture.node(command).await.expect("done");
        for text in ["88.118/x", "88.118.9/none", "0.NA/88.118"] {
            assert_eq!(ask(&resolver, &Caller::Node, &all(text)).await, Err(refusal.clone()), "{text}");
        }
        let problem = Problem::Refused(refusal);
        let listed = resolver.list(&Caller::Node, &prefix("88.118"), None, 10).await;
        assert_eq!(listed.err(), Some(problem.clone()));
        let history = resolver.history(&Caller::Node, &identifier("88.118/x"), None, 10).await;
        assert_eq!(history.err(), Some(problem));
    }
    fixture.node(home("88.118")).await.expect("homed again");
    assert_eq!(found(&resolver, &Caller::Anonymous, &all("88.118/x")).await.version, 1);
}

#[tokio::test]
async fn many_questions_are_answered_in_the_order_asked() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(register("88.118/a", "one")).await.expect("registered");
    fixture.node(register("88.118/b", "two")).await.expect("registered");
    fixture.node(delegate("77", 1)).await.expect("delegated");
    fixture.node(home("66")).await.expect("homed");
    fixture.node(suspend("66")).await.expect("suspended");
    let resolver = resolver(&fixture);
    let questions = ["88.118/b", "77/x", "66/x", "88.118/none", "55/x", "88.118/a", "88.118/b"].map(all);
    let answers = resolver.answer_many(&Caller::Anonymous, &questions).await.expect("answered");
    let brief = |answer: &Result<Answer, Refusal>| match answer {
        Ok(Answer::Values(found)) => String::from_utf8_lossy(&found.values[0].data).into_owned(),
        Ok(Answer::Absent(_)) => "absent".into(),
        Ok(Answer::Referral(_)) => "referral".into(),
        Ok(Answer::NotResponsible(_)) => "not responsible".into(),
        Err(refusal) => refusal.code().into(),
    };
    let brief: Vec<String> = answers.iter().map(brief).collect();
    assert_eq!(brief, ["two", "referral", "PREFIX_SUSPENDED", "absent", "not responsible", "one", "two"]);
    let counters = resolver.counters();
    let counts = [
        &counters.values,
        &counters.referrals,
        &counters.refused,
        &counters.absent,
        &counters.not_responsible,
    ];
    assert_eq!(counts.map(|count| count.load(Ordering::Relaxed)), [3, 1, 1, 1, 1]);
    assert_eq!(resolver.answer_many(&Caller::Anonymous, &[]).await, Ok(Vec::new()));
}

//----------- Selection and visibility ---------------------------------------

#[tokio::test]
async fn indexes_and_types_select_the_union() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let values = vec![
        typed(7, "EMAIL", "e"),
        typed(1, "URL", "u"),
        typed(3, "url.mobile", "m"),
        typed(9, "URLX", "x"),
        typed(4, "DESC", "d"),
    ];
    fixture.node(registration("88.118/x", values)).await.expect("registered");
    let resolver = resolver(&fixture);
    let check = async |indexes: &[u32], types: &[&str], expected: &[u32]| {
        let question = Question {
            identifier: identifier("88.118/X"),
            indexes: indexes.iter().map(|index| Index::new(*index).expect("an index")).collect(),
            types: types.iter().map(|text| ValueType::new(text).expect("a type")).collect(),
        };
        let answer = ask(&resolver, &Caller::Anonymous, &question).await.expect("not refused");
        let found: Vec<u32> = match answer {
            Answer::Values(found) => found.values.iter().map(|value| value.index.get()).collect(),
            Answer::Absent(Absence::Values(Withheld::Nothing)) => Vec::new(),
            other => panic!("not values: {other:?}"),
        };
        assert_eq!(found, expected, "{indexes:?} {types:?}");
    };
    check(&[], &[], &[1, 3, 4, 7, 9]).await;
    check(&[4, 1], &[], &[1, 4]).await;
    check(&[], &["email"], &[7]).await;
    check(&[4], &["EMAIL"], &[4, 7]).await;
    check(&[], &["URL"], &[1]).await;
    check(&[], &["url."], &[1, 3]).await;
    check(&[2], &["HS_ADMIN"], &[]).await;
}

#[tokio::test]
async fn each_caller_sees_what_the_permissions_allow() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let values = vec![
        with("1110", value(1, "both")),
        with("1100", value(2, "administrators")),
        with("0010", value(3, "the public")),
        with("0000", value(4, "nobody")),
        with("0111", value(5, "also written by anybody")),
    ];
    fixture.node(registration("88.118/x", values)).await.expect("registered");
    let hidden = vec![with("1100", typed(1, "HS_SECKEY", "s"))];
    fixture.node(registration("88.118/secret", hidden)).await.expect("registered");
    let resolver = resolver(&fixture);
    let own = reader(&fixture, "88.118").await;
    let registrar = fixture.caller(Scope::Registrar(vec![prefix("88")])).await;
    let foreign = reader(&fixture, "88.1").await;
    let peer = fixture.caller(Scope::Peer(vec![prefix("88")])).await;
    let indexes = async |caller: &Caller| {
        let found = found(&resolver, caller, &all("88.118/x")).await;
        found.values.iter().map(|value| value.index.get()).collect::<Vec<_>>()
    };
    for caller in [&Caller::Anonymous, &foreign, &peer] {
        assert_eq!(indexes(caller).await, [1, 3, 5], "{caller:?}");
        let secret = ask(&resolver, caller, &all("88.118/secret")).await;
        assert_eq!(secret, Ok(Answer::Absent(Absence::Values(Withheld::FromPublic))));
    }
    for caller in [&own, &registrar, &Caller::Node] {
        assert_eq!(indexes(caller).await, [1, 2, 3, 5], "{caller:?}");
        assert_eq!(found(&resolver, caller, &all("88.118/secret")).await.values.len(), 1);
    }
}

//----------- 0.NA -----------------------------------------------------------

/// A site at 192.0.2.x that speaks the Handle protocol.
fn handle_site(last_octet: u8) -> Site {
    let ports = Ports { handle: Some(2_641), ..Ports::default() };
    Site::new(vec![[192, 0, 2, last_octet].into()], None, ports).expect("a valid site")
}

fn delegate_to(text: &str, site: Site) -> Command {
    Command::Prefix(PrefixCommand::Delegate { prefix: prefix(text), site, registrant: None })
}

#[tokio::test]
async fn the_name_of_a_prefix_carries_the_site_of_its_entry() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(delegate_to("77", handle_site(7))).await.expect("delegated");
    let resolver = resolver_of(&fixture, Some(handle_site(1)));

    let own = found(&resolver, &Caller::Anonymous, &all("0.NA/88.118")).await;
    assert_eq!((own.version, shown(&own)), (0, vec![(1, "HS_SITE".into())]));
    assert_eq!(Some(&own.values[0].data), encode_site(&handle_site(1), 1, &[]).as_ref());
    let theirs = found(&resolver, &Caller::Anonymous, &all("0.na/77")).await;
    assert_eq!(Some(&theirs.values[0].data), encode_site(&handle_site(7), 1, &[]).as_ref());
    assert_eq!(theirs.changed_ms, fixture.store.now_ms());

    // What is registered beside it keeps its indexes; the site takes the lowest free one.
    let beside = vec![typed(1, "HS_ADMIN", "a"), typed(2, "DESC", "d"), typed(5, "DESC", "e")];
    fixture.node(registration("0.NA/88.118", beside)).await.expect("registered");
    let own = found(&resolver, &Caller::Anonymous, &all("0.NA/88.118")).await;
    let types = [(1, "HS_ADMIN"), (2, "DESC"), (3, "HS_SITE"), (5, "DESC")];
    assert_eq!((own.version, shown(&own)), (1, types.map(|(index, text)| (index, text.into())).to_vec()));
    let sites = Question { types: vec![ValueType::new("hs_site").expect("a type")], ..all("0.NA/88.118") };
    assert_eq!(shown(&found(&resolver, &Caller::Anonymous, &sites).await), [(3, "HS_SITE".into())]);

    // Removed again, the site stays; a prefix below has no entry, and no site of its own.
    fixture.node(remove("0.NA/88.118")).await.expect("removed");
    assert_eq!(found(&resolver, &Caller::Anonymous, &all("0.NA/88.118")).await.version, 0);
    let below = ask(&resolver, &Caller::Anonymous, &all("0.NA/88.118.9")).await;
    assert_eq!(below, Ok(Answer::Absent(Absence::Identifier)));
    let upper = ask(&resolver, &Caller::Anonymous, &all("0.NA/88")).await;
    assert!(matches!(upper, Ok(Answer::NotResponsible(_))), "{upper:?}");
    fixture.node(delegate_to("88.118", handle_site(8))).await.expect("delegated");
    let moved = found(&resolver, &Caller::Anonymous, &all("0.NA/88.118")).await;
    assert_eq!(
        Some(&moved.values[0].data),
        encode_site(&handle_site(8), 2, &[]).as_ref(),
        "the serial follows the version"
    );
}

#[tokio::test]
async fn a_node_that_announces_no_site_has_none_to_show() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let answer = ask(&resolver(&fixture), &Caller::Anonymous, &all("0.NA/88.118")).await;
    assert_eq!(answer, Ok(Answer::Absent(Absence::Identifier)));
}

//----------- Tombstones, lists, digests -------------------------------------

#[tokio::test]
async fn a_removed_identifier_is_nowhere() {
    use sha2::{Digest as _, Sha256};
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let suffix = format!("Long{}", "x".repeat(80));
        let text = format!("88.118/{suffix}");
        let digest = Sha256::digest(suffix.to_ascii_lowercase());
        let digest: [u8; SUFFIX_DIGEST_BYTES] = digest[..SUFFIX_DIGEST_BYTES].try_into().expect("20 bytes");
        let resolver = resolver(&fixture);
        let own = prefix("88.118");
        fixture.node(register(&text, "one")).await.expect("registered");
        let by_digest = async || resolver.by_digest(&own, digest).await.expect("the store reads");
        assert_eq!(by_digest().await.map(|found| found.to_string()), Some(text.clone()), "as registered");
        assert_eq!(resolver.count_of(&own), 1);
        assert_eq!(listed(&resolver, &Caller::Node, &own, None, 10).await.0, std::slice::from_ref(&text));

        fixture.node(remove(&text)).await.expect("removed");
        assert_eq!(by_digest().await, None);
        assert_eq!(resolver.count_of(&own), 0);
        assert_eq!(listed(&resolver, &Caller::Node, &own, None, 10).await, (Vec::new(), None));
        let answer = ask(&resolver, &Caller::Node, &all(&text)).await;
        assert_eq!(answer, Ok(Answer::Absent(Absence::Identifier)));
    }
}

/// The names of the page behind so many, and how many names were read only to find it.
async fn page_behind(resolver: &Resolver, own: &Prefix, skip: usize) -> (Vec<String>, u64) {
    let before = resolver.counters().names_skipped.load(Ordering::Relaxed);
    let asked = NamesAsked { after: None, skip, limit: 2 };
    let page = resolver.names(&Caller::Node, own, asked).await.expect("listed");
    let names = page.items.iter().map(ToString::to_string).collect();
    (names, resolver.counters().names_skipped.load(Ordering::Relaxed) - before)
}

#[tokio::test]
async fn a_deep_page_is_found_without_reading_what_is_before_it_again() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let own = prefix("88.118");
        for number in 0..3_005 {
            fixture.node(register(&format!("88.118/{number:04}"), "one")).await.expect("registered");
        }
        let resolver = resolver(&fixture);
        let names = |first: u32| vec![format!("88.118/{first:04}"), format!("88.118/{:04}", first + 1)];
        assert_eq!(page_behind(&resolver, &own, 249).await, (names(249), 0), "{engine}");
        assert_eq!(page_behind(&resolver, &own, 2_600).await, (names(2_600), 2_500), "{engine}");
        assert_eq!(page_behind(&resolver, &own, 2_600).await, (names(2_600), 0), "{engine}");
        assert_eq!(page_behind(&resolver, &own, 1_000).await, (names(1_000), 0), "{engine}");
        assert_eq!(page_behind(&resolver, &own, 3_001).await, (names(3_001), 500), "{engine}");
        assert_eq!(page_behind(&resolver, &own, 9_000).await.0, Vec::<String>::new(), "{engine}");
        fixture.node(remove("88.118/0000")).await.expect("removed");
        assert_eq!(page_behind(&resolver, &own, 2_600).await, (names(2_601), 2_500), "{engine}");
    }
}

/// Reads a page of 1,000 names, as long as it lasts or the runtime has had so many turns; the page and the turns.
async fn read_page(resolver: &Resolver, turns_max: usize) -> (Option<usize>, usize) {
    let resolver = resolver.clone();
    let mut reading = tokio::spawn(async move {
        let asked = NamesAsked { after: None, skip: 0, limit: 1_000 };
        resolver.names(&Caller::Node, &prefix("88.118"), asked).await.expect("listed").items.len()
    });
    for turn in 0..turns_max {
        task::yield_now().await;
        if reading.is_finished() {
            return ((&mut reading).await.ok(), turn);
        }
    }
    reading.abort();
    (None, turns_max)
}

#[tokio::test]
async fn a_long_page_is_read_when_it_is_its_turn() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        for number in 0..1_010 {
            fixture.node(register(&format!("88.118/{number:04}"), "one")).await.expect("registered");
        }
        let resolver = resolver(&fixture);
        let (read, turns) = read_page(&resolver, usize::MAX).await;
        assert_eq!(read, Some(1_000), "{engine}");
        let others = resolver.paging.reading.acquire_many(4).await.expect("open");
        assert_eq!(resolver.paging.reading.available_permits(), 0, "{engine}");
        assert_eq!(read_page(&resolver, 20 * turns + 1_000).await.0, None, "{engine}");
        drop(others);
        assert_eq!(read_page(&resolver, usize::MAX).await.0, Some(1_000), "{engine}");
    }
}

async fn listed(
    resolver: &Resolver,
    caller: &Caller,
    own: &Prefix,
    after: Option<&Cursor>,
    limit: usize,
) -> (Vec<String>, Option<Cursor>) {
    let page = resolver.list(caller, own, after, limit).await.expect("listed");
    (page.items.iter().map(|found| found.identifier.to_string()).collect(), page.next)
}

#[tokio::test]
async fn a_list_is_paged_in_canonical_order_for_readers_of_the_prefix() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    for text in ["88.118/b", "88.118/A", "88.118/c", "88.118.1/deeper", "88.118/d"] {
        fixture.node(register(text, "one")).await.expect("registered");
    }
    fixture.node(remove("88.118/c")).await.expect("removed");
    fixture.node(add("88.118/d", 2, "two")).await.expect("amended");
    let hidden = vec![with("0000", value(1, "nobody")), with("1100", value(2, "administrators"))];
    fixture.node(registration("88.118/e", hidden)).await.expect("registered");
    let resolver = resolver(&fixture);
    let (own, caller) = (prefix("88.118"), reader(&fixture, "88.118").await);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let after = async |text| Some(resolver.cursor_after(&identifier(text)).await.expect("the store reads"));
    let (first, next) = listed(&resolver, &caller, &own, None, 2).await;
    assert_eq!(first, names(&["88.118/A", "88.118/b"]));
    let (rest, next) = listed(&resolver, &caller, &own, Some(&next.expect("more follow")), 2).await;
    assert_eq!((rest, next), (names(&["88.118/d", "88.118/e"]), None));
    let end = after("88.118/e").await;
    assert_eq!(listed(&resolver, &caller, &own, end.as_ref(), 2).await, (Vec::new(), None));
    let page = resolver.list(&caller, &own, after("88.118/D").await.as_ref(), 1).await.expect("listed");
    assert_eq!(shown(&page.items[0]), [(2, "URL".into())], "what the caller may see");

    let foreign = reader(&fixture, "88.1").await;
    let cases = [
        (Caller::Anonymous, own.clone(), Refusal::Unauthenticated),
        (foreign, own, Refusal::PermissionDenied { needed: "scope reader on prefix 88.118".into() }),
        (Caller::Node, prefix("55"), Refusal::NotResponsible { prefix: prefix("55") }),
        (Caller::Node, prefix("77.1"), Refusal::PrefixDelegated { prefix: prefix("77") }),
    ];
    fixture.node(delegate("77", 1)).await.expect("delegated");
    for (caller, own, refusal) in cases {
        let refused = resolver.list(&caller, &own, None, 10).await;
        assert_eq!(refused.err(), Some(Problem::Refused(refusal)));
    }
}

//----------- History --------------------------------------------------------

async fn history(resolver: &Resolver, text: &str, before: Option<Position>, limit: usize) -> History {
    resolver.history(&Caller::Node, &identifier(text), before, limit).await.expect("the history")
}

#[tokio::test]
async fn history_goes_back_over_removals_page_by_page() {
    for engine in EngineKind::ALL {
        let fixture = Fixture::open(engine).await;
        let registrar = fixture.caller(Scope::Registrar(vec![prefix("88.118")])).await;
        fixture.one(&registrar, register("88.118/x", "one")).await.expect("registered");
        fixture.node(register("88.118/other", "one")).await.expect("registered");
        fixture.node(overwrite("88.118/x", "two")).await.expect("overwritten");
        fixture.node(remove("88.118/x")).await.expect("removed");
        let fixture = fixture.reopen().await;
        let hidden = vec![with("0000", value(1, "nobody")), value(2, "three")];
        fixture.node(registration("88.118/X", hidden)).await.expect("registered anew");
        let resolver = resolver(&fixture);

        let first = history(&resolver, "88.118/x", None, 3).await;
        let brief: Vec<(Operation, u64, u64)> = first
            .changes
            .iter()
            .map(|change| (change.operation, change.version, change.position.sequence))
            .collect();
        let newest =
            [(Operation::Registered, 4, 8), (Operation::Removed, 3, 7), (Operation::Overwritten, 2, 6)];
        assert_eq!((brief.as_slice(), first.next), (newest.as_slice(), resolver.position_of(6)));
        let data = |change: &super::answer::HistoryChange| {
            let values = change.values.as_ref().expect("a body");
            values.iter().map(|value| String::from_utf8_lossy(&value.data).into_owned()).collect::<Vec<_>>()
        };
        let shown: Vec<Vec<String>> = first.changes.iter().map(data).collect();
        assert_eq!(shown, [vec!["three".to_owned()], Vec::new(), vec!["two".to_owned()]]);
        assert_eq!(first.complete_from, None, "nothing is pruned");

        let second = history(&resolver, "88.118/x", first.next, 3).await;
        assert_eq!((second.changes.len(), second.next), (1, None));
        assert_eq!(second.changes[0].caller, registrar.name().expect("a name"));
        assert_eq!(second.changes[0].version, 1);
        let whole = history(&resolver, "88.118/x", None, 4).await;
        assert_eq!((whole.changes.len(), whole.next), (4, None), "no empty page follows");
    }
}

#[tokio::test]
async fn a_page_token_of_something_else_is_refused() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(register("88.118/x", "one")).await.expect("registered");
    fixture.node(register("88.118/y", "one")).await.expect("registered");
    let resolver = resolver(&fixture);
    for before in [0, 2, 4, 99, u64::MAX] {
        let before = Position { sequence: before, ..fixture.store.head() };
        let refused = resolver.history(&Caller::Node, &identifier("88.118/x"), Some(before), 1).await;
        let reason = "the page token is not one of this identifier's history; begin without one".to_owned();
        assert_eq!(refused.err(), Some(Problem::Refused(Refusal::CommandInvalid { reason })), "{before}");
    }
    let unknown = resolver.history(&Caller::Node, &identifier("88.118/z"), None, 1).await;
    assert_eq!(unknown.err(), Some(Problem::Refused(Refusal::Absent)));
    let nobody = resolver.history(&Caller::Anonymous, &identifier("88.118/x"), None, 1).await;
    assert_eq!(nobody.err(), Some(Problem::Refused(Refusal::Unauthenticated)));
    let foreign = reader(&fixture, "88.1").await;
    let denied = resolver.history(&foreign, &identifier("88.118/x"), None, 1).await;
    let needed = "scope reader on prefix 88.118".to_owned();
    assert_eq!(denied.err(), Some(Problem::Refused(Refusal::PermissionDenied { needed })));
}
