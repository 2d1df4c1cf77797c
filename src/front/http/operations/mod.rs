//! Operations: health, readiness, metrics, and the description of the interface. These ask
//! neither registry nor resolver.

pub(super) mod openapi;

mod reply;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::future::BoxFuture;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::dependencies::{HttpDependencies, Readiness, Reason};
use super::transport::cors::method_not_allowed;
use super::transport::listener::RESERVED_PATHS;
use super::transport::{Face, Routes};
use crate::telemetry::Metrics;

//----------- Operations -----------------------------------------------------

/// This face. Scripts of other origins read none of it.
pub(super) struct Operations(Routes);

/// What the handlers of this face work with.
#[derive(Clone)]
struct OperationsState {
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

impl Operations {
    /// The face over what a node has, and the description of its routes.
    pub(super) fn new(dependencies: &HttpDependencies) -> (Self, OpenApi) {
        let (router, openapi) = OpenApiRouter::new()
            .routes(routes!(live))
            .routes(routes!(ready))
            .routes(routes!(metrics))
            .split_for_parts();
        let (readiness, metrics) = (Arc::clone(&dependencies.readiness), Arc::clone(&dependencies.metrics));
        let router = router.method_not_allowed_fallback(method_not_allowed);
        (Self(Routes::new(router.with_state(OperationsState { readiness, metrics }))), openapi)
    }
}

impl Face for Operations {
    fn has(&self, path: &str) -> bool {
        RESERVED_PATHS.contains(&path)
    }

    fn answer(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(self.0.answer(request))
    }
}

//----------- Handlers -------------------------------------------------------

/// The health of the node.
#[derive(Serialize, ToSchema)]
struct Health<'a> {
    /// The state in one word.
    #[schema(example = "ready")]
    status: &'static str,
    /// Reasons why the node is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<ReasonJson<'a>>,
}

/// One reason why the node is not ready.
#[derive(Serialize, ToSchema)]
struct ReasonJson<'a> {
    /// Stable code of the reason, for programs.
    code: &'static str,
    /// Description of the reason, for people.
    message: &'a str,
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "node", operation_id = "live",
    responses((status = 200, description = "The process is alive.", body = Health)))]
async fn live() -> Response {
    reply::healthy(&Health { status: "live", reasons: Vec::new() })
}

/// Ready, or the reasons why not.
#[utoipa::path(get, path = "/readyz", tag = "node", operation_id = "ready", responses(
    (status = 200, description = "The node can do its work.", body = Health),
    (status = 503, description = "The node cannot do all of its work; the reasons.", body = Health)))]
async fn ready(State(operations): State<OperationsState>) -> Response {
    let reasons: Vec<Reason> = (operations.readiness)();
    let shown = reasons.iter().map(|reason| ReasonJson { code: reason.code, message: &reason.message });
    let reasons: Vec<ReasonJson<'_>> = shown.collect();
    if reasons.is_empty() {
        return reply::healthy(&Health { status: "ready", reasons });
    }
    reply::not_ready(&Health { status: "not ready", reasons })
}

/// The metrics of the node.
#[utoipa::path(get, path = "/metrics", tag = "node", operation_id = "metrics", responses(
    (status = 200, description = "The metrics, in the text format of Prometheus.", body = String,
        content_type = "text/plain")))]
async fn metrics(State(operations): State<OperationsState>) -> Response {
    reply::metrics(operations.metrics.render())
}
