//! Text for people: escaped, aligned in columns, with times.
//!
//! Text from outside passes [`escape`] before it reaches a terminal, so that no identifier, value or message can move
//! the cursor, hide itself or change the direction of text.

use std::borrow::Cow;

use comfy_table::TableStyle;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Bytes of binary data that are shown in hexadecimal; more are cut.
const BINARY_BYTES_SHOWN: usize = 32;

//----------- Escaping -------------------------------------------------------

/// Escapes control characters and invisible characters: `\n`, `\u{1b}`.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if is_unsafe(letter) {
            escaped.extend(letter.escape_default());
        } else {
            escaped.push(letter);
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character is a control, a line separator, zero-width or changes the direction of text.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{61c}' | '\u{fff9}'..='\u{fffb}')
}

/// Data as text when it is UTF-8, otherwise its size and its beginning in hexadecimal.
pub(super) fn data(bytes: &[u8]) -> String {
    if let Ok(text) = core::str::from_utf8(bytes) {
        return escape(text).into_owned();
    }
    let shown = bytes.get(..BINARY_BYTES_SHOWN).unwrap_or(bytes);
    let more = if shown.len() < bytes.len() { "..." } else { "" };
    format!("({} bytes) {}{more}", bytes.len(), data_encoding::HEXLOWER.encode(shown))
}

//----------- Table ----------------------------------------------------------

/// A borderless table with two spaces between columns; Chinese text aligns.
pub(super) struct Table(comfy_table::Table);

impl Table {
    /// A table with these headings.
    pub(super) fn new(headings: &[&str]) -> Self {
        let mut table = Self::plain();
        table.0.add_row(headings);
        table
    }

    /// A table without headings.
    pub(super) fn plain() -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(TableStyle::new());
        Self(table)
    }

    /// Adds a row; the cells are escaped here.
    pub(super) fn row<const N: usize>(&mut self, cells: [&str; N]) {
        self.0.add_row(cells.map(|cell| escape(cell).into_owned()));
    }

    /// The lines, without spaces at their ends.
    pub(super) fn lines(mut self) -> Vec<String> {
        self.0.column_iter_mut().for_each(|column| {
            column.set_padding((0, 2));
        });
        self.0.trim_fmt().lines().map(str::to_owned).collect()
    }
}

//----------- Times ----------------------------------------------------------

/// A time in RFC 3339, in the time zone of this machine.
pub(super) fn time(milliseconds: u64) -> String {
    time_in(milliseconds, TimeZone::system())
}

/// A time given in seconds since 1970, in the same form.
pub(super) fn time_of_seconds(seconds: u32) -> String {
    time(u64::from(seconds) * 1_000)
}

fn time_in(milliseconds: u64, zone: TimeZone) -> String {
    let found = i64::try_from(milliseconds).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    match found {
        Some(timestamp) => {
            let format = if milliseconds.is_multiple_of(1_000) {
                "%Y-%m-%dT%H:%M:%S%:z"
            } else {
                "%Y-%m-%dT%H:%M:%S%.3f%:z"
            };
            timestamp.to_zoned_datetime(zone).strftime(format).to_string()
        }
        None => format!("{milliseconds} ms since 1970"),
    }
}

/// Parses a time in RFC 3339 into milliseconds since 1970.
pub(super) fn parse_time(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a valid time; example: 2026-12-31T23:59:59+08:00");
    let timestamp: Timestamp = text.parse().map_err(|_| wrong())?;
    u64::try_from(timestamp.as_millisecond()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use jiff::tz::{TimeZone, offset};

    use super::{Table, data, escape, parse_time, time_in};

    #[test]
    fn control_and_invisible_characters_are_escaped() {
        assert_eq!(escape("零件 SN-1"), "零件 SN-1");
        assert_eq!(escape("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(escape("gpj\u{202e}exe"), "gpj\\u{202e}exe");
        assert_eq!(data(b"\xff\x00"), "(2 bytes) ff00");
        assert_eq!(data("值\t".as_bytes()), "值\\t");
    }

    #[test]
    fn columns_align_with_chinese_text() {
        let mut table = Table::new(&["NAME", "PREFIX"]);
        table.row(["第一机床厂", "88.118.8"]);
        table.row(["Works", "88.118.9"]);
        let expected = ["NAME        PREFIX", "第一机床厂  88.118.8", "Works       88.118.9"];
        assert_eq!(table.lines(), expected);
    }

    #[test]
    fn times_have_an_offset() {
        let zone = TimeZone::fixed(offset(8));
        assert_eq!(time_in(1_645_557_742_000, zone.clone()), "2022-02-23T03:22:22+08:00");
        assert_eq!(time_in(1_645_557_742_001, zone), "2022-02-23T03:22:22.001+08:00");
        assert_eq!(parse_time("2022-02-23T03:22:22+08:00"), Ok(1_645_557_742_000));
        let refused = parse_time("tomorrow").expect_err("not a time");
        assert!(refused.contains("2026-12-31T23:59:59+08:00"), "{refused}");
    }
}
