//! How the node is: the reasons why it is not ready, and the numbers that belong to no room.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use crate::front::http::{Readiness, Reason};
use crate::model::prefix::Homing;
use crate::store::Store;
use crate::telemetry::{Metrics, Page};

/// Tells why the node is not ready: it stops, or the store takes no changes.
pub(super) fn readiness(store: Store, draining: watch::Receiver<bool>) -> Readiness {
    Arc::new(move || {
        let mut reasons = Vec::new();
        if *draining.borrow() {
            reasons.push(Reason { code: "STOPPING", message: "the node is stopping".into() });
        }
        if let Some(message) = store.read_only_reason() {
            reasons.push(Reason { code: "READ_ONLY", message });
        }
        reasons
    })
}

/// Adds the numbers of the node as a whole.
pub(super) fn add_metrics(metrics: &Metrics, store: Store) {
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let running = Instant::now();
    metrics.add(move |page| {
        page.info(
            "idnode_build_info",
            "The program that runs.",
            &[("version", env!("IDNODE_VERSION")), ("engine", &store.engine_kind().to_string())],
        );
        page.gauge_seconds("idnode_start_time_seconds", "When the node started, since 1970.", started);
        page.gauge_seconds("idnode_uptime_seconds", "How long the node has run.", running.elapsed());
        write_store(page, &store);
    });
}

fn write_store(page: &mut Page, store: &Store) {
    let directory = store.directory();
    let homed = directory.prefixes().filter(|entry| entry.homing == Homing::Here).count() as u64;
    let delegated = directory.prefixes().count() as u64 - homed;
    page.gauge("idnode_store_identifiers", "Identifiers that exist.", store.count());
    page.gauges(
        "idnode_store_prefixes",
        "Prefixes by who answers for them.",
        "homing",
        &[("here", homed), ("delegated", delegated)],
    );
    page.gauge(
        "idnode_store_tokens",
        "Tokens, revoked and expired ones included.",
        directory.tokens().count() as u64,
    );
    page.gauge(
        "idnode_store_read_only",
        "1 when the store takes no changes.",
        u64::from(store.read_only_reason().is_some()),
    );
    page.counter(
        "idnode_journal_entries_total",
        "Entries of the journal since the store was created.",
        store.end().sequence,
    );
}
