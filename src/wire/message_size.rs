//! How much memory a protobuf message takes once it is decoded, found from its bytes without decoding it.
//!
//! A message of 4 MiB can hold two million empty messages of two bytes each, which become hundreds of MiB of structs.
//! [`measure`] walks over the bytes once, allocates nothing, and gives an upper bound of what decoding will allocate, so
//! that a front end can refuse a message before it decodes it. The shapes of the messages are derived from the proto
//! files when the crate is built.

use super::cursor::Reader;
use super::proto;

/// What one allocation takes beyond its bytes: the allocator's header and rounding.
const ALLOCATION_BYTES: usize = 32;
/// Growing a vector by doubling holds up to three times what is in it: the old one, and the new one half empty.
const GROWTH: usize = 3;
/// Bytes of one element of a repeated number.
const NUMBER_BYTES: usize = 8;
/// Messages within messages that are followed; ours are at most six deep.
const DEPTH_MAX: usize = 16;

//----------- Method ---------------------------------------------------------

/// A method of a service in `proto/idnode/v1`.
#[derive(Debug)]
pub struct Method {
    /// Path of the method's calls: `/package.Service/Method`.
    pub path: &'static str,
    /// The shape of the messages that clients send.
    pub request: &'static MessageShape,
    /// Whether the client sends a stream of messages.
    pub has_request_stream: bool,
    /// Whether the server does.
    pub has_answer_stream: bool,
}

impl Method {
    /// The method that a path names.
    pub fn of(path: &str) -> Option<&'static Self> {
        let position = METHODS.binary_search_by(|method| method.path.cmp(path)).ok()?;
        METHODS.get(position)
    }
}

/// The memory that a message takes, by its fields.
#[derive(Debug)]
pub struct MessageShape {
    struct_bytes: usize,
    fields: &'static [FieldShape],
}

#[derive(Debug)]
struct FieldShape {
    number: u64,
    kind: FieldKind,
    is_repeated: bool,
}

#[derive(Debug)]
enum FieldKind {
    /// Any kind of integer, including booleans and enums.
    Number,
    /// A string or bytes.
    Octets,
    Message(&'static MessageShape),
}

include!(concat!(env!("OUT_DIR"), "/idnode.v1.shapes.rs"));

//----------- Measuring ------------------------------------------------------

/// What a message will take when it is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageSize {
    /// Bytes of memory, at most.
    pub bytes: usize,
    /// Messages in the repeated fields of the message itself: the items of a batch.
    pub items: usize,
}

/// The bytes are no protobuf message of this shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message is malformed")]
pub struct MessageMalformed;

/// Measures an encoded message. Costs linear time and no memory; once `bytes_max` is exceeded, what is behind is not
/// looked at.
pub fn measure(
    encoded: &[u8],
    shape: &'static MessageShape,
    bytes_max: usize,
) -> Result<MessageSize, MessageMalformed> {
    let mut walk = Walk { bytes: shape.struct_bytes, bytes_max };
    let mut items = 0;
    let mut reader = Reader::new(encoded);
    while reader.remaining() > 0 && walk.bytes <= bytes_max {
        let field = walk.field(&mut reader, shape, 0)?;
        items += usize::from(field.is_some_and(FieldShape::is_item));
    }
    Ok(MessageSize { bytes: walk.bytes, items })
}

impl FieldShape {
    fn is_item(&self) -> bool {
        self.is_repeated && matches!(self.kind, FieldKind::Message(_))
    }
}

struct Walk {
    bytes: usize,
    bytes_max: usize,
}

impl Walk {
    /// Passes over one field and adds what it takes.
    fn field(
        &mut self,
        reader: &mut Reader<'_>,
        shape: &'static MessageShape,
        depth: usize,
    ) -> Result<Option<&'static FieldShape>, MessageMalformed> {
        let tag = varint(reader)?;
        let field = shape.fields.iter().find(|field| field.number == tag >> 3);
        let content = match tag & 7 {
            0 => varint(reader).map(|_| None),
            1 => take(reader, 8).map(|_| None),
            2 => {
                let length = usize::try_from(varint(reader)?).map_err(|_| MessageMalformed)?;
                take(reader, length).map(Some)
            }
            5 => take(reader, 4).map(|_| None),
            // Groups, which proto3 does not have.
            _ => Err(MessageMalformed),
        }?;
        let Some(field) = field else { return Ok(None) };
        match (&field.kind, content) {
            (FieldKind::Number, None) if field.is_repeated => self.add(GROWTH * NUMBER_BYTES),
            (FieldKind::Number, None) => {}
            // Packed numbers: each takes at least one byte.
            (FieldKind::Number, Some(packed)) => self.add(packed.len().saturating_mul(GROWTH * NUMBER_BYTES)),
            (FieldKind::Octets, Some(octets)) => {
                let slot = if field.is_repeated { GROWTH * size_of::<String>() } else { 0 };
                self.add(slot + octets.len() + ALLOCATION_BYTES);
            }
            (FieldKind::Message(inner), Some(content)) => self.message(field, inner, content, depth)?,
            (FieldKind::Octets | FieldKind::Message(_), None) => return Err(MessageMalformed),
        }
        Ok(Some(field))
    }

    fn message(
        &mut self,
        field: &FieldShape,
        inner: &'static MessageShape,
        content: &[u8],
        depth: usize,
    ) -> Result<(), MessageMalformed> {
        if depth >= DEPTH_MAX {
            return Err(MessageMalformed);
        }
        if field.is_repeated {
            self.add(GROWTH * inner.struct_bytes);
        }
        let mut reader = Reader::new(content);
        while reader.remaining() > 0 && self.bytes <= self.bytes_max {
            self.field(&mut reader, inner, depth + 1)?;
        }
        Ok(())
    }

    fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

fn take<'a>(reader: &mut Reader<'a>, count: usize) -> Result<&'a [u8], MessageMalformed> {
    reader.take("field", count).map_err(|_| MessageMalformed)
}

/// A variable-length integer (protobuf encoding, "Base 128 Varints"): at most ten bytes.
fn varint(reader: &mut Reader<'_>) -> Result<u64, MessageMalformed> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = reader.u8("varint").map_err(|_| MessageMalformed)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(MessageMalformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::{METHODS, MessageMalformed, MessageSize, Method, measure};
    use crate::wire::proto;

    const APPLY_BATCH: &str = "/idnode.v1.RegistrationService/ApplyBatch";
    const RESOLVE_BATCH: &str = "/idnode.v1.ResolutionService/ResolveBatch";
    const REGISTER: &str = "/idnode.v1.RegistrationService/Register";

    fn sized(path: &str, encoded: &[u8]) -> Result<MessageSize, MessageMalformed> {
        measure(encoded, Method::of(path).expect("a method").request, usize::MAX)
    }

    #[test]
    fn every_method_is_found_by_its_path() {
        assert_eq!(METHODS.len(), 25);
        for method in METHODS {
            assert_eq!(Method::of(method.path).map(|found| found.path), Some(method.path));
        }
        assert!(Method::of("/idnode.v1.RegistrationService/Nothing").is_none());
        let streams: Vec<&str> =
            METHODS.iter().filter(|method| method.has_answer_stream).map(|method| method.path).collect();
        assert_eq!(streams.len(), 5, "{streams:?}");
        assert_eq!(METHODS.iter().filter(|method| method.has_request_stream).count(), 3);
    }

    #[test]
    fn empty_messages_weigh_what_their_structs_do() {
        let bomb = [0x12, 0].repeat(1_000);
        let size = sized(APPLY_BATCH, &bomb).expect("well formed");
        assert_eq!(size.items, 1_000);
        assert!(size.bytes >= 1_000 * size_of::<proto::Item>(), "{size:?}");
        let size = sized(RESOLVE_BATCH, &[0x0a, 0].repeat(1_000)).expect("well formed");
        assert_eq!(size.items, 1_000);
        assert!(size.bytes >= 1_000 * size_of::<proto::Question>(), "{size:?}");
        // Values within the registration of a single command.
        let registration = [0x1a, 0].repeat(60);
        let size = sized(REGISTER, &[&[0x12, 120][..], &registration].concat()).expect("well formed");
        assert_eq!(size.items, 0);
        assert!(size.bytes >= 60 * size_of::<proto::Value>(), "{size:?}");
    }

    #[test]
    fn beyond_the_bound_nothing_is_looked_at() {
        let shape = Method::of(APPLY_BATCH).expect("a method").request;
        let size = measure(&[&[0x12, 0].repeat(50)[..], &[0xff; 20]].concat(), shape, 2_000);
        let size = size.expect("what is malformed is behind the bound");
        assert!(size.bytes > 2_000 && size.items < 50, "{size:?}");
    }

    #[test]
    fn packed_numbers_count_one_by_one() {
        let question = proto::Question { indexes: vec![1; 10_000], ..Default::default() };
        let encoded = proto::ResolveBatchRequest { questions: vec![question] }.encode_to_vec();
        let size = sized(RESOLVE_BATCH, &encoded).expect("well formed");
        assert!(size.bytes >= 10_000 * size_of::<u32>(), "{size:?}");
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for (what, bytes) in [
            ("a length beyond the end", &[0x12, 5, 0][..]),
            ("a number where a message is due", &[0x10, 5]),
            ("a group", &[0x13]),
            ("a tag without an end", &[0xff; 11]),
            ("a cut tag", &[0x80]),
        ] {
            assert_eq!(sized(APPLY_BATCH, bytes), Err(MessageMalformed), "{what}");
        }
    }

    proptest! {
        /// Whatever prost decodes is measured, so that nothing sound is refused; random bytes do no harm.
        #[test]
        fn what_decodes_is_measured(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let decoded = proto::ApplyBatchRequest::decode(bytes.as_slice());
            let measured = sized(APPLY_BATCH, &bytes);
            let has_group = bytes.iter().any(|byte| matches!(byte & 7, 3 | 4));
            if let Ok(message) = decoded && !has_group {
                let size = measured.expect("it decodes");
                prop_assert_eq!(size.items, message.items.len());
            }
        }
    }
}
