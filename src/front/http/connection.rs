//! One connection of the HTTP door: plain or TLS by its first byte, and closed when it stays silent.
//!
//! A TLS handshake begins with the byte 0x16, which no HTTP request begins with, so one port serves both. Silence is
//! counted while a read or a write waits for the other end; any byte that moves ends it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::owed::Owed;
use crate::front::listen::source::Source;

/// The content type of a TLS handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// How long a connection may take to say its first byte and to shake hands.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

//----------- Peer -----------------------------------------------------------

/// What is known of the other end of a connection.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// Its address.
    pub(super) address: SocketAddr,
    /// Where it reached this node.
    pub(super) own: SocketAddr,
    /// How bytes travel.
    pub(super) channel: Channel,
    /// The certificate it showed, in DER; it holds the key.
    pub(super) certificate: Option<Arc<[u8]>>,
    /// What the connection owes it.
    pub(super) owed: Arc<Owed>,
}

/// How bytes travel between us and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// As they are.
    Plain,
    /// Under TLS.
    Tls,
}

impl Peer {
    /// What bounds are counted by.
    pub(super) fn source(&self) -> Source {
        Source::of(self.address.ip())
    }

    /// Whether what it sends can be read on the way: plain text from beyond this machine.
    pub(super) fn is_overheard(&self) -> bool {
        self.channel == Channel::Plain && !self.address.ip().to_canonical().is_loopback()
    }
}

//----------- Connection -----------------------------------------------------

/// One accepted connection.
pub(super) struct Connection {
    transport: Transport,
    silence_max: Duration,
    silence: Pin<Box<Sleep>>,
    owed: Arc<Owed>,
}

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Finds out whether the other end speaks TLS, and shakes hands if it does.
    pub(super) async fn open(
        stream: TcpStream,
        address: SocketAddr,
        tls: Option<&TlsAcceptor>,
        silence_max: Duration,
    ) -> io::Result<(Self, Peer)> {
        stream.set_nodelay(true)?;
        let own = stream.local_addr()?;
        let handshake_max = HANDSHAKE_MAX.min(silence_max);
        let transport = timeout(handshake_max, shake_hands(stream, tls)).await.map_err(io::Error::from)??;
        let (channel, certificate) = match &transport {
            Transport::Plain(_) => (Channel::Plain, None),
            Transport::Tls(stream) => (Channel::Tls, shown_certificate(stream)),
        };
        let silence = Box::pin(sleep(silence_max));
        let owed = Arc::new(Owed::default());
        let peer = Peer { address, own, channel, certificate, owed: Arc::clone(&owed) };
        Ok((Self { transport, silence_max, silence, owed }, peer))
    }

    /// Ends a wait that lasted too long; a wait that moved a byte begins anew.
    fn judge<T>(&mut self, context: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.silence.as_mut().reset(Instant::now() + self.silence_max);
            return moved;
        }
        self.silence.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The same for bytes on their way out.
    fn judge_sent<T>(&mut self, context: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.owed.note_stalled(sent.is_pending());
        self.judge(context, sent)
    }
}

async fn shake_hands(stream: TcpStream, tls: Option<&TlsAcceptor>) -> io::Result<Transport> {
    let Some(tls) = tls else {
        return Ok(Transport::Plain(stream));
    };
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first == [TLS_HANDSHAKE] {
        return Ok(Transport::Tls(Box::new(tls.accept(stream).await?)));
    }
    Ok(Transport::Plain(stream))
}

fn shown_certificate(stream: &TlsStream<TcpStream>) -> Option<Arc<[u8]>> {
    let (_, session) = stream.get_ref();
    session.peer_certificates()?.first().map(|certificate| Arc::from(certificate.as_ref()))
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
        self.judge(context, read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        };
        self.judge_sent(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        };
        self.judge_sent(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(context),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(context),
        };
        if flushed.is_ready() {
            // Flushing nothing is always done at once and moves no byte.
            self.owed.note_stalled(false);
            return flushed;
        }
        self.judge_sent(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        };
        self.judge_sent(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Channel, Owed, Peer};

    #[test]
    fn plain_text_beyond_this_machine_is_overheard() {
        let overheard = |address: &str, channel| {
            let address = address.parse().expect("an address");
            let own = "127.0.0.1:80".parse().expect("an address");
            let owed = Arc::new(Owed::default());
            Peer { address, own, channel, certificate: None, owed }.is_overheard()
        };
        assert!(overheard("192.0.2.7:9000", Channel::Plain));
        assert!(!overheard("192.0.2.7:9000", Channel::Tls));
        assert!(!overheard("[::ffff:127.0.0.1]:9000", Channel::Plain));
    }
}
