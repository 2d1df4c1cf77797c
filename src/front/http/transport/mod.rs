//! The HTTP transport: everything between a connection and a face, the same for every face.
//!
//! ```text
//!   connection ─▶ router ─▶ face's renderer ─▶ guard: time, form, host ─▶ extractors ─▶ handler
//!                                   ▲                     │                    │            │
//!                                   └── Rejection ────────┴────────────────────┘            │
//!                                   └── the face's own refusals ────────────────────────────┘
//! ```
//! A face is a set of routes and a renderer of its refusals. It takes what it needs of a request by the extractors, asks the
//! [`authentication::Authenticator`] who calls, and names neither sockets nor limits. To add a face is to merge its routes in
//! the module above; nothing here changes.

pub(super) mod connection;
pub(super) mod counters;
pub(super) mod listener;

pub(super) mod rejection;

pub(super) mod authentication;
pub(super) mod body;
pub(super) mod deadline;
pub(super) mod extract;
pub(super) mod host;
pub(super) mod query;
pub(super) mod state;
mod syntax;

pub(super) mod condition;
pub(super) mod cors;
pub(super) mod negotiation;

mod answer;
mod json;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tokio::time::{Instant, timeout_at};
use tower_http::set_header::SetResponseHeaderLayer;

use self::answer::AnswerMemory;
use self::connection::Client;
use self::counters::HttpCounters;
use self::deadline::Deadline;
use self::rejection::Rejection;
use crate::front::listen::budget::{BudgetSpent, MemoryBudget};

//----------- Layers ---------------------------------------------------------

/// Puts the routes of a face behind what every request passes: memory, a deadline, its syntax, and one host. The renderer of
/// the face goes around it.
pub(super) fn guard(face: Router) -> Router {
    face.layer(from_fn(host::check))
        .layer(from_fn(syntax::check))
        .layer(from_fn(answer_in_time))
        .layer(from_fn(refuse_without_memory))
}

/// Wraps all faces in the layers that every response passes.
pub(super) fn finish(faces: Router, counters: Arc<HttpCounters>, memory: Arc<MemoryBudget>) -> Router {
    let nosniff = SetResponseHeaderLayer::if_not_present(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let memory = Arc::new(AnswerMemory::new(memory));
    // Layers around a router of its own see what the inner one adds last, such as the header Allow; and each connection adds
    // its client to one route instead of to all.
    Router::new().fallback_service(faces).layer(nosniff).layer(from_fn_with_state((counters, memory), send))
}

/// Refuses a request that found no memory.
async fn refuse_without_memory(request: Request, next: Next) -> Response {
    if let Some(spent) = request.extensions().get::<BudgetSpent>() {
        return Rejection::MemorySpent(*spent).into_response();
    }
    next.run(request).await
}

/// Cuts a request off whose deadline passed without an answer.
async fn answer_in_time(Extension(deadline): Extension<Deadline>, request: Request, next: Next) -> Response {
    let answered = timeout_at(deadline.cut(), next.run(request)).await;
    answered.unwrap_or_else(|_| deadline.passed().into_response())
}

/// Counts a response and its memory, and lets the connection know that one is due until it has left.
async fn send(
    State((counters, memory)): State<(Arc<HttpCounters>, Arc<AnswerMemory>)>,
    Extension(client): Extension<Client>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(Deadline::from(Instant::now()));
    let version = request.version();
    client.note_version(version);
    let in_flight = client.in_flight.begin_answer();
    let reserved = memory.reserve(&client, request.uri().path());
    if let Err(spent) = &reserved {
        request.extensions_mut().insert(*spent);
    }
    let response = next.run(request).await;
    let mut response = answer::hold(response, reserved.ok(), version, in_flight);
    cors::complete_allow(response.headers_mut());
    counters.count_response(response.status());
    response
}
