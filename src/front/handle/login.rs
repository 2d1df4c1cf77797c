//! Logins, and answers to the challenges of other servers.
//!
//! A login proves a caller for its connection, under the session id that the client chose. It lasts no longer than the
//! key that proved it.

use crate::authority::credential::{Proof, Unproven};
use crate::front::handle_semantics::proof::{prove, verify_secret};
use crate::front::listen::channel::Channel;
use crate::key::digest::DigestAlgorithm;
use crate::key::secret::AnswerForms;
use crate::model::identifier::Folding;
use crate::model::identity::Identity;
use crate::wire::handle::body::challenge::{Challenge, Verification, VerifyChallenge};
use crate::wire::handle::body::{HandleAndIndexes, Login, Resolution};
use crate::wire::handle::message::Message;

use super::opened_message::OpenedMessage;
use super::origin::{Origin, Transport};
use super::outcome::{RequestOutcome, Stage};
use super::reply::{self, Reply};
use super::resolution::identifier;
use super::responder::Responder;

impl Responder {
    /// Logs a caller in on its connection, under the session id that its client chose. It always needs a challenge.
    pub(super) fn log_in(
        &self,
        origin: &Origin,
        opened: &OpenedMessage,
        message: &Message<'_>,
        stage: Stage,
    ) -> RequestOutcome {
        let Some(connection) = origin.connection() else {
            return RequestOutcome::Reply(reply::not_offered(
                "a login is valid for one connection; log in over TCP",
            ));
        };
        if let Err(error) = Login::decode(message.body) {
            return RequestOutcome::Reply(reply::unreadable(&error));
        }
        match stage {
            Stage::Received => RequestOutcome::ProofNeeded,
            Stage::Proved => {
                connection.log_in(opened.envelope.session, opened.caller.clone());
                RequestOutcome::Reply(Reply::changed(Vec::new()))
            }
        }
    }

    /// Logs a caller in by its secret key itself, over TLS only.
    pub(super) async fn log_in_by_password(
        &self,
        origin: &Origin,
        opened: &OpenedMessage,
        message: &Message<'_>,
    ) -> Reply {
        let (Transport::Connection(connection), Channel::Tls) = (&origin.transport, origin.channel) else {
            return reply::not_offered(
                "passwords are accepted over TLS only; log in by key, or connect with TLS",
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
        match prove(provers, origin.source, &identity, password, Vec::new()).await {
            Ok(caller) => {
                connection.log_in(opened.envelope.session, caller);
                let handle = identity.to_string();
                let body = HandleAndIndexes { handle: handle.as_bytes(), indexes: Vec::new() };
                Reply::changed(body.encode())
            }
            Err(unproven) => reply::unproven(&unproven),
        }
    }

    /// Reports to another server whether an answer to its challenge was made with a secret key stored here.
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
        // The digest shows the version in which the other server challenged its client.
        let is_old = asked.digest.digest.len() == DigestAlgorithm::Md5.bytes();
        let forms = if is_old { AnswerForms::WithMd5 } else { AnswerForms::Current };
        let answer = (asked.answer.to_vec(), forms);
        match verify_secret((&self.authority, &self.crypto_pool), &identity, answer, challenge).await {
            Ok(true) => Reply::success(Verification::Right.encode()),
            Ok(false) => Reply::success(Verification::Wrong.encode()),
            Err(unproven) => reply::unproven(&unproven),
        }
    }
}

/// Refuses an answer by another identity than the one that is to be logged in.
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
    let identifier = identifier(user).map_err(|_| reply::not_an_identity(user))?;
    Ok(Identity { index, identifier })
}
