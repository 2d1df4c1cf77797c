//! The Handle front end: the Handle protocol over UDP and TCP on one port (RFC 3652, as its clients speak it).
//!
//! ```text
//!   udp ─ reassembly, kept ─┐                               ┌─ login, setup: sessions, logins
//!   tcp, tls ───────────────┼─▶ answer ─▶ proof ─▶ perform ─┼─ resolution, change, list: the core
//!   tunnel (in HTTP) ───────┘      │                        └─ own site, counters of transactions
//!                                  └─ exchange: open   outcome, exchange: close ◀─┘
//! ```
//! `answer` opens each message and answers it; a request whose caller has to prove who it is waits in `challenge` until
//! `proof` has judged the answer. `perform` does what a request asks for, and `outcome` makes messages of what became of
//! it. Plain questions take a short way, many with one read of the store.
//!
//! Answers over UDP are limited per source (`listen::udp_rate_limit`), signatures are made off the reactor (`crypto_pool`).
//! Messages are encoded and decoded in `wire::handle`; the rules that the JSON API shares are in `handle_semantics`; what
//! is answered and who may do what is decided in the core.

mod tcp;
mod tunnel;
mod udp;

mod kept;
mod reassembly;

mod answer;
mod proof;

mod perform;

mod change;
mod list;
mod login;
mod resolution;
mod setup;

mod outcome;

mod exchange;
mod frame;
mod reply;

mod answerer;
mod challenge;
mod opened;
mod origin;
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
use crate::front::listen::budget::{HANDLE_MEMORY, MemoryBudget};
use crate::front::listen::counters::ConnectionCounters;
use crate::front::listen::drain::Drain;
use crate::front::listen::quota::QuotaBounds;
use crate::front::listen::slots::ConnectionLimits;
use crate::front::listen::tls::{ClientCertificates, TlsIdentity};
use crate::front::listen::udp_rate_limit::{UdpAnswerCounters, UdpRateLimit, UdpRateLimitOptions};
use crate::key::PrivateKey;
use crate::model::identity::Identity;
use crate::registry::Registry;
use crate::resolver::Resolver;

use self::answerer::Answerer;
use self::challenge::Challenges;
use self::session::Sessions;
use self::tcp::TcpSide;
use self::udp::UdpSide;
use crate::front::listen::crypto_pool::CryptoPool;

/// Sessions at a time: a client opens one, and one more for each identity that it acts as.
const SESSIONS: QuotaBounds = QuotaBounds { total: 32_768, per_source: 8_192 };
/// Memory for requests whose callers are to prove who they are.
const CHALLENGES: QuotaBounds = QuotaBounds { total: 64 * 1024 * 1024, per_source: 8 * 1024 * 1024 };

//----------- HandleOptions --------------------------------------------------

/// What the door needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandleOptions {
    /// Where it listens, over UDP and TCP; port 0 finds one that is free for both.
    pub listen: Vec<SocketAddr>,
    /// Seconds that a connection may be without a message.
    pub idle_seconds: u64,
    /// How much is sent over UDP to addresses that may be forged.
    pub udp: UdpRateLimitOptions,
    /// Who may home and unhome prefixes here, and list those homed.
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

//----------- HandleDoor -----------------------------------------------------

/// What the door stands before.
pub struct HandleRooms {
    /// What decides and records.
    pub registry: Arc<Registry>,
    /// Decides who callers are.
    pub authority: Authority,
    /// What answers.
    pub resolver: Arc<Resolver>,
    /// The certificate for TLS; plain text only without.
    pub tls: Option<Arc<TlsIdentity>>,
    /// The key that this server signs with.
    pub server_key: Arc<PrivateKey>,
    /// Where signatures and keys are made and verified.
    pub crypto_pool: Arc<CryptoPool>,
}

/// Sockets that are bound, with nobody behind them yet.
pub struct HandleSockets(Vec<(UdpSocket, TcpListener)>);

impl HandleSockets {
    /// Binds every address over UDP and TCP.
    pub fn bind(listen: &[SocketAddr]) -> io::Result<Self> {
        listen.iter().map(|address| bind_both(*address)).collect::<io::Result<_>>().map(Self)
    }

    /// Where they listen, over UDP and TCP alike.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.0.iter().map(|(_, connections)| connections.local_addr()).collect()
    }
}

/// A door whose sockets are bound.
pub struct HandleDoor {
    answerer: Arc<Answerer>,
    udp: Vec<Arc<UdpSide>>,
    tcp: Vec<TcpSide>,
    connections: Arc<ConnectionCounters>,
    budget: Arc<MemoryBudget>,
}

impl HandleDoor {
    /// A door at these sockets; it answers nothing yet.
    pub fn new(options: &HandleOptions, sockets: HandleSockets, rooms: HandleRooms) -> io::Result<Self> {
        let HandleRooms { registry, authority, resolver, tls, server_key, crypto_pool } = rooms;
        let tls = tls.map(|identity| identity.acceptor(None, ClientCertificates::NotAsked));
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
        let answerer = Answerer {
            registry,
            authority,
            resolver,
            public_key: server_key.public().encode_blob(),
            server_key,
            sessions: Sessions::new(SESSIONS),
            challenges: Challenges::new(CHALLENGES),
            crypto_pool,
            rate_limit: UdpRateLimit::new(&options.udp, Instant::now()),
            counters: Arc::default(),
        };
        Ok(Self { answerer: Arc::new(answerer), udp, tcp, connections: reception.counters(), budget })
    }

    /// Answers for messages that come by another door.
    pub fn tunnel(&self) -> HandleTunnel {
        HandleTunnel(Arc::clone(&self.answerer))
    }

    /// What it remembers at present.
    pub fn memory(&self) -> HandleMemory {
        HandleMemory(Arc::clone(&self.answerer))
    }

    /// What it counts.
    pub fn counters(&self) -> Arc<HandleCounters> {
        Arc::clone(&self.answerer.counters)
    }

    /// What it counts of its TCP connections.
    pub fn connections(&self) -> Arc<ConnectionCounters> {
        Arc::clone(&self.connections)
    }

    /// The memory that large messages and answers may occupy over TCP.
    pub fn budget(&self) -> Arc<MemoryBudget> {
        Arc::clone(&self.budget)
    }

    /// Its answers over UDP, by what became of them.
    pub fn udp_answers(&self) -> Arc<UdpAnswerCounters> {
        self.answerer.rate_limit.counters()
    }

    /// Answers until `shutdown` ends; then takes nothing new, answers what was received, and returns.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        let drain = Drain::new();
        let mut tasks = JoinSet::new();
        let mut threads = Vec::with_capacity(self.udp.len());
        for side in &self.udp {
            threads.push(side.start(&self.answerer, &drain.draining())?);
        }
        for side in self.tcp {
            tasks.spawn(side.serve(Arc::clone(&self.answerer), drain.draining()));
        }
        shutdown.await;
        drop(threads);
        drain.run().await;
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the Handle door ended abnormally");
            }
        }
        Ok(())
    }
}

/// What a door remembers of its clients at present.
#[derive(Clone)]
pub struct HandleMemory(Arc<Answerer>);

impl HandleMemory {
    /// Sessions that are not over.
    pub fn sessions(&self) -> usize {
        self.0.sessions.count()
    }

    /// Challenges that wait for their answers.
    pub fn challenges(&self) -> usize {
        self.0.challenges.count()
    }
}
