//! What is wrong with values.

use core::fmt;

use super::Index;
use crate::model::limits::{INDEX_MAX, REFERENCES_MAX, VALUE_TYPE_BYTES_MAX, VALUES_BYTES_MAX, VALUES_MAX};

/// Why values are not valid: which index, what was found, what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// An index outside 1 to 2^31-1.
    Index {
        /// The number found.
        found: i64,
    },
    /// A type that is empty or too long.
    Type {
        /// Bytes found.
        bytes: usize,
    },
    /// Permissions that are not four binary digits.
    Permissions {
        /// The beginning of what was found.
        found: String,
    },
    /// One index occurs twice.
    RepeatedIndex {
        /// The index.
        index: Index,
    },
    /// A secret key that the public could read.
    PublicSecret {
        /// Index of the value.
        index: Index,
    },
    /// A value refers to too many others.
    TooManyReferences {
        /// Index of the value.
        index: Index,
        /// References found.
        count: usize,
    },
    /// The identifier has too many values.
    TooMany {
        /// Values found.
        count: usize,
    },
    /// The values together are too large for a Handle message.
    TooLarge {
        /// Bytes found, in Handle encoding.
        bytes: usize,
    },
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index { found } => write!(f, "index {found} is not from 1 to {INDEX_MAX}"),
            Self::Type { bytes } => {
                write!(f, "value type has {bytes} bytes; 1 to {VALUE_TYPE_BYTES_MAX} are allowed")
            }
            Self::Permissions { found } => {
                write!(f, "permissions {found:?} are not four binary digits; write them such as 1110")
            }
            Self::RepeatedIndex { index } => {
                write!(f, "index {index} is given twice; each index holds one value")
            }
            Self::PublicSecret { index } => {
                write!(f, "index {index} is an HS_SECKEY that the public could read; use permissions 1100")
            }
            Self::TooManyReferences { index, count } => {
                write!(f, "index {index} has {count} references; at most {REFERENCES_MAX} are allowed")
            }
            Self::TooMany { count } => write!(f, "{count} values; an identifier holds at most {VALUES_MAX}"),
            Self::TooLarge { bytes } => write!(
                f,
                "values take {bytes} bytes in Handle encoding; at most {VALUES_BYTES_MAX} are allowed"
            ),
        }
    }
}

impl core::error::Error for ValueError {}
