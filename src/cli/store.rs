//! `idnode store`: work on the store of a node that does not run.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::config::CONFIG_WRONG;
use super::local::{LocalArguments, tell};
use crate::config::Config;
use crate::daemon::DaemonError;
use crate::daemon::offline::{self, Loss};
use crate::telemetry::Chain;

/// Work on the store of a node that does not run
#[derive(Args, Debug)]
pub(super) struct StoreArguments {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    AcceptLoss(AcceptLossArguments),
}

/// Let a store take changes again though acknowledged ones are missing
///
/// A store whose journal ends before what was acknowledged takes no changes: a disk or a copy has lost some.
/// Restoring a backup brings them back. When there is none, this accepts the loss: what is left becomes the start
/// of a new incarnation, and followers take up its present state anew. The node must be stopped.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  idnode store accept-loss --data /var/lib/idnode")]
struct AcceptLossArguments {
    #[command(flatten)]
    local: LocalArguments,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

/// Does it; says on standard output what came of it, or on standard error why nothing did.
pub(super) fn run(arguments: &StoreArguments) -> ExitCode {
    let StoreCommand::AcceptLoss(arguments) = &arguments.command;
    let config = match Config::load(&arguments.local.sources()) {
        Ok(config) => config,
        Err(error) => {
            tell(&error.to_string());
            return ExitCode::from(CONFIG_WRONG);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let loss = runtime
        .map_err(|source| DaemonError::System { action: "start the runtime", source })
        .and_then(|runtime| runtime.block_on(offline::accept_loss(&config)));
    match loss {
        Ok(loss) => {
            let text = if arguments.json { json_of(&loss) } else { text_of(&loss) };
            // Whether anybody reads it changes nothing: it is done.
            let _unread = writeln!(io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tell(&format!("idnode: {}", Chain(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}

fn text_of(loss: &Loss) -> String {
    match loss {
        Loss::None => "nothing is missing; nothing was done".into(),
        Loss::Accepted { lost, adopted } => format!(
            "accepted: {lost} acknowledged journal entries are gone, {adopted} states that outlived theirs were \
             entered again; the store takes changes when the node starts"
        ),
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
