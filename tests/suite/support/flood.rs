//! Datagrams sent as fast as one thread can, until the flood is dropped.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::eventually::eventually;

/// How long a flood lasts at most, whatever becomes of its test.
const FLOOD_MAX: Duration = Duration::from_secs(60);

/// A running flood.
pub(crate) struct Flood {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Flood {
    /// Floods each of these addresses with one message, from a thread of its own.
    pub(crate) fn start(targets: &[(SocketAddr, Vec<u8>)]) -> Self {
        let mut flood = Self { stop: Arc::default(), sent: Arc::default(), threads: Vec::new() };
        for (address, message) in targets.iter().cloned() {
            let (stop, sent) = (Arc::clone(&flood.stop), Arc::clone(&flood.sent));
            flood.threads.push(thread::spawn(move || {
                let socket = UdpSocket::bind("127.0.0.9:0").expect("a socket");
                socket.connect(address).expect("connected");
                let deadline = Instant::now() + FLOOD_MAX;
                while !stop.load(Ordering::Relaxed) && Instant::now() < deadline {
                    for _ in 0..64 {
                        // Refused once the node is gone, and lost when its buffer is full.
                        sent.fetch_add(u64::from(socket.send(&message).is_ok()), Ordering::Relaxed);
                    }
                }
            }));
        }
        flood
    }

    /// Waits until so many more datagrams have been sent.
    pub(crate) fn sends(&self, more: u64) {
        let target = self.sent.load(Ordering::Relaxed) + more;
        eventually("the flood goes on", || (self.sent.load(Ordering::Relaxed) >= target).then_some(()));
    }

    /// Whether it still runs: false when it reached its longest time.
    pub(crate) fn is_running(&self) -> bool {
        self.threads.iter().all(|thread| !thread.is_finished())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}
