//! How much memory a protobuf message takes once it is decoded, found from its bytes without decoding it.
//!
//! A message of 4 MiB can hold two million empty messages of two bytes each, which become hundreds of MiB of structs.
//! [`Measuring`] walks over the bytes once, allocates nothing, and gives an upper bound of what decoding will allocate, so
//! that a front end can refuse a message before it decodes it, and before it has inflated it. The shapes of the messages
//! are derived from the proto files when the crate is built.

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

/// Measures an encoded message while its bytes become known. Costs linear time and no memory; once a bound is exceeded,
/// what is behind is not looked at.
#[derive(Debug)]
pub struct Measuring {
    size: MessageSize,
    size_max: MessageSize,
    /// Where the next field begins. Beyond the bytes that are known while content is skipped that is still to come.
    position: usize,
    /// The message that the next field belongs to.
    level: Level,
    /// The messages around that one, the outermost first.
    outer: [Option<Level>; DEPTH_MAX],
    depth: usize,
}

/// A message within the message.
#[derive(Clone, Copy, Debug)]
struct Level {
    shape: &'static MessageShape,
    /// Where it ends.
    end: usize,
}

/// What stands before the content of a field.
struct Header {
    tag: u64,
    /// Bytes of content behind it; a varint is read with the header.
    content: usize,
}

/// Why a header is not read.
enum Unread {
    /// The bytes end within it.
    Cut,
    Malformed,
}

impl Measuring {
    /// Begins a message. `length` is the number of its bytes, where that is known before they are.
    pub fn new(shape: &'static MessageShape, length: Option<usize>, size_max: MessageSize) -> Self {
        Self {
            size: MessageSize { bytes: shape.struct_bytes, items: 0 },
            size_max,
            position: 0,
            level: Level { shape, end: length.unwrap_or(usize::MAX) },
            outer: [None; DEPTH_MAX],
            depth: 0,
        }
    }

    /// Measures what is new of a message whose first bytes are `known`.
    pub fn advance(&mut self, known: &[u8]) -> Result<(), MessageMalformed> {
        while self.is_within() {
            self.leave_ended();
            let end = self.level.end.min(known.len());
            let rest = known.get(self.position..end).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            let mut reader = Reader::new(rest);
            match header(&mut reader) {
                Ok(header) => self.field(&header, self.position + reader.position())?,
                // The rest of it is still to come.
                Err(Unread::Cut) if end < self.level.end => return Ok(()),
                Err(Unread::Cut | Unread::Malformed) => return Err(MessageMalformed),
            }
        }
        Ok(())
    }

    /// What the part that was measured takes.
    pub fn size(&self) -> MessageSize {
        self.size
    }

    /// What the whole message takes, once all of its bytes were measured or a bound is exceeded.
    pub fn finish(mut self, length: usize) -> Result<MessageSize, MessageMalformed> {
        self.leave_ended();
        let is_whole = self.depth == 0 && self.position == length;
        if is_whole || !self.is_within() { Ok(self.size) } else { Err(MessageMalformed) }
    }

    fn is_within(&self) -> bool {
        self.size.bytes <= self.size_max.bytes && self.size.items <= self.size_max.items
    }

    /// Adds what a field takes whose content begins at a position, and goes behind it or into it.
    fn field(&mut self, header: &Header, start: usize) -> Result<(), MessageMalformed> {
        let end = start.checked_add(header.content).ok_or(MessageMalformed)?;
        if end > self.level.end {
            return Err(MessageMalformed);
        }
        self.position = end;
        let Some(field) = self.level.shape.fields.iter().find(|field| field.number == header.tag >> 3) else {
            return Ok(());
        };
        let is_delimited = header.tag & 7 == 2;
        match &field.kind {
            // Packed numbers: each takes at least one byte.
            FieldKind::Number if is_delimited => {
                self.add(header.content.saturating_mul(GROWTH * NUMBER_BYTES));
            }
            FieldKind::Number if field.is_repeated => self.add(GROWTH * NUMBER_BYTES),
            FieldKind::Number => {}
            FieldKind::Octets if is_delimited => {
                let slot = if field.is_repeated { GROWTH * size_of::<String>() } else { 0 };
                self.add(header.content.saturating_add(slot + ALLOCATION_BYTES));
            }
            FieldKind::Message(shape) if is_delimited => {
                if field.is_repeated {
                    self.add(GROWTH * shape.struct_bytes);
                    self.size.items += usize::from(self.depth == 0);
                }
                self.position = start;
                return self.enter(Level { shape, end });
            }
            FieldKind::Octets | FieldKind::Message(_) => return Err(MessageMalformed),
        }
        Ok(())
    }

    fn enter(&mut self, inner: Level) -> Result<(), MessageMalformed> {
        let outer = self.outer.get_mut(self.depth).ok_or(MessageMalformed)?;
        *outer = Some(self.level);
        self.level = inner;
        self.depth += 1;
        Ok(())
    }

    /// Leaves the messages that end at the position.
    fn leave_ended(&mut self) {
        while self.position >= self.level.end
            && let Some(depth) = self.depth.checked_sub(1)
            && let Some(outer) = self.outer.get(depth).copied().flatten()
        {
            self.level = outer;
            self.depth = depth;
        }
    }

    fn add(&mut self, bytes: usize) {
        self.size.bytes = self.size.bytes.saturating_add(bytes);
    }
}

fn header(reader: &mut Reader<'_>) -> Result<Header, Unread> {
    let tag = varint(reader)?;
    let content = match tag & 7 {
        0 => {
            varint(reader)?;
            0
        }
        1 => 8,
        2 => usize::try_from(varint(reader)?).map_err(|_| Unread::Malformed)?,
        5 => 4,
        // Groups, which proto3 does not have.
        _ => return Err(Unread::Malformed),
    };
    Ok(Header { tag, content })
}

/// A variable-length integer (protobuf encoding, "Base 128 Varints"): at most ten bytes.
fn varint(reader: &mut Reader<'_>) -> Result<u64, Unread> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = reader.u8("varint").map_err(|_| Unread::Cut)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Unread::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::{METHODS, Measuring, MessageMalformed, MessageSize, Method};
    use crate::wire::proto;

    const APPLY_BATCH: &str = "/idnode.v1.RegistrationService/ApplyBatch";
    const RESOLVE_BATCH: &str = "/idnode.v1.ResolutionService/ResolveBatch";
    const REGISTER: &str = "/idnode.v1.RegistrationService/Register";

    const UNBOUNDED: MessageSize = MessageSize { bytes: usize::MAX, items: usize::MAX };

    fn begin(path: &str, length: Option<usize>, size_max: MessageSize) -> Measuring {
        Measuring::new(Method::of(path).expect("a method").request, length, size_max)
    }

    fn sized(path: &str, encoded: &[u8]) -> Result<MessageSize, MessageMalformed> {
        let mut measuring = begin(path, Some(encoded.len()), UNBOUNDED);
        measuring.advance(encoded)?;
        measuring.finish(encoded.len())
    }

    /// The same where the bytes become known one by one, and their number last.
    fn sized_by_bytes(path: &str, encoded: &[u8]) -> Result<MessageSize, MessageMalformed> {
        let mut measuring = begin(path, None, UNBOUNDED);
        for known in 1..=encoded.len() {
            measuring.advance(encoded.get(..known).unwrap_or_default())?;
        }
        measuring.finish(encoded.len())
    }

    #[test]
    fn every_method_is_found_by_its_path() {
        assert_eq!(METHODS.len(), 29);
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
    fn beyond_a_bound_nothing_is_looked_at() {
        let encoded = [&[0x12, 0].repeat(50)[..], &[0xff; 20]].concat();
        let bounded = |size_max| {
            let mut measuring = begin(APPLY_BATCH, None, size_max);
            measuring.advance(&encoded).expect("what is malformed is behind the bound");
            measuring.finish(encoded.len()).expect("beyond the bound")
        };
        let size = bounded(MessageSize { bytes: 2_000, ..UNBOUNDED });
        assert!(size.bytes > 2_000 && size.items < 50, "{size:?}");
        assert_eq!(bounded(MessageSize { items: 7, ..UNBOUNDED }).items, 8);
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
            assert_eq!(sized_by_bytes(APPLY_BATCH, bytes), Err(MessageMalformed), "{what}");
        }
    }

    proptest! {
        /// Whatever prost decodes is measured, so that nothing sound is refused; random bytes do no harm.
        #[test]
        fn what_decodes_is_measured(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let decoded = proto::ApplyBatchRequest::decode(bytes.as_slice());
            let measured = sized(APPLY_BATCH, &bytes);
            prop_assert_eq!(sized_by_bytes(APPLY_BATCH, &bytes), measured);
            let has_group = bytes.iter().any(|byte| matches!(byte & 7, 3 | 4));
            if let Ok(message) = decoded && !has_group {
                let size = measured.expect("it decodes");
                prop_assert_eq!(size.items, message.items.len());
            }
        }
    }
}
