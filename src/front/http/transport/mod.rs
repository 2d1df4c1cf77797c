//! The HTTP transport: everything between a connection and a face, the same for every face.
//!
//! ```text
//!   connection ─▶ Faces ─▶ face: renderer ─▶ guarded: memory, syntax, host, time ─▶ routes ─▶ extractors ─▶ handler
//!                                  ▲                          │                                   │            │
//!                                  └── Rejection ─────────────┴───────────────────────────────────┘            │
//!                                  └── the face's own refusals ────────────────────────────────────────────────┘
//! ```
//! A [`Face`] is a set of routes and a renderer of its refusals. It takes what it needs of a request by the extractors, asks
//! the [`authentication::Authenticator`] who calls, and names neither sockets nor limits. To add a face is to list it in the
//! module above; nothing here changes. Renderer and guard are functions around the routes and no layers of their router, each
//! of which would copy every request to the heap once more.

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
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
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
use crate::telemetry::bug;

//----------- Faces ----------------------------------------------------------

/// A set of routes that renders its own refusals.
pub(super) trait Face: Send + Sync {
    /// Whether a path belongs to this face.
    fn has(&self, path: &str) -> bool;

    /// Answers a request for such a path.
    fn answer(&self, request: Request) -> BoxFuture<'_, Response>;
}

/// The routes of a face.
pub(super) struct Routes(TowerToHyperService<Router>);

impl Routes {
    /// Routes without layers of their own.
    pub(super) fn new(router: Router) -> Self {
        Self(TowerToHyperService::new(router))
    }

    /// Answers a request within the bounds of all requests.
    pub(super) async fn answer(&self, request: Request) -> Response {
        guarded(request, |request| self.answer_unguarded(request)).await
    }

    /// Answers a request that is guarded already.
    pub(super) async fn answer_unguarded(&self, request: Request) -> Response {
        let Ok(response) = self.0.call(request).await;
        response
    }
}

/// All faces, and what every request and response passes.
pub(super) struct Faces {
    /// A path belongs to the first face that has it.
    pub(super) faces: Vec<Box<dyn Face>>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) counters: Arc<HttpCounters>,
    pub(super) memory: AnswerMemory,
}

impl Faces {
    /// Answers a request. The response and its memory are counted, and the connection knows that one is due until it has
    /// left.
    async fn answer(&self, client: &Arc<Client>, mut request: Request) -> Response {
        let (version, is_head) = (request.version(), request.method() == Method::HEAD);
        client.note_version(version);
        let in_flight = client.in_flight.begin_answer();
        let reserved = self.memory.reserve(client, request.uri().path());
        request.extensions_mut().insert(RequestContext {
            client: Arc::clone(client),
            deadline: Deadline::from(Instant::now()),
            memory: reserved.as_ref().map(|_| ()).map_err(|spent| *spent),
        });
        let path = request.uri().path();
        let response = match self.faces.iter().find(|face| face.has(path)) {
            Some(face) => face.answer(request).await,
            None => Rejection::Failed(bug("every path belongs to a face")).into_response(),
        };
        let response = if is_head { answer::head_only(response) } else { response };
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
