//! Result file: the refused rows with their reasons, in the form of the input, so that it is corrected and imported again.
//!
//! ```text
//!   refused_reason,refused_code,refused_row,identifier,URL          the input's encoding, mark, delimiter, line ends
//!   "the identifier ends with a space; ...",BLANKS,7,88.118.8/A ,https://example.com/
//! ```
//!
//! The columns of the reason come first, and an import does not read them. For JSON lines, a line with the reason comes
//! before the refused line, which is as it was. A reason never begins as a formula; the other cells are the user's own.

use std::fs::{self, File, Metadata};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::display::escape;
use super::super::error::{Error, Reason};
use super::super::output::notice;
use super::columns::RESULT_COLUMNS;
use super::row::Original;
use super::source::{Encoding, TextForm};
use super::table::TableForm;

//----------- InputForm ------------------------------------------------------

/// The form of an input file, in which its refused rows are written.
#[derive(Clone, Debug)]
pub(super) struct InputForm {
    /// Encoding, byte order mark and ends of lines.
    pub(super) text: TextForm,
    /// The form of a CSV file; none for JSON lines.
    pub(super) table: Option<TableForm>,
}

impl InputForm {
    /// The end of the name of a result file.
    pub(super) fn extension(&self) -> &'static str {
        if self.table.is_some() { ".result.csv" } else { ".result.jsonl" }
    }

    fn encode<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, [u8]> {
        match self.text.encoding {
            Encoding::Utf8 => text.as_bytes().into(),
            Encoding::Gb18030 => encoding_rs::GB18030.encode(text).0,
        }
    }

    /// What stands before the first refused row.
    fn beginning(&self) -> Result<String, Error> {
        let mut text = String::new();
        if self.text.has_mark {
            text.push('\u{feff}');
        }
        if let Some(table) = &self.table {
            if table.names_delimiter {
                text.push_str(&format!("sep={}{}", char::from(table.delimiter), self.text.line_end));
            }
            let own = RESULT_COLUMNS.iter().copied();
            text.push_str(&self.line(table, own.chain(table.header.iter().map(String::as_str)))?);
        }
        Ok(text)
    }

    /// One refused row.
    fn row(&self, refused: &RefusedRow<'_>, reason: &Reason) -> Result<String, Error> {
        let number = refused.number.to_string();
        match (&self.table, refused.original) {
            (Some(table), Original::Cells(cells)) => {
                let (message, code) = (plain(&reason.message), plain(&reason.code));
                let own = [message.as_str(), code.as_str(), number.as_str()].into_iter();
                self.line(table, own.chain(cells.iter().map(String::as_str)))
            }
            (_, Original::Line(line)) => {
                let [message, code, row] = RESULT_COLUMNS;
                let own = json!({ message: &reason.message, code: &reason.code, row: refused.number });
                Ok(format!("{own}{end}{line}{end}", end = self.text.line_end))
            }
            (None, Original::Cells(cells)) => Ok(format!("{}{}", cells.join(","), self.text.line_end)),
        }
    }

    fn line<'a>(&self, table: &TableForm, cells: impl Iterator<Item = &'a str>) -> Result<String, Error> {
        let failed = |cause: String| Error::File { path: "CSV".into(), cause };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(table.delimiter)
            .flexible(true)
            .from_writer(Vec::with_capacity(256));
        writer.write_record(cells).map_err(|error| failed(error.to_string()))?;
        let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
        let mut line = String::from_utf8(bytes).map_err(|error| failed(error.to_string()))?;
        line.truncate(line.trim_end_matches('\n').len());
        line.push_str(self.text.line_end);
        Ok(line)
    }
}

//----------- ResultFile -----------------------------------------------------

/// The report of refused rows.
pub(super) enum ResultFile {
    /// A file in the form of the input.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Form of the input.
        form: InputForm,
        /// The file. It has no buffer: what is known of a row stays when the import ends suddenly.
        file: File,
    },
    /// Lines on standard error, when the input has no name.
    Lines,
}

/// A row to report.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefusedRow<'a> {
    /// Number of the row.
    pub(super) number: u64,
    /// Identifier of the row.
    pub(super) identifier: &'a str,
    /// The row as in the file.
    pub(super) original: &'a Original,
}

impl ResultFile {
    /// Creates the file. One of an earlier import that has rows, which may have been corrected since, gets another name.
    pub(super) fn create(path: Option<&Path>, form: InputForm) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self::Lines) };
        let beginning = form.encode(&form.beginning()?).into_owned();
        if let Some(aside) = put_aside(path, &beginning).map_err(|error| Error::file(path, &error))? {
            notice(&format!("the result of an earlier import is now {}", aside.display()));
        }
        let mut file = File::create(path).map_err(|error| Error::file(path, &error))?;
        let written = file.write_all(&beginning);
        written.map_err(|error| Error::file(path, &error))?;
        Ok(Self::File { path: path.to_owned(), form, file })
    }

    /// Reports one refused row. When this returns, it is in the file; where that fails, on standard error.
    pub(super) fn refuse(&mut self, row: RefusedRow<'_>, reason: &Reason) -> Result<(), Error> {
        let written = match self {
            Self::File { path, form, file } => {
                let text = form.row(&row, reason)?;
                file.write_all(&form.encode(&text)).map_err(|error| Error::file(path, &error))
            }
            Self::Lines => Ok(()),
        };
        if matches!(self, Self::Lines) || written.is_err() {
            notice(&format!("row {}: {}: {reason}", row.number, escape(row.identifier)));
        }
        written
    }

    /// Path of the file, for the summary.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Lines => None,
        }
    }
}

/// Gives the file at a path the first free name `PATH.NUMBER`, where it has more than the beginning of a result.
fn put_aside(path: &Path, beginning: &[u8]) -> io::Result<Option<PathBuf>> {
    // A pipe or a device, such as /dev/stdout, has nothing to lose.
    let has_rows = |facts: Metadata| facts.is_file() && facts.len() > beginning.len() as u64;
    if !path.metadata().is_ok_and(has_rows) {
        return Ok(None);
    }
    let named = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let Some(aside) = (1..).map(named).find(|name| name.symlink_metadata().is_err()) else { return Ok(None) };
    fs::rename(path, &aside)?;
    Ok(Some(aside))
}

/// A cell that is safe in a spreadsheet: an apostrophe is put before text that would be a formula.
fn plain(text: &str) -> String {
    let escaped = escape(text).into_owned();
    if escaped.starts_with(['=', '+', '-', '@']) { format!("'{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::super::error::Reason;
    use super::super::row::Original;
    use super::super::source::{Encoding, TextForm};
    use super::super::table::TableForm;
    use super::{InputForm, RefusedRow, ResultFile};

    fn written(form: InputForm, originals: &[Original]) -> Vec<u8> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("result");
        let mut file = ResultFile::create(Some(&path), form).expect("a file");
        let reason = Reason::new("ROW_MALFORMED", "a \"quote\",\nand a line");
        for original in originals {
            let row = RefusedRow { number: 7, identifier: "88/x", original };
            file.refuse(row, &reason).expect("written");
        }
        fs::read(&path).expect("readable")
    }

    fn cells(cells: &[&str]) -> Original {
        Original::Cells(cells.iter().map(|cell| (*cell).to_owned()).collect())
    }

    fn table(encoding: Encoding) -> InputForm {
        let header = ["标识", "URL"].map(str::to_owned).to_vec();
        InputForm {
            text: TextForm { encoding, has_mark: encoding == Encoding::Utf8, line_end: "\r\n" },
            table: Some(TableForm { header, delimiter: b';', names_delimiter: true }),
        }
    }

    #[test]
    fn the_rows_of_an_earlier_import_are_not_lost() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("result");
        let create = || ResultFile::create(Some(&path), table(Encoding::Utf8)).expect("a file");
        let original = cells(&["88/x ", "u"]);
        for _ in 0..2 {
            let row = RefusedRow { number: 7, identifier: "88/x", original: &original };
            create().refuse(row, &Reason::new("BLANKS", "a blank")).expect("written");
        }
        let one = fs::read_to_string(&path).expect("the second");
        drop((create(), create()));
        let names =
            ["result.1", "result.2"].map(|name| fs::read_to_string(directory.path().join(name)).expect(name));
        assert_eq!(names, [one.clone(), one]);
        assert_eq!(fs::read_dir(directory.path()).expect("names").count(), 3, "one without rows is replaced");
    }

    #[test]
    fn a_refused_row_has_the_form_of_the_input_with_the_reason_first() {
        let found = written(table(Encoding::Utf8), &[cells(&["88/零 ", "a;b"]), cells(&["88/short"])]);
        let expected = "\u{feff}sep=;\r\nrefused_reason;refused_code;refused_row;标识;URL\r\n\
                        \"a \"\"quote\"\",\\nand a line\";ROW_MALFORMED;7;88/零 ;\"a;b\"\r\n\
                        \"a \"\"quote\"\",\\nand a line\";ROW_MALFORMED;7;88/short\r\n";
        assert_eq!(String::from_utf8(found).expect("text"), expected);
    }

    #[test]
    fn the_encoding_is_that_of_the_input() {
        let found = written(table(Encoding::Gb18030), &[cells(&["88/零€", "u"])]);
        let (text, _, is_wrong) = encoding_rs::GB18030.decode(&found);
        assert!(!is_wrong && text.starts_with("sep=;\r\n") && text.ends_with(";88/零€;u\r\n"), "{text}");
    }

    #[test]
    fn a_refused_line_of_json_stays_as_it_is_behind_its_reason() {
        let form = InputForm {
            text: TextForm { encoding: Encoding::Utf8, has_mark: false, line_end: "\n" },
            table: None,
        };
        let found = written(form, &[Original::Line("{\"identifier\": broken".into())]);
        let expected = "{\"refused_code\":\"ROW_MALFORMED\",\"refused_reason\":\"a \\\"quote\\\",\\nand a line\",\
                        \"refused_row\":7}\n{\"identifier\": broken\n";
        assert_eq!(String::from_utf8(found).expect("text"), expected);
    }
}
