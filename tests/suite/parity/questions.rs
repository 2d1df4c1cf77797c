//! Questions: every answer is the same at every front end, down to the last field of a value.

use std::fs;

use idnode::authority::caller::Caller;
use idnode::daemon::{Node, RunningNode};
use idnode::key::PrivateKey;
use idnode::model::identifier::{Identifier, Prefix};
use idnode::model::identity::{AdminPermissions, Administrator, Identity};
use idnode::model::site::{Ports, Site};
use idnode::model::value::{Index, Permissions, Reference, Ttl, Value, ValueType, Values};
use idnode::registry::command::{Command, Existing, Precondition, PrefixCommand, Register, Target};
use idnode::store::EngineKind;
use idnode::wire::handle::administrator::encode_administrator;
use tempfile::TempDir;

use super::meaning::{ALL, Meaning, Onward, Select, ask};
use crate::support::node::{config, give_server_key};
use crate::support::tree::Tier;

//----------- What is held ---------------------------------------------------

/// A value with the usual TTL and permissions.
fn value(index: u32, kind: &str, data: impl AsRef<[u8]>) -> Value {
    Value {
        index: Index::new(index).expect("an index"),
        value_type: ValueType::new(kind).expect("a type"),
        data: data.as_ref().to_vec(),
        ttl: Ttl::default(),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 0,
    }
}

fn with_permissions(bits: u8, value: Value) -> Value {
    Value { permissions: Permissions::from_bits(bits), ..value }
}

fn identifier(text: &str) -> Identifier {
    Identifier::parse(text).expect("an identifier")
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a prefix")
}

fn administrator() -> Value {
    let identity = Identity { index: 300, identifier: identifier("0.NA/88.118.8") };
    let permissions = AdminPermissions::READ_VALUE | AdminPermissions::LIST_IDENTIFIERS;
    value(100, "HS_ADMIN", encode_administrator(&Administrator { permissions, identity }))
}

/// Two plain values, written in another order than that of their indexes.
fn plain() -> Vec<Value> {
    vec![value(2, "URL", "https://factory.example/1"), value(7, "NAME", "轴承")]
}

/// Every field that a value has, in its less usual forms.
fn odd() -> Vec<Value> {
    let references = vec![
        Reference { identifier: identifier("88.118.8/SN1"), index: 2 },
        Reference { identifier: identifier("0.NA/99.1"), index: 0 },
    ];
    vec![
        Value { ttl: Ttl::Absolute(1_000_000_000), ..value(1, "PAST", "its time is over") },
        Value { ttl: Ttl::Absolute(4_000_000_000), ..value(2, "UNTIL", "its time comes") },
        Value { ttl: Ttl::Relative(0), ..value(3, "NOW", "not to be cached") },
        Value { references, ..value(4, "PART", "of others") },
        with_permissions(0b1111, value(5, "NOTE", "for everybody to write")),
        with_permissions(0b0010, value(6, "SEAL", "for nobody to write")),
        value(8, "RAW", [0, 0xff, 0xfe, b'\n']),
        value(9, "EMPTY", ""),
        value(2_147_483_647, "LAST", "the highest index"),
    ]
}

fn kinds() -> Vec<Value> {
    vec![
        value(1, "EMAIL", "a@b"),
        value(2, "EMAIL.WORK", "c@d"),
        value(3, "EMAILS", "no family"),
        value(4, "URL", "https://factory.example/k"),
    ]
}

//----------- A node with every answer ---------------------------------------

struct Everything {
    node: RunningNode,
    directory: TempDir,
}

impl Everything {
    /// A node below another that is away, with a prefix of each kind.
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = config(&directory.path().join("data"), EngineKind::Fjall);
        let token_file = directory.path().join("upper-token");
        fs::write(&token_file, "nobody asks for it").expect("a token file");
        config.upper.address = Some("http://127.0.0.1:9".into());
        config.upper.token_file = Some(token_file);
        give_server_key(&config.store.directory);
        let node = Node::start(config).await.expect("the node starts");
        let started = Self { node, directory };
        for homed in ["88.118.8", "88.118.5", "88.118.6"] {
            started.change(PrefixCommand::Home { prefix: prefix(homed), registrant: None }).await;
        }
        let addresses = vec!["192.0.2.9".parse().expect("an address")];
        let ports = Ports { grpc: Some(7373), dns: Some(53), handle: Some(2641), http: Some(80) };
        let site = Site::new(addresses, None, ports).expect("a site");
        started
            .change(PrefixCommand::Delegate { prefix: prefix("88.118.8.9"), site, registrant: None })
            .await;
        started.fill().await;
        started.change(PrefixCommand::Suspend { prefix: prefix("88.118.5") }).await;
        started.change(PrefixCommand::Revoke { prefix: prefix("88.118.6") }).await;
        started
    }

    async fn fill(&self) {
        let secret = || with_permissions(0b1100, value(300, "HS_SECKEY", "secret"));
        let mut plain = plain();
        plain.reverse();
        for (name, values) in [
            ("88.118.8/SN1", plain),
            ("88.118.8/odd", odd()),
            ("88.118.8/kinds", kinds()),
            ("88.118.8/hidden", vec![secret()]),
            ("88.118.8/sealed", vec![with_permissions(0b0100, value(1, "NOTE", "for nobody"))]),
            ("88.118.8/half", vec![value(1, "URL", "https://factory.example/2"), secret()]),
            ("88.118.8/empty", Vec::new()),
            ("88.118.8/alias", vec![value(1, "HS_ALIAS", "88.118.8/SN1")]),
            ("88.118.8/零/a b?#%+", vec![value(1, "URL", "https://factory.example/3")]),
            ("0.NA/88.118.8", vec![administrator()]),
            ("88.118.5/SN1", vec![value(1, "URL", "https://factory.example/4")]),
            ("88.118.6/SN1", vec![value(1, "URL", "https://factory.example/5")]),
        ] {
            let register = Register {
                target: Target::Named(identifier(name)),
                values: Values::new(values).expect("values"),
                existing: Existing::Refuse,
                precondition: Precondition::None,
            };
            self.apply(Command::Register(register)).await;
        }
    }

    async fn change(&self, command: PrefixCommand) {
        self.apply(Command::Prefix(command)).await;
    }

    async fn apply(&self, command: Command) {
        self.node.registry().apply_one(&Caller::Node, command).await.expect("done");
    }

    async fn stop(self) {
        self.node.stop().await.expect("the node stops");
        self.directory.close().expect("removed");
    }
}

//----------- The table ------------------------------------------------------

const fn indexes(indexes: &'static [u32]) -> Select {
    Select { indexes, types: &[] }
}

const fn types(types: &'static [&'static str]) -> Select {
    Select { indexes: &[], types }
}

/// Those of these values that have such an index.
fn at(wanted: &[u32], values: Vec<Value>) -> Meaning {
    Meaning::Values(values.into_iter().filter(|value| wanted.contains(&value.index.get())).collect())
}

fn questions() -> Vec<(String, Select, Meaning)> {
    let long = format!("88.118.8/{}", "x".repeat(2_048));
    let segment = format!("88.{}/SN1", "x".repeat(64));
    let deep = format!("{}8/SN1", "88.".repeat(60));
    let rows = [
        ("88.118.8/SN1", ALL, Meaning::Values(plain())),
        ("88.118.8/sn1", ALL, Meaning::Values(plain())),
        ("88.118.8/SN1", indexes(&[7]), at(&[7], plain())),
        ("88.118.8/SN1", indexes(&[9]), Meaning::NoValues),
        ("88.118.8/SN1", indexes(&[9, 2, 2]), at(&[2], plain())),
        ("88.118.8/SN1", types(&["url"]), at(&[2], plain())),
        ("88.118.8/SN1", types(&["NONE"]), Meaning::NoValues),
        ("88.118.8/SN1", Select { indexes: &[7], types: &["URL"] }, Meaning::Values(plain())),
        ("88.118.8/SN1", Select { indexes: &[9], types: &["NONE"] }, Meaning::NoValues),
        ("88.118.8/kinds", types(&["EMAIL"]), at(&[1], kinds())),
        ("88.118.8/kinds", types(&["EMAIL."]), at(&[1, 2], kinds())),
        ("88.118.8/kinds", types(&["email.", "URL"]), at(&[1, 2, 4], kinds())),
        ("88.118.8/kinds", Select { indexes: &[3], types: &["EMAIL."] }, at(&[1, 2, 3], kinds())),
        ("88.118.8/odd", ALL, Meaning::Values(odd())),
        ("88.118.8/odd", indexes(&[2_147_483_647]), at(&[2_147_483_647], odd())),
        ("88.118.8/alias", ALL, Meaning::Values(vec![value(1, "HS_ALIAS", "88.118.8/SN1")])),
        ("88.118.8/零/a b?#%+", ALL, Meaning::Values(vec![value(1, "URL", "https://factory.example/3")])),
        ("0.NA/88.118.8", ALL, Meaning::Values(vec![administrator()])),
        ("0.na/88.118.8", types(&["hs_admin"]), Meaning::Values(vec![administrator()])),
        ("88.118.8/half", ALL, Meaning::Values(vec![value(1, "URL", "https://factory.example/2")])),
        ("88.118.8/half", indexes(&[300]), Meaning::NoValues),
        ("88.118.8/half", types(&["HS_SECKEY"]), Meaning::NoValues),
        ("88.118.8/hidden", ALL, Meaning::NoValues),
        ("88.118.8/sealed", ALL, Meaning::NoValues),
        ("88.118.8/empty", ALL, Meaning::NoValues),
        ("88.118.8/absent", ALL, Meaning::NoIdentifier),
        ("88.118.8/absent", types(&["URL"]), Meaning::NoIdentifier),
        ("88.118.8.7/absent", ALL, Meaning::NoIdentifier),
        ("88.118.8.9/SN1", ALL, Meaning::Elsewhere),
        ("88.118.8.9/SN1", types(&["URL"]), Meaning::Elsewhere),
        ("88.118.8.9.1/SN1", ALL, Meaning::Elsewhere),
        ("0.NA/88.118.8.9.1", ALL, Meaning::Elsewhere),
        ("99.1/SN1", ALL, Meaning::NotOurs),
        ("0.NA/99.1", ALL, Meaning::NotOurs),
        ("88.118.5/SN1", ALL, Meaning::Withdrawn),
        ("88.118.5.1/SN1", ALL, Meaning::Withdrawn),
        ("0.NA/88.118.5", ALL, Meaning::Withdrawn),
        ("88.118.6/SN1", ALL, Meaning::Withdrawn),
        ("0.NA/88.118.6", ALL, Meaning::Withdrawn),
        ("88..1/SN1", ALL, Meaning::Malformed),
        ("88_1/SN1", ALL, Meaning::Malformed),
        ("/SN1", ALL, Meaning::Malformed),
        ("88.118.8/", ALL, Meaning::Malformed),
        (long.as_str(), ALL, Meaning::Malformed),
        (segment.as_str(), ALL, Meaning::Malformed),
        (deep.as_str(), ALL, Meaning::Malformed),
    ];
    rows.into_iter().map(|(name, select, meaning)| (name.to_owned(), select, meaning)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_means_the_same_at_every_front_end() {
    let node = Everything::start().await;
    for (name, select, meaning) in questions() {
        let answers = ask(&node.node, &name, select, Onward::NotAsked).await;
        // The time at which a value was set is the same, too.
        let first = answers.first().expect("front ends").1.clone();
        for (front_end, answers) in answers {
            let answers = answers.or_else(|| first.clone());
            assert_eq!(answers, first, "{front_end}, {name} {select:?}");
            assert_eq!(
                answers.map(Meaning::undated),
                Some(meaning.clone()),
                "{front_end}, {name} {select:?}"
            );
        }
    }
    node.stop().await;
}

/// What another node holds is the same through whichever front end this one is asked to fetch it; DNS never asks.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_holds_means_the_same_through_every_front_end() {
    let mut upper = Tier::top().await;
    let mut lower = Tier::below(&upper, &["88.118.8"]).await;
    lower.home("88.118.8").await;
    lower.register("88.118.8/SN1", "https://factory.example/1", 60).await;
    lower.register("0.NA/88.118.8", "https://factory.example/prefix", 60).await;
    lower.settled();
    for (name, select, meaning) in held_below() {
        check_onward(&upper, name, select, &meaning).await;
    }
    lower.stop().await;
    // What does not answer is what callers are referred to: they may be able to reach it.
    check_onward(&upper, "88.118.8/never-asked-for", ALL, &Meaning::Elsewhere).await;
    upper.stop().await;
}

/// The same where the other node speaks nothing but the Handle protocol, with and without a key that is known.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_node_without_grpc_holds_means_the_same_through_every_front_end() {
    let mut lower = Tier::top().await;
    lower.home("88.118.8").await;
    lower.register("88.118.8/SN1", "https://factory.example/1", 60).await;
    lower.register("0.NA/88.118.8", "https://factory.example/prefix", 60).await;
    let key = lower.node().server_key();
    for key in [Some(key.as_slice()), None] {
        let mut upper = Tier::top().await;
        delegate_by_handle(&upper, "88.118.8", &lower, key).await;
        for (name, select, meaning) in held_below() {
            check_onward(&upper, name, select, &meaning).await;
        }
        upper.stop().await;
    }
    lower.stop().await;
}

/// The answers of a node that signs with another key than that of the site are not accepted, whatever they are.
#[tokio::test(flavor = "multi_thread")]
async fn answers_signed_with_another_key_are_accepted_at_no_front_end() {
    let mut lower = Tier::top().await;
    lower.home("88.118.8").await;
    lower.register("88.118.8/SN1", "https://attacker.example", 60).await;
    let other = PrivateKey::generate_sm2(&|bytes: &mut [u8]| bytes.fill(0x53)).public().encode_blob();
    let mut upper = Tier::top().await;
    delegate_by_handle(&upper, "88.118.8", &lower, Some(&other)).await;
    for name in ["88.118.8/SN1", "88.118.8/absent"] {
        check_onward(&upper, name, ALL, &Meaning::Elsewhere).await;
    }
    upper.stop().await;
    lower.stop().await;
}

/// Delegates a prefix to the Handle server of a node, as to a site that offers nothing else.
async fn delegate_by_handle(upper: &Tier, text: &str, lower: &Tier, key: Option<&[u8]>) {
    let at = lower.node().handle_addr().expect("a Handle address");
    let ports = Ports { handle: Some(at.port()), ..Ports::default() };
    let site = Site::new(vec![at.ip()], None, ports).expect("a site");
    let site = key.into_iter().fold(site, |site, key| site.with_public_key(key).expect("a key"));
    let command = PrefixCommand::Delegate { prefix: prefix(text), site, registrant: None };
    upper.apply(vec![Command::Prefix(command)]).await;
}

/// Questions about what the node below holds, and some that nobody answers.
fn held_below() -> Vec<(&'static str, Select, Meaning)> {
    let found = Value { ttl: Ttl::Relative(60), ..value(1, "URL", "https://factory.example/1") };
    let record = Value { data: b"https://factory.example/prefix".to_vec(), ..found.clone() };
    vec![
        ("88.118.8/sn1", ALL, Meaning::Values(vec![found.clone()])),
        ("88.118.8/SN1", types(&["URL"]), Meaning::Values(vec![found])),
        ("88.118.8/SN1", indexes(&[9]), Meaning::NoValues),
        ("88.118.8/absent", ALL, Meaning::NoIdentifier),
        ("0.NA/88.118.8", types(&["NOTE", "URL"]), Meaning::Values(vec![record])),
        ("0.NA/88.118.8", types(&["NOTE"]), Meaning::NoValues),
        ("99.1/SN1", ALL, Meaning::NotOurs),
    ]
}

async fn check_onward(upper: &Tier, name: &str, select: Select, meaning: &Meaning) {
    for (front_end, answers) in ask(upper.node(), name, select, Onward::Asked).await {
        // How long it may still be cached depends on when it was fetched.
        let answers = match answers.map(Meaning::undated) {
            Some(Meaning::Values(values)) => {
                Some(Meaning::Values(values.into_iter().map(full_ttl).collect()))
            }
            other => other,
        };
        assert_eq!(answers.as_ref(), Some(meaning), "{front_end}, {name} {select:?}");
    }
}

fn full_ttl(value: Value) -> Value {
    let Ttl::Relative(seconds) = value.ttl else { panic!("{value:?}") };
    assert!(seconds <= 60, "{value:?}");
    Value { ttl: Ttl::Relative(60), ..value }
}
