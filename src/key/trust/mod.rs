//! Trusted resolution: verifies who signed the values of an identifier, up to a pinned root.
//!
//! ```text
//!   HS_SIGNATURE  digests of the values ─ signed by ─▶ an identity, such as 300:88.118.8/it
//!   HS_CERT       its public key, and what it may sign for ─ signed by ─▶ another identity
//!   …             up to an identity whose public key the verifier has pinned
//! ```
//! Both are signed texts ([`Jws`](super::jws::Jws)). Nothing is fetched here: [`Verification`] reports whose certificate
//! it needs, and the caller supplies the values of that identifier. Each certificate of a chain must grant the identifier
//! in question, so that no chain grants more than its narrowest link.

mod claims;
mod verification;

use thiserror::Error;

pub use self::claims::{Grant, Validity, certify, sign_values};
pub use self::verification::{Report, Root, Verification};

use super::KeyError;
use crate::model::identifier::Identifier;
use crate::model::identity::Identity;

/// Type of values that hold a signature over the values of their identifier.
pub const SIGNATURE_TYPE: &str = "HS_SIGNATURE";
/// Type of values that hold a certificate.
pub const CERTIFICATE_TYPE: &str = "HS_CERT";
/// Maximum number of certificates between a signature and a pinned root.
pub const CHAIN_MAX: usize = 8;

/// Why values are not trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TrustError {
    /// A signature or certificate cannot be read.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// Description of the signature or certificate.
        what: String,
        /// The error.
        reason: String,
    },
    /// A signature or certificate is not valid yet, or no longer.
    #[error("{what} is valid from {from} to {until} (seconds since 1970); now is {now}")]
    OutOfDate {
        /// Description of the signature or certificate.
        what: String,
        /// The first second.
        from: u64,
        /// The last second.
        until: u64,
        /// The present second.
        now: u64,
    },
    /// The signature is for another identifier.
    #[error("the signature is for {signed}, not for {asked}")]
    OtherIdentifier {
        /// The signed identifier.
        signed: String,
        /// The identifier in question.
        asked: Identifier,
    },
    /// The signature covers nothing.
    #[error("the signature covers no value")]
    Empty,
    /// A value differs from the signed one.
    #[error("value {index} is not what {issuer} signed")]
    Changed {
        /// The value's index.
        index: u32,
        /// The signer.
        issuer: Identity,
    },
    /// The identity has no certificate at the expected location.
    #[error("{identity} has no certificate (HS_CERT) at {at}, and is not a pinned root")]
    NoCertificate {
        /// Identity whose certificate is missing.
        identity: Identity,
        /// The location that was searched.
        at: Identifier,
    },
    /// The signature was made with another key than the identity's.
    #[error("{what} was not signed with the key of {identity}")]
    OtherKey {
        /// Description of what was signed.
        what: String,
        /// The expected signer.
        identity: Identity,
        /// The verification error.
        reason: KeyError,
    },
    /// A certificate does not grant the identifier.
    #[error("the certificate of {identity} does not grant {identifier}")]
    NotGranted {
        /// The holder of the certificate.
        identity: Identity,
        /// The identifier in question.
        identifier: Identifier,
    },
    /// An identity certified another one, which its certificate does not allow.
    #[error("{identity} issued a certificate, which its own certificate does not allow")]
    NotIssuer {
        /// The holder of the certificate.
        identity: Identity,
    },
    /// The chain ends at an identity that certifies itself and is not pinned.
    #[error("the chain ends at {identity}, which certifies itself and is not a pinned root")]
    UnpinnedRoot {
        /// The last identity of the chain.
        identity: Identity,
    },
    /// The chain has more links than are followed.
    #[error("the chain has more than {CHAIN_MAX} certificates")]
    TooLong,
}

#[cfg(test)]
mod tests;
