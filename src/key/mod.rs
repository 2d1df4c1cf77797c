//! Keys, and what they prove: RSA, DSA and SM2 keys in every spelling that Handle clients use, secret keys, and the
//! keys of sessions. Pure: randomness is handed in.
//!
//! Only here are cryptographic crates named, beside the store's checksums and the encryption of backups.

pub mod digest;
