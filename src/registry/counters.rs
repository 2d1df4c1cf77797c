//! Counters of the registry, which telemetry reads.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::refusal::Problem;
use crate::telemetry::count;

use super::committer::Outcomes;
use super::receipt::{Outcome, Receipt};

/// Counts since the node started.
#[derive(Debug, Default)]
pub struct RegistryCounters {
    /// Identifiers registered.
    pub registered: AtomicU64,
    /// Identifiers whose values were replaced.
    pub overwritten: AtomicU64,
    /// Identifiers amended.
    pub amended: AtomicU64,
    /// Identifiers removed.
    pub removed: AtomicU64,
    /// Commands whose result existed already.
    pub unchanged: AtomicU64,
    /// Prefix and token changes, and notes on prefixes.
    pub administered: AtomicU64,
    /// Repeated commands that were answered with their first receipt.
    pub repeated: AtomicU64,
    /// Commands refused after they were queued.
    pub refused: AtomicU64,
    /// Commands refused before they were queued: malformed, or not allowed to a caller as far as it has proved who it is.
    pub rejected: AtomicU64,
    /// Commands that were not queued because the queue had no slots for them by their deadline.
    pub overloaded: AtomicU64,
    /// Groups committed.
    pub groups: AtomicU64,
    /// Changes in committed groups.
    pub group_changes: AtomicU64,
}

impl RegistryCounters {
    /// Counts the outcome of a command that was not queued.
    pub(super) fn count_unqueued(&self, outcome: &Result<Receipt, Problem>) {
        match outcome {
            Ok(_) => count(&self.repeated),
            Err(problem) => self.count_rejected(problem),
        }
    }

    /// Counts a command that was not queued because it was refused; a failure is no refusal.
    pub(super) fn count_rejected(&self, problem: &Problem) {
        if let Problem::Refused(_) = problem {
            count(&self.rejected);
        }
    }

    /// Counts commands for which the queue had no slots.
    pub(super) fn count_overloaded(&self, commands: usize) {
        self.overloaded.fetch_add(commands as u64, Ordering::Relaxed);
    }

    /// Counts the outcomes of one submission.
    pub(super) fn count(&self, outcomes: &Outcomes) {
        for outcome in outcomes {
            let counter = match outcome {
                Err(_) => &self.refused,
                Ok(receipt) if receipt.repeated => &self.repeated,
                Ok(receipt) => match receipt.outcome {
                    Outcome::Registered => &self.registered,
                    Outcome::Overwritten => &self.overwritten,
                    Outcome::Amended => &self.amended,
                    Outcome::Removed => &self.removed,
                    Outcome::Unchanged => &self.unchanged,
                    Outcome::PrefixChanged
                    | Outcome::TokenCreated
                    | Outcome::TokenRevoked
                    | Outcome::PeerReset
                    | Outcome::PrefixNoted => &self.administered,
                },
            };
            count(counter);
        }
    }

    /// Counts a group and its changes.
    pub(super) fn count_group(&self, changes: usize) {
        count(&self.groups);
        self.group_changes.fetch_add(changes as u64, Ordering::Relaxed);
    }
}
