//! Waiting for a condition with a deadline: the only place where a test pauses.

use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take to come true; long, because many tests share few processors.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long a look at the condition is put off.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `look` sees something; panics with `what` when it does not come in time.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} in vain: {what}");
        thread::sleep(PAUSE);
    }
}
