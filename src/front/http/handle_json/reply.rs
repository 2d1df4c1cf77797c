//! From answers, receipts, refusals and failures to JSON, response codes and statuses; the only place that knows those of
//! the Handle JSON API. An outcome that the binary protocol also has gets the same response code as there.
//!
//! Every match is total, so that a new reason does not compile until its response code is decided. The status follows from
//! the response code, as CNRI's servers map them, with two exceptions: a question for values that are not there is
//! answered, a command on them is refused; and where HTTP has a status of its own for what happened, that one is used.

use core::convert::Infallible;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::denial::{ApiRefusal, Denial};
use super::json::value::ValueJson;
use super::native;
use crate::federation::error::PeerError;
use crate::front::handle_semantics::referral::Service;
use crate::front::handle_semantics::response_code;
use crate::front::http::transport::authentication::{Intent, Readers, Schemes};
use crate::front::http::transport::query::Query;
use crate::front::http::transport::rejection::Rejection;
use crate::model::identifier::Identifier;
use crate::model::refusal::{Failure, Refusal};
use crate::model::uri::UriWarning;
use crate::registry::warnings::Warnings;
use crate::resolver::recursion::Unanswered;
use crate::telemetry::bug;
use crate::wire::handle::code::{ResponseCode, Version};

const JSON: &str = "application/json;charset=utf-8";
const SCRIPT: &str = "application/javascript;charset=utf-8";
/// Headers of most replies.
const HEADERS: usize = 12;
/// Bytes of most replies.
const TEXT_BYTES: usize = 1_024;
const TEXT: &str = "text/plain; charset=utf-8";

//----------- Response codes -------------------------------------------------

/// The response code of a denial.
fn code_of(denial: &Denial) -> ResponseCode {
    match denial {
        Denial::Refused(refusal) => response_code::of_refusal(refusal),
        Denial::Failed(failure) => response_code::of_failure(failure),
        Denial::Unanswered(unanswered) => response_code::of_unanswered(unanswered),
        Denial::Rejected(rejection) => code_of_rejection(rejection),
        Denial::Here(refusal) => code_of_api(refusal),
    }
}

fn code_of_rejection(rejection: &Rejection) -> ResponseCode {
    match rejection {
        Rejection::Malformed { .. }
        | Rejection::TooLarge { .. }
        | Rejection::TooSlow
        | Rejection::UnsupportedMediaType { .. }
        | Rejection::UnsupportedEncoding
        | Rejection::MethodNotAllowed { .. } => ResponseCode::PROTOCOL_ERROR,
        Rejection::UnknownTransferCoding => ResponseCode::OPERATION_NOT_SUPPORTED,
        Rejection::AuthenticationNeeded { .. } => ResponseCode::AUTHENTICATION_NEEDED,
        Rejection::Unproven(unproven) => response_code::of_unproven(unproven),
        Rejection::CrossOrigin => ResponseCode::INVALID_CREDENTIAL,
        Rejection::Refused(refusal) => response_code::of_refusal(refusal),
        Rejection::Failed(failure) => response_code::of_failure(failure),
        Rejection::TooManyConnections | Rejection::MemorySpent(_) => ResponseCode::SERVER_BUSY,
        Rejection::TooLate => ResponseCode::ERROR,
    }
}

fn code_of_api(refusal: &ApiRefusal) -> ResponseCode {
    match refusal {
        ApiRefusal::UnknownEndpoint { .. } | ApiRefusal::NoPage | ApiRefusal::RepresentationChanged => {
            ResponseCode::PROTOCOL_ERROR
        }
        ApiRefusal::EmptyHandle => ResponseCode::INVALID_HANDLE,
        ApiRefusal::Unverifiable(unproven) => response_code::of_unproven(unproven),
        ApiRefusal::Hidden(hidden) => response_code::of_hidden(*hidden),
        ApiRefusal::NotResponsible => ResponseCode::SERVER_NOT_RESPONSIBLE,
        ApiRefusal::NotOffered { .. } => ResponseCode::OPERATION_NOT_SUPPORTED,
        ApiRefusal::ConditionFailed { present } => response_code::of_refusal(present),
    }
}

/// The response code of lists and descriptions, which hold what was asked for.
pub(in crate::front::http) const SUCCESS: u32 = ResponseCode::SUCCESS.0;

/// Whether a denial asks for a proof.
pub(in crate::front::http) fn asks_for_proof(denial: &Denial) -> bool {
    code_of(denial) == ResponseCode::AUTHENTICATION_NEEDED
}

//----------- Statuses -------------------------------------------------------

/// The status of a response code.
fn status_of(code: ResponseCode, intent: Intent) -> StatusCode {
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

/// The status of a denial, where HTTP has a more precise one than that of the response code.
pub(in crate::front::http) fn status_of_denial(
    denial: &Denial,
    intent: Intent,
    schemes: Schemes,
) -> StatusCode {
    let code = code_of(denial);
    // Where nothing that the caller could show is accepted, asking for it would mislead (RFC 9110 section 15.5.2).
    if code == ResponseCode::AUTHENTICATION_NEEDED && schemes == Schemes::None {
        return StatusCode::FORBIDDEN;
    }
    match denial {
        Denial::Here(ApiRefusal::UnknownEndpoint { .. } | ApiRefusal::NoPage) => StatusCode::NOT_FOUND,
        Denial::Here(ApiRefusal::ConditionFailed { .. } | ApiRefusal::RepresentationChanged) => {
            StatusCode::PRECONDITION_FAILED
        }
        // The caller does not prove itself here; what it sent cannot be judged.
        Denial::Here(ApiRefusal::Unverifiable(_)) => StatusCode::BAD_REQUEST,
        Denial::Rejected(rejection) => rejection.status().unwrap_or_else(|| status_of(code, intent)),
        Denial::Unanswered(unanswered) => {
            status_of_unanswered(unanswered).unwrap_or_else(|| status_of(code, intent))
        }
        Denial::Here(_) | Denial::Refused(_) | Denial::Failed(_) => status_of(code, intent),
    }
}

/// The status of a question that other nodes did not answer (RFC 9110 sections 15.6.3 and 15.6.5); none where it follows
/// from the response code.
fn status_of_unanswered(unanswered: &Unanswered) -> Option<StatusCode> {
    match unanswered {
        Unanswered::Here(_) => None,
        Unanswered::Loop | Unanswered::TooDeep => Some(StatusCode::BAD_GATEWAY),
        Unanswered::Peer(error) => match error {
            PeerError::DeadlinePassed { .. } => Some(StatusCode::GATEWAY_TIMEOUT),
            PeerError::Unreachable { .. }
            | PeerError::LeftAlone { .. }
            | PeerError::NoAnswer { .. }
            | PeerError::Refused { .. }
            | PeerError::Unintelligible { .. }
            | PeerError::Nowhere { .. } => Some(StatusCode::BAD_GATEWAY),
            // This node is not set up to ask the other one.
            PeerError::NoAuthority { .. } | PeerError::Configured { .. } | PeerError::Token { .. } => None,
        },
    }
}

/// Whether a reply of this status states how to authenticate (RFC 9110 section 15.5.2).
pub(in crate::front::http) fn states_challenge(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED
}

/// How a request about a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front::http) enum SessionOutcome {
    /// The session is shown.
    Shown,
    /// A session was begun.
    Begun,
    /// The request names a session where it must not.
    Malformed,
    /// The answer to its challenge is not accepted.
    Unproven,
    /// There is no such session, or sessions are not offered here.
    Refused,
}

fn status_of_session(outcome: SessionOutcome) -> StatusCode {
    match outcome {
        SessionOutcome::Shown => StatusCode::OK,
        SessionOutcome::Begun => StatusCode::CREATED,
        SessionOutcome::Malformed => StatusCode::BAD_REQUEST,
        SessionOutcome::Unproven => StatusCode::UNAUTHORIZED,
        SessionOutcome::Refused => StatusCode::FORBIDDEN,
    }
}

//----------- Format ---------------------------------------------------------

/// How a reply is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::front::http) struct Format {
    /// Whether the reply is indented for people.
    is_pretty: bool,
    /// The function that is called with the reply (JSONP).
    callback: Option<String>,
}

impl Format {
    /// The form that a query asks for.
    pub(in crate::front::http) fn of(query: &Query) -> Self {
        Self {
            is_pretty: query.flag("pretty").unwrap_or(false),
            callback: query.get("callback").filter(|name| !name.is_empty()).map(scrub),
        }
    }

    /// Who can read the reply: a script is run by pages of any origin.
    pub(in crate::front::http) fn readers(&self) -> Readers {
        if self.callback.is_some() { Readers::AnyPage } else { Readers::Client }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Format {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&Query::parse(parts.uri.query().unwrap_or_default())))
    }
}

/// Removes from a callback's name all characters that a function name cannot have.
fn scrub(name: &str) -> String {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$' | '[' | ']');
    name.chars().map(|c| if is_name(c) { c } else { '_' }).collect()
}

/// The text of a JSON body.
pub(in crate::front::http) fn write(body: &impl Serialize, format: &Format) -> Result<String, Failure> {
    let mut bytes = Vec::with_capacity(TEXT_BYTES);
    let written = if format.is_pretty {
        serde_json::to_writer_pretty(&mut bytes, body)
    } else {
        serde_json::to_writer(&mut bytes, body)
    };
    let text = written.ok().and_then(|()| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| bug("every reply can be written as JSON"))?;
    Ok(match &format.callback {
        None => text,
        Some(callback) => format!("{callback}({text});"),
    })
}

/// A JSON body, as the caller wishes it.
fn json(status: StatusCode, body: &impl Serialize, format: &Format) -> Response {
    match write(body, format) {
        Ok(text) => respond(status, content_type(format), text),
        Err(failure) => Denial::Failed(failure).into_response(),
    }
}

/// A JSON body with what was asked for.
pub(in crate::front::http) fn ok(body: &impl Serialize, format: &Format) -> Response {
    json(StatusCode::OK, body, format)
}

/// The text of a JSON body with what was asked for, already written.
pub(in crate::front::http) fn written(text: String, format: &Format) -> Response {
    respond(StatusCode::OK, content_type(format), text)
}

/// The client has the representation already.
pub(in crate::front::http) fn not_modified() -> Response {
    StatusCode::NOT_MODIFIED.into_response()
}

/// How a session stands, or why there is none.
pub(in crate::front::http) fn session(
    outcome: SessionOutcome,
    body: &impl Serialize,
    format: &Format,
) -> Response {
    json(status_of_session(outcome), body, format)
}

/// A session was ended; nothing is left to say.
pub(in crate::front::http) fn ended() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// The place that a denial travels in until the renderer has written it.
pub(in crate::front::http) fn unwritten() -> Response {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// The content type of a JSON body.
fn content_type(format: &Format) -> &'static str {
    if format.callback.is_some() { SCRIPT } else { JSON }
}

/// A JSON body that ends in an empty array, whose items are sent between what stands before and behind them.
pub(in crate::front::http) fn json_around(
    body: &impl Serialize,
    fill: impl FnOnce(String, String) -> Body,
    format: &Format,
) -> Result<Response, Failure> {
    let text = write(body, &Format::default())?;
    let (head, tail) = text.rsplit_once(']').ok_or_else(|| bug("a list is written with its array"))?;
    Ok(match &format.callback {
        None => respond(StatusCode::OK, JSON, fill(head.to_owned(), format!("]{tail}"))),
        Some(name) => respond(StatusCode::OK, SCRIPT, fill(format!("{name}({head}"), format!("]{tail});"))),
    })
}

/// A body with its content type.
fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The reply of the Handle front end to a native message, whatever it says.
pub(in crate::front::http) fn native(message: Vec<u8>) -> Response {
    respond(StatusCode::OK, native::CONTENT_TYPE, message)
}

/// The body is no native message. Its sender reads text.
pub(in crate::front::http) fn not_native() -> Response {
    respond(StatusCode::BAD_REQUEST, TEXT, "the body is not a message of the Handle protocol\n")
}

/// This node has no front end for native messages. Their senders read text.
pub(in crate::front::http) fn no_native() -> Response {
    respond(StatusCode::NOT_IMPLEMENTED, TEXT, "this node does not speak the Handle protocol\n")
}

//----------- Bodies ---------------------------------------------------------

/// The outcome of a request about one identifier.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(title = "HandleReply")]
pub(in crate::front::http) struct HandleReply {
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
    /// The values that lead to the service which answers, in a referral.
    #[serde(skip_serializing_if = "Option::is_none")]
    referral_handle: Option<String>,
    /// What is wrong, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// What is likely not as meant in the values that were written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<WarningJson>,
    /// Number of further warnings that are not listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    warnings_left_out: Option<u32>,
}

/// A value that was written, and that is likely not as meant.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(title = "Warning")]
struct WarningJson {
    /// Index of the value.
    #[schema(example = 1)]
    index: u32,
    /// Stable code.
    #[schema(example = "NO_WEB_ADDRESS")]
    code: &'static str,
    /// What is wrong and what would be right, for people.
    message: String,
}

impl WarningJson {
    fn of(warning: &UriWarning) -> Self {
        Self { index: warning.index().get(), code: warning.code(), message: warning.to_string() }
    }
}

impl HandleReply {
    /// The values of an identifier that were asked for and are shown.
    pub(in crate::front::http) fn of_values(handle: &str, values: Vec<ValueJson>) -> Self {
        let code = if values.is_empty() { ResponseCode::VALUES_NOT_FOUND } else { ResponseCode::SUCCESS };
        Self { values: Some(values), ..Self::new(code, Some(handle)) }
    }

    /// A reply of this response code about an identifier.
    fn new(code: ResponseCode, handle: Option<&str>) -> Self {
        let handle = handle.map(str::to_owned);
        Self {
            response_code: code.0,
            handle,
            values: None,
            referral_handle: None,
            message: None,
            warnings: Vec::new(),
            warnings_left_out: None,
        }
    }
}

/// A referral to the service that answers, with the values by which clients find it.
pub(in crate::front::http) fn referral(
    (identifier, spelled): (&Identifier, &str),
    service: &Service,
    format: &Format,
) -> Response {
    let body = HandleReply {
        values: Some(service.sites.iter().cloned().map(ValueJson::of).collect()),
        referral_handle: Some(service.identifier.to_string()),
        ..HandleReply::new(response_code::of_referral(identifier, Version::OURS), Some(spelled))
    };
    json(StatusCode::MULTIPLE_CHOICES, &body, format)
}

/// A handle was written: created, or changed.
pub(in crate::front::http) fn written_handle(
    created: bool,
    handle: &str,
    warnings: &Warnings,
    format: &Format,
) -> Response {
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let body = HandleReply {
        warnings: warnings.listed.iter().map(WarningJson::of).collect(),
        warnings_left_out: Some(warnings.left_out).filter(|count| *count > 0),
        ..HandleReply::new(ResponseCode::SUCCESS, Some(handle))
    };
    json(status, &body, format)
}

/// A command about one identifier was carried out.
pub(in crate::front::http) fn done(created: bool, handle: &str, format: &Format) -> Response {
    written_handle(created, handle, &Warnings::default(), format)
}

/// The reply to a request that is not fulfilled.
pub(in crate::front::http) fn denied(
    denial: &Denial,
    status: StatusCode,
    handle: Option<&str>,
    format: &Format,
) -> Response {
    let message = Some(denial.to_string());
    let is_silent = matches!(denial, Denial::Refused(Refusal::Absent));
    let reply = HandleReply::new(code_of(denial), handle);
    json(status, &HandleReply { message: message.filter(|_| !is_silent), ..reply }, format)
}

#[cfg(test)]
mod tests {
    use super::{
        Denial, Intent, Schemes, StatusCode, Unanswered, UriWarning, WarningJson, status_of, status_of_denial,
    };
    use crate::federation::error::PeerError;
    use crate::model::limits::{INDEX_MAX, WARNING_BYTES_MAX};
    use crate::model::refusal::Refusal;
    use crate::model::value::{Index, Permissions, Ttl, Value, ValueType};
    use crate::wire::handle::code::ResponseCode;

    #[test]
    fn another_node_that_does_not_answer_is_no_failure_of_this_one() {
        let peer = || "node b".to_owned();
        let detail = || "a cause".to_owned();
        let slow = Unanswered::Peer(PeerError::DeadlinePassed { peer: peer() });
        let away = Unanswered::Peer(PeerError::Unreachable { peer: peer(), detail: detail() });
        let odd = Unanswered::Peer(PeerError::Unintelligible { peer: peer(), detail: detail() });
        let ours = Unanswered::Peer(PeerError::Configured { peer: peer(), detail: detail() });
        for (unanswered, status) in [
            (slow, 504),
            (away, 502),
            (odd, 502),
            (Unanswered::Loop, 502),
            (Unanswered::TooDeep, 502),
            (ours, 500),
            (Unanswered::Here(Refusal::Absent.into()), 404),
        ] {
            let denial = Denial::Unanswered(unanswered);
            let found = status_of_denial(&denial, Intent::Question, Schemes::Tokens);
            assert_eq!(found.as_u16(), status, "{denial}");
        }
    }

    /// The outcome of a command is reported within the memory that was taken before, whatever was written.
    #[test]
    fn a_warning_takes_no_more_than_its_bound() {
        for character in ["\"", "\\", "\n", "\u{7f}", "\u{10ffff}", "\u{301}", "零", "a", "\0", "\u{e000}"] {
            for value_type in ["URL", "URI", ValueType::LOCATIONS] {
                let value = Value {
                    index: Index::new(INDEX_MAX).expect("an index"),
                    value_type: ValueType::new(value_type).expect("a type"),
                    data: character.repeat(200).into_bytes(),
                    ttl: Ttl::default(),
                    permissions: Permissions::DEFAULT,
                    references: Vec::new(),
                    timestamp: 0,
                };
                let warning = UriWarning::about(&value).expect("a warning");
                let text = serde_json::to_string_pretty(&WarningJson::of(&warning)).expect("it is written");
                // Within the reply each of its five lines begins with four blanks more.
                assert!(text.len() + 5 * 4 <= WARNING_BYTES_MAX, "{} bytes: {text}", text.len());
            }
        }
    }

    /// RFC 9110 section 15.5.2: a 401 says which credentials would do; where none are accepted it is a 403.
    #[test]
    fn proof_is_asked_for_where_it_is_accepted() {
        let denial = Denial::Refused(Refusal::Unauthenticated);
        let status = |schemes| status_of_denial(&denial, Intent::Command, schemes);
        assert_eq!(status(Schemes::All), StatusCode::UNAUTHORIZED);
        assert_eq!(status(Schemes::Tokens), StatusCode::UNAUTHORIZED);
        assert_eq!(status(Schemes::None), StatusCode::FORBIDDEN);
    }

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
