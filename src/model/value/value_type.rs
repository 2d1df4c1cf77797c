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
        let Some(family) = asked.0.strip_suffix('.') else {
            return self == asked;
        };
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
