//! Messages → answers, whatever way they came.
//!
//! Plain questions are answered in batches, with one read of the store; everything else goes its own way, one message at
//! a time.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::model::identifier::Identifier;
use crate::model::site::{Ports, Site};
use crate::model::value::ValueType;
use crate::registry::caller::Caller;
use crate::registry::refusal::Failure;
use crate::resolver::Resolver;
use crate::resolver::answer::{Answer, Question, Referral};
use crate::resolver::recursion::Recursion;
use crate::wire::cursor::{DecodeError, Reader};
use crate::wire::handle::body::{TransactionId, encode_handle_and_values};
use crate::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};
use crate::wire::handle::message::{Header, Message};
use crate::wire::handle::site::encode_site;

use super::counters::HandleCounters;
use super::frame::{Frame, SITE_SERIAL};
use super::reply::{self, Reply};
use super::resolution::{Asking, Elsewhere, Telling, wants_recursion};

/// Nodes that a question may have passed before this one stops passing it on.
const RECURSION_COUNT_MAX: u8 = 10;

//----------- Received -------------------------------------------------------

/// A whole message, as received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    /// What stood in front of it.
    pub(super) envelope: Envelope,
    /// Header, body and credential.
    pub(super) message: &'a [u8],
}

/// Whence a message came.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// Which of our addresses was asked, where that is known.
    pub(super) own: Option<SocketAddr>,
}

/// What a message is answered with.
#[derive(Debug)]
pub(super) enum Said {
    /// Nothing: it is no request.
    Nothing,
    /// One message.
    Message(Vec<u8>),
    /// One message; what sent this cannot be trusted to send more.
    Last(Vec<u8>),
}

//----------- Answerer -------------------------------------------------------

/// What every way into the door shares.
pub(super) struct Answerer {
    pub(super) resolver: Arc<Resolver>,
    /// The public half of the server's key, as HS_PUBKEY.
    pub(super) public_key: Vec<u8>,
    pub(super) counters: Arc<HandleCounters>,
}

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
        let mut tell = |plain: &mut Option<Plain<'_>>| {
            let plain = plain.take()?;
            let told = match answers.next() {
                Some(Ok(answer)) => plain.asking.tell(answer),
                Some(Err(refusal)) => Telling::Reply(reply::refusal(&refusal)),
                // One answer a question is the resolver's promise.
                None => Telling::Reply(reply::failure(&Failure::Overloaded)),
            };
            match told {
                Telling::Reply(reply) => Some(self.write(&plain.frame, &reply, now_ms)),
                Telling::Onward(_) => None,
            }
        };
        plain.iter_mut().map(&mut tell).collect()
    }

    /// Whether a message is a plain question.
    pub(super) fn is_plain(received: &Received<'_>) -> bool {
        Plain::new(received).is_some()
    }

    /// What is said to a request for which there is no place; nothing when it is none.
    pub(super) fn refuse_busy(&self, received: Received<'_>) -> Option<Vec<u8>> {
        let Message { header, signed, .. } = Message::decode(received.message).ok()?;
        let frame = Frame { envelope: received.envelope, header, signed };
        let is_request = header.response == ResponseCode::NONE;
        let busy = reply::failure(&Failure::Overloaded);
        is_request.then(|| self.write(&frame, &busy, self.resolver.now_ms()))
    }

    /// Answers any message.
    pub(super) async fn answer(&self, origin: &Origin, received: Received<'_>) -> Said {
        let Received { envelope, message } = received;
        let decoded = match Message::decode(message) {
            Ok(decoded) if decoded.header.response == ResponseCode::NONE => decoded,
            // Answering an answer could go on for ever.
            Ok(_) => return Said::Nothing,
            Err(error) => return Said::Last(self.refuse_unreadable(&envelope, &error)),
        };
        let frame = Frame { envelope, header: decoded.header, signed: decoded.signed };
        let reply = self.reply(origin, &envelope, &decoded).await;
        Said::Message(self.write(&frame, &reply, self.resolver.now_ms()))
    }

    /// What is said to bytes that are no message, when at least the envelope could be read.
    pub(super) fn refuse_unreadable(&self, envelope: &Envelope, error: &DecodeError) -> Vec<u8> {
        let header = Header {
            op: OpCode::RESERVED,
            response: ResponseCode::NONE,
            flags: OpFlags::NONE,
            serial: Header::SERIAL_UNKNOWN,
            recursion: 0,
            expires: 0,
        };
        let frame = Frame { envelope: *envelope, header, signed: &[] };
        self.write(&frame, &reply::unreadable(error), self.resolver.now_ms())
    }

    fn write(&self, frame: &Frame<'_>, reply: &Reply, now_ms: u64) -> Vec<u8> {
        self.counters.count_reply(reply.code);
        frame.write_plain(reply, now_ms)
    }

    async fn reply(&self, origin: &Origin, envelope: &Envelope, message: &Message<'_>) -> Reply {
        match message.header.op {
            OpCode::RESOLUTION => self.resolve(envelope, message).await,
            OpCode::GET_SITE_INFO => self.site_info(origin),
            OpCode::NEXT_TRANSACTION_ID => {
                Reply::success(TransactionId(self.resolver.head().sequence).encode())
            }
            OpCode(other) => {
                let sentence = format!("operation {other} is not offered here");
                Reply::refuse(ResponseCode::OPERATION_NOT_SUPPORTED, &sentence)
            }
        }
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
    frame: Frame<'a>,
    asking: Asking<'a>,
}

impl<'a> Plain<'a> {
    /// None when the message is something else, or more.
    fn new(received: &Received<'a>) -> Option<Self> {
        let Received { envelope, message } = *received;
        if envelope.flags.has(EnvelopeFlags::ENCRYPTED) {
            return None;
        }
        let Message { header, body, credential, signed } = Message::decode(message).ok()?;
        let is_question = header.op == OpCode::RESOLUTION && header.response == ResponseCode::NONE;
        let wants_more = header.flags.has(OpFlags::CERTIFY) || header.flags.has(OpFlags::ENCRYPT);
        // In a session, or on a connection that is logged in, a caller may see more than the public.
        let is_public = envelope.session == 0 || header.flags.has(OpFlags::PUBLIC_ONLY);
        if !is_question || wants_more || !is_public || credential.is_some() {
            return None;
        }
        let asking = Asking::decode(body).ok()?;
        Some(Self { frame: Frame { envelope, header, signed }, asking })
    }
}

//----------- Questions ------------------------------------------------------

impl Answerer {
    async fn resolve(&self, envelope: &Envelope, message: &Message<'_>) -> Reply {
        let asking = match Asking::decode(message.body) {
            Ok(asking) => asking,
            Err(reply) => return reply,
        };
        let answer = match self.resolver.answer(&Caller::Anonymous, &asking.question).await {
            Ok(answer) => answer,
            Err(problem) => return reply::problem(&problem),
        };
        match asking.tell(answer) {
            Telling::Reply(reply) => reply,
            Telling::Onward(elsewhere) => self.go_on(envelope, message, &asking, elsewhere).await,
        }
    }

    /// Asks other nodes for a caller that cannot or does not want to go there itself; refers others.
    async fn go_on(
        &self,
        envelope: &Envelope,
        message: &Message<'_>,
        asking: &Asking<'_>,
        elsewhere: Elsewhere,
    ) -> Reply {
        let version = envelope.to_reply().version;
        if !wants_recursion(message, version) {
            return self.refer(message, asking, version, elsewhere).await;
        }
        if message.header.recursion >= RECURSION_COUNT_MAX {
            let sentence = "the question was passed on too often";
            return Reply::refuse(ResponseCode::RECURSION_COUNT_TOO_HIGH, sentence);
        }
        let recursion = Recursion::default();
        match self.resolver.recurse(&Caller::Anonymous, &asking.question, recursion).await {
            Ok(answer) => match asking.tell(answer) {
                Telling::Reply(reply) => reply,
                Telling::Onward(elsewhere) => self.refer(message, asking, version, elsewhere).await,
            },
            Err(error) => reply::unanswered(&error),
        }
    }

    async fn refer(
        &self,
        message: &Message<'_>,
        asking: &Asking<'_>,
        version: Version,
        elsewhere: Elsewhere,
    ) -> Reply {
        let referral = match elsewhere {
            Elsewhere::Below(referral) if !message.header.flags.has(OpFlags::NO_REFERRAL) => referral,
            Elsewhere::Below(_) => return reply::not_responsible(None),
            Elsewhere::Above(above) => return reply::not_responsible(above.upper.as_deref()),
        };
        let Referral { prefix, .. } = *referral;
        let named = Identifier::of_prefix(&prefix);
        let sites = ValueType::new(ValueType::HS_SITE).into_iter().collect();
        let question = Question { identifier: named.clone(), indexes: Vec::new(), types: sites };
        let values = match self.resolver.answer(&Caller::Anonymous, &question).await {
            Ok(Answer::Values(found)) => found.values,
            // A delegate that no Handle client can reach.
            Ok(Answer::Absent(_) | Answer::Referral(_) | Answer::NotResponsible(_)) => {
                return reply::not_responsible(None);
            }
            Err(problem) => return reply::problem(&problem),
        };
        let body = encode_handle_and_values(named.to_string().as_bytes(), &values);
        reply::referral(asking.question.identifier.named_prefix().as_ref(), version, body)
    }

    /// The site of this node: what it announces, or else the address that was asked.
    fn site_info(&self, origin: &Origin) -> Reply {
        let asked = || {
            let own = origin.own?;
            let ports = Ports { handle: Some(own.port()), ..Ports::default() };
            Site::new(vec![own.ip()], None, ports).ok()
        };
        let announced =
            self.resolver.site().and_then(|site| encode_site(site, SITE_SERIAL, &self.public_key));
        match announced.or_else(|| encode_site(&asked()?, SITE_SERIAL, &self.public_key)) {
            Some(site) => Reply::success(site),
            None => Reply::refuse(ResponseCode::ERROR, "this node announces no site"),
        }
    }
}
