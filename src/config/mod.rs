//! Config: what every room is told at the start. The only room that knows the keys of the configuration file.
//!
//! ```text
//!   defaults ◀─ file ◀─ environment (IDNODE_…) ◀─ arguments        the right overrides the left
//!        └─────────┴──────── file_v1::KEYS ───────┘
//!                                  │ one row a key: its name and how it changes the Config
//!                                  ▼
//!                               Config ── check ──▶ the daemon hands each room its Options
//! ```
//!
//! Every source names the same keys, and each key is one row of a versioned table, so that the file, the environment
//! and the arguments cannot disagree about a key's name, form or bounds. Nothing is read twice and nothing is written.

mod check;
mod error;
pub mod file_v1;
mod given;
mod load;
mod options;

#[cfg(test)]
mod tests;

pub use self::error::{ConfigError, Place, Problem};
pub use self::load::Sources;
pub use self::options::{
    BackupOptions, Config, RecursionOptions, ShutdownOptions, SiteOptions, StoreOptions, UpperOptions,
};
