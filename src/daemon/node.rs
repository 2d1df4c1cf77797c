//! Node: the assembly of one node, and its life until it is stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock_and_entropy::Environment;
use super::core::{Core, TASK_END_MAX};
use super::descriptors::Descriptors;
use super::directory::{Addresses, DataDirectory};
use super::error::DaemonError;
use super::front_ends::{Bound, FrontEnds, warn_if_not_valid};
use crate::authority::Authority;
use crate::config::Config;
use crate::filing::status::FilingStatus;
use crate::model::limits::STOP_SECONDS_MAX;
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
        Self::start_in(config, &Environment::of_system()).await
    }

    /// Starts a node with this clock and randomness.
    pub(super) async fn start_in(
        config: Config,
        environment: &Environment,
    ) -> Result<RunningNode, DaemonError> {
        let directory = DataDirectory::open(&config.store.directory)?;
        let descriptors = Descriptors::raise();
        let mut bounded = config.clone();
        descriptors.bound(&mut bounded);
        let bound = Bound::bind(&bounded)?;
        let core = Core::open(&bounded, &directory, bound.site(&bounded)?, environment).await?;
        let front_ends = match FrontEnds::open(&bounded, bound, &core, descriptors) {
            Ok(front_ends) => front_ends,
            Err(error) => {
                core.close(Instant::now() + TASK_END_MAX).await?;
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

    /// Everything below the front ends.
    #[cfg(test)]
    pub(super) fn core(&self) -> &Core {
        &self.core
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

    /// Stops the node with another grace period. What follows the drain ends at most [`STOP_SECONDS_MAX`] after it, even
    /// when the disk does not answer.
    pub async fn stop_within(mut self, grace: Duration) -> Result<(), DaemonError> {
        let deadline = Instant::now() + grace + Duration::from_secs(STOP_SECONDS_MAX);
        self.front_ends.drain(grace).await;
        let closed = self.core.close(deadline).await;
        self.directory.remove_addresses()?;
        closed
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Config, DaemonError, Node};
    use crate::authority::caller::Caller;
    use crate::model::identifier::Prefix;
    use crate::model::refusal::{Failure, Problem};
    use crate::registry::command::{Command, PrefixCommand};

    fn home(text: &str) -> Command {
        let prefix = Prefix::parse(text).expect("a prefix");
        Command::Prefix(PrefixCommand::Home { prefix, registrant: None })
    }

    /// A disk that does not answer: the change is of unknown outcome, later ones are refused, and a stop ends by its deadline.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_stop_ends_although_a_change_does_not_reach_the_disk() {
        let directory = tempfile::tempdir().expect("a directory");
        let key = include_str!("../../tests/data/server-key.pem");
        std::fs::write(directory.path().join("server-key.pem"), key).expect("space on disk");
        let mut config = Config::default();
        config.store.directory = directory.path().into();
        let any = vec!["127.0.0.1:0".parse().expect("an address")];
        config.grpc.listen.clone_from(&any);
        config.dns.listen.clone_from(&any);
        config.handle.listen.clone_from(&any);
        config.http.listen = any;
        let node = Node::start(config).await.expect("the node starts");
        let (store, registry) = (node.store().clone(), node.registry().clone());
        store.hold_writes(true);
        let unknown = registry.apply_one(&Caller::Node, home("88.1")).await.expect_err("it is held");
        assert!(matches!(unknown, Problem::Failed(Failure::OutcomeUnknown { .. })), "{unknown:?}");
        let reason = store.read_only_reason().expect("read-only");
        assert!(reason.contains("has not returned"), "{reason}");
        assert!(store.write_in_flight().is_some());
        let refused = registry.apply_one(&Caller::Node, home("88.2")).await.expect_err("no changes");
        assert_eq!(refused, Problem::Failed(Failure::ReadOnly { reason }));
        store.header(store.head()).await.expect("reads go on");
        let mut node = node;
        node.front_ends.drain(Duration::ZERO).await;
        let closed = node.core.close(Instant::now() + Duration::from_millis(100)).await;
        assert!(matches!(closed, Err(DaemonError::Unclosed { .. })), "{closed:?}");
        store.hold_writes(false);
    }
}
