//! Connections: messages framed by two octets of length, pipelined (RFC 7766).
//!
//! A connection's messages are answered in batches, in the order they came. It is closed when no whole message came
//! for a time, when the asker does not take its answers, and when it sends what is no message. Connections are bounded
//! in all and for each address.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};

use crate::front::listen::drain::Draining;
use crate::front::listen::source::Source;

use super::answer::{Answerer, Received};
use super::counters::count;
use super::request::Transport;

/// Connections open at most.
const CONNECTIONS_MAX: usize = 512;
/// Connections of one source open at most.
const CONNECTIONS_OF_SOURCE_MAX: usize = 128;
/// Messages of one connection that are answered at a time.
const IN_FLIGHT_MAX: usize = 16;
/// How long the asker may take its time with reading answers.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// How long we wait after the system refused a connection, such as for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of the length before each message.
const LENGTH_BYTES: usize = 2;

//----------- TcpSide --------------------------------------------------------

/// A listener and its open connections.
#[derive(Debug)]
pub(super) struct TcpSide {
    listener: TcpListener,
    idle_max: Duration,
    open: Arc<Mutex<Open>>,
}

/// Connections that are open.
#[derive(Debug, Default)]
struct Open {
    in_all: usize,
    of_source: HashMap<Source, usize>,
}

impl TcpSide {
    /// Takes a listener; `idle_max` is how long a connection may be without a whole message.
    pub(super) fn new(listener: std::net::TcpListener, idle_max: Duration) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self { listener, idle_max, open: Arc::default() })
    }

    /// Where it listens.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts connections until the drain begins. The open ones answer what they have received, and end with it.
    pub(super) async fn serve(self, answerer: Arc<Answerer>, mut drain: Draining) {
        loop {
            tokio::select! {
                biased;
                () = drain.begins() => return,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, asker)) => match Place::take(&self.open, asker.ip()) {
                        Some(place) => {
                            count(&answerer.counters().tcp_connections);
                            let connection = Connection { stream, answerer: Arc::clone(&answerer), idle_max: self.idle_max, place };
                            tokio::spawn(connection.serve(drain.clone()));
                        }
                        None => count(&answerer.counters().tcp_connections_refused),
                    },
                    Err(error) => {
                        tracing::warn!(%error, "accepting a DNS connection failed");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }
}

/// A connection's place, in all and among those of its source; given up when dropped.
#[derive(Debug)]
struct Place {
    open: Arc<Mutex<Open>>,
    address: IpAddr,
}

impl Place {
    fn take(shared: &Arc<Mutex<Open>>, address: IpAddr) -> Option<Self> {
        let source = Source::of(address);
        let mut open = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let of_source = open.of_source.get(&source).copied().unwrap_or_default();
        if open.in_all >= CONNECTIONS_MAX || of_source >= CONNECTIONS_OF_SOURCE_MAX {
            return None;
        }
        open.in_all += 1;
        open.of_source.insert(source, of_source + 1);
        Some(Self { open: Arc::clone(shared), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let source = Source::of(self.address);
        open.in_all -= 1;
        if let Some(of_source) = open.of_source.get_mut(&source) {
            *of_source -= 1;
            if *of_source == 0 {
                open.of_source.remove(&source);
            }
        }
    }
}

//----------- Connection -----------------------------------------------------

struct Connection {
    stream: TcpStream,
    answerer: Arc<Answerer>,
    idle_max: Duration,
    place: Place,
}

impl Connection {
    async fn serve(mut self, mut drain: Draining) {
        let mut received = BytesMut::new();
        let mut idle_until = Instant::now() + self.idle_max;
        loop {
            let messages = take_messages(&mut received);
            if !messages.is_empty() {
                if !self.answer(&messages).await {
                    return;
                }
                idle_until = Instant::now() + self.idle_max;
                continue;
            }
            let read = tokio::select! {
                biased;
                () = drain.begins() => return,
                read = timeout_at(idle_until, self.stream.read_buf(&mut received)) => read,
            };
            match read {
                Ok(Ok(bytes)) if bytes > 0 => {}
                // Closed by the asker, broken, or idle for too long.
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Answers messages; false when the connection is to be closed.
    async fn answer(&mut self, messages: &[Bytes]) -> bool {
        let asker = self.place.address;
        let messages: Vec<Received<'_>> = messages.iter().map(|bytes| Received { bytes, asker }).collect();
        let answers = self.answerer.answer_batch(&messages, Transport::Tcp).await;
        let is_sound = answers.iter().all(Option::is_some);
        let mut framed = Vec::new();
        for answer in answers.into_iter().flatten() {
            // A message has at most 65,535 octets: the encoder is bounded by it.
            let Ok(length) = u16::try_from(answer.len()) else { return false };
            framed.extend_from_slice(&length.to_be_bytes());
            framed.extend_from_slice(&answer);
        }
        matches!(timeout(WRITE_MAX, self.stream.write_all(&framed)).await, Ok(Ok(()))) && is_sound
    }
}

/// Takes the whole messages that were received, up to as many as are answered at a time.
fn take_messages(received: &mut BytesMut) -> Vec<Bytes> {
    let mut messages = Vec::new();
    while messages.len() < IN_FLIGHT_MAX {
        let Some((length, _)) = received.split_first_chunk::<LENGTH_BYTES>() else { break };
        let length = usize::from(u16::from_be_bytes(*length));
        if received.len() < LENGTH_BYTES + length {
            break;
        }
        received.advance(LENGTH_BYTES);
        messages.push(received.split_to(length).freeze());
    }
    messages
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::BytesMut;

    use super::{CONNECTIONS_MAX, CONNECTIONS_OF_SOURCE_MAX, IN_FLIGHT_MAX, Place, take_messages};

    #[test]
    fn messages_are_taken_whole_and_bounded() {
        let mut received = BytesMut::from(&b"\0\x02ab\0\0\0\x03cd"[..]);
        let taken = take_messages(&mut received);
        assert_eq!(taken, [&b"ab"[..], b""]);
        assert_eq!(&received[..], b"\0\x03cd");
        received.extend_from_slice(b"e");
        assert_eq!(take_messages(&mut received), [&b"cde"[..]]);
        let mut many = BytesMut::from(&[0; 2 * (IN_FLIGHT_MAX + 1)][..]);
        assert_eq!(take_messages(&mut many).len(), IN_FLIGHT_MAX);
        assert_eq!(many.len(), 2);
    }

    #[test]
    fn no_source_takes_every_connection() {
        let open = Arc::default();
        let places = |last: u8| {
            std::iter::from_fn(|| Place::take(&open, [127, 0, 0, last].into()))
                .take(CONNECTIONS_MAX)
                .collect::<Vec<Place>>()
        };
        let mut greedy = places(1);
        assert_eq!(greedy.len(), CONNECTIONS_OF_SOURCE_MAX);
        let others: Vec<Vec<Place>> = (2..=9).map(places).collect();
        assert_eq!(greedy.len() + others.iter().flatten().count(), CONNECTIONS_MAX);
        drop(greedy.pop());
        assert_eq!(places(9).len(), 1);
        drop((greedy, others));
        let open = open.lock().expect("sound");
        assert!(open.in_all == 0 && open.of_source.is_empty());
    }
}
