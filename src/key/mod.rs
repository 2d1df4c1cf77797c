//! Keys, and what they prove: RSA, DSA and SM2 keys in every spelling that Handle clients use, secret keys, and the
//! keys of sessions. Pure: randomness is handed in.
//!
//! ```text
//!   HS_PUBKEY data ─▶ public  ─ verify_answer ─┐
//!   HS_SECKEY data ─▶ secret  ─ verify_answer ─┴▶ a challenge is answered, or not
//!   key files      ─▶ private ─ sign, answer
//!   HS_SIGNATURE, HS_CERT ─▶ trust: whether a pinned root stands behind values
//! ```
//!
//! Only here are keys worked with. Digests and comparisons in constant time, which need no key, are made where they are
//! wanted: checksums of the store and of backups, hashes of tokens, names of DNS; and backups encrypt themselves.

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
