//! What the HTTP door says, in statuses, headers and JSON.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Reason;

const JSON: &str = "application/json";
const TEXT_EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<ReasonJson<'a>>,
}

#[derive(Serialize)]
struct ReasonJson<'a> {
    code: &'static str,
    message: &'a str,
}

/// The process answers.
pub(super) fn live() -> Response {
    health(StatusCode::OK, Health { status: "live", reasons: Vec::new() })
}

/// Ready, or the reasons why not.
pub(super) fn ready(reasons: &[Reason]) -> Response {
    let told = reasons.iter().map(|reason| ReasonJson { code: reason.code, message: &reason.message });
    let reasons: Vec<ReasonJson<'_>> = told.collect();
    if reasons.is_empty() {
        return health(StatusCode::OK, Health { status: "ready", reasons });
    }
    health(StatusCode::SERVICE_UNAVAILABLE, Health { status: "not ready", reasons })
}

/// The page of metrics.
pub(super) fn page(text: String) -> Response {
    respond(StatusCode::OK, TEXT_EXPOSITION, text)
}

/// Nothing stands at this path.
pub(super) async fn not_found() -> Response {
    respond(
        StatusCode::NOT_FOUND,
        JSON,
        "{\"status\":\"not found\",\"paths\":[\"/healthz\",\"/readyz\",\"/metrics\"]}\n".into(),
    )
}

/// The answer took too long.
pub(super) fn too_late() -> Response {
    respond(StatusCode::SERVICE_UNAVAILABLE, JSON, "{\"status\":\"too late\"}\n".into())
}

fn health(status: StatusCode, health: Health<'_>) -> Response {
    match serde_json::to_string(&health) {
        Ok(text) => respond(status, JSON, text + "\n"),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}
