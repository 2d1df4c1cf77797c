//! What threads do with datagrams: answers at once and later, their bound, the drain, and panics.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::timeout;

use super::{Datagram, DatagramSocket, DatagramThreads, WAITING_MAX};
use crate::front::listen::drain::Drain;

/// Far longer than any step takes, so that a failure shows instead of hanging.
const DEADLINE: Duration = Duration::from_secs(20);

fn bound() -> (Arc<DatagramSocket>, SocketAddr) {
    let socket = DatagramSocket::new(UdpSocket::bind("127.0.0.1:0").expect("a socket")).expect("a socket");
    let address = socket.local_addr().expect("bound");
    (Arc::new(socket), address)
}

fn client(server: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    client.connect(server).expect("connected");
    client.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    client
}

fn receive(client: &UdpSocket) -> Vec<u8> {
    let mut bytes = [0; 64];
    let length = client.recv(&mut bytes).expect("an answer");
    bytes.get(..length).expect("within").to_vec()
}

/// The runtime has one thread, and the test holds it: the answers come all the same.
#[tokio::test]
async fn answers_that_need_no_waiting_need_no_runtime() {
    let (socket, address) = bound();
    let drain = Drain::new();
    let echo = Arc::clone(&socket);
    let answer = move |datagrams: Vec<Datagram>| {
        let socket = Arc::clone(&echo);
        async move {
            for datagram in datagrams {
                socket.send(datagram.client, datagram.own, &datagram.bytes).await.expect("sent");
            }
        }
    };
    let threads = DatagramThreads::start("test-udp", socket, &drain.draining(), answer).expect("threads");
    let client = client(address);
    for text in ["one", "two", "three"] {
        client.send(text.as_bytes()).expect("sent");
        assert_eq!(receive(&client), text.as_bytes());
    }
    drop(threads);
    timeout(DEADLINE, drain.run()).await.expect("nothing is held any more");
}

/// More batches than may wait: the threads pause, and go on when the first ones are answered.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_wait_are_bounded_and_none_is_lost() {
    let (socket, address) = bound();
    let drain = Drain::new();
    let store = Arc::new(Semaphore::new(0));
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (echo, waits) = (Arc::clone(&socket), Arc::clone(&store));
    let answer = move |datagrams: Vec<Datagram>| {
        let (socket, store, arrived) = (Arc::clone(&echo), Arc::clone(&waits), arrived.clone());
        async move {
            arrived.send(()).expect("counted");
            store.acquire().await.expect("open").forget();
            for datagram in datagrams {
                socket.send(datagram.client, datagram.own, &datagram.bytes).await.expect("sent");
            }
        }
    };
    let threads = DatagramThreads::start("test-udp", socket, &drain.draining(), answer).expect("threads");
    let count = threads.threads.len();
    let client = client(address);
    // Each is seen before the next is sent, so that each is a batch of its own; then the threads wait, too.
    for number in 0..WAITING_MAX + count {
        client.send(&[u8::try_from(number).expect("small")]).expect("sent");
        timeout(DEADLINE, arrivals.recv()).await.expect("in time").expect("it arrived");
    }
    client.send(&[99]).expect("sent");
    assert!(arrivals.try_recv().is_err(), "more batches wait than may");
    store.add_permits(1_000);
    let mut answered: Vec<u8> = (0..=WAITING_MAX + count).flat_map(|_| receive(&client)).collect();
    answered.sort_unstable();
    let expected: Vec<u8> =
        (0..WAITING_MAX + count).map(|number| u8::try_from(number).expect("small")).chain([99]).collect();
    assert_eq!(answered, expected);
    drop(threads);
    timeout(DEADLINE, drain.run()).await.expect("nothing is held any more");
}

/// What was received before the end is answered, and the drain waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn the_drain_waits_for_what_was_received() {
    let (socket, address) = bound();
    let drain = Drain::new();
    let (begun, held, answered) =
        (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let shared = (Arc::clone(&begun), Arc::clone(&held), Arc::clone(&answered));
    let answer = move |_: Vec<Datagram>| {
        let (begun, held, answered) = shared.clone();
        async move {
            begun.notify_one();
            held.notified().await;
            answered.store(true, Ordering::SeqCst);
        }
    };
    let threads = DatagramThreads::start("test-udp", socket, &drain.draining(), answer).expect("threads");
    client(address).send(b"x").expect("sent");
    timeout(DEADLINE, begun.notified()).await.expect("it was received");
    drop(threads);
    held.notify_one();
    timeout(DEADLINE, drain.run()).await.expect("it was answered");
    assert!(answered.load(Ordering::SeqCst));
}

/// A batch that panics takes no thread with it.
#[tokio::test]
async fn a_panic_costs_its_batch_alone() {
    let (socket, address) = bound();
    let drain = Drain::new();
    let echo = Arc::clone(&socket);
    let answer = move |datagrams: Vec<Datagram>| {
        let socket = Arc::clone(&echo);
        async move {
            for datagram in datagrams {
                assert_ne!(&datagram.bytes[..], b"panic", "as this test wants it");
                socket.send(datagram.client, datagram.own, &datagram.bytes).await.expect("sent");
            }
        }
    };
    let _threads = DatagramThreads::start("test-udp", socket, &drain.draining(), answer).expect("threads");
    let (bad, good) = (client(address), client(address));
    for _ in 0..8 {
        bad.send(b"panic").expect("sent");
    }
    good.set_read_timeout(Some(Duration::from_millis(200))).expect("a deadline");
    let mut bytes = [0; 64];
    let deadline = std::time::Instant::now() + DEADLINE;
    // A datagram of the same batch is lost with it, as any datagram may be.
    while good.send(b"fine").and_then(|_| good.recv(&mut bytes)).is_err() {
        assert!(std::time::Instant::now() < deadline, "nobody answers any more");
    }
    assert_eq!(&bytes[..4], b"fine");
}
