//! The command line: `idnode serve`; `idnode config` and `idnode store`, which work on files of this machine; and the commands
//! that call a node or work on backups and keys.
//!
//! Exit codes, by the meaning of BSD's sysexits: 0 done · 1 refused, nothing found, or incomplete · 2 wrong arguments ·
//! 65 an input file has errors · 69 no node there, or an address that cannot be listened on · 70 the node failed ·
//! 71 the operating system refused · 73 the data directory cannot be used · 74 a file or the store could not be read or
//! written · 75 try again: outcome unknown, or another process holds the data directory · 78 the configuration is wrong ·
//! 130 interrupted.
//!
//! ```text
//!   arguments ─▶ ConnectionArguments ─▶ Connection ── ask / change / stream ──▶ node
//!       │                                                                        │
//!       └─▶ prefix · register · amend · remove · resolve · list · history        │
//!           import · export · backup · token · key · status                      │
//!                                        Output (text or JSON) ◀─────────────────┘
//! ```
//!
//! Results go to standard output, as text or, with `--json`, as JSON. Errors go to standard error as one sentence; those of
//! the client commands have a stable code. The client commands decide nothing about identifiers: the node does.

mod config;
mod local;
mod serve;
mod store;

mod client;

mod administration;
mod connection;
mod contact;
mod display;
mod error;
mod output;
mod progress;
mod value_argument;
mod value_form;

mod change;
mod prefix;
mod question;

mod export;
mod import;

mod backup;
mod dns_name;
mod key;
mod offline;
mod status;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The end of the help text.
const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  refused, nothing found, incomplete, or something is wrong with what was checked
    2  wrong arguments
   65  an input file has errors
   69  no node answers, or an address cannot be listened on
   70  the node failed
   71  the operating system refused what the node needs
   73  the data directory cannot be used
   74  a file or the store could not be read or written
   75  try again: the outcome is unknown (repeat with the id that is printed), or another process uses the data directory
   78  the configuration is wrong
  130  interrupted";

/// A node of the industrial-internet identifier resolution system
#[derive(Debug, Parser)]
#[command(version = env!("IDNODE_VERSION"), max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArguments),
    Config(config::ConfigArguments),
    Store(store::StoreArguments),
    #[command(flatten)]
    Client(Box<client::ClientCommand>),
}

/// Runs the command; when this returns, all output has been written.
pub fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Store(arguments) => store::run(&arguments),
        Command::Client(command) => command.run(),
    }
}
