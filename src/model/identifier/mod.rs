//! Identifier, prefix, suffix: the names that factories register.
//!
//! An identifier is `prefix/suffix`. The prefix is dot-separated segments of letters, digits and `-`; the suffix is
//! any UTF-8 of at least one byte. Comparison folds ASCII letters only and never normalizes Unicode (RFC 3651
//! section 3). The spelling that was registered is retained for display; order and equality are
//! those of the canonical form, bytewise.
//!
//! This is the only parser of identifiers; every front end calls it.

mod error;
mod prefix;

use core::fmt;

pub use self::error::IdentifierError;
pub use self::prefix::Prefix;
use super::limits::IDENTIFIER_BYTES_MAX;

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

#[cfg(test)]
mod tests;
