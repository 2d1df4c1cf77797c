//! Who is an administrator: named by key, by identifier, by lists here and at other nodes.

use std::sync::Arc;

use crate::authority::remote::Stub;
use crate::authority::{AuthorityOptions, RemoteOptions};
use crate::model::identity::AdminPermissions as May;
use crate::model::limits::{LISTS_MAX, LISTS_SOUGHT_MAX};
use crate::model::refusal::{Failure, Problem};
use crate::store::EngineKind;

use super::administration::{OURS, UNLISTED, check, not_administrator};
use super::fixture::{
    Fixture, add, admin, delegate, home, list, proved, register, registration, remove, typed, value,
};

#[tokio::test]
async fn an_identity_is_named_by_key_by_identifier_and_by_lists() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let lists = vec![
        list(200, &["300:88.118/other", "301:88.118/US"]),
        list(201, &["200:88.118/lists", "202:88.118/lists"]),
        list(202, &["201:88.118/lists", "0:88.118/everyone"]),
        typed(203, "URL", "no list"),
    ];
    fixture.node(registration("88.118/lists", lists)).await.expect("registered");
    let command = add("88.118/x", 5, "new");
    let cases = [
        ("300:88.118/us", "300:88.118/us", true),
        ("300:88.118/US", "300:88.118/us", true),
        ("300:88.118/us", "301:88.118/us", false),
        ("0:88.118/us", "301:88.118/us", true),
        ("0:88.118/us", "301:88.118/you", false),
        ("200:88.118/lists", "301:88.118/us", true),
        ("200:88.118/lists", "300:88.118/us", false),
        ("201:88.118/lists", "301:88.118/us", true),
        ("202:88.118/lists", "301:88.118/us", true),
        ("202:88.118/lists", "7:88.118/everyone", true),
        ("201:88.118/lists", "9:88.118/nobody", false),
        ("203:88.118/lists", "301:88.118/us", false),
        ("204:88.118/lists", "301:88.118/us", false),
        ("0:88.118/lists", "301:88.118/us", false),
        ("200:99/elsewhere", "301:88.118/us", false),
    ];
    for (named, caller, allowed) in cases {
        let administrators = vec![value(1, "one"), admin(100, May::ADD_VALUE, named)];
        fixture.node(registration("88.118/x", administrators)).await.expect("registered");
        let expected = if allowed { Ok(()) } else { Err(not_administrator(caller, "88.118/x")) };
        assert_eq!(check(&fixture, &proved(caller), &command).await, expected, "{named} for {caller}");
    }
}

#[tokio::test]
async fn lists_are_followed_within_bounds() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    for number in 0..12 {
        let inner = format!("200:88.118/list-{}", number + 1);
        let whom = if number == 11 { OURS } else { inner.as_str() };
        let text = format!("88.118/list-{number}");
        fixture.node(registration(&text, vec![list(200, &[whom])])).await.expect("registered");
    }
    for (start, expected) in [(4, Ok(())), (3, Err(not_administrator(OURS, "88.118/x")))] {
        let named = format!("200:88.118/list-{start}");
        fixture.node(registration("88.118/x", vec![admin(100, May::ALL, &named)])).await.expect("registered");
        assert_eq!(check(&fixture, &proved(OURS), &add("88.118/x", 5, "new")).await, expected, "{start}");
    }
}

#[tokio::test]
async fn no_more_lists_are_read_than_the_bound_allows() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let many = u32::try_from(LISTS_MAX).expect("a small bound");
    let named = |number: u32| admin(100 + number, May::ALL, &format!("{}:88.118/many", 1_000 + number));
    fixture.node(registration("88.118/x", (0..=many).map(named).collect())).await.expect("registered");
    let cases = [(many - 1, Ok(())), (many, Err(not_administrator(OURS, "88.118/x")))];
    for (holding, expected) in cases {
        let whom = |number| if number == holding { OURS } else { "300:88.118/others" };
        let lists = (0..=many).map(|number| list(1_000 + number, &[whom(number)])).collect();
        fixture.node(registration("88.118/many", lists)).await.expect("registered");
        assert_eq!(check(&fixture, &proved(OURS), &remove("88.118/x")).await, expected, "list {holding}");
    }
}

/// Whoever is named may be a list; most are not, and those that are count behind many members, too.
#[tokio::test]
async fn a_list_behind_many_members_is_found_within_the_bound() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(registration("88.118/inner", vec![list(200, &[OURS])])).await.expect("registered");
    fixture
        .node(registration("88.118/x", vec![admin(100, May::ALL, "200:88.118/group")]))
        .await
        .expect("registered");
    // The group itself was looked for, too.
    for (members, expected) in
        [(LISTS_SOUGHT_MAX - 2, Ok(())), (LISTS_SOUGHT_MAX - 1, Err(not_administrator(OURS, "88.118/x")))]
    {
        let mut group: Vec<String> = (0..members).map(|number| format!("300:88.118/m{number}")).collect();
        group.push("200:88.118/inner".into());
        let group: Vec<&str> = group.iter().map(String::as_str).collect();
        fixture.node(registration("88.118/group", vec![list(200, &group)])).await.expect("registered");
        assert_eq!(check(&fixture, &proved(OURS), &remove("88.118/x")).await, expected, "{members}");
    }
}

/// A ring of lists, of which the last holds us: each is reached through the one behind it.
#[tokio::test]
async fn lists_that_name_many_and_each_other_end() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    for number in 0..LISTS_MAX {
        let next = format!("200:88.118/r{}", (number + 1) % LISTS_MAX);
        let mut whom = vec![next.as_str(); 200];
        whom.extend(vec!["300:88.118/someone"; 200]);
        let last = number + 1 == LISTS_MAX;
        whom.extend(last.then_some(OURS));
        fixture
            .node(registration(&format!("88.118/r{number}"), vec![list(200, &whom)]))
            .await
            .expect("registered");
    }
    let named = |number: usize| {
        let at = 100 + u32::try_from(number).expect("a small number");
        admin(at, May::ALL, &format!("200:88.118/r{number}"))
    };
    fixture.node(registration("88.118/x", (0..LISTS_MAX).map(named).collect())).await.expect("registered");
    assert_eq!(check(&fixture, &proved(OURS), &remove("88.118/x")).await, Ok(()));
    let unlisted = check(&fixture, &proved(UNLISTED), &remove("88.118/x")).await;
    assert_eq!(unlisted, Err(not_administrator(UNLISTED, "88.118/x")));
}

#[tokio::test]
async fn what_other_nodes_keep_counts_where_it_can_be_read() {
    let elsewhere: Stub = Arc::new(|asked| {
        Box::pin(async move {
            match asked.to_string().as_str() {
                "99/list" => Ok(vec![list(200, &[OURS])]),
                "0.NA/88" => Ok(vec![admin(100, May::ADD_DERIVED_PREFIX, OURS)]),
                "99/away" => Err("nobody answers".to_owned()),
                _ => Ok(Vec::new()),
            }
        })
    });
    let options = AuthorityOptions { remote: RemoteOptions::Stub(elsewhere), ..AuthorityOptions::default() };
    let fixture = Fixture::open_with(options).await;
    let ours = proved(OURS);
    let by_list = registration("0.NA/88.118", vec![admin(100, May::ALL, "200:99/list")]);
    fixture.one(&ours, by_list).await.expect("registered");
    fixture.one(&ours, register("88.118/x", "one")).await.expect("registered");
    let away = vec![admin(100, May::ALL, "200:99/away"), admin(101, May::ADD_VALUE, OURS)];
    fixture.node(registration("88.118/x", away)).await.expect("registered");
    fixture.one(&ours, add("88.118/x", 1, "one")).await.expect("named directly");
    let failed = fixture.registry.apply_one(&ours, remove("88.118/x")).await;
    let unread = Failure::AdministratorsUnread { list: "99/away".into(), detail: "nobody answers".into() };
    assert_eq!(failed, Err(Problem::Failed(unread)));
}

/// A list at a delegated prefix that was replaced at the site of the prefix, when we left.
#[tokio::test]
async fn a_replaced_list_does_not_count_again_while_the_site_cannot_be_asked() {
    let shown = Arc::new(std::sync::Mutex::new(Ok(vec![list(200, &[UNLISTED])])));
    let read = Arc::clone(&shown);
    let site: Stub = Arc::new(move |_| {
        let values = read.lock().expect("no panic").clone();
        Box::pin(async move { values })
    });
    let options = AuthorityOptions { remote: RemoteOptions::Stub(site), ..AuthorityOptions::default() };
    let fixture = Fixture::open_with(options).await;
    fixture.node(home("88.2")).await.expect("homed");
    fixture.node(registration("0.NA/88.2", vec![list(200, &[OURS])])).await.expect("registered");
    fixture.node(delegate("88.2", 1)).await.expect("delegated");
    let by_list = vec![admin(100, May::ALL, "200:0.NA/88.2")];
    fixture.node(registration("88.118/x", by_list)).await.expect("registered");
    let ours = proved(OURS);
    let refused = fixture.one(&ours, remove("88.118/x")).await;
    assert_eq!(refused, Err(not_administrator(OURS, "88.118/x")));
    *shown.lock().expect("no panic") = Err("nobody answers".to_owned());
    let failed = fixture.registry.apply_one(&ours, remove("88.118/x")).await;
    let unread = Failure::AdministratorsUnread { list: "0.NA/88.2".into(), detail: "nobody answers".into() };
    assert_eq!(failed, Err(Problem::Failed(unread)));
}
