//! From a listener to connections that gRPC is served on: bounded in number, TLS where it is configured.
//!
//! ```text
//!   listener ── a place is free ──▶ accept ── handshake, within its deadline ──▶ Connection ──▶ tonic
//! ```
//!
//! Accepting never fails for good: what goes wrong with one connection is told and the next is taken.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::Shared;
use super::counters::{GrpcCounters, OpenMark, count};
use super::under_way::UnderWay;

/// Connections of one listener at a time; more wait unaccepted.
const CONNECTIONS_MAX: usize = 4_096;
/// Handshakes under way at most.
const HANDSHAKES_MAX: usize = 256;
/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// How long accepting rests after the system refused it, as it does when file descriptors run out.
const ACCEPT_REST: Duration = Duration::from_millis(100);

//----------- Peer -----------------------------------------------------------

/// What is known of the other end of a connection before it has said anything.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Its address.
    pub(super) address: SocketAddr,
    /// How bytes travel.
    pub(super) channel: Channel,
    /// What is under way on the connection.
    pub(super) under_way: Arc<UnderWay>,
}

/// How bytes travel between us and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    /// As they are.
    Plain,
    /// Under TLS.
    Tls,
}

impl Peer {
    /// Whether what it sends can be read on the way: plain text from beyond this machine.
    pub(super) fn is_overheard(&self) -> bool {
        self.channel == Channel::Plain && !self.address.ip().to_canonical().is_loopback()
    }
}

//----------- Connection -----------------------------------------------------

/// One accepted connection; gives its place back when dropped.
pub(super) struct Connection {
    transport: Transport,
    peer: Peer,
    /// Ends when nobody needs the connection any more.
    forsaken: BoxFuture<'static, ()>,
    _place: OwnedSemaphorePermit,
    _open: OpenMark,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    fn new(transport: Transport, accepted: Whence, watch: &Watch) -> Self {
        let Whence { address, place } = accepted;
        let channel = match transport {
            Transport::Plain(_) => Channel::Plain,
            Transport::Tls(_) => Channel::Tls,
        };
        let under_way = Arc::<UnderWay>::default();
        let forsaken = Arc::clone(&under_way).forsaken(watch.closing.clone()).boxed();
        let open = OpenMark::new(Arc::clone(&watch.counters));
        let peer = Peer { address, channel, under_way };
        Self { transport, peer, forsaken, _place: place, _open: open }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if read.is_ready() {
            self.peer.under_way.hear();
            return read;
        }
        self.forsaken.as_mut().poll(context).map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

//----------- Accepting ------------------------------------------------------

/// What all connections share.
#[derive(Clone)]
struct Watch {
    counters: Arc<GrpcCounters>,
    closing: watch::Receiver<bool>,
}

/// The connections of a listener.
pub(super) fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    shared: &Shared,
) -> impl Stream<Item = io::Result<Connection>> + use<> {
    let watch = Watch { counters: Arc::clone(&shared.counters), closing: shared.closing.clone() };
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    stream::unfold((listener, places), |(listener, places)| async move {
        let accepted = take(&listener, &places).await?;
        Some((accepted, (listener, places)))
    })
    .map(move |(stream, whence)| shake_hands(stream, whence, tls.clone(), watch.clone()))
    .buffer_unordered(HANDSHAKES_MAX)
    .filter_map(|connection| async move { connection.map(Ok) })
}

/// Where a connection comes from, and the place it takes.
struct Whence {
    address: SocketAddr,
    place: OwnedSemaphorePermit,
}

/// Waits for a place, then for a connection. None when the places are gone for good, which they never are.
async fn take(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<(TcpStream, Whence)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return Some((stream, Whence { address, place })),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a gRPC connection; trying again");
                time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn shake_hands(
    stream: TcpStream,
    whence: Whence,
    tls: Option<TlsAcceptor>,
    watch: Watch,
) -> Option<Connection> {
    let address = whence.address;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%address, %error, "gRPC connection is gone already");
        return None;
    }
    let Some(tls) = tls else {
        return Some(Connection::new(Transport::Plain(stream), whence, &watch));
    };
    let handshake = time::timeout(HANDSHAKE_MAX, tls.accept(stream)).await;
    match handshake.map_err(io::Error::from).flatten() {
        Ok(stream) => Some(Connection::new(Transport::Tls(Box::new(stream)), whence, &watch)),
        Err(error) => {
            count(&watch.counters.handshakes_failed);
            tracing::debug!(%address, %error, "TLS handshake failed");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Channel, Peer};

    #[test]
    fn plain_text_beyond_this_machine_is_overheard() {
        let overheard = |address: &str, channel| {
            let address = address.parse().expect("an address");
            Peer { address, channel, under_way: Arc::default() }.is_overheard()
        };
        assert!(overheard("192.0.2.7:9000", Channel::Plain));
        assert!(overheard("[2001:db8::7]:9000", Channel::Plain));
        assert!(!overheard("192.0.2.7:9000", Channel::Tls));
        assert!(!overheard("127.0.0.1:9000", Channel::Plain));
        assert!(!overheard("[::ffff:127.0.0.1]:9000", Channel::Plain));
    }
}
