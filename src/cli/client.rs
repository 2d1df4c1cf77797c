//! The client commands: everything that `idnode` does other than running a node.

use std::process::ExitCode;

use clap::Subcommand;

use super::error::Error;
use super::output::{Form, notice};
use super::{backup, change, dns_name, export, import, key, prefix, question, status, token};

/// The client commands.
#[derive(Debug, Subcommand)]
pub(super) enum ClientCommand {
    /// Home, delegate, suspend, resume and revoke prefixes, and end delegations
    #[command(subcommand)]
    Prefix(prefix::PrefixCommand),

    /// Register an identifier
    Register(change::RegisterArguments),

    /// Add, replace and remove values of an identifier
    Amend(change::AmendArguments),

    /// Remove an identifier
    Remove(change::RemoveArguments),

    /// Resolve an identifier
    Resolve(question::ResolveArguments),

    /// List the identifiers of a prefix
    List(question::ListArguments),

    /// Show the changes of an identifier, newest first
    History(question::HistoryArguments),

    /// Register identifiers from a CSV or JSON lines file
    Import(import::ImportArguments),

    /// Write the identifiers of a prefix to a CSV or JSON lines file
    Export(export::ExportArguments),

    /// Back up a running node, verify and restore backups
    #[command(subcommand)]
    Backup(backup::BackupCommand),

    /// Create, list and revoke tokens, and reset a lower node that files
    #[command(subcommand)]
    Token(token::TokenCommand),

    /// Generate, convert and publish keys; sign values and verify signatures
    #[command(subcommand)]
    Key(key::KeyCommand),

    /// Print the DNS name of an identifier
    DnsName(dns_name::DnsNameArguments),

    /// Show the status of the node
    Status(status::StatusArguments),
}

impl ClientCommand {
    /// Runs the command; returns its exit code.
    pub(super) fn run(self) -> ExitCode {
        let form = self.form();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let ended = match runtime {
            Ok(runtime) => runtime.block_on(self.carry_out()),
            Err(error) => Err(Error::System(format!("the runtime cannot be started: {error}"))),
        };
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(Error::OutputClosed) => Error::OutputClosed.exit_code(),
            Err(error) => {
                match form {
                    Form::Text => notice(&format!("idnode: {error}")),
                    Form::Json => notice(&error.to_json().to_string()),
                }
                error.exit_code()
            }
        }
    }

    async fn carry_out(self) -> Result<(), Error> {
        match self {
            Self::Prefix(command) => command.run().await,
            Self::Register(arguments) => arguments.run().await,
            Self::Amend(arguments) => arguments.run().await,
            Self::Remove(arguments) => arguments.run().await,
            Self::Resolve(arguments) => arguments.run().await,
            Self::List(arguments) => arguments.run().await,
            Self::History(arguments) => arguments.run().await,
            Self::Import(arguments) => arguments.run().await,
            Self::Export(arguments) => arguments.run().await,
            Self::Backup(command) => command.run().await,
            Self::Token(command) => command.run().await,
            Self::Key(command) => command.run().await,
            Self::DnsName(arguments) => arguments.run(),
            Self::Status(arguments) => arguments.run().await,
        }
    }

    /// The output format that the arguments ask for.
    fn form(&self) -> Form {
        match self {
            Self::Prefix(command) => command.connection().form(),
            Self::Register(arguments) => arguments.connection.form(),
            Self::Amend(arguments) => arguments.connection.form(),
            Self::Remove(arguments) => arguments.connection.form(),
            Self::Resolve(arguments) => arguments.connection.form(),
            Self::List(arguments) => arguments.connection.form(),
            Self::History(arguments) => arguments.connection.form(),
            Self::Import(arguments) => arguments.connection.form(),
            Self::Export(arguments) => arguments.connection.form(),
            Self::Backup(command) => command.form(),
            Self::Token(command) => command.connection().form(),
            Self::Key(command) => command.form(),
            Self::DnsName(arguments) => arguments.form(),
            Self::Status(arguments) => arguments.connection.form(),
        }
    }
}
