//! Clients of the doors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long a client waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Asks the HTTP door at `url` (`http://address`) for a path; status and body.
pub(crate) fn http_get(url: &str, path: &str) -> (u16, String) {
    let address = url.strip_prefix("http://").expect("an http URL");
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a deadline");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}
