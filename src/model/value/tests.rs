//! Which values are valid together, which types a question selects, and what permissions and TTLs say.

use super::{Index, Permissions, Ttl, Value, ValueError, ValueType, Values};

fn value(index: u32, value_type: &str, permissions: Permissions) -> Value {
    Value {
        index: Index::new(index).expect("a valid index"),
        value_type: ValueType::new(value_type).expect("a valid type"),
        data: b"x".to_vec(),
        ttl: Ttl::default(),
        permissions,
        references: Vec::new(),
        timestamp: 0,
    }
}

#[test]
fn values_are_listed_by_ascending_index() {
    let given = vec![value(9, "A", Permissions::DEFAULT), value(2, "B", Permissions::DEFAULT)];
    let values = Values::new(given).expect("two values");
    let order: Vec<u32> = values.as_slice().iter().map(|value| value.index.get()).collect();
    assert_eq!(order, [2, 9]);
}

#[test]
fn an_index_stands_once() {
    let given = vec![value(2, "A", Permissions::DEFAULT), value(2, "B", Permissions::DEFAULT)];
    let index = Index::new(2).expect("a valid index");
    assert_eq!(Values::new(given), Err(ValueError::RepeatedIndex { index }));
}

#[test]
fn a_secret_key_is_never_public() {
    let index = Index::new(3).expect("a valid index");
    let given = vec![value(3, "hs_seckey", Permissions::DEFAULT)];
    assert_eq!(Values::new(given), Err(ValueError::PublicSecret { index }));
}

#[test]
fn an_identifier_has_a_bounded_size() {
    let mut large = value(1, "A", Permissions::DEFAULT);
    large.data = vec![0; 240_000];
    assert_eq!(Values::new(vec![large]), Err(ValueError::TooLarge { bytes: 240_027 }));
}

#[test]
fn a_type_with_a_final_dot_asks_for_the_family() {
    let is = |own: &str, asked: &str| {
        let own = ValueType::new(own).expect("a valid type");
        own.is_selected_by(&ValueType::new(asked).expect("a valid type"))
    };
    assert!(is("HS_SITE.6", "hs_site."));
    assert!(is("HS_SITE", "HS_SITE."));
    assert!(!is("HS_SITES", "HS_SITE."));
    assert!(is("url", "URL"));
}

#[test]
fn permissions_are_four_binary_digits() {
    assert_eq!(Permissions::parse("1110"), Ok(Permissions::DEFAULT));
    assert_eq!(Permissions::parse("+110"), Err(ValueError::Permissions { found: "+110".into() }));
}

#[test]
fn an_absolute_ttl_runs_out() {
    assert_eq!(Ttl::Absolute(100).remaining_seconds(40), 60);
    assert_eq!(Ttl::Absolute(100).remaining_seconds(400), 0);
}
