//! The type of a value, and which types a question selects.

use core::fmt;

use super::error::ValueError;
use crate::model::limits::VALUE_TYPE_BYTES_MAX;

/// What a value's data is; compared without ASCII case, stored as spelled.
#[derive(Clone, Debug)]
pub struct ValueType(Box<str>);

impl ValueType {
    /// A secret key of the Handle protocol: never publicly readable.
    pub const HS_SECKEY: &'static str = "HS_SECKEY";
    /// A public key of the Handle protocol.
    pub const HS_PUBKEY: &'static str = "HS_PUBKEY";
    /// A list of identities (RFC 3651 section 3.2.7).
    pub const HS_VLIST: &'static str = "HS_VLIST";
    /// An administrator (RFC 3651 section 3.2.1).
    pub const HS_ADMIN: &'static str = "HS_ADMIN";
    /// A site (RFC 3651 section 3.2.2).
    pub const HS_SITE: &'static str = "HS_SITE";
    /// A web address.
    pub const URL: &'static str = "URL";
    /// Another identifier, which is meant in the place of this one (RFC 3651 section 3.2.5).
    pub const HS_ALIAS: &'static str = "HS_ALIAS";
    /// XML that lists web addresses to choose from.
    pub const LOCATIONS: &'static str = "10320/loc";

    /// Accepts 1 to 255 bytes of UTF-8.
    pub fn new(text: &str) -> Result<Self, ValueError> {
        if text.is_empty() || text.len() > VALUE_TYPE_BYTES_MAX {
            return Err(ValueError::Type { bytes: text.len() });
        }
        Ok(Self(text.into()))
    }

    /// The type as spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the named type.
    pub fn is(&self, name: &str) -> bool {
        self.0.eq_ignore_ascii_case(name)
    }

    /// Whether a question for `asked` selects it: the type itself, or all its subtypes when `asked` ends in a dot.
    pub fn is_selected_by(&self, asked: &Self) -> bool {
        match asked.0.strip_suffix('.') {
            Some(family) => self.is_within(family),
            None => self == asked,
        }
    }

    /// Whether this is the named type or a subtype of it, such as `URL.MIRROR` of `URL`.
    pub fn is_within(&self, family: &str) -> bool {
        match self.0.split_at_checked(family.len()) {
            Some((head, rest)) => {
                head.eq_ignore_ascii_case(family) && (rest.is_empty() || rest.starts_with('.'))
            }
            None => false,
        }
    }
}

impl From<ValueType> for String {
    fn from(ValueType(text): ValueType) -> Self {
        text.into()
    }
}

impl PartialEq for ValueType {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ValueType {}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
