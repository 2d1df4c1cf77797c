//! Connections: messages framed by two octets of length, pipelined (RFC 7766).
//!
//! The messages of a connection are answered in batches, in the order in which they arrived. A connection is closed when
//! no whole message arrives in time, when the client does not read its answers, when it sends bytes that are not a
//! message, and when it is evicted.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout, timeout_at};

use crate::front::listen::accept::{Accepted, Reception};
use crate::front::listen::drain::Draining;
use crate::front::listen::slots::Slot;
use crate::front::listen::stream::Stream;
use crate::model::limits::CONNECTION_MESSAGES_MAX;

use super::answer::{Received, Responder};
use super::request::Transport;

/// How long the client may take to read answers.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// Bytes of the length before each message.
const LENGTH_BYTES: usize = 2;

//----------- TcpSide --------------------------------------------------------

/// A listener and how its connections are received.
#[derive(Debug)]
pub(super) struct TcpSide {
    listener: TcpListener,
    reception: Reception,
    idle_max: Duration,
}

impl TcpSide {
    /// Makes a server of a bound socket; a connection without a whole message for `idle_max` is closed.
    pub(super) fn new(
        listener: std::net::TcpListener,
        reception: Reception,
        idle_max: Duration,
    ) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::from_std(listener)?, reception, idle_max })
    }

    /// The bound address.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts connections until the drain begins. The open ones answer what they have received, and end with it.
    pub(super) async fn serve(self, responder: Arc<Responder>, draining: Draining) {
        let idle_max = self.idle_max;
        let serve = move |accepted: Accepted| {
            let Accepted { stream, client, slot, draining, .. } = accepted;
            let responder = Arc::clone(&responder);
            responder.rate_limit.prove(client.ip(), std::time::Instant::now());
            Connection { stream, client: client.ip(), responder, idle_max, slot }.serve(draining)
        };
        self.reception.serve(self.listener, draining, serve).await;
    }
}

//----------- Connection -----------------------------------------------------

struct Connection {
    stream: Stream,
    client: IpAddr,
    responder: Arc<Responder>,
    idle_max: Duration,
    slot: Slot,
}

impl Connection {
    async fn serve(mut self, mut draining: Draining) {
        let usage = self.slot.usage();
        let mut received = BytesMut::new();
        let mut idle_until = Instant::now() + self.idle_max;
        loop {
            let messages = take_messages(&mut received);
            if !messages.is_empty() {
                if !self.answer(&messages).await {
                    return;
                }
                let now = Instant::now();
                usage.touch(now.into_std());
                idle_until = now + self.idle_max;
                continue;
            }
            let read = tokio::select! {
                biased;
                () = draining.begins() => return,
                () = self.slot.evicted() => return,
                read = timeout_at(idle_until, self.stream.read_buf(&mut received)) => read,
            };
            match read {
                Ok(Ok(bytes)) if bytes > 0 => {}
                // Closed by the client, broken, or idle for too long.
                Ok(_) | Err(_) => return,
            }
        }
    }

    /// Answers messages; false when the connection is to be closed.
    async fn answer(&mut self, messages: &[Bytes]) -> bool {
        let client = self.client;
        let messages: Vec<Received<'_>> = messages.iter().map(|bytes| Received { bytes, client }).collect();
        let answers = self.responder.answer_batch(&messages, Transport::Tcp).await;
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
    while messages.len() < CONNECTION_MESSAGES_MAX {
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
    use bytes::BytesMut;

    use super::{CONNECTION_MESSAGES_MAX, take_messages};

    #[test]
    fn messages_are_taken_whole_and_bounded() {
        let mut received = BytesMut::from(&b"\0\x02ab\0\0\0\x03cd"[..]);
        let taken = take_messages(&mut received);
        assert_eq!(taken, [&b"ab"[..], b""]);
        assert_eq!(&received[..], b"\0\x03cd");
        received.extend_from_slice(b"e");
        assert_eq!(take_messages(&mut received), [&b"cde"[..]]);
        let mut many = BytesMut::from(&[0; 2 * (CONNECTION_MESSAGES_MAX + 1)][..]);
        assert_eq!(take_messages(&mut many).len(), CONNECTION_MESSAGES_MAX);
        assert_eq!(many.len(), 2);
    }
}
