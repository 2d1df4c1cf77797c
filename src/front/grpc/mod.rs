//! The gRPC front end: every service of `proto/idnode/v1`, with health and reflection, over plain text or TLS.
//!
//! ```text
//!   connection ─▶ tonic ─▶ call (caller, deadline) ─▶ request ─▶ registry | resolver | backup
//!                                                                        │
//!                                  message or status ◀─ response | reply ┘
//! ```
//!
//! Each service is one file, which translates calls into questions and commands; `services` finds the one of a call.
//! `request` decodes messages, `response` makes them, `reply` makes statuses and alone knows their codes, `stream` limits how
//! fast streams are read, `memory` measures messages before they are decoded.

mod call;
mod connection;
mod counters;
mod memory;
mod preface;

mod registration;
mod resolution;

mod administration;
mod backup;
mod federation;
mod inbound;
mod prefixes;

mod page;
mod reply;
mod request;
mod response;
mod services;
mod stream;
mod unread;
mod woken;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

pub use self::counters::GrpcCounters;

use self::connection::hand_over;
use self::inbound::Inbound;
use self::memory::Budgeted;
use self::services::Services;
use crate::authority::Authority;
use crate::backup::Backups;
use crate::filing::status::FilingWatch;
use crate::front::listen::accept::{Reception, ReceptionOptions, Security};
use crate::front::listen::bounds::GRPC_MEMORY;
use crate::front::listen::budget::MemoryBudget;
use crate::front::listen::counters::ConnectionCounters;
use crate::front::listen::drain::Drain;
use crate::front::listen::reserved::RESERVED_SLOTS;
use crate::front::listen::slots::ConnectionLimits;
use crate::front::listen::tls::{ClientCertificates, HTTP2, TlsError, TlsIdentity};
use crate::registry::Registry;
use crate::resolver::Resolver;

/// Bytes that a client may send on one stream before they are read. Every call with a stream takes them from the memory
/// budget, up to those of its connection.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// Bytes that a client may send on all streams of a connection before they are read.
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Calls of one connection at a time.
const CALLS_MAX: u32 = 256;
/// Bytes of the headers of one call; a token has far fewer.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Accepted connections that are not served yet.
const ACCEPTED_MAX: usize = 64;
/// Streams reset by a client before they are served, at which the connection is closed (CVE-2023-44487).
const RESETS_MAX: usize = 20;
/// Streams reset for errors of a client, at which the connection is closed (CVE-2025-8671). A client that does not know yet
/// how many calls it may have at a time opens more, which are refused by a reset and can be repeated.
const ERRORS_MAX: usize = 1_024;
/// Parts of large answers that are produced at a time, on a machine with many processors.
const PRODUCING_MAX: usize = 8;
/// Time without data after which a connection is pinged.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Time within which the preface of a connection has to be complete.
const PREFACE_MAX: Duration = Duration::from_secs(20);
/// Time without progress after which a connection is closed whose client does not read.
const UNREAD_MAX: Duration = Duration::from_secs(120);
/// Time within which a ping has to be answered.
const SIGN_OF_LIFE_MAX: Duration = Duration::from_secs(20);

//----------- GrpcServer -----------------------------------------------------

/// The gRPC server. Clones share everything: each serves one listener.
#[derive(Clone)]
pub struct GrpcServer {
    shared: Arc<Shared>,
    reception: Reception,
    close: Arc<watch::Sender<bool>>,
}

/// Options of the gRPC front end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcOptions {
    /// Addresses to listen on; none disables this front end.
    pub listen: Vec<SocketAddr>,
    /// Whether tokens are accepted over plain text from other machines.
    pub allow_tokens_in_plain_text: bool,
    /// Bounds of connections.
    pub connections: ConnectionLimits,
}

impl Default for GrpcOptions {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 7373))],
            allow_tokens_in_plain_text: false,
            connections: ConnectionLimits::new(4_096, 1_024),
        }
    }
}

/// What the gRPC front end depends on.
#[derive(Clone)]
pub struct GrpcDependencies {
    /// The registry, for commands.
    pub registry: Arc<Registry>,
    /// Proves and authorizes callers.
    pub authority: Authority,
    /// The resolver, for questions.
    pub resolver: Arc<Resolver>,
    /// The state of filing; none at a node without an upper node.
    pub filing: Option<FilingWatch>,
    /// Creates, lists and verifies backups.
    pub backups: Backups,
    /// Time at which the node started.
    pub started: Instant,
}

/// What all services share.
struct Shared {
    allow_tokens_in_plain_text: bool,
    registry: Arc<Registry>,
    authority: Authority,
    resolver: Arc<Resolver>,
    filing: Option<FilingWatch>,
    backups: Backups,
    started: Instant,
    inbound: Arc<Inbound>,
    counters: Arc<GrpcCounters>,
    closing: watch::Receiver<bool>,
    /// The memory of all calls.
    memory: Arc<MemoryBudget>,
    /// Permits to produce a part of a large answer; they bound what is read before it is taken from the budget.
    producing: Semaphore,
    /// How long an answer may wait for its client without progress.
    unread_max: Duration,
    /// How long the preface of a connection may take.
    preface_max: Duration,
}

impl GrpcServer {
    /// Makes a server. With a certificate, every connection is TLS.
    pub fn new(
        options: &GrpcOptions,
        dependencies: GrpcDependencies,
        tls: Option<Arc<TlsIdentity>>,
    ) -> Result<Self, TlsError> {
        let tls = tls.map(|tls| tls.acceptor(&[HTTP2], ClientCertificates::NotAsked)).transpose()?;
        let (close, closing) = watch::channel(false);
        let inbound = Arc::new(Inbound::new(Arc::clone(&dependencies.registry)));
        let shared = Shared {
            allow_tokens_in_plain_text: options.allow_tokens_in_plain_text,
            registry: dependencies.registry,
            authority: dependencies.authority,
            resolver: dependencies.resolver,
            filing: dependencies.filing,
            backups: dependencies.backups,
            started: dependencies.started,
            inbound,
            counters: Arc::default(),
            closing,
            memory: MemoryBudget::new(GRPC_MEMORY),
            producing: Semaphore::new(producing_max()),
            unread_max: UNREAD_MAX,
            preface_max: PREFACE_MAX,
        };
        let reception = reception(options, tls);
        Ok(Self { shared: Arc::new(shared), reception, close: Arc::new(close) })
    }

    /// The counters of its connections, shared by all clones.
    pub fn connections(&self) -> Arc<ConnectionCounters> {
        self.reception.counters()
    }

    /// Counters of the gRPC front end, shared by all clones.
    pub fn counters(&self) -> Arc<GrpcCounters> {
        Arc::clone(&self.shared.counters)
    }

    /// The memory budget of its clients, shared by all clones.
    pub fn memory(&self) -> Arc<MemoryBudget> {
        Arc::clone(&self.shared.memory)
    }

    /// Serves a bound listener until `drain` completes. Then it accepts nothing, ends streams after their present group,
    /// closes idle connections, and returns when the last call has been answered. The caller has to bound that time.
    pub async fn serve(
        self,
        listener: TcpListener,
        drain: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), GrpcError> {
        let (health, health_service) = tonic_health::server::health_reporter();
        services::tell_serving(&health).await;
        let services = Services::new(&self.shared, health_service).map_err(GrpcError::Reflection)?;
        let end = Drain::new();
        let (accepted, connections) = mpsc::channel(ACCEPTED_MAX);
        let shared = Arc::clone(&self.shared);
        let accepting = self.reception.serve(listener, end.draining(), move |connection| {
            hand_over(connection, Arc::clone(&shared), accepted.clone())
        });
        let close = self.close;
        let closed = async move {
            drain.await;
            services::tell_closing(health).await;
            close.send_replace(true);
            // The drain of the connections begins.
            drop(end);
        };
        let connections = ReceiverStream::new(connections).map(Ok::<_, io::Error>);
        let service = Budgeted::new(services);
        let serving = server().serve_with_incoming_shutdown(service, connections, closed);
        let mut serving = pin!(serving);
        let served = tokio::select! {
            served = &mut serving => served,
            () = accepting => serving.await,
        };
        served.map_err(GrpcError::Transport)
    }
}

/// Parts of large answers that are produced at a time.
fn producing_max() -> usize {
    thread::available_parallelism().map_or(1, usize::from).min(PRODUCING_MAX)
}

/// How connections are accepted: with a certificate, every one is TLS.
fn reception(options: &GrpcOptions, tls: Option<TlsAcceptor>) -> Reception {
    Reception::new(ReceptionOptions {
        front_end: "gRPC",
        security: tls.map_or(Security::Plain, Security::Tls),
        limits: options.connections.clone(),
        reserved: RESERVED_SLOTS,
        first_byte_max: SILENCE_MAX,
    })
}

fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(CALLS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(ERRORS_MAX))
        .http2_keepalive_interval(Some(SILENCE_MAX))
        .http2_keepalive_timeout(Some(SIGN_OF_LIFE_MAX))
}

//----------- GrpcError ------------------------------------------------------

/// Why the server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// The descriptors are malformed: a fault of this build.
    #[error("the gRPC services cannot be described for reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The server ended unexpectedly.
    #[error("the gRPC server ended unexpectedly")]
    Transport(#[source] tonic::transport::Error),
}
