//! Logins, and answers to the challenges of other servers.
//!
//! A login proves a caller for its connection, under the session id that the client chose. It lasts no longer than the
//! key that proved it.

use crate::authority::credential::{Proof, Unproven};
use crate::front::handle_semantics::proof::{prove, verify_secret};
use crate::front::listen::channel::Channel;
use crate::model::identifier::Folding;
use crate::model::identity::Identity;
use crate::wire::handle::body::challenge::{Challenge, Verification, VerifyChallenge};
use crate::wire::handle::body::{HandleAndIndexes, Login, Resolution};
use crate::wire::handle::message::Message;

use super::answerer::Answerer;
use super::opened::Exchange;
use super::origin::{Origin, Way};
use super::outcome::{Done, Stage};
use super::reply::{self, Reply};
use super::resolution::identifier;

impl Answerer {
    /// Logs a caller in on its connection, under the session id of its client: after a challenge, always.
    pub(super) fn log_in(
        &self,
        origin: &Origin,
        exchange: &Exchange,
        message: &Message<'_>,
        stage: Stage,
    ) -> Done {
        let Some(connection) = origin.connection() else {
            return Done::Reply(reply::not_offered("a login holds for a connection; log in over TCP"));
        };
        if let Err(error) = Login::decode(message.body) {
            return Done::Reply(reply::unreadable(&error));
        }
        match stage {
            Stage::Asked => Done::Prove,
            Stage::Proved => {
                connection.log_in(exchange.envelope.session, exchange.caller.clone());
                Done::Reply(Reply::changed(Vec::new()))
            }
        }
    }

    /// Logs a caller in by its secret key itself: only where nobody else reads it.
    pub(super) async fn log_in_by_password(
        &self,
        origin: &Origin,
        exchange: &Exchange,
        message: &Message<'_>,
    ) -> Reply {
        let (Way::Connection(connection), Channel::Tls) = (&origin.way, origin.channel) else {
            return reply::not_offered(
                "passwords are taken over TLS only; log in by key, or connect with TLS",
            );
        };
        let Resolution { handle: user, types: passwords, .. } = match Resolution::decode(message.body) {
            Ok(decoded) => decoded,
            Err(error) => return reply::unreadable(&error),
        };
        let named = core::str::from_utf8(user).ok().and_then(|text| Identity::parse(text).ok());
        let identity = match named.map_or_else(|| identity(user, 0), Ok) {
            Ok(identity) => identity,
            Err(reply) => return reply,
        };
        let password = Proof::Password(passwords.first().copied().unwrap_or_default().to_vec());
        let provers = (&self.authority, &*self.crypto_pool);
        match prove(provers, origin.source(), &identity, password, Vec::new()).await {
            Ok(caller) => {
                connection.log_in(exchange.envelope.session, caller);
                let handle = identity.to_string();
                let body = HandleAndIndexes { handle: handle.as_bytes(), indexes: Vec::new() };
                Reply::changed(body.encode())
            }
            Err(unproven) => reply::unproven(&unproven),
        }
    }

    /// Tells another server whether an answer to its challenge was made with a secret key kept here.
    pub(super) async fn verify(&self, message: &Message<'_>) -> Reply {
        let asked = match VerifyChallenge::decode(message.body) {
            Ok(asked) => asked,
            Err(error) => return reply::unreadable(&error),
        };
        let identity = match identity(asked.user, asked.index) {
            Ok(identity) => identity,
            Err(reply) => return reply,
        };
        let challenge = Challenge { digest: asked.digest, nonce: asked.nonce }.signed_bytes();
        match verify_secret((&self.authority, &self.crypto_pool), &identity, asked.answer.to_vec(), challenge)
            .await
        {
            Ok(true) => Reply::success(Verification::Right.encode()),
            Ok(false) => Reply::success(Verification::Wrong.encode()),
            Err(unproven) => reply::unproven(&unproven),
        }
    }
}

/// Refuses an answer by another than who is to be logged in.
pub(super) fn same_user(body: &[u8], claimed: &Identity, folding: Folding) -> Result<(), Reply> {
    let Login { user, index } = Login::decode(body).map_err(|error| reply::unreadable(&error))?;
    let named = identity(user, index)?;
    let is_same = named.identifier.canonical(folding) == claimed.identifier.canonical(folding);
    if is_same && named.index == claimed.index {
        return Ok(());
    }
    Err(reply::unproven(&Unproven::Wrong { identity: claimed.clone() }))
}

/// The identity that a request names.
pub(super) fn identity(user: &[u8], index: u32) -> Result<Identity, Reply> {
    let identifier = identifier(user).map_err(|_| reply::nobody(user))?;
    Ok(Identity { index, identifier })
}
