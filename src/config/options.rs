//! Options: one plain struct per module, all of them in [`Config`], with their defaults.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::backup::Schedule;
use crate::front::dns::DnsOptions;
use crate::front::grpc::GrpcOptions;
use crate::front::handle::HandleOptions;
use crate::front::http::HttpOptions;
use crate::front::listen::slots::ConnectionLimits;
use crate::front::listen::tls::TlsOptions;
use crate::front::listen::udp_rate_limit::UdpRateLimitOptions;
use crate::model::limits;
use crate::store::EngineKind;
use crate::telemetry::LogOptions;

//----------- Config ---------------------------------------------------------

/// The whole configuration of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The store and its journal.
    pub store: StoreSection,
    /// The certificate of all front ends.
    pub tls: TlsOptions,
    /// The gRPC front end.
    pub grpc: GrpcOptions,
    /// The DNS front end.
    pub dns: DnsOptions,
    /// The Handle front end.
    pub handle: HandleOptions,
    /// The HTTP front end.
    pub http: HttpOptions,
    /// How much DNS and Handle send over UDP to addresses that may be forged.
    pub udp: UdpRateLimitOptions,
    /// The upper node, when `upper.address` is set.
    pub upper: UpperSection,
    /// How this node is reached from outside.
    pub site: SiteOptions,
    /// Asking other nodes.
    pub recursion: RecursionOptions,
    /// Backups.
    pub backup: BackupOptions,
    /// The log.
    pub log: LogOptions,
    /// Stopping the node.
    pub shutdown: ShutdownOptions,
}

//----------- StoreSection ---------------------------------------------------

/// Where and how a node stores its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSection {
    /// The data directory: store, admin token, lock, addresses.
    pub directory: PathBuf,
    /// The engine; fixed when the store is created.
    pub engine: EngineKind,
    /// Bytes of the block cache.
    pub cache_bytes: u64,
    /// Bytes of free disk space below which changes are refused; 0 refuses none.
    pub disk_reserve_bytes: u64,
    /// Whether suffixes are case-sensitive; fixed when the store is created.
    pub case_sensitive_suffix: bool,
    /// Days a request id is remembered.
    pub request_window_days: u32,
    /// Days that the bodies of journal entries are retained; 0 without end.
    pub bodies_days: u32,
    /// Days that the headers of journal entries are retained; 0 without end.
    pub headers_days: u32,
}

impl Default for StoreSection {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("./idnode-data"),
            engine: EngineKind::Fjall,
            cache_bytes: 256 * 1024 * 1024,
            disk_reserve_bytes: 256 * 1024 * 1024,
            case_sensitive_suffix: false,
            request_window_days: limits::REQUEST_WINDOW_DAYS_DEFAULT,
            bodies_days: 0,
            headers_days: 0,
        }
    }
}

//----------- Other nodes ----------------------------------------------------

/// The upper node; without an address this node is the top of its tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpperSection {
    /// gRPC address of the upper node: `https://host:port`, or `http://host:port` for plain text.
    pub address: Option<String>,
    /// File with the peer token that the upper node issued.
    pub token_file: Option<PathBuf>,
    /// PEM file of the authority that signed its certificate; the authorities of the system are not used.
    pub tls_ca: Option<PathBuf>,
    /// The host name in its certificate, when it differs from that of the address.
    pub tls_host_name: Option<String>,
    /// Whether the token is sent over plain text beyond loopback.
    pub allow_token_in_plain_text: bool,
}

/// How this node is reached from outside; announced to the upper node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteOptions {
    /// IPv4 and IPv6 addresses, the preferred first; empty when nothing is announced.
    pub addresses: Vec<IpAddr>,
    /// The host name in the TLS certificate of this node.
    pub host_name: Option<String>,
    /// The gRPC port; none for the port we listen on.
    pub grpc_port: Option<u16>,
    /// The DNS port; none for the port we listen on.
    pub dns_port: Option<u16>,
    /// The Handle port; none for the port we listen on.
    pub handle_port: Option<u16>,
    /// The HTTP port; none for the port we listen on.
    pub http_port: Option<u16>,
}

/// Asking other nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecursionOptions {
    /// Whether other nodes are asked: for callers of gRPC, Handle and HTTP, and about administrators stored there.
    pub allowed: bool,
    /// Answers of other nodes that are cached at most.
    pub cache_answers: u64,
    /// Longest time that one question may take, all nodes together.
    pub deadline: Duration,
    /// PEM file of the authorities that signed the certificates of delegated sites; `upper.tls_ca` without.
    pub tls_ca: Option<PathBuf>,
    /// Networks in which delegated sites are contacted, beside the public Internet.
    pub networks: Vec<IpNet>,
}

impl Default for RecursionOptions {
    fn default() -> Self {
        let (tls_ca, networks) = (None, Vec::new());
        Self { allowed: false, cache_answers: 100_000, deadline: Duration::from_secs(5), tls_ca, networks }
    }
}

//----------- Backup ---------------------------------------------------------

/// Directories, schedule and retention of backups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupOptions {
    /// Directories that may be named over gRPC; empty for the one beside the data directory.
    pub directories: Vec<PathBuf>,
    /// When a backup is made automatically, in the first directory.
    pub schedule: Option<Schedule>,
    /// Full backups that the schedule retains, with their increments; 0 for all.
    pub keep_count: u32,
    /// Days that a backup of the schedule is retained; 0 without end.
    pub keep_days: u32,
    /// File with 64 hexadecimal digits, the key that encrypts backups; without it they are plain.
    pub key_file: Option<PathBuf>,
}

impl Config {
    /// The bounds of connections of every front end.
    pub(crate) fn connection_limits(&mut self) -> [&mut ConnectionLimits; 4] {
        let Self { grpc, dns, handle, http, .. } = self;
        [&mut grpc.connections, &mut dns.connections, &mut handle.connections, &mut http.connections]
    }

    /// Whether only programs of this machine ask this node, for themselves: it listens on loopback addresses alone, and no
    /// network is exempt from the bounds of one source, as that of a reverse proxy is, which asks for others.
    pub fn is_asked_by_this_machine_only(&self) -> bool {
        let Self { grpc, dns, handle, http, udp, .. } = self;
        let connections = [&grpc.connections, &dns.connections, &handle.connections, &http.connections];
        let exempt = connections.map(|limits| &limits.exempt_networks);
        if exempt.into_iter().chain([&udp.exempt_networks]).any(|networks| !networks.is_empty()) {
            return false;
        }
        let mut addresses = [&grpc.listen, &dns.listen, &handle.listen, &http.listen].into_iter().flatten();
        addresses.all(|address: &SocketAddr| address.ip().to_canonical().is_loopback())
    }

    /// The directories of backups: those configured, or one beside the data directory.
    pub fn backup_directories(&self) -> Vec<PathBuf> {
        if !self.backup.directories.is_empty() {
            return self.backup.directories.clone();
        }
        let mut beside = self.store.directory.clone().into_os_string();
        beside.push("-backups");
        vec![beside.into()]
    }
}

//----------- ShutdownOptions ------------------------------------------------

/// How the node stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownOptions {
    /// How long requests in flight may take to finish.
    pub grace: Duration,
}

impl Default for ShutdownOptions {
    fn default() -> Self {
        Self { grace: Duration::from_secs(20) }
    }
}
