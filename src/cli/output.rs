//! Output: standard output for people or for programs.
//!
//! `--json` prints one JSON document a line: one line for a single thing, one line a thing for lists, so that scripts
//! read lists of any length line by line. Words for people that are no result go to standard error.

use std::io::{self, BufWriter, ErrorKind, Write};

use serde::Serialize;

use super::display::Table;
use super::error::Error;

/// For whom a command prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// People.
    Text,
    /// Programs.
    Json,
}

/// Where a command's result goes.
pub(super) struct Output {
    form: Form,
    out: Box<dyn Write + Send>,
}

impl Output {
    /// Standard output.
    pub(super) fn new(form: Form) -> Self {
        Self { form, out: Box::new(BufWriter::new(io::stdout())) }
    }

    /// Whether programs read it.
    pub(super) fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// One line for people.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Error> {
        writeln!(self.out, "{line}").map_err(|error| closed(&error))
    }

    /// A table for people.
    pub(super) fn table(&mut self, table: Table) -> Result<(), Error> {
        table.lines().iter().try_for_each(|line| self.line(line))
    }

    /// One document for programs.
    pub(super) fn json(&mut self, document: &impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_string(document)
            .map_err(|error| Error::File { path: "standard output".into(), cause: error.to_string() })?;
        self.line(&line)
    }

    /// Sends what is buffered.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        self.out.flush().map_err(|error| closed(&error))
    }
}

/// What a write to standard output that failed means: a reader such as `head` that has had enough is no error.
pub(super) fn closed(error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::BrokenPipe => Error::OutputClosed,
        _ => Error::File { path: "standard output".into(), cause: error.to_string() },
    }
}

/// Tells a person something that is no result. That nobody can read it is no reason to stop.
pub(super) fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
