//! RFC 1034 and 1035, with the clarifications of RFC 2181 and 4343: what an authority answers.

use hickory_proto::op::{MessageType, ResponseCode};
use hickory_proto::rr::RecordType;
use idnode::front::dns::DnsOptions;

use super::zone::{MACHINE, URI, Zone, lines, name, options, question, soa, value};

/// 1034 §4.3.2: the answer to a question in a zone of ours is authoritative and holds the whole record set.
#[tokio::test]
async fn s4_3_2_an_identifier_is_answered_with_authority() {
    let zone = Zone::start().await;
    let found = zone.ask("sn000123.8.118.88.id.internal.", RecordType::NAPTR).await;
    assert_eq!((found.response_code, found.authoritative), (ResponseCode::NoError, true));
    let owner = "sn000123.8.118.88.id.internal.";
    let naptr = format!("{owner} 86400 35 100 1 \"U\" \"ID+URL\" \"!^.*$!https://example.com/sn000123!\" .");
    assert_eq!(lines(&found.answers), [naptr]);
    let found = zone.ask("sn000123.8.118.88.id.internal.", RecordType::TXT).await;
    let texts = [
        format!("{owner} 60 16 1 URL https://example.com/sn000123"),
        format!("{owner} 60 16 2 NOTE made in may"),
    ];
    assert_eq!(lines(&found.answers), texts);
    let found = zone.ask("sn000123.8.118.88.id.internal.", MACHINE).await;
    assert_eq!(found.answers.len(), 2);
    let found = zone.ask("sn000123.8.118.88.id.internal.", URI).await;
    assert_eq!(
        lines(&found.answers),
        [format!("{owner} 86400 256 \0\u{1}\0\u{1}https://example.com/sn000123")]
    );
}

/// 1034 §3.1: each value also stands under a name of its own, left of its identifier's.
#[tokio::test]
async fn s3_1_a_value_has_a_name_of_its_own() {
    let zone = Zone::start().await;
    let found = zone.ask("_2.sn000123.8.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!(lines(&found.answers), ["_2.sn000123.8.118.88.id.internal. 60 16 2 NOTE made in may"]);
    let found = zone.ask("_3.sn000123.8.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!(found.response_code, ResponseCode::NXDomain);
    let found = zone.ask("_2.sn000123.8.118.88.id.internal.", RecordType::NAPTR).await;
    assert_eq!((found.response_code, found.answers.len()), (ResponseCode::NoError, 0));
}

/// 4343 §3 and common practice: names compare without case, and the answer repeats the question's spelling.
#[tokio::test]
async fn s3_case_is_ignored_and_preserved() {
    let zone = Zone::start().await;
    let asked = "Sn000123.8.118.88.iD.InTeRnAl.";
    let found = zone.ask(asked, RecordType::TXT).await;
    assert!(found.queries[0].name().eq_case(&name(asked)), "{:?}", found.queries);
    assert_eq!(found.answers.len(), 2);
    assert!(found.answers.iter().all(|record| record.name.eq_case(&name(asked))), "{:?}", found.answers);
    let found = zone.ask("NOBODY.8.118.88.iD.InTeRnAl.", RecordType::TXT).await;
    assert_eq!(soa(&found).0, "8.118.88.iD.InTeRnAl.");
}

/// 1035 §4.1.1: the id and the RD bit come back, QR is set, and recursion is not available.
#[tokio::test]
async fn s4_1_1_the_header_repeats_what_it_must() {
    let zone = Zone::start().await;
    for recursion_desired in [false, true] {
        let mut asked = question("sn000123.8.118.88.id.internal.", RecordType::TXT);
        asked.metadata.id = 0xbeef;
        asked.metadata.recursion_desired = recursion_desired;
        let found = zone.exchange(&asked).await;
        assert_eq!((found.id, found.message_type), (0xbeef, MessageType::Response));
        assert_eq!((found.recursion_desired, found.recursion_available), (recursion_desired, false));
    }
}

/// 1034 §6.2: SOA and NS stand at the top of each zone, with the server's addresses.
#[tokio::test]
async fn s6_2_a_zone_begins_with_soa_and_ns() {
    let zone = Zone::start().await;
    let found = zone.ask("8.118.88.id.internal.", RecordType::NS).await;
    assert_eq!((found.authoritative, found.response_code), (true, ResponseCode::NoError));
    assert_eq!(lines(&found.answers), ["8.118.88.id.internal. 300 2 dns.ns.8.118.88.id.internal."]);
    let addresses =
        ["dns.ns.8.118.88.id.internal. 300 1 192.0.2.1", "dns.ns.8.118.88.id.internal. 300 28 2001:db8::1"];
    assert_eq!(lines(&found.additionals), addresses);
    let found = zone.ask("8.118.88.id.internal.", RecordType::SOA).await;
    let [soa] = found.answers.as_slice() else { panic!("one SOA: {found:?}") };
    assert!(soa.data.to_string().starts_with("dns.ns.8.118.88.id.internal. hostmaster.dns.ns."), "{soa}");
    let found = zone.ask("dns.ns.8.118.88.id.internal.", RecordType::AAAA).await;
    assert_eq!(lines(&found.answers), addresses[1..]);
}

/// 1982 and 1035 §3.3.13: the serial grows with every change.
#[tokio::test]
async fn s3_3_13_the_serial_follows_the_journal() {
    let zone = Zone::start().await;
    let serial = async || {
        let found = zone.ask("8.118.88.id.internal.", RecordType::SOA).await;
        match &found.answers[0].data {
            hickory_proto::rr::RData::SOA(soa) => soa.serial,
            data => panic!("an SOA: {data}"),
        }
    };
    let before = serial().await;
    assert!(before > 0);
    zone.register("88.118.8/new", vec![value(1, "NOTE", b"new")]).await;
    assert_eq!(serial().await, before + 1);
}

/// 1034 §4.2.1: beyond a cut the answer is a referral: no AA, NS of the delegated site, its addresses as glue.
#[tokio::test]
async fn s4_2_1_a_delegated_prefix_is_a_zone_cut() {
    let zone = Zone::start_with(DnsOptions { is_top: true, ..options() }).await;
    for asked in ["sn1.9.118.88.id.internal.", "9.118.88.id.internal.", "_1.x.5.9.118.88.id.internal."] {
        let found = zone.ask(asked, RecordType::TXT).await;
        assert_eq!((found.response_code, found.authoritative), (ResponseCode::NoError, false), "{asked}");
        assert_eq!(found.answers, []);
        assert_eq!(lines(&found.authorities), ["9.118.88.id.internal. 300 2 dns.ns.9.118.88.id.internal."]);
        let glue = [
            "dns.ns.9.118.88.id.internal. 300 1 192.0.2.9",
            "dns.ns.9.118.88.id.internal. 300 28 2001:db8::9",
        ];
        assert_eq!(lines(&found.additionals), glue);
    }
}

/// 4035 §3.1.4.1: DS stands on the parent's side of a cut, where we have none.
#[tokio::test]
async fn s3_1_4_1_ds_at_a_cut_is_answered_by_the_parent() {
    let zone = Zone::start_with(DnsOptions { is_top: true, ..options() }).await;
    for asked in ["9.118.88.id.internal.", "8.118.88.id.internal."] {
        let found = zone.ask(asked, RecordType::DS).await;
        assert_eq!((found.response_code, found.authoritative), (ResponseCode::NoError, true), "{asked}");
        assert_eq!(soa(&found).0, "id.internal.");
    }
}

/// 2181 §5.1 and 1034 §4.3.1: what is in no zone of ours is refused, the root included unless we are the top.
#[tokio::test]
async fn s4_3_1_other_zones_are_refused() {
    let zone = Zone::start().await;
    for asked in ["id.internal.", "7.id.internal.", "example.com.", ".", "9.118.88.id.internal."] {
        let found = zone.ask(asked, RecordType::TXT).await;
        assert_eq!((found.response_code, found.authoritative), (ResponseCode::Refused, false), "{asked}");
    }
    let top = Zone::start_with(DnsOptions { is_top: true, ..options() }).await;
    let found = top.ask("id.internal.", RecordType::NS).await;
    assert_eq!(lines(&found.answers), ["id.internal. 300 2 dns.ns.id.internal."]);
}

/// 2181 §9: what does not fit a datagram is cut whole and says TC; the connection carries all of it.
#[tokio::test]
async fn s9_truncation_is_explicit() {
    let zone = Zone::start().await;
    let found = zone.ask("wide.8.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!((found.truncation, found.answers.len()), (true, 0));
    let found = zone.ask_tcp("wide.8.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!((found.truncation, found.answers.len()), (false, 60));
}

/// 2181 §4.1: an answer leaves from the address that was asked.
#[tokio::test]
async fn s4_1_answers_leave_from_the_address_asked() {
    let everywhere = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    let mut zone = Zone::start_with(DnsOptions { listen: vec![everywhere], ..options() }).await;
    for last in 1..6 {
        // The client's socket is connected: it takes datagrams from this address only.
        zone.address.set_ip([127, 0, 0, last].into());
        let found = zone.ask("sn000123.8.118.88.id.internal.", RecordType::TXT).await;
        assert_eq!(found.answers.len(), 2);
    }
}

/// 2181 §9: addresses that only accompany an answer are left out before the answer is cut.
#[tokio::test]
async fn s9_courtesies_are_left_out_first() {
    let addresses: Vec<String> = (1..=16).map(|n| format!("2001:db8::{n}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let root = "identifiers.of.the.industry.example".to_owned();
    let asked = format!("8.118.88.{root}.");
    let zone = Zone::start_at(DnsOptions { root, ..options() }, &addresses).await;
    let found = zone.ask(&asked, RecordType::NS).await;
    assert_eq!((found.truncation, found.answers.len(), found.additionals.len()), (false, 1, 0));
    let found = zone.ask_edns(&asked, RecordType::NS).await;
    assert_eq!((found.truncation, found.answers.len(), found.additionals.len()), (false, 1, 16));
}

/// What no message can carry is a stub that says what there is.
#[tokio::test]
async fn s4_2_2_what_no_message_carries_is_a_stub() {
    let zone = Zone::start().await;
    let found = zone.ask("big.8.118.88.id.internal.", RecordType::TXT).await;
    let [record] = found.answers.as_slice() else { panic!("one stub: {found:?}") };
    assert!(record.data.to_string().starts_with("stub sha256="), "{record}");
    assert!(record.data.to_string().ends_with(" 1:70000"), "{record}");
}

/// 6895 §3.2: other classes are none of ours.
#[tokio::test]
async fn s3_2_other_classes_are_refused() {
    let zone = Zone::start().await;
    for class in [3_u16, 4, 254, 255, 700] {
        let mut asked = question("sn000123.8.118.88.id.internal.", RecordType::TXT);
        asked.queries[0].set_query_class(class.into());
        let found = zone.exchange(&asked).await;
        assert_eq!((found.response_code, found.answers.len()), (ResponseCode::Refused, 0), "{class}");
    }
}

/// A suffix that is no label stands under a mark: escaped up to 64 bytes, by its digest beyond.
#[tokio::test]
async fn s2_3_1_any_suffix_has_a_name() {
    let zone = Zone::start().await;
    let found = zone.ask("64.__x.8.118.88.id.internal.", RecordType::TXT).await;
    assert_eq!(lines(&found.answers), ["64.__x.8.118.88.id.internal. 86400 16 1 NOTE one"]);
    let digest = idnode::wire::dns::name::suffix_digest(&"l".repeat(80));
    let label = data_encoding::BASE32HEX_NOPAD.encode(&digest).to_ascii_lowercase();
    let found = zone.ask(&format!("_1.{label}.__h.8.118.88.id.internal."), RecordType::TXT).await;
    assert_eq!(lines(&found.answers), [format!("_1.{label}.__h.8.118.88.id.internal. 86400 16 1 NOTE long")]);
}
