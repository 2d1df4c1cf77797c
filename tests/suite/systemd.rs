//! What systemd hears: a node between a service manager's socket and its signals (sd_notify(3)).

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use socket2::SockRef;

use crate::support::clients::http_get;
use crate::support::eventually::eventually;
use crate::support::flood::Flood;
use crate::support::handle::Request;
use crate::support::node::NodeProcess;

/// The node as a service: its messages, one line each.
struct Service {
    node: NodeProcess,
    socket: UnixDatagram,
    heard: Vec<String>,
    _directory: tempfile::TempDir,
}

impl Service {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(more: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a deadline");
        let environment =
            [("NOTIFY_SOCKET", path.to_str().expect("a path in UTF-8")), ("WATCHDOG_USEC", "300000")];
        let environment = [&environment[..], more].concat();
        let node = NodeProcess::start_with(&directory.path().join("data"), &[], &environment);
        Self { node, socket, heard: Vec::new(), _directory: directory }
    }

    /// Waits until a line is heard that begins like this; lines before it are heard, too.
    fn hears(&mut self, beginning: &str) -> String {
        let (socket, heard) = (&self.socket, &mut self.heard);
        eventually(beginning, || {
            if let Some(at) = heard.iter().position(|line| line.starts_with(beginning)) {
                return Some(heard.drain(..=at).next_back().expect("at least this one"));
            }
            let mut datagram = [0; 4_096];
            if let Ok(length) = socket.recv(&mut datagram) {
                let text =
                    String::from_utf8_lossy(datagram.get(..length).expect("within the buffer")).into_owned();
                heard.extend(text.lines().map(str::to_owned));
            }
            None
        })
    }
}

#[test]
fn systemd_hears_of_every_stage_and_the_watchdog_is_fed() {
    let mut service = Service::start();
    assert_eq!(service.hears("EXTEND_TIMEOUT_USEC="), "EXTEND_TIMEOUT_USEC=60000000");
    assert_eq!(service.hears("STATUS="), "STATUS=opening the store");
    // Ready comes after every address is bound: the addresses were written before.
    service.hears("READY=1");
    assert_eq!(service.hears("STATUS="), "STATUS=serving 0 identifiers");
    service.hears("WATCHDOG=1");
    service.hears("WATCHDOG=1");

    service.node.signal("HUP");
    service.hears("RELOADING=1");
    let stated = service.hears("MONOTONIC_USEC=");
    assert_eq!(stated.trim_start_matches("MONOTONIC_USEC=").parse::<u64>().map(|time| time > 0), Ok(true));
    service.hears("READY=1");

    service.node.signal("TERM");
    service.hears("STOPPING=1");
    assert_eq!(service.hears("STATUS="), "STATUS=draining");
    let (status, _, log) = service.node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// The port is bound by this process, so that a node which binds it anew fails.
#[test]
fn a_socket_that_systemd_passes_is_listened_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let bound = TcpListener::bind("127.0.0.1:0").expect("a free port");
    SockRef::from(&bound).set_cloexec(false).expect("a socket");
    let descriptor = bound.as_raw_fd().to_string();
    let listen = format!("http.listen={}", bound.local_addr().expect("bound"));
    let environment = [("LISTEN_FDS", "1"), ("LISTEN_FDS_FIRST_FD", descriptor.as_str())];
    let node = NodeProcess::start_with(directory.path(), &["--set", &listen], &environment);
    drop(bound);
    assert_eq!(http_get(node.http(), "/healthz").0, 200);
    node.kill();
}

#[test]
fn the_watchdog_is_fed_while_datagrams_flood_the_node() {
    let mut service = Service::start_with(&[("TOKIO_WORKER_THREADS", "1")]);
    service.hears("READY=1");
    let handle = *service.node.addresses.handle.first().expect("a Handle address");
    let message = Request::resolve("77.7/x").bytes();
    let flood = Flood::start(&[(service.node.dns(), message.clone()), (handle, message)]);
    flood.sends(10_000);
    service.heard.clear();
    for _ in 0..3 {
        service.hears("WATCHDOG=1");
    }
    assert!(flood.is_running(), "it was fed after the flood only");
}
