//! Values: the indexed, typed data of an identifier.
//!
//! The shape is the Handle protocol's (RFC 3651 section 3.1): index, type, data, TTL, permissions, references,
//! timestamp. [`Values`] is the checked whole of one identifier: ascending, unique indexes, within the bounds that
//! let every front end carry it.

mod error;
mod permissions;
mod value_type;

use core::fmt;

pub use self::error::ValueError;
pub use self::permissions::Permissions;
pub use self::value_type::ValueType;
use super::identifier::Identifier;
use super::limits::{
    IDENTIFIER_BYTES_MAX, INDEX_MAX, REFERENCES_MAX, TTL_DEFAULT_SECONDS, TTL_MAX_SECONDS, VALUES_BYTES_MAX,
    VALUES_MAX,
};

const _: () = assert!(IDENTIFIER_BYTES_MAX < VALUES_BYTES_MAX);

//----------- Value ----------------------------------------------------------

/// One indexed item of an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The number of the value within its identifier.
    pub index: Index,
    /// The type, such as `URL` or `HS_ADMIN`.
    pub value_type: ValueType,
    /// The data, opaque to the node.
    pub data: Vec<u8>,
    /// How long an answer may be cached.
    pub ttl: Ttl,
    /// Who may read and write the value.
    pub permissions: Permissions,
    /// Values of other identifiers that the value refers to.
    pub references: Vec<Reference>,
    /// Time of the last change in seconds since 1970; set by the node, ignored in requests.
    pub timestamp: u32,
}

impl Value {
    /// Bytes of this value in Handle encoding (RFC 3651 section 3.1).
    pub fn encoded_bytes(&self) -> usize {
        let references: usize =
            self.references.iter().map(|reference| 8 + reference.identifier_bytes()).sum();
        4 + 4 + 1 + 4 + 1 + 4 + self.value_type.as_str().len() + 4 + self.data.len() + 4 + references
    }

    /// Whether both are equal except for their timestamps.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.index == other.index
            && self.value_type == other.value_type
            && self.data == other.data
            && self.ttl == other.ttl
            && self.permissions == other.permissions
            && self.references == other.references
    }

    fn check(&self) -> Result<(), ValueError> {
        if self.references.len() > REFERENCES_MAX {
            return Err(ValueError::TooManyReferences { index: self.index, count: self.references.len() });
        }
        if self.value_type.is(ValueType::HS_SECKEY) && self.permissions.has(Permissions::PUBLIC_READ) {
            return Err(ValueError::PublicSecret { index: self.index });
        }
        Ok(())
    }
}

//----------- Values ---------------------------------------------------------

/// All values of one identifier: ascending, unique indexes, within bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Vec<Value>);

impl Values {
    /// Checks and orders values; the order given does not matter.
    pub fn new(mut values: Vec<Value>) -> Result<Self, ValueError> {
        if values.len() > VALUES_MAX {
            return Err(ValueError::TooMany { count: values.len() });
        }
        values.sort_by_key(|value| value.index);
        let repeated =
            values.iter().zip(values.iter().skip(1)).find(|(left, right)| left.index == right.index);
        if let Some((value, _)) = repeated {
            return Err(ValueError::RepeatedIndex { index: value.index });
        }
        values.iter().try_for_each(Value::check)?;
        let bytes: usize = values.iter().map(Value::encoded_bytes).sum();
        if bytes > VALUES_BYTES_MAX {
            return Err(ValueError::TooLarge { bytes });
        }
        Ok(Self(values))
    }

    /// The values by ascending index.
    pub fn as_slice(&self) -> &[Value] {
        &self.0
    }

    /// The value at an index.
    pub fn get(&self, index: Index) -> Option<&Value> {
        let position = self.0.binary_search_by_key(&index, |value| value.index).ok()?;
        self.0.get(position)
    }

    /// Converts into the values, by ascending index.
    pub fn into_vec(self) -> Vec<Value> {
        self.0
    }

    /// Bytes of all values in Handle encoding.
    pub fn encoded_bytes(&self) -> usize {
        self.0.iter().map(Value::encoded_bytes).sum()
    }

    /// Whether both have equal values, except for timestamps.
    pub fn say_the_same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(left, right)| left.says_the_same(right))
    }
}

//----------- Index ----------------------------------------------------------

/// The number of a value within its identifier: 1 to 2^31-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(u32);

impl Index {
    /// Accepts 1 to 2^31-1.
    pub fn new(number: u32) -> Result<Self, ValueError> {
        if number == 0 || number > INDEX_MAX {
            Err(ValueError::Index { found: number.into() })
        } else {
            Ok(Self(number))
        }
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

//----------- Ttl ------------------------------------------------------------

/// How long an answer may be cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Seconds from the answer on, at most 2^31-1.
    Relative(u32),
    /// Until this time, in seconds since 1970.
    Absolute(u32),
}

impl Ttl {
    /// Seconds that remain at `now_seconds`.
    pub fn remaining_seconds(self, now_seconds: u64) -> u32 {
        match self {
            Self::Relative(seconds) => seconds.min(TTL_MAX_SECONDS),
            Self::Absolute(until) => {
                let left = u64::from(until).saturating_sub(now_seconds);
                u32::try_from(left).unwrap_or(TTL_MAX_SECONDS).min(TTL_MAX_SECONDS)
            }
        }
    }
}

impl Default for Ttl {
    fn default() -> Self {
        Self::Relative(TTL_DEFAULT_SECONDS)
    }
}

//----------- Reference ------------------------------------------------------

/// A reference to a value of another identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The identifier referred to.
    pub identifier: Identifier,
    /// The index there; 0 means the whole identifier.
    pub index: u32,
}

impl Reference {
    fn identifier_bytes(&self) -> usize {
        self.identifier.prefix().as_str().len() + 1 + self.identifier.suffix().len()
    }
}

#[cfg(test)]
mod tests;
