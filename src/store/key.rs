//! The key layout, with one function per table. Keys are ordered like their numbers.

use crate::model::identifier::Prefix;
use crate::model::limits::SUFFIX_DIGEST_BYTES;
use crate::model::position::Stream;

use super::entry::RequestKey;

/// The key of a journal header and of its body.
pub(super) fn journal(stream: Stream, sequence: u64) -> Vec<u8> {
    let mut key = stream.0.to_be_bytes().to_vec();
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// The sequence in a journal key.
pub(super) fn sequence_of(key: &[u8]) -> Option<u64> {
    let (_, sequence) = key.split_at_checked(2)?;
    sequence.try_into().ok().map(u64::from_be_bytes)
}

/// The common beginning of the keys of all pieces of one cut: the table, and the name of the cut.
pub(super) fn pieces(table: u8, cut_name: u64) -> Vec<u8> {
    let mut key = vec![table];
    key.extend_from_slice(&cut_name.to_be_bytes());
    key
}

/// The key of a piece of a cut entry.
pub(super) fn piece(table: u8, cut_name: u64, piece: u16) -> Vec<u8> {
    let mut key = pieces(table, cut_name);
    key.extend_from_slice(&piece.to_be_bytes());
    key
}

/// The key of a remembered request item; it begins with the time, so that expired ones are adjacent.
pub(super) fn request(key: &RequestKey) -> Vec<u8> {
    let mut bytes = key.request.as_bytes().to_vec();
    bytes.extend_from_slice(&key.caller);
    bytes.extend_from_slice(&key.item.to_be_bytes());
    bytes
}

/// The first request key of a time, in milliseconds since 1970.
pub(super) fn request_at(time_ms: u64) -> Vec<u8> {
    time_ms.to_be_bytes().split_at(2).1.to_vec()
}

/// The keys of all identifiers whose own prefix is exactly this one: from, to (exclusive).
pub(super) fn identifiers_of(prefix: &Prefix) -> (Vec<u8>, Vec<u8>) {
    let mut from = prefix.canonical().into_bytes();
    let mut to = from.clone();
    from.push(b'/');
    to.push(b'/' + 1);
    (from, to)
}

/// The key of a long suffix, by its digest.
pub(super) fn digest(prefix: &Prefix, digest: &[u8; SUFFIX_DIGEST_BYTES]) -> Vec<u8> {
    let mut key = prefix.canonical().into_bytes();
    key.push(b'/');
    key.extend_from_slice(digest);
    key
}

/// Keys of the meta table.
pub(super) mod meta {
    /// The store header.
    pub(in crate::store) const HEADER: &[u8] = b"header";
    /// The incarnations of the store.
    pub(in crate::store) const LINEAGE: &[u8] = b"lineage";
    /// The first headers and bodies that are retained.
    pub(in crate::store) const RETAINED: &[u8] = b"floor";

    /// The common beginning of the keys of all seals.
    pub(in crate::store) const SEALS: &[u8] = b"seal/";

    /// A seal, by the first sequence after its segment.
    pub(in crate::store) fn seal(next: u64) -> Vec<u8> {
        let mut key = SEALS.to_vec();
        key.extend_from_slice(&next.to_be_bytes());
        key
    }
}
