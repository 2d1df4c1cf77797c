//! Assembles the federation, and filing at the upper node.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::clock_and_entropy::Environment;
use super::error::DaemonError;
use crate::config::Config;
use crate::federation::counters::FederationCounters;
use crate::federation::networks::{AllowedNetworks, LoopbackUse};
use crate::federation::upper::UpperOptions;
use crate::federation::{Federation, FederationOptions};
use crate::filing::status::FilingWatch;
use crate::filing::{self, FilingOptions};
use crate::model::site::Site;
use crate::store::Store;
use crate::store::writer::UpkeepWriter;
use crate::telemetry::{Metrics, Page};

/// The shortest and the longest wait of filing after a failure.
const FILING_PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));
/// The wait before what the upper node refused is filed again.
const REFUSED_PAUSE: Duration = Duration::from_secs(600);

/// The federation and the upper node as configured. Nothing is connected yet.
pub(super) fn federation(config: &Config, environment: &Environment) -> Result<Arc<Federation>, DaemonError> {
    let upper_ca = load("upper.tls_ca", config.upper.tls_ca.as_deref())?;
    let own_ca = load("recursion.tls_ca", config.recursion.tls_ca.as_deref())?;
    let upper = config.upper.address.clone().map(|address| UpperOptions {
        address,
        token_file: config.upper.token_file.clone(),
        authority: upper_ca.clone(),
        tls_host_name: config.upper.tls_host_name.clone(),
        allow_token_in_plain_text: config.upper.allow_token_in_plain_text,
    });
    // Programs of this machine reach those addresses anyway.
    let loopback =
        if config.is_asked_by_this_machine_only() { LoopbackUse::Allowed } else { LoopbackUse::Refused };
    let options = FederationOptions {
        upper,
        authorities: own_ca.or(upper_ca),
        networks: AllowedNetworks::new(&config.recursion.networks, loopback),
        cache_answers: config.recursion.cache_answers,
        clock: Arc::clone(&environment.clock),
        jitter: Arc::clone(&environment.jitter),
    };
    let federation = Federation::new(options);
    let configured = |reason: String| DaemonError::Configured { key: "upper", reason };
    federation.map(Arc::new).map_err(|error| configured(error.to_string()))
}

fn load(key: &'static str, path: Option<&Path>) -> Result<Option<Vec<u8>>, DaemonError> {
    let unreadable = |path: &Path, error: &std::io::Error| DaemonError::Configured {
        key,
        reason: format!("{} cannot be read: {error}", path.display()),
    };
    path.map(|path| std::fs::read(path).map_err(|error| unreadable(path, &error))).transpose()
}

//----------- Filing ---------------------------------------------------------

/// The running filing task.
pub(super) struct RunningFiling {
    pub(super) watch: FilingWatch,
    pub(super) task: JoinHandle<()>,
}

/// Starts filing at the upper node; none at the top.
pub(super) fn start_filing(
    store: &Store,
    upkeep: UpkeepWriter,
    federation: &Federation,
    site: Option<Site>,
    environment: &Environment,
    stop: watch::Receiver<bool>,
) -> Option<RunningFiling> {
    let upper = Arc::clone(federation.upper()?);
    let (pause_first, pause_longest) = FILING_PAUSES;
    let jitter = Arc::clone(&environment.jitter);
    let options = FilingOptions { site, pause_first, pause_longest, refused_pause: REFUSED_PAUSE, jitter };
    let (watch, task) = filing::start(store.clone(), upkeep, upper, options, stop);
    Some(RunningFiling { watch, task })
}

//----------- Numbers --------------------------------------------------------

/// Adds the metrics of the federation, and of filing where there is an upper node.
pub(super) fn add_metrics(metrics: &Metrics, federation: &Federation, filing: Option<&FilingWatch>) {
    let counters = federation.counters();
    metrics.add(move |page| write_federation(page, &counters));
    if let Some(watch) = filing.cloned() {
        metrics.add(move |page| write_filing(page, &watch));
    }
}

fn write_federation(page: &mut Page, counters: &FederationCounters) {
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let outcomes = [
        ("answered", read(&counters.asked)),
        ("cached", read(&counters.cached)),
        ("failed", read(&counters.failed)),
    ];
    let help = "Questions for other nodes by their outcome.";
    page.counters("idnode_federation_questions_total", help, "outcome", &outcomes);
    let help = "Attempts that did not reach another node.";
    page.counter("idnode_federation_unreachable_total", help, read(&counters.unreachable));
}

fn write_filing(page: &mut Page, watch: &FilingWatch) {
    let status = watch.status();
    let help = "1 when the upper node answered the latest call.";
    page.gauge("idnode_filing_connected", help, u64::from(status.state.is_connected()));
    let help = "Journal entries that the upper node has not confirmed.";
    page.gauge("idnode_filing_lag_entries", help, status.lag_entries);
    let help = "Age of the oldest journal entry that the upper node has not confirmed, in seconds.";
    page.gauge_seconds("idnode_filing_lag_seconds", help, Duration::from_millis(status.lag_ms));
    let help = "Prefixes that the upper node refused and that are not filed.";
    page.gauge("idnode_filing_set_aside", help, status.counts.set_aside);
    let help = "Changes of prefixes that the upper node accepted.";
    page.counter("idnode_filing_filed_total", help, status.counts.filed);
    let help = "Changes of identifiers that were counted and not filed, because only prefixes are filed.";
    page.counter("idnode_filing_identifier_changes_total", help, status.counts.identifiers);
    let help = "Times that the present state of all prefixes was filed.";
    page.counter("idnode_filing_resynchronizations_total", help, status.counts.resynchronizations);
    let help = "Times that filing was interrupted.";
    page.counter("idnode_filing_interruptions_total", help, status.counts.interruptions);
}
