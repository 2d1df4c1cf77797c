//! Config: the options of every module. The only module that knows the keys of the configuration file.
//!
//! ```text
//!   defaults ◀─ file ◀─ environment (IDNODE_…) ◀─ arguments        the right overrides the left
//!        └─────────┴──────── file_v1::KEYS ───────┘
//!                                  │ one row per key: its name and how it changes the Config
//!                                  ▼
//!                               Config ── check ──▶ the daemon passes each module its Options
//! ```
//!
//! Every source names the same keys, and each key is one row of a versioned table, so that the file, the environment
//! and the arguments cannot disagree about a key's name, form or bounds. Nothing is read twice and nothing is written.

mod access;
mod check;
mod error;
pub mod file_v1;
mod inspect;
mod load;
mod options;
mod raw_value;

#[cfg(test)]
mod tests;

pub use self::access::User;
pub use self::error::{ConfigError, ConfigProblem, KeySource};
pub use self::load::Sources;
pub use self::options::{
    BackupOptions, Config, RecursionOptions, ShutdownOptions, SiteOptions, StoreSection, UpperSection,
};
