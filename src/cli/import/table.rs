//! Table: the rows of a CSV file (RFC 4180), numbered as a spreadsheet shows them.
//!
//! The header is row 1. A cell in quotes may hold line breaks; it is still one row. Rows of empty cells and
//! blank lines are skipped, but counted.

use std::io::{Chain, Read};

use csv::{Reader, ReaderBuilder, StringRecord};

use super::super::error::Error;
use super::columns::Columns;
use super::row::{Naming, Row, malformed, undecodable};
use super::source::{MARK, Source};

/// Follows the last row, so that an open quote is detected: a code point that is not a character.
const END: &str = "\u{fdd1}";
/// Appended to the file: a line end for a last line without one, and a row of its own.
const AFTER: &str = "\n\u{fdd1}\n";

//----------- Table ----------------------------------------------------------

/// A CSV file whose header has been read.
pub(super) struct Table<R: Read> {
    reader: Reader<Chain<Source<R>, &'static [u8]>>,
    naming: Naming,
    columns: Columns,
    record: StringRecord,
    /// The number of the last row read.
    row: u64,
    /// Bytes of text before the reader's first byte: the byte order mark.
    skipped_bytes: u64,
}

impl<R: Read> Table<R> {
    /// Reads the header.
    pub(super) fn new(source: Source<R>, delimiter: u8, naming: Naming) -> Result<Self, Error> {
        let skipped_bytes = source.given_bytes();
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(source.chain(AFTER.as_bytes()));
        let mut table = Self {
            reader,
            naming,
            columns: Columns::default(),
            record: StringRecord::new(),
            row: 0,
            skipped_bytes,
        };
        if !table.read()? {
            return Err(Error::Input("the file is empty; its first row names the columns".into()));
        }
        if let Some(offset) = table.take_invalid() {
            let complaint = table.source().complaint(offset, None);
            return Err(Error::Input(format!("row 1: {complaint}")));
        }
        table.columns = Columns::of_header(table.record.iter(), &table.naming).map_err(Error::Input)?;
        Ok(table)
    }

    /// The next row that is not blank; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Error> {
        loop {
            if !self.read()? {
                return Ok(None);
            }
            let invalid = self.take_invalid();
            if self.record.iter().any(|cell| !cell.is_empty()) {
                return Ok(Some(self.row(invalid)));
            }
        }
    }

    fn read(&mut self) -> Result<bool, Error> {
        let lines_before = self.reader.position().line();
        self.reader.get_mut().get_mut().0.begin_row();
        let found = self.reader.read_record(&mut self.record).map_err(|error| {
            let at = self.row + 1;
            Error::File { path: "input".into(), cause: format!("row {at}: {error}") }
        })?;
        let lines = self.reader.position().line() - lines_before;
        let breaks: u64 = self.record.iter().map(line_breaks).sum();
        // A blank line is a row in a spreadsheet; the reader skips it.
        let blank = if self.row == 0 { 0 } else { lines.saturating_sub(breaks + 1) };
        self.row += blank + 1;
        Ok(found && self.record.iter().ne([END]))
    }

    fn source(&self) -> &Source<R> {
        self.reader.get_ref().get_ref().0
    }

    fn take_invalid(&mut self) -> Option<u64> {
        let end = self.reader.position().byte() + self.skipped_bytes;
        self.reader.get_mut().get_mut().0.take_invalid(end)
    }

    fn row(&self, invalid: Option<u64>) -> Row {
        let source = self.source();
        let name = self.columns.name_cell(self.record.iter());
        let content = match invalid {
            Some(offset) => {
                let position = self.record.iter().position(|cell| cell.contains(MARK));
                let column = position.map(|position| self.columns.name(position));
                Err(undecodable(source.complaint(offset, column.as_deref())))
            }
            None if self.record.iter().any(|cell| cell.contains(END)) => {
                Err(malformed("a quote that opens in this row is not closed; close it, or double it"))
            }
            None if self.record.len() != self.columns.len() => Err(malformed(format!(
                "the row has {} cells, the header has {}; give every row as many cells as the header",
                self.record.len(),
                self.columns.len()
            ))),
            None if name.is_empty() => {
                Err(malformed(format!("the cell of the {} is empty", self.naming.noun())))
            }
            None => self.columns.values(self.record.iter()).map_err(malformed),
        };
        Row {
            number: self.row,
            identifier: self.naming.identifier(&name.replace(MARK, "\u{fffd}")),
            content,
            read_bytes: source.read_bytes(),
        }
    }
}

fn line_breaks(cell: &str) -> u64 {
    cell.bytes().filter(|byte| *byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::super::row::{Naming, Row};
    use super::super::source::{Encoding, Source};
    use super::Table;

    fn rows(bytes: &[u8], encoding: Encoding) -> Vec<Row> {
        let source = Source::new(bytes, encoding).expect("text");
        let mut table = Table::new(source, b',', Naming::Whole).expect("a header");
        let mut rows = Vec::new();
        while let Some(row) = table.next().expect("readable") {
            rows.push(row);
        }
        rows
    }

    fn data(row: &Row) -> Vec<&str> {
        let values = row.content.as_ref().expect("a good row");
        values.iter().map(|value| core::str::from_utf8(&value.data).expect("text")).collect()
    }

    fn numbers(rows: &[Row]) -> Vec<u64> {
        rows.iter().map(|row| row.number).collect()
    }

    #[test]
    fn rows_have_the_numbers_that_a_spreadsheet_shows() {
        for newline in ["\n", "\r\n"] {
            let text =
                ["identifier,NOTE", "88/a,one", "", "88/b,\"two\nlines\"", ",", "", "", "88/c,three", ""]
                    .join(newline);
            let rows = rows(text.as_bytes(), Encoding::Utf8);
            assert_eq!(numbers(&rows), [2, 4, 8], "{newline:?}");
            assert_eq!(data(&rows[1]), ["two\nlines"]);
        }
        let unended = rows(b"identifier,NOTE\n88/a,one\n\n88/b,two", Encoding::Utf8);
        assert_eq!(numbers(&unended), [2, 4]);
    }

    #[test]
    fn quotes_commas_and_formulas_stay_as_they_are() {
        let rows = rows(b"identifier,A,A\r\n88/a,\"say \"\"hi\"\", \r\n\",=1+1\r\n", Encoding::Utf8);
        assert_eq!(data(&rows[0]), ["say \"hi\", \r\n", "=1+1"]);
    }

    #[test]
    fn an_invalid_byte_is_reported_with_row_column_and_offset() {
        let found = rows(b"\xef\xbb\xbfidentifier,NAME\n88/a,caf\xe9\n88/b,good\n", Encoding::Utf8);
        let refused = found[0].content.as_ref().expect_err("no UTF-8");
        assert_eq!(found[0].number, 2);
        assert_eq!(refused.code, "ENCODING_INVALID");
        assert!(refused.message.contains("byte 27 of the file in column \"NAME\""), "{refused}");
        assert_eq!(data(&found[1]), ["good"], "the row after it is whole");
    }

    #[test]
    fn gb18030_cells_are_read() {
        let (bytes, _, _) = encoding_rs::GB18030.encode("identifier,名称\n88/零,轴承\n");
        let rows = rows(&bytes, Encoding::Gb18030);
        assert_eq!(rows[0].identifier, "88/零");
        assert_eq!(data(&rows[0]), ["轴承"]);
    }

    #[test]
    fn a_row_of_another_width_is_refused_and_the_next_is_read() {
        let rows = rows(b"identifier,A\n88/a\n88/b,1,2\n,x\n88/c,1\n", Encoding::Utf8);
        let refusals: Vec<String> = rows[..3]
            .iter()
            .map(|row| row.content.as_ref().expect_err("a bad row").message.clone())
            .collect();
        assert!(refusals[0].contains("1 cells, the header has 2"), "{refusals:?}");
        assert!(refusals[1].contains("3 cells, the header has 2"), "{refusals:?}");
        assert!(refusals[2].contains("identifier is empty"), "{refusals:?}");
        assert_eq!(data(&rows[3]), ["1"]);
    }

    #[test]
    fn a_quote_that_is_not_closed_is_refused() {
        let rows = rows(b"identifier,A\n88/a,1\n88/b,\"2\n88/c,3\n", Encoding::Utf8);
        assert_eq!(numbers(&rows), [2, 3]);
        let refused = rows[1].content.as_ref().expect_err("an open quote");
        assert!(refused.message.contains("not closed"), "{refused}");
    }

    #[test]
    fn a_quote_that_is_not_closed_does_not_fill_the_memory() {
        let mut bytes = b"identifier,A\n88/a,\"".to_vec();
        bytes.resize(super::super::source::ROW_BYTES_MAX + 100_000, b'x');
        let source = Source::new(bytes.as_slice(), Encoding::Utf8).expect("text");
        let mut table = Table::new(source, b',', Naming::Whole).expect("a header");
        let refused = table.next().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused.contains("row 2") && refused.contains("a quote is not closed"), "{refused}");
    }
}
