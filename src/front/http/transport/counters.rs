//! Counts of the HTTP front end.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

use crate::telemetry::count;

/// The classes of statuses, as labels.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Counts since the HTTP front end was made.
#[derive(Debug, Default)]
pub struct HttpCounters {
    responses: [AtomicU64; CLASSES.len()],
    /// Credentials shown and not accepted.
    pub credentials_refused: AtomicU64,
}

impl HttpCounters {
    /// Counts a response.
    pub(in crate::front::http) fn count_response(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(2);
        if let Some(counter) = self.responses.get(class) {
            count(counter);
        }
    }

    /// The responses by their class.
    pub fn responses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(&self.responses).map(|(class, count)| (class, count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::HttpCounters;

    #[test]
    fn responses_are_counted_by_class() {
        let counters = HttpCounters::default();
        counters.count_response(StatusCode::OK);
        counters.count_response(StatusCode::NOT_FOUND);
        counters.count_response(StatusCode::CONFLICT);
        let counted: Vec<(&str, u64)> = counters.responses().collect();
        assert_eq!(counted, [("2xx", 1), ("3xx", 0), ("4xx", 2), ("5xx", 0)]);
    }
}
