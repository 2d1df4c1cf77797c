//! Prefixes: the part of an identifier that routes and authorizes.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

use super::error::IdentifierError;
use crate::model::limits::{PREFIX_BYTES_MAX, PREFIX_SEGMENT_BYTES_MAX};

/// Dot-separated segments such as `88.118.8`; always compared without ASCII case.
#[derive(Clone)]
pub struct Prefix(pub(super) Box<str>);

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

    /// Segments of the prefix, the most general first.
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

    /// Whether the prefix is `0` or lies below it: the prefixes of the Handle System itself.
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
