//! Datagrams: many received in one system call, each answer sent from the address that was asked.
//!
//! A [`DatagramSocket`] belongs to no runtime: the [`threads`] of a front end receive from it and wait for it by poll(2).
//! Answers are sent by whoever made them, a receiving thread or a task that had to wait for the store.

pub(in crate::front) mod threads;

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use bytes::Bytes;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::time;

/// Bytes of one receive buffer: the kernel may put several datagrams of one sender into it.
const BUFFER_BYTES: usize = 65_535;
/// How long a datagram waits before it is offered again to a full send buffer, and how often it is.
const SEND_PAUSE: Duration = Duration::from_millis(1);
const SEND_TRIES_MAX: u32 = 500;

/// A bound socket and what its system can do.
#[derive(Debug)]
pub(in crate::front) struct DatagramSocket {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// A datagram received.
#[derive(Debug)]
pub(in crate::front) struct Datagram {
    /// Payload of the datagram.
    pub(in crate::front) bytes: Bytes,
    /// Address and port that the datagram came from.
    pub(in crate::front) client: SocketAddr,
    /// Local address that the datagram was sent to, when the system reports it.
    pub(in crate::front) own: Option<IpAddr>,
}

impl DatagramSocket {
    /// Takes a bound socket.
    pub(in crate::front) fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        Ok(Self { socket, state })
    }

    /// The address that it is bound to.
    pub(in crate::front) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Receive buffers for one thread.
    fn buffers() -> Vec<Vec<u8>> {
        vec![vec![0; BUFFER_BYTES]; BATCH_SIZE]
    }

    /// Receives what has arrived; `WouldBlock` when nothing has.
    fn receive(&self, buffers: &mut [Vec<u8>]) -> io::Result<Vec<Datagram>> {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut slices: Vec<IoSliceMut<'_>> =
            buffers.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
        let count = self.state.recv(UdpSockRef::from(&self.socket), &mut slices, &mut metas)?;
        Ok(split(buffers, metas.get(..count).unwrap_or_default()))
    }

    /// Sends one datagram, from one of our addresses when it is known which. Ready at once unless the system's send
    /// buffer is full; then it waits for half a second at most.
    pub(in crate::front) async fn send(
        &self,
        client: SocketAddr,
        own: Option<IpAddr>,
        contents: &[u8],
    ) -> io::Result<()> {
        let transmit = Transmit { destination: client, ecn: None, contents, segment_size: None, src_ip: own };
        let mut tries = 0;
        loop {
            match self.state.try_send(UdpSockRef::from(&self.socket), &transmit) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < SEND_TRIES_MAX => {
                    tries += 1;
                    time::sleep(SEND_PAUSE).await;
                }
                sent => return sent,
            }
        }
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
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
            datagrams.push(Datagram { bytes, client: meta.addr, own: meta.dst_ip });
        }
    }
    datagrams
}
