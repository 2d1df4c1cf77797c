//! Identifier, prefix, suffix: the names that factories register.
//!
//! An identifier is `prefix/suffix`. The prefix is dot-separated segments of letters, digits and `-`; the suffix is
//! any UTF-8 of at least one byte. Comparison folds ASCII letters only and never normalizes Unicode (RFC 3651
//! section 3). The spelling that was registered is retained for display; order and equality are
//! those of the canonical form, bytewise.
//!
//! This is the only parser of identifiers; every front end calls it.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use super::limits::{IDENTIFIER_BYTES_MAX, PREFIX_BYTES_MAX, PREFIX_SEGMENT_BYTES_MAX};

/// The prefix under which prefixes themselves are named: `0.NA/88.118.8` is the prefix `88.118.8`.
const PREFIX_OF_PREFIXES: &str = "0.NA";

//----------- Identifier -----------------------------------------------------

/// A complete name as spelled by its author. Compare canonical forms, not spellings.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identifier {
    prefix: Prefix,
    suffix: Box<str>,
}

impl Identifier {
    /// Parses `prefix/suffix`; the first `/` divides them.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        if text.len() > IDENTIFIER_BYTES_MAX {
            return Err(IdentifierError::TooLong { bytes: text.len() });
        }
        let (prefix, suffix) = text.split_once('/').ok_or(IdentifierError::NoSlash)?;
        Self::new(Prefix::parse(prefix)?, suffix)
    }

    /// Joins a prefix and a suffix.
    pub fn new(prefix: Prefix, suffix: &str) -> Result<Self, IdentifierError> {
        if suffix.is_empty() {
            return Err(IdentifierError::EmptySuffix);
        }
        let bytes = prefix.as_str().len() + 1 + suffix.len();
        if bytes > IDENTIFIER_BYTES_MAX {
            return Err(IdentifierError::TooLong { bytes });
        }
        Ok(Self { prefix, suffix: suffix.into() })
    }

    /// The identifier that names a prefix itself: `0.NA/<prefix>`.
    pub fn of_prefix(prefix: &Prefix) -> Self {
        Self { prefix: Prefix(PREFIX_OF_PREFIXES.into()), suffix: prefix.as_str().into() }
    }

    /// The part before the first `/`.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The part after the first `/`, as spelled.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }

    /// The prefix that this identifier names, when it is of the form `0.NA/<prefix>`.
    pub fn named_prefix(&self) -> Option<Prefix> {
        if !self.prefix.as_str().eq_ignore_ascii_case(PREFIX_OF_PREFIXES) {
            return None;
        }
        Prefix::parse(&self.suffix).ok()
    }

    /// The prefix that routes and authorizes: the named prefix of `0.NA/<prefix>`, else the identifier's own.
    pub fn governing_prefix(&self) -> Prefix {
        self.named_prefix().unwrap_or_else(|| self.prefix.clone())
    }

    /// The form by which identifiers are compared and ordered.
    pub fn canonical(&self, folding: Folding) -> CanonicalIdentifier {
        let mut text = String::with_capacity(self.prefix.as_str().len() + 1 + self.suffix.len());
        text.push_str(self.prefix.as_str());
        text.push('/');
        let suffix_folds = folding == Folding::Insensitive || self.prefix.is_reserved();
        if suffix_folds {
            text.push_str(&self.suffix);
            text.make_ascii_lowercase();
        } else {
            text.make_ascii_lowercase();
            text.push_str(&self.suffix);
        }
        CanonicalIdentifier(text.into())
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.prefix, self.suffix)
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

//----------- CanonicalIdentifier --------------------------------------------

/// An identifier folded for comparison; ordered bytewise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CanonicalIdentifier(Box<str>);

impl CanonicalIdentifier {
    /// Restores an identifier from a folded text of a store.
    pub fn restore(text: &str) -> Result<Self, IdentifierError> {
        Identifier::parse(text).map(|_| Self(text.into()))
    }

    /// The folded text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes by which it is ordered.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Which letters of a suffix are folded; chosen when a store is created and fixed from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folding {
    /// ASCII letters compare without case in the whole identifier: the default.
    Insensitive,
    /// The prefix folds, the suffix compares as spelled (except under prefix `0` and `0.*`).
    SuffixSensitive,
}

//----------- Prefix ---------------------------------------------------------

/// Dot-separated segments such as `88.118.8`; always compared without ASCII case.
#[derive(Clone)]
pub struct Prefix(Box<str>);

impl Prefix {
    /// Parses a prefix: segments of 1 to 63 letters, digits or `-`, joined by dots.
    pub fn parse(text: &str) -> Result<Self, IdentifierError> {
        if text.is_empty() {
            return Err(IdentifierError::EmptyPrefix);
        }
        if text.len() > PREFIX_BYTES_MAX {
            return Err(IdentifierError::PrefixTooLong { bytes: text.len() });
        }
        for (position, segment) in text.split('.').enumerate() {
            check_segment(position, segment)?;
        }
        Ok(Self(text.into()))
    }

    /// The prefix as spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folded text by which prefixes are compared and stored.
    pub fn canonical(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Its segments, the most general first.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// The prefix one segment shorter, or none at the top.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('.').map(|(parent, _)| Self(parent.into()))
    }

    /// This prefix, then each shorter one: the order of the longest match.
    pub fn ancestry(&self) -> impl Iterator<Item = Self> {
        core::iter::successors(Some(self.clone()), Self::parent)
    }

    /// Whether `other` is this prefix or lies below it.
    pub fn covers(&self, other: &Self) -> bool {
        let (own, theirs) = (self.0.as_bytes(), other.0.as_bytes());
        let Some((head, rest)) = theirs.split_at_checked(own.len()) else {
            return false;
        };
        head.eq_ignore_ascii_case(own) && rest.first().is_none_or(|byte| *byte == b'.')
    }

    /// Whether it is `0` or lies below it: the prefixes of the Handle System itself.
    pub fn is_reserved(&self) -> bool {
        self.segments().next() == Some("0")
    }

    fn folded(&self) -> impl Iterator<Item = u8> {
        self.0.bytes().map(|byte| byte.to_ascii_lowercase())
    }
}

fn check_segment(position: usize, segment: &str) -> Result<(), IdentifierError> {
    if segment.is_empty() {
        return Err(IdentifierError::EmptySegment { position });
    }
    if segment.len() > PREFIX_SEGMENT_BYTES_MAX {
        return Err(IdentifierError::SegmentTooLong { position, bytes: segment.len() });
    }
    match segment.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        Some(found) => Err(IdentifierError::SegmentCharacter { position, found }),
        None => Ok(()),
    }
}

impl PartialEq for Prefix {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Prefix {}

impl PartialOrd for Prefix {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Prefix {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(other.folded())
    }
}

impl Hash for Prefix {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.folded() {
            state.write_u8(byte);
        }
        state.write_u8(0xff);
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

//----------- IdentifierError ------------------------------------------------

/// Why a text is not an identifier or prefix: what is wrong, where, and what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentifierError {
    /// The whole identifier exceeds its bound.
    TooLong {
        /// Bytes found.
        bytes: usize,
    },
    /// There is no `/` between prefix and suffix.
    NoSlash,
    /// Nothing follows the `/`.
    EmptySuffix,
    /// Nothing precedes the `/`.
    EmptyPrefix,
    /// The prefix exceeds its bound.
    PrefixTooLong {
        /// Bytes found.
        bytes: usize,
    },
    /// Two dots meet, or a dot begins or ends the prefix.
    EmptySegment {
        /// Which segment, from 0.
        position: usize,
    },
    /// A segment exceeds its bound.
    SegmentTooLong {
        /// Which segment, from 0.
        position: usize,
        /// Bytes found.
        bytes: usize,
    },
    /// A segment holds something else than letters, digits and `-`.
    SegmentCharacter {
        /// Which segment, from 0.
        position: usize,
        /// The first such character.
        found: char,
    },
}

impl fmt::Display for IdentifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(f, "identifier has {bytes} bytes; at most {IDENTIFIER_BYTES_MAX} are allowed")
            }
            Self::NoSlash => {
                f.write_str("identifier has no '/'; write prefix/suffix, such as 88.118.8/SN000123")
            }
            Self::EmptySuffix => {
                f.write_str("identifier has nothing after the '/'; a suffix has at least one byte")
            }
            Self::EmptyPrefix => {
                f.write_str("prefix is empty; write dot-separated segments such as 88.118.8")
            }
            Self::PrefixTooLong { bytes } => {
                write!(f, "prefix has {bytes} bytes; at most {PREFIX_BYTES_MAX} are allowed")
            }
            Self::EmptySegment { position } => {
                write!(f, "prefix segment {} is empty; dots stand between segments only", position + 1)
            }
            Self::SegmentTooLong { position, bytes } => write!(
                f,
                "prefix segment {} has {bytes} bytes; at most {PREFIX_SEGMENT_BYTES_MAX} are allowed",
                position + 1
            ),
            Self::SegmentCharacter { position, found } => write!(
                f,
                "prefix segment {} holds {found:?}; only letters, digits and '-' are allowed",
                position + 1
            ),
        }
    }
}

impl core::error::Error for IdentifierError {}

#[cfg(test)]
mod tests {
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
}
