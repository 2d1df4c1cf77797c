//! The only clock and the only source of randomness of a node; all other modules receive them.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::disk::{self, FreeSpace};
use crate::model::environment::{Clock, Entropy, Jitter};

/// The clock, the randomness and the disk space of a node. Tests pass others than the system's.
#[derive(Clone)]
pub(super) struct Environment {
    /// Source of the current time.
    pub(super) clock: Clock,
    /// Source of randomness for keys, tokens and names.
    pub(super) entropy: Entropy,
    /// Random numbers for waiting times.
    pub(super) jitter: Jitter,
    /// The free space at a path.
    pub(super) free_space: FreeSpace,
}

impl Environment {
    /// What the system gives.
    pub(super) fn of_system() -> Self {
        Self { clock: clock(), entropy: entropy(), jitter: jitter(), free_space: disk::free_space() }
    }
}

/// The system's clock.
pub fn clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Random numbers for waiting times.
fn jitter() -> Jitter {
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
