//! The naming rule: identifier ⇄ owner name. No two identifiers, values or name servers share a name.
//!
//! Read from the root leftwards, a name is segments of a prefix, then at most one suffix, then at most one value:
//!
//! ```text
//!   _7 . sn000123 . 8.118.88 . id.internal        value 7 of 88.118.8/SN000123
//!   value  suffix    prefix      root
//! ```
//!
//! | Part | Label or labels | Why it is unambiguous |
//! |---|---|---|
//! | segment of digits only | itself | a plain suffix is never digits only; every other label holds more than digits |
//! | other segment, to 62 bytes | `_` and the segment | the only labels of one `_` and then letters, digits, `-` |
//! | other segment of 63 bytes | itself, left of the label `_` | the only use of the label `_` |
//! | plain suffix | itself | begins with a letter or digit, is not digits only; every mark begins with `_` |
//! | other suffix, to 64 bytes | base32hex left of the label `__x`; 35 bytes a label, `-` ends a label that goes on | the only use of `__x` |
//! | longer suffix | digest in base32hex, left of the label `__h` | the only use of `__h` |
//! | value | `_` and its index, left of its identifier's name | a marked segment is never digits only |
//! | name server | `dns.ns` | left of a plain suffix stand value labels only, and `dns` is none |
//!
//! Only canonical spellings are names: a needlessly escaped suffix, an index with a leading zero and base32hex with
//! unused bits set name nothing. Labels compare without ASCII case (RFC 4343), so a suffix is plain only
//! if its canonical form has no upper-case letter. `0.NA/<prefix>` has the prefix's own name.

mod error;
mod labels;

use data_encoding::{BASE32HEX_NOPAD, Encoding};
use hickory_proto::rr::Name;
use sha2::{Digest, Sha256};

pub use self::error::NameError;
use self::labels::{
    LONG_SEGMENT, Labels, SegmentForm, Segments, is, is_digits, lower_text, read_index, read_prefix,
    segment_form, segment_octets,
};
use crate::model::identifier::{Folding, Identifier, Prefix};
use crate::model::limits::{PREFIX_SEGMENT_BYTES_MAX, SUFFIX_DIGEST_BYTES, SUFFIX_LITERAL_BYTES_MAX};
use crate::model::value::Index;

/// Octets of a name on the wire, its final zero included (RFC 1035 section 2.3.4).
pub const NAME_OCTETS_MAX: usize = 255;
/// Octets of a label (RFC 1035 section 2.3.4).
pub const LABEL_OCTETS_MAX: usize = 63;
/// Octets of the root name on the wire: leaves space for a prefix of one segment of any length.
pub const ROOT_OCTETS_MAX: usize = 64;
/// Maximum octets left of a prefix's name: an escaped suffix, then a value label.
pub const LEFT_OCTETS_MAX: usize = SUFFIX_OCTETS_MAX + VALUE_LABEL_OCTETS_MAX;

/// Label to the right of an escaped suffix.
const ESCAPED: &str = "__x";
/// Label to the right of a suffix's digest.
const HASHED: &str = "__h";
/// The two labels of a name server, from the right.
const SERVER: [&str; 2] = ["ns", "dns"];
/// Bytes of a suffix in each escaped label but the last: they encode to whole characters.
const ESCAPED_BYTES: usize = 35;
/// Characters of a full escaped label.
const ESCAPED_CHARACTERS: usize = ESCAPED_BYTES * 8 / 5;
/// Escaped labels: `__x`, a full label with its `-`, and the rest.
const SUFFIX_OCTETS_MAX: usize =
    4 + 1 + ESCAPED_CHARACTERS + 1 + 1 + ((SUFFIX_LITERAL_BYTES_MAX - ESCAPED_BYTES) * 8).div_ceil(5);
/// Length octet, `_` and ten digits.
const VALUE_LABEL_OCTETS_MAX: usize = 12;

const _: () = {
    assert!(ESCAPED_BYTES.is_multiple_of(5) && ESCAPED_CHARACTERS < LABEL_OCTETS_MAX);
    assert!(SUFFIX_LITERAL_BYTES_MAX <= 2 * ESCAPED_BYTES, "an escaped suffix takes at most two labels");
    assert!(SUFFIX_OCTETS_MAX > LABEL_OCTETS_MAX, "a plain suffix is shorter than an escaped one");
    assert!((SUFFIX_DIGEST_BYTES * 8).is_multiple_of(5), "a digest has no stray bits");
    let segment = 1 + PREFIX_SEGMENT_BYTES_MAX + 1 + LONG_SEGMENT.len();
    assert!(ROOT_OCTETS_MAX + segment + LEFT_OCTETS_MAX <= NAME_OCTETS_MAX);
};

//----------- Naming ---------------------------------------------------------

/// The rule under one root, for a store that folds suffixes in one way.
#[derive(Clone, Debug)]
pub struct Naming {
    root: Name,
    folding: Folding,
    base32: Encoding,
}

/// The meaning of a name under the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The prefix; none at the root and for names without one.
    pub prefix: Option<Prefix>,
    /// What follows to the left of the prefix.
    pub part: Part,
    /// The index of the value that the leftmost label names.
    pub index: Option<Index>,
}

/// The part of a name left of the prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// No part: the name of a prefix, or the root.
    Own,
    /// A suffix that the name carries.
    Suffix(Identifier),
    /// A suffix found by its digest.
    Digest([u8; SUFFIX_DIGEST_BYTES]),
    /// A mark with nothing left of it: a node of the tree that has no data.
    Mark,
    /// The name server of the zone at the prefix.
    Server,
    /// A name of no identifier, value or server.
    Nobody,
}

impl Naming {
    /// Checks a root such as `id.internal`.
    pub fn new(root: &str, folding: Folding) -> Result<Self, NameError> {
        let mut base32 = BASE32HEX_NOPAD.specification();
        base32.symbols.make_ascii_lowercase();
        // The symbols are those of RFC 4648 in lower case, which is a valid specification.
        let base32 = base32.encoding().unwrap_or(BASE32HEX_NOPAD);
        Ok(Self { root: check_root(root)?, folding, base32 })
    }

    /// The root name, in lower case.
    pub fn root(&self) -> &Name {
        &self.root
    }

    /// The name of a prefix, and of `0.NA/<prefix>`.
    pub fn prefix_name(&self, prefix: &Prefix) -> Result<Name, NameError> {
        self.compose(Some(prefix), &[])
    }

    /// The name of the server of the zone at a prefix, or at the root: the same on both sides of a zone cut.
    pub fn server_name(&self, apex: Option<&Prefix>) -> Result<Name, NameError> {
        self.compose(apex, &SERVER)
    }

    /// The name of an identifier.
    pub fn identifier_name(&self, identifier: &Identifier) -> Result<Name, NameError> {
        self.named(identifier, None)
    }

    /// The name of one value of an identifier.
    pub fn value_name(&self, identifier: &Identifier, index: Index) -> Result<Name, NameError> {
        self.named(identifier, Some(index))
    }

    /// The meaning of a name; none when it is not under the root.
    pub fn read(&self, name: &Name) -> Option<Owner> {
        let mut labels = Labels { inner: name.iter().rev().peekable() };
        for own in self.root.iter().rev() {
            if !labels.next()?.eq_ignore_ascii_case(own) {
                return None;
            }
        }
        let nobody = |prefix| Owner { prefix, part: Part::Nobody, index: None };
        let (prefix, part) = match read_prefix(&mut labels) {
            Segments::Prefix(prefix) => {
                let part = self.read_part(prefix.as_ref(), &mut labels);
                (prefix, part)
            }
            Segments::Mark(prefix) => (prefix, Part::Mark),
            Segments::Nobody(prefix) => (prefix, Part::Nobody),
        };
        let has_values = match part {
            Part::Own => prefix.is_some(),
            Part::Suffix(_) | Part::Digest(_) => true,
            Part::Mark | Part::Server | Part::Nobody => false,
        };
        let index = match labels.next() {
            None => None,
            Some(label) => match read_index(label) {
                Some(index) if has_values && labels.peek().is_none() => Some(index),
                _ => return Some(nobody(prefix)),
            },
        };
        Some(Owner { prefix, part, index })
    }

    fn read_part<'a>(&self, prefix: Option<&Prefix>, labels: &mut Labels<'a>) -> Part {
        let Some(label) = labels.peek() else { return Part::Own };
        if read_index(label).is_some() {
            return Part::Own;
        }
        labels.next();
        if is(label, SERVER[0]) && labels.peek().is_some_and(|next| is(next, SERVER[1])) {
            labels.next();
            return Part::Server;
        }
        let read = match prefix {
            Some(prefix) if is(label, ESCAPED) => return self.read_escaped(prefix, labels),
            Some(_) if is(label, HASHED) => return self.read_hashed(labels),
            Some(prefix) => {
                lower_text(label).filter(|text| is_plain(text)).and_then(|text| self.own(prefix, &text))
            }
            None => None,
        };
        match read {
            Some(identifier) => Part::Suffix(identifier),
            // Under the root, `ns` is a node because the root zone's server is below it.
            None if prefix.is_none() && is(label, SERVER[0]) && labels.peek().is_none() => Part::Mark,
            None => Part::Nobody,
        }
    }

    fn read_escaped(&self, prefix: &Prefix, labels: &mut Labels<'_>) -> Part {
        let mut suffix = Vec::new();
        loop {
            let Some(label) = labels.next() else { return Part::Mark };
            let (text, goes_on) = match label.strip_suffix(b"-") {
                Some(text) => (text, true),
                None => (label, false),
            };
            let Ok(bytes) = self.base32.decode(&text.to_ascii_lowercase()) else { return Part::Nobody };
            let has_its_length = if goes_on {
                bytes.len() == ESCAPED_BYTES
            } else {
                (1..=ESCAPED_BYTES).contains(&bytes.len())
            };
            suffix.extend_from_slice(&bytes);
            if !has_its_length || suffix.len() > SUFFIX_LITERAL_BYTES_MAX {
                return Part::Nobody;
            }
            if !goes_on {
                break;
            }
        }
        let read = core::str::from_utf8(&suffix).ok().and_then(|text| self.own(prefix, text));
        match read.filter(|identifier| !is_plain(identifier.suffix())) {
            Some(identifier) => Part::Suffix(identifier),
            None => Part::Nobody,
        }
    }

    fn read_hashed(&self, labels: &mut Labels<'_>) -> Part {
        let Some(label) = labels.next() else { return Part::Mark };
        match self.base32.decode(&label.to_ascii_lowercase()).map(<[u8; SUFFIX_DIGEST_BYTES]>::try_from) {
            Ok(Ok(digest)) => Part::Digest(digest),
            _ => Part::Nobody,
        }
    }

    /// The identifier that this suffix names: the suffix is canonical, and does not name a prefix.
    fn own(&self, prefix: &Prefix, suffix: &str) -> Option<Identifier> {
        let identifier = Identifier::new(prefix.clone(), suffix).ok()?;
        let is_canonical = canonical_suffix(&identifier, self.folding) == suffix;
        (is_canonical && identifier.named_prefix().is_none()).then_some(identifier)
    }

    fn named(&self, identifier: &Identifier, index: Option<Index>) -> Result<Name, NameError> {
        let mut left: Vec<String> = Vec::new();
        let named_prefix = identifier.named_prefix();
        if named_prefix.is_none() {
            self.push_suffix(&canonical_suffix(identifier, self.folding), &mut left);
        }
        if let Some(index) = index {
            left.push(format!("_{index}"));
        }
        let left: Vec<&str> = left.iter().map(String::as_str).collect();
        self.compose(Some(named_prefix.as_ref().unwrap_or(identifier.prefix())), &left)
    }

    fn push_suffix(&self, suffix: &str, left: &mut Vec<String>) {
        if is_plain(suffix) {
            left.push(suffix.to_owned());
        } else if suffix.len() > SUFFIX_LITERAL_BYTES_MAX {
            left.push(HASHED.to_owned());
            left.push(self.base32.encode(&suffix_digest(suffix)));
        } else {
            left.push(ESCAPED.to_owned());
            let mut rest = suffix.as_bytes();
            while let Some((head, tail)) =
                rest.split_at_checked(ESCAPED_BYTES).filter(|(_, tail)| !tail.is_empty())
            {
                left.push(format!("{}-", self.base32.encode(head)));
                rest = tail;
            }
            left.push(self.base32.encode(rest));
        }
    }

    /// Joins labels given from the right to the left of a prefix, the prefix and the root.
    fn compose(&self, prefix: Option<&Prefix>, left: &[&str]) -> Result<Name, NameError> {
        let prefix_text = prefix.map(Prefix::canonical).unwrap_or_default();
        let mut marked: Vec<String> = Vec::new();
        for segment in prefix_text.split('.').filter(|segment| !segment.is_empty()) {
            match segment_form(segment) {
                SegmentForm::Plain => marked.push(segment.to_owned()),
                SegmentForm::Marked => marked.push(format!("_{segment}")),
                SegmentForm::Long => marked.extend([LONG_SEGMENT.to_owned(), segment.to_owned()]),
            }
        }
        let labels = left.iter().rev().copied().chain(marked.iter().rev().map(String::as_str));
        let labels: Vec<&[u8]> = labels.map(str::as_bytes).chain(self.root.iter()).collect();
        let octets = 1 + labels.iter().map(|label| 1 + label.len()).sum::<usize>();
        if octets > NAME_OCTETS_MAX {
            return Err(NameError::TooLong { octets });
        }
        Name::from_labels(labels).map_err(|_| NameError::TooLong { octets })
    }
}

//----------- Checks ---------------------------------------------------------

/// Checks a root: labels of letters, digits and `-`, at most 64 octets on the wire. Returns it as a name.
pub fn check_root(root: &str) -> Result<Name, NameError> {
    let text = root.strip_suffix('.').unwrap_or(root).to_ascii_lowercase();
    let label = |label: &str| {
        (1..=LABEL_OCTETS_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !text.split('.').all(label) {
        return Err(NameError::Root { found: root.chars().take(64).collect() });
    }
    let octets = text.len() + 2;
    if octets > ROOT_OCTETS_MAX {
        return Err(NameError::RootTooLong { octets });
    }
    Name::from_labels(text.split('.').map(str::as_bytes)).map_err(|_| NameError::RootTooLong { octets })
}

/// Checks that every identifier under a prefix has a name under the root: checked when a prefix is homed.
pub fn check_prefix_fits(root: &str, prefix: &Prefix) -> Result<(), NameError> {
    let root_octets = check_root(root)?.iter().map(|label| 1 + label.len()).sum::<usize>() + 1;
    let octets: usize = prefix.segments().map(segment_octets).sum();
    let octets_max = NAME_OCTETS_MAX - LEFT_OCTETS_MAX - root_octets;
    if octets > octets_max {
        return Err(NameError::PrefixTooLong { octets, octets_max });
    }
    Ok(())
}

/// Whether a suffix is the label below which a zone's server is named: its name exists even when it is not registered.
pub fn is_above_server(suffix: &str) -> bool {
    is(suffix.as_bytes(), SERVER[0])
}

/// Truncated SHA-256 of a canonical suffix, by which a long suffix is found.
pub fn suffix_digest(canonical_suffix: &str) -> [u8; SUFFIX_DIGEST_BYTES] {
    let mut digest = [0; SUFFIX_DIGEST_BYTES];
    let whole = Sha256::digest(canonical_suffix.as_bytes());
    for (byte, own) in digest.iter_mut().zip(whole.iter()) {
        *byte = *own;
    }
    digest
}

fn canonical_suffix(identifier: &Identifier, folding: Folding) -> String {
    let canonical = identifier.canonical(folding);
    canonical.as_str().split_once('/').map(|(_, suffix)| suffix.to_owned()).unwrap_or_default()
}

/// Whether a canonical suffix is its own label.
fn is_plain(suffix: &str) -> bool {
    suffix.len() <= LABEL_OCTETS_MAX
        && suffix.starts_with(|first: char| first.is_ascii_alphanumeric())
        && suffix
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_'))
        && !is_digits(suffix.as_bytes())
        && !suffix.starts_with("xn--")
}

#[cfg(test)]
mod tests;
