//! What is an identifier and what is not; folding; which prefixes cover which.

use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

use super::{Folding, Identifier, IdentifierError, Prefix};

fn check(text: &str, expected: Result<(&str, &str), IdentifierError>) {
    let parsed = Identifier::parse(text);
    match (parsed, expected) {
        (Ok(found), Ok((prefix, suffix))) => {
            assert_eq!(found.prefix().as_str(), prefix);
            assert_eq!(found.suffix(), suffix);
            assert_eq!(found.to_string(), text);
        }
        (found, expected) => assert_eq!(found.err(), expected.err(), "{text:?}"),
    }
}

#[test]
fn the_first_slash_divides_prefix_and_suffix() {
    check("88.118.8/SN000123", Ok(("88.118.8", "SN000123")));
    check("88.118/a/b:c.d", Ok(("88.118", "a/b:c.d")));
    check("21.T14999/零件", Ok(("21.T14999", "零件")));
}

#[test]
fn malformed_texts_are_refused_by_what_and_where() {
    check("88.118.8", Err(IdentifierError::NoSlash));
    check("/x", Err(IdentifierError::EmptyPrefix));
    check("88/", Err(IdentifierError::EmptySuffix));
    check("88..8/x", Err(IdentifierError::EmptySegment { position: 1 }));
    check("88.1_8/x", Err(IdentifierError::SegmentCharacter { position: 1, found: '_' }));
    let long = format!("{}/x", "a".repeat(64));
    check(&long, Err(IdentifierError::SegmentTooLong { position: 0, bytes: 64 }));
    let whole = format!("88/{}", "a".repeat(2_046));
    check(&whole, Err(IdentifierError::TooLong { bytes: 2_049 }));
}

#[test]
fn folding_touches_ascii_letters_only() {
    let spelled = Identifier::parse("21.T1/ÄbC").expect("a valid identifier");
    assert_eq!(spelled.canonical(Folding::Insensitive).as_str(), "21.t1/Äbc");
    assert_eq!(spelled.canonical(Folding::SuffixSensitive).as_str(), "21.t1/ÄbC");
    let reserved = Identifier::parse("0.TYPE/Abc").expect("a valid identifier");
    assert_eq!(reserved.canonical(Folding::SuffixSensitive).as_str(), "0.type/abc");
}

#[test]
fn a_prefix_covers_itself_and_what_lies_below() {
    let prefix = |text: &str| Prefix::parse(text).expect("a valid prefix");
    assert!(prefix("88.t").covers(&prefix("88.T")));
    assert!(prefix("88.118").covers(&prefix("88.118.8")));
    assert!(!prefix("88.118").covers(&prefix("88.1180")));
    assert!(!prefix("88.118.8").covers(&prefix("88.118")));
}

#[test]
fn a_prefix_identifier_is_governed_by_the_prefix_it_names() {
    let named = Identifier::parse("0.na/88.118").expect("a valid identifier");
    assert_eq!(named.governing_prefix(), Prefix::parse("88.118").expect("a valid prefix"));
    let plain = Identifier::parse("88.118/x").expect("a valid identifier");
    assert_eq!(plain.named_prefix(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_parses_displays_as_it_was(text in "[0-9a-zA-Z.-]{0,12}/?[^\u{0}]{0,40}") {
        if let Ok(found) = Identifier::parse(&text) {
            prop_assert_eq!(found.to_string(), text);
        }
    }

    #[test]
    fn folding_is_idempotent_and_keeps_length(text in "[0-9a-zA-Z]{1,8}/\\PC{1,40}") {
        let found = Identifier::parse(&text).expect("the pattern yields identifiers");
        let folded = found.canonical(Folding::Insensitive);
        let again = Identifier::parse(folded.as_str()).expect("folding keeps it well formed");
        prop_assert_eq!(again.canonical(Folding::Insensitive), folded.clone());
        prop_assert_eq!(folded.as_str().len(), text.len());
    }
}
