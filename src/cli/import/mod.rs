//! `idnode import`: registers the identifiers of a CSV or JSON lines file.
//!
//! ```text
//!   file ─▶ source (recognize, decode) ─▶ table | lines ─▶ rows ─▶ load ─▶ node
//!                 a thread of its own, bounded queue ──────┘        └─▶ result file, progress, summary
//! ```
//!
//! The file is read once, in order, with constant memory. A row that cannot be read or that the node refuses is
//! reported in the result file, and the import continues. A row whose values are registered already is skipped, so that
//! an interrupted import is simply run again. `table`, `columns` and `lines` document the file formats; `export` writes
//! the same.

mod row;
mod source;

mod columns;
mod lines;
mod table;

mod in_flight;
mod load;
mod result;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::thread;

use clap::{Args, ValueEnum};
use indicatif::HumanCount;
use serde_json::json;
use tokio::sync::{mpsc, watch};

use self::lines::Lines;
use self::load::{Existing, Loaded, Loader, Orders, Tally};
use self::result::ResultFile;
use self::row::{Naming, Row};
use self::source::{Encoding, Source};
use self::table::Table;
use super::connection::{ConnectionArguments, RequestArguments};
use super::error::Error;
use super::progress::rate;

/// Rows read ahead of the sender.
const ROWS_AHEAD: usize = 1_000;

//----------- ImportArguments ------------------------------------------------

/// Arguments of `idnode import`.
#[derive(Args, Debug)]
#[command(after_help = "\
CSV: the first row names the columns. The column `identifier` names the rows (or `suffix`, with --prefix); every other \
column is a value type, or INDEX:TYPE. Columns without an index take the numbers from 1 in column order; a repeated \
type gives several values; an empty cell is no value; cells stay text as they are.

    identifier,URL,3:NAME
    88.118.8/SN000123,https://example.com/SN000123,轴承

JSON lines: one object a line, either flat, or whole as `idnode resolve --json` and `idnode export` write it; data that is not text is {\"base64\": \"...\"}.

    {\"identifier\": \"88.118.8/SN000124\", \"URL\": \"https://example.com/SN000124\"}
    {\"identifier\": \"88.118.8/SN000125\", \"values\": [{\"index\": 1, \"type\": \"NAME\", \"data\": \"轴承\"}]}

Examples:
  idnode import parts.csv
  idnode import parts.csv --prefix 88.118.8 --encoding gb18030
  zcat parts.jsonl.gz | idnode import - --format jsonl --overwrite

Rows whose values are registered already are skipped, so that an interrupted import is simply run again; different ones are refused \
unless --overwrite. Row numbers are those a spreadsheet shows. Ends with 1 when a row was refused. With --timeout, the \
import is given up when the node has not answered for so long.")]
pub(super) struct ImportArguments {
    /// The file; - for standard input
    file: PathBuf,

    /// The file format; by default from the file name (.csv, .jsonl, .ndjson)
    #[arg(long, value_enum)]
    format: Option<FileFormat>,

    /// Character encoding of the file
    #[arg(long, value_enum, default_value = "utf-8")]
    encoding: Encoding,

    /// Separator of the columns of a CSV file
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = parse_delimiter)]
    delimiter: u8,

    /// The prefix of all identifiers, where the file has a column `suffix`
    #[arg(long)]
    prefix: Option<String>,

    /// Replace the values of identifiers that have other values
    #[arg(long)]
    overwrite: bool,

    /// The result file, with one line per refused row; by default FILE.result.csv, and standard error for standard input
    #[arg(long, value_name = "RESULT")]
    result: Option<PathBuf>,

    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

/// The format of a file of identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FileFormat {
    /// Comma-separated values
    Csv,
    /// JSON lines
    Jsonl,
}

impl FileFormat {
    /// The format that a file name implies.
    pub(super) fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "csv" | "tsv" | "txt" => Some(Self::Csv),
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

fn parse_delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        _ if text == "\\t" => Ok(b'\t'),
        [byte] if !matches!(byte, b'"' | b'\r' | b'\n') => Ok(*byte),
        _ => Err("write one character such as ; or \\t".into()),
    }
}

impl ImportArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let connection = self.connection.connection()?;
        let (input, file_bytes) = open(&self.file)?;
        let rows = self.rows(input)?;
        let result = ResultFile::create(self.result_path().as_deref())?;
        let request_id = self.request.request_id();
        let orders = Orders {
            request_id: request_id.clone(),
            existing: if self.overwrite { Existing::Overwrite } else { Existing::Refuse },
            file_bytes,
        };
        let (stopper, stop) = watch::channel(false);
        let listener = tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stopper.send_replace(true);
            }
        });
        let loader = Loader::new(connection, orders, rows, stop, result);
        let (loaded, ended) = loader.load().await;
        listener.abort();
        if loaded.tally.rows() > 0 || ended.is_ok() {
            self.summarize(&loaded)?;
        }
        ended?;
        refused_at_all(&loaded, &request_id)
    }

    /// Starts reading on its own thread, as fast as rows are received.
    fn rows(&self, input: Box<dyn Read + Send>) -> Result<mpsc::Receiver<Result<Row, Error>>, Error> {
        let source = Source::new(input, self.encoding).map_err(|error| self.named(error))?;
        let format = self.format.or_else(|| FileFormat::of_name(&self.file)).ok_or_else(|| {
            let name = self.file.display();
            Error::Usage(format!(
                "{name}: the file name does not determine the format; use --format csv or --format jsonl"
            ))
        })?;
        let naming = match &self.prefix {
            None => Naming::Whole,
            Some(prefix) => Naming::Under { prefix: prefix.clone() },
        };
        let (sender, receiver) = mpsc::channel(ROWS_AHEAD);
        match format {
            FileFormat::Csv => {
                let mut table =
                    Table::new(source, self.delimiter, naming).map_err(|error| self.named(error))?;
                thread::spawn(move || feed(&sender, || table.next()));
            }
            FileFormat::Jsonl => {
                let mut lines = Lines::new(source, naming);
                thread::spawn(move || feed(&sender, || lines.next()));
            }
        }
        Ok(receiver)
    }

    /// Prefixes an error of the file with its name.
    fn named(&self, error: Error) -> Error {
        match error {
            Error::Input(sentence) => Error::Input(format!("{}: {sentence}", self.file.display())),
            other => other,
        }
    }

    fn result_path(&self) -> Option<PathBuf> {
        if self.result.is_some() || self.file == Path::new("-") {
            return self.result.clone();
        }
        let mut name = self.file.clone().into_os_string();
        name.push(".result.csv");
        Some(name.into())
    }

    fn summarize(&self, loaded: &Loaded) -> Result<(), Error> {
        let tally = loaded.tally;
        let mut output = self.connection.output();
        let rate = rate(tally.rows(), loaded.elapsed);
        if output.is_json() {
            output.json(&json!({
                "rows": tally.rows(),
                "registered": tally.registered,
                "skipped": tally.skipped,
                "overwritten": tally.overwritten,
                "refused": tally.refused,
                "unknown": tally.unknown,
                "seconds": loaded.elapsed.as_secs_f64(),
                "rate": rate,
                "result": loaded.result.path(),
            }))?;
        } else {
            output.line(&format!(
                "registered {}, skipped {}, overwritten {}, refused {}; {:.1} s, {} rows per second",
                HumanCount(tally.registered),
                HumanCount(tally.skipped),
                HumanCount(tally.overwritten),
                HumanCount(tally.refused),
                loaded.elapsed.as_secs_f64(),
                HumanCount(rate)
            ))?;
        }
        output.flush()
    }
}

/// The input and its size; 0 when unknown.
fn open(path: &Path) -> Result<(Box<dyn Read + Send>, u64), Error> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), 0));
    }
    let file = File::open(path).map_err(|error| Error::file(path, &error))?;
    let metadata = file.metadata().map_err(|error| Error::file(path, &error))?;
    if metadata.is_dir() {
        return Err(Error::Usage(format!("{}: this is a directory; name a file", path.display())));
    }
    Ok((Box::new(file), metadata.len()))
}

/// Sends rows until there are none, or the receiver has gone.
fn feed(sender: &mpsc::Sender<Result<Row, Error>>, mut next: impl FnMut() -> Result<Option<Row>, Error>) {
    loop {
        let row = match next() {
            Ok(Some(row)) => Ok(row),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let is_last = row.is_err();
        if sender.blocking_send(row).is_err() || is_last {
            return;
        }
    }
}

fn refused_at_all(loaded: &Loaded, request_id: &str) -> Result<(), Error> {
    let Tally { refused, unknown, .. } = loaded.tally;
    let report = match loaded.result.path() {
        Some(path) => format!("; {} names each", path.display()),
        None => String::new(),
    };
    if unknown > 0 {
        return Err(Error::BrokenOff(format!(
            "the outcome of {} rows is unknown, and {} were refused{report}; run the same command again with \
             --request-id {request_id} to learn the outcome",
            HumanCount(unknown),
            HumanCount(refused)
        )));
    }
    if refused == 0 {
        return Ok(());
    }
    Err(Error::Incomplete(format!("{} rows were refused{report}", HumanCount(refused))))
}
