//! Telemetry: what people and monitors see of a node. Lines for people in [`log`], numbers in [`metrics`].
//!
//! ```text
//!   any room ── tracing events ──▶ log ──▶ standard error (text, JSON) or journald (structured fields)
//!   a room's counters (plain atomics) ──▶ metrics: each room's writer ──▶ one page, when somebody asks
//! ```
//!
//! A room owns its counters and knows nothing of how they are shown; the daemon gives their names to [`Metrics`].

mod chain;
mod journald;
pub mod log;
pub mod metrics;

pub use self::chain::Chain;
pub use self::log::{Destination, LogControl, LogError, LogFormat, LogLevel, LogOptions};
pub use self::metrics::{Histogram, Metrics, Page};
