//! Accepting connections: one loop for every protocol over TCP.
//!
//! ```text
//!   accept ─▶ slot ─▶ first byte, TLS handshake, within their time ─▶ Accepted ─▶ the front end, in a task of its own
//!               └─▶ refused: closed at once and counted
//! ```
//!
//! Accepting goes on whatever becomes of one connection. When the system refuses to accept, as it does without free
//! descriptors, the loop pauses; the log has one warning for each series of such refusals. When the drain begins nothing
//! more is accepted, and the loop ends when its connections have ended; dropping it closes them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::telemetry::count;

use super::budget::Holder;
use super::channel::Channel;
use super::counters::ConnectionCounters;
use super::drain::Draining;
use super::quota::{Quota, QuotaBounds};
use super::reserved;
use super::slots::{ConnectionLimits, NoSlot, Slot, Slots};
use super::stream::ByteStream;

/// How long accepting pauses after the system refused it.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Of so many slots, one may belong to a connection in its handshake.
const HANDSHAKE_SHARE: usize = 4;
/// The first byte of a TLS connection: the content type of a handshake record (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

//----------- Security -------------------------------------------------------

/// Whether a listener speaks plain text, TLS or both.
#[derive(Clone)]
pub(in crate::front) enum Security {
    /// Plain text alone.
    Plain,
    /// TLS alone.
    Tls(TlsAcceptor),
    /// Plain text and TLS on one port: the first byte decides.
    Both(TlsAcceptor),
}

impl core::fmt::Debug for Security {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Plain => "Plain",
            Self::Tls(_) => "Tls",
            Self::Both(_) => "Both",
        })
    }
}

//----------- Reception ------------------------------------------------------

/// How the connections of a front end are received; all of its listeners share it.
#[derive(Clone, Debug)]
pub(in crate::front) struct Reception {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    front_end: &'static str,
    security: Security,
    slots: Arc<Slots>,
    handshakes: Arc<Quota>,
    first_byte_max: Duration,
    counters: Arc<ConnectionCounters>,
}

/// What a front end says of its connections.
#[derive(Debug)]
pub(in crate::front) struct ReceptionOptions {
    /// Name of the protocol, for the log.
    pub(in crate::front) front_end: &'static str,
    /// Plain text, TLS or both.
    pub(in crate::front) security: Security,
    /// Bounds of connections.
    pub(in crate::front) limits: ConnectionLimits,
    /// Slots beyond those limits that are reserved for whoever runs the node.
    pub(in crate::front) reserved: usize,
    /// How long a connection may take for its first byte.
    pub(in crate::front) first_byte_max: Duration,
}

impl Reception {
    /// Receives connections within these options; nothing is open yet.
    pub(in crate::front) fn new(options: ReceptionOptions) -> Self {
        let ReceptionOptions { front_end, security, limits, reserved, first_byte_max } = options;
        let share = |slots: usize| slots.div_ceil(HANDSHAKE_SHARE);
        let bounds = QuotaBounds {
            total: share(limits.max) + reserved,
            per_source: share(limits.per_source_max) + reserved,
        };
        let slots = Slots::new(limits, reserved, std::time::Instant::now());
        let counters = Arc::new(ConnectionCounters::new(Arc::clone(&slots)));
        let handshakes = Quota::new(bounds);
        let shared = Shared { front_end, security, slots, handshakes, first_byte_max, counters };
        Self { shared: Arc::new(shared) }
    }

    /// What is counted of the connections.
    pub(in crate::front) fn counters(&self) -> Arc<ConnectionCounters> {
        Arc::clone(&self.shared.counters)
    }

    /// Accepts connections until the drain begins, and has each served in a task of its own. Returns when all of them have
    /// ended; dropping it closes them.
    pub(in crate::front) async fn serve<Serving>(
        self,
        listener: TcpListener,
        mut draining: Draining,
        serve: impl Fn(Accepted) -> Serving + Clone + Send + 'static,
    ) where
        Serving: Future<Output = ()> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        let mut is_failing = false;
        loop {
            let accepted = tokio::select! {
                biased;
                () = draining.begins() => break,
                Some(ended) = connections.join_next() => {
                    self.note_end(ended);
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, client)) => {
                    is_failing = false;
                    let Some(slot) = self.take_slot(client) else { continue };
                    let arrival = Arrival { stream, client, slot, draining: draining.clone() };
                    let (shared, serve) = (Arc::clone(&self.shared), serve.clone());
                    connections.spawn(async move {
                        if let Some(accepted) = shared.open(arrival).await {
                            serve(accepted).await;
                        }
                    });
                }
                Err(error) => {
                    if !is_failing {
                        let front_end = self.shared.front_end;
                        tracing::warn!(%error, front_end, "cannot accept connections; trying again");
                    }
                    is_failing = true;
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop((listener, draining));
        while let Some(ended) = connections.join_next().await {
            self.note_end(ended);
        }
    }

    fn take_slot(&self, client: SocketAddr) -> Option<Slot> {
        match self.shared.slots.take(client.ip(), std::time::Instant::now()) {
            Ok(slot) => Some(slot),
            Err(reason) => {
                let counters = &self.shared.counters;
                count(match reason {
                    NoSlot::Total => &counters.refused_total,
                    NoSlot::Source => &counters.refused_source,
                });
                tracing::debug!(%client, ?reason, front_end = self.shared.front_end, "connection refused");
                None
            }
        }
    }

    fn note_end(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            tracing::error!(%error, front_end = self.shared.front_end, "a connection ended abnormally");
        }
    }
}

//----------- Accepted -------------------------------------------------------

/// A connection that has its slot and has not said anything yet.
struct Arrival {
    stream: TcpStream,
    client: SocketAddr,
    slot: Slot,
    draining: Draining,
}

/// A connection that is ready for the protocol of its front end.
pub(in crate::front) struct Accepted {
    /// The bytes.
    pub(in crate::front) stream: ByteStream,
    /// Address of the client.
    pub(in crate::front) client: SocketAddr,
    /// Address of this node that the client connected to.
    pub(in crate::front) own: SocketAddr,
    /// Whether the connection is plain text or TLS.
    pub(in crate::front) channel: Channel,
    /// The certificate that the client showed, in DER. The client holds its key.
    pub(in crate::front) client_certificate: Option<Arc<[u8]>>,
    /// The slot, to be held while the connection is open.
    pub(in crate::front) slot: Slot,
    /// Tells when the front end drains.
    pub(in crate::front) draining: Draining,
}

impl Accepted {
    /// The client for which memory is held.
    pub(in crate::front) fn holder(&self) -> Holder {
        Holder { client: self.client, source: self.slot.usage().source() }
    }
}

impl Shared {
    /// Waits for the first byte, and does the TLS handshake where the client speaks TLS.
    async fn open(&self, arrival: Arrival) -> Option<Accepted> {
        let Arrival { stream, client, slot, mut draining } = arrival;
        let opened = tokio::select! {
            biased;
            () = draining.begins() => return None,
            () = slot.evicted() => return None,
            opened = self.secure(stream, &slot) => opened,
        };
        match opened {
            Ok((stream, own)) => {
                count(&self.counters.accepted);
                let (channel, client_certificate) = (stream.channel(), stream.client_certificate());
                Some(Accepted { stream, client, own, channel, client_certificate, slot, draining })
            }
            Err(NotOpened::Refused) => {
                count(&self.counters.refused_handshakes);
                None
            }
            Err(NotOpened::Failed(error)) => {
                count(&self.counters.handshakes_failed);
                tracing::debug!(%client, %error, front_end = self.front_end, "connection not opened");
                None
            }
        }
    }

    async fn secure(&self, stream: TcpStream, slot: &Slot) -> Result<(ByteStream, SocketAddr), NotOpened> {
        // Answers are written whole: waiting to fill a segment would only delay them.
        stream.set_nodelay(true)?;
        let own = stream.local_addr()?;
        let is_reserved = slot.usage().is_reserved();
        let begun = Instant::now();
        let first_byte_max = if is_reserved { reserved::OPENING_MAX } else { self.first_byte_max };
        let mut first = [0];
        timeout_at(begun + first_byte_max, stream.peek(&mut first)).await.map_err(io::Error::from)??;
        let tls = match &self.security {
            Security::Tls(tls) => tls,
            Security::Both(tls) if first == [TLS_HANDSHAKE] => tls,
            Security::Plain | Security::Both(_) => return Ok((ByteStream::Plain(stream), own)),
        };
        let granted = self.handshakes.take(slot.usage().source(), 1);
        let _handshake = granted.map_err(|_| NotOpened::Refused)?;
        let deadline =
            if is_reserved { begun + reserved::OPENING_MAX } else { Instant::now() + HANDSHAKE_MAX };
        let stream = timeout_at(deadline, tls.accept(stream)).await.map_err(io::Error::from)??;
        Ok((ByteStream::Tls(Box::new(stream)), own))
    }
}

/// Why a connection did not come so far as to speak its protocol.
enum NotOpened {
    /// Too many handshakes are in progress.
    Refused,
    /// The client said nothing, broke off or spoke something else.
    Failed(io::Error),
}

impl From<io::Error> for NotOpened {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

#[cfg(test)]
mod tests;
