//! Binding what listens on TCP: from configured addresses to sockets. The DNS door binds its own pairs.
//!
//! Sockets that systemd passes (LISTEN_FDS) are not taken: that needs unsafe code; port 53 comes by capability.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use super::error::DaemonError;

/// Connections that wait to be accepted at most, at one listener.
const BACKLOG: i32 = 1_024;
/// Listens for TCP connections on every address; each with the address that it is bound to.
pub(super) fn listen(
    key: &'static str,
    addresses: &[SocketAddr],
) -> Result<Vec<(SocketAddr, TcpListener)>, DaemonError> {
    addresses.iter().map(|address| tcp(key, *address)).collect()
}

fn tcp(key: &'static str, address: SocketAddr) -> Result<(SocketAddr, TcpListener), DaemonError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            // "[::]" and "0.0.0.0" are listed side by side, each for its own family.
            socket.set_only_v6(true)?;
        }
        // A restart must not wait for the last minute's connections to be forgotten.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        Ok((listener.local_addr()?, listener))
    };
    let opened: io::Result<_> = open();
    let address = address.to_string();
    opened.map_err(|source| DaemonError::Bind { key, address, transport: "TCP", source })
}

#[cfg(test)]
mod tests {
    use super::listen;

    #[tokio::test]
    async fn a_port_in_use_names_the_key_to_change() {
        let any = ["127.0.0.1:0".parse().expect("an address")];
        let first = listen("http.listen", &any).expect("bound");
        let (taken, _) = first[0];
        let error = listen("http.listen", &[taken]).expect_err("taken");
        let expected = format!(
            "cannot listen on {taken} (TCP): another program listens there; stop it, or change http.listen \
             (also: --set http.listen=ADDRESS:PORT)"
        );
        assert_eq!(error.to_string(), expected);
    }
}
