//! RFC 8914: extended errors say why.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;
use idnode::front::dns::DnsOptions;

use super::zone::{MACHINE, Zone, lines, options};

fn extended(found: &Message) -> Option<(u16, String)> {
    let options = &found.edns.as_ref()?.options().options;
    options.iter().find_map(|(_, option)| match option {
        EdnsOption::Unknown(15, data) => {
            let (code, text) = data.split_first_chunk().expect("a code");
            Some((u16::from_be_bytes(*code), String::from_utf8_lossy(text).into_owned()))
        }
        _ => None,
    })
}

/// §4.19: what the node may not answer is refused as prohibited.
#[tokio::test]
async fn s4_19_a_suspended_prefix_is_prohibited() {
    let zone = Zone::start().await;
    for asked in ["x.11.118.88.id.internal.", "11.118.88.id.internal.", "y.11.118.88.id.internal."] {
        let found = zone.ask_edns(asked, RecordType::SOA).await;
        assert_eq!((found.response_code, found.authoritative), (ResponseCode::Refused, false));
        assert_eq!(extended(&found), Some((18, "the prefix is suspended".to_owned())), "{asked}");
    }
}

/// §4.21: other zones are refused as not ours.
#[tokio::test]
async fn s4_21_other_zones_are_not_ours() {
    let zone = Zone::start().await;
    let found = zone.ask_edns("example.com.", RecordType::A).await;
    assert_eq!(extended(&found), Some((20, "in no zone of this node".to_owned())));
    assert_eq!(extended(&zone.ask("example.com.", RecordType::A).await), None, "no EDNS, no extended error");
}

/// §4.23: a delegate without DNS on port 53 gets no cut; names below it cannot be reached.
#[tokio::test]
async fn s4_23_a_delegate_without_dns_is_out_of_reach() {
    let zone = Zone::start_with(DnsOptions { is_top: true, ..options() }).await;
    let found = zone.ask_edns("sn1.10.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!((found.response_code, found.authoritative), (ResponseCode::ServFail, false));
    assert_eq!(extended(&found).map(|(code, _)| code), Some(22));
    // Its own name answers the prefix entry.
    let found = zone.ask_edns("10.118.88.id.internal.", MACHINE).await;
    assert_eq!(
        (found.response_code, found.authoritative, found.answers.len()),
        (ResponseCode::NoError, true, 1)
    );
    let found = zone.ask_edns("10.118.88.id.internal.", RecordType::TXT).await;
    let expected = "10.118.88.id.internal. 300 16 site 192.0.2.9 2001:db8::9 dns=5300";
    assert_eq!(lines(&found.answers), [expected]);
    let found = zone.ask_edns("_1.10.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!((found.response_code, found.answers.len()), (ResponseCode::NXDomain, 0));
}
