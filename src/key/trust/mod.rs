//! Trusted resolution: who signed the values of an identifier, and whether a pinned root stands behind it.
//!
//! ```text
//!   HS_SIGNATURE  digests of the values ─ signed by ─▶ an identity, such as 300:88.118.8/it
//!   HS_CERT       its public key, and what it may sign for ─ signed by ─▶ another identity
//!   …             up to an identity whose public key the verifier has pinned
//! ```
//! Both are signed texts ([`Jws`](super::jws::Jws)). Nothing is fetched here: [`Verification`] says whose certificate it
//! needs, and is supplied with the values of that identifier. Each certificate on the way must grant the identifier in
//! question, so that no chain grants more than its narrowest link.

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
/// Certificates between a signature and a pinned root at most.
pub const CHAIN_MAX: usize = 8;

/// Why values are not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TrustError {
    /// A signature or certificate cannot be read.
    #[error("{what} cannot be read: {reason}")]
    Unreadable {
        /// Which one.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It is not valid yet, or no longer.
    #[error("{what} is valid from {from} to {until} (seconds since 1970); now is {now}")]
    OutOfDate {
        /// Which one.
        what: String,
        /// The first second.
        from: u64,
        /// The last second.
        until: u64,
        /// The second that counts as now.
        now: u64,
    },
    /// The signature speaks about another identifier.
    #[error("the signature is for {signed}, not for {asked}")]
    OtherIdentifier {
        /// What it is for.
        signed: String,
        /// What was asked about.
        asked: Identifier,
    },
    /// The signature covers nothing.
    #[error("the signature covers no value")]
    Empty,
    /// A value is not what was signed.
    #[error("value {index} is not what {issuer} signed")]
    Changed {
        /// The value's index.
        index: u32,
        /// Who signed.
        issuer: Identity,
    },
    /// The identity has no certificate where it should stand.
    #[error("{identity} has no certificate (HS_CERT) at {at}, and is no pinned root")]
    NoCertificate {
        /// Whose certificate is missing.
        identity: Identity,
        /// Where it was looked for.
        at: Identifier,
    },
    /// The signature was made with another key than the identity's.
    #[error("{what} was not signed with the key of {identity}")]
    OtherKey {
        /// What was signed.
        what: String,
        /// Who should have signed it.
        identity: Identity,
        /// What is wrong.
        reason: KeyError,
    },
    /// A certificate does not grant the identifier.
    #[error("the certificate of {identity} does not grant {identifier}")]
    NotGranted {
        /// Whose certificate.
        identity: Identity,
        /// The identifier in question.
        identifier: Identifier,
    },
    /// An identity certified another one, which its certificate does not allow.
    #[error("{identity} issued a certificate, which its own certificate does not allow")]
    NotIssuer {
        /// Whose certificate.
        identity: Identity,
    },
    /// The chain ends at an identity that certifies itself and is not pinned.
    #[error("the chain ends at {identity}, which certifies itself and is no pinned root")]
    UnpinnedRoot {
        /// Where it ends.
        identity: Identity,
    },
    /// The chain has more links than are followed.
    #[error("the chain has more than {CHAIN_MAX} certificates")]
    TooLong,
}

#[cfg(test)]
mod tests;
