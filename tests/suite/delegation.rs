//! Delegation as DNS shows it: each tier is asked without recursion, and refers to the next. And as Handle clients see it:
//! the site of a delegated prefix has the key by which its answers are verified.

use std::fs;
use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use idnode::key::digest::DigestAlgorithm;
use idnode::key::{KeyError, PrivateKey, PublicKey};
use idnode::model::prefix::Homing;
use idnode::model::site::{Ports, Site};
use idnode::registry::command::{Command, PrefixCommand};
use idnode::wire::handle::body::HandleAndValues;
use idnode::wire::handle::code::OpFlags;
use idnode::wire::handle::credential::covered_bytes;
use idnode::wire::handle::site::SiteRecord;

use crate::support::clients::{Transport, dns_ask};
use crate::support::eventually::eventually;
use crate::support::handle::{Request, TcpClient};
use crate::support::tree::{Tier, prefix};

/// The name of `88.118.8/SN1`.
const NAME: &str = "sn1.8.118.88.id.internal.";

/// Where a referral leads: the zone cut, and the addresses of its name servers.
fn referral(answer: &Message) -> (String, Vec<IpAddr>) {
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    assert!(!answer.metadata.authoritative, "a referral is not authoritative: {answer:?}");
    assert!(answer.answers.is_empty(), "{answer:?}");
    let cut = answer.authorities.iter().find(|record| record.record_type() == RecordType::NS).expect("NS");
    let glue = answer.additionals.iter().filter_map(|record| match record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    });
    (cut.name.to_ascii(), glue.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_tier_refers_to_the_next() {
    let top = Tier::top().await;
    let secondary = Tier::below(&top, &["88.118"]).await;
    let enterprise = Tier::below(&secondary, &["88.118.8"]).await;
    secondary.home("88.118").await;
    enterprise.home("88.118.8").await;
    enterprise.register("88.118.8/SN1", "https://factory.example/1", 60).await;
    enterprise.settled();
    secondary.settled();
    for transport in [Transport::Udp, Transport::Tcp] {
        let (cut, addresses) = referral(&dns_ask(top.dns(), transport, NAME, RecordType::NAPTR));
        assert_eq!(
            cut, "118.88.id.internal.",
            "the topmost cut, though the enterprise's prefix is filed, too"
        );
        assert_eq!(addresses, [secondary.dns().ip()]);
        let (cut, addresses) = referral(&dns_ask(secondary.dns(), transport, NAME, RecordType::NAPTR));
        assert_eq!(cut, "8.118.88.id.internal.");
        assert_eq!(addresses, [enterprise.dns().ip()]);
        let answer = dns_ask(enterprise.dns(), transport, NAME, RecordType::NAPTR);
        assert!(answer.metadata.authoritative, "{answer:?}");
        let RData::NAPTR(found) = &answer.answers.first().expect("a record").data else {
            panic!("{answer:?}")
        };
        assert_eq!(found.regexp.as_ref(), b"!^.*$!https://factory.example/1!");
    }
}

/// What is suspended below is no longer referred to from above.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_prefix_is_not_referred_to() {
    let top = Tier::top().await;
    let secondary = Tier::below(&top, &["88.118"]).await;
    secondary.home("88.118").await;
    secondary.settled();
    let name = "sn1.118.88.id.internal.";
    let (cut, _) = referral(&dns_ask(top.dns(), Transport::Udp, name, RecordType::TXT));
    assert_eq!(cut, "118.88.id.internal.");
    secondary.suspend("88.118").await;
    secondary.settled();
    let answer = dns_ask(top.dns(), Transport::Udp, name, RecordType::TXT);
    let is_cut = answer.authorities.iter().any(|record| record.record_type() == RecordType::NS);
    assert!(!is_cut && answer.answers.is_empty(), "{answer:?}");
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
}

//----------- Keys -----------------------------------------------------------

/// The key in the HS_SITE that a node gives out for a prefix.
fn key_above(upper: &Tier, prefix: &str) -> Vec<u8> {
    let mut client = TcpClient::connect(upper.node().handle_addr().expect("a Handle address"));
    let request = Request::select(&format!("0.NA/{prefix}"), &[], &["HS_SITE"]);
    let response = client.ask(&request.without(OpFlags::RECURSIVE));
    let message = response.decoded();
    let body = HandleAndValues::decode(message.body).expect("values");
    let record = SiteRecord::decode(body.values.first().expect("a site").data).expect("a site");
    record.servers.first().expect("a server").public_key.clone()
}

/// Asks a node for a certified answer, and verifies it as clients do.
fn verify_answer(node: &Tier, identifier: &str, key: &[u8]) -> Result<(), KeyError> {
    let mut client = TcpClient::connect(node.node().handle_addr().expect("a Handle address"));
    let response = client.ask(&Request::resolve(identifier).with(OpFlags::CERTIFY));
    assert_eq!(response.code(), 1);
    let message = response.decoded();
    let credential = message.credential.expect("a signature");
    let covered = covered_bytes(&response.envelope, credential.counter, message.signed).expect("a version");
    let algorithm = DigestAlgorithm::decode_name(credential.algorithm).expect("a digest");
    PublicKey::decode(key).expect("a key").verify(algorithm, &covered, credential.signature)
}

/// The key that a prefix entry has.
fn key_of_entry(node: &Tier, prefix: &str) -> Option<Vec<u8>> {
    match node.entry(prefix)?.homing {
        Homing::Delegated(site) => site.public_key().map(<[u8]>::to_vec),
        Homing::Here => None,
    }
}

/// A client that knows only the upper node verifies what the node below answers, also after that got another key.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_node_below_is_filed_and_shown_above() {
    let top = Tier::top().await;
    let mut lower = Tier::below(&top, &["88.118"]).await;
    lower.home("88.118").await;
    lower.register("88.118/SN1", "https://factory.example/1", 60).await;
    lower.settled();
    let first = key_above(&top, "88.118");
    assert_eq!(first, lower.node().server_key());
    assert_eq!(verify_answer(&lower, "88.118/SN1", &first), Ok(()));
    lower.stop().await;
    let other = PrivateKey::generate_sm2(&|bytes: &mut [u8]| bytes.fill(0x51));
    lower
        .go_on_with(|config| {
            fs::write(config.store.directory.join("server-key.pem"), other.to_pem()).expect("a key file");
        })
        .await;
    let own = lower.node().server_key();
    assert_ne!(own, first);
    eventually("the new key is filed", || {
        (key_of_entry(&top, "88.118").as_ref() == Some(&own)).then_some(())
    });
    assert_eq!(key_above(&top, "88.118"), own);
    assert_eq!(verify_answer(&lower, "88.118/SN1", &own), Ok(()));
    assert_ne!(verify_answer(&lower, "88.118/SN1", &first), Ok(()), "the old key is withdrawn");
}

/// A key is taken in any encoding, and shown in the one that Handle clients read.
#[tokio::test(flavor = "multi_thread")]
async fn a_delegation_has_the_key_that_it_names() {
    let top = Tier::top().await;
    let key = PrivateKey::generate_sm2(&|bytes: &mut [u8]| bytes.fill(0x52)).public();
    let ports = Ports { handle: Some(2641), ..Ports::default() };
    let site = Site::new(vec!["192.0.2.9".parse().expect("an address")], None, ports).expect("a site");
    let delegate = |site: Site| {
        Command::Prefix(PrefixCommand::Delegate { prefix: prefix("99"), site, registrant: None })
    };
    for encoding in [key.encode_blob(), key.to_pem().into_bytes(), key.to_der()] {
        top.apply(vec![delegate(site.clone().with_public_key(&encoding).expect("a key"))]).await;
        assert_eq!(key_above(&top, "99"), key.encode_blob());
        assert_eq!(top.entry("99").expect("an entry").version, 1, "it is the same key");
    }
    let wrong = delegate(site.clone().with_public_key(b"no key").expect("some bytes"));
    let caller = idnode::authority::caller::Caller::Node;
    let refused = top.node().registry().apply_one(&caller, wrong).await.expect_err("no key").to_string();
    assert!(refused.starts_with("public key of the site cannot be used: "), "{refused}");
    top.apply(vec![delegate(site)]).await;
    assert_eq!(key_above(&top, "99"), b"");
}
