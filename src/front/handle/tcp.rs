//! Connections: messages one after the other, answered in their order, plain or in TLS on the same port.
//!
//! A connection stays open after an answer, since many clients use one for hours; others close it themselves. It is closed
//! when no message arrives in time, when a message is not completed in time, when the client does not read its answers,
//! after bytes that are not a message, and when it is evicted. What has come of a large message takes from the memory budget,
//! as do answers until they are written. When the budget is spent, a message is refused as too busy; what comes of it after
//! that is discarded, and the connection goes on. The outcome of a change is always reported.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use crate::front::listen::accept::{Accepted, Reception};
use crate::front::listen::answers::{Answers, FREE_BYTES};
use crate::front::listen::budget::{MemoryAccount, MemoryBudget};
use crate::front::listen::drain::Draining;
use crate::front::listen::receive_buffer::ReceiveBuffer;
use crate::front::listen::slots::Slot;
use crate::front::listen::stream::ByteStream;
use crate::model::limits::CONNECTION_MESSAGES_MAX;
use crate::telemetry::count;
use crate::wire::cursor::{DecodeError, Reader};
use crate::wire::handle::envelope::{ENVELOPE_BYTES, Envelope};

use super::answer::{Received, envelope_of_unreadable};
use super::list::Stream as ListStream;
use super::origin::{ConnectionState, Origin, Transport};
use super::outcome::Outgoing;
use super::reply_cache::Effect;
use super::responder::Responder;

/// Time within which a message has to be complete after its beginning.
const MESSAGE_MAX: Duration = Duration::from_secs(30);
/// Time within which the client has to read answers.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// Connections whose plain questions are answered at a time: up to 16 answers of each are made before they are counted.
const PRODUCING_MAX: usize = 16;

//----------- TcpSide --------------------------------------------------------

/// A listener, and how its connections are accepted.
pub(super) struct TcpSide {
    listener: TcpListener,
    reception: Reception,
    shared: Arc<Shared>,
}

/// What connections share.
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

    /// Accepts connections until the drain begins. Open connections answer what they have received, then end.
    pub(super) async fn serve(self, responder: Arc<Responder>, draining: Draining) {
        let shared = self.shared;
        let serve = move |accepted: Accepted| {
            let account = shared.memory.account(accepted.holder());
            let Accepted { stream, client, own, channel, slot, draining, .. } = accepted;
            responder.rate_limit.prove(client.ip(), Instant::now().into_std());
            let transport = Transport::Connection(Arc::new(ConnectionState::new(slot.usage())));
            let connection = Connection {
                account,
                responder: Arc::clone(&responder),
                shared: Arc::clone(&shared),
                origin: Origin { client, source: slot.usage().source(), own: Some(own), transport, channel },
                draining,
                slot,
            };
            connection.serve(stream)
        };
        self.reception.serve(self.listener, draining, serve).await;
    }
}

//----------- Connection -----------------------------------------------------

struct Connection {
    responder: Arc<Responder>,
    shared: Arc<Shared>,
    account: Arc<MemoryAccount>,
    origin: Origin,
    draining: Draining,
    slot: Slot,
}

/// Whether a connection continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    Continue,
    Close,
}

impl Connection {
    async fn serve(mut self, mut stream: ByteStream) {
        let usage = self.slot.usage();
        let mut received = ReceiveBuffer::new(&self.account);
        let mut idle_until = Instant::now() + self.shared.idle_max;
        loop {
            let wanted = match take(received.bytes()) {
                Taken::Messages(messages) => {
                    if self.answer(&mut stream, &messages).await == Course::Close {
                        return;
                    }
                    drop(messages);
                    received.shrink();
                    usage.touch(Instant::now().into_std());
                    idle_until = Instant::now() + self.shared.idle_max;
                    continue;
                }
                Taken::Unreadable(envelope, error) => {
                    let refusal = self.responder.refuse_unreadable(&envelope, &error);
                    self.write(&mut stream, &refusal).await;
                    return;
                }
                Taken::Wanted(bytes) => bytes,
            };
            if !received.bytes().is_empty() {
                idle_until = idle_until.min(Instant::now() + MESSAGE_MAX);
            }
            let is_refused = received.grow(wanted).is_err();
            let course = if is_refused {
                self.refuse_arriving(&mut stream, &mut received, wanted, idle_until).await
            } else {
                self.read(&mut stream, &mut received, idle_until).await
            };
            if course == Course::Close {
                return;
            }
            if is_refused {
                idle_until = Instant::now() + self.shared.idle_max;
            }
        }
    }

    /// Reads more of a message, in time.
    async fn read(
        &mut self,
        stream: &mut ByteStream,
        received: &mut ReceiveBuffer,
        deadline: Instant,
    ) -> Course {
        let read = tokio::select! {
            biased;
            () = self.draining.begins() => return Course::Close,
            () = self.slot.evicted() => return Course::Close,
            read = timeout_at(deadline, received.read(stream)) => read,
        };
        match read {
            Ok(Ok(bytes)) if bytes > 0 => Course::Continue,
            // Closed by the client, broken, or idle for too long.
            Ok(_) | Err(_) => Course::Close,
        }
    }

    /// Refuses a message that is arriving as too busy, and discards the rest of it.
    async fn refuse_arriving(
        &mut self,
        stream: &mut ByteStream,
        received: &mut ReceiveBuffer,
        wanted: usize,
        deadline: Instant,
    ) -> Course {
        count(&self.responder.counters.busy);
        let Ok(envelope) = Envelope::decode(&mut Reader::new(received.bytes())) else { return Course::Close };
        let refusal = self.responder.refuse_unread(&envelope);
        if self.write(stream, &refusal).await == Course::Close {
            return Course::Close;
        }
        let discarded = tokio::select! {
            biased;
            () = self.draining.begins() => return Course::Close,
            () = self.slot.evicted() => return Course::Close,
            discarded = timeout_at(deadline, received.discard(stream, wanted)) => discarded,
        };
        if matches!(discarded, Ok(Ok(true))) { Course::Continue } else { Course::Close }
    }

    /// Answers messages in order: plain questions that follow each other together, others one by one.
    async fn answer(&self, stream: &mut ByteStream, messages: &[(Envelope, Bytes)]) -> Course {
        let mut rest: Vec<Received<'_>> =
            messages.iter().map(|(envelope, message)| Received { envelope: *envelope, message }).collect();
        let mut answers = Answers::new(&self.account);
        while !rest.is_empty() {
            // A question has to see the changes of earlier messages, so only a run of plain questions is answered at once.
            let run = rest.iter().take_while(|message| Responder::is_plain(message)).count();
            let later = rest.split_off(run.max(1));
            let answered = self.answer_plain(&mut answers, &rest).await;
            for (message, answer) in rest.into_iter().zip(answered) {
                count(&self.responder.counters.tcp_messages);
                match answer {
                    Some(answer) => answers.add(&answer),
                    None if self.answer_one(stream, &mut answers, message).await == Course::Close => {
                        return Course::Close;
                    }
                    None => {}
                }
            }
            rest = later;
        }
        self.write(stream, answers.bytes()).await
    }

    /// Answers a run of plain questions, and counts the answers before another connection makes its own.
    async fn answer_plain(&self, answers: &mut Answers, messages: &[Received<'_>]) -> Vec<Option<Vec<u8>>> {
        let _turn = self.shared.producing.acquire().await;
        let answered = self.responder.answer_plain(messages).await;
        let counted = |(message, answer): (&Received<'_>, Option<Vec<u8>>)| {
            answer.map(|answer| self.counted(answers, *message, answer, Effect::None))
        };
        messages.iter().zip(answered).map(counted).collect()
    }

    /// Answers any message.
    async fn answer_one(
        &self,
        stream: &mut ByteStream,
        answers: &mut Answers,
        message: Received<'_>,
    ) -> Course {
        match self.responder.answer(&self.origin, message).await {
            Outgoing::Nothing => {
                self.write(stream, answers.bytes()).await;
                Course::Close
            }
            Outgoing::Message(answer, effect) => {
                let answer = self.counted(answers, message, answer, effect);
                answers.add(&answer);
                Course::Continue
            }
            Outgoing::List(messages) => self.stream(stream, answers, message, *messages).await,
            Outgoing::Last(answer) => {
                let answer = self.counted(answers, message, answer, Effect::None);
                answers.add(&answer);
                self.write(stream, answers.bytes()).await;
                Course::Close
            }
        }
    }

    /// Writes the messages of a list as they are read, several at a time.
    async fn stream(
        &self,
        stream: &mut ByteStream,
        answers: &mut Answers,
        asked: Received<'_>,
        mut messages: ListStream,
    ) -> Course {
        while let Some(message) = messages.next(&self.responder).await {
            if answers.count(message.len()).is_err() {
                // It has no mark of continuation, so that it ends the list.
                let refusal = self.busy(answers, asked);
                answers.add(&refusal);
                return Course::Continue;
            }
            answers.add(&message);
            if answers.bytes().len() > FREE_BYTES {
                if self.write(stream, answers.bytes()).await == Course::Close {
                    return Course::Close;
                }
                answers.clear();
            }
        }
        Course::Continue
    }

    /// An answer that is counted, or the refusal of its message as too busy when there is no memory for it. The outcome of
    /// a change is never replaced.
    fn counted(
        &self,
        answers: &mut Answers,
        message: Received<'_>,
        answer: Vec<u8>,
        effect: Effect,
    ) -> Vec<u8> {
        match effect {
            Effect::None if answers.count(answer.len()).is_err() => return self.busy(answers, message),
            Effect::None => {}
            Effect::Changed => answers.count_always(answer.len()),
        }
        answer
    }

    /// The refusal of a message whose answer finds no memory.
    fn busy(&self, answers: &mut Answers, message: Received<'_>) -> Vec<u8> {
        count(&self.responder.counters.busy);
        let refusal = self.responder.refuse_busy(message);
        let refusal = refusal.unwrap_or_else(|| self.responder.refuse_unread(&message.envelope));
        answers.count_always(refusal.len());
        refusal
    }

    /// Writes answers.
    async fn write(&self, stream: &mut ByteStream, bytes: &[u8]) -> Course {
        let written = timeout(WRITE_MAX, async {
            stream.write_all(bytes).await?;
            stream.flush().await
        });
        if matches!(written.await, Ok(Ok(()))) { Course::Continue } else { Course::Close }
    }
}

//----------- Messages -------------------------------------------------------

/// What the received bytes begin with.
#[derive(Debug)]
enum Taken {
    /// Whole messages, as many as are answered at a time.
    Messages(Vec<(Envelope, Bytes)>),
    /// A part of a message, whose total size is given.
    Wanted(usize),
    /// Bytes that are not a message: the envelope, and the error.
    Unreadable(Envelope, DecodeError),
}

fn take(received: &mut BytesMut) -> Taken {
    let mut messages = Vec::new();
    let mut wanted = ENVELOPE_BYTES;
    while messages.len() < CONNECTION_MESSAGES_MAX && received.len() >= ENVELOPE_BYTES {
        let envelope = match Envelope::decode(&mut Reader::new(received)) {
            Ok(envelope) => envelope,
            Err(error) if messages.is_empty() => match envelope_of_unreadable(received) {
                Some(envelope) => return Taken::Unreadable(envelope, error),
                None => break,
            },
            // Those before it are answered first.
            Err(_) => break,
        };
        let whole = ENVELOPE_BYTES + envelope.message_length();
        if received.len() < whole {
            wanted = whole;
            break;
        }
        let message = received.split_to(whole).freeze().slice(ENVELOPE_BYTES..);
        messages.push((envelope, message));
    }
    if messages.is_empty() { Taken::Wanted(wanted) } else { Taken::Messages(messages) }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{CONNECTION_MESSAGES_MAX, ENVELOPE_BYTES, Taken, take};
    use crate::wire::handle::code::Version;
    use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};

    fn enclosed(message: &[u8]) -> Vec<u8> {
        let envelope = Envelope {
            version: Version::V2_10,
            suggested: Version::V2_10,
            flags: EnvelopeFlags::NONE,
            session: 0,
            request: 7,
            sequence: 0,
            message_bytes: 0,
        };
        envelope.enclose(message)
    }

    fn messages(taken: Taken) -> Vec<Vec<u8>> {
        match taken {
            Taken::Messages(messages) => messages.into_iter().map(|(_, message)| message.to_vec()).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_are_taken_whole_and_bounded() {
        let mut received = BytesMut::from(&[enclosed(b"ab"), enclosed(b"cde")].concat()[..]);
        let last = received.split_off(received.len() - 1);
        assert_eq!(messages(take(&mut received)), [b"ab".to_vec()]);
        assert!(matches!(take(&mut received), Taken::Wanted(wanted) if wanted == ENVELOPE_BYTES + 3));
        received.unsplit(last);
        assert_eq!(messages(take(&mut received)), [b"cde".to_vec()]);
        assert!(matches!(take(&mut received), Taken::Wanted(ENVELOPE_BYTES)));
        let many = enclosed(b"").repeat(CONNECTION_MESSAGES_MAX + 1);
        let mut received = BytesMut::from(&many[..]);
        assert_eq!(messages(take(&mut received)).len(), CONNECTION_MESSAGES_MAX);
        assert_eq!(received.len(), ENVELOPE_BYTES);
    }

    #[test]
    fn a_length_beyond_its_bound_is_refused_by_its_envelope() {
        let mut bytes = enclosed(b"");
        bytes[16..20].copy_from_slice(&[0x7f, 0, 0, 0]);
        let mut received = BytesMut::from(&bytes[..]);
        assert!(matches!(take(&mut received), Taken::Unreadable(envelope, _) if envelope.request == 7));
    }
}
