//! `idnode serve`: runs a node in the foreground.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::config::CONFIG_WRONG;
use crate::config::{Config, Sources};
use crate::daemon::{self, DaemonError, RunningNode};
use crate::telemetry::{self, Chain, Destination};

/// Run a node
///
/// Without a configuration the data lies in ./idnode-data and every door listens on this machine only. The first
/// start writes an admin token to the file admin-token there, which the other commands find by themselves.
///
/// SIGTERM and SIGINT drain, a second one ends at once; SIGHUP reads certificates and log level again.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  idnode serve\n  idnode serve --data /srv/idnode --set log.level=debug\n  \
                        idnode serve --config /etc/idnode/idnode.toml"
)]
pub(super) struct ServeArguments {
    /// Configuration file; config/idnode.toml documents every key
    #[arg(long, value_name = "FILE", env = "IDNODE_CONFIG")]
    config: Option<PathBuf>,

    /// Data directory (store.directory)
    #[arg(long, value_name = "DIRECTORY")]
    data: Option<String>,

    /// Any key of the configuration; may be given several times. Lists are separated by commas
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE", value_parser = pair)]
    keys: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('=').filter(|(key, _)| key.contains('.'));
    split
        .map(|(key, value)| (key.trim().to_owned(), value.to_owned()))
        .ok_or_else(|| "write SECTION.KEY=VALUE such as dns.listen=127.0.0.1:53".into())
}

impl ServeArguments {
    fn sources(&self) -> Sources {
        let data = self.data.iter().map(|data| ("store.directory".to_owned(), data.clone()));
        Sources {
            file: self.config.clone(),
            arguments: data.chain(self.keys.iter().cloned()).collect(),
            ..Sources::of_process()
        }
    }
}

/// Serves until told to stop.
pub(super) fn run(arguments: &ServeArguments) -> ExitCode {
    let sources = arguments.sources();
    let config = match Config::load(&sources) {
        Ok(config) => config,
        Err(error) => {
            tell(&error.to_string());
            return ExitCode::from(CONFIG_WRONG);
        }
    };
    let destination = Destination::detect(sources.variable("JOURNAL_STREAM"));
    let log = match telemetry::log::start(&config.log, destination) {
        Ok(log) => log,
        Err(error) => {
            tell(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let program = sources.program.clone();
    let reload = Box::new(move || Config::load(&sources));
    let announce = |node: &RunningNode| {
        if destination == Destination::StandardError {
            // A node serves whether or not somebody reads its greeting.
            let _unread = io::stdout().write_all(greeting(&program, node).as_bytes());
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = runtime
        .map_err(|source| DaemonError::System { action: "start the runtime", source })
        .and_then(|runtime| runtime.block_on(daemon::serve(config, log, reload, announce)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("idnode: {}", Chain(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}

fn tell(text: &str) {
    // There is nobody left to tell when standard error cannot be written.
    let _unread = writeln!(io::stderr(), "{text}");
}

/// Where the doors are, and what to try next.
fn greeting(program: &str, node: &RunningNode) -> String {
    let addresses = node.addresses();
    let mut text = format!("idnode {} is ready\n", env!("IDNODE_VERSION"));
    let dns: Vec<String> = addresses.dns.iter().map(ToString::to_string).collect();
    let rows = [
        ("data", vec![node.data_dir().display().to_string()]),
        ("gRPC", addresses.grpc.clone()),
        ("DNS", dns),
        ("HTTP", addresses.http.clone()),
    ];
    for (name, places) in rows.into_iter().filter(|(_, places)| !places.is_empty()) {
        // Writing to a String cannot fail.
        let _never = writeln!(text, "  {name:<5} {}", places.join("  "));
    }
    match node.store().read_only_reason() {
        Some(reason) => {
            let _never = writeln!(text, "\nThe store takes no changes: {reason}");
        }
        None => text.push_str(&next_steps(program, node)),
    }
    text
}

/// Commands that work as they are printed: the client commands look for the node where it is by default.
fn next_steps(program: &str, node: &RunningNode) -> String {
    let (addresses, present, default) = (node.addresses(), node.config(), Config::default());
    let mut options = String::new();
    if let Some(url) = addresses.grpc.first().filter(|_| present.grpc != default.grpc) {
        let _never = write!(options, " --node {url}");
    }
    if present.store.directory != default.store.directory {
        let _never = write!(options, " --data {}", node.data_dir().display());
    }
    let mut text = format!(
        "\nTry next, in another terminal:\n  \
         {program} prefix home{options} 88.118.8\n  \
         {program} register{options} 88.118.8/SN000123 URL=https://example.com/product/123\n  \
         {program} resolve{options} 88.118.8/SN000123\n"
    );
    if let Some(dns) = addresses.dns.first() {
        let (address, port, root) = (dns.ip(), dns.port(), &present.dns.root);
        let _never = writeln!(text, "  dig @{address} -p {port} NAPTR sn000123.8.118.88.{root}");
    }
    text
}
