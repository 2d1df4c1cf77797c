//! Why something has no name in DNS.

use core::fmt;

use super::{NAME_OCTETS_MAX, ROOT_OCTETS_MAX};

/// Why something has no name in DNS: what was found, and what is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// A root that is not a host name.
    Root {
        /// The beginning of what was found.
        found: String,
    },
    /// A root that leaves too little space.
    RootTooLong {
        /// Length of the root on the wire, in octets.
        octets: usize,
    },
    /// A prefix whose identifiers would not all fit.
    PrefixTooLong {
        /// Length of the prefix on the wire, in octets.
        octets: usize,
        /// The octets that would fit under this root.
        octets_max: usize,
    },
    /// A name longer than DNS allows.
    TooLong {
        /// Length of the name on the wire, in octets.
        octets: usize,
    },
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root { found } => {
                write!(
                    f,
                    "DNS root {found:?} is not a name; write labels of letters, digits and '-' such as id.internal"
                )
            }
            Self::RootTooLong { octets } => {
                write!(
                    f,
                    "DNS root takes {octets} octets; at most {ROOT_OCTETS_MAX} leave space for identifiers"
                )
            }
            Self::PrefixTooLong { octets, octets_max } => {
                write!(f, "prefix takes {octets} octets in DNS; at most {octets_max} fit under this root")
            }
            Self::TooLong { octets } => {
                write!(f, "DNS name takes {octets} octets; at most {NAME_OCTETS_MAX} are allowed")
            }
        }
    }
}

impl core::error::Error for NameError {}
