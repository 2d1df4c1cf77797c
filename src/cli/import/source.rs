//! Source: the bytes of an input file, recognized and turned into UTF-8.
//!
//! A byte that is invalid in the encoding does not end the import: a mark replaces it, its offset is recorded, and the row
//! with the mark is refused. Spreadsheets and UTF-16 are recognized by their first bytes.

use std::collections::VecDeque;
use std::io::{self, Read};

use clap::ValueEnum;
use encoding_rs::{Decoder, DecoderResult};

use super::super::error::Error;
use crate::model::limits::MESSAGE_BYTES_MAX;

/// Bytes read from a file at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Maximum bytes of a row; a longer one has an open quote, or the file has another format.
pub(super) const ROW_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// Replaces an invalid byte: a code point that is not a character (Unicode 23.7).
pub(super) const MARK: char = '\u{fdd0}';

/// Character encoding of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum Encoding {
    /// UTF-8, with or without a byte order mark
    #[value(name = "utf-8", alias = "utf8")]
    Utf8,
    /// GB 18030, and with it GBK and GB 2312, as Chinese spreadsheets write
    #[value(name = "gb18030", alias = "gbk")]
    Gb18030,
}

impl Encoding {
    fn decoder(self) -> Decoder {
        match self {
            Self::Utf8 => encoding_rs::UTF_8.new_decoder_without_bom_handling(),
            Self::Gb18030 => encoding_rs::GB18030.new_decoder_without_bom_handling(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Gb18030 => "GB 18030",
        }
    }
}

/// The form of a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TextForm {
    /// Encoding of the characters.
    pub(super) encoding: Encoding,
    /// Whether the file begins with a byte order mark.
    pub(super) has_mark: bool,
    /// The end of a line, as at the first line.
    pub(super) line_end: &'static str,
}

//----------- Recognition ----------------------------------------------------

/// First bytes of unsupported files, and the advice for each.
const UNSUPPORTED: &[(&[u8], &str)] = &[
    (
        b"PK\x03\x04",
        "this is a spreadsheet (xlsx) or another zip file, not text; open it and save it as \"CSV UTF-8\"",
    ),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "this is a spreadsheet (xls), not text; open it and save it as \"CSV UTF-8\"",
    ),
    (b"\xff\xfe", "this is UTF-16 text; save it as UTF-8, in a spreadsheet as \"CSV UTF-8\""),
    (b"\xfe\xff", "this is UTF-16 text; save it as UTF-8, in a spreadsheet as \"CSV UTF-8\""),
];

/// First bytes of packed files, the name of the format, and what unpacks it.
const PACKED: &[(&[u8], Packing)] = &[
    (b"\x1f\x8b", Packing { format: "gzip", unpack: "gunzip -c" }),
    (b"\x28\xb5\x2f\xfd", Packing { format: "zstd", unpack: "zstd -dc" }),
];

/// A format in which files are packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packing {
    /// Name of the format.
    pub(super) format: &'static str,
    /// The command that unpacks a file to standard output.
    pub(super) unpack: &'static str,
}

/// Why an input cannot be read as text.
#[derive(Debug)]
pub(super) enum Unsupported {
    /// It cannot be read at all.
    Unread(io::Error),
    /// It is packed.
    Packed(Packing),
    /// It has another format; the sentence says what would be right.
    Format(&'static str),
}

/// Checks the first bytes of a file, and refuses unsupported formats.
fn recognize(start: &[u8], encoding: Encoding) -> Result<(), Unsupported> {
    if let Some((_, packing)) = PACKED.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(Unsupported::Packed(*packing));
    }
    if let Some((_, explanation)) = UNSUPPORTED.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(Unsupported::Format(explanation));
    }
    if encoding == Encoding::Gb18030 && start.starts_with(b"\xef\xbb\xbf") {
        let explanation = "this begins as UTF-8 does, not as GB 18030; leave --encoding out";
        return Err(Unsupported::Format(explanation));
    }
    Ok(())
}

/// Whether bytes, which may end within a character, are UTF-8 with characters outside ASCII.
fn is_utf8(bytes: &[u8]) -> bool {
    let valid = match core::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let whole = bytes.get(..error.valid_up_to()).unwrap_or_default();
            core::str::from_utf8(whole).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !valid.is_ascii()
}

//----------- Source ---------------------------------------------------------

/// An invalid byte of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Invalid {
    /// Offset of its mark in the decoded text.
    mark: u64,
    /// Offset in the file.
    offset: u64,
}

/// The input as UTF-8.
pub(super) struct Source<R> {
    input: R,
    encoding: Encoding,
    decoder: Decoder,
    /// Bytes that are read and not yet decoded.
    raw: Vec<u8>,
    /// Whether the input has ended.
    ended: bool,
    /// Whether the input begins with a byte order mark.
    has_mark: bool,
    /// Whether the beginning of the input is UTF-8 with characters outside ASCII.
    is_utf8: bool,
    /// Bytes of the input that have been decoded.
    decoded_bytes: u64,
    /// Decoded text, and how much of it has been handed out.
    text: String,
    given: usize,
    /// Bytes of text decoded in all, including `text`.
    text_bytes: u64,
    /// Bytes of text that the present row may still use.
    row_bytes_left: usize,
    invalid: VecDeque<Invalid>,
}

impl<R: Read> Source<R> {
    /// Reads the first bytes; refuses unsupported formats.
    pub(super) fn new(input: R, encoding: Encoding) -> Result<Self, Unsupported> {
        let mut source = Self {
            input,
            encoding,
            decoder: encoding.decoder(),
            raw: Vec::new(),
            ended: false,
            has_mark: false,
            is_utf8: false,
            decoded_bytes: 0,
            text: String::new(),
            given: 0,
            text_bytes: 0,
            row_bytes_left: ROW_BYTES_MAX,
            invalid: VecDeque::new(),
        };
        source.read_beginning().map_err(Unsupported::Unread)?;
        recognize(&source.raw, encoding)?;
        source.is_utf8 = is_utf8(&source.raw);
        source.decode();
        if let Some(rest) = source.text.strip_prefix('\u{feff}') {
            let mark_bytes = source.text.len() - rest.len();
            source.given = mark_bytes;
            source.has_mark = true;
        }
        Ok(source)
    }

    /// Bytes of the input that have been decoded.
    pub(super) fn read_bytes(&self) -> u64 {
        self.decoded_bytes
    }

    /// Whether the input is read as GB 18030 although it begins as UTF-8.
    pub(super) fn is_mistaken(&self) -> bool {
        self.is_utf8 && self.encoding == Encoding::Gb18030
    }

    /// The form of the text, before anything of it is read.
    pub(super) fn form(&self) -> TextForm {
        let line_end = match self.line_end() {
            b'\r' => "\r",
            _ if self.text.split_once('\n').is_some_and(|(first, _)| first.ends_with('\r')) => "\r\n",
            _ => "\n",
        };
        TextForm { encoding: self.encoding, has_mark: self.has_mark, line_end }
    }

    /// The last byte of the ends of lines: CR where the first line ends in CR alone, as old Macintosh programs write.
    pub(super) fn line_end(&self) -> u8 {
        let text = self.text.as_bytes();
        match text.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            Some(end)
                if text.get(end) == Some(&b'\r') && text.get(end + 1).is_some_and(|next| *next != b'\n') =>
            {
                b'\r'
            }
            _ => b'\n',
        }
    }

    /// Begins the next row with the full limit of bytes.
    pub(super) fn begin_row(&mut self) {
        self.row_bytes_left = ROW_BYTES_MAX;
    }

    /// The first invalid byte whose mark is before `end`, an offset in the decoded text; drops all records before `end`.
    pub(super) fn take_invalid(&mut self, end: u64) -> Option<u64> {
        let mut first = None;
        while let Some(invalid) = self.invalid.front().filter(|invalid| invalid.mark < end) {
            first = first.or(Some(invalid.offset));
            self.invalid.pop_front();
        }
        first
    }

    /// Bytes of text that have been handed out, including a byte order mark.
    pub(super) fn given_bytes(&self) -> u64 {
        self.text_bytes - self.held() as u64
    }

    /// The message about an invalid byte.
    pub(super) fn complaint(&self, offset: u64, column: Option<&str>) -> String {
        let column = column.map(|column| format!(" in column {column:?}")).unwrap_or_default();
        let advice = match self.encoding {
            Encoding::Utf8 => {
                "save the file as UTF-8, or use --encoding gb18030 if it is GB 18030 or GBK, as Chinese spreadsheets write"
            }
            Encoding::Gb18030 => "leave --encoding out if the file is UTF-8",
        };
        let name = self.encoding.name();
        format!("byte {offset} of the file{column} is not {name}; {advice}")
    }

    /// The input cannot be read any further; `at` is the row or line that was being read.
    pub(super) fn read_failed(&self, at: &str, error: &io::Error) -> Error {
        let read = self.decoded_bytes + self.raw.len() as u64;
        Error::File { path: "input".into(), cause: format!("{at}, after {read} bytes: {error}") }
    }

    fn held(&self) -> usize {
        self.text.len() - self.given
    }

    /// Reads the first chunk whole, so that the format is recognized.
    fn read_beginning(&mut self) -> io::Result<()> {
        let limit = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
        let read = self.input.by_ref().take(limit).read_to_end(&mut self.raw)?;
        self.ended = read == 0;
        Ok(())
    }

    /// Reads what is there: a pause or an error of the input does not hold up what came before it.
    fn read_chunk(&mut self) -> io::Result<()> {
        self.raw.resize(CHUNK_BYTES, 0);
        let read = loop {
            match self.input.read(&mut self.raw) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.raw.truncate(*read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(())
    }

    /// Decodes the bytes read, with a mark for each invalid byte.
    fn decode(&mut self) {
        self.text.clear();
        self.given = 0;
        let mut raw = core::mem::take(&mut self.raw);
        let mut rest = raw.as_slice();
        loop {
            let needed = self.decoder.max_utf8_buffer_length_without_replacement(rest.len());
            self.text.reserve(needed.unwrap_or(CHUNK_BYTES));
            let before = self.text.len();
            let (result, read) =
                self.decoder.decode_to_string_without_replacement(rest, &mut self.text, self.ended);
            self.decoded_bytes += read as u64;
            self.text_bytes += (self.text.len() - before) as u64;
            rest = rest.get(read..).unwrap_or_default();
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(length, after) => {
                    let back = u64::from(length) + u64::from(after);
                    let offset = self.decoded_bytes.saturating_sub(back);
                    self.invalid.push_back(Invalid { mark: self.text_bytes, offset });
                    self.text.push(MARK);
                    self.text_bytes += MARK.len_utf8() as u64;
                }
            }
        }
        raw.clear();
        self.raw = raw;
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.held() == 0 && !self.ended {
            self.read_chunk()?;
            self.decode();
        }
        let text = self.text.as_bytes().get(self.given..).unwrap_or_default();
        let count = text.len().min(out.len()).min(self.row_bytes_left);
        if count == 0 && !text.is_empty() && !out.is_empty() {
            return Err(io::Error::other(format!(
                "a row has more than {ROW_BYTES_MAX} bytes; perhaps a quote is not closed"
            )));
        }
        if let (Some(to), Some(from)) = (out.get_mut(..count), text.get(..count)) {
            to.copy_from_slice(from);
        }
        self.given += count;
        self.row_bytes_left -= count;
        Ok(count)
    }
}

/// A text with invalid bytes, as it is reported: an import of the report refuses the replacement character.
pub(super) fn shown(text: &str) -> String {
    text.replace(MARK, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{Encoding, MARK, Source, Unsupported};

    fn decode(bytes: &[u8], encoding: Encoding) -> (String, Option<u64>) {
        let mut source = Source::new(bytes, encoding).expect("text");
        let mut text = String::new();
        source.read_to_string(&mut text).expect("readable");
        let end = source.given_bytes();
        (text, source.take_invalid(end))
    }

    #[test]
    fn utf8_is_read_with_and_without_a_byte_order_mark() {
        assert_eq!(decode("零,é".as_bytes(), Encoding::Utf8), ("零,é".into(), None));
        assert_eq!(decode(b"\xef\xbb\xbfa,b", Encoding::Utf8), ("a,b".into(), None));
        assert_eq!(decode(b"", Encoding::Utf8), (String::new(), None));
    }

    #[test]
    fn gb18030_is_read() {
        let (encoded, _, _) = encoding_rs::GB18030.encode("轴承,😀€");
        assert_eq!(decode(&encoded, Encoding::Gb18030), ("轴承,😀€".into(), None));
    }

    #[test]
    fn a_byte_that_is_no_text_is_found_where_it_stands() {
        let mut bytes = b"\xef\xbb\xbf".to_vec();
        bytes.extend(vec![b'a'; 100_000]);
        bytes.extend(b"\xe9,b\xff");
        let (text, offset) = decode(&bytes, Encoding::Utf8);
        assert_eq!(offset, Some(100_003));
        assert_eq!(text.matches(MARK).count(), 2);
        assert_eq!(decode(b"abc\xe9", Encoding::Utf8), (format!("abc{MARK}"), Some(3)), "at the end");
        assert_eq!(decode(b"ab\xff\x30", Encoding::Gb18030), (format!("ab{MARK}0"), Some(2)));
    }

    #[test]
    fn spreadsheets_are_recognized_and_explained() {
        let explain = |bytes: &[u8], encoding| match Source::new(bytes, encoding) {
            Ok(_) => String::new(),
            Err(Unsupported::Format(sentence)) => sentence.to_owned(),
            Err(Unsupported::Packed(packing)) => packing.unpack.to_owned(),
            Err(Unsupported::Unread(error)) => error.to_string(),
        };
        assert!(explain(b"PK\x03\x04\x14\x00", Encoding::Utf8).contains("CSV UTF-8"));
        assert!(explain(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Encoding::Utf8).contains("(xls)"));
        assert!(explain(b"\xff\xfea\x00", Encoding::Utf8).contains("UTF-16"));
        assert_eq!(explain(b"\x1f\x8b\x08", Encoding::Utf8), "gunzip -c");
        assert!(explain(b"\xef\xbb\xbfa", Encoding::Gb18030).contains("leave --encoding out"));
    }

    #[test]
    fn utf8_that_is_read_as_gb18030_is_recognized() {
        let is_mistaken = |bytes: &[u8], encoding| Source::new(bytes, encoding).expect("text").is_mistaken();
        let (encoded, _, _) = encoding_rs::GB18030.encode("名称,轴承");
        assert!(is_mistaken("名称,轴承".as_bytes(), Encoding::Gb18030));
        assert!(!is_mistaken(&encoded, Encoding::Gb18030));
        assert!(!is_mistaken(b"plain", Encoding::Gb18030));
        assert!(!is_mistaken("名称".as_bytes(), Encoding::Utf8));
    }

    #[test]
    fn the_form_of_a_file_is_that_of_its_beginning() {
        let form = |bytes: &[u8]| {
            let form = Source::new(bytes, Encoding::Utf8).expect("text").form();
            (form.has_mark, form.line_end)
        };
        assert_eq!(form(b"\xef\xbb\xbfa,b\r\nc,d\n"), (true, "\r\n"));
        assert_eq!(form(b"a,b\nc,d\r\n"), (false, "\n"));
        assert_eq!(form(b"a,b\rc,d"), (false, "\r"));
        assert_eq!(form(b"a,b\r"), (false, "\n"));
    }

    #[test]
    fn an_endless_row_is_refused() {
        let bytes = vec![b'a'; super::ROW_BYTES_MAX + 1];
        let mut source = Source::new(bytes.as_slice(), Encoding::Utf8).expect("text");
        let refused = source.read_to_end(&mut Vec::new()).expect_err("too long");
        assert!(refused.to_string().contains("a quote is not closed"), "{refused}");
    }
}
