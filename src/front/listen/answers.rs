//! The answers of a connection that wait to be written, and the memory that they take.
//!
//! ```text
//!   made ─▶ count ─┬─▶ add ─▶ written ─▶ clear: the memory is given back
//!                  └─▶ no memory: dropped, and the message is refused as too busy
//! ```
//! Answers are made before their size is known. So a front end makes them under a permit and counts them before it gives the
//! permit back: the number of permits bounds what is made and not counted yet. Between large answers other tasks have their
//! turn. Every connection may hold a little outside of the budget.

use std::sync::Arc;

use super::budget::{BudgetSpent, MemoryAccount, MemoryGrant};

/// Bytes that every connection may hold outside of the budget.
pub(in crate::front) const FREE_BYTES: usize = 16 * 1024;

/// Answers in their order.
#[derive(Debug)]
pub(in crate::front) struct Answers {
    bytes: Vec<u8>,
    /// Bytes of the answers that are counted; some may not be added yet.
    counted: usize,
    grant: MemoryGrant,
}

impl Answers {
    /// No answers.
    pub(in crate::front) fn new(account: &Arc<MemoryAccount>) -> Self {
        Self { bytes: Vec::new(), counted: 0, grant: account.take_forced(0) }
    }

    /// Counts an answer that was made; refused, it must be dropped.
    pub(in crate::front) fn count(&mut self, bytes: usize) -> Result<(), BudgetSpent> {
        let counted = self.counted + bytes;
        self.grant.resize(beyond_free(counted))?;
        self.counted = counted;
        Ok(())
    }

    /// Counts an answer whatever the bounds say: the outcome of a change, which is on disk, or the refusal that is sent where
    /// an answer was dropped. Such answers are short.
    pub(in crate::front) fn count_always(&mut self, bytes: usize) {
        self.counted += bytes;
        self.grant.force(beyond_free(self.counted));
    }

    /// Adds an answer that is counted.
    pub(in crate::front) fn add(&mut self, answer: &[u8]) {
        self.bytes.extend_from_slice(answer);
    }

    /// The answers that were added.
    pub(in crate::front) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the answers, which were written.
    pub(in crate::front) fn clear(&mut self) {
        self.counted -= self.bytes.len();
        self.bytes.clear();
        self.grant.force(beyond_free(self.counted));
    }
}

//----------- Turns ----------------------------------------------------------

/// Lets other tasks have their turn while one makes many large answers.
#[derive(Debug, Default)]
pub(in crate::front) struct Turns {
    /// Bytes made since others had their turn.
    bytes: usize,
}

impl Turns {
    /// Notes that an answer was made.
    pub(in crate::front) async fn made(&mut self, bytes: usize) {
        self.bytes += bytes;
        if self.bytes > FREE_BYTES {
            self.bytes = 0;
            tokio::task::yield_now().await;
        }
    }
}

/// The bytes that are taken from the budget for so many.
pub(super) fn beyond_free(bytes: usize) -> usize {
    if bytes > FREE_BYTES { bytes } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::super::budget::{Bound, BudgetSpent, Holder, MemoryBudget, MemoryLimits};
    use super::{Answers, FREE_BYTES, Turns};

    #[test]
    fn answers_are_counted_before_they_are_added() {
        let limit = 2 * FREE_BYTES;
        let limits = MemoryLimits { total: limit, source: limit, connection: limit };
        let budget = MemoryBudget::new(limits);
        let account = budget.account(Holder::of(([127, 0, 0, 1], 80).into()));
        let mut answers = Answers::new(&account);
        assert_eq!(answers.count(FREE_BYTES), Ok(()));
        assert_eq!(budget.bytes_in_use(), 0, "a little is free");
        answers.add(&vec![1; FREE_BYTES]);
        assert_eq!(answers.count(FREE_BYTES), Ok(()));
        let refused = answers.count(1);
        assert_eq!(refused, Err(BudgetSpent { bound: Bound::Connection }));
        answers.count_always(2);
        assert_eq!(budget.bytes_in_use(), limit as u64 + 2);
        answers.clear();
        assert_eq!(budget.bytes_in_use(), FREE_BYTES as u64 + 2, "those that are not added yet");
        drop(answers);
        assert_eq!(budget.bytes_in_use(), 0);
    }

    #[tokio::test]
    async fn other_tasks_have_their_turn_between_large_answers() {
        let other = tokio::spawn(async {});
        let mut turns = Turns::default();
        turns.made(FREE_BYTES).await;
        assert!(!other.is_finished(), "small answers are made at once");
        turns.made(1).await;
        assert!(other.is_finished());
    }
}
