//! Doors: bound, open, drained. How each is reached from this machine is written down for other processes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time;

use super::core::Core;
use super::directory::{Addresses, reachable};
use super::error::DaemonError;
use super::health;
use super::socket;
use crate::config::{Config, SiteOptions};
use crate::front::http::HttpDoor;
use crate::model::site::{Ports, Site};
use crate::telemetry::{Chain, Metrics};

//----------- Bound ----------------------------------------------------------

/// Sockets that listen, with nobody behind them yet.
pub(super) struct Bound {
    http: Vec<(SocketAddr, TcpListener)>,
}

impl Bound {
    /// Binds what listens on TCP alone.
    pub(super) fn bind(config: &Config) -> Result<Self, DaemonError> {
        Ok(Self { http: socket::listen("http.listen", &config.http.listen)? })
    }

    /// The site to announce: none without addresses. Ports are those bound, where the configuration names no others.
    pub(super) fn site(&self, config: &Config) -> Result<Option<Site>, DaemonError> {
        let SiteOptions { addresses, host_name, grpc_port, dns_port, handle_port, http_port } = &config.site;
        if addresses.is_empty() {
            return Ok(None);
        }
        let first = |addresses: &[SocketAddr]| addresses.iter().map(SocketAddr::port).find(|port| *port != 0);
        let ports = Ports {
            grpc: grpc_port.or_else(|| first(&config.grpc.listen)),
            dns: dns_port.or_else(|| first(&config.dns.listen)),
            handle: *handle_port,
            http: http_port.or_else(|| self.http.first().map(|(address, _)| address.port())),
        };
        let site = Site::new(addresses.clone(), host_name.as_deref(), ports);
        site.map(Some).map_err(|error| DaemonError::Configured { key: "site", reason: error.to_string() })
    }
}

//----------- Doors ----------------------------------------------------------

/// The open doors and what ends them.
pub(super) struct Doors {
    tasks: JoinSet<(&'static str, Result<(), String>)>,
    draining: watch::Sender<bool>,
    /// How the doors are reached.
    pub(super) addresses: Addresses,
    /// Where the HTTP door listens.
    pub(super) http: Vec<SocketAddr>,
}

impl Doors {
    /// Opens every door.
    pub(super) fn open(bound: Bound, core: &Core) -> Self {
        let metrics = Arc::new(Metrics::default());
        health::add_metrics(&metrics, core);
        let mut doors = Self {
            tasks: JoinSet::new(),
            draining: watch::Sender::new(false),
            addresses: Addresses { process: std::process::id(), ..Addresses::default() },
            http: Vec::new(),
        };
        doors.open_http(bound.http, core, &metrics);
        doors
    }

    fn open_http(&mut self, bound: Vec<(SocketAddr, TcpListener)>, core: &Core, metrics: &Arc<Metrics>) {
        let readiness = health::readiness(core.store.clone(), self.draining.subscribe());
        let door = HttpDoor::new(readiness, Arc::clone(metrics));
        for (address, listener) in bound {
            tracing::info!(door = "HTTP", %address, "listening");
            self.http.push(address);
            self.addresses.http.push(format!("http://{}", reachable(address)));
            let (door, drain) = (door.clone(), self.drain_signal());
            self.spawn("HTTP", async move {
                door.serve(listener, drain).await.map_err(|error| Chain(&error).to_string())
            });
        }
    }

    fn spawn(
        &mut self,
        door: &'static str,
        serving: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (door, serving.await) });
    }

    /// Resolves when the doors are to drain.
    fn drain_signal(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.draining.subscribe();
        async move {
            // An error means that the node itself is gone.
            let _gone = draining.wait_for(|draining| *draining).await;
        }
    }

    /// Waits until a door ends by itself, which none should.
    pub(super) async fn failed(&mut self) -> DaemonError {
        match self.tasks.join_next().await {
            Some(Ok((door, ended))) => {
                let reason = ended.map_or_else(|error| error, |()| "it was not asked to".into());
                DaemonError::Door { door, reason }
            }
            Some(Err(error)) => DaemonError::Door { door: "broken", reason: error.to_string() },
            // A node without doors has none that could fail.
            None => std::future::pending().await,
        }
    }

    /// Takes nothing new, lets what is under way end within the grace period, and ends the rest.
    pub(super) async fn drain(&mut self, grace: Duration) {
        self.draining.send_replace(true);
        let drained = time::timeout(grace, async { while self.tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            let open = self.tasks.len();
            tracing::warn!(grace_seconds = grace.as_secs(), open, "grace is over; requests are cut off");
            self.tasks.shutdown().await;
        }
    }
}
