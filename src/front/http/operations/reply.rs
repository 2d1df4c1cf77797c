//! Replies of this face, which alone know its statuses. No cache may store them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::front::http::transport::rejection::Rejection;
use crate::telemetry::bug;

const JSON: &str = "application/json";
/// The text format of Prometheus (exposition format 0.0.4).
const TEXT_EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The node keeps its promises.
pub(super) fn healthy(health: &impl Serialize) -> Response {
    described(StatusCode::OK, health)
}

/// The node does not keep all of its promises.
pub(super) fn not_ready(health: &impl Serialize) -> Response {
    described(StatusCode::SERVICE_UNAVAILABLE, health)
}

/// The page of metrics.
pub(super) fn metrics(page: String) -> Response {
    respond(StatusCode::OK, TEXT_EXPOSITION, page)
}

fn described(status: StatusCode, health: &impl Serialize) -> Response {
    match serde_json::to_string(health) {
        Ok(text) => respond(status, JSON, text + "\n"),
        Err(_) => Rejection::Failed(bug("the health of the node can be written")).into_response(),
    }
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
