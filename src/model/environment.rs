//! Time and randomness as modules receive them: made once by the daemon and passed in, so that tests choose both.

use std::sync::Arc;

/// Returns the time in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Fills bytes with randomness that is fit for secrets.
pub type Entropy = Arc<dyn Fn(&mut [u8]) + Send + Sync>;

/// Returns a random number for waiting times.
pub type Jitter = Arc<dyn Fn() -> u64 + Send + Sync>;
