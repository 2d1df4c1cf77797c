//! Front ends: bound, started, drained. Their addresses as seen from this machine are written for other processes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use super::clock_and_entropy::clock;
use super::core::Core;
use super::descriptors::Descriptors;
use super::directory::{Addresses, reachable};
use super::error::DaemonError;
use super::health;
use super::socket;
use crate::config::{Config, SiteOptions};
use crate::front::dns::{DnsOptions, DnsServer};
use crate::front::grpc::{GrpcDependencies, GrpcOptions, GrpcServer};
use crate::front::handle::{
    HandleDependencies, HandleOptions, HandleServer, HandleSockets, HandleTunnel, Tunneled,
};
use crate::front::http::{Carried, HttpDependencies, HttpOptions, HttpServer, Tunnel};
use crate::front::listen::crypto_pool::CryptoPool;
use crate::front::listen::inherited;
use crate::front::listen::tls::TlsIdentity;
use crate::model::site::{Ports, Site};
use crate::telemetry::{Chain, Metrics};

//----------- Bound ----------------------------------------------------------

/// Logs a warning when clients will not accept the certificate at this time.
pub(super) fn warn_if_not_valid(tls: &TlsIdentity) {
    if !tls.is_valid_at(clock()() / 1_000) {
        tracing::warn!(
            "the certificate of tls.certificate is expired or not valid yet, and clients refuse it; replace the \
             file and send SIGHUP"
        );
    }
}

/// Bound sockets whose front ends are not started yet.
pub(super) struct Bound {
    grpc: Vec<(SocketAddr, TcpListener)>,
    tls: Option<Arc<TlsIdentity>>,
    handle: HandleSockets,
    http: Vec<(SocketAddr, TcpListener)>,
}

impl Bound {
    /// Binds the listeners whose ports the resolver announces in the site.
    pub(super) fn bind(config: &Config) -> Result<Self, DaemonError> {
        let tls = config.tls.load_identity().map_err(|error| DaemonError::Configured {
            key: "tls.certificate",
            reason: Chain(&error).to_string(),
        })?;
        tls.iter().for_each(|tls| warn_if_not_valid(tls));
        let grpc = socket::listen("grpc.listen", &config.grpc.listen)?;
        let handle = bind_handle(config)?;
        Ok(Self { grpc, tls, handle, http: socket::listen("http.listen", &config.http.listen)? })
    }

    /// The site to announce: none without addresses. Ports are those bound, where the configuration names no others.
    pub(super) fn site(&self, config: &Config) -> Result<Option<Site>, DaemonError> {
        let SiteOptions { addresses, host_name, grpc_port, dns_port, handle_port, http_port } = &config.site;
        if addresses.is_empty() {
            return Ok(None);
        }
        let first = |bound: &[(SocketAddr, TcpListener)]| bound.first().map(|(address, _)| address.port());
        // DNS is bound after the resolver, which announces the site; a port that the system chooses is not announced.
        let handle = self.handle.local_addrs().map_err(|source| DaemonError::System {
            action: "learn the addresses of the Handle front end",
            source,
        })?;
        let dns = config.dns.listen.iter().map(SocketAddr::port).find(|port| *port != 0);
        let ports = Ports {
            grpc: grpc_port.or_else(|| first(&self.grpc)),
            dns: dns_port.or(dns),
            handle: handle_port.or(handle.first().map(SocketAddr::port)),
            http: http_port.or_else(|| first(&self.http)),
        };
        let site = Site::new(addresses.clone(), host_name.as_deref(), ports);
        site.map(Some).map_err(|error| DaemonError::Configured { key: "site", reason: error.to_string() })
    }
}

fn bind_handle(config: &Config) -> Result<HandleSockets, DaemonError> {
    let listen: Vec<String> = config.handle.listen.iter().map(ToString::to_string).collect();
    HandleSockets::bind(&config.handle.listen).map_err(|source| DaemonError::Bind {
        key: "handle.listen",
        address: listen.join(", "),
        transport: "UDP and TCP",
        source,
    })
}

fn bind_dns(config: &Config, core: &Core) -> Result<DnsServer, DaemonError> {
    let is_top = config.upper.address.is_none();
    let options = DnsOptions { is_top, udp: config.udp.clone(), ..config.dns.clone() };
    let listen: Vec<String> = options.listen.iter().map(ToString::to_string).collect();
    DnsServer::bind(options, Arc::clone(&core.resolver)).map_err(|source| DaemonError::Bind {
        key: "dns.listen",
        address: listen.join(", "),
        transport: "UDP and TCP",
        source,
    })
}

/// Carries native messages from the HTTP front end to the Handle front end, and its answers back.
fn carry(tunnel: HandleTunnel) -> Tunnel {
    Arc::new(move |carried| {
        let tunnel = tunnel.clone();
        let Carried { message, ends, memory, deadline } = carried;
        let from = Tunneled { client: ends.client, own: ends.own, channel: ends.channel, deadline };
        Box::pin(async move { tunnel.answer(&message, from, memory).await })
    })
}

//----------- FrontEnds ------------------------------------------------------

/// The running front ends and what ends them.
pub(super) struct FrontEnds {
    tasks: JoinSet<(&'static str, Result<(), String>)>,
    draining: watch::Sender<bool>,
    /// The pool in which all front ends make and verify signatures.
    crypto_pool: Arc<CryptoPool>,
    /// The certificate that the front ends present.
    pub(super) tls: Option<Arc<TlsIdentity>>,
    /// The addresses of the front ends.
    pub(super) addresses: Addresses,
    /// Addresses of gRPC.
    pub(super) grpc: Vec<SocketAddr>,
    /// Addresses of DNS.
    pub(super) dns: Vec<SocketAddr>,
    /// Addresses of the Handle protocol.
    pub(super) handle: Vec<SocketAddr>,
    /// Addresses of HTTP.
    pub(super) http: Vec<SocketAddr>,
}

impl FrontEnds {
    /// Starts every front end.
    pub(super) fn open(
        config: &Config,
        bound: Bound,
        core: &Core,
        descriptors: Descriptors,
    ) -> Result<Self, DaemonError> {
        let dns = bind_dns(config, core)?;
        let metrics = Arc::new(Metrics::default());
        health::add_metrics(&metrics, core);
        descriptors.add_metrics(&metrics);
        let mut front_ends = Self {
            tasks: JoinSet::new(),
            draining: watch::Sender::new(false),
            crypto_pool: Arc::default(),
            tls: bound.tls,
            addresses: Addresses { process: std::process::id(), ..Addresses::default() },
            grpc: Vec::new(),
            dns: Vec::new(),
            handle: Vec::new(),
            http: Vec::new(),
        };
        health::add_crypto_metrics(&metrics, Arc::clone(&front_ends.crypto_pool));
        front_ends.open_grpc(&config.grpc, bound.grpc, core, &metrics)?;
        front_ends.open_dns(dns, &metrics)?;
        let tunnel = front_ends.open_handle(config, bound.handle, core, &metrics)?;
        front_ends.open_http(&config.http, bound.http, tunnel, core, &metrics)?;
        for address in inherited::unused() {
            tracing::warn!(%address, "no listener is configured at the address of an inherited socket");
        }
        Ok(front_ends)
    }

    fn open_grpc(
        &mut self,
        options: &GrpcOptions,
        bound: Vec<(SocketAddr, TcpListener)>,
        core: &Core,
        metrics: &Metrics,
    ) -> Result<(), DaemonError> {
        let dependencies = GrpcDependencies {
            registry: Arc::clone(&core.registry),
            authority: core.authority.clone(),
            resolver: Arc::clone(&core.resolver),
            filing: core.filing.as_ref().map(|filing| filing.watch.clone()),
            backups: core.backups.clone(),
            started: Instant::now(),
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let front_end = GrpcServer::new(options, dependencies, self.tls.clone()).map_err(|error| {
            DaemonError::Configured { key: "tls.certificate", reason: Chain(&error).to_string() }
        })?;
        health::add_grpc_metrics(metrics, front_end.counters());
        health::add_memory_metrics(metrics, &health::GRPC_MEMORY, front_end.memory());
        health::add_connection_metrics(metrics, &health::GRPC_CONNECTIONS, front_end.connections());
        for (address, listener) in bound {
            log_listening("gRPC", address, self.tls.is_some());
            self.grpc.push(address);
            self.addresses.grpc.push(format!("{scheme}://{}", reachable(address)));
            let (front_end, drain) = (front_end.clone(), self.drain_signal());
            self.spawn("gRPC", async move {
                front_end.serve(listener, drain).await.map_err(|error| Chain(&error).to_string())
            });
        }
        Ok(())
    }

    fn open_dns(&mut self, front_end: DnsServer, metrics: &Metrics) -> Result<(), DaemonError> {
        let addresses = front_end.local_addrs();
        self.dns = addresses.map_err(|source| DaemonError::System {
            action: "learn the addresses of the DNS front end",
            source,
        })?;
        if self.dns.is_empty() {
            return Ok(());
        }
        for address in &self.dns {
            log_listening("DNS", *address, false);
            self.addresses.dns.push(reachable(*address));
        }
        health::add_dns_metrics(metrics, front_end.counters(), front_end.udp_answers());
        health::add_memory_metrics(metrics, &health::DNS_MEMORY, front_end.memory());
        health::add_connection_metrics(metrics, &health::DNS_CONNECTIONS, front_end.connections());
        let drain = self.drain_signal();
        self.spawn("DNS", async move { front_end.run(drain).await.map_err(|error| error.to_string()) });
        Ok(())
    }

    fn open_handle(
        &mut self,
        config: &Config,
        sockets: HandleSockets,
        core: &Core,
        metrics: &Metrics,
    ) -> Result<Tunnel, DaemonError> {
        let failed = |source| DaemonError::System { action: "start the Handle front end", source };
        self.handle = sockets.local_addrs().map_err(failed)?;
        let options = HandleOptions { udp: config.udp.clone(), ..config.handle.clone() };
        let dependencies = HandleDependencies {
            registry: Arc::clone(&core.registry),
            authority: core.authority.clone(),
            resolver: Arc::clone(&core.resolver),
            tls: self.tls.clone(),
            server_key: Arc::clone(&core.server_key.private),
            crypto_pool: Arc::clone(&self.crypto_pool),
        };
        let front_end = HandleServer::new(&options, sockets, dependencies).map_err(failed)?;
        health::add_handle_metrics(
            metrics,
            front_end.counters(),
            front_end.udp_answers(),
            front_end.tables(),
        );
        health::add_memory_metrics(metrics, &health::HANDLE_MEMORY, front_end.memory());
        health::add_connection_metrics(metrics, &health::HANDLE_CONNECTIONS, front_end.connections());
        let tunnel = carry(front_end.tunnel());
        if self.handle.is_empty() {
            return Ok(tunnel);
        }
        for address in &self.handle {
            log_listening("Handle", *address, self.tls.is_some());
            self.addresses.handle.push(reachable(*address));
        }
        let drain = self.drain_signal();
        self.spawn("Handle", async move { front_end.run(drain).await.map_err(|error| error.to_string()) });
        Ok(tunnel)
    }

    fn open_http(
        &mut self,
        options: &HttpOptions,
        bound: Vec<(SocketAddr, TcpListener)>,
        tunnel: Tunnel,
        core: &Core,
        metrics: &Arc<Metrics>,
    ) -> Result<(), DaemonError> {
        let dependencies = HttpDependencies {
            registry: Arc::clone(&core.registry),
            authority: core.authority.clone(),
            resolver: Arc::clone(&core.resolver),
            readiness: health::readiness(core.store.clone(), self.draining.subscribe()),
            metrics: Arc::clone(metrics),
            server_key: Arc::clone(&core.server_key.private),
            crypto_pool: Arc::clone(&self.crypto_pool),
            tunnel: Some(tunnel),
        };
        let front_end = HttpServer::new(options, dependencies, self.tls.clone()).map_err(|error| {
            DaemonError::Configured { key: "tls.certificate", reason: Chain(&error).to_string() }
        })?;
        health::add_http_metrics(metrics, front_end.counters(), front_end.sessions());
        health::add_memory_metrics(metrics, &health::HTTP_MEMORY, front_end.memory());
        health::add_connection_metrics(metrics, &health::HTTP_CONNECTIONS, front_end.connections());
        for (address, listener) in bound {
            log_listening("HTTP", address, self.tls.is_some());
            self.http.push(address);
            self.addresses.http.push(format!("http://{}", reachable(address)));
            let (front_end, drain) = (front_end.clone(), self.drain_signal());
            self.spawn("HTTP", async move {
                front_end.serve(listener, drain).await;
                Ok(())
            });
        }
        Ok(())
    }

    fn spawn(
        &mut self,
        front_end: &'static str,
        serving: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (front_end, serving.await) });
    }

    /// Resolves when the front ends have to drain.
    fn drain_signal(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.draining.subscribe();
        async move {
            // An error means that the node itself was dropped.
            let _gone = draining.wait_for(|draining| *draining).await;
        }
    }

    /// Waits until a front end ends by itself, which none should.
    pub(super) async fn failed(&mut self) -> DaemonError {
        match self.tasks.join_next().await {
            Some(Ok((front_end, ended))) => {
                let reason = ended.map_or_else(|error| error, |()| "it was not asked to stop".into());
                DaemonError::FrontEnd { front_end, reason }
            }
            Some(Err(error)) => DaemonError::FrontEnd { front_end: "broken", reason: error.to_string() },
            // A node without front ends has none that could fail.
            None => std::future::pending().await,
        }
    }

    /// Stops accepting, finishes requests in flight within the grace period, and cancels the rest.
    pub(super) async fn drain(&mut self, grace: Duration) {
        self.draining.send_replace(true);
        let drained = time::timeout(grace, async { while self.tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            let open = self.tasks.len();
            tracing::warn!(
                grace_seconds = grace.as_secs(),
                open,
                "the grace period is over; requests that are \
                still open are aborted"
            );
            self.tasks.shutdown().await;
        }
    }
}

/// Logs an address that a front end listens on.
fn log_listening(front_end: &'static str, address: SocketAddr, tls: bool) {
    // TODO when 0.2.0 is released: drop `door`, the name that 0.1.0-b5a6466 has for `front_end`.
    tracing::info!(front_end, door = front_end, %address, tls, "listening");
}
