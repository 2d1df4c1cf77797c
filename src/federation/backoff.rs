//! Waiting after failure: longer each time, never in step with others.

use std::time::Duration;

/// Failures in a row after which a node is left alone.
const FAILURES_MAX: u32 = 3;

//----------- Backoff --------------------------------------------------------

/// Waiting times that double up to a bound. Chance takes up to half of each, so that nodes do not knock in step.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Begins with the shortest time.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, first, longest }
    }

    /// Between two attempts to ask one question.
    pub(super) fn of_questions() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_millis(400))
    }

    /// The next waiting time.
    pub fn next(&mut self, chance: u64) -> Duration {
        let whole = self.next;
        self.next = (self.next * 2).min(self.longest);
        let parts = u32::try_from(chance % 1_024).unwrap_or(0);
        whole - whole / 2 * parts / 1_024
    }

    /// Begins again with the shortest time: something succeeded.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

//----------- Breaker --------------------------------------------------------

/// Leaves a node alone after it failed some times in a row; then lets one attempt through at a time.
///
/// ```text
///   closed ── failures ──▶ open until a time ── time passes ──▶ one attempt ── success ──▶ closed
///                              ▲                                    │ failure: open twice as long
///                              └────────────────────────────────────┘
/// ```
#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    backoff: Backoff,
    open_until_ms: u64,
    detail: String,
}

/// How long a node is still left alone, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// Until then, in milliseconds from now.
    pub(super) remaining_ms: u64,
    /// What happened the last time.
    pub(super) detail: String,
}

impl Default for Breaker {
    fn default() -> Self {
        let backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        Self { failures: 0, backoff, open_until_ms: 0, detail: String::new() }
    }
}

impl Breaker {
    /// Whether the node may be asked now. Whoever asks after the time keeps others away until it has an outcome, or
    /// for a second.
    pub(super) fn check(&mut self, now_ms: u64) -> Result<(), Open> {
        if self.failures < FAILURES_MAX {
            return Ok(());
        }
        if now_ms < self.open_until_ms {
            return Err(Open { remaining_ms: self.open_until_ms - now_ms, detail: self.detail.clone() });
        }
        self.open_until_ms = now_ms.saturating_add(1_000);
        Ok(())
    }

    /// The node answered.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.backoff.reset();
    }

    /// The node could not be reached.
    pub(super) fn failed(&mut self, detail: &str, now_ms: u64, chance: u64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX {
            let pause_ms = u64::try_from(self.backoff.next(chance).as_millis()).unwrap_or(u64::MAX);
            self.open_until_ms = now_ms.saturating_add(pause_ms);
            detail.clone_into(&mut self.detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, Breaker, Open};

    #[test]
    fn waiting_doubles_up_to_its_bound_and_chance_takes_at_most_half() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(400));
        let whole: Vec<u128> = (0..4).map(|_| backoff.next(0).as_millis()).collect();
        assert_eq!(whole, [100, 200, 400, 400]);
        backoff.reset();
        let least = backoff.next(1_023);
        assert!(least >= Duration::from_millis(50) && least < Duration::from_millis(51), "{least:?}");
    }

    #[test]
    fn a_node_that_fails_is_left_alone_then_tried_by_one() {
        let mut breaker = Breaker::default();
        breaker.failed("refused", 0, 0);
        breaker.failed("refused", 0, 0);
        assert_eq!(breaker.check(0), Ok(()));
        breaker.failed("refused", 0, 0);
        assert_eq!(breaker.check(100), Err(Open { remaining_ms: 400, detail: "refused".into() }));
        assert_eq!(breaker.check(500), Ok(()));
        assert_eq!(breaker.check(501).map_err(|open| open.remaining_ms), Err(999), "one tries, others wait");
        breaker.failed("refused", 600, 0);
        assert_eq!(breaker.check(600).map_err(|open| open.remaining_ms), Err(1_000), "twice as long");
        breaker.succeeded();
        assert_eq!(breaker.check(600), Ok(()));
    }
}
