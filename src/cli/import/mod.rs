//! `idnode import`: registers the identifiers of a CSV or JSON lines file; and the same for files of changes and of
//! identifiers to remove.
//!
//! ```text
//!   file ─▶ source (recognize, decode) ─▶ records ─▶ table │ lines ─▶ rows ─▶ load ─▶ node
//!                 ahead: a thread of its own, bounded ─────┴──────────┘        └─▶ result file, progress, summary
//! ```
//!
//! The file is read once, in order. A row that cannot be read, that looks like an accident of a spreadsheet, or that the
//! node refuses is reported in the result file, and the import continues. A row whose values are registered already is
//! skipped, so that an interrupted import is simply run again. `table`, `columns` and `lines` document the file formats;
//! `export` writes the same. `accident` lists what is refused unless it is accepted.

mod row;
mod source;

mod accident;
mod mapping;
mod reading;

mod columns;
mod record;

mod lines;
mod table;

mod duplicates;

mod ahead;
mod arguments;
mod in_flight;
mod load;
mod rehearsal;
mod result;

use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::HumanCount;
use serde_json::json;
use tokio::sync::watch;

pub(super) use self::arguments::{FileArguments, FileFormat};
use self::load::{Existing, Loaded, Loader, Orders, Tally};
use self::mapping::{TypePermissions, parse_permissions};
pub(super) use self::reading::Purpose;
use self::rehearsal::Rehearsal;
use self::result::ResultFile;
use super::connection::{ConnectionArguments, RequestArguments};
use super::error::Error;
use super::progress::rate;

//----------- ImportArguments ------------------------------------------------

/// Arguments of `idnode import`.
#[derive(Args, Debug)]
#[command(after_help = "\
CSV: the first row names the columns. The column `identifier` (标识) names the rows, or `suffix` (后缀) with --prefix; \
every other column is a value type, or INDEX:TYPE. Columns without an index take the numbers from 1 in column order; a repeated \
type gives several values; an empty cell is no value; cells stay text as they are. --map gives other names a meaning.

    identifier,URL,3:NAME
    88.118.8/SN000123,https://example.com/SN000123,轴承

JSON lines: one object a line, either flat, or whole as `idnode resolve --json` and `idnode export` write it; data that is not text is {\"base64\": \"...\"}.

    {\"identifier\": \"88.118.8/SN000124\", \"URL\": \"https://example.com/SN000124\"}
    {\"identifier\": \"88.118.8/SN000125\", \"values\": [{\"index\": 1, \"type\": \"NAME\", \"data\": \"轴承\"}]}

Examples:
  idnode import parts.csv --dry-run
  idnode import parts.csv --prefix 88.118.8 --encoding gb18030 --trim
  idnode import parts.csv --map 编码=identifier --map 网址=URL --map 备注=skip
  idnode import parts.csv --permissions PRICE=1100
  zcat parts.jsonl.gz | idnode import - --format jsonl --overwrite

What looks like an accident is refused with what would be right, and taken with --accept KIND: blanks, invisible \
characters, numbers that a spreadsheet shortened (6.90123E+12), a whole identifier in the column `suffix`, quotes that are not closed, \
identifiers that an earlier row has, columns such as TTL that would be public values.

Rows whose values are registered already are skipped, so that an interrupted import is simply run again; different ones are refused \
unless --overwrite. Refused rows go to the result file in the form of the input, the reason first: correct it and import \
it. Row numbers are those a spreadsheet shows. Ends with 1 when a row was refused, and with 75 when the outcome of a row is unknown. With --timeout, the \
import is given up when the node has not answered for so long.")]
pub(super) struct ImportArguments {
    /// The file; - for standard input
    file: PathBuf,

    #[command(flatten)]
    reading: FileArguments,

    /// Permissions of the values of a type, four digits 0 or 1: administrators read, administrators write, public read,
    /// public write; may be given several times
    #[arg(long, value_name = "TYPE=DIGITS", value_parser = parse_permissions)]
    permissions: Vec<TypePermissions>,

    /// Replace the values of identifiers that have other values
    #[arg(long)]
    overwrite: bool,

    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

impl ImportArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let existing = if self.overwrite { Existing::Overwrite } else { Existing::Refuse };
        let bulk = Bulk {
            path: &self.file,
            reading: &self.reading,
            request: &self.request,
            connection: &self.connection,
        };
        bulk.carry_out(Purpose::Register, self.permissions, existing).await
    }
}

//----------- Bulk -----------------------------------------------------------

/// A command for all identifiers of a file.
pub(super) struct Bulk<'a> {
    /// The file; - for standard input.
    pub(super) path: &'a Path,
    /// How it is read.
    pub(super) reading: &'a FileArguments,
    /// The request id.
    pub(super) request: &'a RequestArguments,
    /// The node.
    pub(super) connection: &'a ConnectionArguments,
}

impl Bulk<'_> {
    /// Changes or removes the identifiers of the file.
    pub(super) async fn run(self, purpose: Purpose) -> Result<(), Error> {
        self.carry_out(purpose, Vec::new(), Existing::Refuse).await
    }

    async fn carry_out(
        self,
        purpose: Purpose,
        permissions: Vec<TypePermissions>,
        existing: Existing,
    ) -> Result<(), Error> {
        let connection = self.connection.connection()?;
        let opened = self.reading.open(self.path, purpose.clone(), permissions)?;
        let result = self.reading.result_path(self.path, &opened.form)?;
        let result = ResultFile::create(result.as_deref(), opened.form)?;
        let orders =
            Orders { request_id: self.request.request_id(), purpose, existing, file_bytes: opened.bytes };
        if self.reading.dry_run {
            let loaded = Rehearsal::new(connection, &orders, opened.rows, result).run().await?;
            // Whether or not anybody reads the summary, what was refused decides the exit code.
            let summarized = self.summarize(&loaded, &orders);
            return verdict(&loaded, &orders).and(summarized);
        }
        let (stopper, stop) = watch::channel(false);
        let listener = tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stopper.send_replace(true);
            }
        });
        let loader = Loader::new(connection, orders.clone(), opened.rows, stop, result);
        let (loaded, ended) = loader.load().await;
        listener.abort();
        let is_shown = loaded.tally.rows() > 0 || ended.is_ok();
        let summarized = if is_shown { self.summarize(&loaded, &orders) } else { Ok(()) };
        ended.and_then(|()| verdict(&loaded, &orders)).and(summarized)
    }

    fn summarize(&self, loaded: &Loaded, orders: &Orders) -> Result<(), Error> {
        let tally = loaded.tally;
        let mut output = self.connection.output();
        let rate = rate(tally.rows(), loaded.elapsed);
        if output.is_json() {
            output.json(&json!({
                "rows": tally.rows(),
                "registered": tally.registered,
                "skipped": tally.skipped,
                "overwritten": tally.overwritten,
                "amended": tally.amended,
                "removed": tally.removed,
                "refused": tally.refused,
                "unknown": tally.unknown,
                "warned": tally.warned,
                "dry_run": self.reading.dry_run,
                "seconds": loaded.elapsed.as_secs_f64(),
                "rate": rate,
                "result": loaded.result.path(),
            }))?;
        } else {
            let beginning = if self.reading.dry_run { "dry run, nothing was changed: " } else { "" };
            output.line(&format!(
                "{beginning}{}; {:.1} s, {} rows per second",
                counts(tally, &orders.purpose),
                loaded.elapsed.as_secs_f64(),
                HumanCount(rate)
            ))?;
        }
        output.flush()
    }
}

/// The counts of outcomes as a sentence.
fn counts(tally: Tally, purpose: &Purpose) -> String {
    let mut counts = match purpose {
        Purpose::Register => vec![
            ("registered", tally.registered),
            ("skipped", tally.skipped),
            ("overwritten", tally.overwritten),
        ],
        Purpose::Amend(_) => vec![("amended", tally.amended), ("unchanged", tally.skipped)],
        Purpose::Remove => vec![("removed", tally.removed)],
    };
    counts.push(("refused", tally.refused));
    if tally.unknown > 0 {
        counts.push(("unknown", tally.unknown));
    }
    if tally.warned > 0 {
        counts.push(("with a warning", tally.warned));
    }
    let counts: Vec<String> =
        counts.into_iter().map(|(outcome, count)| format!("{outcome} {}", HumanCount(count))).collect();
    counts.join(", ")
}

/// The error of a command of which not every row was carried out.
fn verdict(loaded: &Loaded, orders: &Orders) -> Result<(), Error> {
    let Tally { refused, unknown, .. } = loaded.tally;
    let report = match loaded.result.path() {
        Some(path) => format!("; {} names each", path.display()),
        None => String::new(),
    };
    if unknown > 0 {
        return Err(Error::BrokenOff(format!(
            "the outcome of {} rows is unknown, and {} were refused{report}; run the same command again with \
             --request-id {} to learn the outcome",
            HumanCount(unknown),
            HumanCount(refused),
            orders.request_id
        )));
    }
    if refused == 0 {
        return Ok(());
    }
    Err(Error::Incomplete(format!("{} rows were refused{report}", HumanCount(refused))))
}
