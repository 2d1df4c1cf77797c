//! The Handle encoding of values (RFC 3651 section 3.1).
//!
//! ```text
//!   index (4) · timestamp (4) · TTL kind (1) · TTL (4) · permissions (1) · type (string) · data (string)
//!   references (count; identifier (string) · index (4))
//! ```
//!
//! A [`WireValue`] is a decoded value that may be invalid for an identifier; [`WireValue::to_value`] converts it into a
//! [`Value`] or returns the reason why not.

use thiserror::Error;

use crate::model::identifier::{Identifier, IdentifierError};
use crate::model::limits::{
    HANDLE_MESSAGE_BYTES_MAX, IDENTIFIER_BYTES_MAX, INDEX_MAX, REFERENCES_MAX, TTL_MAX_SECONDS,
};
use crate::model::value::{Index, Permissions, Reference, Ttl, Value, ValueError, ValueType};
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// Bytes of the shortest value: nothing but its numbers and four empty lengths.
pub const VALUE_BYTES_MIN: usize = 26;

const TTL_RELATIVE: u8 = 0;
const TTL_ABSOLUTE: u8 = 1;

//----------- WireValue ------------------------------------------------------

/// A value of a message, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireValue<'a> {
    /// The index; clients read and write it as a signed number, so that those above 2^31-1 are negative.
    pub index: u32,
    /// Time of the last change of the value, in seconds since 1970.
    pub timestamp: u32,
    /// 0 for a TTL in seconds, 1 for a point in time.
    pub ttl_kind: u8,
    /// Seconds, or the second since 1970.
    pub ttl: u32,
    /// Permissions; the four high bits have no meaning.
    pub permissions: u8,
    /// The type.
    pub value_type: &'a [u8],
    /// The data.
    pub data: &'a [u8],
    /// References to values of other identifiers.
    pub references: Vec<WireReference<'a>>,
}

/// A reference of a message, unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireReference<'a> {
    /// The identifier.
    pub identifier: &'a [u8],
    /// The index at that identifier.
    pub index: u32,
}

impl<'a> WireValue<'a> {
    /// Decodes one value.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let index = reader.u32("value index")?;
        let timestamp = reader.u32("value timestamp")?;
        let ttl_kind = reader.u8("value TTL kind")?;
        let ttl = reader.u32("value TTL")?;
        let permissions = reader.u8("value permissions")?;
        let value_type = reader.bytes("value type", HANDLE_MESSAGE_BYTES_MAX)?;
        let data = reader.bytes("value data", HANDLE_MESSAGE_BYTES_MAX)?;
        let count = reader.count("value references", HANDLE_MESSAGE_BYTES_MAX, 8)?;
        let references = (0..count).map(|_| WireReference::decode(reader)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { index, timestamp, ttl_kind, ttl, permissions, value_type, data, references })
    }

    /// Encodes the value.
    pub fn encode(&self, writer: &mut Writer) {
        writer.u32(self.index).u32(self.timestamp).u8(self.ttl_kind).u32(self.ttl).u8(self.permissions);
        writer.bytes(self.value_type).bytes(self.data).count(self.references.len());
        for reference in &self.references {
            writer.bytes(reference.identifier).u32(reference.index);
        }
    }

    /// Converts into a value that an identifier can hold, or returns why it cannot.
    pub fn to_value(&self) -> Result<Value, ValueProblem> {
        let index = Index::new(self.index).map_err(|_| ValueProblem::Index { found: self.index })?;
        let value_type =
            core::str::from_utf8(self.value_type).map_err(|_| ValueProblem::TypeNotUtf8 { index })?;
        let value_type = ValueType::new(value_type).map_err(|error| ValueProblem::Type { index, error })?;
        let count = self.references.len();
        if count > REFERENCES_MAX {
            return Err(ValueProblem::References(ValueError::TooManyReferences { index, count }));
        }
        let references = (1..).zip(&self.references).map(|(place, reference)| {
            reference.to_reference().map_err(|problem| ValueProblem::Reference { index, place, problem })
        });
        Ok(Value {
            index,
            value_type,
            data: self.data.to_vec(),
            ttl: self.to_ttl(index)?,
            permissions: Permissions::from_bits(self.permissions),
            references: references.collect::<Result<Vec<_>, _>>()?,
            timestamp: self.timestamp,
        })
    }

    fn to_ttl(&self, index: Index) -> Result<Ttl, ValueProblem> {
        match self.ttl_kind {
            TTL_RELATIVE if self.ttl <= TTL_MAX_SECONDS => Ok(Ttl::Relative(self.ttl)),
            TTL_RELATIVE => Err(ValueProblem::Ttl { index, found: self.ttl }),
            TTL_ABSOLUTE => Ok(Ttl::Absolute(self.ttl)),
            found => Err(ValueProblem::TtlKind { index, found }),
        }
    }
}

impl<'a> WireReference<'a> {
    fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let identifier = reader.bytes("reference", IDENTIFIER_BYTES_MAX)?;
        Ok(Self { identifier, index: reader.u32("reference index")? })
    }

    fn to_reference(self) -> Result<Reference, ReferenceProblem> {
        if self.index > INDEX_MAX {
            return Err(ReferenceProblem::Index { found: self.index });
        }
        let text = core::str::from_utf8(self.identifier).map_err(|_| ReferenceProblem::NotUtf8)?;
        let identifier = Identifier::parse(text).map_err(ReferenceProblem::Identifier)?;
        Ok(Reference { identifier, index: self.index })
    }
}

/// Encodes one value of an identifier.
pub fn encode_value(writer: &mut Writer, value: &Value) {
    let (ttl_kind, ttl) = match value.ttl {
        Ttl::Relative(seconds) => (TTL_RELATIVE, seconds),
        Ttl::Absolute(until) => (TTL_ABSOLUTE, until),
    };
    writer.u32(value.index.get()).u32(value.timestamp).u8(ttl_kind).u32(ttl).u8(value.permissions.bits());
    writer.text(value.value_type.as_str()).bytes(&value.data).count(value.references.len());
    for reference in &value.references {
        writer.text(&reference.identifier.to_string()).u32(reference.index);
    }
}

/// The bytes that the digest in an HS_SIGNATURE covers: the value from its TTL on, without index and timestamp.
pub fn encode_digested(value: &Value) -> Vec<u8> {
    let mut writer = Writer::with_capacity(value.encoded_bytes());
    encode_value(&mut writer, value);
    writer.into_vec().split_off(8)
}

//----------- ValueProblem ---------------------------------------------------

/// Why the value of a message is invalid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ValueProblem {
    /// An index outside 1 to 2^31-1.
    #[error("index {} is not from 1 to {INDEX_MAX}", found.cast_signed())]
    Index {
        /// The number found.
        found: u32,
    },
    /// A type that is not UTF-8.
    #[error("the type of index {index} is not UTF-8")]
    TypeNotUtf8 {
        /// The value's index.
        index: Index,
    },
    /// A type that is empty or too long.
    #[error("index {index}: {error}")]
    Type {
        /// The value's index.
        index: Index,
        /// Description of the problem.
        error: ValueError,
    },
    /// A TTL of an unknown kind.
    #[error("the TTL of index {index} is of kind {found}; 0 (seconds) and 1 (point in time) are allowed")]
    TtlKind {
        /// The value's index.
        index: Index,
        /// The kind found.
        found: u8,
    },
    /// A TTL below 0.
    #[error("the TTL of index {index} is {} seconds; 0 to {TTL_MAX_SECONDS} are allowed", found.cast_signed())]
    Ttl {
        /// The value's index.
        index: Index,
        /// The number found.
        found: u32,
    },
    /// Too many references.
    #[error("{0}")]
    References(ValueError),
    /// An invalid reference.
    #[error("reference {place} of index {index}: {problem}")]
    Reference {
        /// The value's index.
        index: Index,
        /// Number of the reference, from 1.
        place: usize,
        /// Description of the problem.
        problem: ReferenceProblem,
    },
}

/// Why a reference is invalid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReferenceProblem {
    /// The identifier is not UTF-8.
    #[error("the identifier is not UTF-8")]
    NotUtf8,
    /// Not an identifier.
    #[error("{0}")]
    Identifier(IdentifierError),
    /// An index below 0.
    #[error("index {} is not from 0 to {INDEX_MAX}", found.cast_signed())]
    Index {
        /// The number found.
        found: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::{ReferenceProblem, ValueProblem, WireReference, WireValue, encode_digested, encode_value};
    use crate::model::identifier::IdentifierError;
    use crate::model::value::{Index, Permissions, Ttl};
    use crate::wire::cursor::{Reader, Writer};

    fn example() -> WireValue<'static> {
        WireValue {
            index: 1,
            timestamp: 0x6592_0080,
            ttl_kind: 0,
            ttl: 86_400,
            permissions: 0x0e,
            value_type: b"URL",
            data: b"http://a.cn",
            references: Vec::new(),
        }
    }

    fn encoded(value: &WireValue<'_>) -> Vec<u8> {
        let mut writer = Writer::default();
        value.encode(&mut writer);
        writer.into_vec()
    }

    #[test]
    fn a_value_is_laid_out_as_clients_read_it() {
        let bytes = encoded(&example());
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        assert_eq!(
            hex,
            "00000001659200800000015180 0e 00000003 55524c 0000000b 687474703a2f2f612e636e 00000000"
                .replace(' ', "")
        );
        assert_eq!(WireValue::decode(&mut Reader::new(&bytes)), Ok(example()));
        let value = example().to_value().expect("a value");
        assert_eq!((value.ttl, value.permissions), (Ttl::Relative(86_400), Permissions::DEFAULT));
        let mut writer = Writer::default();
        encode_value(&mut writer, &value);
        assert_eq!(writer.as_slice(), bytes);
        assert_eq!(value.encoded_bytes(), bytes.len());
        assert_eq!(encode_digested(&value), &bytes[8..]);
    }

    #[test]
    fn references_read_back() {
        let reference = WireReference { identifier: b"88.118.8/list", index: 200 };
        let referring = WireValue { ttl_kind: 1, references: vec![reference, reference], ..example() };
        let bytes = encoded(&referring);
        assert_eq!(WireValue::decode(&mut Reader::new(&bytes)), Ok(referring.clone()));
        let value = referring.to_value().expect("a value");
        assert_eq!((value.ttl, value.references.len()), (Ttl::Absolute(86_400), 2));
        assert_eq!(value.encoded_bytes(), bytes.len());
    }

    #[test]
    fn what_no_identifier_can_hold_is_named() {
        let index = Index::new(1).expect("an index");
        let problem = |value: WireValue<'_>| value.to_value().expect_err("a problem");
        assert_eq!(problem(WireValue { index: 0, ..example() }), ValueProblem::Index { found: 0 });
        let negative = problem(WireValue { index: u32::MAX, ..example() });
        assert_eq!(negative.to_string(), "index -1 is not from 1 to 2147483647");
        let found = problem(WireValue { value_type: b"\xff", ..example() });
        assert_eq!(found, ValueProblem::TypeNotUtf8 { index });
        let found = problem(WireValue { ttl_kind: 2, ..example() });
        assert_eq!(found, ValueProblem::TtlKind { index, found: 2 });
        let found = problem(WireValue { ttl: u32::MAX, ..example() });
        assert_eq!(found.to_string(), "the TTL of index 1 is -1 seconds; 0 to 2147483647 are allowed");
        let reference = WireReference { identifier: b"nowhere", index: 1 };
        let found = problem(WireValue { references: vec![reference], ..example() });
        let place = ReferenceProblem::Identifier(IdentifierError::NoSlash);
        assert_eq!(found, ValueProblem::Reference { index, place: 1, problem: place });
        let found = problem(WireValue { references: vec![reference; 65], ..example() });
        assert_eq!(found.to_string(), "index 1 has 65 references; at most 64 are allowed");
    }
}
