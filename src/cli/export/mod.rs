//! `idnode export`: writes the identifiers of prefixes to a CSV or JSON lines file that `import` reads back as equal content.
//!
//! JSON lines carry everything. CSV carries text with default TTL and permissions, without references; anything else is
//! refused with the name of the identifier, before anything is written. Its columns are `INDEX:TYPE`, known only after all identifiers
//! have been seen, so that a CSV export reads them twice.

mod table;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use indicatif::HumanCount;
use serde::Serialize;

use self::table::{FormulaCells, Sheet, SheetColumns};
use super::connection::ConnectionArguments;
use super::display::escape;
use super::error::Error;
use super::import::FileFormat;
use super::output::{self, notice};
use super::progress::{Point, Progress};
use super::question::Pages;
use super::value_form::ValueForm;
use crate::wire::proto;

//----------- ExportArguments ------------------------------------------------

/// Arguments of `idnode export`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode export 88.118.8 --output parts.jsonl
  idnode export 88.118.8 88.118.9 --output parts.csv --bom
  idnode export 88.118.8 --format jsonl | gzip > parts.jsonl.gz

Writes the identifiers whose prefix is exactly one of those named, in canonical order, with the values that the token \
may read. JSON lines carry everything. CSV refuses what it cannot carry (data that is not text, empty data, a TTL other than \
86400 s, permissions other than the type's own, references) and names the identifier. `idnode import` reads both back as \
equal content; what looks like an accident of a spreadsheet it accepts with --accept.")]
pub(super) struct ExportArguments {
    /// Prefixes, such as 88.118.8
    #[arg(required = true, value_name = "PREFIX")]
    prefixes: Vec<String>,

    /// The file to write; standard output by default
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The file format; by default from the file name (.csv, .jsonl, .ndjson), and JSON lines without a name
    #[arg(long, value_enum)]
    format: Option<FileFormat>,

    /// Begin a CSV file with a byte order mark, by which spreadsheets recognize UTF-8
    #[arg(long)]
    bom: bool,

    /// What to do with CSV cells that begin with = + - @ and that a spreadsheet would run as a formula. Default: refuse with
    /// --bom, which is for spreadsheets; otherwise keep, with a warning. Cells are never altered
    #[arg(long, value_enum)]
    formulas: Option<Formulas>,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

/// Treatment of cells that a spreadsheet would run as a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Formulas {
    /// Write such cells unchanged
    Keep,
    /// Refuse the export, naming the identifier
    Refuse,
}

impl ExportArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let named = self.output.as_deref().and_then(FileFormat::of_name);
        let format = self.format.or(named);
        if format.is_none() && self.output.is_some() {
            return Err(Error::Usage(
                "the file name does not determine the format; use --format csv or --format jsonl".into(),
            ));
        }
        match format.unwrap_or(FileFormat::Jsonl) {
            FileFormat::Jsonl if self.bom || self.formulas.is_some() => Err(Error::Usage(
                "--bom and --formulas are for spreadsheets; leave them out, or use --format csv".into(),
            )),
            FileFormat::Jsonl => self.write_lines().await,
            FileFormat::Csv => self.write_table().await,
        }
    }

    async fn write_lines(&self) -> Result<(), Error> {
        let mut target = Target::create(self.output.as_deref())?;
        let mut progress = Progress::new("identifiers");
        let mut written = 0;
        self.each("", &mut progress, |found| {
            written += 1;
            let values = found.values.iter().map(ValueForm::content).collect();
            let line = Line { identifier: &found.identifier, values };
            let text = output::json_line(&line).map_err(|error| target.failed(&error.to_string()))?;
            target.write(text.as_bytes())?;
            target.write(b"\n")
        })
        .await?;
        finish(target, &progress, written)
    }

    async fn write_table(&self) -> Result<(), Error> {
        let mut progress = Progress::new("identifiers");
        let mut columns = SheetColumns::new(match self.formulas {
            Some(formulas) => formulas,
            None if self.bom => Formulas::Refuse,
            None => Formulas::Keep,
        });
        self.each("looking for columns", &mut progress, |found| columns.see(found)).await?;
        self.warn_of_formulas(columns.formula_cells());
        let mut target = Target::create(self.output.as_deref())?;
        if self.bom {
            target.write("\u{feff}".as_bytes())?;
        }
        let mut sheet = Sheet::new(columns);
        target.write(&sheet.header()?)?;
        let mut written = 0;
        self.each("writing", &mut progress, |found| {
            written += 1;
            target.write(&sheet.row(found)?)
        })
        .await?;
        finish(target, &progress, written)
    }

    /// Warns of cells that a spreadsheet would run, unless the user chose to keep them.
    fn warn_of_formulas(&self, cells: &FormulaCells) {
        if cells.count > 0 && self.formulas.is_none() {
            notice(&format!(
                "idnode: warning: {} cells begin with = + - @, the first at {}: a spreadsheet would run them as \
                 formulas; for a spreadsheet use --bom, which refuses them, or --formulas keep to leave this warning out",
                HumanCount(cells.count),
                escape(&cells.first)
            ));
        }
    }

    /// Calls `visit` with every identifier, in order.
    async fn each(
        &self,
        stage: &str,
        progress: &mut Progress,
        mut visit: impl FnMut(&proto::Found) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut seen = 0;
        for prefix in &self.prefixes {
            let connection = self.connection.connection()?;
            let mut pages = Pages::new(connection, prefix, 0).await?;
            while let Some(page) = pages.next().await? {
                page.iter().try_for_each(&mut visit)?;
                seen += page.len() as u64;
                progress.advance(stage, Point { things: seen, done: 0, whole: 0 });
            }
        }
        Ok(())
    }
}

/// An identifier as one JSON line.
#[derive(Serialize)]
struct Line<'a> {
    identifier: &'a str,
    values: Vec<ValueForm>,
}

fn finish(target: Target, progress: &Progress, written: u64) -> Result<(), Error> {
    let is_file = target.path.is_some();
    target.finish()?;
    progress.finish();
    if is_file {
        notice(&format!("{} identifiers written", HumanCount(written)));
    }
    Ok(())
}

//----------- Target ---------------------------------------------------------

/// The target of an export: standard output, or a file that appears when it is complete.
struct Target {
    writer: BufWriter<Box<dyn Write + Send>>,
    path: Option<PathBuf>,
}

impl Target {
    fn create(path: Option<&Path>) -> Result<Self, Error> {
        let path = path.filter(|path| *path != Path::new("-"));
        let writer: Box<dyn Write + Send> = match path {
            None => Box::new(io::stdout()),
            Some(path) => {
                let partial = partial(path);
                Box::new(File::create(&partial).map_err(|error| Error::file(&partial, &error))?)
            }
        };
        Ok(Self { writer: BufWriter::new(writer), path: path.map(Path::to_owned) })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.writer.write_all(bytes);
        written.map_err(|error| self.refused(&error))
    }

    /// Flushes the buffer, and renames the file to its final name.
    fn finish(mut self) -> Result<(), Error> {
        let flushed = self.writer.flush();
        flushed.map_err(|error| self.refused(&error))?;
        let Some(path) = self.path.take() else { return Ok(()) };
        let partial = partial(&path);
        let synced = File::open(&partial).and_then(|file| file.sync_all());
        synced.and_then(|()| fs::rename(&partial, &path)).map_err(|error| Error::file(&path, &error))
    }

    fn refused(&self, error: &io::Error) -> Error {
        match &self.path {
            None => output::closed(error),
            Some(path) => Error::file(path, error),
        }
    }

    fn failed(&self, cause: &str) -> Error {
        self.refused(&io::Error::other(cause.to_owned()))
    }
}

impl Drop for Target {
    /// Removes an incomplete file.
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // A failure to remove it cannot be handled any better.
            let _ = fs::remove_file(partial(path));
        }
    }
}

fn partial(path: &Path) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(".partial");
    name.into()
}
