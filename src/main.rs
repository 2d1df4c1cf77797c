//! The binary: arguments in, exit code out. What each code means is said in [`idnode::cli`].

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    idnode::cli::run(idnode::cli::Arguments::parse())
}
