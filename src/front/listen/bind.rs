//! Sockets of doors that listen over UDP and TCP on one port: bound, received from, sent to.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Connections that wait to be accepted, by the system's measure.
const BACKLOG: i32 = 1_024;
/// Bytes of datagrams that the system keeps for us in a burst.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Tries at finding a port that is free over UDP and TCP.
const PORT_TRIES_MAX: usize = 32;

/// Binds both transports to one address. For port 0 the system chooses a port over TCP that may be taken over UDP.
pub(in crate::front) fn bind_both(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        let connections = bind_tcp(address)?;
        match bind_udp(connections.local_addr()?) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && address.port() == 0
                    && tries < PORT_TRIES_MAX =>
            {
                tries += 1;
            }
            bound => return bound.map(|datagrams| (datagrams, connections)),
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    // A restart must not wait for the last minute's connections to be forgotten.
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it. Answers are written whole: waiting to fill a segment would only delay them.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    // The system may grant less; a burst then loses more, and no more is at stake.
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES) {
        tracing::debug!(%error, %address, "the receive buffer of datagrams stays at the system's size");
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket.into())
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // "[::]" and "0.0.0.0" are listed side by side, each for its own family.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}
