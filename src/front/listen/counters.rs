//! What is counted of the connections of a front end. Never an address.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::slots::Slots;

/// Counts since the front end was made, and how many connections are open.
#[derive(Debug)]
pub struct ConnectionCounters {
    slots: Arc<Slots>,
    /// Connections that could make requests: accepted, and with their TLS handshake done.
    pub(super) accepted: AtomicU64,
    /// Connections closed at once because all slots were taken, the reserved ones included.
    pub(super) refused_total: AtomicU64,
    /// Connections closed at once because their source had used up its quota.
    pub(super) refused_source: AtomicU64,
    /// Connections closed because too many TLS handshakes were in progress.
    pub(super) refused_handshakes: AtomicU64,
    /// Connections that did not say their first byte in time or whose TLS handshake failed.
    pub(super) handshakes_failed: AtomicU64,
}

impl ConnectionCounters {
    /// Counts the connections in these slots.
    pub(super) fn new(slots: Arc<Slots>) -> Self {
        Self {
            slots,
            accepted: AtomicU64::default(),
            refused_total: AtomicU64::default(),
            refused_source: AtomicU64::default(),
            refused_handshakes: AtomicU64::default(),
            handshakes_failed: AtomicU64::default(),
        }
    }

    /// What became of connections. One that was accepted may be evicted later, and counts twice then.
    pub fn outcomes(&self) -> [(&'static str, u64); 4] {
        let refused = self.refused().into_iter().map(|(_, refused)| refused).sum();
        [
            ("accepted", self.accepted.load(Ordering::Relaxed)),
            ("refused", refused),
            ("handshake_failed", self.handshakes_failed.load(Ordering::Relaxed)),
            ("evicted", self.slots.evicted()),
        ]
    }

    /// Connections refused before a request could be made, by the bound that did not allow them.
    pub fn refused(&self) -> [(&'static str, u64); 3] {
        [
            ("total", self.refused_total.load(Ordering::Relaxed)),
            ("source", self.refused_source.load(Ordering::Relaxed)),
            ("handshakes", self.refused_handshakes.load(Ordering::Relaxed)),
        ]
    }

    /// Connections that are open now, evicted ones that finish and those in reserved slots included.
    pub fn open(&self) -> u64 {
        u64::try_from(self.slots.open()).unwrap_or(u64::MAX)
    }

    /// Connections that are open in reserved slots now.
    pub fn reserved(&self) -> u64 {
        u64::try_from(self.slots.reserved()).unwrap_or(u64::MAX)
    }

    /// Connections that may be open beside evicted ones that finish and those in reserved slots.
    pub fn max(&self) -> u64 {
        u64::try_from(self.slots.limits().max).unwrap_or(u64::MAX)
    }
}
