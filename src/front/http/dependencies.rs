//! What the HTTP front end works with, handed in by the daemon.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::authority::Authority;
use crate::front::listen::budget::MemoryGrant;
use crate::front::listen::channel::Channel;
use crate::front::listen::crypto_pool::CryptoPool;
use crate::key::PrivateKey;
use crate::registry::Registry;
use crate::resolver::Resolver;
use crate::telemetry::Metrics;

//----------- Readiness ------------------------------------------------------

/// Tells why the node is not ready; called for each question, must not wait.
pub type Readiness = Arc<dyn Fn() -> Vec<Reason> + Send + Sync>;

/// One promise that the node cannot keep now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Stable, for programs: `STARTING`, `READ_ONLY`, `STOPPING`.
    pub code: &'static str,
    /// What is wrong and what to do, for people.
    pub message: String,
}

//----------- HttpDependencies -----------------------------------------------

/// Carries a native message, envelope and all, to the Handle front end, and its reply back. The front ends do not know each
/// other: the daemon, which knows both, provides this.
pub type Tunnel = Arc<dyn Fn(Carried) -> BoxFuture<'static, Vec<u8>> + Send + Sync>;

/// A native message on its way to the Handle front end.
#[derive(Debug)]
pub struct Carried {
    /// The envelope and its message.
    pub message: Vec<u8>,
    /// Where it comes from.
    pub ends: Ends,
    /// The memory that it takes, and that its reply takes while the reply is made.
    pub memory: MemoryGrant,
    /// When its reply has to be there.
    pub deadline: Instant,
}

/// Between which addresses a native message travels, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Address of the sender.
    pub client: SocketAddr,
    /// Address of this node at which the connection arrived.
    pub own: SocketAddr,
    /// Whether the connection is plain text or TLS.
    pub channel: Channel,
}

/// What the front end works with.
#[derive(Clone)]
pub struct HttpDependencies {
    /// Decides commands.
    pub registry: Arc<Registry>,
    /// Decides who callers are.
    pub authority: Authority,
    /// Answers questions.
    pub resolver: Arc<Resolver>,
    /// Tells whether the node is ready.
    pub readiness: Readiness,
    /// The metrics of the node.
    pub metrics: Arc<Metrics>,
    /// The key that the node signs with.
    pub server_key: Arc<PrivateKey>,
    /// Where signatures are made and verified.
    pub crypto_pool: Arc<CryptoPool>,
    /// The Handle front end; none where the node has none.
    pub tunnel: Option<Tunnel>,
}
