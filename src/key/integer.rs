//! Large integers as key formats encode them: big-endian and signed, so that positive ones may begin with a zero byte.

use crypto_bigint::BoxedUint;

/// The bytes without leading zeros.
pub(super) fn magnitude(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// The integer in big-endian two's complement, with a zero byte before a first byte whose high bit is set.
pub(super) fn signed_bytes(integer: &BoxedUint) -> Vec<u8> {
    let bytes = integer.to_be_bytes();
    let magnitude = magnitude(&bytes);
    let mut signed = Vec::with_capacity(magnitude.len() + 1);
    if magnitude.first().is_none_or(|first| *first >= 0x80) {
        signed.push(0);
    }
    signed.extend_from_slice(magnitude);
    signed
}

/// The integer in big-endian, without leading zeros.
pub(super) fn unsigned_bytes(integer: &BoxedUint) -> Vec<u8> {
    magnitude(&integer.to_be_bytes()).to_vec()
}

/// Reads a big-endian integer, at the precision that it needs.
pub(super) fn integer(bytes: &[u8]) -> BoxedUint {
    BoxedUint::from_be_slice_vartime(magnitude(bytes))
}

/// Reads a big-endian integer at a precision of `bits`; none when it is larger.
pub(super) fn integer_within(bytes: &[u8], bits: u32) -> Option<BoxedUint> {
    BoxedUint::from_be_slice(magnitude(bytes), bits).ok()
}

#[cfg(test)]
mod tests {
    use super::{integer, signed_bytes, unsigned_bytes};

    #[test]
    fn a_high_first_bit_gets_a_zero_before_it() {
        assert_eq!(signed_bytes(&integer(&[0, 0, 0x80, 1])), [0, 0x80, 1]);
        assert_eq!(signed_bytes(&integer(&[0x7f, 1])), [0x7f, 1]);
        assert_eq!(signed_bytes(&integer(&[])), [0]);
        assert_eq!(unsigned_bytes(&integer(&[0, 0x80, 1])), [0x80, 1]);
    }
}
