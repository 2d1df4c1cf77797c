//! Daemon: builds the modules bottom-up, starts the front ends, watches, and stops all top-down.
//!
//! ```text
//!   Config ─▶ data directory, locked ─▶ sockets bound ─▶ store ─▶ registry, resolver ─▶ front ends ─▶ ready
//!   stop:  front ends drain (grace) ─▶ followers end ─▶ registry returns the writer ─▶ store closed ─▶ lock released
//! ```
//!
//! There are two entry points: [`serve`] runs a process with signals and systemd; [`Node::start`] starts a node inside
//! another program, such as a test. Time and randomness are made here and handed down.

mod federation_setup;
mod first_token;
mod node;
mod process;

pub mod descriptors;
mod directory;
pub mod offline;

mod core;
mod front_ends;

mod backup;

mod clock_and_entropy;
mod disk;
mod health;
mod server_key;
mod socket;
mod steady_clock;
mod systemd;

#[cfg(test)]
mod tests;

mod error;

pub use self::clock_and_entropy::{clock, entropy};
pub use self::core::store_options;
pub use self::directory::{Addresses, DataDirectory};
pub use self::error::DaemonError;
pub use self::node::{Node, RunningNode};
pub use self::process::{Reload, serve};
