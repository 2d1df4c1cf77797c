//! What one source takes from others, and how the loop ends.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{Accepted, Reception, ReceptionOptions, Security};
use crate::front::listen::drain::Drain;
use crate::front::listen::slots::ConnectionLimits;

/// How long a test waits for what must come.
const WAIT_MAX: Duration = Duration::from_secs(60);

fn reception(limits: ConnectionLimits) -> Reception {
    patient_reception(limits, WAIT_MAX)
}

fn patient_reception(limits: ConnectionLimits, first_byte_max: Duration) -> Reception {
    Reception::new(ReceptionOptions {
        front_end: "test",
        security: Security::Plain,
        limits,
        reserved: 0,
        first_byte_max,
    })
}

/// Sends back the first byte, then waits for the client to close.
async fn echo(accepted: Accepted) {
    let Accepted { mut stream, slot, mut draining, .. } = accepted;
    let mut byte = [0];
    if stream.read_exact(&mut byte).await.is_ok() && stream.write_all(&byte).await.is_ok() {
        tokio::select! {
            () = draining.begins() => {}
            () = slot.evicted() => {}
            _end = stream.read(&mut byte) => {}
        }
    }
}

async fn connect(from: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, from)), 0)).expect("bound");
    socket.connect(to).await.expect("connected")
}

/// Whether a connection is served.
async fn is_served(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    let sent = stream.write_all(b"a").await;
    let read = timeout(WAIT_MAX, stream.read(&mut byte)).await.expect("an answer or the end");
    sent.is_ok() && matches!(read, Ok(1))
}

#[tokio::test]
async fn a_source_beyond_its_quota_is_closed_and_others_are_served() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let reception = reception(ConnectionLimits::new(4, 2));
    let (counters, drain) = (reception.counters(), Drain::new());
    let serving = tokio::spawn(reception.serve(listener, drain.draining(), echo));
    let mut first = connect(1, address).await;
    let mut second = connect(1, address).await;
    assert!(is_served(&mut first).await && is_served(&mut second).await);
    let mut third = connect(1, address).await;
    assert!(!is_served(&mut third).await, "the third connection of one source is served");
    let mut other = connect(2, address).await;
    assert!(is_served(&mut other).await, "another source is not served");
    assert_eq!(counters.refused(), [("total", 0), ("source", 1), ("handshakes", 0)]);
    assert_eq!(counters.open(), 3);

    drain.run().await;
    serving.await.expect("the loop ends with its connections");
    assert_eq!(counters.open(), 0);
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn a_connection_that_never_begins_to_speak_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let reception = patient_reception(ConnectionLimits::new(4, 4), Duration::from_millis(10));
    let (counters, drain) = (reception.counters(), Drain::new());
    let serving = tokio::spawn(reception.serve(listener, drain.draining(), echo));
    let mut silent = connect(1, address).await;
    let read = timeout(WAIT_MAX, silent.read(&mut [0])).await.expect("closed");
    assert!(matches!(read, Ok(0)), "{read:?}");
    drain.run().await;
    serving.await.expect("the loop ends with its connections");
    assert_eq!(counters.outcomes()[2], ("handshake_failed", 1));
}

#[tokio::test]
async fn dropping_the_loop_closes_its_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let drain = Drain::new();
    let serving =
        tokio::spawn(reception(ConnectionLimits::new(4, 4)).serve(listener, drain.draining(), echo));
    let mut open = connect(1, address).await;
    assert!(is_served(&mut open).await);
    serving.abort();
    let mut rest = Vec::new();
    timeout(WAIT_MAX, open.read_to_end(&mut rest)).await.expect("closed").expect("in order");
}
