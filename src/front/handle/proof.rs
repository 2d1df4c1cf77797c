//! Proofs: challenges and their answers.
//!
//! ```text
//!   request without proof, that an administrator may make ─▶ challenge: nonce and digest of the request
//!   answer ─ was the key of its identity used? ─▶ the request is performed as that caller
//! ```
//! What the identity may do is decided once it is proved: nobody else learns who is an administrator. An answer given in
//! a session proves the session, until its key is withdrawn; then the session is challenged again.

use std::time::Instant;

use crate::authority::caller::Caller;
use crate::authority::credential::Proof;
use crate::front::handle_semantics::proof::prove;
use crate::key::secret::AnswerForms;
use crate::model::identity::Identity;
use crate::wire::handle::body::challenge::{Challenge, ChallengeAnswer, RequestDigest, SignedAnswer};
use crate::wire::handle::code::{OpCode, Version};
use crate::wire::handle::message::Message;

use super::challenge::{ChallengeKey, Found, Scope};
use super::frame::{Frame, digest};
use super::login::{identity, same_user};
use super::opened_message::{Integrity, OpenedMessage, PendingRequest};
use super::origin::Origin;
use super::outcome::{Outgoing, RequestOutcome, Stage};
use super::reply::{self, Reply, ReplySession};
use super::responder::Responder;

/// Bytes of a nonce.
const NONCE_BYTES: usize = 16;

/// The answer proves no identity, and may have been altered on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UnusableAnswer;

impl Responder {
    /// Challenges the caller of a request; the request waits for the answer.
    pub(super) fn challenge(&self, origin: &Origin, opened: &OpenedMessage, message: &Message<'_>) -> Reply {
        let version = opened.envelope.to_reply().version;
        let mut nonce = [0; NONCE_BYTES];
        self.resolver.fill_random(&mut nonce);
        let digest = digest(version, message.signed);
        let digest = RequestDigest { code: RequestDigest::code_of(version), digest: &digest };
        let challenge = Challenge { digest, nonce: &nonce };
        let session = opened.envelope.session;
        let (key, reply_session) = match (&opened.session, origin.connection()) {
            (Some(session), _) => {
                (ChallengeKey { scope: Scope::Node, session: session.id }, ReplySession::OfRequest)
            }
            (None, Some(connection)) if session != 0 => (
                ChallengeKey { scope: Scope::Connection(connection.number), session },
                ReplySession::OfRequest,
            ),
            (None, _) => {
                let session = self.random_id();
                (ChallengeKey { scope: Scope::Node, session }, ReplySession::Id(session))
            }
        };
        let pending = PendingRequest {
            opened: opened.clone(),
            challenge: challenge.signed_bytes(),
            source: origin.source,
        };
        let bytes = opened.message.len();
        if !self.challenges.put(key, origin.source, bytes, pending, Instant::now()) {
            return reply::busy();
        }
        reply::challenge(reply_session, challenge.encode(version))
    }

    /// Judges the answer to a challenge and performs the request that waits for it.
    ///
    /// An answer that may have been altered on its way and proves no identity changes nothing, and its reply does not
    /// differ from that to random bytes.
    pub(super) async fn conclude(
        &self,
        origin: &Origin,
        opened: &OpenedMessage,
        frame: Frame,
        message: &Message<'_>,
    ) -> Result<Outgoing, UnusableAnswer> {
        let answer = match ProofAnswer::decode(message.body) {
            Ok(answer) => answer,
            Err(_) if opened.is_malleable() => return Err(UnusableAnswer),
            Err(reply) => {
                return Ok(self
                    .outgoing(origin, frame, opened.session.clone(), RequestOutcome::Reply(reply))
                    .await);
            }
        };
        let found = self.waiting(origin, opened.envelope.session);
        let newest = found.first().map(|found| found.number);
        let mut first = None;
        for found in found {
            match self.judge(origin, &found.pending, &answer).await {
                Ok(caller) => {
                    if !self.challenges.take(found.number) {
                        break;
                    }
                    // A correct answer from the address of the challenge proves that the client receives what is sent there.
                    if found.pending.source == origin.source {
                        self.rate_limit.prove(origin.client.ip(), Instant::now());
                    }
                    return Ok(self.complete(origin, frame, &found.pending, caller).await);
                }
                Err(reply) => first = first.or(Some((found, reply))),
            }
        }
        if opened.is_malleable() {
            return Err(UnusableAnswer);
        }
        // A wrong answer uses up the newest challenge: each can be answered once.
        newest.map(|number| self.challenges.take(number));
        let Some((found, reply)) = first else {
            let reply = RequestOutcome::Reply(reply::no_challenge());
            return Ok(self.outgoing(origin, frame, opened.session.clone(), reply).await);
        };
        Ok(self.outgoing_of(origin, frame, &found.pending, RequestOutcome::Reply(reply)).await)
    }

    /// The requests that wait under a session id, the newest first.
    fn waiting(&self, origin: &Origin, session: u32) -> Vec<Found<PendingRequest>> {
        let now = Instant::now();
        let scope = origin.connection().map(|connection| Scope::Connection(connection.number));
        let scopes = scope.into_iter().chain([Scope::Node]);
        scopes.flat_map(|scope| self.challenges.find(&ChallengeKey { scope, session }, now)).collect()
    }

    /// The caller that an answer proves. Whoever logs in proves the identity that it names.
    async fn judge(
        &self,
        origin: &Origin,
        pending: &PendingRequest,
        answer: &ProofAnswer,
    ) -> Result<Caller, Reply> {
        let message = Message::decode(&pending.opened.message).map_err(|error| reply::unreadable(&error))?;
        if message.header.op == OpCode::LOGIN_KEY {
            same_user(message.body, &answer.identity, self.resolver.folding())?;
        }
        let version = pending.opened.envelope.to_reply().version;
        let (proof, challenge) = (answer.proof_in(version), pending.challenge.clone());
        let proved =
            prove((&self.authority, &self.crypto_pool), origin.source, &answer.identity, proof, challenge)
                .await;
        proved.map_err(|unproven| reply::unproven(&unproven))
    }

    /// Performs a request as the caller that was proved.
    async fn complete(
        &self,
        origin: &Origin,
        frame: Frame,
        pending: &PendingRequest,
        caller: Caller,
    ) -> Outgoing {
        if let (Some(session), Integrity::Verified) = (&pending.opened.session, pending.opened.integrity) {
            session.prove(caller.clone());
        }
        let opened = OpenedMessage { caller, ..pending.opened.clone() };
        let outcome = match Message::decode(&opened.message) {
            Ok(message) => self.perform(origin, &opened, &message, Stage::Proved).await,
            Err(error) => RequestOutcome::Reply(reply::unreadable(&error)),
        };
        self.outgoing_of(origin, frame, pending, outcome).await
    }

    /// The messages that report the outcome of a request whose challenge was answered: with the operation of the request,
    /// and outside of any session when the session id was made for the challenge alone.
    async fn outgoing_of(
        &self,
        origin: &Origin,
        frame: Frame,
        pending: &PendingRequest,
        outcome: RequestOutcome,
    ) -> Outgoing {
        let session = pending.opened.session.clone();
        let frame = match Message::decode(&pending.opened.message) {
            Ok(message) => frame.completing(&message.header),
            Err(_) => frame,
        };
        let was_outside = session.is_none() && pending.opened.envelope.session == 0;
        let outcome = match outcome {
            RequestOutcome::Reply(reply) if was_outside && reply.session == ReplySession::OfRequest => {
                RequestOutcome::Reply(Reply { session: ReplySession::Id(0), ..reply })
            }
            outcome => outcome,
        };
        self.outgoing(origin, frame, session, outcome).await
    }
}

/// An answer to a challenge: the claimed identity, and the proof.
struct ProofAnswer {
    identity: Identity,
    proof: ShownProof,
}

/// A proof as the client shows it.
enum ShownProof {
    /// A signature of a public key.
    Public { hash: Vec<u8>, signature: Vec<u8> },
    /// An answer of a secret key.
    Secret(Vec<u8>),
}

impl ProofAnswer {
    fn decode(body: &[u8]) -> Result<Self, Reply> {
        let answer = ChallengeAnswer::decode(body).map_err(|error| reply::unreadable(&error))?;
        let proof = match answer.kind {
            ChallengeAnswer::PUBLIC_KEY => {
                let signed =
                    SignedAnswer::decode(answer.answer).map_err(|error| reply::unreadable(&error))?;
                ShownProof::Public { hash: signed.hash.to_vec(), signature: signed.signature.to_vec() }
            }
            ChallengeAnswer::SECRET_KEY => ShownProof::Secret(answer.answer.to_vec()),
            unknown => return Err(reply::unknown_proof(unknown)),
        };
        Ok(Self { identity: identity(answer.user, answer.index)?, proof })
    }

    /// The proof, where the challenge was in this version: the answer may be of any.
    fn proof_in(&self, version: Version) -> Proof {
        match &self.proof {
            ShownProof::Public { hash, signature } => {
                Proof::PublicKey { hash: hash.clone(), signature: signature.clone() }
            }
            ShownProof::Secret(answer) => {
                Proof::Secret { answer: answer.clone(), forms: AnswerForms::of(version) }
            }
        }
    }
}
