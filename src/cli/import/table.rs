//! Table: the rows of a CSV file, understood by its header and numbered as a spreadsheet shows them.
//!
//! The header is the first row, after the line `sep=;` if there is one. A cell in quotes may hold line breaks; it is
//! still one row. Rows of empty cells and blank lines are skipped, but counted.

use std::io::Read;

use super::super::error::{Error, Reason};
use super::accident::Accident;
use super::columns::Columns;
use super::reading::{Naming, Reading};
use super::record::{Record, Records, Shape};
use super::row::{Content, Original, Row, malformed, undecodable};
use super::source::{MARK, Source, shown};

//----------- Table ----------------------------------------------------------

/// A CSV file whose header has been read.
pub(super) struct Table<R> {
    records: Records<R>,
    reading: Reading,
    columns: Columns,
    form: TableForm,
}

/// The form of a CSV file, by which another one like it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableForm {
    /// The header, without the columns of an earlier result file.
    pub(super) header: Vec<String>,
    /// The delimiter of the cells.
    pub(super) delimiter: u8,
    /// Whether the file begins with the line `sep=` of a spreadsheet.
    pub(super) names_delimiter: bool,
}

impl<R: Read> Table<R> {
    /// Reads the header. The delimiter is a comma, unless one is given or the file names one.
    pub(super) fn new(source: Source<R>, delimiter: Option<u8>, reading: Reading) -> Result<Self, Error> {
        let mut records = Records::new(source, delimiter.unwrap_or(b','));
        let named = records.take_separator_line()?;
        if let (Some(named), Some(given)) = (named, delimiter)
            && named != given
        {
            let (named, given) = (char::from(named), char::from(given));
            return Err(Error::Input(format!(
                "row 1 says that {named:?} separates the columns, and --delimiter that {given:?} does; leave \
                 --delimiter out"
            )));
        }
        let Some(record) = records.next()? else {
            return Err(Error::Input("the file is empty; its first row names the columns".into()));
        };
        let at = |cause: String| Error::Input(format!("row {}: {cause}", record.number));
        if let Some(offset) = record.invalid {
            return Err(at(records.source().complaint(offset, None)));
        }
        if record.has_open_quote && !reading.tolerance.accepts(Accident::Quotes) {
            return Err(at("a quote that opens in the header is not closed; close it, or double it".into()));
        }
        let columns = Columns::of_header(&record.cells, &reading).map_err(at)?;
        records.set_shape(Shape {
            width: columns.len(),
            name: columns.name_position(),
            is_whole: reading.naming == Naming::Whole,
        });
        let form = TableForm {
            header: columns.original(record.cells),
            delimiter: records.delimiter(),
            names_delimiter: named.is_some(),
        };
        Ok(Self { records, reading, columns, form })
    }

    /// The form of the file.
    pub(super) fn form(&self) -> &TableForm {
        &self.form
    }

    /// The next row that is not blank; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Error> {
        loop {
            let Some(record) = self.records.next()? else { return Ok(None) };
            if record.cells.iter().any(|cell| !cell.is_empty()) {
                return Ok(Some(self.row(record)));
            }
        }
    }

    fn row(&self, record: Record) -> Row {
        let name = self.reading.text(self.columns.name_cell(&record.cells));
        let (identifier, content) = match self.reading.identifier(name) {
            Ok(identifier) => (identifier, self.content(&record)),
            Err(reason) => {
                // A cell that is missing or not text has another reason.
                let content = self.content(&record).and(Err(reason));
                (self.reading.naming.identifier(name), content)
            }
        };
        let mut original = self.columns.original(record.cells);
        if record.invalid.is_some() {
            original.iter_mut().for_each(|cell| *cell = shown(cell));
        }
        Row {
            number: record.number,
            identifier: if record.invalid.is_some() { shown(&identifier) } else { identifier },
            content,
            original: Original::Cells(original),
            read_bytes: self.records.source().read_bytes(),
        }
    }

    fn content(&self, record: &Record) -> Result<Content, Reason> {
        if let Some(offset) = record.invalid {
            let position = record.cells.iter().position(|cell| cell.contains(MARK));
            let column = position.map(|position| self.columns.name(position));
            return Err(undecodable(self.records.source().complaint(offset, column.as_deref())));
        }
        if record.has_open_quote
            && let Some(found) =
                self.reading.tolerance.found(Accident::Quotes, "a quote that opens in this row is not closed")
        {
            return Err(found.reason());
        }
        if record.cells.len() != self.columns.len() {
            return Err(malformed(format!(
                "the row has {} cells, the header has {}; give every row as many cells as the header",
                record.cells.len(),
                self.columns.len()
            )));
        }
        self.columns.content(&record.cells, &self.reading)
    }
}

#[cfg(test)]
mod tests {
    use super::super::accident::{Accident, Tolerance};
    use super::super::reading::Reading;
    use super::super::reading::tests::{plain, under};
    use super::super::row::{Original, Row};
    use super::super::source::{Encoding, Source};
    use super::Table;

    fn rows_of(bytes: &[u8], encoding: Encoding, reading: Reading) -> Vec<Row> {
        let source = Source::new(bytes, encoding).expect("text");
        let mut table = Table::new(source, None, reading).expect("a header");
        let mut rows = Vec::new();
        while let Some(row) = table.next().expect("readable") {
            rows.push(row);
        }
        rows
    }

    fn rows(bytes: &[u8]) -> Vec<Row> {
        rows_of(bytes, Encoding::Utf8, plain())
    }

    fn refuse(bytes: &[u8], delimiter: Option<u8>) -> String {
        let source = Source::new(bytes, Encoding::Utf8).expect("text");
        Table::new(source, delimiter, plain()).err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn data(row: &Row) -> Vec<&str> {
        let values = row.content.as_ref().expect("a good row").values();
        values.map(|value| core::str::from_utf8(&value.data).expect("text")).collect()
    }

    fn numbers(rows: &[Row]) -> Vec<u64> {
        rows.iter().map(|row| row.number).collect()
    }

    fn refusal(row: &Row) -> (&str, &str) {
        let reason = row.content.as_ref().expect_err("a bad row");
        (&reason.code, &reason.message)
    }

    #[test]
    fn rows_have_the_numbers_that_a_spreadsheet_shows() {
        for newline in ["\n", "\r\n"] {
            let text =
                ["identifier,NOTE", "88/a,one", "", "88/b,\"two\nlines\"", ",", "", "", "88/c,three", ""]
                    .join(newline);
            let rows = rows(text.as_bytes());
            assert_eq!(numbers(&rows), [2, 4, 8], "{newline:?}");
            assert_eq!(data(&rows[1]), ["two\nlines"]);
        }
        let unended = rows(b"identifier,NOTE\n88/a,one\n\n88/b,two");
        assert_eq!(numbers(&unended), [2, 4]);
    }

    #[test]
    fn quotes_commas_and_formulas_stay_as_they_are() {
        let reading = Reading { tolerance: Tolerance::of(&[Accident::Blanks]), ..plain() };
        let text = b"identifier,A,A\r\n88/a,\"say \"\"hi\"\", \r\n\",=1+1\r\n";
        let rows = rows_of(text, Encoding::Utf8, reading);
        assert_eq!(data(&rows[0]), ["say \"hi\", \r\n", "=1+1"]);
    }

    #[test]
    fn an_invalid_byte_is_reported_with_row_column_and_offset() {
        let found = rows(b"\xef\xbb\xbfidentifier,NAME\n88/a,caf\xe9\n88/b,good\n");
        assert_eq!(found[0].number, 2);
        let (code, message) = refusal(&found[0]);
        assert_eq!(code, "ENCODING_INVALID");
        assert!(message.contains("byte 27 of the file in column \"NAME\""), "{message}");
        assert_eq!(data(&found[1]), ["good"], "the row after it is whole");
        let shown = ["88/a", "caf\u{fffd}"].map(str::to_owned).to_vec();
        assert_eq!(found[0].original, Original::Cells(shown), "as in the result file");
    }

    /// The mark of an invalid byte differs from the same code point in the file, which earlier result files have.
    #[test]
    fn a_mark_in_the_file_is_refused_or_taken_as_it_is() {
        let text = "identifier,A\n88/a,caf\u{fdd0}\n88/b\u{fdd0},1\n".as_bytes();
        let refused = rows(text);
        let codes: Vec<&str> = refused.iter().map(|row| refusal(row).0).collect();
        assert_eq!(codes, ["REPLACEMENT", "REPLACEMENT"]);
        assert!(refusal(&refused[0]).1.contains("U+FDD0"), "{}", refusal(&refused[0]).1);
        let reading = Reading { tolerance: Tolerance::of(&[Accident::Replacement]), ..plain() };
        let accepted = rows_of(text, Encoding::Utf8, reading);
        assert_eq!(
            (data(&accepted[0]), accepted[1].identifier.as_str()),
            (vec!["caf\u{fdd0}"], "88/b\u{fdd0}")
        );
    }

    #[test]
    fn gb18030_cells_are_read() {
        let (bytes, _, _) = encoding_rs::GB18030.encode("标识,名称\n88/零,轴承\n");
        let rows = rows_of(&bytes, Encoding::Gb18030, plain());
        assert_eq!(rows[0].identifier, "88/零");
        assert_eq!(data(&rows[0]), ["轴承"]);
    }

    #[test]
    fn a_row_of_another_width_is_refused_and_the_next_is_read() {
        let rows = rows(b"identifier,A\n88/a\n88/b,1,2\n,x\n88/c,1\n");
        let refusals: Vec<&str> = rows[..3].iter().map(|row| refusal(row).1).collect();
        assert!(refusals[0].contains("1 cells, the header has 2"), "{refusals:?}");
        assert!(refusals[1].contains("3 cells, the header has 2"), "{refusals:?}");
        assert!(refusals[2].contains("identifier is empty"), "{refusals:?}");
        assert_eq!(data(&rows[3]), ["1"]);
        assert_eq!(rows[1].original, Original::Cells(["88/b", "1", "2"].map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_quote_that_is_not_closed_is_refused_and_the_rows_after_it_are_read() {
        let text = b"identifier,A\n88/a,1\n88/b,\"2\n88/c,3\n";
        let found = rows(text);
        assert_eq!(numbers(&found), [2, 3, 4]);
        let (code, message) = refusal(&found[1]);
        assert!(code == "QUOTES" && message.contains("not closed"), "{message}");
        assert_eq!(data(&found[2]), ["3"]);
        let reading = Reading { tolerance: Tolerance::of(&[Accident::Quotes]), ..plain() };
        assert_eq!(data(&rows_of(text, Encoding::Utf8, reading)[1]), ["\"2"], "accepted as text");
    }

    #[test]
    fn accidents_in_identifiers_and_cells_are_refused_by_kind() {
        let text = "identifier,A\n88/a ,1\n88/b\u{200b}c,1\n88/6.9E+12,1\n88/d,1.5E+10\n88/e, x\n88/f,caf\u{fffd}\n88/g,1\n";
        let rows = rows(text.as_bytes());
        let codes: Vec<&str> = rows[..6].iter().map(|row| refusal(row).0).collect();
        assert_eq!(codes, ["BLANKS", "INVISIBLE", "SCIENTIFIC", "SCIENTIFIC", "BLANKS", "REPLACEMENT"]);
        assert_eq!(rows[0].identifier, "88/a ", "the refusal names it");
        assert!(refusal(&rows[4]).1.starts_with("the cell in column \"A\" begins with a space"));
        assert_eq!(data(&rows[6]), ["1"]);
        let whole = rows_of(b"suffix,A\n88.118.8/x,1\n", Encoding::Utf8, under("88.118.8"));
        assert_eq!(refusal(&whole[0]).0, "PREFIX_IN_SUFFIX");
    }

    #[test]
    fn a_file_may_name_its_delimiter() {
        let found = rows(b"sep=;\r\nidentifier;A\r\n88/a;1,2\r\n");
        assert_eq!((numbers(&found), data(&found[0])), (vec![3], vec!["1,2"]));
        assert!(refuse(b"sep=;\nidentifier;A\n", Some(b',')).contains("leave --delimiter out"));
        assert_eq!(refuse(b"sep=;\nidentifier;A\n", Some(b';')), "");
        assert!(refuse(b"", None).contains("the file is empty"));
        assert!(
            refuse(b"identifier,\"A\n88/a,1\n", None).contains("row 1: a quote that opens in the header")
        );
    }
}
