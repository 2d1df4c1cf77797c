//! Sessions as a resource: create, prove, show and delete, over TLS only.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use data_encoding::BASE64;
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::front::http::handle_json::caller::RequestHead;
use crate::front::http::handle_json::denial::Denial;
use crate::front::http::handle_json::reply::{self, Format, SessionOutcome};
use crate::front::http::handle_json::state::HandleState;
use crate::front::http::transport::authentication::RequestCredentials;
use crate::front::http::transport::authentication::authorization::Parts;
use crate::front::http::transport::authentication::sessions::{SessionId, SessionState};
use crate::front::http::transport::connection::Client;
use crate::front::http::transport::extract::{NoParameters, OptionalJson, Strictly};
use crate::front::http::transport::rejection::Rejection;
use crate::front::listen::channel::Channel;
use crate::front::listen::source::Source;
use crate::key::PrivateKey;
use crate::key::digest::DigestAlgorithm;
use crate::model::refusal::Failure;
use crate::telemetry::bug_shown_by;

/// The digest under this server's signature of a client's nonce.
fn server_algorithm(key: &PrivateKey) -> DigestAlgorithm {
    match key {
        PrivateKey::Sm2(_) => DigestAlgorithm::Sm3,
        PrivateKey::Rsa(_) | PrivateKey::Dsa(_) => DigestAlgorithm::Sha256,
    }
}

/// The state of a session.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(title = "Session")]
pub(super) struct SessionReply {
    /// Id of the session, for the header `Authorization: Handle sessionId="..."`.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    /// The nonce that an answer signs, with one of the client's behind it, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    /// The digest of the server's signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_alg: Option<&'static str>,
    /// The server's signature of both nonces, in base64, when the client gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_signature: Option<String>,
    /// Whether the session is authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticated: Option<bool>,
    /// The authenticated identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "300:88.118.8/a")]
    id: Option<String>,
    /// What is wrong, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What proves a session: an answer to its challenge.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(title = "SessionProof")]
pub(super) struct ProofGiven {
    /// The session; also in the header.
    session_id: Option<String>,
    /// `HS_PUBKEY` or `HS_SECKEY`.
    r#type: Option<String>,
    /// The identity, `index:handle`.
    id: Option<String>,
    /// The client's nonce, in base64.
    cnonce: Option<String>,
    /// The digest or the way of the answer, such as `SHA256` or `PBKDF2-HMAC-SHA1`.
    alg: Option<String>,
    /// The signature or answer, in base64.
    signature: Option<String>,
    /// Of a derived key.
    salt: Option<String>,
    /// Of a derived key.
    iterations: Option<u32>,
    /// Of a derived key, in bits.
    length: Option<u32>,
}

/// Begins a session.
#[utoipa::path(post, path = "/api/sessions", tag = "sessions", operation_id = "beginSession",
    request_body(content = Option<ProofGiven>, content_type = "application/json"),
    responses(
        (status = 201, description = "The session has begun; its challenge can be answered.", body = SessionReply,
            headers(("location" = String, description = "/api/sessions/this"))),
        (status = 400, description = "The request names a session, or its body is malformed.", body = SessionReply),
        (status = 403, description = "There are no sessions over plain text.", body = SessionReply),
        (status = 408, description = "The body did not arrive in time.", body = reply::HandleReply),
        (status = 413, description = "The body is too large.", body = reply::HandleReply),
        (status = 415, description = "The body is not JSON, or has a content coding.", body = reply::HandleReply),
        (status = 503, description = "The node is too busy to sign.", body = reply::HandleReply)))]
pub(super) async fn begin(
    State(api): State<HandleState>,
    _none: Strictly<NoParameters>,
    head: RequestHead,
    format: Format,
    OptionalJson(body): OptionalJson,
) -> Result<Response, Denial> {
    if let Some(refused) = over_plain_text(&head.client, &format) {
        return Ok(refused);
    }
    let credentials = head.credentials();
    let parts = parts(credentials, body)?;
    if parts.get("sessionId").is_some() {
        let body = failed("the request names a session; begin one without naming one");
        return Ok(reply::session(SessionOutcome::Malformed, &body, &format));
    }
    let session = api.authenticator.new_session();
    let shown = api.shown(session, &parts, head.client.source()).await?;
    let mut response = reply::session(SessionOutcome::Begun, &shown, &format);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/api/sessions/this"));
    Ok(response)
}

/// Proves a session by an answer to its challenge.
#[utoipa::path(put, path = "/api/sessions/this", tag = "sessions", operation_id = "proveSession",
    request_body(content = Option<ProofGiven>, content_type = "application/json"),
    security((), ("handle" = [])),
    responses(
        (status = 200, description = "The state of the session.", body = SessionReply),
        (status = 400, description = "The body is malformed.", body = reply::HandleReply),
        (status = 401, description = "The answer to the challenge is wrong.", body = SessionReply),
        (status = 403, description = "There is no such session.", body = SessionReply),
        (status = 408, description = "The body did not arrive in time.", body = reply::HandleReply),
        (status = 413, description = "The body is too large.", body = reply::HandleReply),
        (status = 415, description = "The body is not JSON, or has a content coding.", body = reply::HandleReply),
        (status = 503, description = "The node is too busy to sign or to verify.", body = reply::HandleReply)))]
pub(super) async fn prove(
    State(api): State<HandleState>,
    _none: Strictly<NoParameters>,
    head: RequestHead,
    format: Format,
    OptionalJson(body): OptionalJson,
) -> Result<Response, Denial> {
    if let Some(refused) = over_plain_text(&head.client, &format) {
        return Ok(refused);
    }
    let credentials = head.credentials();
    let parts = parts(credentials, body)?;
    api.proved(credentials, &parts, &format).await
}

/// Proves a session by POST, for clients that cannot PUT.
#[utoipa::path(post, path = "/api/sessions/this", tag = "sessions", operation_id = "proveSessionByPost",
    request_body(content = Option<ProofGiven>, content_type = "application/json"),
    security((), ("handle" = [])),
    responses(
        (status = 200, description = "The state of the session.", body = SessionReply),
        (status = 400, description = "The body is malformed.", body = reply::HandleReply),
        (status = 401, description = "The answer to the challenge is wrong.", body = SessionReply),
        (status = 403, description = "There is no such session.", body = SessionReply),
        (status = 408, description = "The body did not arrive in time.", body = reply::HandleReply),
        (status = 413, description = "The body is too large.", body = reply::HandleReply),
        (status = 415, description = "The body is not JSON, or has a content coding.", body = reply::HandleReply),
        (status = 503, description = "The node is too busy to sign or to verify.", body = reply::HandleReply)))]
pub(super) async fn prove_by_post(
    api: State<HandleState>,
    none: Strictly<NoParameters>,
    head: RequestHead,
    format: Format,
    body: OptionalJson,
) -> Result<Response, Denial> {
    prove(api, none, head, format, body).await
}

/// The state of a session.
#[utoipa::path(get, path = "/api/sessions/this", tag = "sessions", operation_id = "session",
    security((), ("handle" = [])),
    responses(
        (status = 200, description = "The state of the session.", body = SessionReply),
        (status = 401, description = "The answer to the challenge is wrong.", body = SessionReply),
        (status = 403, description = "There is no such session.", body = SessionReply)))]
pub(super) async fn show(
    State(api): State<HandleState>,
    _none: Strictly<NoParameters>,
    head: RequestHead,
    format: Format,
) -> Result<Response, Denial> {
    if let Some(refused) = over_plain_text(&head.client, &format) {
        return Ok(refused);
    }
    let credentials = head.credentials();
    let parts = credentials.handle_parts();
    if parts.get("sessionId").is_none() {
        let nobody = SessionReply { authenticated: Some(false), ..SessionReply::default() };
        return Ok(reply::session(SessionOutcome::Shown, &nobody, &format));
    }
    api.proved(credentials, &parts, &format).await
}

/// Ends a session.
#[utoipa::path(delete, path = "/api/sessions/this", tag = "sessions", operation_id = "endSession",
    security((), ("handle" = [])),
    responses(
        (status = 204, description = "Ended."),
        (status = 403, description = "There is no such session.", body = SessionReply)))]
pub(super) async fn end(
    State(api): State<HandleState>,
    _none: Strictly<NoParameters>,
    head: RequestHead,
    format: Format,
) -> Response {
    if let Some(refused) = over_plain_text(&head.client, &format) {
        return refused;
    }
    let authenticator = &api.authenticator;
    let credentials = head.credentials();
    match authenticator.session(credentials, &credentials.handle_parts()).await {
        Ok((session, _)) => {
            authenticator.sessions.end(session, head.client.source(), api.resolver.now_ms());
            reply::ended()
        }
        Err(_) => no_session(&format),
    }
}

/// A session that the path names otherwise than as the request's own.
pub(super) async fn unknown(format: Format) -> Response {
    no_session(&format)
}

fn no_session(format: &Format) -> Response {
    let body = failed("there is no such session; begin one by POST to /api/sessions");
    reply::session(SessionOutcome::Refused, &body, format)
}

fn over_plain_text(client: &Client, format: &Format) -> Option<Response> {
    let refused =
        || reply::session(SessionOutcome::Refused, &failed("sessions are offered under TLS only"), format);
    (client.channel == Channel::Plain).then(refused)
}

/// The parts of the header, completed by those of the body.
fn parts(credentials: RequestCredentials<'_>, body: Option<Json>) -> Result<Parts, Denial> {
    let parts = credentials.handle_parts();
    match body {
        None => Ok(parts),
        Some(Json::Object(members)) => Ok(parts.and(Parts::of_body(&members))),
        Some(_) => Err(Denial::malformed("the body is not a JSON object")),
    }
}

impl HandleState {
    /// How a session stands, after its challenge was answered where the parts hold an answer.
    async fn proved(
        &self,
        credentials: RequestCredentials<'_>,
        parts: &Parts,
        format: &Format,
    ) -> Result<Response, Denial> {
        let authenticator = &self.authenticator;
        let source = credentials.client.source();
        let (session, mut standing) = match authenticator.session(credentials, parts).await {
            Ok(found) => found,
            Err(Rejection::Failed(failure)) => return Err(failure.into()),
            Err(_) => return Ok(no_session(format)),
        };
        if parts.is_answer() {
            match authenticator.answered(credentials, parts).await {
                Ok(_) => standing = authenticator.session(credentials, parts).await?.1,
                Err(rejection @ (Rejection::AuthenticationNeeded { .. } | Rejection::Unproven(_))) => {
                    authenticator.count_refused();
                    let shown = self.shown(session, parts, source).await?;
                    let body = SessionReply { error: rejection.complaint(), ..shown };
                    return Ok(reply::session(SessionOutcome::Unproven, &body, format));
                }
                Err(other) => {
                    authenticator.count_refused();
                    return Err(other.into());
                }
            }
        }
        let shown = self.shown(session, parts, source).await?;
        let body = match standing {
            SessionState::Challenged => shown,
            SessionState::Proved(holder) => {
                SessionReply { authenticated: Some(true), id: Some(holder.identity.to_string()), ..shown }
            }
        };
        Ok(reply::session(SessionOutcome::Shown, &body, format))
    }

    /// A session and its nonce, signed by this server when the client gave a nonce of its own.
    async fn shown(&self, session: SessionId, parts: &Parts, source: Source) -> Result<SessionReply, Denial> {
        let (session_id, nonce) = (Some(session.to_text()), Some(session.nonce_text()));
        let shown = SessionReply { session_id, nonce, ..SessionReply::default() };
        let Some(theirs) = parts.bytes("cnonce") else { return Ok(shown) };
        let signature = self.sign(source, [session.nonce(), &theirs].concat()).await?;
        Ok(SessionReply {
            server_alg: Some(server_algorithm(&self.server_key).name()),
            server_signature: Some(BASE64.encode(&signature)),
            ..shown
        })
    }

    /// Signs with this server's key; refused when too many signatures are waiting to be made.
    async fn sign(&self, source: Source, message: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let (key, resolver) = (Arc::clone(&self.server_key), Arc::clone(&self.resolver));
        let made = self.crypto_pool.run(source, move || {
            key.sign(server_algorithm(&key), &message, &|bytes: &mut [u8]| resolver.fill_random(bytes))
        });
        made.await?.map_err(|error| bug_shown_by("the key of this server signs", &error))
    }
}

fn failed(error: &str) -> SessionReply {
    SessionReply { error: Some(error.to_owned()), ..SessionReply::default() }
}

#[cfg(test)]
mod tests {
    use super::{PrivateKey, server_algorithm};

    #[test]
    fn every_kind_of_server_key_signs() {
        let random = |bytes: &mut [u8]| bytes.fill(7);
        let rsa = PrivateKey::decode(include_bytes!("../../../../tests/data/server-key.pem")).expect("a key");
        for (key, name) in [(rsa, "SHA-256"), (PrivateKey::generate_sm2(&random), "SM3")] {
            let algorithm = server_algorithm(&key);
            assert_eq!(algorithm.name(), name);
            let signature = key.sign(algorithm, b"nonces", &random).expect("a signature");
            key.public().verify(algorithm, b"nonces", &signature).expect("of this key");
        }
    }
}
