//! Exchanges: a message opened (decrypted, its session found, its code and count verified), and replies closed again
//! (certified, encrypted, enclosed).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::front::listen::channel::Channel;
use crate::front::listen::slots::SlotUse;
use crate::front::listen::source::Source;
use crate::front::listen::udp_rate_limit::AddressProof;
use crate::key::digest::DigestAlgorithm;
use crate::key::session::SessionKey;
use crate::key::{KeyError, PrivateKey};
use crate::registry::caller::Caller;
use crate::wire::handle::code::{OpCode, OpFlags, Version};
use crate::wire::handle::credential::{Credential, covered_bytes};
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};
use crate::wire::handle::message::{Message, seal};

use super::answer::Answerer;
use super::frame::{Certified, Frame};
use super::reply::{Placement, Reply, Secrecy, Unaccepted};
use super::session::Session;

/// Logins that one connection holds at most.
const LOGINS_MAX: usize = 64;
/// The name of the code that sessions use, by version.
const HMAC_SHA256: &[u8] = b"HMAC-SHA256";
const SHA1_CODE: &[u8] = &[2];

//----------- Origin ---------------------------------------------------------

/// Whence a message came.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// Who sent it.
    pub(super) asker: SocketAddr,
    /// Which of our addresses was asked, where that is known.
    pub(super) own: Option<SocketAddr>,
    /// Which way it came.
    pub(super) way: Way,
    /// How its bytes travel.
    pub(super) channel: Channel,
}

/// Which way a message came.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// In datagrams: an answer is one message.
    Datagrams(Arc<DatagramState>),
    /// On a connection.
    Connection(Arc<ConnectionState>),
    /// Within HTTP: nothing is remembered from one message to the next.
    Tunnel,
}

impl Origin {
    /// Whom it counts for.
    pub(super) fn source(&self) -> Source {
        Source::of(self.asker.ip())
    }

    /// The connection it came on.
    pub(super) fn connection(&self) -> Option<&Arc<ConnectionState>> {
        match &self.way {
            Way::Connection(connection) => Some(connection),
            Way::Datagrams(_) | Way::Tunnel => None,
        }
    }
}

/// What a message in datagrams has proved.
#[derive(Debug, Default)]
pub(super) struct DatagramState(AtomicBool);

impl DatagramState {
    /// Whether the message itself proves that its source address is not forged.
    pub(super) fn proof(&self) -> AddressProof {
        if self.0.load(Ordering::Relaxed) { AddressProof::Given } else { AddressProof::Missing }
    }
}

/// What is remembered of a connection: who logged in on it, by the session ids that its client chose.
#[derive(Debug)]
pub(super) struct ConnectionState {
    /// Its number among all connections.
    pub(super) number: u64,
    slot: SlotUse,
    logins: Mutex<Vec<(u32, Caller)>>,
}

impl ConnectionState {
    /// A connection on which nobody logged in.
    pub(super) fn new(slot: SlotUse) -> Self {
        Self { number: slot.number(), slot, logins: Mutex::default() }
    }

    /// Who logged in under a session id.
    fn caller(&self, session: u32) -> Option<Caller> {
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.iter().find(|(id, _)| *id == session).map(|(_, caller)| caller.clone())
    }

    /// Logs somebody in under a session id; the oldest login gives way when there are too many.
    pub(super) fn log_in(&self, session: u32, caller: Caller) {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|(id, _)| *id != session);
        if logins.len() >= LOGINS_MAX {
            logins.remove(0);
        }
        logins.push((session, caller));
        self.slot.set_authenticated();
    }

    /// Forgets who logged in under a session id; false when nobody did.
    fn log_out(&self, session: u32) -> bool {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let count = logins.len();
        logins.retain(|(id, _)| *id != session);
        logins.len() < count
    }
}

//----------- Opened ---------------------------------------------------------

/// A message that may be read.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// What stood in front of it.
    pub(super) envelope: Envelope,
    /// Header, body and credential, in the clear.
    pub(super) message: Vec<u8>,
    /// Its session, when its key was used.
    pub(super) session: Option<Arc<Session>>,
    /// Whether the session vouches for it.
    pub(super) voucher: Voucher,
    /// Who sent it, as far as that was proved before.
    pub(super) caller: Caller,
}

impl Exchange {
    /// Whether it came encrypted and nothing says that it was not altered.
    pub(super) fn is_malleable(&self) -> bool {
        self.envelope.flags.has(EnvelopeFlags::ENCRYPTED) && self.voucher == Voucher::Nobody
    }

    /// Forgets the login under whose id it came; false when there is none.
    pub(super) fn forget_login(&self, origin: &Origin) -> bool {
        origin.connection().is_some_and(|connection| connection.log_out(self.envelope.session))
    }

    /// The same from nobody in particular, which is what its session is from now on.
    pub(super) fn forgotten(&self) -> Self {
        if let Some(session) = &self.session {
            session.disprove();
        }
        Self { caller: Caller::Anonymous, ..self.clone() }
    }
}

/// Whether a session vouches for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voucher {
    /// It carries a code of the session's key.
    Session,
    /// It does not.
    Nobody,
}

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
        state.0.store(true, Ordering::Relaxed);
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
