//! What can be wrong with a key, or with what it should prove.

use thiserror::Error;

use crate::wire::cursor::DecodeError;

/// Why a key cannot be read or used, or proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The bytes end early, or a length in them exceeds its bound.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It names a kind of key, digest or answer that is not known here.
    #[error("unknown {what} {found:?}")]
    Unknown {
        /// What was being read.
        what: &'static str,
        /// What it names.
        found: String,
    },
    /// It is not what it should be.
    #[error("not {wanted}")]
    Malformed {
        /// What it should be.
        wanted: &'static str,
    },
    /// A number that another chose lies outside of what we work with.
    #[error("{what} is {found}; allowed is {min} to {max}")]
    OutOfBounds {
        /// The number.
        what: &'static str,
        /// What it is.
        found: usize,
        /// The least allowed.
        min: usize,
        /// The greatest allowed.
        max: usize,
    },
    /// This kind of key does not do that.
    #[error("{key} keys do not work with {with}")]
    Unsuited {
        /// The kind of key.
        key: &'static str,
        /// What it should have worked with.
        with: &'static str,
    },
    /// The file is encrypted, and no or a wrong pass phrase was given.
    #[error(
        "the private key is encrypted: its pass phrase is needed, and the one given, if any, does not fit"
    )]
    Locked,
    /// The signature or answer was made with another key or over something else.
    #[error("the signature or answer does not fit the key")]
    Wrong,
}

/// Refuses a number outside of its bounds.
pub(super) fn bound(what: &'static str, found: usize, min: usize, max: usize) -> Result<(), KeyError> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(KeyError::OutOfBounds { what, found, min, max })
}
