//! `idnode config check`: checks a configuration file without starting a node.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::config::{Config, ConfigError, Sources, User};
use crate::daemon::clock;

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
    /// Reports every problem with its line, key, value and what is expected. Files that the configuration names must be
    /// readable; the certificate, its key and the backup key must be valid, and the certificate must be valid now and name
    /// site.host_name. Tokens and CA files are not examined. The environment is ignored.
    #[command(after_help = "\
Examples:
  idnode config check /etc/idnode/idnode.toml
  idnode config check /etc/idnode/idnode.toml --as idnode

With --as it also checks what that user may read and write, by owners, groups and modes; access control lists are ignored.")]
    Check {
        /// The configuration file
        file: PathBuf,

        /// Check what this user of the machine, under which the node runs, may read and write
        #[arg(long = "as", value_name = "USER", value_parser = User::named)]
        user: Option<User>,
    },
}

/// Checks a file: prints OK to standard output, or the problems to standard error.
pub(super) fn run(arguments: &ConfigArguments) -> ExitCode {
    let ConfigCommand::Check { file, user } = &arguments.command;
    match check(file, user.as_ref()) {
        Ok(()) => {
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

fn check(file: &Path, user: Option<&User>) -> Result<(), ConfigError> {
    let config = Config::load(&Sources { file: Some(file.to_owned()), ..Sources::default() })?;
    config.inspect(user, clock()() / 1_000)?;
    user.map_or(Ok(()), |user| user.check_file(file))
}
