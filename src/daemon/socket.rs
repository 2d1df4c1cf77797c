//! Binding the listeners of front ends that speak over TCP alone, with errors that name the key to change.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::error::DaemonError;
use crate::front::listen::bind::bind_stream;

/// Listens for TCP connections on every address; each listener with the address that it is bound to.
pub(super) fn listen(
    key: &'static str,
    addresses: &[SocketAddr],
) -> Result<Vec<(SocketAddr, TcpListener)>, DaemonError> {
    let bind = |address: &SocketAddr| {
        bind_stream(*address).map_err(|source| {
            let address = address.to_string();
            DaemonError::Bind { key, address, transport: "TCP", source }
        })
    };
    addresses.iter().map(bind).collect()
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
