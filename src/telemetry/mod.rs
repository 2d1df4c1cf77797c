//! Telemetry: the log ([`log`]) and the metrics ([`metrics`]) of a node.
//!
//! ```text
//!   any module ── tracing events ──▶ log ──▶ standard error (text, JSON) or journald (structured fields)
//!   counters of a module (plain atomics) ──▶ metrics: the writer of each module ──▶ one page, on request
//! ```
//!
//! A module owns its counters and knows nothing of how they are shown; the daemon gives their names to [`Metrics`].

mod bug;
mod chain;
mod journald;
pub mod log;
pub mod metrics;

pub use self::bug::{bug, bug_shown_by, lost_outcome};
pub use self::chain::Chain;
pub use self::log::{Destination, LogControl, LogError, LogFormat, LogLevel, LogOptions};
pub use self::metrics::{Histogram, Metrics, Page, count};
