//! Counters of backups, for monitoring.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::summary::Summary;
use crate::telemetry::{Page, count};

/// Counts of one node's backups.
#[derive(Debug, Default)]
pub struct Counters {
    successes: AtomicU64,
    failures: AtomicU64,
    last_success_ms: AtomicU64,
    last_bytes: AtomicU64,
    last_duration_ms: AtomicU64,
}

impl Counters {
    /// Returns when the newest backup was completed, in milliseconds since 1970; none without any.
    pub fn last_success_ms(&self) -> Option<u64> {
        Some(self.last_success_ms.load(Ordering::Relaxed)).filter(|ms| *ms > 0)
    }

    /// Returns the number of backups that failed since the node started.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Returns the number of backups created since the node started.
    pub fn successes(&self) -> u64 {
        self.successes.load(Ordering::Relaxed)
    }

    /// Records the newest backup.
    pub(super) fn take_up(&self, newest: &Summary) {
        self.last_success_ms.store(newest.created_ms, Ordering::Relaxed);
        self.last_bytes.store(newest.bytes, Ordering::Relaxed);
    }

    pub(super) fn count_success(&self, made: &Summary, duration_ms: u64) {
        count(&self.successes);
        self.last_duration_ms.store(duration_ms, Ordering::Relaxed);
        self.take_up(made);
    }

    pub(super) fn count_failure(&self) {
        count(&self.failures);
    }

    /// Writes the counts to a page of metrics.
    pub fn write(&self, page: &mut Page) {
        let milliseconds = |number: &AtomicU64| Duration::from_millis(number.load(Ordering::Relaxed));
        page.counter("idnode_backups_total", "Backups made since the node started.", self.successes());
        page.counter(
            "idnode_backup_failures_total",
            "Backups that failed since the node started.",
            self.failures(),
        );
        page.gauge_seconds(
            "idnode_backup_last_success_timestamp_seconds",
            "Time at which the newest backup was completed, in seconds since 1970; 0 when there is none.",
            milliseconds(&self.last_success_ms),
        );
        page.gauge(
            "idnode_backup_last_bytes",
            "Bytes of the newest backup.",
            self.last_bytes.load(Ordering::Relaxed),
        );
        page.gauge_seconds(
            "idnode_backup_last_duration_seconds",
            "Duration of the newest backup, in seconds.",
            milliseconds(&self.last_duration_ms),
        );
    }
}
