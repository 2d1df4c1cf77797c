//! Long suffixes: identifiers whose suffix is too long for a DNS name, by a digest of the suffix.

use sha2::{Digest as _, Sha256};

use super::prefix::CanonicalPrefix;
use super::{Entry, EntryKey, EntryKind, Readable};
use crate::model::identifier::{CanonicalIdentifier, Identifier, Prefix};
use crate::model::limits::{SUFFIX_DIGEST_BYTES, SUFFIX_LITERAL_BYTES_MAX};
use crate::store::engine::{StoredAs, WriteId, Writes};
use crate::store::error::Unreadable;

/// The digest of a long suffix below a prefix.
pub(in crate::store) struct DigestKey {
    prefix: CanonicalPrefix,
    digest: [u8; SUFFIX_DIGEST_BYTES],
}

impl DigestKey {
    /// The key of a digest that was asked for.
    pub(in crate::store) fn new(prefix: &Prefix, digest: [u8; SUFFIX_DIGEST_BYTES]) -> Self {
        Self { prefix: CanonicalPrefix::of(prefix), digest }
    }

    /// The key by which an identifier is found, or none when its suffix is short enough for a DNS name.
    fn of(identifier: &Identifier, canonical: &CanonicalIdentifier) -> Option<Self> {
        let suffix = canonical.as_bytes().get(identifier.prefix().as_str().len() + 1..)?;
        if suffix.len() <= SUFFIX_LITERAL_BYTES_MAX {
            return None;
        }
        let digest = Sha256::digest(suffix);
        let digest = digest.get(..SUFFIX_DIGEST_BYTES)?.try_into().ok()?;
        Some(Self::new(identifier.prefix(), digest))
    }
}

/// Puts the digest by which an identifier with a long suffix is found; nothing for others.
pub(in crate::store) fn put_digest(
    writes: &mut Writes,
    identifier: &Identifier,
    canonical: &CanonicalIdentifier,
) {
    if let Some(key) = DigestKey::of(identifier, canonical) {
        writes.put(&key, &LongSuffix(canonical.clone()), WriteId::SMALL);
    }
}

impl EntryKey for DigestKey {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.prefix.to_bytes();
        bytes.push(b'/');
        bytes.extend_from_slice(&self.digest);
        bytes
    }
}

/// The identifier of a long suffix.
pub(in crate::store) struct LongSuffix(pub(in crate::store) CanonicalIdentifier);

impl Readable for LongSuffix {
    type Key = DigestKey;
    const KIND: EntryKind = EntryKind::Digest;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let text = String::from_utf8_lossy(body);
        let identifier = CanonicalIdentifier::restore(&text);
        identifier.map(Self).map_err(|error| Unreadable::Contradiction(error.to_string()))
    }
}

impl Entry for LongSuffix {
    fn encode(&self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }
}
