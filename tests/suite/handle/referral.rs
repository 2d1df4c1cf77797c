//! Referrals: clients that follow them are sent on, others are answered by asking there for them.

use std::sync::Arc;

use idnode::key::PrivateKey;
use idnode::model::identifier::Identifier;
use idnode::model::identity::{AdminPermissions, Administrator, Identity};
use idnode::model::site::{Ports, Site};
use idnode::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use idnode::registry::command::{Command, Existing, Precondition, PrefixCommand, Register, Target};
use idnode::wire::handle::administrator::encode_administrator;
use idnode::wire::handle::body::{HandleOnly, Referral};
use idnode::wire::handle::code::{OpCode, OpFlags, Version};
use idnode::wire::handle::site::SiteRecord;

use crate::support::handle::{Ask, Request, Signer, SignerKey, TcpClient, rsa_key, sm2_key, with_handle};
use crate::support::tree::{Tier, prefix};

/// An upper node that delegates `88.118.8` to a lower one, with an identifier there.
async fn tree() -> (Tier, Tier) {
    let upper = Tier::top().await;
    upper.home("88.118").await;
    let lower = Tier::below(&upper, &["88.118.8"]).await;
    lower.home("88.118.8").await;
    lower.register("88.118.8/SN1", "https://factory.example/1", 60).await;
    lower.settled();
    (upper, lower)
}

fn connect(tier: &Tier) -> TcpClient {
    TcpClient::connect(tier.node().handle_addr().expect("a Handle address"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_follows_is_referred_to_the_site() {
    let (mut upper, mut lower) = tree().await;
    let mut client = connect(&upper);
    for (handle, code) in [("88.118.8/SN1", 302), ("0.NA/88.118.8.5", 303)] {
        let response = client.ask(&Request::resolve(handle).without(OpFlags::RECURSIVE));
        assert_eq!(response.code(), code, "{handle}");
        let message = response.decoded();
        let referral = Referral::decode(message.body).expect("a referral");
        assert_eq!(referral.handle, b"0.NA/88.118.8");
        let site = referral.values.first().expect("a site");
        assert_eq!(site.value_type, b"HS_SITE");
        let site = SiteRecord::decode(site.data).expect("a site");
        let port = site.servers.first().and_then(|server| server.interfaces.first()).expect("TCP").port;
        assert_eq!(port, 2641, "the port that the lower node announces");
    }
    let alone = Request::resolve("88.118.8/SN1").without(OpFlags::RECURSIVE).with(OpFlags::NO_REFERRAL);
    assert_eq!(client.ask(&alone).code(), 301, "it does not want to be referred");
    lower.stop().await;
    upper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_answered_by_asking_for_them() {
    let (mut upper, mut lower) = tree().await;
    let mut client = connect(&upper);
    let expected = [(1, "https://factory.example/1".to_owned())];
    let response = client.ask(&Request::resolve("88.118.8/SN1"));
    assert_eq!(response.values().1, expected);
    assert!(!response.decoded().header.flags.has(OpFlags::AUTHORITATIVE), "another node keeps it");
    // Clients before 2.10 do not know what to make of a referral by prefix.
    let mut old = Request::resolve("88.118.8/SN1").without(OpFlags::RECURSIVE);
    old.envelope.version = Version::V2_4;
    old.envelope.suggested = Version::V2_4;
    assert_eq!(client.ask(&old).values().1, expected);
    let mut passed_on = Request::resolve("88.118.8/SN1");
    passed_on.header.recursion = 10;
    assert_eq!(client.ask(&passed_on).code(), 6);
    assert_eq!(client.ask(&Request::resolve("77.7/x")).code(), 301, "nobody knows it");
    lower.stop().await;
    upper.stop().await;
}

/// Whoever can go to the site itself is referred there when it does not answer; only others get an error.
#[tokio::test(flavor = "multi_thread")]
async fn clients_are_referred_to_a_site_that_does_not_answer() {
    let (mut upper, mut lower) = tree().await;
    lower.stop().await;
    let mut client = connect(&upper);
    let response = client.ask(&Request::resolve("88.118.8/SN1"));
    assert_eq!(response.code(), 302);
    let referral = Referral::decode(response.decoded().body).expect("a referral").values.len();
    assert_eq!(referral, 1);
    let declined = client.ask(&Request::resolve("88.118.8/SN1").with(OpFlags::NO_REFERRAL));
    assert_eq!(declined.code(), 2);
    assert!(declined.sentence().contains("gave no answer that can be used"), "{}", declined.sentence());
    let mut old = Request::resolve("88.118.8/SN1");
    old.envelope.version = Version::V2_4;
    old.envelope.suggested = Version::V2_4;
    assert_eq!(client.ask(&old).code(), 2, "it cannot follow");
    upper.stop().await;
}

/// The national resolver asks for the bare prefix and goes to the first TCP interface of its site.
#[tokio::test(flavor = "multi_thread")]
async fn a_bare_prefix_names_the_site_that_serves_it() {
    let (mut upper, mut lower) = tree().await;
    for (tier, prefix) in [(&upper, "88.118.8"), (&lower, "88.118.8"), (&upper, "88.118")] {
        let response = connect(tier).ask(&Request::select(prefix, &[], &["HS_SITE"]));
        assert_eq!(response.values().0, prefix, "the handle as it was asked for");
        assert_eq!(response.values().1.len(), 1);
    }
    let site = connect(&lower).ask(&Request::new(OpCode::GET_SITE_INFO, HandleOnly(b"/").encode()));
    let record = SiteRecord::decode(site.decoded().body).expect("a site");
    assert_eq!(record.servers.len(), 1);
    lower.stop().await;
    upper.stop().await;
}

//----------- The record of a delegated prefix -------------------------------

/// A value that is not to be cached.
fn value(index: u32, kind: &str, data: Vec<u8>) -> Value {
    Value {
        index: Index::new(index).expect("an index"),
        value_type: ValueType::new(kind).expect("a type"),
        data,
        ttl: Ttl::Relative(0),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 0,
    }
}

async fn register(tier: &Tier, name: &str, values: Vec<Value>) {
    let register = Register {
        target: Target::Named(Identifier::parse(name).expect("an identifier")),
        values: Values::new(values).expect("values"),
        existing: Existing::Overwrite,
        precondition: Precondition::None,
    };
    tier.apply(vec![Command::Register(register)]).await;
}

/// The record of `88.118.8` at the node that holds the prefix: with this key at index 300.
async fn register_key(lower: &Tier, key: &PrivateKey) {
    let values =
        vec![value(1, "NOTE", b"held below".to_vec()), value(300, "HS_PUBKEY", key.public().encode_blob())];
    register(lower, "0.NA/88.118.8", values).await;
}

/// An upper node, and one below it that speaks nothing but the Handle protocol, as far as the upper node knows.
async fn tree_by_handle() -> (Tier, Tier) {
    let (upper, lower) = (Tier::top().await, Tier::top().await);
    lower.home("88.118.8").await;
    let at = lower.node().handle_addr().expect("a Handle address");
    let ports = Ports { handle: Some(at.port()), ..Ports::default() };
    let site = Site::new(vec![at.ip()], None, ports).expect("a site");
    let site = site.with_public_key(&lower.node().server_key()).expect("a key");
    let command = PrefixCommand::Delegate { prefix: prefix("88.118.8"), site, registrant: None };
    upper.apply(vec![Command::Prefix(command)]).await;
    (upper, lower)
}

/// What the node below holds under the name of its prefix is seen from above, and so is its replacement. The site of the
/// prefix is what the upper node says.
#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_prefix_is_seen_from_above() {
    let (filed, by_handle) = (tree().await, tree_by_handle().await);
    for (mut upper, mut lower) in [filed, by_handle] {
        register_key(&lower, &rsa_key()).await;
        let mut client = connect(&upper);
        let select = |indexes: &[u32], types: &[&str]| Request::select("0.NA/88.118.8", indexes, types);
        let types = |response: crate::support::handle::Response| -> Vec<(u32, String)> {
            let message = response.decoded();
            let body = idnode::wire::handle::body::HandleAndValues::decode(message.body).expect("values");
            let name = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            body.values.iter().map(|value| (value.index, name(value.value_type))).collect()
        };
        let whole = types(client.ask(&select(&[], &[])));
        let expected = [(1, "NOTE"), (2, "HS_SITE"), (300, "HS_PUBKEY")];
        assert_eq!(whole, expected.map(|(index, name)| (index, name.to_owned())));
        let site = client.ask(&select(&[], &["HS_SITE"])).values().1;
        let alone = client.ask(&select(&[], &["HS_SITE"]).without(OpFlags::RECURSIVE)).values().1;
        assert_eq!(site, alone, "the site is that of the prefix entry above");
        let key = |client: &mut TcpClient| client.ask(&select(&[300], &[])).decoded().body.to_vec();
        let first = key(&mut client);
        register_key(&lower, &sm2_key()).await;
        assert_ne!(key(&mut client), first, "a replaced key is seen");
        let unasked = client.ask(&select(&[300], &[]).without(OpFlags::RECURSIVE));
        assert_eq!(unasked.code(), 200, "without recursion nobody is asked");
        lower.stop().await;
        assert_eq!(
            client.ask(&select(&[300], &[])).code(),
            2,
            "what cannot be asked for is not called absent"
        );
        assert_eq!(client.ask(&select(&[], &["HS_SITE"])).code(), 1, "the way there is known");
        upper.stop().await;
    }
}

/// An administrator whose key stands at the prefix of a node below is accepted above, by the present key only.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_of_a_prefix_below_is_accepted_above() {
    let (filed, by_handle) = (tree().await, tree_by_handle().await);
    for (mut upper, mut lower) in [filed, by_handle] {
        register_key(&lower, &rsa_key()).await;
        upper.home("88.119").await;
        let identity =
            Identity { index: 300, identifier: Identifier::parse("0.NA/88.118.8").expect("an identifier") };
        let permissions = AdminPermissions::from_bits(0xfff);
        let administrator = encode_administrator(&Administrator { permissions, identity });
        for name in ["88.119/A", "88.119/B"] {
            register(&upper, name, vec![value(100, "HS_ADMIN", administrator.clone())]).await;
        }
        let signer = |key: PrivateKey| Signer {
            user: "0.NA/88.118.8".to_owned(),
            index: 300,
            key: SignerKey::Private(Arc::new(key)),
        };
        let delete = |name: &str| with_handle(OpCode::DELETE, name);
        let done = connect(&upper).ask_as(&signer(rsa_key()), &delete("88.119/A"));
        assert_eq!(done.code(), 1, "{}", done.sentence_or_nothing());
        register_key(&lower, &sm2_key()).await;
        let old = connect(&upper).ask_as(&signer(rsa_key()), &delete("88.119/B"));
        assert_eq!(old.code(), 403, "the key was replaced");
        let new = connect(&upper).ask_as(&signer(sm2_key()), &delete("88.119/B"));
        assert_eq!(new.code(), 1, "{}", new.sentence_or_nothing());
        lower.stop().await;
        upper.stop().await;
    }
}
