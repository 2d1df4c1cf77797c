//! Metrics: a page in Prometheus's text exposition format, version 0.0.4.
//!
//! Names begin with `idnode_`, counters end in `_total`, and units are base units (`_seconds`, `_bytes`). Labels have
//! few possible values, known when the program is written: never an identifier, a prefix or an address.

use core::fmt;
use core::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the buckets, in microseconds and as the page writes them.
const BUCKETS: [(u64, &str); 16] = [
    (100, "0.0001"),
    (250, "0.00025"),
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];

/// Adds one to a counter of a module.
pub fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

//----------- Metrics --------------------------------------------------------

/// Writes the numbers of one module.
type Writer = Box<dyn Fn(&mut Page) + Send + Sync>;

/// The writers of all modules.
#[derive(Default)]
pub struct Metrics {
    writers: Mutex<Vec<Writer>>,
}

impl Metrics {
    /// Adds the writer of a module. It is called for each page and must neither wait nor read files.
    pub fn add(&self, writer: impl Fn(&mut Page) + Send + Sync + 'static) {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(writer));
    }

    /// Writes the page.
    pub fn render(&self) -> String {
        let mut page = Page::default();
        for writer in self.writers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            writer(&mut page);
        }
        page.text
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

//----------- Page -----------------------------------------------------------

/// A page being written. Each name is written once, with all its labels.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// A count that only grows; the name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &'static str, count: u64) {
        self.family(name, help, "counter", &[(None, count)]);
    }

    /// Counts that only grow, one for each value of a label.
    pub fn counters(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        counts: &[(&'static str, u64)],
    ) {
        self.family(name, help, "counter", &labeled(label, counts));
    }

    /// A number that goes up and down.
    pub fn gauge(&mut self, name: &'static str, help: &'static str, number: u64) {
        self.family(name, help, "gauge", &[(None, number)]);
    }

    /// Numbers that go up and down, one for each value of a label.
    pub fn gauges(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        numbers: &[(&'static str, u64)],
    ) {
        self.family(name, help, "gauge", &labeled(label, numbers));
    }

    /// A duration that goes up and down; the name ends in `_seconds`.
    pub fn gauge_seconds(&mut self, name: &'static str, help: &'static str, duration: Duration) {
        self.head(name, help, "gauge");
        self.line(format_args!("{name} {}", Seconds(duration)));
    }

    /// A histogram of durations; the name ends in `_seconds`.
    pub fn histogram(&mut self, name: &'static str, help: &'static str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let mut below = 0;
        for (bucket, (_, bound)) in histogram.buckets.iter().zip(BUCKETS) {
            below += bucket.load(Ordering::Relaxed);
            self.line(format_args!("{name}_bucket{{le=\"{bound}\"}} {below}"));
        }
        let count = below + histogram.above.load(Ordering::Relaxed);
        let sum = Duration::from_micros(histogram.sum_us.load(Ordering::Relaxed));
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        self.line(format_args!("{name}_sum {}", Seconds(sum)));
        self.line(format_args!("{name}_count {count}"));
    }

    /// Facts about the program, as labels of a number that is always 1; the name ends in `_info`.
    pub fn info(&mut self, name: &'static str, help: &'static str, facts: &[(&'static str, &str)]) {
        self.head(name, help, "gauge");
        let facts: Vec<String> = facts.iter().map(|(label, fact)| pair(label, fact)).collect();
        self.line(format_args!("{name}{{{}}} 1", facts.join(",")));
    }

    fn family(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: &'static str,
        samples: &[(Option<String>, u64)],
    ) {
        self.head(name, help, kind);
        for (labels, number) in samples {
            match labels {
                Some(labels) => self.line(format_args!("{name}{{{labels}}} {number}")),
                None => self.line(format_args!("{name} {number}")),
            }
        }
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _never = self.text.write_fmt(line);
        self.text.push('\n');
    }
}

fn labeled(label: &str, numbers: &[(&str, u64)]) -> Vec<(Option<String>, u64)> {
    numbers.iter().map(|(value, number)| (Some(pair(label, value)), *number)).collect()
}

fn pair(label: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{label}=\"{value}\"")
}

/// A duration in seconds, with the digits it needs.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0.as_secs(), self.0.subsec_micros())
    }
}

//----------- Histogram ------------------------------------------------------

/// A histogram of durations from 100 microseconds to 10 seconds. Adding is lock-free.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    above: AtomicU64,
    sum_us: AtomicU64,
}

impl Histogram {
    /// Adds a duration.
    pub fn add(&self, duration: Duration) {
        let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = self.buckets.iter().zip(BUCKETS).find(|(_, (bound, _))| duration_us <= *bound);
        bucket.map_or(&self.above, |(bucket, _)| bucket).fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(duration_us, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Histogram, Metrics};

    #[test]
    fn a_page_shows_what_every_module_wrote() {
        let metrics = Metrics::default();
        metrics.add(|page| page.counter("idnode_one_total", "First.", 7));
        metrics.add(|page| {
            page.counters("idnode_two_total", "Second.", "protocol", &[("dns", 1), ("grpc", 2)]);
            page.gauge_seconds("idnode_three_seconds", "Third.", Duration::from_millis(1_500));
            page.info("idnode_build_info", "Fourth.", &[("version", "1 \"x\"")]);
        });
        let expected = "\
            # HELP idnode_one_total First.\n# TYPE idnode_one_total counter\nidnode_one_total 7\n\
            # HELP idnode_two_total Second.\n# TYPE idnode_two_total counter\n\
            idnode_two_total{protocol=\"dns\"} 1\nidnode_two_total{protocol=\"grpc\"} 2\n\
            # HELP idnode_three_seconds Third.\n# TYPE idnode_three_seconds gauge\n\
            idnode_three_seconds 1.500000\n\
            # HELP idnode_build_info Fourth.\n# TYPE idnode_build_info gauge\n\
            idnode_build_info{version=\"1 \\\"x\\\"\"} 1\n";
        assert_eq!(metrics.render(), expected);
    }

    #[test]
    fn a_histogram_counts_every_duration_once() {
        let histogram = Arc::new(Histogram::default());
        for duration_us in [50, 100, 101, 9_000_000, 11_000_000] {
            histogram.add(Duration::from_micros(duration_us));
        }
        let metrics = Metrics::default();
        metrics.add(move |page| page.histogram("idnode_commit_seconds", "Commits.", &histogram));
        let page = metrics.render();
        assert!(page.contains("idnode_commit_seconds_bucket{le=\"0.0001\"} 2\n"), "{page}");
        assert!(page.contains("idnode_commit_seconds_bucket{le=\"0.00025\"} 3\n"), "{page}");
        assert!(page.contains("idnode_commit_seconds_bucket{le=\"10\"} 4\n"), "{page}");
        assert!(page.contains("idnode_commit_seconds_bucket{le=\"+Inf\"} 5\n"), "{page}");
        assert!(page.contains("idnode_commit_seconds_sum 20.000251\n"), "{page}");
        assert!(page.contains("idnode_commit_seconds_count 5\n"), "{page}");
    }
}
