//! RFC 2308 with RFC 8020 and 4592: what is not there, and what is there without data.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use idnode::front::dns::DnsOptions;

use super::zone::{Zone, options, soa};

fn code(found: &Message) -> (ResponseCode, bool, usize) {
    (found.response_code, found.authoritative, found.answers.len())
}

/// §2.1: a name that is not there is NXDOMAIN, with the zone's SOA.
#[tokio::test]
async fn s2_1_an_absent_identifier_is_nxdomain() {
    let zone = Zone::start().await;
    for asked in [
        "sn9.8.118.88.id.internal.",
        "x.sn000123.8.118.88.id.internal.",
        "_1.sn9.8.118.88.id.internal.",
        "dns.ns.77.8.118.88.id.internal.",
        "78.8.118.88.id.internal.",
        "__x.78.8.118.88.id.internal.",
        "c4.__x.8.118.88.id.internal.",
        "00000000000000000000000000000000.__h.8.118.88.id.internal.",
    ] {
        let found = zone.ask(asked, RecordType::TXT).await;
        assert_eq!(code(&found), (ResponseCode::NXDomain, true, 0), "{asked}");
        assert_eq!(soa(&found), ("8.118.88.id.internal.".to_owned(), 10, 10), "{asked}");
    }
}

/// §2.2: a name that is there without the type asked is NODATA: NOERROR, no answer, the zone's SOA.
#[tokio::test]
async fn s2_2_an_absent_type_is_nodata() {
    let zone = Zone::start().await;
    for (asked, record_type) in [
        ("sn000123.8.118.88.id.internal.", RecordType::A),
        ("sn000123.8.118.88.id.internal.", RecordType::SOA),
        ("sn000123.8.118.88.id.internal.", RecordType::NS),
        ("sn000123.8.118.88.id.internal.", RecordType::Unknown(1_000)),
        ("1.8.118.88.id.internal.", RecordType::A),
        ("8.118.88.id.internal.", RecordType::A),
        ("dns.ns.8.118.88.id.internal.", RecordType::TXT),
    ] {
        let found = zone.ask(asked, record_type).await;
        if asked.starts_with("1.") {
            assert_eq!(code(&found), (ResponseCode::NXDomain, true, 0), "{asked}: no prefix 88.118.8.1");
            continue;
        }
        assert_eq!(code(&found), (ResponseCode::NoError, true, 0), "{asked} {record_type}");
        assert_eq!(soa(&found).0, "8.118.88.id.internal.");
    }
}

/// RFC 8020 §2: a name with names below it is there, though it has no data of its own.
#[tokio::test]
async fn s2_empty_non_terminals_are_nodata() {
    let zone = Zone::start_with(DnsOptions { is_top: true, ..options() }).await;
    for (asked, apex) in [
        ("88.id.internal.", "id.internal."),
        ("118.88.id.internal.", "id.internal."),
        ("77.8.118.88.id.internal.", "8.118.88.id.internal."),
        ("5.77.8.118.88.id.internal.", "8.118.88.id.internal."),
        ("__x.8.118.88.id.internal.", "8.118.88.id.internal."),
        ("__h.8.118.88.id.internal.", "8.118.88.id.internal."),
        ("__x.5.77.8.118.88.id.internal.", "8.118.88.id.internal."),
        ("ns.8.118.88.id.internal.", "8.118.88.id.internal."),
        ("ns.id.internal.", "id.internal."),
    ] {
        let found = zone.ask(asked, RecordType::TXT).await;
        assert_eq!(code(&found), (ResponseCode::NoError, true, 0), "{asked}");
        assert_eq!(soa(&found).0, apex, "{asked}");
    }
    let found = zone.ask("89.id.internal.", RecordType::TXT).await;
    assert_eq!(code(&found), (ResponseCode::NXDomain, true, 0));
    assert_eq!(soa(&found).0, "id.internal.");
}

/// §5: absence is cached for the least of the SOA's TTL and its minimum.
#[tokio::test]
async fn s5_the_negative_ttl_is_the_least_of_both() {
    for (minimum_seconds, ttl) in [(10, 10), (9_000, 300)] {
        let zone = Zone::start_with(DnsOptions { minimum_seconds, ..options() }).await;
        let found = zone.ask("sn9.8.118.88.id.internal.", RecordType::TXT).await;
        assert_eq!(soa(&found), ("8.118.88.id.internal.".to_owned(), ttl, minimum_seconds));
    }
}

/// What the public may not read is as if it were not there; that the identifier is, anybody may know.
#[tokio::test]
async fn s2_2_values_that_are_not_public_are_nodata() {
    let zone = Zone::start().await;
    let found = zone.ask("hidden.8.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!(code(&found), (ResponseCode::NoError, true, 0));
    let found = zone.ask("_1.hidden.8.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!(code(&found), (ResponseCode::NXDomain, true, 0));
}
