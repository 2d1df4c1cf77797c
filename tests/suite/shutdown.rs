//! The life of a node: one process a directory, ordered stops, signals, kills.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use idnode::config::Config;
use idnode::daemon::{Addresses, DaemonError, Node};
use idnode::store::EngineKind;

use crate::support::clients::http_get;
use crate::support::eventually::eventually;
use crate::support::node::{NodeProcess, TestNode, admin_token, config, program, serve_and_end};
use crate::support::tree::own_address;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_again_where_it_stopped_on_both_engines() {
    for engine in EngineKind::ALL {
        // Nobody else listens at this address: once left, its port stays without a listener.
        let own = SocketAddr::new(own_address().into(), 0);
        let node = TestNode::start_with(engine, |config| config.http.listen = vec![own]).await;
        let first_front_end = node.http().trim_start_matches("http://").to_owned();
        assert_eq!(http_get(node.http(), "/readyz"), (200, "{\"status\":\"ready\"}\n".into()));
        let before = node.node().store().head();
        let node = node.restart().await;
        assert_eq!(node.node().store().head(), before, "{engine}");
        assert!(TcpStream::connect(first_front_end).is_err(), "the front end is still open");
        let directory = node.stop().await;
        assert_eq!(Addresses::load(&directory.path().join("data")), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_serves_one_node_at_a_time() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let again = config(node.node().data_dir(), EngineKind::Fjall);
    match Node::start(again).await {
        Err(DaemonError::Locked { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
        Err(other) => panic!("refused for another reason: {other}"),
        Ok(_) => panic!("started twice"),
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_leaves_nothing_behind() {
    let first = TestNode::start(EngineKind::Fjall).await;
    let directory = tempfile::tempdir().expect("a directory");
    let good = config(directory.path(), EngineKind::Fjall);
    let mut taken: Config = good.clone();
    taken.http.listen = first.node().http_addr().into_iter().collect();
    match Node::start(taken).await {
        Err(DaemonError::Bind { key, .. }) => assert_eq!(key, "http.listen"),
        Err(other) => panic!("refused for another reason: {other}"),
        Ok(_) => panic!("listens on a port in use"),
    }
    Node::start(good).await.expect("lock and store were released").stop().await.expect("the node stops");
    first.stop().await;
}

#[test]
fn a_second_process_learns_which_one_holds_the_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    let output = serve_and_end(directory.path(), &[]);
    assert_eq!(output.status.code(), Some(75));
    let expected = format!(
        "idnode: data directory {} is in use by process {}; stop that one, or give this one a directory of its own \
         with --data or store.directory\n",
        directory.path().display(),
        node.addresses.process
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    assert_eq!(http_get(node.http(), "/healthz").0, 200, "the first one was disturbed");
}

#[test]
fn sigterm_drains_and_ends_well() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &[]);
    node.signal("TERM");
    let (status, greeting, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(greeting.contains("88.118.8/SN000123 URL=https://example.com/product/123"), "{greeting}");
    assert!(log.contains("listening front_end=\"HTTP\" door=\"HTTP\" address=127.0.0.1:"), "{log}");
    assert!(log.trim_end().ends_with("stopped"), "{log}");
    assert_eq!(Addresses::load(directory.path()), None);
}

/// What came in only by half is not waited for, however long the grace period is.
#[test]
fn half_requests_and_silent_connections_do_not_hold_the_stop() {
    let directory = tempfile::tempdir().expect("a directory");
    // Nor is it let go by the bound of silence meanwhile.
    let settings = ["--set", "shutdown.grace_seconds=3600", "--set", "http.idle_seconds=3600"];
    let node = NodeProcess::start(directory.path(), &settings);
    let native =
        "POST / HTTP/1.1\r\nContent-Type: application/x-hdl-message\r\nContent-Length: 9\r\n\r\nhalf";
    let said = [
        (node.http(), ""),
        (node.http(), "GET /healthz HT"),
        (node.http(), native),
        (node.grpc(), ""),
        (node.grpc(), "PRI * HTTP/2.0"),
        (node.grpc(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0"),
    ];
    let open = said.map(|(front_end, said)| {
        let address = front_end.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.write_all(said.as_bytes()).expect("sent");
        let (near, far) = (stream.local_addr().expect("bound"), stream.peer_addr().expect("connected"));
        eventually("the node has read it", || is_read(near.port(), far.port()).then_some(()));
        stream
    });
    node.signal("TERM");
    let (status, _, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.trim_end().ends_with("stopped"), "{log}");
    drop(open);
}

/// Clients that send PING frames without pause, and read the answers, ask nothing: they are not waited for.
#[test]
fn clients_that_only_ping_do_not_hold_the_stop() {
    let directory = tempfile::tempdir().expect("a directory");
    let node = NodeProcess::start(directory.path(), &["--set", "shutdown.grace_seconds=3600"]);
    let pinging = [node.http(), node.grpc()].map(|front_end| {
        let address = front_end.trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).expect("connected");
        // The preface, an empty SETTINGS frame, and PING frames (RFC 9113 sections 3.4, 6.5, 6.7).
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").expect("sent");
        let mut answers = stream.try_clone().expect("a second handle");
        let (begun, has_begun) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 16 * 1_024];
            while answers.read(&mut buffer).is_ok_and(|count| count > 0) {
                // The test may be over.
                let _noted = begun.send(());
            }
        });
        let pings = b"\0\0\x08\x06\0\0\0\0\0 a ping ".repeat(256);
        let pinging = thread::spawn(move || while stream.write_all(&pings).is_ok() {});
        has_begun.recv_timeout(Duration::from_secs(30)).expect("an answer");
        pinging
    });
    node.signal("TERM");
    let (status, _, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.trim_end().ends_with("stopped"), "{log}");
    for pinging in pinging {
        pinging.join().expect("it has ended");
    }
}

/// A question is passed on to a node that takes the connection and says nothing.
#[test]
fn the_grace_period_bounds_what_hangs() {
    let directory = tempfile::tempdir().expect("a directory");
    let silent = TcpListener::bind("127.0.0.1:0").expect("bound");
    silent.set_nonblocking(true).expect("set");
    let port = silent.local_addr().expect("bound").port().to_string();
    let settings = ["shutdown.grace_seconds=1", "recursion.allowed=true", "recursion.deadline_seconds=60"];
    let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let node = NodeProcess::start(directory.path(), &arguments);
    let connection = ["--node", node.grpc(), "--token", &admin_token(node.data())];
    let delegate = ["prefix", "delegate", "88.118.9", "--address", "127.0.0.1", "--grpc", &port];
    let delegated = program(&[&delegate[..], &connection].concat()).output().expect("a process");
    assert!(delegated.status.success(), "{}", String::from_utf8_lossy(&delegated.stderr));
    let resolve = ["resolve", "88.118.9/a", "--recursive"];
    let mut asking = program(&[&resolve[..], &connection].concat()).spawn().expect("a process");
    let _asked = eventually("the node asks onward", || silent.accept().ok());
    node.signal("TERM");
    let (status, _, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("the grace period is over; requests that are still open are aborted"), "{log}");
    assert!(log.trim_end().ends_with("stopped"), "the store was not closed in order: {log}");
    asking.kill().expect("a child");
    asking.wait().expect("a child");
}

/// Whether what was sent from the near to the far end of a connection on loopback has arrived and been read: the system
/// holds none of it to be sent or to be read (proc_pid_net(5)).
fn is_read(near: u16, far: u16) -> bool {
    // What the near end no longer holds has been acknowledged by the far end: that one is looked at afterwards.
    let is_sent = queues(near, far).is_some_and(|(to_be_sent, _)| to_be_sent == 0);
    is_sent && queues(far, near).is_some_and(|(_, to_be_read)| to_be_read == 0)
}

/// Bytes to be sent and bytes to be read at the end of a connection that has the first port.
fn queues(local: u16, remote: u16) -> Option<(u32, u32)> {
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("the system's sockets");
    sockets.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (one, other) = (fields.next()?, fields.next()?);
        let is_this = one.ends_with(&format!(":{local:04X}")) && other.ends_with(&format!(":{remote:04X}"));
        let (to_be_sent, to_be_read) = fields.nth(1).filter(|_| is_this)?.split_once(':')?;
        let number = |text: &str| u32::from_str_radix(text, 16).ok();
        Some((number(to_be_sent)?, number(to_be_read)?))
    })
}

#[test]
fn sighup_reads_the_log_level_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("idnode.toml");
    std::fs::write(&file, "[log]\nlevel = \"error\"\nformat = \"json\"\n").expect("written");
    let data = directory.path().join("data");
    let node = NodeProcess::start(&data, &["--config", &file.display().to_string()]);
    std::fs::write(&file, "[log]\nlevel = \"loud\"\n").expect("written");
    node.signal("HUP");
    let log =
        eventually("the complaint", || Some(node.log()).filter(|log| log.contains("cannot be reloaded")));
    assert!(log.contains("log.level = \\\"loud\\\" is not valid"), "{log}");
    assert_eq!(http_get(node.http(), "/readyz").0, 200, "the node was disturbed");
    std::fs::write(&file, "[log]\nlevel = \"info\"\n").expect("written");
    node.signal("HUP");
    eventually("lines of information", || {
        node.log().contains("\"message\":\"configuration reloaded\"").then_some(())
    });
    node.signal("TERM");
    let (status, _, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("listening"), "information was written before the level was lowered: {log}");
    assert!(log.lines().all(|line| line.starts_with('{')), "not JSON: {log}");
}

#[test]
fn a_killed_node_starts_again() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = format!("store.engine={engine}");
        let node = NodeProcess::start(directory.path(), &["--set", &engine]);
        let data = node.data().to_owned();
        node.kill();
        assert!(Addresses::load(&data).is_some(), "a killed node cannot tidy up");
        let node = NodeProcess::start(&data, &["--set", &engine]);
        let ready = eventually("the node is ready", || Some(http_get(node.http(), "/readyz")));
        assert_eq!(ready, (200, "{\"status\":\"ready\"}\n".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_writes_an_admin_token_that_later_starts_keep() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let file = node.node().data_dir().join("admin-token");
    let first = std::fs::read_to_string(&file).expect("a token");
    let caller = node.node().authority().authenticate(first.trim()).expect("the token opens");
    assert!(caller.is_admin());
    let node = node.restart().await;
    assert_eq!(std::fs::read_to_string(&file).expect("a token"), first);
    node.node().authority().authenticate(first.trim()).expect("the token still opens");
    // Taken away by the operator, it is not made again.
    std::fs::remove_file(&file).expect("removed");
    let node = node.restart().await;
    assert!(!file.exists(), "another admin token was made");
    node.stop().await;
}
