//! The Handle front end: the Handle protocol over UDP and TCP on one port (RFC 3652, as its clients speak it).
//!
//! ```text
//!   udp ─ reassembly, cache ┐                                  ┌─ login, setup: logins and sessions
//!   tcp, tls ───────────────┼─▶ answer ─▶ proof ─▶ operations ─┼─ resolution, change, list: the core
//!   tunnel (in HTTP) ───────┘      │                              └─ own site, transaction number
//!                                  └─ message_security: open     outcome, message_security: close ─▶
//! ```
//! `answer` opens each message and answers it; a request whose caller has to prove who it is waits in `challenge` until
//! `proof` has judged the answer. `operations` performs a request, and `outcome` turns its outcome into messages. Plain
//! questions take a shorter path, many of them with one read of the store.
//!
//! Answers over UDP are limited per source (`listen::udp_rate_limit`), signatures are made off the reactor (`crypto_pool`).
//! Messages are encoded and decoded in `wire::handle`; the rules that the JSON API shares are in `handle_semantics`; what
//! is answered and who may do what is decided in the core.

mod tcp;
mod tunnel;
mod udp;

mod reassembly;
mod reply_cache;

mod answer;
mod proof;

mod operations;

mod change;
mod list;
mod login;
mod resolution;
mod setup;

mod outcome;

mod frame;
mod message_security;
mod reply;

mod challenge;
mod opened_message;
mod origin;
mod responder;
mod session;

mod counters;

pub use self::counters::HandleCounters;
pub use self::tunnel::{HandleTunnel, Tunneled};

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::authority::Authority;
use crate::front::listen::accept::{Reception, ReceptionOptions, Security};
use crate::front::listen::bind::bind_both;
use crate::front::listen::bounds::{HANDLE_CHALLENGES, HANDLE_MEMORY, HANDLE_SESSIONS};
use crate::front::listen::budget::MemoryBudget;
use crate::front::listen::counters::ConnectionCounters;
use crate::front::listen::crypto_pool::CryptoPool;
use crate::front::listen::drain::Drain;
use crate::front::listen::slots::ConnectionLimits;
use crate::front::listen::source::Exemptions;
use crate::front::listen::tls::{ClientCertificates, TlsIdentity};
use crate::front::listen::udp_rate_limit::{UdpAnswerCounters, UdpRateLimit, UdpRateLimitOptions};
use crate::key::PrivateKey;
use crate::model::identity::Identity;
use crate::registry::Registry;
use crate::resolver::Resolver;

use self::challenge::Challenges;
use self::responder::Responder;
use self::session::Sessions;
use self::tcp::TcpSide;
use self::udp::UdpSide;

//----------- HandleOptions --------------------------------------------------

/// Options of the Handle front end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandleOptions {
    /// Addresses to listen on, over UDP and TCP; port 0 finds one that is free for both.
    pub listen: Vec<SocketAddr>,
    /// Seconds that a connection may be without a message.
    pub idle_seconds: u64,
    /// How much is sent over UDP to addresses that may be forged.
    pub udp: UdpRateLimitOptions,
    /// Identities that may home and revoke prefixes here, and list the prefixes homed here.
    pub administrators: Vec<Identity>,
    /// Bounds of TCP connections: clients keep theirs open, and factories stand behind one address.
    pub connections: ConnectionLimits,
}

impl Default for HandleOptions {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 2_641))],
            idle_seconds: 900,
            udp: UdpRateLimitOptions::default(),
            administrators: Vec::new(),
            connections: ConnectionLimits::new(4_096, 1_024),
        }
    }
}

//----------- HandleServer ---------------------------------------------------

/// What the Handle front end depends on.
pub struct HandleDependencies {
    /// The registry, for changes.
    pub registry: Arc<Registry>,
    /// Proves and authorizes callers.
    pub authority: Authority,
    /// The resolver, for questions.
    pub resolver: Arc<Resolver>,
    /// The certificate for TLS; plain text only without.
    pub tls: Option<Arc<TlsIdentity>>,
    /// The key with which this server signs.
    pub server_key: Arc<PrivateKey>,
    /// The pool in which signatures and keys are made and verified.
    pub crypto_pool: Arc<CryptoPool>,
}

/// Bound sockets, before the server runs.
pub struct HandleSockets(Vec<(UdpSocket, TcpListener)>);

impl HandleSockets {
    /// Binds every address over UDP and TCP.
    pub fn bind(listen: &[SocketAddr]) -> io::Result<Self> {
        listen.iter().map(|address| bind_both(*address)).collect::<io::Result<_>>().map(Self)
    }

    /// The bound addresses, the same over UDP and TCP.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.0.iter().map(|(_, connections)| connections.local_addr()).collect()
    }
}

/// A Handle server with bound sockets.
pub struct HandleServer {
    responder: Arc<Responder>,
    udp: Vec<Arc<UdpSide>>,
    tcp: Vec<TcpSide>,
    connections: Arc<ConnectionCounters>,
    budget: Arc<MemoryBudget>,
}

impl HandleServer {
    /// Makes a server of bound sockets; it answers nothing before it runs.
    pub fn new(
        options: &HandleOptions,
        sockets: HandleSockets,
        dependencies: HandleDependencies,
    ) -> io::Result<Self> {
        let HandleDependencies { registry, authority, resolver, tls, server_key, crypto_pool } = dependencies;
        let tls = tls.map(|identity| identity.acceptor(&[], ClientCertificates::NotAsked));
        let tls = tls.transpose().map_err(io::Error::other)?;
        let idle_max = Duration::from_secs(options.idle_seconds);
        let reception = Reception::new(ReceptionOptions {
            front_end: "Handle",
            security: tls.map_or(Security::Plain, Security::Both),
            limits: options.connections.clone(),
            reserved: 0,
            // Clients connect ahead of their first message.
            first_byte_max: idle_max,
        });
        let budget = MemoryBudget::new(HANDLE_MEMORY);
        let (mut udp, mut tcp) = (Vec::new(), Vec::new());
        for (datagrams, connections) in sockets.0 {
            udp.push(Arc::new(UdpSide::new(datagrams)?));
            tcp.push(TcpSide::new(connections, reception.clone(), idle_max, Arc::clone(&budget))?);
        }
        let responder = Responder {
            registry,
            authority,
            resolver,
            public_key: server_key.public().encode_blob(),
            server_key,
            sessions: Sessions::new(HANDLE_SESSIONS),
            challenges: Challenges::new(HANDLE_CHALLENGES),
            exemptions: Exemptions::new(&options.connections.exempt_networks),
            crypto_pool,
            rate_limit: UdpRateLimit::new(&options.udp, Instant::now()),
            counters: Arc::default(),
        };
        Ok(Self { responder: Arc::new(responder), udp, tcp, connections: reception.counters(), budget })
    }

    /// Answers messages that another front end carries.
    pub fn tunnel(&self) -> HandleTunnel {
        HandleTunnel(Arc::clone(&self.responder))
    }

    /// The sizes of what it remembers of its clients.
    pub fn tables(&self) -> HandleTables {
        HandleTables(Arc::clone(&self.responder))
    }

    /// Counters of the Handle front end.
    pub fn counters(&self) -> Arc<HandleCounters> {
        Arc::clone(&self.responder.counters)
    }

    /// The counters of its TCP connections.
    pub fn connections(&self) -> Arc<ConnectionCounters> {
        Arc::clone(&self.connections)
    }

    /// The memory that large messages and answers may occupy over TCP.
    pub fn memory(&self) -> Arc<MemoryBudget> {
        Arc::clone(&self.budget)
    }

    /// Counters of answers over UDP, by outcome.
    pub fn udp_answers(&self) -> Arc<UdpAnswerCounters> {
        self.responder.rate_limit.counters()
    }

    /// Answers until `shutdown` completes; then accepts nothing new, answers what was received, and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        let drain = Drain::new();
        let mut tasks = JoinSet::new();
        let mut threads = Vec::with_capacity(self.udp.len());
        for side in &self.udp {
            threads.push(side.start(&self.responder, &drain.draining())?);
        }
        for side in self.tcp {
            tasks.spawn(side.serve(Arc::clone(&self.responder), drain.draining()));
        }
        shutdown.await;
        drop(threads);
        drain.run().await;
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the Handle front end ended abnormally");
            }
        }
        Ok(())
    }
}

/// The sizes of what a server remembers of its clients.
#[derive(Clone)]
pub struct HandleTables(Arc<Responder>);

impl HandleTables {
    /// Open sessions.
    pub fn sessions(&self) -> usize {
        self.0.sessions.count()
    }

    /// Challenges that have not been answered.
    pub fn challenges(&self) -> usize {
        self.0.challenges.count()
    }
}
