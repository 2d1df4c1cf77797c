//! Connections: messages framed by two octets of length, pipelined (RFC 7766).
//!
//! The messages of a connection are answered in batches, in the order in which they arrived. A connection is closed when
//! no whole message arrives in time, when the client does not read its answers, when it sends bytes that are not a
//! message, and when it is evicted.
//!
//! What has come of a large message takes from the memory budget, as do answers until they are written. When it is spent,
//! SERVFAIL takes the place of an answer; a large message that is not whole gets it too, and the rest of it is discarded.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use crate::front::listen::accept::{Accepted, Reception};
use crate::front::listen::answers::Answers;
use crate::front::listen::budget::{MemoryAccount, MemoryBudget};
use crate::front::listen::drain::Draining;
use crate::front::listen::receive_buffer::ReceiveBuffer;
use crate::front::listen::slots::Slot;
use crate::front::listen::stream::ByteStream;
use crate::model::limits::CONNECTION_MESSAGES_MAX;

use super::answer::{Received, Responder};
use super::request::Transport;

/// How long the client may take to read answers.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// Bytes of the length before each message.
const LENGTH_BYTES: usize = 2;
/// Connections whose messages are answered at a time: up to 16 answers of each are made before they are counted.
const PRODUCING_MAX: usize = 16;

//----------- TcpSide --------------------------------------------------------

/// A listener and how its connections are received.
#[derive(Debug)]
pub(super) struct TcpSide {
    listener: TcpListener,
    reception: Reception,
    shared: Arc<Shared>,
}

/// What the connections of a listener share.
#[derive(Debug)]
struct Shared {
    idle_max: Duration,
    memory: Arc<MemoryBudget>,
    /// Permits to make answers that are not counted yet; they bound what is made before it is taken from the budget.
    producing: Semaphore,
}

impl TcpSide {
    /// Makes a server of a bound socket; a connection without a whole message for `idle_max` is closed.
    pub(super) fn new(
        listener: std::net::TcpListener,
        reception: Reception,
        idle_max: Duration,
        memory: Arc<MemoryBudget>,
    ) -> io::Result<Self> {
        let shared = Shared { idle_max, memory, producing: Semaphore::new(PRODUCING_MAX) };
        Ok(Self { listener: TcpListener::from_std(listener)?, reception, shared: Arc::new(shared) })
    }

    /// The bound address.
    pub(super) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts connections until the drain begins. The open ones answer what they have received, and end with it.
    pub(super) async fn serve(self, responder: Arc<Responder>, draining: Draining) {
        let shared = self.shared;
        let serve = move |accepted: Accepted| {
            let holder = accepted.holder();
            let Accepted { stream, client, slot, draining, .. } = accepted;
            let responder = Arc::clone(&responder);
            responder.rate_limit.prove(client.ip(), std::time::Instant::now());
            let (shared, account) = (Arc::clone(&shared), shared.memory.account(holder));
            Connection { stream, client: client.ip(), responder, shared, account, slot }.serve(draining)
        };
        self.reception.serve(self.listener, draining, serve).await;
    }
}

//----------- Connection -----------------------------------------------------

struct Connection {
    stream: ByteStream,
    client: IpAddr,
    responder: Arc<Responder>,
    shared: Arc<Shared>,
    account: Arc<MemoryAccount>,
    slot: Slot,
}

impl Connection {
    async fn serve(mut self, mut draining: Draining) {
        let usage = self.slot.usage();
        let mut received = ReceiveBuffer::new(&self.account);
        let mut idle_until = Instant::now() + self.shared.idle_max;
        loop {
            let messages = take_messages(received.bytes());
            if !messages.is_empty() {
                if !self.answer(&messages).await {
                    return;
                }
                drop(messages);
                received.shrink();
                let now = Instant::now();
                usage.touch(now.into_std());
                idle_until = now + self.shared.idle_max;
                continue;
            }
            let wanted = wanted_bytes(received.bytes());
            let is_refused = received.grow(wanted).is_err();
            if is_refused && !self.refuse_arriving(received.bytes()).await {
                return;
            }
            let more = async {
                if is_refused {
                    return received.discard(&mut self.stream, wanted).await;
                }
                received.read(&mut self.stream).await.map(|bytes| bytes > 0)
            };
            let more = tokio::select! {
                biased;
                () = draining.begins() => return,
                () = self.slot.evicted() => return,
                more = timeout_at(idle_until, more) => more,
            };
            // Otherwise closed by the client, broken, or idle for too long.
            let Ok(Ok(true)) = more else { return };
            if is_refused {
                idle_until = Instant::now() + self.shared.idle_max;
            }
        }
    }

    /// Answers a message that is arriving with SERVFAIL; false when the connection is to be closed.
    async fn refuse_arriving(&mut self, received: &[u8]) -> bool {
        let bytes = received.get(LENGTH_BYTES..).unwrap_or_default();
        let refusal = self.responder.refuse_busy(&Received { bytes, client: self.client });
        let Some(framed) = framed(&refusal) else { return false };
        let written = timeout(WRITE_MAX, self.stream.write_all(&framed)).await;
        !refusal.is_empty() && matches!(written, Ok(Ok(())))
    }

    /// Answers messages; false when the connection is to be closed.
    async fn answer(&mut self, messages: &[Bytes]) -> bool {
        let client = self.client;
        let messages: Vec<Received<'_>> = messages.iter().map(|bytes| Received { bytes, client }).collect();
        let mut answers = Answers::new(&self.account);
        let is_sound = {
            let _turn = self.shared.producing.acquire().await;
            let made = self.responder.answer_batch(&messages, Transport::Tcp).await;
            let mut add = |(message, answer): (&Received<'_>, Option<Vec<u8>>)| {
                answer.is_some_and(|answer| self.add(&mut answers, message, answer))
            };
            // Every message is answered, also those behind one that is unsound.
            messages.iter().zip(made).map(&mut add).fold(true, |all, is_sound| all & is_sound)
        };
        let written = timeout(WRITE_MAX, self.stream.write_all(answers.bytes())).await;
        matches!(written, Ok(Ok(()))) && is_sound
    }

    /// Adds an answer, or SERVFAIL when there is no memory for it; false when it is no message.
    fn add(&self, answers: &mut Answers, message: &Received<'_>, answer: Vec<u8>) -> bool {
        let answer = if answers.count(LENGTH_BYTES + answer.len()).is_ok() {
            answer
        } else {
            let busy = self.responder.refuse_busy(message);
            answers.count_always(LENGTH_BYTES + busy.len());
            busy
        };
        // A message has at most 65,535 octets: the encoder is bounded by it.
        let Ok(length) = u16::try_from(answer.len()) else { return false };
        answers.add(&length.to_be_bytes());
        answers.add(&answer);
        true
    }
}

/// A message behind its length; none if it is longer than any, which the encoder rules out.
fn framed(message: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(message.len()).ok()?;
    Some([&length.to_be_bytes(), message].concat())
}

/// Bytes of the message that has begun to arrive, with its length.
fn wanted_bytes(received: &[u8]) -> usize {
    let length = received.first_chunk::<LENGTH_BYTES>();
    LENGTH_BYTES + length.map_or(0, |length| usize::from(u16::from_be_bytes(*length)))
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
