//! A connection of gRPC: bytes from the listener to tonic, closed in order.
//!
//! ```text
//!   accepted ─▶ Connection ─▶ tonic
//!                  │ reads end when the connection has to be closed (`listen::closing`),
//!                  │ and then no call is in flight and nothing was received for a while (or what is received is no call),
//!                  │ or when the preface of HTTP/2 is not complete in time (`preface`);
//!                  └ reads and writes end when the client does not read for too long
//! ```
//!
//! HTTP/2 ends a connection in two steps: this node announces the end, and the client acknowledges what it has heard
//! (RFC 9113 section 6.8). A client which never began to speak, or is silent, acknowledges nothing; it is waited for only
//! while one of its calls is in flight: one whose request has come whole, or whose stream has begun.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{mpsc, oneshot};
use tokio::time;
use tonic::transport::server::Connected;

use super::Shared;
use super::memory::Windows;
use super::preface::Preface;
use super::unread::{Answer, Part, Unread};
use super::woken::Woken;
use crate::front::listen::accept::Accepted;
use crate::front::listen::budget::MemoryAccount;
use crate::front::listen::channel::Channel;
use crate::front::listen::closing::must_close;
use crate::front::listen::drain::Draining;
use crate::front::listen::in_flight::InFlight;
use crate::front::listen::slots::{Slot, SlotUse};
use crate::front::listen::stream::ByteStream;
use crate::telemetry::count;

//----------- Client ---------------------------------------------------------

/// What is known of the client of a connection.
#[derive(Debug)]
pub(super) struct Client {
    /// Address of the client.
    pub(super) address: SocketAddr,
    /// Whether the connection is plain text or TLS.
    pub(super) channel: Channel,
    /// What is in flight on the connection.
    pub(super) in_flight: InFlight,
    /// What the connection holds of the memory budget.
    pub(super) memory: Arc<MemoryAccount>,
    /// What it may send on streams before it is read.
    pub(super) windows: Arc<Windows>,
    /// What it does not read.
    pub(super) unread: Arc<Unread>,
}

impl Client {
    /// Whether what it sends can be read on the way: plain text from beyond this machine.
    pub(super) fn is_overheard(&self) -> bool {
        self.channel.is_overheard(self.address)
    }
}

//----------- Connection -----------------------------------------------------

/// One accepted connection; gives its slot back when dropped.
pub(super) struct Connection {
    stream: ByteStream,
    client: Arc<Client>,
    preface: Preface,
    /// Resolves when the connection may be closed.
    closable: Woken<()>,
    is_closed: bool,
    /// What is written to the socket, and the part of it that the socket does not take.
    written: Answer,
    blocked: Option<Part>,
    _slot: Slot,
    /// The drain of the listener waits for this connection.
    _open: oneshot::Sender<()>,
}

impl Connection {
    fn new(accepted: Accepted, shared: &Arc<Shared>) -> (Self, oneshot::Receiver<()>) {
        let memory = shared.memory.account(accepted.holder());
        let Accepted { stream, client: address, channel, slot, draining, .. } = accepted;
        let in_flight = InFlight::new(slot.usage());
        let unread = Arc::new(Unread::default());
        let ends = closable(slot.usage(), draining, in_flight.clone());
        let closable = Woken::new(closed_if_unread(Arc::clone(&unread), Arc::clone(shared), ends).boxed());
        let (open, closed) = oneshot::channel();
        let written = unread.begin();
        let windows = Windows::new(&memory);
        let client = Arc::new(Client { address, channel, in_flight, memory, windows, unread });
        let connection = Self {
            stream,
            client,
            preface: Preface::within(shared.preface_max),
            closable,
            is_closed: false,
            written,
            blocked: None,
            _slot: slot,
            _open: open,
        };
        (connection, closed)
    }

    /// Fails a read, or a write that waits, when the connection may be closed.
    fn unless_closed<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if !self.is_closed {
            ready!(self.closable.poll_unpin(context));
            self.is_closed = true;
        }
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    /// Notes whether bytes wait for the client. HTTP/2 does not read while it cannot write, so a write has to end, too.
    fn judge_sent<T>(&mut self, context: &mut Context<'_>, sent: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.blocked = None;
            return sent;
        }
        self.blocked.get_or_insert_with(|| self.written.part());
        self.unless_closed(context)
    }
}

/// Hands an accepted connection over to tonic, and returns when it is closed.
pub(super) async fn hand_over(
    accepted: Accepted,
    shared: Arc<Shared>,
    connections: mpsc::Sender<Connection>,
) {
    let (connection, closed) = Connection::new(accepted, &shared);
    if connections.send(connection).await.is_ok() {
        // Nothing is ever sent: the sender is dropped with the connection.
        let _dropped = closed.await;
    }
}

/// Returns when a connection may be closed, or has to be because its client does not read.
async fn closed_if_unread(unread: Arc<Unread>, shared: Arc<Shared>, closable: impl Future<Output = ()>) {
    tokio::select! {
        () = closable => {}
        () = unread.lasts(shared.unread_max) => count(&shared.counters.unread),
    }
}

/// Returns when a connection may be closed.
async fn closable(slot: SlotUse, mut draining: Draining, in_flight: InFlight) {
    let closing_max = must_close(&slot, &mut draining).await;
    // A client that goes on sending does not keep a slot that another needs.
    let _is_over = time::timeout(closing_max, in_flight.quiet()).await;
}

impl Connected for Connection {
    type ConnectInfo = Arc<Client>;

    fn connect_info(&self) -> Arc<Client> {
        Arc::clone(&self.client)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Looked at first: a client that always has something to send would be read for ever.
        if let Poll::Ready(closed) = self.unless_closed(context) {
            return Poll::Ready(closed);
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.preface.note_received(buffer.filled().len().saturating_sub(before));
            self.client.in_flight.note_received();
            return read;
        }
        if self.preface.poll_overdue(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
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
        let done = Pin::new(&mut self.stream).poll_flush(context);
        self.judge_sent(context, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judge_sent(context, done)
    }
}
