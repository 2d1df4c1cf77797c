//! Version 1 of the configuration file: every key, one row each.
//!
//! A released version is frozen: a key may be added, never renamed or given another meaning; that takes version 2
//! and a table of its own.

use std::ops::RangeInclusive;

use super::options::Config;
use super::raw_value::{ExpectedForm, RawValue};
use crate::backup::Schedule;
use crate::model::identity::Identity;
use crate::store::EngineKind;
use crate::telemetry::{LogFormat, LogLevel};
use crate::wire::dns::name::check_root;

/// The number that `version` carries.
pub const VERSION: i128 = 1;

/// One key: its name, and how its value changes the configuration.
pub struct Key {
    /// Section of the key.
    pub section: &'static str,
    /// Name of the key in its section.
    pub name: &'static str,
    /// Checks a value of the key and sets it.
    pub(super) apply: fn(&mut Config, &RawValue) -> Result<(), ExpectedForm>,
}

impl Key {
    /// `section.name`, as arguments and messages write it.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }

    /// `IDNODE_SECTION_NAME`, as the environment writes it.
    pub fn variable(&self) -> String {
        format!("IDNODE_{}_{}", self.section, self.name).to_ascii_uppercase()
    }
}

/// Every key, in the order of the template.
pub static KEYS: &[&[Key]] =
    &[STORE, TLS, GRPC, DNS, HANDLE, HTTP, CONNECTIONS, UDP, UPPER, SITE, RECURSION, BACKUP, LOG, SHUTDOWN];

/// Every key, one after the other.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().copied().flatten()
}

/// Writes one row: section, name, and how the value changes the configuration.
macro_rules! key {
    ($section:literal, $name:literal, |$config:ident, $given:ident| $place:expr => $value:expr) => {
        Key {
            section: $section,
            name: $name,
            apply: |$config, $given| {
                $place = $value;
                Ok(())
            },
        }
    };
}

const DAYS_MAX: u32 = 36_500;
const CACHE_BYTES_MAX: u64 = 1 << 40;
/// The largest reserve of disk space: beyond any disk.
const DISK_BYTES_MAX: u64 = 1 << 50;
const CONNECTION_COUNTS: RangeInclusive<usize> = 1..=1_000_000;
const UDP_BYTES_MAX: u32 = 1 << 30;
const ENGINES: &[(&str, EngineKind)] = &[("fjall", EngineKind::Fjall), ("sled", EngineKind::Sled)];
const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
const LEVELS: &[(&str, LogLevel)] = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

const STORE: &[Key] = &[
    key!("store", "directory", |config, given| config.store.directory => given.path()?),
    key!("store", "engine", |config, given| config.store.engine => given.choice(ENGINES)?),
    key!("store", "cache_bytes", |config, given| config.store.cache_bytes
        => given.integer(1 << 20..=CACHE_BYTES_MAX)?),
    key!("store", "disk_reserve_bytes", |config, given| config.store.disk_reserve_bytes
        => given.integer(0..=DISK_BYTES_MAX)?),
    key!("store", "case_sensitive_suffix", |config, given| config.store.case_sensitive_suffix => given.flag()?),
    key!("store", "request_window_days", |config, given| config.store.request_window_days
        => given.integer(1..=366)?),
    key!("store", "bodies_days", |config, given| config.store.bodies_days => given.integer(0..=DAYS_MAX)?),
    key!("store", "headers_days", |config, given| config.store.headers_days => given.integer(0..=DAYS_MAX)?),
];

const TLS: &[Key] = &[
    key!("tls", "certificate", |config, given| config.tls.certificate => Some(given.path()?)),
    key!("tls", "key", |config, given| config.tls.key => Some(given.path()?)),
];

const GRPC: &[Key] = &[
    key!("grpc", "listen", |config, given| config.grpc.listen => given.socket_addresses()?),
    key!("grpc", "allow_tokens_in_plain_text", |config, given| config.grpc.allow_tokens_in_plain_text
        => given.flag()?),
    key!("grpc", "connections_max", |config, given| config.grpc.connections.max => given.integer(CONNECTION_COUNTS)?),
    key!("grpc", "connections_per_source_max", |config, given| config.grpc.connections.per_source_max
        => given.integer(CONNECTION_COUNTS)?),
];

const DNS: &[Key] = &[
    key!("dns", "listen", |config, given| config.dns.listen => given.socket_addresses()?),
    key!("dns", "root", |config, given| config.dns.root => root(given)?),
    key!("dns", "minimum_seconds", |config, given| config.dns.minimum_seconds => given.integer(0..=86_400)?),
    key!("dns", "idle_seconds", |config, given| config.dns.idle_seconds => given.integer(1..=3_600)?),
    key!("dns", "connections_max", |config, given| config.dns.connections.max => given.integer(CONNECTION_COUNTS)?),
    key!("dns", "connections_per_source_max", |config, given| config.dns.connections.per_source_max
        => given.integer(CONNECTION_COUNTS)?),
];

const HANDLE: &[Key] = &[
    key!("handle", "listen", |config, given| config.handle.listen => given.socket_addresses()?),
    key!("handle", "idle_seconds", |config, given| config.handle.idle_seconds => given.integer(600..=86_400)?),
    key!("handle", "administrators", |config, given| config.handle.administrators
        => given.list(|text| Identity::parse(text).map_err(|error| error.to_string()))?),
    key!("handle", "connections_max", |config, given| config.handle.connections.max => given.integer(CONNECTION_COUNTS)?),
    key!("handle", "connections_per_source_max", |config, given| config.handle.connections.per_source_max
        => given.integer(CONNECTION_COUNTS)?),
];

const HTTP: &[Key] = &[
    key!("http", "listen", |config, given| config.http.listen => given.socket_addresses()?),
    key!("http", "idle_seconds", |config, given| config.http.idle_seconds => given.integer(1..=3_600)?),
    key!("http", "allow_tokens_in_plain_text", |config, given| config.http.allow_tokens_in_plain_text
        => given.flag()?),
    key!("http", "connections_max", |config, given| config.http.connections.max => given.integer(CONNECTION_COUNTS)?),
    key!("http", "connections_per_source_max", |config, given| config.http.connections.per_source_max
        => given.integer(CONNECTION_COUNTS)?),
];

const CONNECTIONS: &[Key] = &[Key {
    section: "connections",
    name: "exempt_networks",
    apply: |config, given| {
        let networks = given.networks()?;
        for limits in config.connection_limits() {
            limits.exempt_networks.clone_from(&networks);
        }
        Ok(())
    },
}];

const UDP: &[Key] = &[
    key!("udp", "answer_bytes_max", |config, given| config.udp.answer_bytes_max
        => given.integer(0..=UDP_BYTES_MAX)?),
    key!("udp", "bytes_per_second", |config, given| config.udp.bytes_per_second
        => given.integer(0..=UDP_BYTES_MAX)?),
    key!("udp", "burst_bytes", |config, given| config.udp.burst_bytes => given.integer(0..=UDP_BYTES_MAX)?),
    key!("udp", "proven_bytes_per_second", |config, given| config.udp.proven_bytes_per_second
        => given.integer(0..=UDP_BYTES_MAX)?),
    key!("udp", "proven_burst_bytes", |config, given| config.udp.proven_burst_bytes
        => given.integer(0..=UDP_BYTES_MAX)?),
    key!("udp", "slip", |config, given| config.udp.slip => given.integer(0..=10)?),
    key!("udp", "exempt_networks", |config, given| config.udp.exempt_networks => given.networks()?),
];

const UPPER: &[Key] = &[
    key!("upper", "address", |config, given| config.upper.address => Some(upper_address(given)?)),
    key!("upper", "token_file", |config, given| config.upper.token_file => Some(given.path()?)),
    key!("upper", "tls_ca", |config, given| config.upper.tls_ca => Some(given.path()?)),
    key!("upper", "tls_host_name", |config, given| config.upper.tls_host_name
        => Some(given.name("top.example")?)),
    key!("upper", "allow_token_in_plain_text", |config, given| config.upper.allow_token_in_plain_text
        => given.flag()?),
];

const SITE: &[Key] = &[
    key!("site", "addresses", |config, given| config.site.addresses => given.addresses()?),
    key!("site", "host_name", |config, given| config.site.host_name => Some(given.name("node.example")?)),
    key!("site", "grpc_port", |config, given| config.site.grpc_port => Some(given.integer(1..=u16::MAX)?)),
    key!("site", "dns_port", |config, given| config.site.dns_port => Some(given.integer(1..=u16::MAX)?)),
    key!("site", "handle_port", |config, given| config.site.handle_port => Some(given.integer(1..=u16::MAX)?)),
    key!("site", "http_port", |config, given| config.site.http_port => Some(given.integer(1..=u16::MAX)?)),
];

const RECURSION: &[Key] = &[
    key!("recursion", "allowed", |config, given| config.recursion.allowed => given.flag()?),
    key!("recursion", "cache_answers", |config, given| config.recursion.cache_answers
        => given.integer(0..=100_000_000)?),
    key!("recursion", "deadline_seconds", |config, given| config.recursion.deadline => given.seconds(1..=60)?),
    key!("recursion", "tls_ca", |config, given| config.recursion.tls_ca => Some(given.path()?)),
    key!("recursion", "networks", |config, given| config.recursion.networks => given.networks()?),
];

const BACKUP: &[Key] = &[
    key!("backup", "directories", |config, given| config.backup.directories
        => given.list(|text| Ok(text.into()))?),
    key!("backup", "schedule", |config, given| config.backup.schedule => Some(schedule(given)?)),
    key!("backup", "keep_count", |config, given| config.backup.keep_count => given.integer(0..=100_000)?),
    key!("backup", "keep_days", |config, given| config.backup.keep_days => given.integer(0..=DAYS_MAX)?),
    key!("backup", "key_file", |config, given| config.backup.key_file => Some(given.path()?)),
];

const LOG: &[Key] = &[
    key!("log", "level", |config, given| config.log.level => given.choice(LEVELS)?),
    key!("log", "format", |config, given| config.log.format => given.choice(FORMATS)?),
];

const SHUTDOWN: &[Key] =
    &[key!("shutdown", "grace_seconds", |config, given| config.shutdown.grace => given.seconds(0..=3_600)?)];

fn schedule(given: &RawValue) -> Result<Schedule, ExpectedForm> {
    let schedule = given.text().ok().and_then(Schedule::parse);
    schedule.ok_or_else(|| "write \"daily 02:30\" or \"every 6 hours\"".into())
}

fn root(given: &RawValue) -> Result<String, ExpectedForm> {
    let name = given.name("id.internal")?;
    check_root(&name).map_err(|error| error.to_string())?;
    Ok(name)
}

fn upper_address(given: &RawValue) -> Result<String, ExpectedForm> {
    let text = given.text().unwrap_or_default();
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let split = rest.and_then(|rest| rest.trim_end_matches('/').rsplit_once(':'));
    let host_and_port = split.filter(|(host, port)| {
        !host.is_empty() && !host.contains(['/', ' ', '@']) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    host_and_port
        .map(|_| text.trim_end_matches('/').to_owned())
        .ok_or_else(|| "write scheme, host and port such as \"https://top.example:7373\"".into())
}
