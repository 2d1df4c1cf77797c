//! Errors of keys and of verification.

use thiserror::Error;

use crate::wire::cursor::DecodeError;

/// Why a key cannot be read or used, or a verification failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The bytes end early, or a length in them exceeds its bound.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The kind of key, digest or answer is unknown.
    #[error("unknown {what} {found:?}")]
    Unknown {
        /// The object being read.
        what: &'static str,
        /// The unknown name.
        found: String,
    },
    /// The data has the wrong form.
    #[error("not {wanted}")]
    Malformed {
        /// The expected form.
        wanted: &'static str,
    },
    /// A number chosen by a peer is outside of its bounds.
    #[error("{what} is {found}; allowed is {min} to {max}")]
    OutOfBounds {
        /// The name of the number.
        what: &'static str,
        /// The value of the number.
        found: usize,
        /// The least allowed.
        min: usize,
        /// The greatest allowed.
        max: usize,
    },
    /// This kind of key does not support the operation.
    #[error("{key} keys do not work with {with}")]
    Unsuited {
        /// The kind of key.
        key: &'static str,
        /// The operation or format.
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

/// Checks that a number is within its bounds.
pub(super) fn bound(what: &'static str, found: usize, min: usize, max: usize) -> Result<(), KeyError> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(KeyError::OutOfBounds { what, found, min, max })
}
