//! The encoding of values as records, octet by octet, and the conditions for stubs.

use std::cell::Cell;

use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use super::{Names, RecordKind, RecordSet, SET_BYTES_MAX, record_set};
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType};
use crate::wire::dns::machine::{Machine, StubLine, decode};

const ALL: [RecordKind; 4] = [RecordKind::Naptr, RecordKind::Uri, RecordKind::Text, RecordKind::Machine];

fn value(index: u32, value_type: &str, data: &[u8]) -> Value {
    Value {
        index: Index::new(index).expect("an index"),
        value_type: ValueType::new(value_type).expect("a type"),
        data: data.to_vec(),
        ttl: Ttl::default(),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 0,
    }
}

fn set(kind: RecordKind, values: &[Value]) -> Option<RecordSet> {
    let asked = Name::from_ascii("sn1.88.id.internal.").expect("a name");
    let of_value = |index: Index| Name::from_ascii(format!("_{index}.sn1.88.id.internal.")).ok();
    record_set(kind, values, Names { asked: &asked, of_value: &of_value }, 1_000)
}

fn encode(data: &RData) -> Vec<u8> {
    let mut bytes = Vec::new();
    data.emit(&mut BinEncoder::new(&mut bytes)).expect("it encodes");
    bytes
}

fn octets(kind: RecordKind, values: &[Value]) -> Vec<Vec<u8>> {
    set(kind, values).map(|set| set.data.iter().map(encode).collect()).unwrap_or_default()
}

#[test]
fn a_uri_record_is_priority_weight_and_target() {
    let found = octets(RecordKind::Uri, &[value(2, "URL", b"https://example.com/a")]);
    assert_eq!(found, [b"\0\x02\0\x01https://example.com/a".to_vec()]);
    assert_eq!(RecordKind::asked_by(RecordType::from(256)), Some(RecordKind::Uri));
}

#[test]
fn a_naptr_record_rewrites_to_the_uri() {
    let found = octets(RecordKind::Naptr, &[value(1, "url.mirror", b"https://example.com/a!b")]);
    assert_eq!(found, [b"\0\x64\0\x01\x01U\x0dID+url.mirror\x1f!^.*$!https://example.com/a\\!b!\0".to_vec()]);
}

#[test]
fn a_long_uri_leads_naptr_to_the_values_own_name() {
    let long = format!("https://example.com/{}", "a".repeat(300));
    let found = set(RecordKind::Naptr, &[value(1, "URL", long.as_bytes())]).expect("a record");
    let [RData::NAPTR(found)] = found.data.as_slice() else { panic!("one NAPTR: {found:?}") };
    assert_eq!((&*found.flags, &*found.services, &*found.regexp), (&b"P"[..], &b"ID+STUB"[..], &b""[..]));
    assert_eq!(found.replacement.to_ascii(), "_1.sn1.88.id.internal.");
}

#[test]
fn only_uris_have_uri_records() {
    for (value_type, data) in [
        ("EMAIL", "mailto:a@example.com"),
        ("URLS", "https://example.com"),
        ("URL", "no uri"),
        ("URL", "www.example.com/a"),
        ("URL", "//example.com/a"),
        ("URL", "https:///a"),
        ("URL", ":x"),
        ("URL", "x:"),
        ("URI", "1x:y"),
    ] {
        assert_eq!(
            set(RecordKind::Uri, &[value(1, value_type, data.as_bytes())]),
            None,
            "{value_type} {data}"
        );
        assert!(set(RecordKind::Text, &[value(1, value_type, data.as_bytes())]).is_some());
    }
    let found = octets(RecordKind::Uri, &[value(1, "uri", "https://example.com/零".as_bytes())]);
    assert_eq!(found, [b"\0\x01\0\x01https://example.com/%E9%9B%B6".to_vec()]);
    let found = octets(RecordKind::Uri, &[value(1, "URL", "http://例子.测试/a b".as_bytes())]);
    assert_eq!(found, [b"\0\x01\0\x01http://xn--fsqu00a.xn--0zwm56d/a%20b".to_vec()]);
}

#[test]
fn locations_are_preferred_with_their_weights() {
    let xml = b"<locations><location href=\"https://a.example/\" weight=\"0.5\"/>\
                <location href=\"https://b.example/\"/><location href=\"https://c.example/\" weight=\"0\"/>\
                <location href=\"https://d.example/\" country=\"gb\"/></locations>";
    let values = [value(1, "URL", b"https://u.example/"), value(1_000, "10320/loc", xml)];
    let expected = [
        b"\0\x01\0\x01https://u.example/".to_vec(),
        b"\0\0\0\x32https://a.example/".to_vec(),
        b"\0\0\0\x64https://b.example/".to_vec(),
    ];
    assert_eq!(octets(RecordKind::Uri, &values), expected);
    let naptr = octets(RecordKind::Naptr, &values);
    assert_eq!(naptr.len(), 3);
    assert!(naptr[1].starts_with(b"\0\x64\0\0\x01U\x0cID+10320/loc"), "{naptr:?}");
    // The same location of another value is the same record.
    let twice = [value(1_000, "10320/loc", xml), value(1_001, "10320/loc", xml)];
    assert_eq!(octets(RecordKind::Uri, &twice), expected[1..]);
}

#[test]
fn a_text_record_is_index_type_and_data() {
    let found = octets(RecordKind::Text, &[value(3, "a type\\", b"x y")]);
    assert_eq!(found, [b"\x133 a\\032type\\092 x y".to_vec()]);
    let found = octets(RecordKind::Text, &[value(1, "X", &[b'z'; 300])]);
    let [found] = found.as_slice() else { panic!("one record") };
    assert_eq!(found.len(), 304 + 2);
    assert_eq!((found.first(), found.get(256)), (Some(&255), Some(&49)));
}

#[test]
fn a_set_is_cached_as_long_as_its_least_value() {
    let mut values = [value(1, "URL", b"x:y"), value(2, "A", b""), value(3, "URL", b"x:z")];
    values[1].ttl = Ttl::Relative(5);
    values[2].ttl = Ttl::Absolute(1_060);
    let ttl = |kind| set(kind, &values).expect("records").ttl;
    assert_eq!(
        (ttl(RecordKind::Text), ttl(RecordKind::Machine), ttl(RecordKind::Uri), ttl(RecordKind::Naptr)),
        (5, 5, 60, 60)
    );
}

#[test]
fn what_fits_no_message_is_a_marked_stub() {
    let values: Vec<Value> =
        (1..=3).map(|index| value(index, "URL", format!("x:{}", "y".repeat(30_000)).as_bytes())).collect();
    let found = octets(RecordKind::Machine, &values);
    let [found] = found.as_slice() else { panic!("one record") };
    assert_eq!(decode(found), Ok(Machine::Stub(values.iter().map(StubLine::of).collect())));
    let found = octets(RecordKind::Text, &values);
    let [found] = found.as_slice() else { panic!("one record") };
    assert!(found.starts_with(b"dstub sha256=") && found.ends_with(b" 1:30002 2:30002 3:30002"), "{found:?}");
    assert_eq!(
        octets(RecordKind::Uri, &values),
        [b"\0\0\0\x01dns:sn1.88.id.internal?type=TYPE65416".to_vec()]
    );
    // NAPTR stays small: each long URI points to its value's own name.
    assert_eq!(octets(RecordKind::Naptr, &values).len(), 3);
    // One value alone fits.
    assert_eq!(octets(RecordKind::Machine, &values[..1]).len(), 1);
}

/// The names of values are asked for one by one, and so show how many values were looked at.
#[test]
fn what_is_behind_the_end_of_a_message_is_not_looked_at() {
    let uri = format!("x:{}", "!".repeat(130));
    let values: Vec<Value> = (1..=2_048).map(|index| value(index, "URL", uri.as_bytes())).collect();
    let asked = Name::from_ascii("sn1.88.id.internal.").expect("a name");
    let label = "l".repeat(60);
    let looked_at = Cell::new(0);
    let of_value = |index: Index| {
        looked_at.set(looked_at.get() + 1);
        Name::from_ascii(format!("_{index}.{label}.{label}.{label}.id.internal.")).ok()
    };
    let names = Names { asked: &asked, of_value: &of_value };
    let found = record_set(RecordKind::Naptr, &values, names, 1_000).expect("a stub");
    assert_eq!(found.data.len(), 1);
    assert!((200..400).contains(&looked_at.get()), "{} values", looked_at.get());
}

/// A stub represents all values, also those that were not looked at.
#[test]
fn a_stub_has_the_least_ttl_of_all_values() {
    let data = "y".repeat(30_000);
    let mut values: Vec<Value> = (1..=4).map(|index| value(index, "NAME", data.as_bytes())).collect();
    values.last_mut().expect("a value").ttl = Ttl::Relative(5);
    for kind in [RecordKind::Text, RecordKind::Machine] {
        assert_eq!(set(kind, &values).map(|set| (set.ttl, set.data.len())), Some((5, 1)), "{kind:?}");
    }
}

#[test]
fn every_set_of_the_fullest_identifier_fits_a_message() {
    let values: Vec<Value> = (0..2_048_u32)
        .map(|n| value(0x7fff_ffff - 2_047 + n, "URL", format!("http://example.com/{n:060}").as_bytes()))
        .collect();
    for kind in ALL {
        let bytes: usize = octets(kind, &values).iter().map(|data| 12 + data.len()).sum();
        assert!(bytes > 0 && bytes <= SET_BYTES_MAX, "{kind:?} takes {bytes} bytes");
    }
}
