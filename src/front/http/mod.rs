//! The HTTP front end: a transport, and faces on it. Plain text and TLS share each port, as do HTTP/1.1 and HTTP/2.
//!
//! ```text
//!   connection ─▶ transport ─┬▶ handle_api   the Handle JSON API     ┐ handle_json: questions, replies and denials as JSON,
//!                            ├▶ pages        handles as web addresses ┘ native messages ─▶ registry | resolver
//!                            └▶ operations   health, readiness, metrics, the description of the interface
//! ```
//! A face is a set of routes that renders its own refusals and names no other face; the transport does the rest and knows
//! no face. Another face is added by listing it in `HttpServer::new`. The OpenAPI document is made of the routes that are served.

mod dependencies;

mod transport;

mod handle_json;

mod handle_api;
mod operations;
mod pages;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

pub use self::dependencies::{Carried, Ends, HttpDependencies, Readiness, Reason, Tunnel};
pub use self::transport::counters::HttpCounters;
pub use crate::front::listen::channel::Channel;

use self::handle_api::HandleApi;
use self::handle_json::state::HandleState;
use self::operations::Operations;
use self::operations::openapi::DescriptionFace;
use self::pages::Pages;
use self::transport::Faces;
use self::transport::answer::AnswerMemory;
use self::transport::authentication::Authenticator;
use self::transport::authentication::sessions::Sessions;
use self::transport::listener::{self, Service};
use crate::front::listen::accept::{Reception, ReceptionOptions, Security};
use crate::front::listen::bounds::{HTTP_MEMORY, HTTP_SESSIONS};
use crate::front::listen::budget::{MemoryBudget, MemoryLimits};
use crate::front::listen::counters::ConnectionCounters;
use crate::front::listen::reserved::RESERVED_SLOTS;
use crate::front::listen::slots::ConnectionLimits;
use crate::front::listen::tls::{ClientCertificates, HTTP1, HTTP2, TlsError, TlsIdentity};

/// How long a connection may take for its first byte.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(10);

//----------- HttpOptions ----------------------------------------------------

/// Where the front end listens, and what it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Addresses; empty for no such front end.
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

//----------- HttpServer -----------------------------------------------------

/// The front end before it listens. Clones share sessions and counts: serve each listener with one.
#[derive(Clone)]
pub struct HttpServer {
    faces: Arc<Faces>,
    counters: Arc<HttpCounters>,
    memory: Arc<MemoryBudget>,
    sessions: HttpSessions,
    reception: Reception,
    silence_max: Duration,
}

impl HttpServer {
    /// Makes the front end; with a certificate it takes TLS on the same ports as plain text.
    pub fn new(
        options: &HttpOptions,
        dependencies: HttpDependencies,
        tls: Option<Arc<TlsIdentity>>,
    ) -> Result<Self, TlsError> {
        Self::new_within(HTTP_MEMORY, options, dependencies, tls)
    }

    fn new_within(
        limits: MemoryLimits,
        options: &HttpOptions,
        dependencies: HttpDependencies,
        tls: Option<Arc<TlsIdentity>>,
    ) -> Result<Self, TlsError> {
        let tls =
            tls.map(|identity| identity.acceptor(&[HTTP2, HTTP1], ClientCertificates::Taken)).transpose()?;
        let (counters, memory) = (Arc::default(), MemoryBudget::new(limits));
        let mut secret = [0; 32];
        dependencies.resolver.fill_random(&mut secret);
        let sessions = Arc::new(Sessions::new(HTTP_SESSIONS, secret));
        let authenticator =
            authenticator(options, &dependencies, Arc::clone(&counters), Arc::clone(&sessions));
        let authenticator = Arc::new(authenticator);
        let api = HandleState::new(&dependencies, Arc::clone(&authenticator));
        let (handles, describes_handles) = HandleApi::new(api.clone());
        let (pages, describes_pages) = Pages::new(api);
        let (operations, describes_operations) = Operations::new(&dependencies);
        let description = DescriptionFace::new([describes_handles, describes_pages, describes_operations]);
        let faces = Faces {
            faces: vec![Box::new(handles), Box::new(operations), Box::new(description), Box::new(pages)],
            authenticator,
            counters: Arc::clone(&counters),
            memory: AnswerMemory::new(),
        };
        let silence_max = Duration::from_secs(u64::from(options.idle_seconds));
        let reception = Reception::new(ReceptionOptions {
            front_end: "HTTP",
            security: tls.map_or(Security::Plain, Security::Both),
            limits: options.connections.clone(),
            reserved: RESERVED_SLOTS,
            first_byte_max: FIRST_BYTE_MAX.min(silence_max),
        });
        Ok(Self {
            faces: Arc::new(faces),
            counters,
            memory,
            sessions: HttpSessions(sessions),
            reception,
            silence_max,
        })
    }

    /// Counts since it was made.
    pub fn counters(&self) -> Arc<HttpCounters> {
        Arc::clone(&self.counters)
    }

    /// The memory that requests and answers take.
    pub fn memory(&self) -> Arc<MemoryBudget> {
        Arc::clone(&self.memory)
    }

    /// The sessions of the JSON API.
    pub fn sessions(&self) -> HttpSessions {
        self.sessions.clone()
    }

    /// What is counted of the connections; all clones count together.
    pub fn connections(&self) -> Arc<ConnectionCounters> {
        self.reception.counters()
    }

    /// Serves a bound listener until `drain` ends; then no connection is taken, the answer to each request that came in
    /// whole is given, and the other connections are closed at once.
    pub async fn serve(self, listener: TcpListener, drain: impl Future<Output = ()> + Send + 'static) {
        let Self { faces, memory, reception, silence_max, .. } = self;
        listener::serve(listener, Service { faces, memory, reception, silence_max }, drain).await;
    }
}

/// The sessions of the JSON API that are stored.
#[derive(Clone, Debug)]
pub struct HttpSessions(Arc<Sessions>);

impl HttpSessions {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.count()
    }
}

fn authenticator(
    options: &HttpOptions,
    dependencies: &HttpDependencies,
    counters: Arc<HttpCounters>,
    sessions: Arc<Sessions>,
) -> Authenticator {
    Authenticator {
        authority: dependencies.authority.clone(),
        resolver: Arc::clone(&dependencies.resolver),
        crypto_pool: Arc::clone(&dependencies.crypto_pool),
        sessions,
        counters,
        allow_tokens_in_plain_text: options.allow_tokens_in_plain_text,
    }
}
