//! Waiting after a failure: longer each time, and randomized so that nodes do not retry at the same time.

use std::time::Duration;

/// Consecutive failures after which a node is not called for a while.
const FAILURES_MAX: u32 = 3;

//----------- Backoff --------------------------------------------------------

/// Waiting times that double up to a bound. Each is shortened by a random part of up to a half, so that nodes do not
/// retry at the same time.
#[derive(Clone, Debug)]
pub struct Backoff {
    next: Duration,
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// Starts with the shortest time.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, first, longest }
    }

    /// Returns the waiting times between attempts to ask one question.
    pub(super) fn of_questions() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_millis(400))
    }

    /// Returns the next waiting time, shortened by a part that `chance`, a random number, selects.
    pub fn next(&mut self, chance: u64) -> Duration {
        let whole = self.next;
        self.next = (self.next * 2).min(self.longest);
        let parts = u32::try_from(chance % 1_024).unwrap_or(0);
        whole - whole / 2 * parts / 1_024
    }

    /// Starts again with the shortest time, after a success.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

//----------- Breaker --------------------------------------------------------

/// A circuit breaker: rejects calls after consecutive failures, then lets one attempt through at a time.
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

/// For how long calls are still rejected, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// Milliseconds until the next attempt.
    pub(super) remaining_ms: u64,
    /// The last failure.
    pub(super) detail: String,
}

impl Default for Breaker {
    fn default() -> Self {
        let backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        Self { failures: 0, backoff, open_until_ms: 0, detail: String::new() }
    }
}

impl Breaker {
    /// Returns whether the node may be called now. After the pause, one caller gets through; the others are rejected
    /// until its attempt has an outcome, or for a second.
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

    /// Records that the node answered.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.backoff.reset();
    }

    /// Records that the node could not be reached.
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
