//! Lines of the report.

use std::time::Duration;

/// One measured figure.
pub(crate) struct Line {
    what: String,
    figures: String,
}

impl Line {
    /// A rate, with the median and the 99th percentile of what each request took.
    pub(crate) fn new(what: &str, count: u64, spent: Duration, latencies: &mut [Duration]) -> Self {
        latencies.sort_unstable();
        let at = |share: usize| latencies.get(latencies.len().saturating_sub(1) * share / 100);
        let shown = |share| at(share).map_or_else(String::new, |latency| micros(*latency));
        let rate = count as f64 / spent.as_secs_f64();
        let figures = if latencies.is_empty() {
            format!("{rate:>10.0}/s")
        } else {
            format!("{rate:>10.0}/s   p50 {:>9}   p99 {:>9}", shown(50), shown(99))
        };
        Self { what: what.to_owned(), figures }
    }

    /// A line of any figures.
    pub(crate) fn of(what: &str, figures: String) -> Self {
        Self { what: what.to_owned(), figures }
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        println!("  {:<58} {}", self.what, self.figures);
    }
}

fn micros(time: Duration) -> String {
    let micros = time.as_micros();
    if micros < 10_000 { format!("{micros} us") } else { format!("{:.1} ms", time.as_secs_f64() * 1e3) }
}
