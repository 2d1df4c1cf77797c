//! Datagrams: many a system call in, each answer out from the address that was asked.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Bytes of one receive buffer: the kernel may put several datagrams of one sender into it.
const BUFFER_BYTES: usize = 65_535;

/// A bound socket and what its system can do.
#[derive(Debug)]
pub(in crate::front) struct Datagrams {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// A datagram received: its bytes, whence, and at which of our addresses.
#[derive(Debug)]
pub(in crate::front) struct Datagram {
    /// What it holds.
    pub(in crate::front) bytes: Bytes,
    /// Who sent it.
    pub(in crate::front) asker: SocketAddr,
    /// Where it came to, when the system tells.
    pub(in crate::front) own: Option<IpAddr>,
}

impl Datagrams {
    /// Takes a bound socket.
    pub(in crate::front) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Self { socket: UdpSocket::from_std(socket)?, state })
    }

    /// Where it is bound.
    pub(in crate::front) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Buffers for one task that receives.
    pub(in crate::front) fn buffers() -> Vec<Vec<u8>> {
        vec![vec![0; BUFFER_BYTES]; BATCH_SIZE]
    }

    /// Receives what is there, and waits when nothing is. Safe to drop.
    pub(in crate::front) async fn receive(&self, buffers: &mut [Vec<u8>]) -> io::Result<Vec<Datagram>> {
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

    /// Sends one datagram, from one of our addresses when it is said which.
    pub(in crate::front) async fn send(
        &self,
        to: SocketAddr,
        own: Option<IpAddr>,
        contents: &[u8],
    ) -> io::Result<()> {
        let transmit = Transmit { destination: to, ecn: None, contents, segment_size: None, src_ip: own };
        loop {
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
            });
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
        let mut rest = Bytes::copy_from_slice(buffer.get(..meta.len).unwrap_or_default());
        let stride = meta.stride.max(1);
        while !rest.is_empty() {
            let bytes = rest.split_to(stride.min(rest.len()));
            datagrams.push(Datagram { bytes, asker: meta.addr, own: meta.dst_ip });
        }
    }
    datagrams
}
