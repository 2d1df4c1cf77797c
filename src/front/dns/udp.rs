//! Datagrams: many a system call in, each answer out from the address that was asked.
//!
//! Several tasks share one socket; each takes up to 32 buffers at once, answers them as one batch, and goes back.
//! Each datagram of a burst is answered or counted.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::watch;

use super::answer::{Answerer, Received};
use super::counters::count;
use super::drains;
use super::request::Transport;

/// Bytes of one receive buffer: the kernel may put several datagrams of one sender into it.
const BUFFER_BYTES: usize = 65_535;
/// Questions that are answered as one batch at most.
const BATCH_QUESTIONS_MAX: usize = 256;

//----------- UdpSide --------------------------------------------------------

/// A bound socket and what its system can do.
#[derive(Debug)]
pub(super) struct UdpSide {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// A datagram received: its bytes, whence, and at which of our addresses.
struct Datagram {
    bytes: Vec<u8>,
    asker: SocketAddr,
    own: Option<IpAddr>,
}

impl Datagram {
    fn received(&self) -> Received<'_> {
        Received { bytes: &self.bytes, asker: self.asker.ip() }
    }
}

impl UdpSide {
    /// Takes a bound socket.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Self { socket: UdpSocket::from_std(socket)?, state })
    }

    /// Answers datagrams until the drain begins; what was received by then is answered.
    pub(super) async fn serve(self: Arc<Self>, answerer: Arc<Answerer>, mut drain: watch::Receiver<bool>) {
        let mut buffers = vec![vec![0_u8; BUFFER_BYTES]; BATCH_SIZE];
        loop {
            let datagrams = tokio::select! {
                biased;
                () = drains(&mut drain) => return,
                received = self.receive(&mut buffers) => match received {
                    Ok(datagrams) => datagrams,
                    // An asker that went away shows up as an error of our socket; the next read is unharmed.
                    Err(error) => {
                        tracing::debug!(%error, "receiving datagrams failed");
                        tokio::task::yield_now().await;
                        continue;
                    }
                },
            };
            for batch in datagrams.chunks(BATCH_QUESTIONS_MAX) {
                self.answer(&answerer, batch).await;
            }
        }
    }

    async fn receive(&self, buffers: &mut [Vec<u8>]) -> io::Result<Vec<Datagram>> {
        loop {
            self.socket.readable().await?;
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let received = self.socket.try_io(Interest::READABLE, || {
                let mut slices: Vec<IoSliceMut<'_>> =
                    buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
                self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas)
            });
            match received {
                Ok(count) => return Ok(split(buffers, metas.get(..count).unwrap_or_default())),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn answer(&self, answerer: &Answerer, batch: &[Datagram]) {
        let messages: Vec<Received<'_>> = batch.iter().map(Datagram::received).collect();
        let answers = answerer.answer_batch(&messages, Transport::Udp).await;
        for (datagram, answer) in batch.iter().zip(answers) {
            let Some(contents) = answer else { continue };
            let transmit = Transmit {
                destination: datagram.asker,
                ecn: None,
                contents: &contents,
                segment_size: None,
                src_ip: datagram.own,
            };
            if let Err(error) = self.send(&transmit).await {
                count(&answerer.counters().unsent);
                tracing::debug!(%error, "sending an answer failed");
            }
        }
    }

    async fn send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        loop {
            let sent = self
                .socket
                .try_io(Interest::WRITABLE, || self.state.try_send(UdpSockRef::from(&self.socket), transmit));
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.socket.writable().await?,
                done => return done,
            }
        }
    }
}

/// Takes the datagrams out of the buffers that were filled.
fn split(buffers: &[Vec<u8>], metas: &[RecvMeta]) -> Vec<Datagram> {
    let mut datagrams = Vec::with_capacity(metas.len());
    for (buffer, meta) in buffers.iter().zip(metas) {
        let filled = buffer.get(..meta.len).unwrap_or_default();
        for bytes in filled.chunks(meta.stride.max(1)) {
            datagrams.push(Datagram { bytes: bytes.to_vec(), asker: meta.addr, own: meta.dst_ip });
        }
    }
    datagrams
}
