//! Sockets that this process inherited: a service manager which binds them itself passes them by number (sd_listen_fds(3)),
//! so that a port below 1024 needs no capability and connections wait while the node restarts.
//!
//! A listener takes the inherited socket that is bound to its configured address, and binds one itself when there is none.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use listenfd::ListenFd;

/// The sockets that no listener has taken yet. They belong to the process, as the environment that names them does.
static INHERITED: LazyLock<Mutex<Inherited>> = LazyLock::new(|| Mutex::new(Inherited::from_environment()));

#[derive(Debug, Default)]
struct Inherited {
    streams: Vec<(SocketAddr, TcpListener)>,
    datagrams: Vec<(SocketAddr, UdpSocket)>,
}

impl Inherited {
    fn from_environment() -> Self {
        let mut descriptors = ListenFd::from_env();
        let mut inherited = Self::default();
        for position in 0..descriptors.len() {
            // A descriptor that is a socket of another kind is an error, and stays for the next question.
            if let Ok(Some(listener)) = descriptors.take_tcp_listener(position) {
                inherited.streams.extend(listener.local_addr().ok().map(|address| (address, listener)));
            } else if let Ok(Some(socket)) = descriptors.take_udp_socket(position) {
                inherited.datagrams.extend(socket.local_addr().ok().map(|address| (address, socket)));
            } else {
                tracing::warn!(position, "an inherited descriptor is neither a TCP nor a UDP socket");
            }
        }
        inherited
    }
}

fn inherited() -> MutexGuard<'static, Inherited> {
    INHERITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the inherited listener of this address.
pub(super) fn take_stream(address: SocketAddr) -> Option<TcpListener> {
    take(&mut inherited().streams, address)
}

/// Takes the inherited socket for datagrams of this address.
pub(super) fn take_datagrams(address: SocketAddr) -> Option<UdpSocket> {
    take(&mut inherited().datagrams, address)
}

fn take<T>(sockets: &mut Vec<(SocketAddr, T)>, address: SocketAddr) -> Option<T> {
    let position = sockets.iter().position(|(bound, _)| *bound == address)?;
    Some(sockets.swap_remove(position).1)
}

/// Addresses of inherited sockets that no listener has taken: no configured address is theirs.
pub fn unused() -> Vec<SocketAddr> {
    let inherited = inherited();
    let streams = inherited.streams.iter().map(|(address, _)| *address);
    streams.chain(inherited.datagrams.iter().map(|(address, _)| *address)).collect()
}
