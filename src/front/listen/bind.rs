//! Binding sockets: TCP alone, or UDP and TCP on one port.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::inherited;

/// Connections that wait to be accepted at most, at one listener.
const BACKLOG: i32 = 1_024;
/// Bytes of datagrams that the system queues in a burst.
const RECEIVE_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Tries at finding a port that is free over UDP and TCP.
const PORT_TRIES_MAX: usize = 32;

/// Binds a listener of TCP connections; returns it with the address that it is bound to.
pub fn bind_stream(address: SocketAddr) -> io::Result<(SocketAddr, tokio::net::TcpListener)> {
    let listener = tokio::net::TcpListener::from_std(bind_tcp(address)?)?;
    Ok((listener.local_addr()?, listener))
}

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
    if let Some(listener) = inherited::take_stream(address) {
        listener.set_nonblocking(true)?;
        return Ok(listener);
    }
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    // A restart must not wait until the system has forgotten the connections of the last minute.
    socket.set_reuse_address(true)?;
    // Accepted connections inherit it. Answers are written whole: waiting to fill a segment would only delay them.
    socket.set_tcp_nodelay(true)?;
    bind(&socket, address)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    if let Some(socket) = inherited::take_datagrams(address) {
        socket.set_nonblocking(true)?;
        return Ok(socket);
    }
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    // The system may grant less; then more datagrams of a burst are lost, which is acceptable.
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES) {
        tracing::debug!(%error, %address, "the receive buffer of datagrams stays at the system's size");
    }
    bind(&socket, address)?;
    Ok(socket.into())
}

/// Binds a socket. An address that no interface has yet, as may be at boot, is bound all the same and works once it appears.
fn bind(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match socket.bind(&SockAddr::from(address)) {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            tracing::warn!(%address, "no interface has this address yet; the listener works once an interface has it");
            if address.is_ipv6() {
                socket.set_freebind_v6(true)?;
            } else {
                socket.set_freebind_v4(true)?;
            }
            socket.bind(&SockAddr::from(address))
        }
        bound => bound,
    }
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

#[cfg(test)]
mod tests {
    use super::bind_both;

    #[test]
    fn an_address_that_is_not_there_yet_is_bound() {
        // RFC 5737 section 3: no interface has an address of a network for documentation.
        let (datagrams, connections) = bind_both("192.0.2.7:0".parse().expect("an address")).expect("bound");
        assert_eq!(datagrams.local_addr().expect("bound"), connections.local_addr().expect("bound"));
    }
}
