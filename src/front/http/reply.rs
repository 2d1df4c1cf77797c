//! From answers, receipts, refusals and failures to statuses; the only place that knows them. What the Handle door says
//! too has the same response code as there.
//!
//! Every match is total, so that a new reason does not compile until its response code is decided. The status
//! follows from the response code alone, as CNRI's servers map them, with one exception: a question for values that are
//! not there is answered, a command on them is refused.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::denial::{Denial, DoorRefusal};
use super::query::Query;
use super::value_json::ValueJson;
use crate::front::handle_semantics::response_code;
use crate::front::listen::channel::Channel;
use crate::registry::refusal::Refusal;
use crate::wire::handle::code::ResponseCode;

const JSON: &str = "application/json;charset=utf-8";
const SCRIPT: &str = "application/javascript;charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

//----------- Response codes -------------------------------------------------

/// The response code that says why.
pub(super) fn code_of(denial: &Denial) -> ResponseCode {
    match denial {
        Denial::Refused(refusal) => response_code::of_refusal(refusal),
        Denial::Failed(failure) => response_code::of_failure(failure),
        Denial::Unanswered(unanswered) => response_code::of_unanswered(unanswered),
        Denial::Here(refusal) => code_of_door(refusal),
    }
}

fn code_of_door(refusal: &DoorRefusal) -> ResponseCode {
    match refusal {
        DoorRefusal::Malformed { .. }
        | DoorRefusal::TooLarge { .. }
        | DoorRefusal::TooSlow
        | DoorRefusal::UnknownEndpoint { .. }
        | DoorRefusal::NoPage
        | DoorRefusal::VerbNotAllowed { .. } => ResponseCode::PROTOCOL_ERROR,
        DoorRefusal::EmptyHandle => ResponseCode::INVALID_HANDLE,
        DoorRefusal::AuthenticationNeeded { .. } => ResponseCode::AUTHENTICATION_NEEDED,
        DoorRefusal::ForeignPage => ResponseCode::INVALID_CREDENTIAL,
        DoorRefusal::Hidden(hidden) => response_code::of_hidden(*hidden),
        DoorRefusal::NotResponsible => ResponseCode::SERVER_NOT_RESPONSIBLE,
        DoorRefusal::NotOffered { .. } => ResponseCode::OPERATION_NOT_SUPPORTED,
        DoorRefusal::TooLate => ResponseCode::ERROR,
    }
}

//----------- Statuses -------------------------------------------------------

/// Whether a request asks or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    /// It asks.
    Question,
    /// It changes something.
    Command,
}

/// The status of a response code.
pub(super) fn status_of(code: ResponseCode, intent: Intent) -> StatusCode {
    match code {
        ResponseCode::SUCCESS => StatusCode::OK,
        ResponseCode::VALUES_NOT_FOUND => match intent {
            Intent::Question => StatusCode::OK,
            Intent::Command => StatusCode::BAD_REQUEST,
        },
        ResponseCode::HANDLE_NOT_FOUND => StatusCode::NOT_FOUND,
        ResponseCode::HANDLE_ALREADY_EXISTS | ResponseCode::VALUE_ALREADY_EXISTS => StatusCode::CONFLICT,
        ResponseCode::PROTOCOL_ERROR
        | ResponseCode::INVALID_HANDLE
        | ResponseCode::INVALID_VALUE
        | ResponseCode::SERVER_NOT_RESPONSIBLE => StatusCode::BAD_REQUEST,
        ResponseCode::SERVICE_REFERRAL | ResponseCode::PREFIX_REFERRAL => StatusCode::MULTIPLE_CHOICES,
        ResponseCode::OPERATION_NOT_SUPPORTED => StatusCode::NOT_IMPLEMENTED,
        ResponseCode::SERVER_BUSY | ResponseCode::SERVER_READ_ONLY => StatusCode::SERVICE_UNAVAILABLE,
        ResponseCode::AUTHENTICATION_NEEDED => StatusCode::UNAUTHORIZED,
        ResponseCode::INVALID_ADMIN
        | ResponseCode::INSUFFICIENT_PERMISSIONS
        | ResponseCode::AUTHENTICATION_FAILED
        | ResponseCode::INVALID_CREDENTIAL => StatusCode::FORBIDDEN,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The status of what this door refuses, where HTTP has a better one than the response code says.
fn status_of_denial(denial: &Denial, code: ResponseCode, asked: &Manner) -> StatusCode {
    match denial {
        Denial::Here(DoorRefusal::UnknownEndpoint { .. } | DoorRefusal::NoPage) => StatusCode::NOT_FOUND,
        Denial::Here(DoorRefusal::VerbNotAllowed { .. }) => StatusCode::METHOD_NOT_ALLOWED,
        Denial::Here(DoorRefusal::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
        Denial::Here(DoorRefusal::TooSlow) => StatusCode::REQUEST_TIMEOUT,
        Denial::Here(DoorRefusal::TooLate) => StatusCode::SERVICE_UNAVAILABLE,
        // Over plain text no proof is taken, so that asking for one would mislead.
        _ if code == ResponseCode::AUTHENTICATION_NEEDED && asked.channel == Channel::Plain => {
            StatusCode::FORBIDDEN
        }
        _ => status_of(code, asked.intent),
    }
}

//----------- Manner ---------------------------------------------------------

/// How a caller wishes its reply.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// Whether it asks or changes.
    pub(super) intent: Intent,
    /// How the reply travels.
    pub(super) channel: Channel,
    /// Whether it is to be read by people.
    pub(super) pretty: bool,
    /// The function that a script wishes to be called with it (JSONP).
    pub(super) callback: Option<String>,
}

impl Manner {
    /// What the query says of it.
    pub(super) fn of(query: &Query, intent: Intent, channel: Channel) -> Self {
        let pretty = query.flag("pretty").unwrap_or(false);
        Self {
            intent,
            channel,
            pretty,
            callback: query.get("callback").filter(|name| !name.is_empty()).map(scrub),
        }
    }
}

/// Leaves nothing of a callback's name but what names a function.
fn scrub(name: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$' | '[' | ']');
    name.chars().map(|c| if is_name(c) { c } else { '_' }).collect()
}

/// A JSON body, as the caller wishes it.
pub(super) fn json(status: StatusCode, body: &impl Serialize, manner: &Manner) -> Response {
    let text = if manner.pretty { serde_json::to_string_pretty(body) } else { serde_json::to_string(body) };
    let Ok(text) = text else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    match &manner.callback {
        None => respond(status, JSON, text),
        Some(callback) => respond(status, SCRIPT, format!("{callback}({text});")),
    }
}

/// A JSON body that ends in an empty array, whose items are sent between what stands before and behind them.
pub(super) fn json_around(
    body: &impl Serialize,
    fill: impl FnOnce(String, String) -> Body,
    manner: &Manner,
) -> Response {
    let text = serde_json::to_string(body).unwrap_or_default();
    let (head, tail) = text.rsplit_once("]").map_or(("", ""), |(head, tail)| (head, tail));
    match &manner.callback {
        None => respond(StatusCode::OK, JSON, fill(head.to_owned(), format!("]{tail}"))),
        Some(name) => respond(StatusCode::OK, SCRIPT, fill(format!("{name}({head}"), format!("]{tail});"))),
    }
}

/// A body with the headers that every reply has.
pub(super) fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Leads elsewhere; only for now, since the record may change.
pub(super) fn redirect(location: HeaderValue) -> Response {
    let mut response = StatusCode::FOUND.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// The reply to a native message that could not be read; it has no JSON.
pub(super) fn unread(denial: &Denial) -> Response {
    let manner = Manner::of(&Query::default(), Intent::Command, Channel::Plain);
    text(status_of_denial(denial, code_of(denial), &manner), &denial.to_string())
}

/// A line of text.
pub(super) fn text(status: StatusCode, line: &str) -> Response {
    respond(status, TEXT, format!("{line}\n"))
}

//----------- Bodies ---------------------------------------------------------

/// The outcome of a request about one identifier.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(title = "HandleReply")]
pub(super) struct HandleReply {
    /// 1 for success; the others as the Handle protocol has them.
    #[schema(example = 1)]
    response_code: u32,
    /// The identifier, as the request spelled it, or as it was minted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "88.118.8/SN000123")]
    handle: Option<String>,
    /// The values, by ascending index.
    #[serde(skip_serializing_if = "Option::is_none")]
    values: Option<Vec<ValueJson>>,
    /// Where to go on asking, when another service answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    referral_handle: Option<String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl HandleReply {
    /// A reply of this response code about an identifier.
    pub(super) fn new(code: ResponseCode, handle: Option<&str>) -> Self {
        let handle = handle.map(str::to_owned);
        Self { response_code: code.0, handle, values: None, referral_handle: None, message: None }
    }

    /// With these values.
    pub(super) fn with_values(self, values: Vec<ValueJson>) -> Self {
        Self { values: Some(values), ..self }
    }

    /// With the handle to go on asking about.
    pub(super) fn with_referral(self, handle: String) -> Self {
        Self { referral_handle: Some(handle), ..self }
    }
}

/// A reply about one identifier, with the status that its response code has.
pub(super) fn handle(code: ResponseCode, body: &HandleReply, manner: &Manner) -> Response {
    json(status_of(code, manner.intent), body, manner)
}

/// A command about one identifier was carried out: created, or changed.
pub(super) fn done(created: bool, handle: &str, manner: &Manner) -> Response {
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    json(status, &HandleReply::new(ResponseCode::SUCCESS, Some(handle)), manner)
}

/// The reply to a request that is not fulfilled.
pub(super) fn denied(denial: &Denial, handle: Option<&str>, manner: &Manner) -> Response {
    let code = code_of(denial);
    let message = Some(denial.to_string());
    let silent = matches!(denial, Denial::Refused(Refusal::Absent));
    let mut body = HandleReply::new(code, handle);
    body.message = message.filter(|_| !silent);
    let mut response = json(status_of_denial(denial, code, manner), &body, manner);
    if let Denial::Here(DoorRefusal::VerbNotAllowed { allow, .. }) = denial {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}

/// Whether a reply asks for proof, so that a challenge belongs to it.
pub(super) fn asks_for_proof(response: &Response) -> bool {
    response.status() == StatusCode::UNAUTHORIZED
}

/// What is wrong with the proof that a caller showed.
pub(super) fn complaint(denial: &Denial) -> Option<&str> {
    match denial {
        Denial::Here(DoorRefusal::AuthenticationNeeded { complaint }) => complaint.as_deref(),
        Denial::Here(_) | Denial::Refused(_) | Denial::Failed(_) | Denial::Unanswered(_) => None,
    }
}

//----------- Cross origin ---------------------------------------------------

const VERBS: HeaderValue = HeaderValue::from_static("GET, POST, HEAD, PUT, DELETE");
const HEADERS: HeaderValue =
    HeaderValue::from_static("X-Requested-With, Authorization, Origin, Accept, Content-Type");
const EXPOSED: HeaderValue = HeaderValue::from_static("WWW-Authenticate, Location");
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// Lets scripts of any origin read a reply; they are never given the browser's own credentials.
pub(super) fn allow_origins(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// Which verbs a path takes; for a browser, also what scripts of other origins may send.
pub(super) fn options(allow: &'static str) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, VERBS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    response
}

#[cfg(test)]
mod tests {
    use super::{Intent, status_of};
    use crate::wire::handle::code::ResponseCode;

    #[test]
    fn statuses_follow_from_response_codes_as_clients_expect() {
        let check = |codes: &[u32], status: u16| {
            for code in codes {
                assert_eq!(status_of(ResponseCode(*code), Intent::Command).as_u16(), status, "{code}");
            }
        };
        check(&[1], 200);
        check(&[4, 102, 200, 202, 301], 400);
        check(&[100], 404);
        check(&[101, 201], 409);
        check(&[302, 303], 300);
        check(&[5], 501);
        check(&[3, 7], 503);
        check(&[402], 401);
        check(&[400, 401, 403, 404], 403);
        check(&[0, 2, 6, 300, 405, 406, 500, 501, 505, 4_711], 500);
        assert_eq!(
            status_of(ResponseCode(200), Intent::Question).as_u16(),
            200,
            "an answer, if an empty one"
        );
    }
}
