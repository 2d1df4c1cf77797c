//! Sessions as a resource: begun, proved, looked at and ended, over TLS only.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::Shared;
use super::asked::Asked;
use super::authorization::{Authorization, Parts};
use super::challenge::{SessionId, Standing};
use super::counters::count;
use super::denial::Denial;
use super::reply;
use super::route::Verb;
use crate::front::listen::channel::Channel;
use crate::front::listen::source::Source;
use crate::key::digest::DigestAlgorithm;
use crate::registry::refusal::Failure;

/// What the door signs a client's nonce with.
const SERVER_ALGORITHM: DigestAlgorithm = DigestAlgorithm::Sha256;

/// How a session stands.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(title = "Session")]
pub(super) struct SessionReply {
    /// Its name, to be shown in `Authorization: Handle sessionId="..."`.
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
    /// Whether it is somebody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticated: Option<bool>,
    /// Whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "300:88.118.8/a")]
    id: Option<String>,
    /// What is wrong.
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
        (status = 201, description = "Begun; its challenge may be answered.", body = SessionReply,
            headers(("location" = String, description = "/api/sessions/this"))),
        (status = 400, description = "The request names a session, or its body is malformed.", body = SessionReply),
        (status = 403, description = "Over plain text there are no sessions.", body = SessionReply),
        (status = 408, description = "The body did not come in time.", body = reply::HandleReply),
        (status = 413, description = "The body is too large.", body = reply::HandleReply),
        (status = 503, description = "The node is too busy to sign.", body = reply::HandleReply)))]
pub(super) async fn begin(shared: &Shared, asked: &Asked, body: Body) -> Result<Response, Denial> {
    if let Some(refused) = over_plain_text(asked) {
        return Ok(refused);
    }
    let parts = parts(asked, body).await?;
    if parts.get("sessionId").is_some() {
        return Ok(tell(
            StatusCode::BAD_REQUEST,
            failed("the request names a session; begin one without"),
            asked,
        ));
    }
    let session = shared.new_session();
    let mut response = tell(StatusCode::CREATED, shared.shown(session, &parts, asked).await?, asked);
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/api/sessions/this"));
    Ok(response)
}

/// Proves a session by an answer to its challenge.
#[utoipa::path(put, path = "/api/sessions/this", tag = "sessions", operation_id = "proveSession",
    request_body(content = Option<ProofGiven>, content_type = "application/json"),
    security((), ("handle" = [])),
    responses(
        (status = 200, description = "How the session stands.", body = SessionReply),
        (status = 400, description = "The body is malformed.", body = reply::HandleReply),
        (status = 401, description = "The answer is not accepted.", body = SessionReply),
        (status = 403, description = "There is no such session.", body = SessionReply),
        (status = 408, description = "The body did not come in time.", body = reply::HandleReply),
        (status = 413, description = "The body is too large.", body = reply::HandleReply),
        (status = 503, description = "The node is too busy to sign or to judge.", body = reply::HandleReply)))]
pub(super) async fn prove(shared: &Shared, asked: &Asked, body: Body) -> Result<Response, Denial> {
    if let Some(refused) = over_plain_text(asked) {
        return Ok(refused);
    }
    let parts = parts(asked, body).await?;
    let (session, standing) = match shared.session(&parts).await {
        Ok(found) => found,
        Err(failed @ Denial::Failed(_)) => return Err(failed),
        Err(_) => return Ok(unknown(asked)),
    };
    if !parts.is_answer() {
        return standing_reply(shared, session, standing, &parts, asked).await;
    }
    match shared.answered(asked, &parts).await {
        Ok(_) => {
            let standing = shared.session(&parts).await?.1;
            standing_reply(shared, session, standing, &parts, asked).await
        }
        Err(denial) => {
            count(&shared.counters.credentials_refused);
            let Some(complaint) = reply::complaint(&denial) else { return Err(denial) };
            let told = SessionReply {
                error: Some(complaint.to_owned()),
                ..shared.shown(session, &parts, asked).await?
            };
            Ok(tell(StatusCode::UNAUTHORIZED, told, asked))
        }
    }
}

/// The same by POST, for clients that cannot PUT.
#[utoipa::path(post, path = "/api/sessions/this", tag = "sessions", operation_id = "proveSessionByPost",
    request_body(content = Option<ProofGiven>, content_type = "application/json"),
    security((), ("handle" = [])),
    responses(
        (status = 200, description = "How the session stands.", body = SessionReply),
        (status = 400, description = "The body is malformed.", body = reply::HandleReply),
        (status = 401, description = "The answer is not accepted.", body = SessionReply),
        (status = 403, description = "There is no such session.", body = SessionReply),
        (status = 408, description = "The body did not come in time.", body = reply::HandleReply),
        (status = 413, description = "The body is too large.", body = reply::HandleReply),
        (status = 503, description = "The node is too busy to sign or to judge.", body = reply::HandleReply)))]
pub(super) async fn prove_by_post(shared: &Shared, asked: &Asked, body: Body) -> Result<Response, Denial> {
    prove(shared, asked, body).await
}

/// How a session stands.
#[utoipa::path(get, path = "/api/sessions/this", tag = "sessions", operation_id = "session",
    security((), ("handle" = [])),
    responses(
        (status = 200, description = "How the session stands.", body = SessionReply),
        (status = 401, description = "The answer is not accepted.", body = SessionReply),
        (status = 403, description = "There is no such session.", body = SessionReply)))]
pub(super) async fn show(shared: &Shared, asked: &Asked) -> Result<Response, Denial> {
    if over_plain_text(asked).is_none() && header_parts(asked).get("sessionId").is_none() {
        let nobody = SessionReply { authenticated: Some(false), ..SessionReply::default() };
        return Ok(tell(StatusCode::OK, nobody, asked));
    }
    prove(shared, asked, Body::empty()).await
}

/// Ends a session.
#[utoipa::path(delete, path = "/api/sessions/this", tag = "sessions", operation_id = "endSession",
    security((), ("handle" = [])),
    responses(
        (status = 204, description = "Ended."),
        (status = 403, description = "There is no such session.", body = SessionReply)))]
pub(super) async fn end(shared: &Shared, asked: &Asked) -> Response {
    if let Some(refused) = over_plain_text(asked) {
        return refused;
    }
    match shared.session(&header_parts(asked)).await {
        Ok((session, _)) => {
            shared.sessions.end(session, shared.resolver.now_ms());
            StatusCode::NO_CONTENT.into_response()
        }
        Err(_) => unknown(asked),
    }
}

/// Sessions of others are nobody's business.
pub(super) fn unknown(asked: &Asked) -> Response {
    tell(StatusCode::FORBIDDEN, failed("there is no such session; begin one by POST to /api/sessions"), asked)
}

fn over_plain_text(asked: &Asked) -> Option<Response> {
    let refused = || tell(StatusCode::FORBIDDEN, failed("sessions are offered under TLS only"), asked);
    (asked.peer.channel == Channel::Plain).then(refused)
}

/// What the header says, and the body behind it.
async fn parts(asked: &Asked, body: Body) -> Result<Parts, Denial> {
    let parts = header_parts(asked);
    if asked.verb == Verb::Get || !asked.has_json() {
        return Ok(parts);
    }
    match asked.read_json(body).await? {
        Json::Object(members) => Ok(parts.and(Parts::of_body(&members))),
        _ => Err(Denial::malformed("the body is no JSON object")),
    }
}

fn header_parts(asked: &Asked) -> Parts {
    match asked.header(header::AUTHORIZATION).map(Authorization::parse) {
        Some(Authorization::Handle(parts)) => parts,
        Some(Authorization::Bearer(_) | Authorization::Basic(..) | Authorization::Other) | None => {
            Parts::default()
        }
    }
}

async fn standing_reply(
    shared: &Shared,
    session: SessionId,
    standing: Standing,
    parts: &Parts,
    asked: &Asked,
) -> Result<Response, Denial> {
    let shown = shared.shown(session, parts, asked).await?;
    let told = match standing {
        Standing::Challenged => shown,
        Standing::Proved(holder) => {
            SessionReply { authenticated: Some(true), id: Some(holder.identity.to_string()), ..shown }
        }
    };
    Ok(tell(StatusCode::OK, told, asked))
}

impl Shared {
    /// A session and its nonce, signed by this server when the client gave a nonce of its own.
    async fn shown(&self, session: SessionId, parts: &Parts, asked: &Asked) -> Result<SessionReply, Denial> {
        let (session_id, nonce) = (Some(session.to_text()), Some(session.nonce_text()));
        let shown = SessionReply { session_id, nonce, ..SessionReply::default() };
        let Some(theirs) = parts.bytes("cnonce") else { return Ok(shown) };
        let signature = self.sign(asked.peer.source(), [session.nonce(), &theirs].concat()).await?;
        Ok(SessionReply {
            server_alg: signature.as_ref().map(|_| SERVER_ALGORITHM.name()),
            server_signature: signature.map(|signature| BASE64.encode(&signature)),
            ..shown
        })
    }

    /// Signs with this server's key; refused when too many signatures are waiting to be made.
    async fn sign(&self, source: Source, message: Vec<u8>) -> Result<Option<Vec<u8>>, Failure> {
        let (key, resolver) = (Arc::clone(&self.server_key), Arc::clone(&self.resolver));
        let made = self.crypto_pool.run(source, move || {
            key.sign(SERVER_ALGORITHM, &message, &|bytes: &mut [u8]| resolver.fill_random(bytes))
        });
        Ok(made.await.ok_or(Failure::Overloaded)?.ok())
    }
}

fn failed(error: &str) -> SessionReply {
    SessionReply { error: Some(error.to_owned()), ..SessionReply::default() }
}

fn tell(status: StatusCode, body: SessionReply, asked: &Asked) -> Response {
    reply::json(status, &body, &asked.manner)
}
