//! The command line: `idnode serve`, `idnode config check`, and the commands that speak to a node like any client.
//!
//! Exit codes: 0 done · 1 refused, nothing found, or not whole · 2 wrong arguments · 65 an input file has errors ·
//! 69 no node there, or an address that cannot be listened on · 70 the node failed · 71 the system refused ·
//! 73 the data directory cannot be made · 74 a file or the store could not be read or written · 75 try again: outcome
//! unknown, or another process holds the data directory · 78 the configuration is wrong · 130 interrupted.

mod config;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A node of the industrial-internet identifier resolution system
#[derive(Debug, Parser)]
#[command(version = env!("IDNODE_VERSION"), max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::ServeArguments),
    Config(config::ConfigArguments),
}

/// Does what the arguments say; everything that is to be said has been said when it returns.
pub fn run(arguments: Arguments) -> ExitCode {
    match arguments.command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
    }
}
