//! Who calls, by what the request shows.
//!
//! ```text
//!   Bearer       a token of the node: over TLS, from this machine, or where the configuration takes it in plain text
//!   Basic        an identity and its secret key                  ┐
//!   Handle       a session, or the answer to its challenge       ├ over TLS only
//!   certificate  an identity whose HS_PUBKEY the connection has  ┘
//! ```
//! Over plain text the last three are passed over, as if they were not there. So are a password and a certificate where a
//! function is to be called with the reply (JSONP): a page of any origin could read it in its visitor's name. A command
//! that such a page makes by them is refused. What is shown and does not hold is refused, also where nobody asked for it;
//! only a certificate that names nobody is no offense, since browsers show theirs unasked.

use axum::http::{HeaderMap, HeaderValue, header};

use super::Shared;
use super::asked::Asked;
use super::authorization::{Authorization, Parts, parse_identity};
use super::certificate;
use super::challenge::{SessionId, Standing};
use super::counters::count;
use super::denial::{Denial, DoorRefusal};
use super::origin;
use super::reply::{self, Intent};
use crate::authority::credential::{Proof, Unproven};
use crate::front::handle_semantics::proof;
use crate::front::listen::channel::Channel;
use crate::model::identity::Identity;
use crate::model::value::ValueType;
use crate::registry::caller::Caller;
use crate::registry::refusal::Problem;
use crate::wire::handle::code::ResponseCode;

/// Bytes of the longest nonce that a client may add to ours.
const CLIENT_NONCE_BYTES_MAX: usize = 1_024;

impl Shared {
    /// Finds out who calls.
    pub(super) async fn admit(&self, asked: &Asked) -> Result<Caller, Denial> {
        let admitted = self.caller(asked).await;
        match &admitted {
            Ok(Caller::Anonymous) => {}
            Ok(Caller::Node | Caller::Token(_) | Caller::Identity(_)) => {
                asked.peer.in_flight.slot().set_authenticated();
            }
            Err(_) => count(&self.counters.credentials_refused),
        }
        admitted
    }

    async fn caller(&self, asked: &Asked) -> Result<Caller, Denial> {
        let shown = asked.header(header::AUTHORIZATION).map(Authorization::parse);
        match shown {
            Some(Authorization::Bearer(token)) => self.token_holder(asked, token),
            _ if asked.peer.channel == Channel::Plain => Ok(Caller::Anonymous),
            // A browser shows these by itself, also for a script that a page of another origin loads and reads.
            None | Some(Authorization::Basic(..)) if asked.manner.callback.is_some() => Ok(Caller::Anonymous),
            None => self.perhaps_certified(asked).await,
            Some(Authorization::Basic(identity, password)) => {
                check_page(asked)?;
                self.prove(asked, &identity, Proof::Password(password), Vec::new()).await
            }
            Some(Authorization::Handle(parts)) if parts.is_answer() => {
                self.answered(asked, &parts).await.map(|(_, caller)| caller)
            }
            Some(Authorization::Handle(parts)) if parts.get("sessionId").is_some() => {
                self.session_holder(asked, &parts).await
            }
            Some(Authorization::Handle(parts)) if parts.wishes_certificate() => self.certified(asked).await,
            Some(Authorization::Handle(_) | Authorization::Other) => {
                Err(complain("the authorization is not understood"))
            }
        }
    }

    fn token_holder(&self, asked: &Asked, token: &str) -> Result<Caller, Denial> {
        if asked.peer.is_overheard() && !self.allow_tokens_in_plain_text {
            return Err(complain(
                "a token was shown in plain text; use TLS, and have this token revoked if others could read it",
            ));
        }
        Ok(self.authority.authenticate(token)?)
    }

    /// The identity of the certificate, if there is one that names somebody.
    async fn perhaps_certified(&self, asked: &Asked) -> Result<Caller, Denial> {
        match self.certified(asked).await {
            Err(foreign @ Denial::Here(DoorRefusal::ForeignPage)) => Err(foreign),
            certified => Ok(certified.unwrap_or(Caller::Anonymous)),
        }
    }

    /// The identity that the certificate of the connection names, when the key is its own.
    async fn certified(&self, asked: &Asked) -> Result<Caller, Denial> {
        let shown = asked.peer.certificate.as_deref();
        let shown = shown.ok_or_else(|| complain("the connection shows no certificate"))?;
        check_page(asked)?;
        let (identity, key) = certificate::read(shown).ok_or_else(|| {
            complain(
                "the certificate names no identity such as UID=300:88.118.8/a, or has a key of another kind",
            )
        })?;
        self.prove(asked, &identity, Proof::Certificate { key }, Vec::new()).await
    }

    /// Whose session it is. Before its challenge is answered it is nobody's, or the certificate's.
    async fn session_holder(&self, asked: &Asked, parts: &Parts) -> Result<Caller, Denial> {
        match self.session(parts).await? {
            (_, Standing::Proved(holder)) => Ok(Caller::Identity(holder)),
            (_, Standing::Challenged) => self.perhaps_certified(asked).await,
        }
    }

    /// The session that is named. One whose key is withdrawn is over from now on.
    pub(super) async fn session(&self, parts: &Parts) -> Result<(SessionId, Standing), Denial> {
        let named = parts.get("sessionId").unwrap_or_default();
        let found = self.sessions.find(named, self.resolver.now_ms());
        let (session, standing) =
            found.ok_or_else(|| complain("the session is unknown or over; begin another"))?;
        if let Standing::Proved(holder) = &standing {
            match self.authority.check_key(holder).await {
                Ok(()) => {}
                Err(Problem::Refused(_)) => {
                    self.sessions.end(session, self.resolver.now_ms());
                    return Err(complain("the key that proved the session is withdrawn; begin another"));
                }
                Err(Problem::Failed(failure)) => return Err(failure.into()),
            }
        }
        Ok((session, standing))
    }

    /// Judges the answer to a session's challenge; from then on the session is the caller's.
    pub(super) async fn answered(&self, asked: &Asked, parts: &Parts) -> Result<(SessionId, Caller), Denial> {
        if parts.get("version").is_some_and(|version| version != "0") {
            return Err(complain("the version of the authorization is not 0"));
        }
        let (session, _) = self.session(parts).await?;
        let identity = parts.get("id").and_then(parse_identity);
        let identity = identity.ok_or_else(|| complain("the id is no identity such as 300:88.118.8/a"))?;
        let nonce = parts.bytes("cnonce").filter(|nonce| nonce.len() <= CLIENT_NONCE_BYTES_MAX);
        let nonce = nonce.ok_or_else(|| complain("the cnonce is missing or no base64"))?;
        let challenge = [session.nonce(), &nonce].concat();
        let caller = self.judge(asked, &identity, parts, challenge).await?;
        if let Caller::Identity(holder) = &caller {
            self.sessions.prove(session, holder.clone(), self.resolver.now_ms());
        }
        Ok((session, caller))
    }

    async fn judge(
        &self,
        asked: &Asked,
        identity: &Identity,
        parts: &Parts,
        challenge: Vec<u8>,
    ) -> Result<Caller, Denial> {
        let kind = parts.get("type").unwrap_or_default();
        if kind.eq_ignore_ascii_case(ValueType::HS_SECKEY) {
            let answer = parts.secret_answer().map_err(|error| complain(&error.to_string()))?;
            return self.prove(asked, identity, Proof::Secret { answer }, challenge).await;
        }
        if kind.eq_ignore_ascii_case(ValueType::HS_PUBKEY) {
            let signature = parts.bytes("signature").ok_or_else(|| complain("the signature is no base64"))?;
            let hash = parts.get("alg").unwrap_or_default().as_bytes().to_vec();
            return self.prove(asked, identity, Proof::PublicKey { hash, signature }, challenge).await;
        }
        Err(complain("the type is neither HS_PUBKEY nor HS_SECKEY"))
    }

    async fn prove(
        &self,
        asked: &Asked,
        identity: &Identity,
        proof: Proof,
        challenge: Vec<u8>,
    ) -> Result<Caller, Denial> {
        let provers = (&self.authority, &*self.crypto_pool);
        let proved = proof::prove(provers, asked.peer.source(), identity, proof, challenge).await;
        proved.map_err(|unproven| match unproven {
            Unproven::Failed(failure) => Denial::Failed(failure),
            // Which of them it is would tell a stranger which keys there are.
            Unproven::NoKey { .. } | Unproven::Wrong { .. } => complain("Identity not verified"),
            other @ (Unproven::Unusable { .. } | Unproven::Unreachable { .. }) => {
                complain(&other.to_string())
            }
        })
    }

    /// Tells how to prove who one is, with a challenge to be answered.
    pub(super) fn challenge(&self, asked: &Asked, complaint: Option<&str>, headers: &mut HeaderMap) {
        // A script asks its user itself; a browser would ask in a window of its own.
        if asked.headers.get("x-requested-with").is_none_or(|by| by != "XMLHttpRequest") {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"handle\""));
        }
        let session = self.new_session();
        let mut handle =
            format!("Handle sessionId=\"{}\", nonce=\"{}\"", session.to_text(), session.nonce_text());
        if let Some(complaint) = complaint {
            let plain = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
            handle.push_str(&format!(", error=\"{}\"", complaint.chars().filter(plain).collect::<String>()));
        }
        if let Ok(handle) = HeaderValue::from_str(&handle) {
            headers.append(header::WWW_AUTHENTICATE, handle);
        }
        headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"idnode\""));
    }

    /// A challenge that nobody has seen.
    pub(super) fn new_session(&self) -> SessionId {
        let mut nonce = [0; 16];
        self.resolver.fill_random(&mut nonce);
        self.sessions.challenge(nonce, self.resolver.now_ms())
    }
}

/// Where proof is missing because what was shown over plain text was passed over, the denial says so.
pub(super) fn tell_passed_over(asked: &Asked, denial: Denial) -> Denial {
    let shown = asked.header(header::AUTHORIZATION).map(Authorization::parse);
    let is_passed_over = asked.peer.channel == Channel::Plain
        && shown.is_some_and(|shown| !matches!(shown, Authorization::Bearer(_)));
    if is_passed_over && reply::code_of(&denial) == ResponseCode::AUTHENTICATION_NEEDED {
        return complain(
            "keys and passwords are looked at over TLS only: use https://, and change a secret that others could read",
        );
    }
    denial
}

/// Refuses a command of a page of another origin: the browser may have shown its password or certificate unasked. Tokens
/// and Handle sessions are shown by who knows them.
fn check_page(asked: &Asked) -> Result<(), Denial> {
    if asked.manner.intent == Intent::Command && origin::is_foreign(&asked.headers) {
        return Err(DoorRefusal::ForeignPage.into());
    }
    Ok(())
}

fn complain(complaint: &str) -> Denial {
    Denial::unproven(Some(complaint.to_owned()))
}
