//! Result file: one line per refused row, for a spreadsheet or a script.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::super::display::escape;
use super::super::error::{Error, Reason};
use super::super::output::notice;

/// The report of refused rows.
pub(super) enum ResultFile {
    /// A CSV file.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Writer of the file.
        writer: Box<csv::Writer<BufWriter<File>>>,
    },
    /// Lines on standard error, when the input has no name.
    Lines,
}

impl ResultFile {
    /// Creates the file; replaces one of an earlier import.
    pub(super) fn create(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Self::Lines) };
        let file = File::create(path).map_err(|error| Error::file(path, &error))?;
        let mut writer = csv::Writer::from_writer(BufWriter::new(file));
        let written = writer.write_record(["row", "identifier", "code", "message"]);
        written.map_err(|error| failed(path, error))?;
        Ok(Self::File { path: path.to_owned(), writer: Box::new(writer) })
    }

    /// Reports one refused row.
    pub(super) fn refuse(&mut self, row: u64, identifier: &str, reason: &Reason) -> Result<(), Error> {
        match self {
            Self::File { path, writer } => {
                let cells =
                    [&row.to_string(), &plain(identifier), &plain(&reason.code), &plain(&reason.message)];
                writer.write_record(cells).map_err(|error| failed(path, error))
            }
            Self::Lines => {
                notice(&format!("row {row}: {}: {reason}", escape(identifier)));
                Ok(())
            }
        }
    }

    /// Flushes the buffer.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::File { path, writer } => writer.flush().map_err(|error| Error::file(path, &error)),
            Self::Lines => {
                io::stderr().flush().map_err(|error| Error::file(Path::new("standard error"), &error))
            }
        }
    }

    /// Path of the file, for the summary.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Lines => None,
        }
    }
}

fn failed(path: &Path, error: csv::Error) -> Error {
    Error::File { path: path.display().to_string(), cause: error.to_string() }
}

/// A cell that is safe in a spreadsheet: an apostrophe is put before text that would be a formula.
fn plain(text: &str) -> String {
    let escaped = escape(text).into_owned();
    if escaped.starts_with(['=', '+', '-', '@']) { format!("'{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::super::super::error::Reason;
    use super::ResultFile;

    #[test]
    fn a_refused_row_is_one_line_that_no_spreadsheet_runs() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("parts.csv.result.csv");
        let mut file = ResultFile::create(Some(&path)).expect("a file");
        let reason = Reason::new("ROW_MALFORMED", "a \"quote\",\nand a line");
        file.refuse(7, "=HYPERLINK(1)", &reason).expect("written");
        file.flush().expect("written");
        let written = std::fs::read_to_string(&path).expect("readable");
        let expected = "row,identifier,code,message\n\
                        7,'=HYPERLINK(1),ROW_MALFORMED,\"a \"\"quote\"\",\\nand a line\"\n";
        assert_eq!(written, expected);
    }
}
