//! The bytes of an HTTP connection, closed when it stays silent.
//!
//! Silence is counted while a read or a write waits for the client; any byte that moves ends it.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

#[cfg(test)]
use crate::front::listen::budget::MemoryBudget;
use crate::front::listen::budget::{Holder, MemoryAccount};
use crate::front::listen::channel::Channel;
use crate::front::listen::in_flight::InFlight;
#[cfg(test)]
use crate::front::listen::slots::SlotUse;
use crate::front::listen::source::Source;
use crate::front::listen::stream::ByteStream;

//----------- Client ---------------------------------------------------------

/// The client of a connection.
#[derive(Debug)]
pub(in crate::front::http) struct Client {
    /// Address of the client.
    pub(in crate::front::http) address: SocketAddr,
    /// Address of this node that the client connected to.
    pub(in crate::front::http) own: SocketAddr,
    /// Whether the connection is plain text or TLS.
    pub(in crate::front::http) channel: Channel,
    /// The certificate that the client presented, in DER. The client holds its key.
    pub(in crate::front::http) certificate: Option<Arc<[u8]>>,
    /// What is in flight on the connection.
    pub(in crate::front::http) in_flight: InFlight,
    /// What the connection holds of the memory budget.
    pub(in crate::front::http) memory: Arc<MemoryAccount>,
    /// Whether the connection uses HTTP/2.
    pub(in crate::front::http) is_multiplexed: AtomicBool,
}

impl Client {
    /// Notes the version of a request.
    pub(in crate::front::http) fn note_version(&self, version: Version) {
        if version == Version::HTTP_2 {
            self.is_multiplexed.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until the connection can be closed in order.
    pub(in crate::front::http) async fn settled(&self) {
        if self.is_multiplexed.load(Ordering::Relaxed) {
            self.in_flight.quiet().await;
        } else {
            self.in_flight.settled().await;
        }
    }

    /// Source by which bounds are counted.
    pub(in crate::front::http) fn source(&self) -> Source {
        self.in_flight.slot().source()
    }

    /// The client for which memory is held.
    pub(in crate::front::http) fn holder(&self) -> Holder {
        Holder { client: self.address, source: self.source() }
    }

    /// Whether what it sends can be read on the way: plain text from beyond this machine.
    pub(in crate::front::http) fn is_overheard(&self) -> bool {
        self.channel.is_overheard(self.address)
    }
}

#[cfg(test)]
impl Client {
    /// A client over plain text, whose memory is taken from this budget.
    pub(in crate::front::http) fn of(address: SocketAddr, budget: &Arc<MemoryBudget>) -> Self {
        Self {
            address,
            own: address,
            channel: Channel::Plain,
            certificate: None,
            in_flight: InFlight::new(SlotUse::detached()),
            memory: budget.account(Holder::of(address)),
            is_multiplexed: false.into(),
        }
    }
}

//----------- Connection -----------------------------------------------------

/// One accepted connection.
pub(in crate::front::http) struct Connection {
    stream: ByteStream,
    silence_max: Duration,
    silence: Pin<Box<Sleep>>,
    in_flight: InFlight,
}

impl Connection {
    /// A connection which is closed when no byte moves for so long.
    pub(in crate::front::http) fn new(
        stream: ByteStream,
        silence_max: Duration,
        in_flight: InFlight,
    ) -> Self {
        Self { stream, silence_max, silence: Box::pin(sleep(silence_max)), in_flight }
    }

    /// Fails a read or write that waits beyond the limit of silence; one that moved a byte restarts the limit.
    fn judge<T>(&mut self, context: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.silence.as_mut().reset(Instant::now() + self.silence_max);
            return moved;
        }
        self.silence.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Judges a write likewise, and notes whether bytes wait for the client.
    fn judge_sent<T>(&mut self, context: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.in_flight.note_stalled(sent.is_pending());
        self.judge(context, sent)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.in_flight.note_received();
        }
        self.judge(context, read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge_sent(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge_sent(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            // Flushing nothing is always done at once and moves no byte.
            self.in_flight.note_stalled(false);
            return flushed;
        }
        self.judge_sent(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge_sent(context, shut)
    }
}
