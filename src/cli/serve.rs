//! `idnode serve`: runs a node in the foreground.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use x509_cert::Certificate;

use super::config::CONFIG_WRONG;
use super::local::{LocalArguments, notice};
use crate::config::Config;
use crate::daemon::{self, DaemonError, RunningNode};
use crate::telemetry::{self, Chain, Destination};

/// How long threads of the runtime may take to end after a node has stopped.
const THREADS_END_MAX: Duration = Duration::from_secs(1);

/// Run a node
///
/// Without a configuration the data directory is ./idnode-data and all protocols listen on loopback only. The first
/// start writes an admin token to the file admin-token there, where the other commands find it by default.
///
/// SIGTERM and SIGINT drain connections and stop, a second one stops at once; SIGHUP reloads certificates and log level.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  idnode serve\n  idnode serve --data /srv/idnode --set log.level=debug\n  \
                        idnode serve --config /etc/idnode/idnode.toml"
)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    local: LocalArguments,
}

/// Serves until a signal stops it.
pub(super) fn run(arguments: &ServeArguments) -> ExitCode {
    let sources = arguments.local.sources();
    let config = match Config::load(&sources) {
        Ok(config) => config,
        Err(error) => {
            notice(&error.to_string());
            return ExitCode::from(CONFIG_WRONG);
        }
    };
    let destination = Destination::detect(sources.variable("JOURNAL_STREAM"));
    let log = match telemetry::log::start(&config.log, destination) {
        Ok(log) => log,
        Err(error) => {
            notice(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    let program = sources.program.clone();
    let reload = Box::new(move || Config::load(&sources));
    let announce = |node: &RunningNode| {
        if destination == Destination::StandardError {
            // A node serves whether or not its start message can be written.
            let _unread = io::stdout().write_all(greeting(&program, node).as_bytes());
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let served = runtime
        .map_err(|source| DaemonError::System { action: "start the runtime", source })
        .and_then(|runtime| {
            let served = runtime.block_on(daemon::serve(config, log, reload, announce));
            // A thread that waits for the disk does not hold the process.
            runtime.shutdown_timeout(THREADS_END_MAX);
            served
        });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            notice(&format!("idnode: {}", Chain(&error)));
            ExitCode::from(error.exit_code())
        }
    }
}

/// The start message: the bound addresses, and commands to try.
fn greeting(program: &str, node: &RunningNode) -> String {
    let addresses = node.addresses();
    let mut text = format!("idnode {} is ready\n", env!("IDNODE_VERSION"));
    let dns: Vec<String> = addresses.dns.iter().map(ToString::to_string).collect();
    let rows = [
        ("data", vec![node.data_dir().display().to_string()]),
        ("gRPC", addresses.grpc.clone()),
        ("DNS", dns),
        ("Handle", addresses.handle.iter().map(ToString::to_string).collect()),
        ("HTTP", addresses.http.clone()),
    ];
    for (name, addresses) in rows.into_iter().filter(|(_, addresses)| !addresses.is_empty()) {
        // Writing to a String cannot fail.
        let _never = writeln!(text, "  {name:<6} {}", addresses.join("  "));
    }
    match node.store().read_only_reason() {
        Some(reason) => {
            let _never = writeln!(text, "\nThe store takes no changes: {reason}");
        }
        None => text.push_str(&next_steps(program, node)),
    }
    text
}

/// Commands that work as printed; options are added where the node does not use the defaults.
fn next_steps(program: &str, node: &RunningNode) -> String {
    let (addresses, present, default) = (node.addresses(), node.config(), Config::default());
    let mut options = String::new();
    if let Some(url) = addresses.grpc.first().filter(|_| present.grpc != default.grpc) {
        let _never = write!(options, " --node {url}");
    }
    let mut remark = String::new();
    if let Some(certificate) = &present.tls.certificate {
        match unnamed_authority(certificate) {
            None => {
                let _never = write!(options, " --ca {}", certificate.display());
            }
            Some(authority) => {
                options.push_str(" --ca CA.pem");
                remark =
                    format!("; CA.pem is the certificate of {authority}, which signed that of this node");
            }
        }
    }
    if present.store.directory != default.store.directory {
        let _never = write!(options, " --data {}", node.data_dir().display());
    }
    let mut text = format!(
        "\nTry next, in another terminal{remark}:\n  \
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

/// The authority that signed a certificate, when its own certificate is not in the file: clients have to be given that one.
fn unnamed_authority(certificate: &Path) -> Option<String> {
    let pem = fs::read(certificate).ok()?;
    let chain = Certificate::load_pem_chain(&pem).ok()?;
    let issuer = chain.first()?.tbs_certificate().issuer();
    let is_here = chain.iter().any(|held| held.tbs_certificate().subject() == issuer);
    (!is_here).then(|| issuer.to_string())
}
