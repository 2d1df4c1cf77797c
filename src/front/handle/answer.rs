//! Messages → answers, whatever way they came.
//!
//! Plain questions are answered in batches, with one read of the store; everything else goes its own way, one message at
//! a time.

use std::sync::Arc;

use crate::authority::Authority;
use crate::front::handle_semantics::own_site::{AskedAt, encode_own_site};
use crate::front::handle_semantics::question::{Elsewhere, Hidden, QuestionOutcome, Wanted};
use crate::front::handle_semantics::referral::{self, Direction, ReferralWish, Service};
use crate::front::listen::crypto_pool::CryptoPool;
use crate::front::listen::udp_rate_limit::UdpRateLimit;
use crate::key::PrivateKey;
use crate::model::limits::RECURSION_DEPTH_MAX;
use crate::registry::Registry;
use crate::registry::caller::Caller;
use crate::registry::command::Command;
use crate::registry::refusal::{Failure, Problem, Refusal};
use crate::resolver::Resolver;
use crate::resolver::answer::{Answer, Question};
use crate::resolver::recursion::{Recursion, Unanswered};
use crate::wire::cursor::{DecodeError, Reader};
use crate::wire::handle::body::{TransactionId, encode_handle_and_values};
use crate::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};
use crate::wire::handle::message::Message;

use super::challenge::Challenges;
use super::change;
use super::counters::HandleCounters;
use super::exchange::{Exchange, Origin, Way};
use super::frame::Frame;
use super::kept::Weight;
use super::list::{Listing, Stream};
use super::proof::{Challenged, Unfitting};
use super::reply::{self, Reply, Unaccepted};
use super::resolution::{Asking, wanted, wants_recursion};
use super::session::{Session, Sessions};

//----------- Received -------------------------------------------------------

/// A whole message, as received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'a> {
    /// What stood in front of it.
    pub(super) envelope: Envelope,
    /// Header, body and credential.
    pub(super) message: &'a [u8],
}

/// What a message is answered with.
#[derive(Debug)]
pub(super) enum Said {
    /// Nothing: it is no request.
    Nothing,
    /// One message, and what it stands for.
    Message(Vec<u8>, Weight),
    /// Messages, one behind the other.
    Stream(Box<Stream>),
    /// One message; what sent this cannot be trusted to send more.
    Last(Vec<u8>),
}

//----------- Answerer -------------------------------------------------------

/// What every way into the door shares.
pub(super) struct Answerer {
    pub(super) registry: Arc<Registry>,
    pub(super) authority: Authority,
    pub(super) resolver: Arc<Resolver>,
    /// The key that this server signs with.
    pub(super) server_key: Arc<PrivateKey>,
    /// Its public half, as HS_PUBKEY.
    pub(super) public_key: Vec<u8>,
    pub(super) sessions: Sessions,
    pub(super) challenges: Challenges<Challenged>,
    pub(super) crypto_pool: Arc<CryptoPool>,
    pub(super) rate_limit: UdpRateLimit,
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

    /// Says what was done.
    pub(super) async fn say(
        &self,
        origin: &Origin,
        frame: Frame,
        session: Option<Arc<Session>>,
        done: Done,
    ) -> Said {
        let reply = match done {
            Done::Reply(reply) => reply,
            Done::Listing(listing) => match origin.way {
                Way::Datagrams(_) if !listing.is_short() => {
                    reply::not_offered("the list is longer than one message; ask for it over TCP")
                }
                Way::Datagrams(_) | Way::Connection(_) | Way::Tunnel => {
                    return Said::Stream(Box::new(Stream::new(listing, origin.source(), frame, session)));
                }
            },
            // Whoever proved who it is is not asked again.
            Done::Prove | Done::Withdrawn => reply::key_withdrawn(),
        };
        Said::Message(self.close(origin.source(), &frame, session.as_deref(), &reply).await, reply.weight)
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

    fn write(&self, frame: &Frame, reply: &Reply, now_ms: u64) -> Vec<u8> {
        self.counters.count_reply(reply.code);
        frame.write_plain(reply, now_ms)
    }

    /// A number for a session or challenge: positive to clients that count it as signed.
    pub(super) fn random_id(&self) -> u32 {
        let mut bytes = [0; 4];
        self.resolver.fill_random(&mut bytes);
        (u32::from_be_bytes(bytes) >> 1).max(1)
    }
}

//----------- Performing -----------------------------------------------------

/// What came of a request.
#[derive(Debug)]
pub(super) enum Done {
    /// This is to be said.
    Reply(Reply),
    /// A list is to be told.
    Listing(Listing),
    /// The caller is to prove who it is first.
    Prove,
    /// The key that proved the caller is withdrawn: it is nobody any more.
    Withdrawn,
}

impl Done {
    /// A caller is not served: nobody is to prove who it is, and so is who was proved and is nobody now.
    fn refused(caller: &Caller, problem: &Problem) -> Self {
        match (problem, caller) {
            (Problem::Refused(Refusal::Unauthenticated), Caller::Anonymous) => Self::Prove,
            (Problem::Refused(Refusal::Unauthenticated), _) => Self::Withdrawn,
            (problem, _) => Self::Reply(reply::problem(problem)),
        }
    }
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It was received.
    Asked,
    /// Its caller has answered the challenge for it.
    Proved,
}

impl Answerer {
    /// Does what a request asks for, as its caller.
    pub(super) async fn perform(
        &self,
        origin: &Origin,
        exchange: &Exchange,
        message: &Message<'_>,
        stage: Stage,
    ) -> Done {
        let version = exchange.envelope.to_reply().version;
        let reply = match message.header.op {
            OpCode::RESOLUTION => return self.resolve(exchange, message).await,
            OpCode::LIST_HANDLES => return self.list(&exchange.caller, message).await,
            OpCode::LIST_HOMED_PREFIXES => return self.list_homed(&exchange.caller).await,
            OpCode::LOGIN_KEY => return self.log_in(origin, exchange, message, stage),
            OpCode::LOGIN_PASSWORD => self.log_in_by_password(origin, exchange, message).await,
            OpCode::GET_SITE_INFO => self.site_info(origin),
            OpCode::NEXT_TRANSACTION_ID => {
                Reply::success(TransactionId(self.resolver.head().sequence).encode())
            }
            OpCode::VERIFY_RESPONSE => self.verify(message).await,
            OpCode::SESSION_SETUP => self.set_up(origin, version, message).await,
            OpCode::SESSION_EXCHANGE_KEY => self.exchange_key(origin, exchange, message).await,
            OpCode::SESSION_TERMINATE => self.terminate(exchange),
            OpCode(other) => match change::command(message, &self.resolver) {
                Some(Ok(command)) => return self.change(&exchange.caller, message.header.op, command).await,
                Some(Err(reply)) => reply,
                None => reply::not_offered(&format!("operation {other} is not offered here")),
            },
        };
        Done::Reply(reply)
    }

    async fn change(&self, caller: &Caller, op: OpCode, command: Command) -> Done {
        if matches!(caller, Caller::Anonymous)
            && let Err(problem) = self.registry.check(caller, &command).await
        {
            return Done::refused(caller, &problem);
        }
        match self.registry.apply_one(caller, command).await {
            Ok(receipt) => Done::Reply(change::done(op, &receipt)),
            Err(problem) => Done::refused(caller, &problem),
        }
    }

    async fn list(&self, caller: &Caller, message: &Message<'_>) -> Done {
        let prefix = match change::named_prefix(message.body) {
            Ok(prefix) => prefix,
            Err(reply) => return Done::Reply(reply),
        };
        if matches!(caller, Caller::Anonymous) {
            return match change::responsible(&self.resolver, &prefix) {
                Ok(()) => Done::Prove,
                Err(reply) => Done::Reply(reply),
            };
        }
        match Listing::of_prefix(self, caller.clone(), prefix).await {
            Ok(listing) => Done::Listing(listing),
            Err(problem) => Done::refused(caller, &problem),
        }
    }

    async fn list_homed(&self, caller: &Caller) -> Done {
        match self.resolver.homed_prefixes(caller).await {
            Ok(prefixes) => Done::Listing(Listing::of_prefixes(&prefixes)),
            Err(problem) => Done::refused(caller, &problem),
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

//----------- Questions ------------------------------------------------------

impl Answerer {
    async fn resolve(&self, exchange: &Exchange, message: &Message<'_>) -> Done {
        let asking = match Asking::decode(message.body) {
            Ok(asking) => asking,
            Err(reply) => return Done::Reply(reply),
        };
        let wanted = wanted(message.header.flags);
        let caller = match wanted {
            Wanted::Public => &Caller::Anonymous,
            Wanted::Permitted | Wanted::All => &exchange.caller,
        };
        let answer = match self.resolver.answer(caller, &asking.question).await {
            Ok(answer) => answer,
            Err(problem) => return Done::refused(caller, &problem),
        };
        let reply = match asking.outcome(answer, wanted, caller) {
            QuestionOutcome::Hidden(Hidden::UntilProof) => return Done::Prove,
            QuestionOutcome::Elsewhere(elsewhere) => {
                let version = exchange.envelope.to_reply().version;
                self.go_on(version, message, &asking, elsewhere).await
            }
            QuestionOutcome::Values(found) => asking.values(&found),
            QuestionOutcome::NoValues => reply::no_values(),
            QuestionOutcome::NoIdentifier => reply::absent(),
            QuestionOutcome::Hidden(hidden) => reply::hidden(hidden),
        };
        Done::Reply(reply)
    }

    /// Asks other nodes for a caller that cannot or does not want to go there itself; refers others.
    async fn go_on(
        &self,
        version: Version,
        message: &Message<'_>,
        asking: &Asking<'_>,
        elsewhere: Elsewhere,
    ) -> Reply {
        if !wants_recursion(message, version) {
            return self.refer(message, asking, version, elsewhere).await;
        }
        if u32::from(message.header.recursion) >= RECURSION_DEPTH_MAX {
            return reply::unanswered(&Unanswered::TooDeep);
        }
        let recursion = Recursion::default();
        let caller = Caller::Anonymous;
        let answer = match self.resolver.recurse(&caller, &asking.question, recursion).await {
            Ok(answer) => answer,
            Err(error) => return reply::unanswered(&error),
        };
        match asking.outcome(answer, Wanted::Public, &caller) {
            QuestionOutcome::Values(found) => asking.values(&found),
            QuestionOutcome::NoValues => reply::no_values(),
            QuestionOutcome::NoIdentifier => reply::absent(),
            QuestionOutcome::Hidden(hidden) => reply::hidden(hidden),
            QuestionOutcome::Elsewhere(elsewhere) => self.refer(message, asking, version, elsewhere).await,
        }
    }

    async fn refer(
        &self,
        message: &Message<'_>,
        asking: &Asking<'_>,
        version: Version,
        elsewhere: Elsewhere,
    ) -> Reply {
        let declined = message.header.flags.has(OpFlags::NO_REFERRAL);
        let wish = if declined { ReferralWish::Decline } else { ReferralWish::Follow };
        match referral::direct(&self.resolver, elsewhere, wish).await {
            Ok(Direction::Service(Service { identifier, sites })) => {
                let body = encode_handle_and_values(identifier.to_string().as_bytes(), &sites);
                reply::referral(&asking.question.identifier, version, body)
            }
            Ok(Direction::NotResponsible { upper }) => reply::not_responsible(upper.as_deref()),
            Err(problem) => reply::problem(&problem),
        }
    }

    /// The site of this node: what it announces, or else the address that was asked.
    fn site_info(&self, origin: &Origin) -> Reply {
        let asked_at = origin.own.map(|own| match origin.way {
            Way::Datagrams(_) | Way::Connection(_) => AskedAt::Handle(own),
            Way::Tunnel => AskedAt::Http(own),
        });
        match encode_own_site(&self.resolver, &self.public_key, asked_at) {
            Some(site) => Reply::success(site),
            None => Reply::refuse(ResponseCode::ERROR, "this node announces no site"),
        }
    }
}
