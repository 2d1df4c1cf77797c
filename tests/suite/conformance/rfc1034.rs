//! RFC 1034 section 5.3.3: a resolver walks from the top to the node that keeps an identifier.
//!
//! ```text
//!   top (192.0.2.1, root zone) ── 88.118 ──▶ middle (192.0.2.2) ── 88.118.8 ──▶ enterprise (192.0.2.3)
//! ```

use std::collections::HashMap;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, RecordType};
use idnode::front::dns::DnsOptions;

use super::zone::{Zone, options, value};

/// The nodes by the address that glue names; behind each is a front end on a port of its own.
type Tiers = HashMap<&'static str, Zone>;

async fn tiers() -> Tiers {
    let lower = || DnsOptions { is_top: false, ..options() };
    let top = Zone::start_empty(DnsOptions { is_top: true, ..options() }, &["192.0.2.1"]).await;
    top.delegate("88.118", &["192.0.2.2"], 53).await;
    let middle = Zone::start_empty(lower(), &["192.0.2.2"]).await;
    middle.home("88.118").await;
    middle.delegate("88.118.8", &["192.0.2.3"], 53).await;
    middle.register("88.118/local", vec![value(1, "NOTE", b"middle")]).await;
    let enterprise = Zone::start_empty(lower(), &["192.0.2.3"]).await;
    enterprise.home("88.118.8").await;
    enterprise.register("88.118.8/SN000123", vec![value(1, "NOTE", b"enterprise")]).await;
    HashMap::from([("192.0.2.1", top), ("192.0.2.2", middle), ("192.0.2.3", enterprise)])
}

/// Asks from the top on, following glue; gives the answer and the addresses asked.
async fn walk(tiers: &Tiers, name: &str, record_type: RecordType) -> (Message, Vec<String>) {
    let mut address = "192.0.2.1".to_owned();
    let mut asked = Vec::new();
    loop {
        let found = tiers.get(address.as_str()).expect("a tier").ask(name, record_type).await;
        asked.push(address);
        assert!(asked.len() <= tiers.len(), "a loop: {asked:?}");
        let Some(RData::NS(server)) = found.authorities.first().map(|record| &record.data) else {
            return (found, asked);
        };
        assert!(!found.authoritative, "a referral is no answer");
        let glue = found.additionals.iter().find(|record| record.name == server.0).expect("glue");
        let RData::A(glue) = &glue.data else { panic!("an address: {glue}") };
        address = glue.to_string();
    }
}

/// An identifier of the lowest node is found from the top, whatever its type, present or absent.
#[tokio::test]
async fn s5_3_3_a_walk_ends_at_the_node_that_keeps_the_identifier() {
    let tiers = tiers().await;
    let all = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    let (found, asked) = walk(&tiers, "sn000123.8.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!((found.authoritative, found.answers.len(), asked), (true, 1, all.map(str::to_owned).to_vec()));
    let (found, asked) = walk(&tiers, "sn9.8.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!((found.response_code, asked.len()), (ResponseCode::NXDomain, 3));
    let (found, asked) = walk(&tiers, "local.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!((found.answers.len(), asked.len()), (1, 2));
    let (found, asked) = walk(&tiers, "88.id.internal.", RecordType::TXT).await;
    assert_eq!((found.response_code, found.authoritative, asked.len()), (ResponseCode::NoError, true, 1));
}

/// Both sides of a cut name the server alike: the glue above is the authority's answer below.
#[tokio::test]
async fn s4_2_2_both_sides_of_a_cut_agree() {
    let tiers = tiers().await;
    for (upper, lower, apex) in [
        ("192.0.2.1", "192.0.2.2", "118.88.id.internal."),
        ("192.0.2.2", "192.0.2.3", "8.118.88.id.internal."),
    ] {
        let above = tiers.get(upper).expect("a tier").ask(apex, RecordType::NS).await;
        let below = tiers.get(lower).expect("a tier").ask(apex, RecordType::NS).await;
        assert_eq!((above.authoritative, below.authoritative), (false, true));
        assert_eq!(above.authorities, below.answers);
        assert_eq!(above.additionals, below.additionals);
    }
}
