//! How the node is: whether it lives, whether it is ready, and its numbers. These ask neither registry nor resolver.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Reason;
use super::reply;
use crate::telemetry::Metrics;

const JSON: &str = "application/json";
const TEXT_EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How the node is.
#[derive(Serialize, ToSchema)]
pub(super) struct Health<'a> {
    /// In a word.
    #[schema(example = "ready")]
    status: &'static str,
    /// Why it is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<ReasonJson<'a>>,
}

/// One promise that the node cannot keep now.
#[derive(Serialize, ToSchema)]
pub(super) struct ReasonJson<'a> {
    /// Stable, for programs.
    code: &'static str,
    /// For people.
    message: &'a str,
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "node", operation_id = "live",
    responses((status = 200, description = "The process answers.", body = Health)))]
pub(super) fn live() -> Response {
    health(StatusCode::OK, &Health { status: "live", reasons: Vec::new() })
}

/// Ready, or the reasons why not.
#[utoipa::path(get, path = "/readyz", tag = "node", operation_id = "ready", responses(
    (status = 200, description = "Every promise can be kept.", body = Health),
    (status = 503, description = "Some cannot; the reasons.", body = Health)))]
pub(super) fn ready(reasons: &[Reason]) -> Response {
    let told = reasons.iter().map(|reason| ReasonJson { code: reason.code, message: &reason.message });
    let reasons: Vec<ReasonJson<'_>> = told.collect();
    if reasons.is_empty() {
        return health(StatusCode::OK, &Health { status: "ready", reasons });
    }
    health(StatusCode::SERVICE_UNAVAILABLE, &Health { status: "not ready", reasons })
}

/// The numbers of the node.
#[utoipa::path(get, path = "/metrics", tag = "node", operation_id = "metrics", responses(
    (status = 200, description = "The numbers, in the text format of Prometheus.", body = String,
        content_type = "text/plain")))]
pub(super) fn metrics(metrics: &Metrics) -> Response {
    fresh(reply::respond(StatusCode::OK, TEXT_EXPOSITION, metrics.render()))
}

fn health(status: StatusCode, health: &Health<'_>) -> Response {
    match serde_json::to_string(health) {
        Ok(text) => fresh(reply::respond(status, JSON, text + "\n")),
        Err(_) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, "the node cannot say how it is"),
    }
}

fn fresh(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
