//! Security of messages: a request is opened (decrypted, its session found, its code and count verified), and a reply is
//! closed (certified, encrypted, enclosed).

use std::sync::Arc;
use std::time::Instant;

use crate::front::listen::source::Source;
use crate::key::digest::DigestAlgorithm;
use crate::key::session::SessionKey;
use crate::key::{KeyError, PrivateKey};
use crate::registry::caller::Caller;
use crate::wire::handle::code::{OpCode, OpFlags, Version};
use crate::wire::handle::credential::{Credential, covered_bytes};
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};
use crate::wire::handle::message::{Message, seal};

use super::answerer::Answerer;
use super::frame::{Certified, Frame};
use super::opened::{Exchange, Voucher};
use super::origin::{Origin, Way};
use super::reply::{Placement, Reply, Secrecy, Unaccepted};
use super::session::Session;

/// The name of the code that sessions use, by version.
const HMAC_SHA256: &[u8] = b"HMAC-SHA256";
const SHA1_CODE: &[u8] = &[2];

//----------- Opening ------------------------------------------------------

impl Answerer {
    /// Opens a message. What a peer hears of one that fails does not depend on whether it could be decrypted.
    pub(super) fn open(
        &self,
        origin: &Origin,
        envelope: Envelope,
        message: &[u8],
    ) -> Result<Exchange, Unaccepted> {
        let now = Instant::now();
        let known = (envelope.session != 0).then(|| self.sessions.find(envelope.session, now)).flatten();
        let is_encrypted = envelope.flags.has(EnvelopeFlags::ENCRYPTED);
        let message = if is_encrypted {
            let key = known.as_ref().ok_or(Unaccepted::Unknown)?.key().ok_or(Unaccepted::Key)?;
            key.decrypt(envelope.version, message).map_err(|_| Unaccepted::Key)?
        } else {
            message.to_vec()
        };
        let mut exchange = Exchange {
            envelope,
            session: known.clone().filter(|_| is_encrypted),
            voucher: Voucher::Nobody,
            caller: Caller::Anonymous,
            message,
        };
        let Ok(decoded) = Message::decode(&exchange.message) else {
            return if is_encrypted { Err(Unaccepted::Key) } else { Ok(exchange) };
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
                exchange.caller = login.or_else(|| session.caller()).unwrap_or(Caller::Anonymous);
                exchange.session = Some(session);
                exchange.voucher = Voucher::Session;
            }
            // Clients answer challenges without a code, and nothing else. Were more taken, whoever alters what was
            // encrypted could tell from our replies whether its padding was right; of the answers, only those that
            // prove somebody are told apart.
            None if is_encrypted && decoded.header.op != OpCode::CHALLENGE_RESPONSE => {
                return Err(Unaccepted::Key);
            }
            None => exchange.caller = login.unwrap_or(Caller::Anonymous),
        }
        Ok(exchange)
    }
}

/// Notes that a message proves its source address: by the code of a session that was set up from that address. Its key
/// was made of what this server sent there; from elsewhere the code proves nothing about the address.
fn note_proof(origin: &Origin, session_source: Source) {
    if let Way::Datagrams(state) = &origin.way
        && session_source == origin.source()
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

impl Answerer {
    /// The whole of a reply: certified when that was asked for, encrypted when the request was or the reply must be.
    pub(super) async fn close(
        &self,
        source: Source,
        frame: &Frame,
        session: Option<&Session>,
        reply: &Reply,
    ) -> Vec<u8> {
        self.counters.count_reply(reply.code);
        let now_ms = self.resolver.now_ms();
        let session = session.filter(|_| !matches!(reply.placement, Placement::Over | Placement::In(_)));
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

    /// Signs a reply with the server's key; none when too many signatures are waiting to be made.
    async fn sign(&self, source: Source, envelope: Envelope, signed: Vec<u8>) -> Option<Vec<u8>> {
        // Versions that do not agree about what is covered have no signature.
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
