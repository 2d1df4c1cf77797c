//! Counters of the federation, which telemetry exports.

use std::sync::atomic::AtomicU64;

/// Counts since the node started.
#[derive(Debug, Default)]
pub struct FederationCounters {
    /// Questions that other nodes answered.
    pub asked: AtomicU64,
    /// Questions that no node answered.
    pub failed: AtomicU64,
    /// Questions answered from the cache.
    pub cached: AtomicU64,
    /// Attempts that did not reach a node.
    pub unreachable: AtomicU64,
}
