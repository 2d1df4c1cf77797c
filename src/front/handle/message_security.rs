//! Security of messages: a request is opened (decrypted, its session found, its code and count verified), and a reply is
//! closed (certified, encrypted, enclosed).

use std::sync::Arc;
use std::time::Instant;

use crate::authority::caller::Caller;
use crate::front::listen::source::Source;
use crate::key::digest::DigestAlgorithm;
use crate::key::session::SessionKey;
use crate::key::{KeyError, PrivateKey};
use crate::wire::handle::code::{OpCode, OpFlags, Version};
use crate::wire::handle::credential::{Credential, covered_bytes};
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};
use crate::wire::handle::message::{Message, seal};

use super::frame::{Certified, Frame};
use super::opened_message::{Integrity, OpenedMessage};
use super::origin::{Origin, Transport};
use super::reply::{Reply, ReplySession, Secrecy, Unaccepted};
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
    /// The bytes of a reply: certified if the request wants it, encrypted if the request was or the reply has to be.
    pub(super) async fn close(
        &self,
        source: Source,
        frame: &Frame,
        session: Option<&Session>,
        reply: &Reply,
    ) -> Vec<u8> {
        self.counters.count_reply(reply.code);
        let now_ms = self.resolver.now_ms();
        let session = session.filter(|_| !matches!(reply.session, ReplySession::Ended | ReplySession::Id(_)));
        let key = session.and_then(|session| Some((session, session.key()?)));
        let (envelope, message) = match &key {
            Some((session, key)) if frame.header.flags.has(OpFlags::CERTIFY) => {
                let (envelope, signed) = frame.write(reply, Certified::Yes, now_ms);
                (envelope, authenticate(&envelope, session.next_count(), key, signed))
            }
            None if frame.header.flags.has(OpFlags::CERTIFY) => {
                let (envelope, signed) = frame.write(reply, Certified::Yes, now_ms);
                match self.sign(source, envelope, signed).await {
                    Some(message) => (envelope, message),
                    None => {
                        let (envelope, signed) = frame.write(reply, Certified::No, now_ms);
                        (envelope, seal(signed, None))
                    }
                }
            }
            Some(_) | None => {
                let (envelope, signed) = frame.write(reply, Certified::No, now_ms);
                (envelope, seal(signed, None))
            }
        };
        let was_encrypted = frame.envelope.flags.has(EnvelopeFlags::ENCRYPTED);
        let is_wanted = was_encrypted
            || frame.header.flags.has(OpFlags::ENCRYPT)
            || (reply.secrecy == Secrecy::Restricted && envelope.version >= Version::V2_8);
        match key {
            Some((_, key)) if is_wanted => {
                let random = |bytes: &mut [u8]| self.resolver.fill_random(bytes);
                let encrypted = key.encrypt(envelope.version, &message, &random);
                let flags = envelope.flags.with(EnvelopeFlags::ENCRYPTED);
                Envelope { flags, ..envelope }.enclose(&encrypted)
            }
            Some(_) | None => envelope.enclose(&message),
        }
    }

    /// Signs a reply with the key of this server; none when too many signatures are queued.
    async fn sign(&self, source: Source, envelope: Envelope, signed: Vec<u8>) -> Option<Vec<u8>> {
        // Clients of some versions do not agree about what is signed; they get no signature.
        let covered = covered_bytes(&envelope, 0, &signed)?;
        let key = Arc::clone(&self.server_key);
        let resolver = Arc::clone(&self.resolver);
        let algorithm = match &*key {
            PrivateKey::Sm2(_) => DigestAlgorithm::Sm3,
            PrivateKey::Rsa(_) if envelope.version >= Version::V2_7 => DigestAlgorithm::Sha256,
            PrivateKey::Dsa(_) if envelope.version >= Version::V2_11 => DigestAlgorithm::Sha256,
            PrivateKey::Rsa(_) | PrivateKey::Dsa(_) => DigestAlgorithm::Sha1,
        };
        let made = self.crypto_pool.run(source, move || {
            key.sign(algorithm, &covered, &|bytes: &mut [u8]| resolver.fill_random(bytes))
        });
        let signature = made.await?.ok()?;
        let credential = Credential {
            kind: Credential::SIGNED,
            algorithm: algorithm.name().as_bytes(),
            signature: &signature,
            ..Credential::default()
        };
        Some(seal(signed, Some(&credential)))
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
