//! Counters of the resolver, which telemetry reads.

use std::sync::atomic::AtomicU64;

use crate::model::refusal::Refusal;
use crate::telemetry::count;

use super::answer::Answer;

/// Counts since the node started.
#[derive(Debug, Default)]
pub struct ResolverCounters {
    /// Questions answered with values.
    pub values: AtomicU64,
    /// Questions about identifiers or values that do not exist.
    pub absent: AtomicU64,
    /// Questions answered with a referral.
    pub referrals: AtomicU64,
    /// Questions about prefixes that this node does not know.
    pub not_responsible: AtomicU64,
    /// Questions refused.
    pub refused: AtomicU64,
    /// Names that were read only to be skipped, to find a page by its number.
    pub names_skipped: AtomicU64,
}

impl ResolverCounters {
    pub(super) fn count(&self, answer: &Result<Answer, Refusal>) {
        let counter = match answer {
            Ok(Answer::Values(_)) => &self.values,
            Ok(Answer::Absent(_)) => &self.absent,
            Ok(Answer::Referral(_)) => &self.referrals,
            Ok(Answer::NotResponsible(_)) => &self.not_responsible,
            Err(_) => &self.refused,
        };
        count(counter);
    }
}
