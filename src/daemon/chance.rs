//! Where time and randomness come from: the only clock and the only source of secrets of a node.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::federation::Chance;
use crate::store::{Clock, Entropy};

/// The system's clock.
pub fn clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Random numbers for waiting times.
pub(super) fn chance() -> Chance {
    let fill = entropy();
    Arc::new(move || {
        let mut bytes = [0; 8];
        fill(&mut bytes);
        u64::from_be_bytes(bytes)
    })
}

/// The system's randomness.
pub fn entropy() -> Entropy {
    Arc::new(|bytes| getrandom::fill(bytes).expect("Linux gives randomness to whoever has started"))
}
