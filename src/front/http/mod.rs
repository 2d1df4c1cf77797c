//! The HTTP door: the Handle JSON API, the native messages of the Handle protocol over HTTP, handles as web addresses,
//! and how the node is. Plain text and TLS share each port.
//!
//! ```text
//!   connection ─▶ route ─┬▶ handles, list, prefixes, site ─▶ asked, credential ─▶ registry | resolver
//!                        ├▶ sessions, verifications                                   │
//!                        ├▶ native: to the Handle door, by the daemon                 │
//!                        ├▶ page: a redirect to the URL value                         │
//!                        └▶ health, openapi                 status or JSON ◀─ reply ◀─┘
//! ```
//!
//! `value_json`, `data_json` and their like write the model's words as JSON and read them; `denial` names why a request
//! is not fulfilled; `reply` alone knows response codes and statuses.

mod connection;
mod counters;
mod listener;

mod asked;
mod query;
mod route;

mod handles;
mod list;
mod native;
mod page;
mod prefixes;
mod sessions;
mod site;
mod verifications;

mod health;

mod described;
mod openapi;

mod authorization;
mod certificate;
mod challenge;
mod credential;
mod origin;

mod data_json;
mod site_json;
mod value_json;

mod denial;
mod reply;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::time::Instant;

pub use self::counters::HttpCounters;
pub use crate::front::listen::channel::Channel;

use self::asked::Bodies;
use self::challenge::Sessions;
use self::denial::Denial;
use self::listener::Service;
use crate::authority::Authority;
use crate::front::listen::accept::{Reception, ReceptionOptions, Security};
use crate::front::listen::counters::ConnectionCounters;
use crate::front::listen::crypto_pool::CryptoPool;
use crate::front::listen::slots::ConnectionLimits;
use crate::front::listen::tls::{ClientCertificates, HTTP1, TlsError, TlsIdentity};
use crate::key::PrivateKey;
use crate::registry::Registry;
use crate::registry::caller::Caller;
use crate::registry::command::{Batch, Command, Item};
use crate::registry::receipt::Receipt;
use crate::registry::refusal::Failure;
use crate::resolver::Resolver;
use crate::telemetry::Metrics;

/// Connections beside the configured limit that serve health, readiness and metrics alone.
pub const RESERVED_SLOTS: usize = 16;
/// How long a connection may take for its first byte.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(10);
/// How long a command may wait for its outcome.
const COMMAND_MAX: Duration = Duration::from_secs(20);

//----------- HttpOptions ----------------------------------------------------

/// Where the door listens, and what it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Addresses; empty for no such door.
    pub listen: Vec<SocketAddr>,
    /// How long a connection may be silent, in seconds.
    pub idle_seconds: u32,
    /// Whether tokens are taken over plain text from beyond loopback.
    pub allow_tokens_in_plain_text: bool,
    /// Bounds of connections.
    pub connections: ConnectionLimits,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))],
            idle_seconds: 30,
            allow_tokens_in_plain_text: false,
            connections: ConnectionLimits::new(4_096, 1_024),
        }
    }
}

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

//----------- HttpRooms ------------------------------------------------------

/// Carries a native message, envelope and all, to the Handle door, and its reply back. The doors do not know each
/// other: the daemon, which knows both, plugs this in.
pub type Tunnel = Arc<dyn Fn(Vec<u8>, Ends) -> BoxFuture<'static, Vec<u8>> + Send + Sync>;

/// Between whom a native message travels, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Who sent it.
    pub asker: SocketAddr,
    /// Where it reached this node.
    pub own: SocketAddr,
    /// How bytes travel between them.
    pub channel: Channel,
}

/// Whom the door asks.
#[derive(Clone)]
pub struct HttpRooms {
    /// Decides commands.
    pub registry: Arc<Registry>,
    /// Decides who callers are.
    pub authority: Authority,
    /// Answers questions.
    pub resolver: Arc<Resolver>,
    /// Tells whether the node is ready.
    pub readiness: Readiness,
    /// The numbers of the node.
    pub metrics: Arc<Metrics>,
    /// The key that the node signs with.
    pub server_key: Arc<PrivateKey>,
    /// Where signatures are made and verified.
    pub crypto_pool: Arc<CryptoPool>,
    /// The Handle door; none where the node has none.
    pub tunnel: Option<Tunnel>,
}

//----------- HttpDoor -------------------------------------------------------

/// The door before it listens. Clones share sessions and counts: serve each listener with one.
#[derive(Clone)]
pub struct HttpDoor {
    shared: Arc<Shared>,
    reception: Reception,
    silence_max: Duration,
}

/// What every request needs.
struct Shared {
    registry: Arc<Registry>,
    authority: Authority,
    resolver: Arc<Resolver>,
    readiness: Readiness,
    metrics: Arc<Metrics>,
    server_key: Arc<PrivateKey>,
    crypto_pool: Arc<CryptoPool>,
    tunnel: Option<Tunnel>,
    sessions: Sessions,
    bodies: Arc<Bodies>,
    counters: Arc<HttpCounters>,
    allow_tokens_in_plain_text: bool,
}

impl HttpDoor {
    /// Makes the door; with a certificate it takes TLS on the same ports as plain text.
    pub fn new(
        options: &HttpOptions,
        rooms: HttpRooms,
        tls: Option<Arc<TlsIdentity>>,
    ) -> Result<Self, TlsError> {
        let HttpRooms { registry, authority, resolver, readiness, metrics, server_key, crypto_pool, tunnel } =
            rooms;
        let tls =
            tls.map(|identity| identity.acceptor(Some(HTTP1), ClientCertificates::Taken)).transpose()?;
        let mut secret = [0; 32];
        resolver.fill_random(&mut secret);
        let shared = Arc::new(Shared {
            registry,
            authority,
            resolver,
            readiness,
            metrics,
            server_key,
            crypto_pool,
            tunnel,
            sessions: Sessions::new(secret),
            bodies: Arc::new(Bodies::new()),
            counters: Arc::default(),
            allow_tokens_in_plain_text: options.allow_tokens_in_plain_text,
        });
        let silence_max = Duration::from_secs(u64::from(options.idle_seconds));
        let reception = Reception::new(ReceptionOptions {
            front_end: "HTTP",
            security: tls.map_or(Security::Plain, Security::Both),
            limits: options.connections.clone(),
            reserved: RESERVED_SLOTS,
            first_byte_max: FIRST_BYTE_MAX.min(silence_max),
        });
        Ok(Self { shared, reception, silence_max })
    }

    /// Counts since it was made.
    pub fn counters(&self) -> Arc<HttpCounters> {
        Arc::clone(&self.shared.counters)
    }

    /// What is counted of the connections; all clones count together.
    pub fn connections(&self) -> Arc<ConnectionCounters> {
        self.reception.counters()
    }

    /// Serves a bound listener until `drain` ends; then no connection is taken, the answer to each request that came in
    /// whole is given, and the other connections are closed at once.
    pub async fn serve(self, listener: TcpListener, drain: impl Future<Output = ()> + Send + 'static) {
        let (reception, silence_max) = (self.reception.clone(), self.silence_max);
        let router = Router::new().fallback(route::dispatch).with_state(self);
        listener::serve(listener, Service { router, reception, silence_max }, drain).await;
    }
}

impl Shared {
    /// Has a command carried out: the receipt means that it is on disk.
    async fn command(&self, caller: &Caller, command: Command) -> Result<Receipt, Denial> {
        let deadline = Some(Instant::now() + COMMAND_MAX);
        let batch = Batch { request: None, items: vec![Item { number: 0, command }], deadline };
        let outcome = self.registry.apply(caller, batch).await?.into_iter().next();
        let lost = || Failure::OutcomeUnknown { cause: "the node lost an outcome".to_owned() };
        Ok(outcome.ok_or_else(lost)??)
    }
}
