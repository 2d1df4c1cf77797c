//! Node: the assembly of one node, and its life until it is stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::descriptors::Descriptors;
use super::directory::{Addresses, DataDirectory};
use super::error::DaemonError;
use super::front_ends::{Bound, FrontEnds, warn_if_not_valid};
use crate::authority::Authority;
use crate::config::Config;
use crate::filing::status::FilingStatus;
use crate::registry::Registry;
use crate::resolver::Resolver;
use crate::store::Store;
use crate::telemetry::Chain;

//----------- Node -----------------------------------------------------------

/// A node that is not started yet.
pub struct Node;

impl Node {
    /// Starts a node: when this returns, the store is open and every address is bound. Port 0 means any that is free.
    pub async fn start(config: Config) -> Result<RunningNode, DaemonError> {
        let directory = DataDirectory::open(&config.store.directory)?;
        let descriptors = Descriptors::raise();
        let mut bounded = config.clone();
        descriptors.bound(&mut bounded);
        let bound = Bound::bind(&bounded)?;
        let core = Core::open(&bounded, &directory, bound.site(&bounded)?).await?;
        let front_ends = match FrontEnds::open(&bounded, bound, &core, descriptors) {
            Ok(front_ends) => front_ends,
            Err(error) => {
                core.close().await?;
                return Err(error);
            }
        };
        let node = RunningNode { config, directory, core, front_ends };
        match node.directory.save_addresses(&node.front_ends.addresses) {
            Ok(()) => Ok(node),
            Err(error) => {
                node.stop().await?;
                Err(error)
            }
        }
    }
}

//----------- RunningNode ----------------------------------------------------

/// A running node. Dropping it ends everything at once, as a crash would; [`RunningNode::stop`] is the
/// orderly way.
pub struct RunningNode {
    config: Config,
    directory: DataDirectory,
    core: Core,
    front_ends: FrontEnds,
}

impl RunningNode {
    /// The addresses of the node, as seen from this machine.
    pub fn addresses(&self) -> &Addresses {
        &self.front_ends.addresses
    }

    /// The first address of gRPC.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.front_ends.grpc.first().copied()
    }

    /// The first address of DNS.
    pub fn dns_addr(&self) -> Option<SocketAddr> {
        self.front_ends.dns.first().copied()
    }

    /// The first address of the Handle protocol.
    pub fn handle_addr(&self) -> Option<SocketAddr> {
        self.front_ends.handle.first().copied()
    }

    /// The first address of HTTP.
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.front_ends.http.first().copied()
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    /// The public half of the server key, as HS_SITE shows it.
    pub fn server_key(&self) -> Vec<u8> {
        self.core.server_key.public_blob()
    }

    /// The configuration of the node.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The authority, which identifies callers.
    pub fn authority(&self) -> &Authority {
        &self.core.authority
    }

    /// The registry, which decides and records.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.core.registry
    }

    /// The resolver, which answers questions.
    pub fn resolver(&self) -> &Arc<Resolver> {
        &self.core.resolver
    }

    /// The status of filing at the upper node; none at the top.
    pub fn filing(&self) -> Option<FilingStatus> {
        self.core.filing.as_ref().map(|filing| filing.watch.status())
    }

    /// The store, for reading and following.
    pub fn store(&self) -> &Store {
        &self.core.store
    }

    /// Reloads the files that can be reloaded while the node runs.
    pub fn reload(&self) {
        let Some(tls) = &self.front_ends.tls else { return };
        match tls.reload() {
            Ok(()) => {
                tracing::info!("certificate reloaded");
                warn_if_not_valid(tls);
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "the certificate cannot be reloaded; the node continues \
                    with the one it has");
            }
        }
    }

    /// Waits until a front end ends by itself, which none should.
    pub async fn failed(&mut self) -> DaemonError {
        self.front_ends.failed().await
    }

    /// Drains the front ends within the grace period, then closes the store. What was acknowledged is on disk either way.
    pub async fn stop(self) -> Result<(), DaemonError> {
        let grace = self.config.shutdown.grace;
        self.stop_within(grace).await
    }

    /// Stops the node with another grace period.
    pub async fn stop_within(mut self, grace: Duration) -> Result<(), DaemonError> {
        self.front_ends.drain(grace).await;
        let closed = self.core.close().await;
        self.directory.remove_addresses()?;
        closed
    }
}
