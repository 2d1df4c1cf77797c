//! Records: the rows of a CSV file (RFC 4180) as cells, with recovery from quotes that are not closed.
//!
//! ```text
//!   source ─▶ lines ─▶ scanner ─▶ record        a quoted cell continues on the next line
//!               ▲         │
//!               └─────────┘ the quote is not closed, or what it closes makes no sense:
//!                           the first line is a record of its own, and the others are read again
//! ```
//!
//! An open quote would otherwise take all rows up to the next quote, or to the end of the file, into one cell. It is
//! recognized by the end of the file, by text after the quote that closes it, by more bytes than a row may have, or by
//! lines inside that are rows themselves. Lines are numbered as rows of a spreadsheet; one that is read again is a row.

use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, Read};

use super::super::error::Error;
use super::source::{ROW_BYTES_MAX, Source};

//----------- Records --------------------------------------------------------

/// The records of a CSV file.
pub(super) struct Records<R> {
    reader: BufReader<Source<R>>,
    delimiter: u8,
    /// The last byte of the end of a line.
    line_end: u8,
    /// Lines that are read again.
    again: VecDeque<Line>,
    /// Number of the last row read.
    row: u64,
    /// Bytes of text read so far, including a byte order mark.
    text_bytes: u64,
    /// What rows look like; none before the header is known.
    shape: Option<Shape>,
}

/// What the rows of a file look like, as its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Number of cells.
    pub(super) width: usize,
    /// The cell that names the row.
    pub(super) name: usize,
    /// Whether it holds a complete identifier, with its prefix.
    pub(super) is_whole: bool,
}

/// One row of a CSV file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Number of the row.
    pub(super) number: u64,
    /// The cells, unquoted.
    pub(super) cells: Vec<String>,
    /// Offset of the first byte that is invalid in the encoding.
    pub(super) invalid: Option<u64>,
    /// Whether a quote was opened and not closed; it is part of the text then.
    pub(super) has_open_quote: bool,
}

/// One line of the file.
struct Line {
    /// The text, with the end of the line.
    text: String,
    invalid: Option<u64>,
}

impl<R: Read> Records<R> {
    /// Creates a reader; nothing is read yet.
    pub(super) fn new(source: Source<R>, delimiter: u8) -> Self {
        let text_bytes = source.given_bytes();
        let line_end = source.line_end();
        Self {
            reader: BufReader::new(source),
            delimiter,
            line_end,
            again: VecDeque::new(),
            row: 0,
            text_bytes,
            shape: None,
        }
    }

    /// The source below.
    pub(super) fn source(&self) -> &Source<R> {
        self.reader.get_ref()
    }

    /// The delimiter of the cells.
    pub(super) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Sets what rows look like.
    pub(super) fn set_shape(&mut self, shape: Shape) {
        self.shape = Some(shape);
    }

    /// Takes the line `sep=;` with which a spreadsheet names the delimiter, if the file begins with it.
    pub(super) fn take_separator_line(&mut self) -> Result<Option<u8>, Error> {
        let Some(line) = self.line()? else { return Ok(None) };
        let Some(delimiter) = separator(&line.text) else {
            self.again.push_front(line);
            return Ok(None);
        };
        self.row += 1;
        self.delimiter = delimiter;
        Ok(Some(delimiter))
    }

    /// The next record, blank ones included; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Record>, Error> {
        let Some(first) = self.line()? else { return Ok(None) };
        let mut scanner = Scanner::new(self.delimiter);
        let mut bytes = first.text.len();
        let mut lines = vec![first];
        let is_broken = loop {
            let line = lines.last().map_or("", |line| line.text.as_str());
            match scanner.scan(line) {
                Scanned::Complete => break lines.len() > 1 && self.holds_rows(&lines, &scanner.cells),
                Scanned::AfterQuote => break true,
                Scanned::Open if bytes > ROW_BYTES_MAX => break true,
                Scanned::Open => match self.line()? {
                    Some(line) => {
                        bytes += line.text.len();
                        lines.push(line);
                    }
                    None => break true,
                },
            }
        };
        self.row += 1;
        if !is_broken {
            let invalid = lines.iter().find_map(|line| line.invalid);
            let record = Record { number: self.row, cells: scanner.cells, invalid, has_open_quote: false };
            return Ok(Some(record));
        }
        let mut lines = lines.into_iter();
        let first = lines.next();
        lines.rev().for_each(|line| self.again.push_front(line));
        Ok(first.map(|line| Record {
            number: self.row,
            cells: literal_cells(&line.text, self.delimiter),
            invalid: line.invalid,
            has_open_quote: true,
        }))
    }

    /// Whether a record of several lines has swallowed rows: it has another width than the header, and a line inside is a row of the
    /// right width; or a line behind the first has an identifier of the same prefix where rows have theirs; or, where rows are named
    /// by suffixes, which look like anything, every line behind the first is a row with such a name.
    fn holds_rows(&self, lines: &[Line], cells: &[String]) -> bool {
        let Some(Shape { width, name, is_whole }) = self.shape else { return false };
        let prefix = |cells: &[String]| cells.get(name)?.split_once('/').map(|(prefix, _)| prefix.to_owned());
        let row = |line: &Line| {
            let mut scanner = Scanner::new(self.delimiter);
            let is_row = scanner.scan(&line.text) == Scanned::Complete && scanner.cells.len() == width;
            is_row.then_some(scanner.cells)
        };
        // The last line ends the quote: it may look like a row by chance.
        let inside = lines.len() - 1;
        if cells.len() != width {
            return lines.iter().take(inside).skip(1).any(|line| row(line).is_some());
        }
        if width == 1 {
            return false;
        }
        let mut behind = lines.iter().skip(1).map(row);
        match prefix(cells) {
            own @ Some(_) if is_whole => behind.flatten().any(|cells| prefix(&cells) == own),
            _ if is_whole => false,
            _ => behind.all(|row| row.is_some_and(|cells| cells.get(name).is_some_and(|name| is_name(name)))),
        }
    }

    /// The next line: one that is read again, or the next of the file.
    fn line(&mut self) -> Result<Option<Line>, Error> {
        if let Some(line) = self.again.pop_front() {
            return Ok(Some(line));
        }
        let mut bytes = Vec::new();
        self.reader.get_mut().begin_row();
        let read = self.reader.read_until(self.line_end, &mut bytes);
        let read = read.map_err(|error| self.read_failed(&error))?;
        if read == 0 {
            return Ok(None);
        }
        self.text_bytes += read as u64;
        let invalid = self.reader.get_mut().take_invalid(self.text_bytes);
        let text = String::from_utf8(bytes)
            .map_err(|error| self.read_failed(&io::Error::other(error.to_string())))?;
        Ok(Some(Line { text, invalid }))
    }

    fn read_failed(&self, error: &io::Error) -> Error {
        self.source().read_failed(&format!("row {}", self.row + 1), error)
    }
}

/// Whether a cell may be the name of a row: a part of a sentence has blanks.
fn is_name(cell: &str) -> bool {
    !cell.is_empty() && !cell.contains(char::is_whitespace)
}

/// The delimiter that the line `sep=;` names, as spreadsheets write it, with or without quotes.
fn separator(line: &str) -> Option<u8> {
    let text = line.trim_end_matches(['\r', '\n']);
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let (name, delimiter) = text.split_at_checked(4)?;
    match delimiter.as_bytes() {
        [byte] if name.eq_ignore_ascii_case("sep=") && *byte != b'"' && byte.is_ascii() => Some(*byte),
        _ => None,
    }
}

//----------- Scanner --------------------------------------------------------

/// Divides lines into cells.
struct Scanner {
    delimiter: char,
    cells: Vec<String>,
    cell: String,
    state: State,
}

/// Where a scanner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the beginning of a cell.
    Start,
    /// In a cell without quotes.
    Plain,
    /// In a quoted cell.
    Quoted,
    /// After a quote in a quoted cell: its end, or the first half of a quote in the text.
    Quote,
}

/// What a line came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scanned {
    /// The record is complete.
    Complete,
    /// A quote is open; the record continues on the next line.
    Open,
    /// Text follows the quote that ends a cell.
    AfterQuote,
}

impl Scanner {
    fn new(delimiter: u8) -> Self {
        Self { delimiter: char::from(delimiter), cells: Vec::new(), cell: String::new(), state: State::Start }
    }

    /// Takes the next line, with its end.
    fn scan(&mut self, line: &str) -> Scanned {
        let content = line.trim_end_matches(['\r', '\n']);
        for letter in content.chars() {
            self.state = match (self.state, letter) {
                (State::Start, '"') => State::Quoted,
                (State::Quoted, '"') => State::Quote,
                (State::Quote, '"') => {
                    self.cell.push('"');
                    State::Quoted
                }
                (State::Quoted, letter) => {
                    self.cell.push(letter);
                    State::Quoted
                }
                (State::Start | State::Plain | State::Quote, letter) if letter == self.delimiter => {
                    self.cells.push(core::mem::take(&mut self.cell));
                    State::Start
                }
                (State::Start | State::Plain, letter) => {
                    self.cell.push(letter);
                    State::Plain
                }
                (State::Quote, _) => return Scanned::AfterQuote,
            };
        }
        if self.state == State::Quoted {
            self.cell.push_str(line.strip_prefix(content).unwrap_or_default());
            return Scanned::Open;
        }
        self.cells.push(core::mem::take(&mut self.cell));
        Scanned::Complete
    }
}

/// The cells of a line in which a quote is open: from the cell on that begins with it, quotes are part of the text.
fn literal_cells(line: &str, delimiter: u8) -> Vec<String> {
    let content = line.trim_end_matches(['\r', '\n']);
    let mut cells = Vec::new();
    let mut rest = content;
    loop {
        let (cell, after) = next_cell(rest, char::from(delimiter));
        cells.push(cell);
        match after {
            Some(after) => rest = after,
            None => return cells,
        }
    }
}

/// The first cell of a text, quoted only if the quote is closed where a cell ends; and the text after its delimiter.
fn next_cell(text: &str, delimiter: char) -> (String, Option<&str>) {
    if let Some((cell, after)) = quoted_cell(text, delimiter) {
        return (cell, after);
    }
    match text.split_once(delimiter) {
        Some((cell, after)) => (cell.to_owned(), Some(after)),
        None => (text.to_owned(), None),
    }
}

fn quoted_cell(text: &str, delimiter: char) -> Option<(String, Option<&str>)> {
    let mut cell = String::new();
    let mut rest = text.strip_prefix('"')?;
    loop {
        let (before, after) = rest.split_once('"')?;
        cell.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                cell.push('"');
                rest = after;
            }
            None if after.is_empty() => return Some((cell, None)),
            None => return Some((cell, Some(after.strip_prefix(delimiter)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::{Encoding, Source};
    use super::{Record, Records, Shape, separator};

    fn records(text: &str) -> Vec<Record> {
        records_named_by(text, 0, true)
    }

    fn records_named_by(text: &str, name: usize, is_whole: bool) -> Vec<Record> {
        let source = Source::new(text.as_bytes(), Encoding::Utf8).expect("text");
        let mut records = Records::new(source, b',');
        let mut found = Vec::new();
        while let Some(record) = records.next().expect("readable") {
            if found.is_empty() {
                records.set_shape(Shape { width: record.cells.len(), name, is_whole });
            }
            found.push(record);
        }
        found
    }

    fn cells(text: &str) -> Vec<Vec<String>> {
        records(text).into_iter().map(|record| record.cells).collect()
    }

    /// Number, cells, and whether a quote is open.
    fn rows(text: &str) -> Vec<(u64, String, bool)> {
        let row = |record: Record| (record.number, record.cells.join("|"), record.has_open_quote);
        records(text).into_iter().map(row).collect()
    }

    #[test]
    fn cells_are_divided_as_rfc_4180_says() {
        let text = "a,b\r\n\"say \"\"hi\"\", \r\n\",=1+1\r\n,\n\nc,\"\"\r\nd,5\" \"pipe\"";
        let expected: [&[&str]; 6] = [
            &["a", "b"],
            &["say \"hi\", \r\n", "=1+1"],
            &["", ""],
            &[""],
            &["c", ""],
            &["d", "5\" \"pipe\""],
        ];
        assert_eq!(cells(text), expected);
        assert_eq!(cells(""), [] as [Vec<String>; 0]);
        assert_eq!(cells("a,b\rc,d\r"), [["a", "b"], ["c", "d"]], "lines end in CR alone");
    }

    #[test]
    fn a_quote_that_is_open_at_the_end_takes_one_line_and_not_the_rest() {
        let found = rows("identifier,A\n88/a,1\n88/b,\"2\n88/c,3\n88/d,4\n");
        let expected = [
            (1, "identifier|A", false),
            (2, "88/a|1", false),
            (3, "88/b|\"2", true),
            (4, "88/c|3", false),
            (5, "88/d|4", false),
        ];
        assert_eq!(found, expected.map(|(row, cells, open)| (row, cells.to_owned(), open)));
    }

    #[test]
    fn a_quote_that_a_later_one_closes_does_not_swallow_the_rows_between() {
        // Closed by a quote with text after it, by one at the end of a line, by one that is open itself.
        for closing in ["88/d,\"x\"", "88/d,x\"", "88/d,\"x"] {
            let text = format!("identifier,A\n88/b,\"2\n88/c,3\n{closing}\n88/e,5\n");
            let found = rows(&text);
            let names: Vec<&str> = found.iter().map(|(_, cells, _)| cells.as_str()).collect();
            assert_eq!(found[1], (2, "88/b|\"2".to_owned(), true), "{names:?}");
            assert_eq!(found[2], (3, "88/c|3".to_owned(), false), "{names:?}");
            assert_eq!(found[4], (5, "88/e|5".to_owned(), false), "{names:?}");
        }
    }

    #[test]
    fn a_quote_that_the_last_of_the_rows_closes_does_not_swallow_them() {
        let rows = |text: &str, name, is_whole| -> Vec<(u64, bool)> {
            let records = records_named_by(text, name, is_whole);
            records.iter().skip(1).map(|record| (record.number, record.has_open_quote)).collect()
        };
        let all = [(2, true), (3, false), (4, false)];
        let next_row = "标识,名称\n88.118.8/e1,\"轴承\n88.118.8/e2,2\"\n88.118.8/e3,3\n";
        assert_eq!(rows(next_row, 0, true), all);
        let other_column = "编号,标识,规格\n1,88.118.8/e1,\"a\n2,88.118.8/e2,b\n3,88.118.8/e3,3\"\n";
        assert_eq!(rows(other_column, 1, true), all);
        let suffixes = "suffix,NAME\nd1,\"abc\nd2,x\nd3,y\"\n";
        assert_eq!(rows(suffixes, 0, false), all);
        let text = "suffix,NAME\nd1,\"one, two\nof three, four\"\nd2,x\n";
        assert_eq!(rows(text, 0, false), [(2, false), (3, false)], "a text of two lines");
    }

    #[test]
    fn a_cell_of_several_lines_is_one_row() {
        let found = rows("identifier,NOTE\n88/a,\"one, two\nthree\nfour, five\"\n88/b,x\n");
        assert_eq!(found[1], (2, "88/a|one, two\nthree\nfour, five".to_owned(), false));
        assert_eq!(found[2].0, 3);
    }

    #[test]
    fn an_open_quote_does_not_fill_the_memory() {
        let mut text = "identifier,A\n88/a,\"1\n".to_owned();
        let line = format!("88/b,{}\n", "x".repeat(1_000));
        let count = super::ROW_BYTES_MAX / line.len() + 100;
        (0..count).for_each(|_| text.push_str(&line));
        let found = rows(&text);
        assert_eq!(found[1], (2, "88/a|\"1".to_owned(), true));
        assert_eq!(found.len(), count + 2);
    }

    #[test]
    fn the_line_of_a_spreadsheet_that_names_the_delimiter_is_recognized() {
        assert_eq!(separator("sep=;\r\n"), Some(b';'));
        assert_eq!(separator("\"SEP=\t\"\n"), Some(b'\t'));
        assert_eq!(separator("sep=,"), Some(b','));
        for other in ["sep=", "sep=;;", "separator", "sep=\"", "identifier,URL", "sep=é", ""] {
            assert_eq!(separator(other), None, "{other:?}");
        }
        let source = Source::new(&b"sep=;\na;b\n"[..], Encoding::Utf8).expect("text");
        let mut records = Records::new(source, b',');
        assert_eq!(records.take_separator_line().expect("readable"), Some(b';'));
        let header = records.next().expect("readable").expect("a header");
        assert_eq!((header.number, header.cells), (2, vec!["a".to_owned(), "b".to_owned()]));
    }
}
