//! The gRPC door: every service of `proto/idnode/v1`, with health and reflection, over plain text or TLS.
//!
//! ```text
//!   connection ─▶ tonic ─▶ call (who, until when) ─▶ request ─▶ registry | resolver | ports
//!                                                                        │
//!                                       status or message ◀─ reply ◀─────┘
//! ```
//!
//! Each service is one file that says which question or command a call means. `request` takes messages apart, `reply`
//! puts them together and alone knows statuses, `stream` holds the back-pressure. What the door needs of rooms that it
//! may not know comes in through `ports`.

mod call;
mod connection;
mod counters;
mod memory;
mod ports;

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
mod stream;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codec::CompressionEncoding;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

pub use self::counters::GrpcCounters;
pub use self::ports::{
    BackupKind, BackupMark, BackupPort, BackupProblem, BackupSummary, CreateReport, FilingReport,
    ProgressReport, StatusPort, StatusReport, VerifyReport,
};

use self::administration::AdministrationDoor;
use self::backup::BackupDoor;
use self::connection::hand_over;
use self::federation::FederationDoor;
use self::inbound::Inbound;
use self::memory::Budgeted;
use self::prefixes::PrefixDoor;
use self::registration::RegistrationDoor;
use self::resolution::ResolutionDoor;
use crate::authority::Authority;
use crate::front::listen::accept::{Reception, ReceptionOptions, Security};
use crate::front::listen::budget::{GRPC_MEMORY, MemoryBudget};
use crate::front::listen::counters::ConnectionCounters;
use crate::front::listen::drain::Drain;
use crate::front::listen::slots::ConnectionLimits;
use crate::front::listen::tls::{ClientCertificates, HTTP2, TlsError, TlsIdentity};
use crate::model::limits::MESSAGE_BYTES_MAX;
use crate::registry::Registry;
use crate::resolver::Resolver;
use crate::wire::proto::DESCRIPTOR_SET;
use crate::wire::proto::administration_service_server::AdministrationServiceServer;
use crate::wire::proto::backup_service_server::BackupServiceServer;
use crate::wire::proto::federation_service_server::FederationServiceServer;
use crate::wire::proto::prefix_service_server::PrefixServiceServer;
use crate::wire::proto::registration_service_server::RegistrationServiceServer;
use crate::wire::proto::resolution_service_server::ResolutionServiceServer;

/// Bytes that a client may send on one stream before we have taken them: some thousands of items. Taken from the memory
/// budget by every call with a stream.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
/// The same for all streams of a connection.
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// Calls of one connection at a time.
const CALLS_MAX: u32 = 256;
/// Bytes of the headers of one call; a token is far below it.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Connections beside the configured limit that serve health checks and authenticated calls alone.
pub const RESERVED_SLOTS: usize = 16;
/// Connections that wait for their first turn.
const ACCEPTED_MAX: usize = 64;
/// Streams that a client resets before we have looked at them, until the connection is closed (CVE-2023-44487).
const RESETS_MAX: usize = 20;
/// Streams that we reset for a client's errors, until the connection is closed (CVE-2025-8671).
const ERRORS_MAX: usize = 64;
/// Parts of large answers that are produced at a time, on a machine with many processors.
const PRODUCING_MAX: usize = 8;
/// How long a connection may be silent before it is asked for a sign of life.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How long the sign of life may take.
const SIGN_OF_LIFE_MAX: Duration = Duration::from_secs(20);

//----------- GrpcDoor -------------------------------------------------------

/// The door, before it opens. Clones share one closing: serve each listener with one.
#[derive(Clone)]
pub struct GrpcDoor {
    shared: Arc<Shared>,
    reception: Reception,
    close: Arc<watch::Sender<bool>>,
}

/// The gRPC door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcOptions {
    /// Where it listens; empty for no such door.
    pub listen: Vec<SocketAddr>,
    /// Whether tokens are taken over plain text from beyond loopback.
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

/// Whom the door asks.
#[derive(Clone)]
pub struct GrpcRooms {
    /// Decides commands.
    pub registry: Arc<Registry>,
    /// Decides who callers are.
    pub authority: Authority,
    /// Answers questions.
    pub resolver: Arc<Resolver>,
    /// Tells how the node is.
    pub status: Arc<dyn StatusPort>,
    /// Creates, lists and verifies backups; none where no directory is configured.
    pub backup: Option<Arc<dyn BackupPort>>,
}

/// What every service of the door shares.
struct Shared {
    allow_tokens_in_plain_text: bool,
    registry: Arc<Registry>,
    authority: Authority,
    resolver: Arc<Resolver>,
    status: Arc<dyn StatusPort>,
    backup: Option<Arc<dyn BackupPort>>,
    inbound: Arc<Inbound>,
    counters: Arc<GrpcCounters>,
    closing: watch::Receiver<bool>,
    /// The memory of all calls.
    memory: Arc<MemoryBudget>,
    /// Turns to produce a part of a large answer: bounds what is read from the store and not yet taken into account.
    producing: Semaphore,
}

impl GrpcDoor {
    /// Puts the door together. With an identity every connection is TLS.
    pub fn new(
        options: &GrpcOptions,
        rooms: GrpcRooms,
        tls: Option<Arc<TlsIdentity>>,
    ) -> Result<Self, TlsError> {
        let tls = tls.map(|tls| tls.acceptor(Some(HTTP2), ClientCertificates::NotAsked)).transpose()?;
        let (close, closing) = watch::channel(false);
        let inbound = Arc::new(Inbound::new(Arc::clone(&rooms.registry)));
        let shared = Shared {
            allow_tokens_in_plain_text: options.allow_tokens_in_plain_text,
            registry: rooms.registry,
            authority: rooms.authority,
            resolver: rooms.resolver,
            status: rooms.status,
            backup: rooms.backup,
            inbound,
            counters: Arc::default(),
            closing,
            memory: MemoryBudget::new(GRPC_MEMORY),
            producing: Semaphore::new(producing_max()),
        };
        let reception = reception(options, tls);
        Ok(Self { shared: Arc::new(shared), reception, close: Arc::new(close) })
    }

    /// What is counted of the connections; all clones count together.
    pub fn connections(&self) -> Arc<ConnectionCounters> {
        self.reception.counters()
    }

    /// Counts since the door was put together; all clones count together.
    pub fn counters(&self) -> Arc<GrpcCounters> {
        Arc::clone(&self.shared.counters)
    }

    /// The memory that clients may occupy; all clones share it.
    pub fn memory(&self) -> Arc<MemoryBudget> {
        Arc::clone(&self.shared.memory)
    }

    /// Serves a bound listener until `drain` ends. From then on nothing is accepted, streams end after the group they
    /// are at, silent connections are closed, and it returns when the last call is answered; how long that may take is
    /// the caller's to bound.
    pub async fn serve(
        self,
        listener: TcpListener,
        drain: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), GrpcError> {
        let (health, health_service) = tonic_health::server::health_reporter();
        tell_serving(&health).await;
        let routes = services(&self.shared).add_service(health_service);
        let routes = add_reflection(routes).map_err(GrpcError::Reflection)?;
        let end = Drain::new();
        let (accepted, connections) = mpsc::channel(ACCEPTED_MAX);
        let accepting = self
            .reception
            .serve(listener, end.draining(), move |connection| hand_over(connection, accepted.clone()));
        let close = self.close;
        let closed = async move {
            drain.await;
            tell_closing(health).await;
            close.send_replace(true);
            // The drain of the connections begins.
            drop(end);
        };
        let connections = ReceiverStream::new(connections).map(Ok::<_, io::Error>);
        let service = Budgeted::new(routes.prepare(), Arc::clone(&self.shared.memory));
        let serving = server().serve_with_incoming_shutdown(service, connections, closed);
        let mut serving = pin!(serving);
        let served = tokio::select! {
            served = &mut serving => served,
            () = accepting => serving.await,
        };
        served.map_err(GrpcError::Transport)
    }
}

/// Parts of large answers that are produced at a time: on half of the processors, since a thread that reads on and on
/// looks at its sockets too rarely for small calls.
fn producing_max() -> usize {
    (thread::available_parallelism().map_or(1, usize::from) / 2).clamp(1, PRODUCING_MAX)
}

/// How connections are received: with a certificate every one is TLS.
fn reception(options: &GrpcOptions, tls: Option<TlsAcceptor>) -> Reception {
    Reception::new(ReceptionOptions {
        front_end: "gRPC",
        security: tls.map_or(Security::Plain, Security::Tls),
        limits: options.connections.clone(),
        reserved: RESERVED_SLOTS,
        first_byte_max: SILENCE_MAX,
    })
}

/// Every service by its name, as health tells it.
const SERVICES: [&str; 6] = [
    <RegistrationServiceServer<RegistrationDoor> as NamedService>::NAME,
    <ResolutionServiceServer<ResolutionDoor> as NamedService>::NAME,
    <PrefixServiceServer<PrefixDoor> as NamedService>::NAME,
    <BackupServiceServer<BackupDoor> as NamedService>::NAME,
    <FederationServiceServer<FederationDoor> as NamedService>::NAME,
    <AdministrationServiceServer<AdministrationDoor> as NamedService>::NAME,
];

async fn tell_serving(health: &HealthReporter) {
    for service in SERVICES {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
}

/// Tells watchers that the door closes, and ends their streams, which would hold it open.
async fn tell_closing(mut health: HealthReporter) {
    for service in SERVICES.into_iter().chain([""]) {
        health.set_service_status(service, ServingStatus::NotServing).await;
        health.clear_service_status(service).await;
    }
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

/// Gives a generated server the bounds that all share.
macro_rules! bounded {
    ($server:ident, $door:ident, $shared:expr) => {
        $server::new($door(Arc::clone($shared)))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
            .accept_compressed(CompressionEncoding::Gzip)
    };
}

fn services(shared: &Arc<Shared>) -> Routes {
    Routes::new(bounded!(RegistrationServiceServer, RegistrationDoor, shared))
        .add_service(bounded!(ResolutionServiceServer, ResolutionDoor, shared))
        .add_service(bounded!(PrefixServiceServer, PrefixDoor, shared))
        .add_service(bounded!(BackupServiceServer, BackupDoor, shared))
        .add_service(bounded!(FederationServiceServer, FederationDoor, shared))
        .add_service(bounded!(AdministrationServiceServer, AdministrationDoor, shared))
}

/// Adds reflection of all services, in the present and in the older form that many clients still ask for.
fn add_reflection(routes: Routes) -> Result<Routes, tonic_reflection::server::Error> {
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            // The details of statuses: google.rpc.Status and google.rpc.ErrorInfo.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(routes.add_service(descriptors().build_v1()?).add_service(descriptors().build_v1alpha()?))
}

//----------- GrpcError ------------------------------------------------------

/// Why the door cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum GrpcError {
    /// The descriptors are malformed: a fault of this build.
    #[error("the gRPC door cannot describe itself")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// Serving came to an end by itself.
    #[error("the gRPC door broke")]
    Transport(#[source] tonic::transport::Error),
}
