//! Node: the assembly of one node, and its life until it is stopped.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time;

use super::chance;
use super::directory::{Addresses, DataDirectory, reachable};
use super::error::DaemonError;
use super::health;
use super::socket;
use crate::config::{Config, StoreOptions};
use crate::front::http::HttpDoor;
use crate::model::identifier::Folding;
use crate::store::commit::Appender;
use crate::store::open::{self, Opened, engine_folder};
use crate::store::{EngineKind, Store};
use crate::telemetry::Metrics;

//----------- Node -----------------------------------------------------------

/// A node that does not run yet.
pub struct Node;

impl Node {
    /// Starts a node: when this returns, the store is open and every door is bound. Port 0 means any that is free.
    pub async fn start(config: Config) -> Result<RunningNode, DaemonError> {
        let directory = DataDirectory::open(&config.store.directory)?;
        let core = Core::open(&config, directory.path()).await?;
        match open_doors(&config, &directory, &core) {
            Ok(doors) => Ok(RunningNode { config, directory, core, doors }),
            Err(error) => {
                core.close().await?;
                Err(error)
            }
        }
    }
}

//----------- RunningNode ----------------------------------------------------

/// A node whose doors are open. Dropping it ends everything at once, as a crash would; [`RunningNode::stop`] is the
/// orderly way.
pub struct RunningNode {
    config: Config,
    directory: DataDirectory,
    core: Core,
    doors: Doors,
}

impl RunningNode {
    /// Where the doors are, as seen from this machine.
    pub fn addresses(&self) -> &Addresses {
        &self.doors.addresses
    }

    /// The first address of the HTTP door.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.doors.http.first().copied()
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    /// What it was told.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The store, for reading and following.
    pub fn store(&self) -> &Store {
        &self.core.store
    }

    /// Reads again what can be read again while the doors are open.
    pub fn reload(&self) {
        // No door shows a certificate yet.
    }

    /// Waits until a door ends by itself, which none should.
    pub async fn failed(&mut self) -> DaemonError {
        match self.doors.tasks.join_next().await {
            Some(Ok((door, ended))) => {
                let reason = ended.map_or_else(|error| error.to_string(), |()| "it was not asked to".into());
                DaemonError::Door { door, reason }
            }
            Some(Err(error)) => DaemonError::Door { door: "broken", reason: error.to_string() },
            // A node without doors has none that could fail.
            None => std::future::pending().await,
        }
    }

    /// Drains the doors within the grace period, then closes the store. What was acknowledged is on disk either way.
    pub async fn stop(self) -> Result<(), DaemonError> {
        let grace = self.config.shutdown.grace;
        self.stop_within(grace).await
    }

    /// The same with another grace period.
    pub async fn stop_within(mut self, grace: Duration) -> Result<(), DaemonError> {
        self.doors.drain(grace).await;
        let closed = self.core.close().await;
        self.directory.remove_addresses()?;
        closed
    }
}

//----------- Core -----------------------------------------------------------

/// Everything below the doors.
struct Core {
    store: Store,
    appender: Appender,
    high_water: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Core {
    async fn open(config: &Config, directory: &Path) -> Result<Self, DaemonError> {
        check_engine(&config.store, directory)?;
        let Opened { store, appender, report } =
            open::open(store_options(&config.store, directory)).await.map_err(DaemonError::Store)?;
        tracing::info!(
            directory = %directory.display(),
            engine = %store.engine_kind(),
            identifiers = store.count(),
            position = %store.head(),
            created = report.created,
            checked = report.checked,
            mended = report.mended,
            "store open"
        );
        if let Some(reason) = store.read_only_reason() {
            tracing::error!(%reason, "the store is open for reading only");
        }
        let stop = watch::Sender::new(false);
        let high_water = store.spawn_high_water(stop.subscribe());
        Ok(Self { store, appender, high_water, stop })
    }

    async fn close(self) -> Result<(), DaemonError> {
        self.stop.send_replace(true);
        if let Err(error) = self.high_water.await {
            tracing::error!(%error, "the task that kept the high-water file has failed");
        }
        self.store.close(self.appender).await.map_err(DaemonError::Close)
    }
}

/// Options of the store in this data directory, for a node and for commands that work on a store at rest.
pub(super) fn store_options(options: &StoreOptions, directory: &Path) -> open::StoreOptions {
    let folding = if options.case_sensitive_suffix { Folding::SuffixSensitive } else { Folding::Insensitive };
    open::StoreOptions {
        directory: directory.into(),
        engine: options.engine,
        cache_bytes: options.cache_bytes,
        folding,
        clock: chance::clock(),
        entropy: chance::entropy(),
    }
}

/// Refuses to begin an empty store beside one of the other engine.
pub(super) fn check_engine(options: &StoreOptions, directory: &Path) -> Result<(), DaemonError> {
    let exists = |kind: EngineKind| directory.join(engine_folder(kind)).exists();
    let others = EngineKind::ALL.into_iter().filter(|kind| *kind != options.engine);
    match others.into_iter().find(|kind| exists(*kind)) {
        Some(found) if !exists(options.engine) => {
            Err(DaemonError::EngineChanged { directory: directory.into(), found })
        }
        _ => Ok(()),
    }
}

//----------- Doors ----------------------------------------------------------

/// The open doors and what ends them.
struct Doors {
    tasks: JoinSet<(&'static str, io::Result<()>)>,
    draining: watch::Sender<bool>,
    addresses: Addresses,
    http: Vec<SocketAddr>,
}

fn open_doors(config: &Config, directory: &DataDirectory, core: &Core) -> Result<Doors, DaemonError> {
    let http = socket::listen("http.listen", &config.http.listen)?;
    let metrics = Arc::new(Metrics::default());
    health::add_metrics(&metrics, core.store.clone());
    let draining = watch::Sender::new(false);
    let mut doors = Doors {
        tasks: JoinSet::new(),
        draining: draining.clone(),
        addresses: Addresses { process: std::process::id(), ..Addresses::default() },
        http: Vec::new(),
    };
    let door = HttpDoor::new(health::readiness(core.store.clone(), draining.subscribe()), metrics);
    for listener in http {
        let address = doors.listening("HTTP", listener.local_addr())?;
        doors.http.push(address);
        doors.addresses.http.push(format!("http://{}", reachable(address)));
        let (door, drain) = (door.clone(), doors.drain_signal());
        doors.tasks.spawn(async move { ("HTTP", door.serve(listener, drain).await) });
    }
    directory.save_addresses(&doors.addresses)?;
    Ok(doors)
}

impl Doors {
    fn listening(
        &self,
        door: &'static str,
        address: io::Result<SocketAddr>,
    ) -> Result<SocketAddr, DaemonError> {
        let address =
            address.map_err(|source| DaemonError::System { action: "learn a bound address", source })?;
        tracing::info!(door, %address, "listening");
        Ok(address)
    }

    /// Resolves when the doors are to drain.
    fn drain_signal(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut draining = self.draining.subscribe();
        async move {
            // An error means that the node itself is gone.
            let _gone = draining.wait_for(|draining| *draining).await;
        }
    }

    /// Takes nothing new, lets what is under way end within the grace period, and ends the rest.
    async fn drain(&mut self, grace: Duration) {
        self.draining.send_replace(true);
        let drained = time::timeout(grace, async { while self.tasks.join_next().await.is_some() {} }).await;
        if drained.is_err() {
            tracing::warn!(
                grace_seconds = grace.as_secs(),
                doors = self.tasks.len(),
                "grace is over; requests are cut off"
            );
            self.tasks.shutdown().await;
        }
    }
}
