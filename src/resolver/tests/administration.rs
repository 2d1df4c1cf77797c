//! What identities may read, and which values are withheld from the public.

use std::sync::Arc;

use super::{all, ask, found, identifier, resolver};
use crate::authority::AuthorityOptions;
use crate::authority::caller::{Caller, HeldKey, KeyHolder};
use crate::authority::visibility::Withheld;
use crate::model::identity::AdminPermissions as May;
use crate::model::refusal::{Problem, Refusal};
use crate::model::value::Index;
use crate::registry::tests::fixture::{
    Fixture, admin, delegate, home, identity, list, prefix, proved, register, registration, revoke, suspend,
    typed, value, with,
};
use crate::resolver::Resolver;
use crate::resolver::answer::{Absence, Answer, Question};
use crate::store::EngineKind;

const OURS: &str = "300:88.118/us";
const UNLISTED: &str = "300:88.118/unlisted";

#[tokio::test]
async fn hidden_values_are_read_by_administrators_who_may() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let lists = vec![list(200, &["301:88.118/us"])];
    fixture.node(registration("88.118/lists", lists)).await.expect("registered");
    let no_reader = May::from_bits(May::ALL.bits() & !May::READ_VALUE.bits());
    let values = vec![
        value(1, "public"),
        with("1100", value(2, "administrators")),
        with("0100", value(3, "nobody")),
        admin(100, May::READ_VALUE, OURS),
        admin(101, May::READ_VALUE, "200:88.118/lists"),
        admin(102, no_reader, "300:88.118/writer"),
    ];
    fixture.node(registration("88.118/x", values)).await.expect("registered");
    let resolver = resolver(&fixture);
    let at = |index: u32| Question { indexes: vec![Index::new(index).expect("an index")], ..all("88.118/x") };
    let shown = async |caller: &Caller| {
        let found = found(&resolver, caller, &all("88.118/x")).await;
        (found.values.iter().map(|value| value.index.get()).collect::<Vec<_>>(), found.withheld)
    };
    for caller in [proved(OURS), proved("301:88.118/us")] {
        assert_eq!(shown(&caller).await, (vec![1, 2, 100, 101, 102], Withheld::FromAll), "{caller:?}");
        assert_eq!(found(&resolver, &caller, &at(2)).await.withheld, Withheld::Nothing);
    }
    let others = [Caller::Anonymous, proved(UNLISTED), proved("300:88.118/writer"), proved("302:88.118/us")];
    for caller in others {
        assert_eq!(shown(&caller).await, (vec![1, 100, 101, 102], Withheld::FromAll), "{caller:?}");
        let cases = [(2, Withheld::FromPublic), (3, Withheld::FromAll), (9, Withheld::Nothing)];
        for (index, withheld) in cases {
            let absent = Ok(Answer::Absent(Absence::Values(withheld)));
            assert_eq!(ask(&resolver, &caller, &at(index)).await, absent, "{index} for {caller:?}");
        }
        assert_eq!(found(&resolver, &caller, &at(1)).await.withheld, Withheld::Nothing);
    }
}

/// The identifiers listed under a prefix, and how many values of each are shown.
async fn listed(resolver: &Resolver, whom: &str, text: &str) -> Result<Vec<(String, usize)>, Refusal> {
    match resolver.list(&proved(whom), &prefix(text), None, 10).await {
        Ok(page) => Ok(page.items.iter().map(|one| (one.identifier.to_string(), one.values.len())).collect()),
        Err(Problem::Refused(refusal)) => Err(refusal),
        Err(Problem::Failed(failure)) => panic!("not a failure: {failure}"),
    }
}

#[tokio::test]
async fn identifiers_are_listed_by_administrators_of_the_prefix_who_may() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let values = vec![value(1, "public"), with("1100", value(2, "hidden"))];
    fixture.node(registration("88.118/x", values)).await.expect("registered");
    fixture.node(register("88.118.5/y", "below")).await.expect("registered");
    let resolver = resolver(&fixture);
    let nobody =
        |whom: &str, of: &str| Err(Refusal::NotAdministrator { identity: identity(whom), of: of.to_owned() });
    assert_eq!(listed(&resolver, OURS, "88.118").await, nobody(OURS, "0.NA/88.118"));
    let allowed = |text: &str, may: May| registration(text, vec![admin(100, may, OURS)]);
    fixture.node(allowed("0.NA/88.118", May::READ_VALUE)).await.expect("registered");
    let needed = "permission to list identifiers on 0.NA/88.118".to_owned();
    assert_eq!(listed(&resolver, OURS, "88.118").await, Err(Refusal::PermissionDenied { needed }));
    fixture.node(allowed("0.NA/88.118", May::LIST_IDENTIFIERS)).await.expect("registered");
    assert_eq!(listed(&resolver, OURS, "88.118").await, Ok(vec![("88.118/x".to_owned(), 1)]));
    assert_eq!(listed(&resolver, OURS, "88.118.5").await, Ok(vec![("88.118.5/y".to_owned(), 1)]));
    assert_eq!(listed(&resolver, UNLISTED, "88.118").await, nobody(UNLISTED, "0.NA/88.118"));
    let own = registration("0.NA/88.118.5", vec![typed(1, "DESC", "a line")]);
    fixture.node(own).await.expect("registered");
    assert_eq!(listed(&resolver, OURS, "88.118.5").await, nobody(OURS, "0.NA/88.118.5"));
    let foreign = Refusal::NotResponsible { prefix: prefix("99") };
    assert_eq!(listed(&resolver, OURS, "99").await, Err(foreign));
    let history = resolver.history(&proved(OURS), &identifier("88.118/x"), None, 10).await;
    let needed = "scope reader on prefix 88.118".to_owned();
    assert_eq!(history.err(), Some(Problem::Refused(Refusal::PermissionDenied { needed })));
}

/// Whatever an identity may read by its permissions, it reads while its key stands.
#[tokio::test]
async fn a_withdrawn_key_reads_nothing_that_is_hidden() {
    let administrators = Arc::from([identity(OURS)]);
    let fixture =
        Fixture::open_with(AuthorityOptions { administrators, ..AuthorityOptions::default() }).await;
    let key = with("1100", typed(300, "HS_SECKEY", "one"));
    let record = vec![value(1, "public"), with("1100", value(2, "hidden")), admin(100, May::ALL, OURS)];
    fixture.node(registration("0.NA/88.118", vec![admin(100, May::ALL, OURS)])).await.expect("registered");
    fixture.node(registration("88.118/us", vec![key.clone()])).await.expect("registered");
    fixture.node(registration("88.118/x", record)).await.expect("registered");
    let resolver = resolver(&fixture);
    let caller = Caller::Identity(KeyHolder { identity: identity(OURS), key: HeldKey::here(&key) });
    let public = Question { indexes: vec![Index::new(1).expect("an index")], ..all("88.118/x") };
    let list =
        async || resolver.list(&caller, &prefix("88.118"), None, 10).await.map(|page| page.items.len());

    assert_eq!(found(&resolver, &caller, &all("88.118/x")).await.values.len(), 3);
    assert_eq!(list().await, Ok(2));
    assert_eq!(resolver.homed_prefixes(&caller).await, Ok(vec![prefix("88.118")]));

    let another = with("1100", typed(300, "HS_SECKEY", "another"));
    fixture.node(registration("88.118/us", vec![another])).await.expect("replaced");
    let nobody = || Problem::Refused(Refusal::Unauthenticated);
    assert_eq!(resolver.answer(&caller, &all("88.118/x")).await, Err(nobody()));
    assert_eq!(found(&resolver, &caller, &public).await.values.len(), 1, "what everybody reads needs no key");
    assert_eq!(list().await, Err(nobody()));
    assert_eq!(resolver.homed_prefixes(&caller).await, Err(nobody()));
}

#[tokio::test]
async fn homed_prefixes_are_shown_to_who_administers_the_node() {
    let administrators = Arc::from([identity(OURS)]);
    let fixture =
        Fixture::open_with(AuthorityOptions { administrators, ..AuthorityOptions::default() }).await;
    for command in [home("77"), home("78"), suspend("78"), home("79"), revoke("79"), delegate("80", 1)] {
        fixture.node(command).await.expect("done");
    }
    let resolver = resolver(&fixture);
    for caller in [proved(OURS), Caller::Node] {
        assert_eq!(resolver.homed_prefixes(&caller).await, Ok(vec![prefix("77"), prefix("88.118")]));
    }
    let refused = Refusal::NotAdministrator { identity: identity(UNLISTED), of: "this node".into() };
    assert_eq!(resolver.homed_prefixes(&proved(UNLISTED)).await, Err(refused.into()));
    assert_eq!(resolver.homed_prefixes(&Caller::Anonymous).await, Err(Refusal::Unauthenticated.into()));
    let reader = super::reader(&fixture, "88").await;
    let denied = Refusal::PermissionDenied { needed: "scope admin".into() };
    assert_eq!(resolver.homed_prefixes(&reader).await, Err(denied.into()));
}
