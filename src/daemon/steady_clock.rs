//! The time that pruning and forgetting go by: the wall clock, but never a jump of it.
//!
//! ```text
//!   wall clock against passed time ─ agree ─▶ trusted time follows the wall clock
//!                                  └ jump  ─▶ trusted time goes on by passed time, until the clock has been steady for a day
//! ```
//! What is forgotten or deleted by a wrong clock does not come back when the clock is set right. Deleting a day later does no
//! harm. At a start the clock is trusted only when it goes on from a day of changes in the journal. Where nothing was changed
//! for an hour, or the clock has jumped in that day, it is not known whether the clock is right; then nothing is pruned or
//! forgotten for a day.

use std::time::{Duration, Instant};

/// A difference between the wall clock and the time that has passed that is no jump.
const TOLERANCE: Duration = Duration::from_secs(60);
/// How far the wall clock may be from the last change when a node starts, and the changes of the last day from each other.
pub(super) const START_TOLERANCE: Duration = Duration::from_secs(3_600);
/// How long the wall clock has to run steadily until it is trusted again.
pub(super) const STEADY: Duration = Duration::from_secs(86_400);

//----------- SteadyClock ----------------------------------------------------

/// Compares the wall clock with the time that has passed.
#[derive(Debug)]
pub(super) struct SteadyClock {
    trusted_ms: u64,
    wall_ms: u64,
    at: Instant,
    /// Since when the wall clock has been steady; none while it is trusted.
    steady_since: Option<Instant>,
}

/// The outcome of a look at the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Observed {
    /// The time to prune and forget by, in milliseconds since 1970; never later than the wall clock.
    pub(super) trusted_ms: u64,
    /// A jump since the last look, in milliseconds: forward, or back when it is negative.
    pub(super) jump_ms: Option<i64>,
}

impl SteadyClock {
    /// Starts at a wall clock, with the time of the last change. `is_steady` tells whether the changes of the day before it
    /// followed each other within [`START_TOLERANCE`].
    pub(super) fn new(last_change_ms: u64, is_steady: bool, wall_ms: u64, now: Instant) -> Self {
        let is_trusted = is_steady && wall_ms.abs_diff(last_change_ms) <= millis(START_TOLERANCE);
        Self {
            trusted_ms: if is_trusted { wall_ms } else { 0 },
            wall_ms,
            at: now,
            steady_since: (!is_trusted).then_some(now),
        }
    }

    /// Whether the wall clock is trusted.
    pub(super) fn is_trusted(&self) -> bool {
        self.steady_since.is_none()
    }

    /// Looks at the wall clock; to be called every minute or more often.
    pub(super) fn look(&mut self, wall_ms: u64, now: Instant) -> Observed {
        let passed_ms = millis(now.saturating_duration_since(self.at));
        let off_ms = difference(wall_ms, self.wall_ms.saturating_add(passed_ms));
        let jumped = off_ms.unsigned_abs() > millis(TOLERANCE);
        (self.wall_ms, self.at) = (wall_ms, now);
        self.trusted_ms = self.trusted_ms.saturating_add(passed_ms);
        if jumped {
            self.steady_since = Some(now);
        }
        match self.steady_since {
            Some(since) if now.saturating_duration_since(since) < STEADY => {}
            _ => {
                self.steady_since = None;
                self.trusted_ms = wall_ms;
            }
        }
        Observed { trusted_ms: self.trusted_ms.min(wall_ms), jump_ms: jumped.then_some(off_ms) }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How far a time is after another, in milliseconds.
fn difference(time_ms: u64, from_ms: u64) -> i64 {
    let far = i64::try_from(time_ms.abs_diff(from_ms)).unwrap_or(i64::MAX);
    if time_ms >= from_ms { far } else { -far }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Instant, Observed, SteadyClock};

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY_MS: u64 = 86_400_000;
    const START_MS: u64 = 1_800_000_000_000;

    /// Lets a clock run steadily; what the last look said.
    fn run(
        clock: &mut SteadyClock,
        mut wall_ms: u64,
        mut now: Instant,
        minutes: u64,
    ) -> (Observed, u64, Instant) {
        let mut observed = Observed { trusted_ms: 0, jump_ms: None };
        for _ in 0..minutes {
            (wall_ms, now) = (wall_ms + 60_000, now + MINUTE);
            observed = clock.look(wall_ms, now);
        }
        (observed, wall_ms, now)
    }

    #[test]
    fn a_steady_clock_is_trusted() {
        let now = Instant::now();
        let mut clock = SteadyClock::new(START_MS - 1_000, true, START_MS, now);
        let (observed, wall_ms, _) = run(&mut clock, START_MS, now, 10);
        assert_eq!(observed, Observed { trusted_ms: wall_ms, jump_ms: None });
    }

    #[test]
    fn a_jump_forward_is_reported_once_and_trusted_after_a_day() {
        let now = Instant::now();
        let mut clock = SteadyClock::new(START_MS, true, START_MS, now);
        let jump = 30 * DAY_MS;
        let observed = clock.look(START_MS + jump + 1_000, now + Duration::from_secs(1));
        assert_eq!(observed, Observed { trusted_ms: START_MS + 1_000, jump_ms: Some(30 * 86_400_000) });
        let (wall_ms, now) = (START_MS + jump + 1_000, now + Duration::from_secs(1));
        let (observed, wall_ms, now) = run(&mut clock, wall_ms, now, 1_439);
        assert_eq!((observed.trusted_ms, observed.jump_ms), (wall_ms - jump, None));
        let (observed, wall_ms, _) = run(&mut clock, wall_ms, now, 1);
        assert_eq!(observed, Observed { trusted_ms: wall_ms, jump_ms: None });
    }

    #[test]
    fn a_jump_that_is_undone_leaves_nothing_behind() {
        let now = Instant::now();
        let mut clock = SteadyClock::new(START_MS, true, START_MS, now);
        clock.look(START_MS + 400 * DAY_MS, now + MINUTE);
        let observed = clock.look(START_MS + 120_000, now + 2 * MINUTE);
        assert!(observed.jump_ms.is_some_and(|jump| jump < 0), "{observed:?}");
        assert_eq!(observed.trusted_ms, START_MS + 120_000);
    }

    #[test]
    fn a_jump_back_is_never_ahead_of_the_wall_clock() {
        let now = Instant::now();
        let mut clock = SteadyClock::new(START_MS, true, START_MS, now);
        let observed = clock.look(START_MS - DAY_MS, now + MINUTE);
        let jump_ms = Some(-86_460_000);
        assert_eq!(observed, Observed { trusted_ms: START_MS - DAY_MS, jump_ms });
    }

    #[test]
    fn a_start_that_does_not_go_on_from_a_day_of_changes_is_not_trusted_for_a_day() {
        let now = Instant::now();
        let far = SteadyClock::new(START_MS - 30 * DAY_MS, true, START_MS, now);
        let after_a_gap = SteadyClock::new(START_MS, false, START_MS, now);
        for mut clock in [far, after_a_gap] {
            assert!(!clock.is_trusted());
            let observed = clock.look(START_MS, now);
            assert_eq!(observed, Observed { trusted_ms: 0, jump_ms: None });
            let observed = clock.look(START_MS + 60_000, now + MINUTE);
            assert_eq!(observed, Observed { trusted_ms: 60_000, jump_ms: None });
            let (observed, wall_ms, _) = run(&mut clock, START_MS + 60_000, now + MINUTE, 1_439);
            assert_eq!(observed, Observed { trusted_ms: wall_ms, jump_ms: None });
            assert!(clock.is_trusted());
        }
    }
}
