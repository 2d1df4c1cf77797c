//! Reader and Writer: the only code that walks over bytes of a packet or a stored entry.
//!
//! Integers are big-endian; texts and byte strings carry a four-byte length, as in the Handle protocol. A read never
//! panics, never allocates from an unchecked length, and reports what was expected and where when it fails.

use core::fmt;

//----------- Reader ---------------------------------------------------------

/// Reads forward over bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    whole: usize,
}

impl<'a> Reader<'a> {
    /// Creates a reader at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, whole: bytes.len() }
    }

    /// Bytes read so far.
    pub fn position(&self) -> usize {
        self.whole - self.rest.len()
    }

    /// Bytes left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The next `count` bytes.
    pub fn take(&mut self, what: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(DecodeError {
            what,
            at: self.position(),
            problem: DecodeProblem::Short { wanted: count, found: self.rest.len() },
        })?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(what, N)?);
        Ok(array)
    }

    /// One byte.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    /// Two bytes.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_be_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// A byte string after its four-byte length, of at most `max` bytes.
    pub fn bytes(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let at = self.position();
        let found = self.u32(what)?;
        let length = usize::try_from(found).unwrap_or(usize::MAX);
        if length > max {
            return Err(DecodeError { what, at, problem: DecodeProblem::TooLong { found: length, max } });
        }
        self.take(what, length)
    }

    /// A UTF-8 text after its four-byte length, of at most `max` bytes.
    pub fn text(&mut self, what: &'static str, max: usize) -> Result<&'a str, DecodeError> {
        let at = self.position();
        core::str::from_utf8(self.bytes(what, max)?).map_err(|error| DecodeError {
            what,
            at: at + 4 + error.valid_up_to(),
            problem: DecodeProblem::NotUtf8,
        })
    }

    /// A count of items to follow: at most `max`, and no more than the bytes left could hold.
    pub fn count(
        &mut self,
        what: &'static str,
        max: usize,
        item_bytes_min: usize,
    ) -> Result<usize, DecodeError> {
        let at = self.position();
        let found = usize::try_from(self.u32(what)?).unwrap_or(usize::MAX);
        let max = max.min(self.rest.len() / item_bytes_min.max(1));
        if found > max {
            return Err(DecodeError { what, at, problem: DecodeProblem::TooLong { found, max } });
        }
        Ok(found)
    }

    /// All remaining bytes.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// Checks that no bytes remain.
    pub fn finish(&self, what: &'static str) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(DecodeError {
            what,
            at: self.position(),
            problem: DecodeProblem::Trailing { found: self.rest.len() },
        })
    }

    /// An error at the current place: an invalid value was read.
    pub fn refuse(&self, what: &'static str) -> DecodeError {
        DecodeError { what, at: self.position(), problem: DecodeProblem::Meaningless }
    }
}

//----------- Writer ---------------------------------------------------------

/// Appends to a growing byte string.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty writer with `capacity` bytes reserved.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Bytes without a length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A byte string after its four-byte length. One above 4 GiB would be truncated, which no bound allows.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// A text after its four-byte length.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// A count of items to follow.
    pub fn count(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// The bytes written so far.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Converts into the bytes.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

//----------- DecodeError ----------------------------------------------------

/// Bytes that cannot be decoded: what was being read, where, and why it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The field that was being read.
    pub what: &'static str,
    /// The offset of the field, in bytes.
    pub at: usize,
    /// What was wrong with the field.
    pub problem: DecodeProblem,
}

/// What was wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeProblem {
    /// The bytes end before the field does.
    Short {
        /// Bytes wanted.
        wanted: usize,
        /// Bytes left.
        found: usize,
    },
    /// A length or count exceeds its bound.
    TooLong {
        /// The number found.
        found: usize,
        /// The greatest allowed.
        max: usize,
    },
    /// A text is not UTF-8.
    NotUtf8,
    /// Bytes follow where the message ends.
    Trailing {
        /// Number of bytes.
        found: usize,
    },
    /// A number or text that has no meaning here.
    Meaningless,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: ", self.what, self.at)?;
        match &self.problem {
            DecodeProblem::Short { wanted, found } => {
                write!(f, "{wanted} bytes are wanted, {found} are left")
            }
            DecodeProblem::TooLong { found, max } => write!(f, "{found} exceeds the bound of {max}"),
            DecodeProblem::NotUtf8 => f.write_str("not UTF-8"),
            DecodeProblem::Trailing { found } => write!(f, "{found} bytes follow the end"),
            DecodeProblem::Meaningless => f.write_str("has no meaning here"),
        }
    }
}

impl core::error::Error for DecodeError {}

#[cfg(test)]
mod tests {
    use super::{DecodeError, DecodeProblem, Reader, Writer};

    #[test]
    fn what_is_written_reads_back() {
        let mut writer = Writer::default();
        writer.u8(1).u16(2).u32(3).u64(4).text("五").bytes(b"six");
        let bytes = writer.into_vec();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8("a"), Ok(1));
        assert_eq!(reader.u16("b"), Ok(2));
        assert_eq!(reader.u32("c"), Ok(3));
        assert_eq!(reader.u64("d"), Ok(4));
        assert_eq!(reader.text("e", 9), Ok("五"));
        assert_eq!(reader.bytes("f", 3), Ok(b"six".as_slice()));
        assert_eq!(reader.finish("end"), Ok(()));
    }

    #[test]
    fn a_length_beyond_its_bound_is_refused_before_it_is_used() {
        let bytes = [0xff, 0xff, 0xff, 0xff];
        let found = Reader::new(&bytes).bytes("name", 10).map_err(|error| error.problem);
        assert_eq!(found, Err(DecodeProblem::TooLong { found: 0xffff_ffff, max: 10 }));
        let found = Reader::new(&bytes).count("values", usize::MAX, 1);
        assert_eq!(
            found,
            Err(DecodeError {
                what: "values",
                at: 0,
                problem: DecodeProblem::TooLong { found: 0xffff_ffff, max: 0 }
            })
        );
    }

    #[test]
    fn a_short_read_says_where() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u16("first"), Ok(0x0102));
        let expected =
            DecodeError { what: "second", at: 2, problem: DecodeProblem::Short { wanted: 4, found: 1 } };
        assert_eq!(reader.u32("second"), Err(expected));
    }
}
