//! What is wrong with a text that is not an identifier or prefix.

use core::fmt;

use crate::model::limits::{IDENTIFIER_BYTES_MAX, PREFIX_BYTES_MAX, PREFIX_SEGMENT_BYTES_MAX};

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
        /// Position of the segment, from 0.
        position: usize,
    },
    /// A segment exceeds its bound.
    SegmentTooLong {
        /// Position of the segment, from 0.
        position: usize,
        /// Bytes found.
        bytes: usize,
    },
    /// A segment holds something else than letters, digits and `-`.
    SegmentCharacter {
        /// Position of the segment, from 0.
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
                write!(f, "prefix segment {} is empty; write one dot between two segments", position + 1)
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
