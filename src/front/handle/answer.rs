//! Messages → answers, whatever way they came.
//!
//! Plain questions are answered in batches, with one read of the store; everything else goes its own way, one message at
//! a time.

use crate::front::handle_semantics::question::{Hidden, QuestionOutcome};
use crate::registry::caller::Caller;
use crate::registry::refusal::Failure;
use crate::resolver::answer::{Answer, Question};
use crate::wire::cursor::{DecodeError, Reader};
use crate::wire::handle::code::{OpCode, OpFlags, ResponseCode};
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};
use crate::wire::handle::message::Message;

use super::answerer::Answerer;
use super::frame::Frame;
use super::kept::Weight;
use super::opened::Exchange;
use super::origin::Origin;
use super::outcome::{Done, Said, Stage};
use super::proof::Unfitting;
use super::reply::{self, Reply, Unaccepted};
use super::resolution::{Asking, wanted};

//----------- Received -------------------------------------------------------

/// A whole message, as received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    /// What stood in front of it.
    pub(super) envelope: Envelope,
    /// Header, body and credential.
    pub(super) message: &'a [u8],
}

//----------- Answering ----------------------------------------------------

impl Answerer {
    /// Answers the plain questions among messages; the others are left out.
    pub(super) async fn answer_plain(&self, messages: &[Received<'_>]) -> Vec<Option<Vec<u8>>> {
        let mut plain: Vec<Option<Plain<'_>>> = messages.iter().map(Plain::new).collect();
        let questions: Vec<Question> =
            plain.iter().flatten().map(|plain| plain.asking.question.clone()).collect();
        if questions.is_empty() {
            return messages.iter().map(|_| None).collect();
        }
        let now_ms = self.resolver.now_ms();
        let mut answers = match self.resolver.answer_many(&Caller::Anonymous, &questions).await {
            Ok(answers) => answers.into_iter(),
            Err(failure) => {
                let failed = |plain: Plain<'_>| self.write(&plain.frame, &reply::failure(&failure), now_ms);
                return plain.into_iter().map(|plain| plain.map(failed)).collect();
            }
        };
        let mut reply_to = |plain: &mut Option<Plain<'_>>| {
            let plain = plain.take()?;
            let reply = match answers.next() {
                Some(Ok(answer)) => plain.reply(answer)?,
                Some(Err(refusal)) => reply::refusal(&refusal),
                // One answer a question is the resolver's promise.
                None => reply::failure(&Failure::Overloaded),
            };
            Some(self.write(&plain.frame, &reply, now_ms))
        };
        plain.iter_mut().map(&mut reply_to).collect()
    }

    /// Whether a message is a plain question.
    pub(super) fn is_plain(received: &Received<'_>) -> bool {
        Plain::new(received).is_some()
    }

    /// Whether a message may be answered anew each time it comes: it only reads, and nothing counts it.
    pub(super) fn is_repeatable(received: &Received<'_>) -> bool {
        if received.envelope.flags.has(EnvelopeFlags::ENCRYPTED) {
            return false;
        }
        let Ok(Message { header, credential, .. }) = Message::decode(received.message) else { return true };
        let only_reads = match header.op {
            OpCode::RESOLUTION => header.flags.has(OpFlags::PUBLIC_ONLY),
            OpCode::GET_SITE_INFO | OpCode::NEXT_TRANSACTION_ID => true,
            _ => false,
        };
        only_reads && credential.is_none()
    }

    /// What is said to a request for a list that is too long for its way.
    pub(super) fn refuse_long(&self, received: Received<'_>) -> Option<Vec<u8>> {
        let message = Message::decode(received.message).ok()?;
        let reply = reply::not_offered("the list is too long for one answer; ask for it over TCP");
        Some(self.write(&Frame::new(received.envelope, &message), &reply, self.resolver.now_ms()))
    }

    /// What is said to a request for which there is no place; nothing when it is none.
    pub(super) fn refuse_busy(&self, received: Received<'_>) -> Option<Vec<u8>> {
        let message = Message::decode(received.message).ok()?;
        let is_request = message.header.response == ResponseCode::NONE;
        let frame = Frame::new(received.envelope, &message);
        is_request.then(|| self.write(&frame, &reply::busy(), self.resolver.now_ms()))
    }

    /// The short answer to a request whose own answer is beyond the limit for datagrams: clients repeat it over TCP.
    pub(super) fn refuse_datagram(&self, received: Received<'_>) -> Option<Vec<u8>> {
        let message = Message::decode(received.message).ok()?;
        let frame = Frame::new(received.envelope, &message);
        Some(self.write(&frame, &reply::ask_over_tcp(), self.resolver.now_ms()))
    }

    /// Answers any message.
    pub(super) async fn answer(&self, origin: &Origin, received: Received<'_>) -> Said {
        let Received { envelope, message } = received;
        let exchange = match self.open(origin, envelope, message) {
            Ok(exchange) => exchange,
            Err(reason) => return self.refuse_unaccepted(received, reason),
        };
        let decoded = match Message::decode(&exchange.message) {
            Ok(decoded) if decoded.header.response == ResponseCode::NONE => decoded,
            // Answering an answer could go on for ever.
            Ok(_) => return Said::Nothing,
            Err(error) => return Said::Last(self.refuse_unreadable(&envelope, &error)),
        };
        let frame = Frame::new(envelope, &decoded);
        if decoded.header.op == OpCode::CHALLENGE_RESPONSE {
            let answer = self.conclude(origin, &exchange, frame, &decoded).await;
            // Whoever alters what was encrypted is not to learn from our reply that its padding was right.
            return answer.unwrap_or_else(|Unfitting| self.refuse_unaccepted(received, Unaccepted::Key));
        }
        let done = match self.perform(origin, &exchange, &decoded, Stage::Asked).await {
            Done::Withdrawn if exchange.forget_login(origin) => {
                // Clients that log in take a challenge to anything else for a success: they are to connect anew.
                let reply = reply::login_over();
                let session = exchange.session.as_deref();
                return Said::Last(self.close(origin.source(), &frame, session, &reply).await);
            }
            Done::Withdrawn => {
                let exchange = exchange.forgotten();
                let done = self.perform(origin, &exchange, &decoded, Stage::Asked).await;
                self.challenge_for(origin, &exchange, &decoded, done)
            }
            done => self.challenge_for(origin, &exchange, &decoded, done),
        };
        self.say(origin, frame, exchange.session, done).await
    }

    /// The same, with a challenge where the caller is to prove who it is.
    fn challenge_for(&self, origin: &Origin, exchange: &Exchange, message: &Message<'_>, done: Done) -> Done {
        match done {
            Done::Prove => Done::Reply(self.challenge(origin, exchange, message)),
            done => done,
        }
    }

    fn refuse_unaccepted(&self, received: Received<'_>, reason: Unaccepted) -> Said {
        let frame = match Message::decode(received.message) {
            Ok(message) if message.header.response == ResponseCode::NONE => {
                Frame::new(received.envelope, &message)
            }
            Ok(_) | Err(_) => Frame::of_unreadable(received.envelope),
        };
        let reply = reply::unaccepted(reason);
        Said::Message(self.write(&frame, &reply, self.resolver.now_ms()), Weight::Light)
    }

    /// What is said to bytes that are no message, when at least the envelope could be read.
    pub(super) fn refuse_unreadable(&self, envelope: &Envelope, error: &DecodeError) -> Vec<u8> {
        let frame = Frame::of_unreadable(*envelope);
        self.write(&frame, &reply::unreadable(error), self.resolver.now_ms())
    }

    /// The answer to a message that is not read for want of memory.
    pub(super) fn refuse_unread(&self, envelope: &Envelope) -> Vec<u8> {
        self.write(&Frame::of_unreadable(*envelope), &reply::busy(), self.resolver.now_ms())
    }
}

/// The envelope of a message whose length goes beyond what a message may have: enough to refuse it.
pub(super) fn envelope_of_unreadable(bytes: &[u8]) -> Option<Envelope> {
    let mut head = bytes.get(..16)?.to_vec();
    head.extend_from_slice(&[0; 4]);
    Envelope::decode(&mut Reader::new(&head)).ok()
}

//----------- Plain ----------------------------------------------------------

/// A question that nothing but the store is needed for.
struct Plain<'a> {
    frame: Frame,
    asking: Asking<'a>,
}

impl<'a> Plain<'a> {
    /// None when the message is something else, or more.
    fn new(received: &Received<'a>) -> Option<Self> {
        let Received { envelope, message } = *received;
        if envelope.flags.has(EnvelopeFlags::ENCRYPTED) {
            return None;
        }
        let decoded = Message::decode(message).ok()?;
        let header = decoded.header;
        let is_question = header.op == OpCode::RESOLUTION && header.response == ResponseCode::NONE;
        let wants_more = header.flags.has(OpFlags::CERTIFY) || header.flags.has(OpFlags::ENCRYPT);
        // In a session, or on a connection that is logged in, a caller may see more than the public.
        let is_public = envelope.session == 0 || header.flags.has(OpFlags::PUBLIC_ONLY);
        if !is_question || wants_more || !is_public || decoded.credential.is_some() {
            return None;
        }
        let asking = Asking::decode(decoded.body).ok()?;
        Some(Self { frame: Frame::new(envelope, &decoded), asking })
    }

    /// The reply; none when the caller is to prove who it is or another node to be asked first.
    fn reply(&self, answer: Answer) -> Option<Reply> {
        let caller = Caller::Anonymous;
        match self.asking.outcome(answer, wanted(self.frame.header.flags), &caller) {
            QuestionOutcome::Values(found) => Some(self.asking.values(&found)),
            QuestionOutcome::NoValues => Some(reply::no_values()),
            QuestionOutcome::NoIdentifier => Some(reply::absent()),
            QuestionOutcome::Hidden(Hidden::UntilProof) | QuestionOutcome::Elsewhere(_) => None,
            QuestionOutcome::Hidden(hidden) => Some(reply::hidden(hidden)),
        }
    }
}
