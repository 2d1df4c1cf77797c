//! The binary: arguments in, exit code out. What each code means is said in [`idnode::cli`].

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    idnode::cli::run(idnode::cli::Arguments::parse())
}
