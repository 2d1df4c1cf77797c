//! Referrals and recursion: a question finds the node that keeps the identifier, down and up the tree.
//!
//! ```text
//!                    top
//!            88.118 /   \ 88.119
//!         secondary      other
//!       88.118.8 |
//!        enterprise
//! ```

use std::fs;
use std::io::Write;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use idnode::authority::caller::Caller;
use idnode::authority::visibility::Withheld;
use idnode::config::Config;
use idnode::model::identifier::Identifier;
use idnode::model::prefix::Homing;
use idnode::model::site::{Ports, Site};
use idnode::model::value::Permissions;
use idnode::registry::command::{Command, PrefixCommand};
use idnode::resolver::answer::{Absence, Answer, Question};
use idnode::resolver::recursion::Recursion;
use idnode::wire::proto;
use idnode::wire::proto::answer::Answer as AnswerKind;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::clients::{GrpcClient, http_get};
use crate::support::tree::{Tier, prefix, register};

/// The tree drawn above, everything filed.
struct Tree {
    top: Tier,
    secondary: Tier,
    other: Tier,
    enterprise: Tier,
}

impl Tree {
    async fn grow() -> Self {
        let top = Tier::top().await;
        let secondary = Tier::below(&top, &["88.118"]).await;
        let other = Tier::below(&top, &["88.119"]).await;
        let enterprise = Tier::below(&secondary, &["88.118.8"]).await;
        secondary.home("88.118").await;
        other.home("88.119").await;
        enterprise.home("88.118.8").await;
        enterprise.register("88.118.8/SN1", "https://factory.example/1", 3_600).await;
        other.register("88.119/SN2", "https://other.example/2", 3_600).await;
        for tier in [&enterprise, &secondary, &other] {
            tier.settled();
        }
        Self { top, secondary, other, enterprise }
    }
}

/// The data of an answer's values, and whether they came from who keeps them.
fn data(answer: Result<AnswerKind, Status>) -> (Vec<String>, bool) {
    match answer.expect("an answer") {
        AnswerKind::Values(found) => {
            let text = |value: proto::Value| String::from_utf8(value.data).expect("text");
            (found.values.into_iter().map(text).collect(), found.authoritative)
        }
        other => panic!("no values: {other:?}"),
    }
}

/// Status and stable reason of a refusal, and its sentence.
fn refusal(answer: Result<AnswerKind, Status>) -> (Code, String, String) {
    let status = answer.expect_err("no answer");
    let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
    (status.code(), reason, status.message().to_owned())
}

async fn asking(tier: &Tier) -> GrpcClient {
    tier.client().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_recursion_a_node_refers() {
    let tree = Tree::grow().await;
    let AnswerKind::Referral(referral) =
        asking(&tree.top).await.resolve("88.118.8/SN1").await.expect("an answer")
    else {
        panic!("no referral")
    };
    assert_eq!(referral.prefix, "88.118.8", "the enterprise's prefix is filed up to the top");
    let site = referral.site.expect("a site");
    assert_eq!(site.addresses, [tree.secondary.grpc().ip().to_string()], "by way of the secondary node");
    let AnswerKind::NotResponsible(elsewhere) =
        asking(&tree.enterprise).await.resolve("88.119/SN2").await.expect("an answer")
    else {
        panic!("not elsewhere")
    };
    assert_eq!(elsewhere.upper, format!("http://{}", tree.secondary.grpc()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_goes_down_and_up_the_tree() {
    let tree = Tree::grow().await;
    let down = asking(&tree.top).await.recurse("88.118.8/SN1", &[]).await;
    assert_eq!(data(down), (vec!["https://factory.example/1".to_owned()], false));
    let up = asking(&tree.enterprise).await.recurse("88.119/SN2", &[]).await;
    assert_eq!(data(up), (vec!["https://other.example/2".to_owned()], false));
    let own = asking(&tree.enterprise).await.recurse("88.118.8/SN1", &[]).await;
    assert_eq!(data(own), (vec!["https://factory.example/1".to_owned()], true));
    let absent = asking(&tree.other).await.recurse("88.118.8/none", &[]).await.expect("an answer");
    assert_eq!(absent, AnswerKind::Absent(proto::Absence::Identifier.into()));
    let nowhere = asking(&tree.enterprise).await.recurse("77.1/none", &[]).await.expect("an answer");
    assert!(matches!(nowhere, AnswerKind::NotResponsible(_)), "{nowhere:?}");
}

/// The top may decline to ask; then the node that wants to know follows the referral itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_referral_from_above_is_followed() {
    let top = Tier::start(|config| config.recursion.allowed = false).await;
    let left = Tier::below(&top, &["88.118"]).await;
    let right = Tier::below(&top, &["88.119"]).await;
    right.home("88.119").await;
    right.register("88.119/SN2", "https://other.example/2", 60).await;
    right.settled();
    let answer = asking(&left).await.recurse("88.119/SN2", &[]).await;
    assert_eq!(data(answer).0, ["https://other.example/2"]);
    let refused = asking(&top).await.recurse("88.119/SN2", &[]).await.expect("an answer");
    assert!(matches!(refused, AnswerKind::Referral(_)), "recursion is wished but not allowed: {refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_answers_its_own_when_the_upper_node_is_gone() {
    let mut tree = Tree::grow().await;
    let upper = tree.secondary.grpc().to_string();
    tree.secondary.stop().await;
    let client = asking(&tree.enterprise).await;
    assert_eq!(data(client.recurse("88.118.8/SN1", &[]).await).0, ["https://factory.example/1"]);
    let (code, reason, message) = refusal(client.recurse("88.119/SN2", &[]).await);
    assert_eq!((code, reason.as_str()), (Code::Unavailable, "PEER_UNREACHABLE"));
    assert_eq!(
        message,
        format!("node {upper} gave no answer that can be used; the log of this node says why")
    );
}

/// Only what everybody may see comes from another node, whoever asks.
#[tokio::test(flavor = "multi_thread")]
async fn restricted_values_do_not_travel() {
    let tree = Tree::grow().await;
    let Command::Register(mut secret) = register("88.118.8/secret", "https://factory.example/secret", 60)
    else {
        panic!("a registration")
    };
    let mut values = secret.values.into_vec();
    values.iter_mut().for_each(|value| value.permissions = Permissions::from_bits(0b1100));
    secret.values = idnode::model::value::Values::new(values).expect("values");
    tree.enterprise.apply(vec![Command::Register(secret)]).await;
    let question = Question::all(Identifier::parse("88.118.8/secret").expect("an identifier"));
    let answer = tree.top.node().resolver().recurse(&Caller::Node, &question, Recursion::default()).await;
    assert_eq!(answer, Ok(Answer::Absent(Absence::Values(Withheld::Nothing))));
}

/// Many ask the same at once: the other node is asked once.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_question_is_asked_once_and_its_answer_cached() {
    let mut tree = Tree::grow().await;
    let question = Question::all(Identifier::parse("88.118.8/SN1").expect("an identifier"));
    let resolver = tree.secondary.node().resolver();
    let ask = || resolver.recurse(&Caller::Anonymous, &question, Recursion::default());
    for answer in join_all((0..50).map(|_| ask())).await {
        assert!(matches!(answer, Ok(Answer::Values(_))), "{answer:?}");
    }
    let counters = tree.enterprise.node().resolver().counters();
    assert_eq!(counters.values.load(Ordering::Relaxed), 1);
    tree.enterprise.stop().await;
    let client = asking(&tree.secondary).await;
    assert_eq!(data(client.recurse("88.118.8/SN1", &[]).await).0, ["https://factory.example/1"]);
    let (_, page) = http_get(tree.secondary.node().addresses().http.first().expect("an address"), "/metrics");
    let line = "idnode_federation_questions_total{outcome=\"answered\"} 1";
    assert!(page.lines().any(|found| found == line), "{page}");
}

/// Certificate and key for a name, in files of a folder: the paths.
fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.join(format!("{name}.crt")), folder.join(format!("{name}.key")));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (certificate, key)
}

/// Filing up and asking down over TLS; who names no authority for the other's certificate asks nobody.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_speak_tls_to_each_other() {
    let folder = tempfile::tempdir().expect("a directory");
    let (top_certificate, top_key) = certificate(folder.path(), "top.example");
    let (lower_certificate, lower_key) = certificate(folder.path(), "lower.example");
    let top = Tier::start(|config| {
        config.tls.certificate = Some(top_certificate.clone());
        config.tls.key = Some(top_key);
        config.recursion.tls_ca = Some(lower_certificate.clone());
    })
    .await;
    let token = top.peer_token(&["88.118"]).await;
    let address = format!("https://{}", top.grpc());
    let lower = Tier::below_with(&top, &token, |config| {
        config.tls.certificate = Some(lower_certificate);
        config.tls.key = Some(lower_key);
        config.site.host_name = Some("lower.example".into());
        config.upper.address = Some(address);
        config.upper.tls_ca = Some(top_certificate);
        config.upper.tls_host_name = Some("top.example".into());
    })
    .await;
    lower.home("88.118").await;
    lower.register("88.118/SN1", "https://lower.example/1", 60).await;
    lower.settled();
    let question = Question::all(Identifier::parse("88.118/SN1").expect("an identifier"));
    let ask = async |tier: &Tier| {
        tier.node().resolver().recurse(&Caller::Anonymous, &question, Recursion::default()).await
    };
    let answer = ask(&top).await;
    assert!(matches!(&answer, Ok(Answer::Values(found)) if !found.authoritative), "{answer:?}");
    let other_party = Tier::top().await;
    let site = top.entry("88.118").map(|entry| entry.homing);
    let Some(Homing::Delegated(site)) = site else { panic!("{site:?}") };
    delegate(&other_party, "88.118", site).await;
    let Ok(Answer::Referral(referral)) = ask(&other_party).await else { panic!("no referral") };
    let error = referral.unanswered.expect("a reason");
    assert_eq!(error.code(), "PEER_NO_AUTHORITY");
    assert!(error.to_string().contains("recursion.tls_ca"), "{error}");
}

fn site_of(addresses: Vec<IpAddr>, port: u16) -> Site {
    Site::new(addresses, None, Ports { grpc: Some(port), ..Ports::default() }).expect("a site")
}

async fn delegate(from: &Tier, text: &str, site: Site) {
    let command = PrefixCommand::Delegate { prefix: prefix(text), site, registrant: None };
    from.apply(vec![Command::Prefix(command)]).await;
}

async fn delegate_to(from: &Tier, text: &str, to: &Tier) {
    delegate(from, text, site_of(vec![to.grpc().ip()], to.grpc().port())).await;
}

/// Two nodes that delegate a prefix to each other: the question ends, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_is_found() {
    let (left, right) = (Tier::top().await, Tier::top().await);
    delegate_to(&left, "99", &right).await;
    delegate_to(&right, "99", &left).await;
    let (code, reason, message) = refusal(asking(&left).await.recurse("99/SN1", &[]).await);
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "RECURSION_LOOP"));
    assert!(message.contains("a prefix is delegated to a site that passes questions up again"), "{message}");
}

/// Two nodes that only refer, to each other: who follows their referrals finds the loop.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_of_referrals_is_found() {
    let client = Tier::top().await;
    let silent = async || Tier::start(|config| config.recursion.allowed = false).await;
    let (left, right) = (silent().await, silent().await);
    delegate_to(&left, "99", &right).await;
    delegate_to(&right, "99", &left).await;
    delegate_to(&client, "99", &left).await;
    let (_, reason, _) = refusal(asking(&client).await.recurse("99/SN1", &[]).await);
    assert_eq!(reason, "RECURSION_LOOP");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_depth_is_bounded() {
    let (left, right) = (Tier::top().await, Tier::top().await);
    delegate_to(&left, "99", &right).await;
    right.home("99").await;
    right.register("99/SN1", "https://deep.example", 60).await;
    let client = asking(&left).await;
    let nodes = |count: u8| (1..=count).map(|node| [node; 16]).collect::<Vec<_>>();
    let (code, reason, _) = refusal(client.recurse("99/SN1", &nodes(10)).await);
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "RECURSION_TOO_DEEP"));
    assert_eq!(data(client.recurse("99/SN1", &nodes(9)).await).0, ["https://deep.example"]);
}

/// A site's second address is tried when nobody is at the first.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_address_is_tried() {
    let (from, to) = (Tier::top().await, Tier::top().await);
    to.home("99").await;
    to.register("99/SN1", "https://second.example", 60).await;
    let nobody = "127.255.255.1".parse().expect("an address");
    delegate(&from, "99", site_of(vec![nobody, to.grpc().ip()], to.grpc().port())).await;
    let answer = asking(&from).await.recurse("99/SN1", &[]).await;
    assert_eq!(data(answer).0, ["https://second.example"]);
}

/// What another node refuses is reported with its reason and the name of that node.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_another_node_names_it() {
    let (from, to) = (Tier::top().await, Tier::top().await);
    to.home("99").await;
    to.suspend("99").await;
    delegate_to(&from, "99", &to).await;
    let (code, reason, message) = refusal(asking(&from).await.recurse("99/SN1", &[]).await);
    assert_eq!((code, reason.as_str()), (Code::FailedPrecondition, "PEER_REFUSED"));
    assert!(message.starts_with(&format!("node {} refused: prefix 99 is suspended", to.grpc())), "{message}");
    assert!(message.ends_with("(PREFIX_SUSPENDED)"), "{message}");
    let no_front_end = Site::new(vec![to.grpc().ip()], None, Ports { dns: Some(53), ..Ports::default() });
    delegate(&from, "98", no_front_end.expect("a site")).await;
    let referred = asking(&from).await.recurse("98/SN1", &[]).await;
    let Ok(AnswerKind::Referral(referral)) = referred else { panic!("{referred:?}") };
    assert_eq!(referral.unanswered.map(|reason| reason.code).as_deref(), Some("PEER_NOWHERE"));
}

/// A node that other machines reach, with a prefix delegated to a site on its own machine.
async fn reached_from_outside(tell: impl FnOnce(&mut Config)) -> Tier {
    Tier::start(|config| {
        config.http.listen = vec!["0.0.0.0:0".parse().expect("an address")];
        tell(config);
    })
    .await
}

/// A lower node could name the address of a service that only the upper node reaches; nobody is contacted there.
#[tokio::test(flavor = "multi_thread")]
async fn sites_outside_of_the_allowed_networks_are_not_contacted() {
    let to = Tier::top().await;
    to.home("99").await;
    to.register("99/SN1", "https://inside.example", 60).await;
    let counters = to.node().resolver().counters();
    let from = reached_from_outside(|_| {}).await;
    for address in [to.grpc().ip(), mapped(to.grpc().ip())] {
        delegate(&from, "99", site_of(vec![address], to.grpc().port())).await;
        let answer = asking(&from).await.recurse("99/SN1", &[]).await;
        assert!(!matches!(answer, Ok(AnswerKind::Values(_))), "{answer:?}");
        assert_eq!(counters.values.load(Ordering::Relaxed), 0, "nobody asked at {address}");
    }
    let network = "127.0.0.0/8".parse().expect("a network");
    let allowing = reached_from_outside(|config| config.recursion.networks = vec![network]).await;
    delegate_to(&allowing, "99", &to).await;
    let answer = asking(&allowing).await.recurse("99/SN1", &[]).await;
    assert_eq!(data(answer).0, ["https://inside.example"]);
}

fn mapped(address: IpAddr) -> IpAddr {
    let IpAddr::V4(address) = address else { panic!("{address}") };
    IpAddr::V6(address.to_ipv6_mapped())
}

/// Whoever delegates a prefix, or files one, chooses addresses: what callers see does not show what is there.
#[tokio::test(flavor = "multi_thread")]
async fn callers_do_not_learn_what_is_at_the_address_of_a_site() {
    let from = Tier::start(|config| config.recursion.deadline = Duration::from_secs(2)).await;
    let client = asking(&from).await;
    let silent = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let refusing = TcpListener::bind("127.0.0.1:0").expect("a listener").local_addr().expect("an address");
    let talking = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let talks_at = talking.local_addr().expect("an address");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = talking.accept() {
            stream.write_all(b"220 mail.example ESMTP\r\n").ok();
        }
    });
    let private = "10.255.255.1:7373".parse().expect("an address");
    let mut seen = Vec::new();
    for at in [silent.local_addr().expect("an address"), refusing, talks_at, private] {
        delegate(&from, "99", site_of(vec![at.ip()], at.port())).await;
        let answer = client.recurse("99/SN1", &[]).await.map_err(|status| {
            let reason = status.get_details_error_info().map(|info| info.reason);
            (status.code(), reason, status.message().to_owned())
        });
        let shown = format!("{answer:?}").replace(&at.ip().to_string(), "ADDRESS");
        seen.push(shown.replace(&at.port().to_string(), "PORT"));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:#?}");
}
