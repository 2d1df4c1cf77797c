//! Delegation as DNS shows it: each tier is asked without recursion, and refers to the next.

use std::net::IpAddr;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};

use crate::support::clients::{Transport, dns_ask};
use crate::support::tree::Tier;

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
