//! Security of messages: a request is opened (decrypted, its session found, its code and count verified), and a reply is
//! closed (certified, encrypted, enclosed). A reply that should be signed and cannot be is replaced by the failure, except
//! for the outcome of a change.

use std::sync::Arc;
use std::time::Instant;

use crate::authority::caller::Caller;
use crate::front::listen::source::Source;
use crate::key::digest::DigestAlgorithm;
use crate::key::session::SessionKey;
use crate::key::{KeyError, PrivateKey};
use crate::model::refusal::Failure;
use crate::telemetry::bug_shown_by;
use crate::wire::handle::code::{OpCode, OpFlags, Version};
use crate::wire::handle::credential::{Credential, covered_bytes};
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};
use crate::wire::handle::message::{Message, seal};

use super::frame::{Certified, Frame};
use super::opened_message::{Integrity, OpenedMessage};
use super::origin::{Origin, Transport};
use super::reply::{self, Reply, ReplySession, Secrecy, Unaccepted};
use super::reply_cache::Effect;
use super::responder::Responder;
use super::session::Session;

/// The name of the code that sessions use, by version.
const HMAC_SHA256: &[u8] = b"HMAC-SHA256";
const SHA1_CODE: &[u8] = &[2];

//----------- Opening --------------------------------------------------------

impl Responder {
    /// Opens a message. The reply to one that cannot be opened does not reveal whether it could be decrypted.
    pub(super) fn open(
        &self,
        origin: &Origin,
        envelope: Envelope,
        message: &[u8],
    ) -> Result<OpenedMessage, Unaccepted> {
        let now = Instant::now();
        let known = (envelope.session != 0).then(|| self.sessions.find(envelope.session, now)).flatten();
        let is_encrypted = envelope.flags.has(EnvelopeFlags::ENCRYPTED);
        let message = if is_encrypted {
            let key = known.as_ref().ok_or(Unaccepted::Unknown)?.key().ok_or(Unaccepted::Key)?;
            key.decrypt(envelope.version, message).map_err(|_| Unaccepted::Key)?
        } else {
            message.to_vec()
        };
        let mut opened = OpenedMessage {
            envelope,
            session: known.clone().filter(|_| is_encrypted),
            integrity: Integrity::Unverified,
            caller: Caller::Anonymous,
            message,
        };
        let Ok(decoded) = Message::decode(&opened.message) else {
            return if is_encrypted { Err(Unaccepted::Key) } else { Ok(opened) };
        };
        let login = origin.connection().and_then(|connection| connection.caller(envelope.session));
        match decoded.credential.filter(|credential| credential.kind == Credential::MAC) {
            Some(credential) => {
                let session = known.ok_or(Unaccepted::Unknown)?;
                let key = session.key().ok_or(Unaccepted::Key)?;
                verify(&key, &envelope, &credential, decoded.signed).map_err(|_| Unaccepted::Key)?;
                if !session.take_count(credential.counter) {
                    return Err(Unaccepted::Repeated);
                }
                self.sessions.touch(&session, now);
                note_proof(origin, session.source());
                opened.caller = login.or_else(|| session.caller()).unwrap_or(Caller::Anonymous);
                opened.session = Some(session);
                opened.integrity = Integrity::Verified;
            }
            // Clients leave the code out of answers to challenges only. If other encrypted messages were accepted
            // without it, an attacker who alters the ciphertext could learn from our replies whether the padding was
            // right; among answers, only those that prove an identity are replied to differently.
            None if is_encrypted && decoded.header.op != OpCode::CHALLENGE_RESPONSE => {
                return Err(Unaccepted::Key);
            }
            None => opened.caller = login.unwrap_or(Caller::Anonymous),
        }
        Ok(opened)
    }
}

/// Records that a message proves its source address: by the code of a session that was set up from that address. The key
/// depends on what this server sent there; the code of a session from elsewhere proves nothing about the address.
fn note_proof(origin: &Origin, session_source: Source) {
    if let Transport::Datagrams(state) = &origin.transport
        && session_source == origin.source
    {
        state.note_proof();
    }
}

fn verify(
    key: &SessionKey,
    envelope: &Envelope,
    credential: &Credential<'_>,
    signed: &[u8],
) -> Result<(), KeyError> {
    let covered = covered_bytes(envelope, credential.counter, signed).ok_or(KeyError::Wrong)?;
    key.verify_mac(envelope.version, &covered, credential.signature)
}

//----------- Closing --------------------------------------------------------

impl Responder {
    /// Closes a reply: certified if the request wants it, encrypted if the request was or the reply has to be.
    pub(super) async fn close(
        &self,
        source: Source,
        frame: &Frame,
        session: Option<&Session>,
        reply: &Reply,
    ) -> Closed {
        let session = session.filter(|_| !matches!(reply.session, ReplySession::Ended | ReplySession::Id(_)));
        let key = session.and_then(|session| Some((session, session.key()?)));
        let is_certified = frame.header.flags.has(OpFlags::CERTIFY);
        let Some((session, key)) = key else {
            return if is_certified {
                self.close_signed(source, frame, reply).await
            } else {
                Closed::Reported(self.write(frame, reply, self.resolver.now_ms()))
            };
        };
        self.counters.count_reply(reply.code);
        let certified = if is_certified { Certified::Yes } else { Certified::No };
        let (envelope, signed) = frame.write(reply, certified, self.resolver.now_ms());
        let message = match certified {
            Certified::Yes => authenticate(&envelope, session.next_count(), &key, signed),
            Certified::No => seal(signed, None),
        };
        let was_encrypted = frame.envelope.flags.has(EnvelopeFlags::ENCRYPTED);
        let is_encrypted = was_encrypted
            || frame.header.flags.has(OpFlags::ENCRYPT)
            || (reply.secrecy == Secrecy::Restricted && envelope.version >= Version::V2_8);
        if !is_encrypted {
            return Closed::Reported(envelope.enclose(&message));
        }
        let random = |bytes: &mut [u8]| self.resolver.fill_random(bytes);
        let encrypted = key.encrypt(envelope.version, &message, &random);
        let flags = envelope.flags.with(EnvelopeFlags::ENCRYPTED);
        Closed::Reported(Envelope { flags, ..envelope }.enclose(&encrypted))
    }

    /// Closes a reply outside of a session with a signature of this server. Clients of some versions do not agree about what
    /// is signed; they get no signature.
    async fn close_signed(&self, source: Source, frame: &Frame, reply: &Reply) -> Closed {
        let now_ms = self.resolver.now_ms();
        let (envelope, signed) = frame.write(reply, Certified::Yes, now_ms);
        let Some(covered) = covered_bytes(&envelope, 0, &signed) else {
            return Closed::Reported(self.write(frame, reply, now_ms));
        };
        match self.sign(source, envelope.version, covered).await {
            Ok(signature) => {
                self.counters.count_reply(reply.code);
                Closed::Reported(envelope.enclose(&seal(signed, Some(&signature.credential()))))
            }
            // The change is on disk, and its client has to learn that, if without a signature.
            Err(_) if reply.effect == Effect::Changed => Closed::Reported(self.write(frame, reply, now_ms)),
            Err(failure) => Closed::Failed(self.write(frame, &reply::failure(&failure), now_ms)),
        }
    }

    /// Signs bytes with the key of this server.
    async fn sign(&self, source: Source, version: Version, covered: Vec<u8>) -> Result<Signature, Failure> {
        let key = Arc::clone(&self.server_key);
        let resolver = Arc::clone(&self.resolver);
        let algorithm = match &*key {
            PrivateKey::Sm2(_) => DigestAlgorithm::Sm3,
            PrivateKey::Rsa(_) if version >= Version::V2_7 => DigestAlgorithm::Sha256,
            PrivateKey::Dsa(_) if version >= Version::V2_11 => DigestAlgorithm::Sha256,
            PrivateKey::Rsa(_) | PrivateKey::Dsa(_) => DigestAlgorithm::Sha1,
        };
        let made = self.crypto_pool.run(source, move || {
            key.sign(algorithm, &covered, &|bytes: &mut [u8]| resolver.fill_random(bytes))
        });
        let bytes = made.await?.map_err(|error| bug_shown_by("the key of this server signs", &error))?;
        Ok(Signature { algorithm, bytes })
    }
}

/// The message that reports a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// The reply, closed as the request asked for; the outcome of a change perhaps without a signature.
    Reported(Vec<u8>),
    /// A failure in its place, because it could not be signed.
    Failed(Vec<u8>),
}

impl Closed {
    /// The bytes of the message.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Reported(bytes) | Self::Failed(bytes) => bytes,
        }
    }
}

/// A signature of this server.
struct Signature {
    algorithm: DigestAlgorithm,
    bytes: Vec<u8>,
}

impl Signature {
    fn credential(&self) -> Credential<'_> {
        Credential {
            kind: Credential::SIGNED,
            algorithm: self.algorithm.name().as_bytes(),
            signature: &self.bytes,
            ..Credential::default()
        }
    }
}

fn authenticate(envelope: &Envelope, count: u32, key: &SessionKey, signed: Vec<u8>) -> Vec<u8> {
    let Some(covered) = covered_bytes(envelope, count, &signed) else {
        return seal(signed, None);
    };
    let mac = key.mac(envelope.version, &covered);
    let algorithm = if envelope.version >= Version::V2_7 { HMAC_SHA256 } else { SHA1_CODE };
    let credential = Credential {
        counter: count,
        kind: Credential::MAC,
        algorithm,
        signature: &mac,
        ..Credential::default()
    };
    seal(signed, Some(&credential))
}

#[cfg(test)]
mod tests;
