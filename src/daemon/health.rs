//! Health of the node: the reasons why it is not ready, and the metrics that belong to no single module.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::core::Core;
use super::federation_setup;
use crate::front::dns::DnsCounters;
use crate::front::grpc::GrpcCounters;
use crate::front::handle::{HandleCounters, HandleTables};
use crate::front::http::{HttpCounters, HttpSessions, Readiness, Reason};
use crate::front::listen::budget::MemoryBudget;
use crate::front::listen::counters::ConnectionCounters;
use crate::front::listen::crypto_pool::CryptoPool;
use crate::front::listen::udp_rate_limit::UdpAnswerCounters;
use crate::model::limits::COMMANDS_WAITING_MAX;
use crate::model::prefix::Homing;
use crate::registry::Registry;
use crate::resolver::counters::ResolverCounters;
use crate::store::Store;
use crate::telemetry::{Metrics, Page};

/// Reports why the node is not ready: it is stopping, or the store accepts no changes.
pub(super) fn readiness(store: Store, draining: watch::Receiver<bool>) -> Readiness {
    Arc::new(move || {
        let mut reasons = Vec::new();
        if *draining.borrow() {
            reasons.push(Reason { code: "STOPPING", message: "the node is stopping".into() });
        }
        if let Some(message) = store.stop_reason() {
            reasons.push(Reason { code: "READ_ONLY", message });
        }
        if let Some(message) = store.pause_reason() {
            reasons.push(Reason { code: "DISK_FULL", message });
        }
        reasons
    })
}

/// Adds the metrics of the node as a whole and of the modules below the front ends.
pub(super) fn add_metrics(metrics: &Metrics, core: &Core) {
    let store = core.store.clone();
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let running = Instant::now();
    metrics.add(move |page| {
        page.info(
            "idnode_build_info",
            "Version and storage engine of the running program.",
            &[("version", env!("IDNODE_VERSION")), ("engine", &store.engine_kind().to_string())],
        );
        page.gauge_seconds(
            "idnode_start_time_seconds",
            "Time at which the node started, in seconds since 1970.",
            started,
        );
        page.gauge_seconds("idnode_uptime_seconds", "How long the node has run.", running.elapsed());
        write_store(page, &store);
    });
    core.disk.add_metrics(metrics);
    let registry = Arc::clone(&core.registry);
    metrics.add(move |page| write_registry(page, &registry));
    let backups = core.backups.clone();
    metrics.add(move |page| backups.counters().write(page));
    let resolver = core.resolver.counters();
    metrics.add(move |page| write_resolver(page, &resolver));
    federation_setup::add_metrics(
        metrics,
        &core.federation,
        core.filing.as_ref().map(|filing| &filing.watch),
    );
}

fn write_registry(page: &mut Page, registry: &Registry) {
    let counters = registry.counters();
    let outcomes = [
        ("registered", &counters.registered),
        ("overwritten", &counters.overwritten),
        ("amended", &counters.amended),
        ("removed", &counters.removed),
        ("unchanged", &counters.unchanged),
        ("administered", &counters.administered),
        ("repeated", &counters.repeated),
        ("refused", &counters.refused),
        ("rejected", &counters.rejected),
        ("overloaded", &counters.overloaded),
    ];
    let help = "Commands by their outcome: carried out, refused when they were decided, rejected before they were queued, or \
                not queued for want of slots.";
    page.counters("idnode_registry_commands_total", help, "outcome", &read(outcomes));
    page.counter(
        "idnode_registry_groups_total",
        "Groups committed.",
        counters.groups.load(Ordering::Relaxed),
    );
    let taken = registry.slots_taken() as u64;
    page.gauge("idnode_registry_queue_slots", "Slots of the command queue that are taken now.", taken);
    let max = COMMANDS_WAITING_MAX as u64;
    page.gauge("idnode_registry_queue_slots_max", "Slots of the command queue.", max);
    let changes = counters.group_changes.load(Ordering::Relaxed);
    page.counter("idnode_registry_changes_total", "Changes in committed groups.", changes);
}

fn write_resolver(page: &mut Page, counters: &ResolverCounters) {
    let answers = [
        ("values", &counters.values),
        ("absent", &counters.absent),
        ("referral", &counters.referrals),
        ("not_responsible", &counters.not_responsible),
        ("refused", &counters.refused),
    ];
    page.counters("idnode_resolver_questions_total", "Questions by their answer.", "answer", &read(answers));
    let skipped = counters.names_skipped.load(Ordering::Relaxed);
    page.counter(
        "idnode_resolver_names_skipped_total",
        "Identifiers skipped to find a page of a list.",
        skipped,
    );
}

/// Adds the metrics of the DNS front end.
pub(super) fn add_dns_metrics(metrics: &Metrics, counters: Arc<DnsCounters>, udp: Arc<UdpAnswerCounters>) {
    metrics.add(move |page| {
        write_udp_answers(page, "idnode_dns_udp_answers_total", &udp);
        let messages = [("udp", &counters.udp_messages), ("tcp", &counters.tcp_messages)];
        page.counters("idnode_dns_messages_total", "Messages received.", "transport", &read(messages));
        let answers: Vec<(&str, u64)> = counters.answers().collect();
        page.counters("idnode_dns_answers_total", "Answers by response code.", "code", &answers);
        let fates = [
            ("truncated", &counters.truncated),
            ("dropped", &counters.dropped),
            ("unsent", &counters.unsent),
        ];
        let help = "Answers truncated so that the client asks over TCP, messages not answered, and answers that the system did not send.";
        page.counters("idnode_dns_exceptions_total", help, "kind", &read(fates));
    });
}

/// Adds the metrics of the Handle front end.
pub(super) fn add_handle_metrics(
    metrics: &Metrics,
    counters: Arc<HandleCounters>,
    udp: Arc<UdpAnswerCounters>,
    tables: HandleTables,
) {
    metrics.add(move |page| {
        write_udp_answers(page, "idnode_handle_udp_answers_total", &udp);
        let messages = [("udp", &counters.udp_messages), ("tcp", &counters.tcp_messages)];
        page.counters("idnode_handle_messages_total", "Messages received.", "transport", &read(messages));
        let replies: Vec<(&str, u64)> = counters.replies().collect();
        page.counters("idnode_handle_replies_total", "Replies by outcome.", "outcome", &replies);
        let fates = [
            ("dropped", &counters.dropped),
            ("incomplete", &counters.incomplete),
            ("withheld", &counters.withheld),
            ("repeated", &counters.repeated),
            ("busy", &counters.busy),
            ("unsent", &counters.unsent),
        ];
        let help = "Datagrams dropped, messages not put together, answers withheld from a source that used up its \
                    share, requests repeated, messages for which no slot was free, and answers that the system did not send.";
        page.counters("idnode_handle_exceptions_total", help, "kind", &read(fates));
        let sessions = tables.sessions() as u64;
        page.gauge("idnode_handle_sessions", "Open sessions.", sessions);
        let challenges = tables.challenges() as u64;
        page.gauge("idnode_handle_challenges", "Challenges that are not answered yet.", challenges);
    });
}

/// Adds the metrics of the pool for expensive cryptography.
pub(super) fn add_crypto_metrics(metrics: &Metrics, pool: Arc<CryptoPool>) {
    metrics.add(move |page| {
        let counters = pool.counters();
        let outcomes = [
            ("done", &counters.done),
            ("rejected", &counters.rejected),
            ("source_rejected", &counters.rejected_of_source),
        ];
        let help = "Signatures made and verified, keys agreed and derived; rejected because the queue, or the share of one \
                    source in it, was full.";
        page.counters("idnode_crypto_work_total", help, "outcome", &read(outcomes));
        page.gauge("idnode_crypto_queued", "Cryptographic operations that run or are queued.", pool.queued() as u64);
    });
}

fn write_udp_answers(page: &mut Page, name: &'static str, counters: &UdpAnswerCounters) {
    let outcomes = [("sent", &counters.sent), ("slipped", &counters.slipped), ("dropped", &counters.dropped)];
    let help = "Answers over UDP: sent whole, replaced by a short one that leads to TCP, or dropped by the rate limit.";
    page.counters(name, help, "outcome", &read(outcomes));
}

/// Adds the use of a memory budget.
pub(super) fn add_memory_metrics(
    metrics: &Metrics,
    names: &'static [&'static str; 3],
    memory: Arc<MemoryBudget>,
) {
    metrics.add(move |page| {
        let [in_use, max, refusals] = *names;
        page.gauge(in_use, "Bytes of memory that requests and answers use.", memory.bytes_in_use());
        page.gauge(max, "Bytes of memory that requests and answers may use.", memory.bytes_max());
        let help = "Requests refused because the memory budget was spent, by bound.";
        page.counters(refusals, help, "bound", &memory.refusals());
    });
}

/// The memory of DNS over TCP.
pub(super) const DNS_MEMORY: [&str; 3] =
    ["idnode_dns_memory_bytes", "idnode_dns_memory_max_bytes", "idnode_dns_memory_refusals_total"];
/// The memory of gRPC.
pub(super) const GRPC_MEMORY: [&str; 3] =
    ["idnode_grpc_memory_bytes", "idnode_grpc_memory_max_bytes", "idnode_grpc_memory_refusals_total"];
/// The memory of the Handle protocol over TCP.
pub(super) const HANDLE_MEMORY: [&str; 3] =
    ["idnode_handle_memory_bytes", "idnode_handle_memory_max_bytes", "idnode_handle_memory_refusals_total"];

/// The memory of HTTP.
pub(super) const HTTP_MEMORY: [&str; 3] =
    ["idnode_http_memory_bytes", "idnode_http_memory_max_bytes", "idnode_http_memory_refusals_total"];

/// Adds the metrics of the gRPC front end.
pub(super) fn add_grpc_metrics(metrics: &Metrics, counters: Arc<GrpcCounters>) {
    metrics.add(move |page| {
        let calls: Vec<(&str, u64)> = counters.calls().collect();
        page.counters("idnode_grpc_calls_total", "Calls by service.", "service", &calls);
        let refused = counters.tokens_refused.load(Ordering::Relaxed);
        page.counter("idnode_grpc_tokens_refused_total", "Tokens presented and rejected.", refused);
        let help = "Connections closed because their client did not read what was sent.";
        page.counter("idnode_grpc_unread_total", help, counters.unread.load(Ordering::Relaxed));
    });
}

/// Adds the metrics of the HTTP front end.
pub(super) fn add_http_metrics(metrics: &Metrics, counters: Arc<HttpCounters>, sessions: HttpSessions) {
    metrics.add(move |page| {
        let help = "Sessions of the JSON API that are proved, or were ended early.";
        page.gauge("idnode_http_sessions", help, sessions.count() as u64);
        let responses: Vec<(&str, u64)> = counters.responses().collect();
        page.counters(
            "idnode_http_responses_total",
            "Responses by the class of their status.",
            "class",
            &responses,
        );
        let refused = counters.credentials_refused.load(Ordering::Relaxed);
        page.counter("idnode_http_credentials_refused_total", "Credentials presented and rejected.", refused);
    });
}

/// Adds the connection metrics of a front end.
pub(super) fn add_connection_metrics(
    metrics: &Metrics,
    names: &'static ConnectionMetrics,
    counters: Arc<ConnectionCounters>,
) {
    metrics.add(move |page| {
        let help = "What became of connections: accepted (could make requests), refused (by a bound), handshake_failed (silent, \
                    or without TLS), evicted (had been accepted or was in its handshake, and gave its slot to another).";
        page.counters(names.total, help, "outcome", &counters.outcomes());
        let help = "Connections refused, by the bound: of all slots and reserved ones, of one source, of TLS handshakes.";
        page.counters(names.refused, help, "reason", &counters.refused());
        let help = "Connections open now, those included that finish after their eviction or have a reserved slot.";
        page.gauge(names.open, help, counters.open());
        let help = "Connections that may be open, those not included that finish after their eviction or have a reserved slot.";
        page.gauge(names.max, help, counters.max());
        if let Some(reserved) = names.reserved {
            let help = "Connections open now in slots reserved for health, readiness, metrics and administration: all others \
                        were taken when they came.";
            page.gauge(reserved, help, counters.reserved());
        }
    });
}

/// Names of the metrics of the connections of one front end.
pub(super) struct ConnectionMetrics {
    total: &'static str,
    refused: &'static str,
    open: &'static str,
    max: &'static str,
    /// None for a front end without reserved slots.
    reserved: Option<&'static str>,
}

/// Metric names of gRPC connections.
pub(super) const GRPC_CONNECTIONS: ConnectionMetrics = ConnectionMetrics {
    total: "idnode_grpc_connections_total",
    refused: "idnode_grpc_connections_refused_total",
    open: "idnode_grpc_connections_open",
    max: "idnode_grpc_connections_max",
    reserved: Some("idnode_grpc_connections_reserved"),
};
/// Metric names of DNS connections over TCP.
pub(super) const DNS_CONNECTIONS: ConnectionMetrics = ConnectionMetrics {
    total: "idnode_dns_connections_total",
    refused: "idnode_dns_connections_refused_total",
    open: "idnode_dns_connections_open",
    max: "idnode_dns_connections_max",
    reserved: None,
};
/// Metric names of Handle connections over TCP.
pub(super) const HANDLE_CONNECTIONS: ConnectionMetrics = ConnectionMetrics {
    total: "idnode_handle_connections_total",
    refused: "idnode_handle_connections_refused_total",
    open: "idnode_handle_connections_open",
    max: "idnode_handle_connections_max",
    reserved: None,
};
/// Metric names of HTTP connections.
pub(super) const HTTP_CONNECTIONS: ConnectionMetrics = ConnectionMetrics {
    total: "idnode_http_connections_total",
    refused: "idnode_http_connections_refused_total",
    open: "idnode_http_connections_open",
    max: "idnode_http_connections_max",
    reserved: Some("idnode_http_connections_reserved"),
};

fn read<const N: usize>(counters: [(&'static str, &AtomicU64); N]) -> [(&'static str, u64); N] {
    counters.map(|(label, counter)| (label, counter.load(Ordering::Relaxed)))
}

fn write_store(page: &mut Page, store: &Store) {
    let directory = store.directory();
    let homed = directory.prefixes().filter(|entry| entry.homing == Homing::Here).count() as u64;
    let delegated = directory.prefixes().count() as u64 - homed;
    page.gauge("idnode_store_identifiers", "Registered identifiers.", store.count());
    page.gauges(
        "idnode_store_prefixes",
        "Prefixes by the site that answers for them.",
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
        "1 when the store is read-only.",
        u64::from(store.read_only_reason().is_some()),
    );
    page.counter(
        "idnode_journal_entries_total",
        "Entries of the journal since the store was created.",
        store.journal_entries(),
    );
}
