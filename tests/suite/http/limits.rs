//! What a client may cost: bodies, heads, silence, and JSON that means harm.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use super::front_end::{FrontEnd, Reply};

const PATH: &str = "/api/handles/88.118.8/SN1";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_bounded_whether_or_not_it_says_its_length() {
    let front_end = FrontEnd::open().await;
    let client = front_end.tls().bearer(&front_end.token());
    let large = json!([{"index": 1, "type": "X", "data": "x".repeat(3_000_000)}]);
    assert_eq!(client.put(PATH, large).await.verdict(), (413, 4));
    let record = json!([{"index": 1, "type": "X", "data": "x".repeat(250_000)}]);
    assert_eq!(client.put(PATH, record).await.verdict(), (400, 202));
    let most = json!([{"index": 1, "type": "X", "data": "\u{1}".repeat(239_000)}]);
    assert_eq!(client.put(PATH, most).await.verdict(), (201, 1), "escapes make its text six times as long");

    let head = format!(
        "PUT {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
        Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        front_end.token()
    );
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    let request = [head, chunk.repeat(3), "0\r\n\r\n".to_owned()].concat();
    assert_eq!(Reply::parse(&front_end.plain().send(request.as_bytes()).await).verdict(), (413, 4));
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_is_bounded() {
    let front_end = FrontEnd::open().await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let reply = Reply::parse(&front_end.plain().send(long.as_bytes()).await);
    assert!(matches!(reply.status, 414 | 431), "{reply:?}");
    let many = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(1_000));
    assert_eq!(Reply::parse(&front_end.plain().send(many.as_bytes()).await).status, 431);
    assert_eq!(front_end.plain().get("/healthz").await.status, 200);
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_that_means_harm_is_refused() {
    let front_end = FrontEnd::open().await;
    let client = front_end.tls().bearer(&front_end.token());
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [
        deep.as_str(),
        "[{\"index\": 1e999, \"type\": \"X\", \"data\": \"x\"}]",
        "[{\"index\": 99999999999999999999999999, \"type\": \"X\", \"data\": \"x\"}]",
        "[{\"index\": 1, \"type\": \"X\", \"data\": \"x\"}",
        "[{\"index\": 1, \"type\": \"X\", \"data\": \"\\ud800\"}]",
        "\u{feff}[]",
        "",
    ] {
        let reply = client.ask("PUT", PATH, Some(body.as_bytes())).await;
        assert_eq!(reply.verdict(), (400, 4), "{}", body.chars().take(60).collect::<String>());
    }
    let bytes = client.ask("PUT", PATH, Some(b"[{\"index\": 1, \"type\": \"X\", \"data\": \"\xff\"}]")).await;
    assert_eq!(bytes.verdict(), (400, 4));
    assert_eq!(client.get(PATH).await.verdict(), (404, 100));
    front_end.close().await;
}

/// A connection that says nothing, half a request or half a body is closed; others are served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_let_go() {
    // Long enough for the one in between to say its request, however busy the machine is.
    let front_end = FrontEnd::open_with(|config| config.http.idle_seconds = 5).await;
    let half_body = format!(
        "PUT {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
        Content-Length: 100\r\n\r\n["
    );
    let beginnings = ["", "GET /healthz HT", half_body.as_str(), "\u{16}\u{3}\u{1}"];
    let mut open = Vec::new();
    for beginning in beginnings {
        let mut stream = TcpStream::connect(front_end.address()).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a deadline");
        stream.write_all(beginning.as_bytes()).expect("sent");
        open.push((beginning, stream));
    }
    assert_eq!(front_end.plain().get("/healthz").await.status, 200);
    for (beginning, mut stream) in open {
        let mut rest = Vec::new();
        // Closed in order, or reset: either way it ends within the deadline.
        let ended = stream.read_to_end(&mut rest);
        let waited = ended.err().map(|error| error.kind());
        assert_ne!(waited, Some(std::io::ErrorKind::WouldBlock), "{beginning:?} is still open");
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{beginning:?} was answered");
    }
    front_end.close().await;
}
