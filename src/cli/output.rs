//! Output: results on standard output, as text for people or as JSON for programs.
//!
//! `--json` prints one JSON document per line, and lists as one line per item, so that scripts read lists of any length
//! line by line. Text that is not part of the result goes to standard error.

use std::io::{self, BufWriter, ErrorKind, Write};

use serde::Serialize;

use super::display::Table;
use super::error::Error;

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// The output of a command's result.
pub(super) struct Output {
    form: Form,
    out: Box<dyn Write + Send>,
}

impl Output {
    /// Output to standard output.
    pub(super) fn new(form: Form) -> Self {
        Self { form, out: Box::new(BufWriter::new(io::stdout())) }
    }

    /// Whether the format is JSON.
    pub(super) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// Writes one line of text.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Error> {
        writeln!(self.out, "{line}").map_err(|error| closed(&error))
    }

    /// Writes a table as text.
    pub(super) fn table(&mut self, table: Table) -> Result<(), Error> {
        table.lines().iter().try_for_each(|line| self.line(line))
    }

    /// Writes one JSON document.
    pub(super) fn json(&mut self, document: &impl Serialize) -> Result<(), Error> {
        let line = json_line(document)
            .map_err(|error| Error::File { path: "standard output".into(), cause: error.to_string() })?;
        self.line(&line)
    }

    /// Flushes the buffer.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.out.flush().map_err(|error| closed(&error))
    }
}

/// One JSON document on a line. Characters that an import takes for what could not be read are escaped, which it takes as
/// they are.
pub(super) fn json_line(document: &impl Serialize) -> serde_json::Result<String> {
    let line = serde_json::to_string(document)?;
    Ok(line.replace('\u{fffd}', "\\ufffd").replace('\u{fdd0}', "\\ufdd0"))
}

/// Converts a failed write to standard output; a reader such as `head` that ended early is not an error.
pub(super) fn closed(error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::BrokenPipe => Error::OutputClosed,
        _ => Error::File { path: "standard output".into(), cause: error.to_string() },
    }
}

/// Writes a line that is not part of the result to standard error. A failure to write is ignored.
pub(super) fn notice(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
