//! The HTTP transport: everything between a connection and a face, the same for every face.
//!
//! ```text
//!   connection ─▶ Faces ─▶ router ─▶ face's renderer ─▶ guarded: memory, syntax, host, time ─▶ extractors ─▶ handler
//!                                           ▲                          │                           │            │
//!                                           └── Rejection ─────────────┴───────────────────────────┘            │
//!                                           └── the face's own refusals ────────────────────────────────────────┘
//! ```
//! A face is a set of routes and a renderer of its refusals, in one middleware: each further one would copy every request to
//! the heap once more. A face takes what it needs of a request by the extractors, asks the
//! [`authentication::Authenticator`] who calls, and names neither sockets nor limits. To add a face is to merge its routes in
//! the module above; nothing here changes.

pub(super) mod connection;
pub(super) mod counters;
pub(super) mod listener;

pub(super) mod rejection;

pub(super) mod authentication;
pub(super) mod body;
pub(super) mod context;
pub(super) mod deadline;
pub(super) mod extract;
pub(super) mod host;
pub(super) mod query;
mod syntax;

pub(super) mod condition;
pub(super) mod cors;
pub(super) mod negotiation;

pub(super) mod answer;
mod json;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::time::{Instant, timeout_at};

use self::answer::AnswerMemory;
use self::authentication::Authenticator;
use self::connection::Client;
use self::context::RequestContext;
use self::counters::HttpCounters;
use self::deadline::Deadline;
use self::listener::RESERVED_PATHS;
use self::rejection::Rejection;

//----------- Faces ----------------------------------------------------------

/// All faces, and what every request and response passes.
pub(super) struct Faces {
    pub(super) router: TowerToHyperService<Router>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) counters: Arc<HttpCounters>,
    pub(super) memory: AnswerMemory,
}

impl Faces {
    /// Answers a request. The response and its memory are counted, and the connection knows that one is due until it has
    /// left.
    async fn answer(&self, client: &Arc<Client>, mut request: Request) -> Response {
        let version = request.version();
        client.note_version(version);
        let in_flight = client.in_flight.begin_answer();
        let reserved = self.memory.reserve(client, request.uri().path());
        request.extensions_mut().insert(RequestContext {
            client: Arc::clone(client),
            deadline: Deadline::from(Instant::now()),
            memory: reserved.as_ref().map(|_| ()).map_err(|spent| *spent),
        });
        let Ok(response) = self.router.call(request).await;
        let mut response = answer::hold(response, reserved.ok(), version, in_flight);
        let headers = response.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        cors::complete_allow(headers);
        self.counters.count_response(response.status());
        response
    }

    /// Answers in a reserved slot what is served there, and closes the connection.
    async fn answer_reserved(&self, client: &Arc<Client>, request: Request) -> Response {
        let is_served = RESERVED_PATHS.contains(&request.uri().path())
            || self.authenticator.is_administrator(client, request.headers());
        let mut response = if is_served {
            self.answer(client, request).await
        } else {
            Rejection::TooManyConnections.into_response()
        };
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

//----------- Guard ----------------------------------------------------------

/// Answers a request that has memory, a syntax that is understood in one way, and one host, until its deadline.
pub(super) async fn guarded<A: Future<Output = Response>>(
    request: Request,
    answer: impl FnOnce(Request) -> A,
) -> Response {
    let deadline = match check(&request) {
        Ok(deadline) => deadline,
        Err(rejection) => return rejection.into_response(),
    };
    let answered = timeout_at(deadline.cut(), answer(request)).await;
    answered.unwrap_or_else(|_| deadline.passed().into_response())
}

/// Refuses a request of which nothing is to be done; returns the deadline of others.
fn check(request: &Request) -> Result<Deadline, Rejection> {
    let RequestContext { deadline, memory, .. } = RequestContext::of(request.extensions())?;
    (*memory)?;
    syntax::check(request)?;
    host::check(request)?;
    Ok(deadline.clone())
}

/// Guards the routes of a face that renders its refusals as the transport does.
pub(super) fn guard(face: Router) -> Router {
    face.layer(from_fn(|request: Request, next: Next| guarded(request, |request| next.run(request))))
}
