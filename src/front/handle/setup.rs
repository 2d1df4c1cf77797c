//! Sessions: their setup, and their end.

use std::sync::Arc;
use std::time::Instant;

use crate::authority::caller::Caller;
use crate::front::listen::source::Source;
use crate::key::session::{Agreement, Cipher, SessionKey};
use crate::key::{KeyError, PublicKey};
use crate::model::refusal::{Problem, Refusal};
use crate::model::value::{Index, Value, ValueType};
use crate::resolver::answer::{Answer, Question, Referral};
use crate::resolver::recursion::{Recursion, Unanswered};
use crate::wire::handle::body::session::{
    Exchange as KeyExchange, ExchangeKey, SessionKeyBytes, SessionReply, SessionSetup,
};
use crate::wire::handle::code::Version;
use crate::wire::handle::message::Message;

use super::opened_message::{Integrity, OpenedMessage};
use super::origin::Origin;
use super::reply::{self, NoSession, Reply, ReplySession, Unaccepted};
use super::resolution::identifier;
use super::responder::Responder;
use super::session::HasKey;

impl Responder {
    /// Begins a session.
    pub(super) async fn set_up(&self, origin: &Origin, version: Version, message: &Message<'_>) -> Reply {
        let setup = match SessionSetup::decode(message.body) {
            Ok(setup) => setup,
            Err(error) => return reply::unreadable(&error),
        };
        let source = origin.source;
        let made = match setup.exchange {
            KeyExchange::DiffieHellman(half) => self.agree(source, half, version).await,
            KeyExchange::ClientKey(key) => self.seal(source, key.to_vec(), version).await,
            KeyExchange::KeyInHandle { handle, index } => {
                match self.key_in_handle(handle, index, origin.recursion()).await {
                    Ok(key) => self.seal(source, key, version).await,
                    Err(reply) => Err(reply),
                }
            }
            KeyExchange::ServerKey => Ok((None, self.public_key.clone())),
            KeyExchange::Unknown(mode) => Err(reply::no_session(&NoSession::UnknownMode(mode))),
        };
        let (key, data) = match made {
            Ok(made) => made,
            Err(reply) => return reply,
        };
        let ids = || self.random_id();
        let Some(session) = self.sessions.open(source, setup.timeout, key, ids, Instant::now()) else {
            return reply::busy();
        };
        let body = SessionReply { mode: setup.exchange.mode(), data: &data }.encode();
        Reply { session: ReplySession::Id(session.id), ..Reply::success(body) }
    }

    /// Diffie-Hellman: the key that is agreed on, and our half for the client.
    async fn agree(
        &self,
        source: Source,
        half: &[u8],
        version: Version,
    ) -> Result<(Option<SessionKey>, Vec<u8>), Reply> {
        let cipher = cipher_of(version);
        let (half, resolver) = (half.to_vec(), Arc::clone(&self.resolver));
        let agreed = self.crypto_pool.run(source, move || {
            let (agreement, peer) = Agreement::join(&half, &|bytes: &mut [u8]| resolver.fill_random(bytes))?;
            Ok::<_, KeyError>((agreement.key(&peer, cipher)?, agreement.half()))
        });
        let agreed = agreed.await.map_err(|failure| reply::failure(&failure))?;
        let (key, half) = agreed.map_err(unusable)?;
        if version < Version::V2_4 {
            return Ok((Some(key), half));
        }
        Ok((Some(key), SessionKeyBytes { algorithm: cipher.code(), key: &half }.encode()))
    }

    /// A key that this server makes, and the same encrypted to a public key of the client.
    async fn seal(
        &self,
        source: Source,
        key: Vec<u8>,
        version: Version,
    ) -> Result<(Option<SessionKey>, Vec<u8>), Reply> {
        let cipher = cipher_of(version);
        let resolver = Arc::clone(&self.resolver);
        let sealed = self.crypto_pool.run(source, move || {
            let random = |bytes: &mut [u8]| resolver.fill_random(bytes);
            let public = PublicKey::decode(&key)?;
            let key = SessionKey::generate(cipher, &random);
            let sealed = key.seal(&public, version, &random)?;
            Ok::<_, KeyError>((Some(key), sealed))
        });
        sealed.await.map_err(|failure| reply::failure(&failure))?.map_err(unusable)
    }

    /// The public key at an index of an identifier, here or elsewhere.
    async fn key_in_handle(&self, handle: &[u8], index: u32, recursion: Recursion) -> Result<Vec<u8>, Reply> {
        let identifier = identifier(handle).map_err(|malformed| malformed.in_command())?;
        let indexes = Index::new(index).into_iter().collect();
        let types = ValueType::new(ValueType::HS_PUBKEY).into_iter().collect();
        let question = if index == 0 {
            Question { identifier, indexes: Vec::new(), types }
        } else {
            Question { identifier, indexes, types: Vec::new() }
        };
        let is_key = |value: &Value| value.value_type.is(ValueType::HS_PUBKEY);
        let absent = || reply::no_session(&NoSession::NoKey(Problem::Refused(Refusal::Absent)));
        match self.resolver.recurse(&Caller::Anonymous, &question, recursion).await {
            Ok(Answer::Values(found)) => {
                found.values.into_iter().find(is_key).map(|value| value.data).ok_or_else(absent)
            }
            Ok(Answer::Referral(Referral { unanswered: Some(unanswered), .. })) => {
                Err(reply::unanswered(&unanswered))
            }
            Ok(Answer::Absent(_) | Answer::Referral(_) | Answer::NotResponsible(_)) => Err(absent()),
            Err(Unanswered::Here(problem)) => Err(reply::no_session(&NoSession::NoKey(problem))),
            Err(unanswered) => Err(reply::unanswered(&unanswered)),
        }
    }

    /// Accepts the key that the client made for its session.
    pub(super) async fn exchange_key(
        &self,
        origin: &Origin,
        opened: &OpenedMessage,
        message: &Message<'_>,
    ) -> Reply {
        let source = origin.source;
        let ExchangeKey(sealed) = match ExchangeKey::decode(message.body) {
            Ok(decoded) => decoded,
            Err(error) => return reply::unreadable(&error),
        };
        let awaiting = self.sessions.find(opened.envelope.session, Instant::now());
        let Some(session) = awaiting.filter(|session| session.key().is_none()) else {
            return reply::no_session(&NoSession::NotExpected);
        };
        let (sealed, key) = (sealed.to_vec(), Arc::clone(&self.server_key));
        let (version, resolver) = (opened.envelope.version, Arc::clone(&self.resolver));
        let unsealed = self.crypto_pool.run(source, move || {
            SessionKey::unseal(&key, version, &sealed, &|bytes: &mut [u8]| resolver.fill_random(bytes))
        });
        match unsealed.await {
            Ok(Ok(key)) => match session.set_key(key) {
                Ok(()) => Reply::changed(Vec::new()),
                Err(HasKey) => reply::no_session(&NoSession::NotExpected),
            },
            Ok(Err(_)) => reply::unaccepted(Unaccepted::Key),
            Err(failure) => reply::failure(&failure),
        }
    }

    /// Ends a session; the request has to be protected by its key.
    pub(super) fn terminate(&self, opened: &OpenedMessage) -> Reply {
        match (&opened.session, opened.integrity) {
            (Some(session), Integrity::Verified) => {
                self.sessions.end(session.id);
                Reply { session: ReplySession::Ended, ..Reply::changed(Vec::new()) }
            }
            (Some(_) | None, _) => reply::unaccepted(Unaccepted::Unknown),
        }
    }
}

/// The cipher of sessions of a version.
fn cipher_of(version: Version) -> Cipher {
    if version >= Version::V2_4 { Cipher::Aes } else { Cipher::Des }
}

fn unusable(error: KeyError) -> Reply {
    reply::no_session(&NoSession::Key(error))
}
