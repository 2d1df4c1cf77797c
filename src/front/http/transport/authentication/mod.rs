//! Authentication: determines the caller by the credentials of the request.
//!
//! ```text
//!   Bearer       a token of the node: over TLS, from this machine, or where the configuration takes it in plain text
//!   Basic        an identity and its secret key                  ┐
//!   Handle       a session, or the answer to its challenge       ├ over TLS only
//!   certificate  an identity whose HS_PUBKEY the connection has  ┘
//! ```
//! Over plain text the last three prove nothing: from beyond this machine a request that shows them is refused, because
//! they were sent where others could read them; from this machine they are ignored. A password and a certificate are also ignored where the reply is passed to
//! a function (JSONP), because a page of any origin could read it in its visitor's name; a command that such a page sends
//! with them is refused. Credentials that are not valid are refused, even where none are needed. Only a certificate that
//! names no identity is ignored, because browsers present theirs without being asked.

pub(in crate::front::http) mod authorization;
mod certificate;
mod origin;
pub(in crate::front::http) mod sessions;

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Uri, Version, header};

use self::authorization::{Authorization, Parts, parse_identity};
use self::sessions::{SessionId, SessionState, Sessions};
use super::host::Host;
use super::rejection::Rejection;
use crate::authority::Authority;
use crate::authority::caller::Caller;
use crate::authority::credential::{Proof, Unproven};
use crate::front::handle_semantics::proof;
use crate::front::http::transport::connection::Client;
use crate::front::http::transport::counters::HttpCounters;
use crate::front::listen::channel::Channel;
use crate::front::listen::crypto_pool::CryptoPool;
use crate::front::listen::source::Source;
use crate::key::secret::AnswerForms;
use crate::model::identity::Identity;
use crate::model::refusal::Problem;
use crate::model::value::ValueType;
use crate::resolver::Resolver;
use crate::telemetry::count;

/// Bytes of the longest nonce that a client may add to ours.
const CLIENT_NONCE_BYTES_MAX: usize = 1_024;

//----------- RequestCredentials ---------------------------------------------

/// The credentials of a request.
#[derive(Clone, Copy, Debug)]
pub(in crate::front::http) struct RequestCredentials<'r> {
    /// The headers.
    pub(in crate::front::http) headers: &'r HeaderMap,
    /// The client of the connection.
    pub(in crate::front::http) client: &'r Client,
    /// The version of HTTP and the target, which name the host that the request is for.
    pub(in crate::front::http) target: (Version, &'r Uri),
    /// Whether the request reads or changes.
    pub(in crate::front::http) intent: Intent,
    /// Who can read the response.
    pub(in crate::front::http) readers: Readers,
}

/// Whether a request reads or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front::http) enum Intent {
    /// The request only reads.
    Question,
    /// The request changes something.
    Command,
}

/// Who can read the response to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front::http) enum Readers {
    /// The client, and pages of its origin.
    Client,
    /// Pages of any origin too, since it is a script (JSONP).
    AnyPage,
}

impl<'r> RequestCredentials<'r> {
    fn authorization(self) -> Option<Authorization<'r>> {
        authorization(self.headers)
    }

    /// The parts of the scheme `Handle` in the header.
    pub(in crate::front::http) fn handle_parts(self) -> Parts {
        match self.authorization() {
            Some(Authorization::Handle(parts)) => parts,
            Some(Authorization::Bearer(_) | Authorization::Basic(..) | Authorization::Other) | None => {
                Parts::default()
            }
        }
    }

    /// Refuses a command of a page of another origin: the browser may have shown its password or certificate unasked.
    /// Tokens and Handle sessions are shown by who knows them.
    fn check_page(self) -> Result<(), Rejection> {
        let (version, uri) = self.target;
        if self.intent == Intent::Command
            && origin::is_foreign(self.headers, Host::of(version, uri, self.headers)?)
        {
            return Err(Rejection::CrossOrigin);
        }
        Ok(())
    }
}

/// The credentials in the header of a request; `syntax` refuses a request with two of them.
fn authorization(headers: &HeaderMap) -> Option<Authorization<'_>> {
    let shown = headers.get(header::AUTHORIZATION)?;
    Some(shown.to_str().map_or(Authorization::Other, Authorization::parse))
}

/// The rejection of a caller whose credentials were ignored because they came over plain text.
pub(in crate::front::http) fn passed_over(headers: &HeaderMap, channel: Channel) -> Option<Rejection> {
    let is_bearer = matches!(authorization(headers)?, Authorization::Bearer(_));
    (channel == Channel::Plain && !is_bearer).then(only_over_tls)
}

fn only_over_tls() -> Rejection {
    complain(
        "keys and passwords are accepted over TLS only: send them to https://, and change a secret that others could read",
    )
}

//----------- Schemes --------------------------------------------------------

/// The kinds of credentials that are accepted on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front::http) enum Schemes {
    /// All of them: the connection is encrypted.
    All,
    /// Tokens: the connection is plain text, which nobody else reads or the configuration allows.
    Tokens,
    /// None: others could read what the client sends.
    None,
}

/// What is wrong with the credentials of a request that is asked for others.
#[derive(Clone, Copy, Debug)]
pub(in crate::front::http) struct Objection<'o> {
    /// The sentence about a proof.
    pub(in crate::front::http) complaint: Option<&'o str>,
    /// Whether a token was shown and refused.
    pub(in crate::front::http) token: TokenShown,
}

/// Whether a token was shown and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front::http) enum TokenShown {
    /// None was refused.
    No,
    /// A token is unknown, expired or revoked.
    Refused,
}

//----------- Authenticator --------------------------------------------------

/// Determines the caller.
pub(in crate::front::http) struct Authenticator {
    pub(in crate::front::http) authority: Authority,
    pub(in crate::front::http) resolver: Arc<Resolver>,
    pub(in crate::front::http) crypto_pool: Arc<CryptoPool>,
    pub(in crate::front::http) sessions: Arc<Sessions>,
    pub(in crate::front::http) counters: Arc<HttpCounters>,
    /// Whether tokens are taken over plain text from beyond loopback.
    pub(in crate::front::http) allow_tokens_in_plain_text: bool,
}

impl Authenticator {
    /// Determines the caller.
    pub(in crate::front::http) async fn admit(
        &self,
        credentials: RequestCredentials<'_>,
    ) -> Result<Caller, Rejection> {
        let caller = self.caller(credentials).await.inspect_err(|_| self.count_refused())?;
        credentials.client.in_flight.slot().admit(&caller)?;
        Ok(caller)
    }

    /// Whether a request shows the token of an administrator of the node.
    pub(in crate::front::http) fn is_administrator(&self, client: &Client, headers: &HeaderMap) -> bool {
        match authorization(headers) {
            Some(Authorization::Bearer(token)) => {
                self.token_holder(client, token).is_ok_and(|caller| caller.is_admin())
            }
            Some(Authorization::Basic(..) | Authorization::Handle(_) | Authorization::Other) | None => false,
        }
    }

    /// The kinds of credentials that are accepted from a client.
    pub(in crate::front::http) fn schemes(&self, client: &Client) -> Schemes {
        match client.channel {
            Channel::Tls => Schemes::All,
            Channel::Plain if client.is_overheard() && !self.allow_tokens_in_plain_text => Schemes::None,
            Channel::Plain => Schemes::Tokens,
        }
    }

    /// Counts a credential that was shown and not accepted.
    pub(in crate::front::http) fn count_refused(&self) {
        count(&self.counters.credentials_refused);
    }

    async fn caller(&self, credentials: RequestCredentials<'_>) -> Result<Caller, Rejection> {
        match credentials.authorization() {
            Some(Authorization::Bearer(token)) => self.token_holder(credentials.client, token),
            Some(_) if credentials.client.is_overheard() => Err(only_over_tls()),
            _ if credentials.client.channel == Channel::Plain => Ok(Caller::Anonymous),
            // A browser shows these by itself, also for a script that a page of another origin loads and reads.
            None | Some(Authorization::Basic(..)) if credentials.readers == Readers::AnyPage => {
                Ok(Caller::Anonymous)
            }
            None => self.perhaps_certified(credentials).await,
            Some(Authorization::Basic(identity, password)) => {
                credentials.check_page()?;
                let proof = Proof::Password(password);
                Ok(self.prove(credentials.client.source(), &identity, proof, Vec::new()).await?)
            }
            Some(Authorization::Handle(parts)) if parts.is_answer() => {
                self.answered(credentials, &parts).await.map(|(_, caller)| caller)
            }
            Some(Authorization::Handle(parts)) if parts.get("sessionId").is_some() => {
                self.session_holder(credentials, &parts).await
            }
            Some(Authorization::Handle(parts)) if parts.wishes_certificate() => {
                self.certified(credentials).await
            }
            Some(Authorization::Handle(_) | Authorization::Other) => {
                Err(complain("the authorization has an unknown form"))
            }
        }
    }

    fn token_holder(&self, client: &Client, token: &str) -> Result<Caller, Rejection> {
        if self.schemes(client) == Schemes::None {
            return Err(complain(
                "a token was sent in plain text; use TLS, and have this token revoked if others could read it",
            ));
        }
        Ok(self.authority.authenticate(token)?)
    }

    /// The identity of the client certificate; none without a certificate that names one.
    async fn perhaps_certified(&self, credentials: RequestCredentials<'_>) -> Result<Caller, Rejection> {
        match self.certified(credentials).await {
            Err(refused @ (Rejection::CrossOrigin | Rejection::Failed(_))) => Err(refused),
            certified => Ok(certified.unwrap_or(Caller::Anonymous)),
        }
    }

    /// The identity that the certificate of the connection names, when the key is its own.
    async fn certified(&self, credentials: RequestCredentials<'_>) -> Result<Caller, Rejection> {
        let shown = credentials.client.certificate.as_deref();
        let shown = shown.ok_or_else(|| complain("the client presented no certificate"))?;
        credentials.check_page()?;
        let (identity, key) = certificate::read(shown).ok_or_else(|| {
            complain(
                "the certificate names no identity such as UID=300:88.118.8/a, or has a key of another kind",
            )
        })?;
        Ok(self.prove(credentials.client.source(), &identity, Proof::Certificate { key }, Vec::new()).await?)
    }

    /// The caller of a session. Before its challenge is answered it is anonymous, or the identity of the certificate.
    async fn session_holder(
        &self,
        credentials: RequestCredentials<'_>,
        parts: &Parts,
    ) -> Result<Caller, Rejection> {
        match self.session(credentials, parts).await? {
            (_, SessionState::Proved(holder)) => Ok(Caller::Identity(holder)),
            (_, SessionState::Challenged) => self.perhaps_certified(credentials).await,
        }
    }

    /// The session that is named. One whose key is withdrawn is over from now on.
    pub(in crate::front::http) async fn session(
        &self,
        credentials: RequestCredentials<'_>,
        parts: &Parts,
    ) -> Result<(SessionId, SessionState), Rejection> {
        let named = parts.get("sessionId").unwrap_or_default();
        let found = self.sessions.find(named, self.resolver.now_ms());
        let (session, state) =
            found.ok_or_else(|| complain("the session is unknown or has ended; begin another"))?;
        if let SessionState::Proved(holder) = &state {
            match self.authority.check_key(holder).await {
                Ok(()) => {}
                Err(Problem::Refused(_)) => {
                    self.sessions.end(session, credentials.client.source(), self.resolver.now_ms());
                    return Err(complain("the key that proved the session is withdrawn; begin another"));
                }
                Err(Problem::Failed(failure)) => return Err(failure.into()),
            }
        }
        Ok((session, state))
    }

    /// Judges the answer to a session's challenge; from then on the session is the caller's.
    pub(in crate::front::http) async fn answered(
        &self,
        credentials: RequestCredentials<'_>,
        parts: &Parts,
    ) -> Result<(SessionId, Caller), Rejection> {
        if parts.get("version").is_some_and(|version| version != "0") {
            return Err(complain("the version of the authorization is not 0"));
        }
        let (session, _) = self.session(credentials, parts).await?;
        let identity = parts.get("id").and_then(parse_identity);
        let identity =
            identity.ok_or_else(|| complain("the id is not an identity such as 300:88.118.8/a"))?;
        let nonce = parts.bytes("cnonce").filter(|nonce| nonce.len() <= CLIENT_NONCE_BYTES_MAX);
        let nonce = nonce.ok_or_else(|| complain("the cnonce is missing or not base64"))?;
        let challenge = [session.nonce(), &nonce].concat();
        let caller = self.judge(credentials.client.source(), &identity, parts, challenge).await?;
        if let Caller::Identity(holder) = &caller {
            self.sessions.prove(session, holder.clone(), credentials.client.source(), self.resolver.now_ms());
        }
        Ok((session, caller))
    }

    async fn judge(
        &self,
        source: Source,
        identity: &Identity,
        parts: &Parts,
        challenge: Vec<u8>,
    ) -> Result<Caller, Unproven> {
        let kind = parts.get("type").unwrap_or_default();
        if kind.eq_ignore_ascii_case(ValueType::HS_SECKEY) {
            let answer = parts.secret_answer()?;
            let proof = Proof::Secret { answer, forms: AnswerForms::Current };
            return self.prove(source, identity, proof, challenge).await;
        }
        if kind.eq_ignore_ascii_case(ValueType::HS_PUBKEY) {
            let signature =
                parts.bytes("signature").ok_or_else(|| unusable("the signature is not base64"))?;
            let hash = parts.get("alg").unwrap_or_default().as_bytes().to_vec();
            return self.prove(source, identity, Proof::PublicKey { hash, signature }, challenge).await;
        }
        Err(unusable("the type is neither HS_PUBKEY nor HS_SECKEY"))
    }

    async fn prove(
        &self,
        source: Source,
        identity: &Identity,
        proof: Proof,
        challenge: Vec<u8>,
    ) -> Result<Caller, Unproven> {
        proof::prove((&self.authority, &*self.crypto_pool), source, identity, proof, challenge).await
    }

    /// Adds the headers that state how to authenticate to the reply to a request with the headers `asked`: one for each kind
    /// of credentials that is accepted.
    pub(in crate::front::http) fn challenge(
        &self,
        (asked, schemes): (&HeaderMap, Schemes),
        objection: Objection<'_>,
        headers: &mut HeaderMap,
    ) {
        if schemes == Schemes::All {
            // A script asks its user itself; a browser would ask in a window of its own.
            if asked.get("x-requested-with").is_none_or(|by| by != "XMLHttpRequest") {
                headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"handle\""));
            }
            if let Ok(handle) = HeaderValue::from_str(&self.handle_challenge(objection.complaint)) {
                headers.append(header::WWW_AUTHENTICATE, handle);
            }
        }
        // RFC 6750 section 3.1.
        let bearer = match objection.token {
            TokenShown::Refused => "Bearer realm=\"idnode\", error=\"invalid_token\"",
            TokenShown::No => "Bearer realm=\"idnode\"",
        };
        headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(bearer));
    }

    fn handle_challenge(&self, complaint: Option<&str>) -> String {
        let session = self.new_session();
        let mut handle =
            format!("Handle sessionId=\"{}\", nonce=\"{}\"", session.to_text(), session.nonce_text());
        if let Some(complaint) = complaint {
            let plain = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
            handle.push_str(&format!(", error=\"{}\"", complaint.chars().filter(plain).collect::<String>()));
        }
        handle
    }

    /// A new challenge.
    pub(in crate::front::http) fn new_session(&self) -> SessionId {
        let mut nonce = [0; 16];
        self.resolver.fill_random(&mut nonce);
        self.sessions.challenge(nonce, self.resolver.now_ms())
    }
}

fn complain(complaint: &str) -> Rejection {
    Rejection::AuthenticationNeeded { complaint: Some(complaint.to_owned()) }
}

fn unusable(reason: &str) -> Unproven {
    Unproven::Unusable { reason: reason.to_owned() }
}
