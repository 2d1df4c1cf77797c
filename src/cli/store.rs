//! `idnode store`: checks the store of a stopped node, accepts a loss, and replaces the admin token.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::HumanCount;
use serde_json::json;

use super::config::CONFIG_WRONG;
use super::display::escape;
use super::local::{LocalArguments, notice};
use crate::config::Config;
use crate::daemon::DaemonError;
use crate::daemon::offline::{self, Loss, ReplacedToken};
use crate::store::copy::check::CheckReport;
use crate::store::copy::repair::RepairReport;
use crate::telemetry::Chain;

/// Check the store of a stopped node, accept a loss, or replace the admin token
#[derive(Args, Debug)]
pub(super) struct StoreArguments {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    Check(CheckArguments),
    AcceptLoss(AcceptLossArguments),
    ReplaceAdminToken(ReplaceAdminTokenArguments),
}

/// Read a whole store and report everything that is wrong with it
///
/// Compares the journal with the entries, and both with their counts, checksums and chained hashes, and reports each
/// problem with its position. Nothing is repaired unless --repair is given. The node must be stopped.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode store check --data /var/lib/idnode
  idnode store check --data /var/lib/idnode --repair

Exits with 1 when something is wrong; then restore a backup: idnode backup restore. Without a backup, --repair rebuilds what
the journal still holds; copy the data directory first.")]
struct CheckArguments {
    #[command(flatten)]
    local: LocalArguments,

    /// Rebuild missing and damaged entries from the journal, and say what cannot be rebuilt
    #[arg(long)]
    repair: bool,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

/// Let a store accept changes again although acknowledged ones are missing
///
/// A store whose journal ends before the last acknowledged change is read-only: a disk or a copy has lost changes.
/// Restoring a backup brings them back. Without a backup, this accepts the loss: the remaining entries become the
/// start of a new incarnation, and followers read its present state from the beginning. A store that lacks anything other
/// than the end of its journal is refused, and what it lacks is named. The node must be stopped.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  idnode store accept-loss --data /var/lib/idnode")]
struct AcceptLossArguments {
    #[command(flatten)]
    local: LocalArguments,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

/// Make a new admin token when that of the first start is lost
///
/// Writes the new token to the file `admin-token` of the data directory, mode 0600, and revokes the earlier one that the node
/// made. Other tokens remain valid; those with the scope admin are listed. Both changes are in the journal. The node must be
/// stopped, and the command run as the owner of the data directory.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode store replace-admin-token --data ./idnode-data
  runuser -u idnode -- idnode store replace-admin-token --config /etc/idnode/idnode.toml")]
struct ReplaceAdminTokenArguments {
    #[command(flatten)]
    local: LocalArguments,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

/// Runs the command; prints the result to standard output, or the error to standard error.
pub(super) fn run(arguments: &StoreArguments) -> ExitCode {
    let local = match &arguments.command {
        StoreCommand::Check(arguments) => &arguments.local,
        StoreCommand::AcceptLoss(arguments) => &arguments.local,
        StoreCommand::ReplaceAdminToken(arguments) => &arguments.local,
    };
    let config = match Config::load(&local.sources()) {
        Ok(config) => config,
        Err(error) => {
            notice(&error.to_string());
            return ExitCode::from(CONFIG_WRONG);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = runtime
        .map_err(|source| DaemonError::System { action: "start the runtime", source })
        .and_then(|runtime| runtime.block_on(carry_out(&arguments.command, &config)));
    match done {
        Ok((text, code)) => {
            // A failed write changes nothing: the work is done.
            let _unread = writeln!(io::stdout(), "{text}");
            code
        }
        Err(error) => {
            notice(&format!("idnode: {}", Chain(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}

/// The text to print, and the exit code.
async fn carry_out(command: &StoreCommand, config: &Config) -> Result<(String, ExitCode), DaemonError> {
    match command {
        StoreCommand::Check(arguments) if arguments.repair => {
            let report = offline::repair(config).await?;
            let code = if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            Ok((if arguments.json { repair_json(&report) } else { repair_text(&report) }, code))
        }
        StoreCommand::Check(arguments) => {
            let report = offline::check(config).await?;
            let code = if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            Ok((if arguments.json { report_json(&report) } else { report_text(&report) }, code))
        }
        StoreCommand::AcceptLoss(arguments) => {
            let loss = offline::accept_loss(config).await?;
            Ok((if arguments.json { json_of(&loss) } else { text_of(&loss) }, ExitCode::SUCCESS))
        }
        StoreCommand::ReplaceAdminToken(arguments) => {
            let replaced = offline::replace_admin_token(config).await?;
            let text = if arguments.json { replaced_json(&replaced) } else { replaced_text(&replaced) };
            Ok((text, ExitCode::SUCCESS))
        }
    }
}

//----------- Check ----------------------------------------------------------

fn report_text(report: &CheckReport) -> String {
    let mut lines: Vec<String> = report.problems.iter().map(|problem| escape(problem).into_owned()).collect();
    let listed = u64::try_from(report.problems.len()).unwrap_or(u64::MAX);
    if report.problem_count > listed {
        lines.push(format!("and {} more", HumanCount(report.problem_count - listed)));
    }
    let verdict = match report.problem_count {
        0 => "OK".to_owned(),
        problems => format!("{} problems", HumanCount(problems)),
    };
    lines.push(format!(
        "{verdict}: journal entries {} to {}, {} identifiers, {} removed, {} prefixes, {} tokens, {} notes, {} \
         request ids",
        report.headers_from,
        report.end,
        HumanCount(report.identifiers),
        HumanCount(report.tombstones),
        HumanCount(report.prefixes),
        HumanCount(report.tokens),
        HumanCount(report.notes),
        HumanCount(report.requests)
    ));
    lines.join("\n")
}

fn repair_text(report: &RepairReport) -> String {
    let mut lines: Vec<String> = report.files.iter().map(|file| escape(file).into_owned()).collect();
    lines.extend(report.lost.iter().map(|lost| format!("not rebuilt: {}", escape(lost))));
    let listed = u64::try_from(report.lost.len()).unwrap_or(u64::MAX);
    if report.lost_count > listed {
        lines.push(format!("not rebuilt: {} more", HumanCount(report.lost_count - listed)));
    }
    lines.push(format!("{} entries rebuilt from the journal", HumanCount(report.rebuilt)));
    lines.push(report_text(&report.check));
    lines.join("\n")
}

fn repair_json(report: &RepairReport) -> String {
    json!({
        "files": report.files,
        "rebuilt": report.rebuilt,
        "lost_count": report.lost_count,
        "lost": report.lost,
        "check": check_json(&report.check),
    })
    .to_string()
}

fn report_json(report: &CheckReport) -> String {
    check_json(report).to_string()
}

fn check_json(report: &CheckReport) -> serde_json::Value {
    json!({
        "sound": report.is_sound(),
        "position": report.end.to_string(),
        "headers_from": report.headers_from,
        "headers": report.headers,
        "bodies": report.bodies,
        "identifiers": report.identifiers,
        "tombstones": report.tombstones,
        "prefixes": report.prefixes,
        "tokens": report.tokens,
        "notes": report.notes,
        "requests": report.requests,
        "problem_count": report.problem_count,
        "problems": report.problems,
    })
}

//----------- Accepted loss --------------------------------------------------

fn text_of(loss: &Loss) -> String {
    match loss {
        Loss::None => "nothing is missing; nothing was done".into(),
        Loss::Accepted { lost, adopted } => {
            let lost = match lost {
                Some(lost) => format!("{lost} acknowledged journal entries are lost"),
                None => "acknowledged journal entries are lost; their number is not known".to_owned(),
            };
            format!(
                "accepted: {lost}, {adopted} entries whose journal entry was lost were entered in the journal again; the \
                 store accepts changes when the node starts"
            )
        }
    }
}

fn json_of(loss: &Loss) -> String {
    match loss {
        Loss::None => json!({ "accepted": false }).to_string(),
        Loss::Accepted { lost, adopted } => {
            json!({ "accepted": true, "lost": lost, "adopted": adopted }).to_string()
        }
    }
}

//----------- Replaced token -------------------------------------------------

fn replaced_text(replaced: &ReplacedToken) -> String {
    let mut lines = vec![format!("admin token {} written to {}", replaced.id, replaced.file.display())];
    lines.extend(replaced.revoked.iter().map(|id| format!("revoked: {id}")));
    let other = |(id, label): &(String, String)| {
        format!("still valid: {id} {}; `idnode token revoke` revokes it", escape(label))
    };
    lines.extend(replaced.others.iter().map(other));
    lines.join("\n")
}

fn replaced_json(replaced: &ReplacedToken) -> String {
    let other = |(id, label): &(String, String)| json!({ "id": id, "label": label });
    json!({
        "id": replaced.id,
        "file": replaced.file,
        "revoked": replaced.revoked,
        "others": replaced.others.iter().map(other).collect::<Vec<_>>(),
    })
    .to_string()
}
