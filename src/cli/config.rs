//! `idnode config check`: proves a configuration file without starting.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::{Config, Sources};

/// The exit code of a wrong configuration (sysexits' EX_CONFIG).
pub(super) const CONFIG_WRONG: u8 = 78;

/// Prove a configuration file
#[derive(Args, Debug)]
pub(super) struct ConfigArguments {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Read a file as `idnode serve` would, without starting
    ///
    /// Names every problem with its line, key, value and what would be right. Files that the configuration names
    /// (certificates, tokens, keys) must be readable. The environment is not looked at.
    #[command(after_help = "Example:\n  idnode config check /etc/idnode/idnode.toml")]
    Check {
        /// The configuration file
        file: PathBuf,
    },
}

/// Checks a file; says on standard output that it is right, or on standard error what is not.
pub(super) fn run(arguments: &ConfigArguments) -> ExitCode {
    let ConfigCommand::Check { file } = &arguments.command;
    match Config::load(&Sources { file: Some(file.clone()), ..Sources::default() }) {
        Ok(_) => {
            // Whether anybody reads it changes nothing: the exit code tells.
            let _unread = writeln!(io::stdout(), "{}: right", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _unread = writeln!(io::stderr(), "{error}");
            ExitCode::from(CONFIG_WRONG)
        }
    }
}
