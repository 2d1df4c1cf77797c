//! The naming rule, by example and by property: both directions, no two equal names, every length within bounds.

use std::collections::HashMap;

use hickory_proto::rr::Name;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::{NameError, Naming, Owner, Part, check_prefix_fits, check_root, suffix_digest};
use crate::model::identifier::{Folding, Identifier, Prefix};
use crate::model::value::Index;

fn naming(folding: Folding) -> Naming {
    Naming::new("id.internal", folding).expect("the default root")
}

fn identifier(text: &str) -> Identifier {
    Identifier::parse(text).expect("an identifier")
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a prefix")
}

fn index(number: u32) -> Index {
    Index::new(number).expect("an index")
}

fn name(labels: &str) -> Name {
    Name::from_labels(labels.split('.').map(str::as_bytes)).expect("a name")
}

/// Names an identifier and reads the name back.
fn check(text: &str, expected: &str) {
    let naming = naming(Folding::Insensitive);
    let own = identifier(text);
    let found = naming.identifier_name(&own).expect("a name");
    assert_eq!(found.to_ascii(), format!("{expected}.id.internal."));
    let read = naming.read(&found).expect("it stands under the root");
    assert_eq!(read.index, None);
    match (&read.part, own.named_prefix()) {
        (Part::Own, named) => assert_eq!(read.prefix, named),
        (Part::Digest(digest), None) => {
            assert_eq!(*digest, suffix_digest(&own.suffix().to_ascii_lowercase()))
        }
        (Part::Suffix(read), None) => {
            assert_eq!(read.canonical(Folding::Insensitive), own.canonical(Folding::Insensitive));
        }
        (part, _) => panic!("{text} reads as {part:?}"),
    }
}

#[test]
fn a_plain_suffix_is_its_own_label() {
    check("88.118.8/SN000123", "sn000123.8.118.88");
    check("88.118.8/a-b_c-", "a-b_c-.8.118.88");
    check("88.118.8/1a", "1a.8.118.88");
    check("88.118.8/ns", "ns.8.118.88");
}

#[test]
fn a_segment_that_is_not_digits_only_is_marked() {
    check("21.T14999/x", "x._t14999.21");
    check("88.-a-/x", "x._-a-.88");
    check("88.xn--p1ai/x", "x._xn--p1ai.88");
    let long = "a".repeat(63);
    check(&format!("88.{long}/x"), &format!("x.{long}._.88"));
    let shorter = "a".repeat(62);
    check(&format!("88.{shorter}/x"), &format!("x._{shorter}.88"));
    let digits = "1".repeat(63);
    check(&format!("{digits}/x"), &format!("x.{digits}"));
}

#[test]
fn any_other_suffix_is_escaped_reversibly() {
    check("88/123", "64p36.__x.88");
    check("88/-a", "5lgg.__x.88");
    check("88/_1", "bsog.__x.88");
    check("88/xn--a", "f1n2qbb1.__x.88");
    check("88/a.b", "c4n64.__x.88");
    check("88/零件", "t6drdp5rmo.__x.88");
    let long = "a/".repeat(32);
    let (head, tail) = (base32(&long.as_bytes()[..35]), base32(&long.as_bytes()[35..]));
    check(&format!("88/{long}"), &format!("{tail}.{head}-.__x.88"));
    let exact = "a/".repeat(17) + "b";
    check(&format!("88/{exact}"), &format!("{}.__x.88", base32(exact.as_bytes())));
}

fn base32(bytes: &[u8]) -> String {
    data_encoding::BASE32HEX_NOPAD.encode(bytes).to_ascii_lowercase()
}

#[test]
fn a_long_suffix_is_named_by_its_digest() {
    let long = "X".repeat(65);
    let digest = base32(&suffix_digest(&long.to_ascii_lowercase()));
    assert_eq!(digest.len(), 32);
    check(&format!("88/{long}"), &format!("{digest}.__h.88"));
}

#[test]
fn a_prefix_identifier_has_the_name_of_its_prefix() {
    check("0.NA/88.118", "118.88");
    check("0.NA/0.NA", "_na.0");
    check("0.NA/a_b", "a_b._na.0");
    let naming = naming(Folding::Insensitive);
    let read = naming.read(&name("sn1._na.0.id.internal")).expect("under the root");
    assert_eq!(read.part, Part::Nobody, "0.NA/sn1 has the name of prefix sn1");
}

#[test]
fn a_value_has_a_name_left_of_its_identifier() {
    let naming = naming(Folding::Insensitive);
    for (text, expected) in [
        ("88.118.8/SN1", "_7.sn1.8.118.88.id.internal."),
        ("0.NA/88.118", "_7.118.88.id.internal."),
        ("88/1", "_7.64.__x.88.id.internal."),
    ] {
        let found = naming.value_name(&identifier(text), index(7)).expect("a name");
        assert_eq!(found.to_ascii(), expected);
        assert_eq!(naming.read(&found).expect("under the root").index, Some(index(7)));
    }
}

#[test]
fn a_name_server_is_named_by_one_rule() {
    let naming = naming(Folding::Insensitive);
    let apex = prefix("88.118");
    let found = naming.server_name(Some(&apex)).expect("a name");
    assert_eq!(found.to_ascii(), "dns.ns.118.88.id.internal.");
    let expected = Owner { prefix: Some(apex), part: Part::Server, index: None };
    assert_eq!(naming.read(&found), Some(expected));
    let found = naming.server_name(None).expect("a name");
    assert_eq!(naming.read(&found), Some(Owner { prefix: None, part: Part::Server, index: None }));
}

#[test]
fn only_canonical_spellings_name_anything() {
    let naming = naming(Folding::Insensitive);
    for labels in [
        "_07.sn1.88",
        "_0.sn1.88",
        "_2147483648.sn1.88",
        "x.sn1.88",
        "_1._1.sn1.88",
        "dns.sn1.88",
        "_1.dns.ns.88",
        "xn--a.88",
        "-a.88",
        "*.88",
        "c4.__x.88",
        "64p37.__x.88",
        "c4-.__x.88",
        "_.__h.88",
        "64.__h.88",
        "sn1",
        "a._.88",
        "__y.88",
        "a*._x*.88",
        "_1.__x.88",
        "_1",
    ] {
        let read = naming.read(&name(&format!("{labels}.id.internal"))).expect("under the root");
        assert_eq!(read.part, Part::Nobody, "{labels}");
    }
    for labels in ["__x.88", "__h.88", "_.88", "_", "ns"] {
        let read = naming.read(&name(&format!("{labels}.id.internal"))).expect("under the root");
        assert_eq!(read.part, Part::Mark, "{labels}");
    }
    assert_eq!(naming.read(&name("sn1.88.id.example")), None);
    assert_eq!(naming.read(&name("internal")), None);
}

#[test]
fn a_dot_within_a_label_divides_nothing() {
    let naming = naming(Folding::Insensitive);
    let labels: [&[u8]; 3] = [b"_a.b", b"id", b"internal"];
    let read = naming.read(&Name::from_labels(labels).expect("a name")).expect("under the root");
    assert_eq!(read.part, Part::Nobody);
}

#[test]
fn an_upper_case_letter_is_a_loss_where_suffixes_are_case_sensitive() {
    let naming = naming(Folding::SuffixSensitive);
    let upper = naming.identifier_name(&identifier("88/SN1")).expect("a name");
    let lower = naming.identifier_name(&identifier("88/sn1")).expect("a name");
    assert_eq!(lower.to_ascii(), "sn1.88.id.internal.");
    assert_eq!(upper.to_ascii(), format!("{}.__x.88.id.internal.", base32(b"SN1")));
}

#[test]
fn roots_and_prefixes_are_checked_for_length() {
    assert_eq!(check_root("ID.Internal.").map(|root| root.to_ascii()), Ok("id.internal.".into()));
    assert_eq!(check_root(""), Err(NameError::Root { found: String::new() }));
    assert_eq!(check_root("a..b"), Err(NameError::Root { found: "a..b".into() }));
    assert_eq!(check_root("_x.y"), Err(NameError::Root { found: "_x.y".into() }));
    let long = ["abcdefghij"; 6].join(".");
    assert_eq!(check_root(&long), Err(NameError::RootTooLong { octets: 67 }));
    assert_eq!(check_prefix_fits("id.internal", &prefix("88.118.8")), Ok(()));
    let wide = prefix(&["1234567"; 16].join("."));
    let expected = NameError::PrefixTooLong { octets: 128, octets_max: 120 };
    assert_eq!(check_prefix_fits("id.internal", &wide), Err(expected));
}

fn segments() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[0-9]{1,6}",
        3 => "[a-zA-Z0-9-]{1,12}",
        1 => "[a-z0-9-]{60,63}",
        1 => Just("ns".to_owned()),
    ]
}

fn prefixes() -> impl Strategy<Value = Prefix> {
    prop::collection::vec(segments(), 1..4)
        .prop_map(|segments| segments.join("."))
        .prop_filter_map("within bounds", |text| Prefix::parse(&text).ok())
        .prop_filter("fits", |prefix| check_prefix_fits("id.internal", prefix).is_ok())
}

fn suffixes() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-zA-Z0-9_-]{1,12}",
        2 => "[0-9.:/]{1,40}",
        2 => "\\PC{1,20}",
        1 => "[a-z]{30,70}",
        1 => "[A-Za-z0-9/]{30,70}",
        1 => prop_oneof![Just("ns"), Just("dns"), Just("__x"), Just("__h"), Just("_1"), Just("xn--a")]
            .prop_map(str::to_owned),
    ]
}

fn identifiers() -> impl Strategy<Value = Identifier> {
    let own = (prefixes(), suffixes())
        .prop_filter_map("within bounds", |(prefix, suffix)| Identifier::new(prefix, &suffix).ok());
    let of_prefix = prefixes().prop_map(|prefix| Identifier::of_prefix(&prefix));
    prop_oneof![4 => own, 1 => of_prefix]
}

fn foldings() -> impl Strategy<Value = Folding> {
    prop_oneof![Just(Folding::Insensitive), Just(Folding::SuffixSensitive)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_name_reads_back_as_what_it_names(own in identifiers(), number in 0_u32.., folding in foldings()) {
        let naming = naming(folding);
        let asked = Index::new(number & 0x7fff_ffff).ok();
        let found = match asked {
            Some(index) => naming.value_name(&own, index),
            None => naming.identifier_name(&own),
        };
        let found = found.expect("every identifier under a prefix that fits has a name");
        prop_assert!(found.len() <= 255);
        // Resolvers may change the case of any letter.
        let shouted: Vec<Vec<u8>> = found.iter().map(<[u8]>::to_ascii_uppercase).collect();
        let shouted = Name::from_labels(shouted.iter().map(Vec::as_slice)).expect("a name");
        let read = naming.read(&shouted).expect("under the root");
        prop_assert_eq!(read.index, asked);
        match (read.part, own.named_prefix()) {
            (Part::Own, named) => prop_assert_eq!(read.prefix, named),
            (Part::Digest(digest), None) => {
                let canonical = own.canonical(folding);
                let (_, suffix) = canonical.as_str().split_once('/').expect("an identifier");
                prop_assert!(suffix.len() > 64);
                prop_assert_eq!(digest, suffix_digest(suffix));
                prop_assert_eq!(read.prefix.as_ref(), Some(own.prefix()));
            }
            (Part::Suffix(read), None) => prop_assert_eq!(read.canonical(folding), own.canonical(folding)),
            (part, _) => prop_assert!(false, "{:?} reads as {:?}", own, part),
        }
    }

    #[test]
    fn no_two_names_meet(
        owns in prop::collection::vec((identifiers(), 0_u32..3), 2..12),
        apexes in prop::collection::vec(prefixes(), 1..3),
        folding in foldings(),
    ) {
        let naming = naming(folding);
        let mut seen: HashMap<String, String> = HashMap::new();
        let mut note = |name: Name, stands_for: String| {
            let before = seen.insert(name.to_ascii().to_ascii_lowercase(), stands_for.clone());
            before.filter(|before| *before != stands_for)
        };
        for (own, number) in owns {
            let name = match Index::new(number) {
                Ok(index) => naming.value_name(&own, index),
                Err(_) => naming.identifier_name(&own),
            };
            let stands_for = format!("{} {number}", own.canonical(folding).as_str());
            prop_assert_eq!(note(name.expect("a name"), stands_for), None);
        }
        for apex in apexes {
            let name = naming.server_name(Some(&apex)).expect("a name");
            prop_assert_eq!(note(name, format!("server of {}", apex.canonical())), None);
        }
    }

    #[test]
    fn what_reads_has_that_name(labels in prop::collection::vec("[0-9a-v_.*-]{1,6}|_[0-9]|__x|__h|_|ns|dns|[0-9a-v]{56}-", 0..6), folding in foldings()) {
        let naming = naming(folding);
        let labels: Vec<&[u8]> = labels.iter().map(|label| label.as_bytes()).chain([&b"id"[..], b"internal"]).collect();
        // Five long labels are more than the 255 octets of a name (RFC 1035 section 3.1), and no question can have them.
        let Ok(asked) = Name::from_labels(labels) else { return Ok(()) };
        let read = naming.read(&asked).expect("under the root");
        let own = match (read.prefix, read.part) {
            (Some(prefix), Part::Own) => Identifier::of_prefix(&prefix),
            (_, Part::Suffix(own)) => own,
            _ => return Ok(()),
        };
        let named = match read.index {
            Some(index) => naming.value_name(&own, index),
            None => naming.identifier_name(&own),
        };
        prop_assert_eq!(named, Ok(asked));
    }
}
