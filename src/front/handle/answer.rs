//! Answering messages, whichever transport they came by.
//!
//! Plain questions (public values, no session, no signature) are answered in batches, with one read of the store. Every
//! other message is answered by itself: opened, performed as its caller, and challenged if the caller has to prove who it
//! is first.

use crate::authority::caller::Caller;
use crate::front::handle_semantics::question::{Hidden, QuestionOutcome};
use crate::front::listen::answers::Turns;
use crate::resolver::answer::{Answer, Question};
use crate::telemetry::bug;
use crate::wire::cursor::{DecodeError, Reader};
use crate::wire::handle::code::{OpCode, OpFlags, ResponseCode};
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};
use crate::wire::handle::message::Message;

use super::frame::Frame;
use super::opened_message::OpenedMessage;
use super::origin::Origin;
use super::outcome::{Outgoing, RequestOutcome, Stage};
use super::proof::UnusableAnswer;
use super::reply::{self, Reply, Unaccepted};
use super::reply_cache::Effect;
use super::resolution::{ResolutionRequest, wanted, wants_recursion};
use super::responder::Responder;

//----------- Received -------------------------------------------------------

/// A whole message, as received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    /// The envelope in front of the message.
    pub(super) envelope: Envelope,
    /// Header, body and credential.
    pub(super) message: &'a [u8],
}

//----------- Answering ------------------------------------------------------

impl Responder {
    /// Answers the plain questions among messages; the entry of any other message is `None`.
    pub(super) async fn answer_plain(&self, messages: &[Received<'_>]) -> Vec<Option<Vec<u8>>> {
        let is_answered_here = |plain: &Plain<'_>| !self.asks_below(&plain.frame, &plain.request.question);
        let plain: Vec<Option<Plain<'_>>> =
            messages.iter().map(|message| Plain::new(message).filter(is_answered_here)).collect();
        let questions: Vec<Question> =
            plain.iter().flatten().map(|plain| plain.request.question.clone()).collect();
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
        let mut reply_to = |plain: Plain<'_>| {
            let reply = match answers.next() {
                Some(Ok(answer)) => plain.reply(answer)?,
                Some(Err(refusal)) => reply::refusal(&refusal),
                None => reply::failure(&bug("one answer for each question")),
            };
            Some(self.write(&plain.frame, &reply, now_ms))
        };
        let (mut made, mut turns) = (Vec::with_capacity(plain.len()), Turns::default());
        for plain in plain {
            let answer: Option<Vec<u8>> = plain.and_then(&mut reply_to);
            turns.made(answer.as_ref().map_or(0, Vec::len)).await;
            made.push(answer);
        }
        made
    }

    /// Whether other nodes are asked for a part of the answer.
    fn asks_below(&self, frame: &Frame, question: &Question) -> bool {
        let version = frame.envelope.to_reply().version;
        wants_recursion(frame.header.flags, version) && self.resolver.is_completed_below(question)
    }

    /// Whether a message is a plain question.
    pub(super) fn is_plain(received: &Received<'_>) -> bool {
        Plain::new(received).is_some()
    }

    /// Whether a repeated message may be answered again: it only reads, and no session counts it.
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

    /// The refusal of a list that is too long for its transport.
    pub(super) fn refuse_long(&self, received: Received<'_>) -> Option<Vec<u8>> {
        let message = Message::decode(received.message).ok()?;
        let reply = reply::not_offered("the list is too long for one answer; ask for it over TCP");
        Some(self.write(&Frame::new(received.envelope, &message), &reply, self.resolver.now_ms()))
    }

    /// The refusal of a request for which there is no capacity; none when the message is not a request.
    pub(super) fn refuse_busy(&self, received: Received<'_>) -> Option<Vec<u8>> {
        let message = Message::decode(received.message).ok()?;
        let is_request = message.header.response == ResponseCode::NONE;
        let frame = Frame::new(received.envelope, &message);
        is_request.then(|| self.write(&frame, &reply::memory_spent(), self.resolver.now_ms()))
    }

    /// The short answer to a request whose own answer is beyond the limit for datagrams: clients repeat it over TCP.
    pub(super) fn refuse_datagram(&self, received: Received<'_>) -> Option<Vec<u8>> {
        let message = Message::decode(received.message).ok()?;
        let frame = Frame::new(received.envelope, &message);
        Some(self.write(&frame, &reply::ask_over_tcp(), self.resolver.now_ms()))
    }

    /// Answers any message.
    pub(super) async fn answer(&self, origin: &Origin, received: Received<'_>) -> Outgoing {
        let Received { envelope, message } = received;
        let opened = match self.open(origin, envelope, message) {
            Ok(opened) => opened,
            Err(reason) => return self.refuse_unaccepted(received, reason),
        };
        let decoded = match Message::decode(&opened.message) {
            Ok(decoded) if decoded.header.response == ResponseCode::NONE => decoded,
            // Two servers that answer each other's answers would never stop.
            Ok(_) => return Outgoing::Nothing,
            Err(error) => return Outgoing::Last(self.refuse_unreadable(&envelope, &error)),
        };
        let frame = Frame::new(envelope, &decoded);
        if decoded.header.op == OpCode::CHALLENGE_RESPONSE {
            let answer = self.conclude(origin, &opened, frame, &decoded).await;
            // The reply must not reveal to an attacker who altered the ciphertext that the padding was right.
            return answer.unwrap_or_else(|UnusableAnswer| self.refuse_unaccepted(received, Unaccepted::Key));
        }
        let outcome = match self.perform(origin, &opened, &decoded, Stage::Received).await {
            RequestOutcome::KeyWithdrawn if opened.forget_login(origin) => {
                // Clients that log in take a later challenge for success, so the connection has to end instead.
                let reply = reply::login_over();
                let session = opened.session.as_deref();
                let closed = self.close(origin.source, &frame, session, &reply).await;
                return Outgoing::Last(closed.into_bytes());
            }
            RequestOutcome::KeyWithdrawn => {
                let opened = opened.forgotten();
                let outcome = self.perform(origin, &opened, &decoded, Stage::Received).await;
                self.challenge_if_needed(origin, &opened, &decoded, outcome)
            }
            outcome => self.challenge_if_needed(origin, &opened, &decoded, outcome),
        };
        self.outgoing(origin, frame, opened.session, outcome).await
    }

    /// Replaces an outcome that needs proof by a challenge.
    fn challenge_if_needed(
        &self,
        origin: &Origin,
        opened: &OpenedMessage,
        message: &Message<'_>,
        outcome: RequestOutcome,
    ) -> RequestOutcome {
        match outcome {
            RequestOutcome::ProofNeeded => RequestOutcome::Reply(self.challenge(origin, opened, message)),
            outcome => outcome,
        }
    }

    fn refuse_unaccepted(&self, received: Received<'_>, reason: Unaccepted) -> Outgoing {
        let frame = match Message::decode(received.message) {
            Ok(message) if message.header.response == ResponseCode::NONE => {
                Frame::new(received.envelope, &message)
            }
            Ok(_) | Err(_) => Frame::of_unreadable(received.envelope),
        };
        let reply = reply::unaccepted(reason);
        Outgoing::Message(self.write(&frame, &reply, self.resolver.now_ms()), Effect::None)
    }

    /// The refusal of bytes that are not a message but have a readable envelope.
    pub(super) fn refuse_unreadable(&self, envelope: &Envelope, error: &DecodeError) -> Vec<u8> {
        let frame = Frame::of_unreadable(*envelope);
        self.write(&frame, &reply::unreadable(error), self.resolver.now_ms())
    }

    /// The answer to a message that is not read for want of memory.
    pub(super) fn refuse_unread(&self, envelope: &Envelope) -> Vec<u8> {
        self.write(&Frame::of_unreadable(*envelope), &reply::memory_spent(), self.resolver.now_ms())
    }
}

/// The envelope of a message that states too great a length: enough to refuse it.
pub(super) fn envelope_of_unreadable(bytes: &[u8]) -> Option<Envelope> {
    let mut head = bytes.get(..16)?.to_vec();
    head.extend_from_slice(&[0; 4]);
    Envelope::decode(&mut Reader::new(&head)).ok()
}

//----------- Plain ----------------------------------------------------------

/// A question for public values that only needs a read of the store.
struct Plain<'a> {
    frame: Frame,
    request: ResolutionRequest<'a>,
}

impl<'a> Plain<'a> {
    /// None when the message is anything else.
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
        let request = ResolutionRequest::decode(decoded.body).ok()?;
        Some(Self { frame: Frame::new(envelope, &decoded), request })
    }

    /// The reply; none when the caller has to prove who it is or another node has to be asked.
    fn reply(&self, answer: Answer) -> Option<Reply> {
        let caller = Caller::Anonymous;
        match self.request.outcome(answer, wanted(self.frame.header.flags), &caller) {
            QuestionOutcome::Values(found) => Some(self.request.values(&found)),
            QuestionOutcome::NoValues => Some(reply::no_values()),
            QuestionOutcome::NoIdentifier => Some(reply::absent()),
            QuestionOutcome::Hidden(Hidden::UntilProof) | QuestionOutcome::Elsewhere(_) => None,
            QuestionOutcome::Hidden(hidden) => Some(reply::hidden(hidden)),
        }
    }
}
