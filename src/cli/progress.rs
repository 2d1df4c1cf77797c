//! Progress of long commands on standard error: a bar on a terminal, otherwise a line from time to time.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};

use super::output::notice;

/// Interval of lines when standard error is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

//----------- Progress -------------------------------------------------------

/// Progress of a long command, reported on standard error.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    noun: &'static str,
    started: Instant,
    line_due: Instant,
}

/// A point of progress.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Point {
    /// Number of items done.
    pub(super) things: u64,
    /// Amount of work done, such as bytes read.
    pub(super) done: u64,
    /// Amount of all work; 0 when it is unknown.
    pub(super) whole: u64,
}

impl Progress {
    /// Starts the clock; `noun` names the items.
    pub(super) fn new(noun: &'static str) -> Self {
        let started = Instant::now();
        let bar = io::stderr().is_terminal().then(|| ProgressBar::new(0).with_style(unknown_style()));
        Self { bar, noun, started, line_due: started + LINE_EVERY }
    }

    /// Updates the bar, or writes a line when one is due.
    pub(super) fn advance(&mut self, stage: &str, point: Point) {
        let now = Instant::now();
        if let Some(bar) = &self.bar {
            if point.whole > 0 && bar.length() != Some(point.whole) {
                bar.set_length(point.whole);
                bar.set_style(known_style());
            }
            bar.set_position(point.done);
            bar.set_message(self.sentence(stage, point, now));
        } else if now >= self.line_due {
            self.line_due = now + LINE_EVERY;
            notice(&self.sentence(stage, point, now));
        }
    }

    /// Time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn sentence(&self, stage: &str, point: Point, now: Instant) -> String {
        let elapsed = now - self.started;
        let mut sentence = format!("{} {}", HumanCount(point.things), self.noun);
        if !stage.is_empty() {
            sentence = format!("{stage}: {sentence}");
        }
        sentence.push_str(&format!(", {} per second", HumanCount(rate(point.things, elapsed))));
        if let Some(left) = left(point, elapsed) {
            sentence.push_str(&format!(", {} left", HumanDuration(left)));
        }
        sentence
    }
}

fn known_style() -> ProgressStyle {
    let style = ProgressStyle::with_template("[{wide_bar}] {percent:>3} %  {msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}

fn unknown_style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{spinner} {msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Items per second.
pub(super) fn rate(things: u64, elapsed: Duration) -> u64 {
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    things.saturating_mul(1_000) / milliseconds
}

/// Estimated remaining time at the rate so far.
fn left(point: Point, elapsed: Duration) -> Option<Duration> {
    let remaining = point.whole.checked_sub(point.done)?;
    let per_second = rate(point.done, elapsed);
    (point.whole > 0 && per_second > 0).then(|| Duration::from_secs(remaining / per_second))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Point, left, rate};

    #[test]
    fn the_remaining_time_follows_the_rate_so_far() {
        let point = Point { things: 10, done: 250, whole: 1_000 };
        assert_eq!(left(point, Duration::from_secs(5)), Some(Duration::from_secs(15)));
        assert_eq!(left(Point { whole: 0, ..point }, Duration::from_secs(5)), None);
        assert_eq!(rate(500, Duration::from_millis(250)), 2_000);
        assert_eq!(rate(0, Duration::ZERO), 0);
    }
}
