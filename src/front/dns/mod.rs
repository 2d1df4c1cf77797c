//! The DNS front end: resolves identifiers over DNS messages, UDP and TCP on one port. It never recurses.
//!
//! ```text
//!   udp ─┐  batches of messages            ┌─ zone: which zone the name is in
//!        ├──────────────▶ answer ──────────┼─ resolver: values, absent, suspended
//!   tcp ─┘                  │              └─ reply: records and codes
//!                           └─ request (decode), message (encode)
//! ```
//!
//! Names and records are made in `wire::dns`; what may be answered is decided in the resolver. Zones and zone cuts are
//! the one thing that DNS adds: see `zone`. An answer over UDP has at most 1,232 octets, an answer over TCP 65,535. An
//! answer that does not fit is truncated (TC), or is a stub if no message could carry it. What waits on TCP connections takes
//! its memory from a budget.

mod answer;
mod cookie;
mod counters;
mod message;
mod reply;
mod request;
mod tcp;
mod udp;
mod zone;

#[cfg(test)]
mod tests;

pub use self::counters::DnsCounters;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::front::listen::accept::{Reception, ReceptionOptions, Security};
use crate::front::listen::bind::bind_both;
use crate::front::listen::bounds::DNS_MEMORY;
use crate::front::listen::budget::{MemoryBudget, MemoryLimits};
use crate::front::listen::counters::ConnectionCounters;
use crate::front::listen::drain::Drain;
use crate::front::listen::slots::ConnectionLimits;
use crate::front::listen::udp_rate_limit::{UdpAnswerCounters, UdpRateLimit, UdpRateLimitOptions};
use crate::resolver::Resolver;
use crate::wire::dns::name::Naming;

use self::answer::Responder;
use self::tcp::TcpSide;
use self::udp::UdpSide;

//----------- DnsOptions -----------------------------------------------------

/// Options of the DNS front end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsOptions {
    /// Addresses to listen on, over UDP and TCP; port 0 finds one that is free for both.
    pub listen: Vec<SocketAddr>,
    /// The name under which all identifiers are found.
    pub root: String,
    /// Whether this node has no upper node, so that it serves the root zone.
    pub is_top: bool,
    /// Seconds for which resolvers may cache that a name does not exist.
    pub minimum_seconds: u32,
    /// Seconds that a connection may be without a message.
    pub idle_seconds: u64,
    /// Bounds of TCP connections.
    pub connections: ConnectionLimits,
    /// How much is sent over UDP to addresses that may be forged.
    pub udp: UdpRateLimitOptions,
}

impl Default for DnsOptions {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 5_300))],
            root: "id.internal".to_owned(),
            is_top: true,
            minimum_seconds: 10,
            idle_seconds: 10,
            connections: ConnectionLimits::new(512, 128),
            udp: UdpRateLimitOptions::default(),
        }
    }
}

//----------- DnsServer ------------------------------------------------------

/// A DNS server with bound sockets.
pub struct DnsServer {
    responder: Arc<Responder>,
    udp: Vec<UdpSide>,
    tcp: Vec<TcpSide>,
    connections: Arc<ConnectionCounters>,
    memory: Arc<MemoryBudget>,
}

impl DnsServer {
    /// Checks the options and binds every address over UDP and TCP; the server answers nothing before it runs.
    pub fn bind(options: DnsOptions, resolver: Arc<Resolver>) -> io::Result<Self> {
        Self::bind_within(DNS_MEMORY, options, resolver)
    }

    fn bind_within(limits: MemoryLimits, options: DnsOptions, resolver: Arc<Resolver>) -> io::Result<Self> {
        let naming = Naming::new(&options.root, resolver.folding())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let idle_max = Duration::from_secs(options.idle_seconds);
        let reception = Reception::new(ReceptionOptions {
            front_end: "DNS",
            security: Security::Plain,
            limits: options.connections.clone(),
            reserved: 0,
            first_byte_max: idle_max,
        });
        let memory = MemoryBudget::new(limits);
        let (mut udp, mut tcp) = (Vec::new(), Vec::new());
        for address in &options.listen {
            let (datagrams, connections) = bind_both(*address)?;
            udp.push(UdpSide::new(datagrams)?);
            tcp.push(TcpSide::new(connections, reception.clone(), idle_max, Arc::clone(&memory))?);
        }
        let mut cookie_secret = [0; 16];
        resolver.fill_random(&mut cookie_secret);
        let responder = Responder {
            resolver,
            naming,
            is_top: options.is_top,
            minimum_seconds: options.minimum_seconds,
            cookie_secret,
            rate_limit: UdpRateLimit::new(&options.udp, Instant::now()),
            counters: Arc::default(),
        };
        Ok(Self { responder: Arc::new(responder), udp, tcp, connections: reception.counters(), memory })
    }

    /// The bound addresses, the same over UDP and TCP.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.tcp.iter().map(TcpSide::local_addr).collect()
    }

    /// Counters of the DNS front end.
    pub fn counters(&self) -> Arc<DnsCounters> {
        Arc::clone(&self.responder.counters)
    }

    /// The counters of its TCP connections.
    pub fn connections(&self) -> Arc<ConnectionCounters> {
        Arc::clone(&self.connections)
    }

    /// The memory that messages and answers may occupy over TCP.
    pub fn memory(&self) -> Arc<MemoryBudget> {
        Arc::clone(&self.memory)
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
        for side in self.udp {
            threads.push(side.start(Arc::clone(&self.responder), &drain.draining())?);
        }
        for side in self.tcp {
            tasks.spawn(side.serve(Arc::clone(&self.responder), drain.draining()));
        }
        shutdown.await;
        drop(threads);
        drain.run().await;
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the DNS front end ended abnormally");
            }
        }
        Ok(())
    }
}
