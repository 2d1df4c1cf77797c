//! The only clock and the only source of randomness of a node; all other modules receive them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::environment::{Clock, Entropy, Jitter};

/// The system's clock.
pub fn clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Random numbers for waiting times.
pub(super) fn jitter() -> Jitter {
    let fill = entropy();
    Arc::new(move || {
        let mut bytes = [0; 8];
        fill(&mut bytes);
        u64::from_be_bytes(bytes)
    })
}

/// The system's randomness.
pub fn entropy() -> Entropy {
    Arc::new(|bytes| {
        getrandom::fill(bytes).expect("Linux gives randomness to every process once it has started")
    })
}
