//! Proofs: challenges and their answers.
//!
//! ```text
//!   request ─ nobody may, somebody could ─▶ challenge: nonce and digest of the request
//!   answer ─ is the claimed identity an administrator? ─ was the key used? ─▶ the request, as that caller
//! ```
//! Whoever could not be allowed the request in any case is told so before its proof is looked at. An answer in a session
//! proves the session; a login proves the connection, under the session id that its client chose. Both last no longer than
//! the key: once it is withdrawn, a session is challenged anew, and a login ends with its connection.

use std::time::Instant;

use crate::authority::credential::Proof;
use crate::front::handle_semantics::proof::prove;
use crate::front::handle_semantics::question::{Hidden, QuestionOutcome, Wanted};
use crate::model::identity::Identity;
use crate::registry::caller::{Caller, KeyHolder};
use crate::registry::refusal::{Problem, Refusal};
use crate::wire::handle::body::challenge::{Challenge, ChallengeAnswer, RequestDigest, SignedAnswer};
use crate::wire::handle::code::{OpCode, OpFlags, ResponseCode};
use crate::wire::handle::message::Message;

use super::answerer::Answerer;
use super::challenge::{ChallengeKey, Found, Scope};
use super::change;
use super::frame::{Frame, digest};
use super::login::{identity, same_user};
use super::opened::{Challenged, Exchange, Voucher};
use super::origin::Origin;
use super::outcome::{Done, Said, Stage};
use super::reply::{self, Placement, Reply};
use super::resolution::Asking;

/// Bytes of a nonce.
const NONCE_BYTES: usize = 16;

/// An answer proves nobody, and may have been altered on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfitting;

impl Answerer {
    /// Asks the caller of a request to prove who it is; the request waits for the answer.
    pub(super) fn challenge(&self, origin: &Origin, exchange: &Exchange, message: &Message<'_>) -> Reply {
        let version = exchange.envelope.to_reply().version;
        let mut nonce = [0; NONCE_BYTES];
        self.resolver.fill_random(&mut nonce);
        let digest = digest(version, message.signed);
        let digest = RequestDigest { code: RequestDigest::code_of(version), digest: &digest };
        let challenge = Challenge { digest, nonce: &nonce };
        let session = exchange.envelope.session;
        let (key, placement) = match (&exchange.session, origin.connection()) {
            (Some(session), _) => (ChallengeKey { scope: Scope::Node, session: session.id }, Placement::Same),
            (None, Some(connection)) if session != 0 => {
                (ChallengeKey { scope: Scope::Connection(connection.number), session }, Placement::Same)
            }
            (None, _) => {
                let session = self.random_id();
                (ChallengeKey { scope: Scope::Node, session }, Placement::In(session))
            }
        };
        let asked = Challenged {
            exchange: exchange.clone(),
            challenge: challenge.signed_bytes(),
            source: origin.source(),
        };
        let bytes = exchange.message.len();
        if !self.challenges.put(key, origin.source(), bytes, asked, Instant::now()) {
            return reply::busy();
        }
        Reply {
            code: ResponseCode::AUTHENTICATION_NEEDED,
            flags: OpFlags::REQUEST_DIGEST,
            placement,
            ..Reply::success(challenge.encode(version))
        }
    }

    /// Judges the answer to a challenge and does what was asked for. Of an answer that may have been altered on the way,
    /// one that proves nobody changes nothing and is not told apart from noise.
    pub(super) async fn conclude(
        &self,
        origin: &Origin,
        exchange: &Exchange,
        frame: Frame,
        message: &Message<'_>,
    ) -> Result<Said, Unfitting> {
        let answer = match Answered::decode(message.body) {
            Ok(answer) => answer,
            Err(_) if exchange.is_malleable() => return Err(Unfitting),
            Err(reply) => {
                return Ok(self.say(origin, frame, exchange.session.clone(), Done::Reply(reply)).await);
            }
        };
        let found = self.waiting(origin, exchange.envelope.session);
        let newest = found.first().map(|found| found.number);
        let mut first = None;
        for found in found {
            match self.judge(origin, &found.asked, &answer).await {
                Ok(caller) => {
                    if !self.challenges.take(found.number) {
                        break;
                    }
                    // Who answers from where the challenge was sent receives what is sent there.
                    if found.asked.source == origin.source() {
                        self.rate_limit.prove(origin.asker.ip(), Instant::now());
                    }
                    return Ok(self.complete(origin, frame, &found.asked, caller).await);
                }
                Err(reply) => first = first.or(Some((found, reply))),
            }
        }
        if exchange.is_malleable() {
            return Err(Unfitting);
        }
        // An answer that fits none is the one for the newest, whose only chance it was.
        newest.map(|number| self.challenges.take(number));
        let Some((found, reply)) = first else {
            let reply = Done::Reply(reply::no_challenge());
            return Ok(self.say(origin, frame, exchange.session.clone(), reply).await);
        };
        Ok(self.say_of(origin, frame, &found.asked, Done::Reply(reply)).await)
    }

    /// The requests that wait under a session id, the newest first.
    fn waiting(&self, origin: &Origin, session: u32) -> Vec<Found<Challenged>> {
        let now = Instant::now();
        let scope = origin.connection().map(|connection| Scope::Connection(connection.number));
        let scopes = scope.into_iter().chain([Scope::Node]);
        scopes.flat_map(|scope| self.challenges.find(&ChallengeKey { scope, session }, now)).collect()
    }

    /// The caller that an answer proves, if it is one that could be allowed the request.
    async fn judge(&self, origin: &Origin, asked: &Challenged, answer: &Answered) -> Result<Caller, Reply> {
        let message = Message::decode(&asked.exchange.message).map_err(|error| reply::unreadable(&error))?;
        self.rehearse(&message, &answer.identity).await?;
        let (proof, challenge) = (answer.proof.clone(), asked.challenge.clone());
        let proved =
            prove((&self.authority, &self.crypto_pool), origin.source(), &answer.identity, proof, challenge)
                .await;
        proved.map_err(|unproven| reply::unproven(&unproven))
    }

    /// Does what was asked for, as the caller that was proved.
    async fn complete(&self, origin: &Origin, frame: Frame, asked: &Challenged, caller: Caller) -> Said {
        if let (Some(session), Voucher::Session) = (&asked.exchange.session, asked.exchange.voucher) {
            session.prove(caller.clone());
        }
        let exchange = Exchange { caller, ..asked.exchange.clone() };
        let done = match Message::decode(&exchange.message) {
            Ok(message) => self.perform(origin, &exchange, &message, Stage::Proved).await,
            Err(error) => Done::Reply(reply::unreadable(&error)),
        };
        self.say_of(origin, frame, asked, done).await
    }

    /// Says what came of a request whose challenge was answered: under its operation, and in no session when its own was
    /// made for the challenge alone.
    async fn say_of(&self, origin: &Origin, frame: Frame, asked: &Challenged, done: Done) -> Said {
        let session = asked.exchange.session.clone();
        let frame = match Message::decode(&asked.exchange.message) {
            Ok(message) => frame.completing(&message.header),
            Err(_) => frame,
        };
        let was_outside = session.is_none() && asked.exchange.envelope.session == 0;
        let done = match done {
            Done::Reply(reply) if was_outside && reply.placement == Placement::Same => {
                Done::Reply(Reply { placement: Placement::In(0), ..reply })
            }
            done => done,
        };
        self.say(origin, frame, session, done).await
    }

    /// Refuses whoever could not be allowed a request, were it proved; everything else is told when it is.
    async fn rehearse(&self, message: &Message<'_>, identity: &Identity) -> Result<(), Reply> {
        let caller = Caller::Identity(KeyHolder::supposed(identity.clone()));
        let checked = match message.header.op {
            OpCode::LOGIN_KEY => return same_user(message.body, identity, self.resolver.folding()),
            OpCode::RESOLUTION => {
                let asking = Asking::decode(message.body)?;
                let Ok(answer) = self.resolver.answer(&caller, &asking.question).await else {
                    return Ok(());
                };
                return match asking.outcome(answer, Wanted::All, &caller) {
                    QuestionOutcome::Hidden(Hidden::FromCaller) => Err(reply::hidden(Hidden::FromCaller)),
                    _ => Ok(()),
                };
            }
            OpCode::LIST_HANDLES => {
                self.authority.check_list(&caller, &change::named_prefix(message.body)?).await
            }
            OpCode::LIST_HOMED_PREFIXES => self.resolver.homed_prefixes(&caller).await.map(|_| ()),
            _ => match change::command(message, &self.resolver) {
                Some(Ok(command)) => self.registry.check(&caller, &command).await,
                Some(Err(reply)) => return Err(reply),
                None => Ok(()),
            },
        };
        match checked {
            Err(Problem::Refused(refusal @ Refusal::NotAdministrator { .. })) => {
                Err(reply::refusal(&refusal))
            }
            Err(Problem::Failed(failure)) => Err(reply::failure(&failure)),
            Ok(()) | Err(Problem::Refused(_)) => Ok(()),
        }
    }
}

/// An answer to a challenge, decoded: who says so, and the proof.
struct Answered {
    identity: Identity,
    proof: Proof,
}

impl Answered {
    fn decode(body: &[u8]) -> Result<Self, Reply> {
        let answer = ChallengeAnswer::decode(body).map_err(|error| reply::unreadable(&error))?;
        let proof = match answer.kind {
            ChallengeAnswer::PUBLIC_KEY => {
                let signed =
                    SignedAnswer::decode(answer.answer).map_err(|error| reply::unreadable(&error))?;
                Proof::PublicKey { hash: signed.hash.to_vec(), signature: signed.signature.to_vec() }
            }
            ChallengeAnswer::SECRET_KEY => Proof::Secret { answer: answer.answer.to_vec() },
            unknown => return Err(reply::unknown_proof(unknown)),
        };
        Ok(Self { identity: identity(answer.user, answer.index)?, proof })
    }
}
