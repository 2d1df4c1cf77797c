//! `idnode config check`: checks a configuration file without starting a node.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::{Config, Sources};

/// The exit code of a wrong configuration (sysexits' EX_CONFIG).
pub(super) const CONFIG_WRONG: u8 = 78;

/// Check a configuration file
#[derive(Args, Debug)]
pub(super) struct ConfigArguments {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check a file as `idnode serve` would, without starting
    ///
    /// Reports every problem with its line, key, value and what is expected. Files that the configuration names
    /// (certificates, tokens, keys) must be readable. The environment is ignored.
    #[command(after_help = "Example:\n  idnode config check /etc/idnode/idnode.toml")]
    Check {
        /// The configuration file
        file: PathBuf,
    },
}

/// Checks a file: prints OK to standard output, or the problems to standard error.
pub(super) fn run(arguments: &ConfigArguments) -> ExitCode {
    let ConfigCommand::Check { file } = &arguments.command;
    match Config::load(&Sources { file: Some(file.clone()), ..Sources::default() }) {
        Ok(_) => {
            // A failed write changes nothing: the exit code carries the result.
            let _unread = writeln!(io::stdout(), "{}: OK", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _unread = writeln!(io::stderr(), "{error}");
            ExitCode::from(CONFIG_WRONG)
        }
    }
}
