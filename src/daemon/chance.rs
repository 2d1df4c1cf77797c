//! Where time and randomness come from: the only clock and the only source of secrets of a node.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::store::{Clock, Entropy};

/// The system's clock.
pub fn clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// The system's randomness.
pub fn entropy() -> Entropy {
    Arc::new(|bytes| getrandom::fill(bytes).expect("Linux gives randomness to whoever has started"))
}
