//! Keys and their verification: RSA, DSA and SM2 keys in every encoding that Handle clients use, secret keys, and session
//! keys. The module is pure: randomness is passed in.
//!
//! ```text
//!   HS_PUBKEY data ─▶ public  ─ verify_answer ─┐
//!   HS_SECKEY data ─▶ secret  ─ verify_answer ─┴▶ a challenge is answered, or not
//!   key files      ─▶ private ─ sign, answer
//!   HS_SIGNATURE, HS_CERT ─▶ trust: whether values are signed under a pinned root
//! ```
//!
//! No other module operates on keys, except that backups encrypt themselves. Digests and comparisons in constant time
//! need no key and are used directly: checksums of the store and of backups, hashes of tokens, DNS names.

pub mod digest;
pub mod error;
pub mod jws;
pub mod private;
pub mod public;
pub mod secret;
pub mod session;
pub mod trust;

mod answer;
mod blob;
mod integer;
mod jwk;
mod pem;
mod private_file;
mod random;

pub use self::error::KeyError;
pub use self::private::PrivateKey;
pub use self::public::PublicKey;
pub use self::random::Random;

#[cfg(test)]
mod tests;
