//! The HTTP door, small: whether the node lives, whether it is ready, and its numbers. It asks neither the registry
//! nor the resolver.
//!
//! ```text
//!   GET /healthz   200 while the process answers at all
//!   GET /readyz    200 when every promise can be kept, else 503 and the reasons
//!   GET /metrics   the page of metrics
//! ```

mod connection;
mod reply;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use tokio::net::TcpListener;

use self::connection::Bounded;
use crate::telemetry::Metrics;

/// How long one question may take.
const QUESTION_MAX: Duration = Duration::from_secs(5);
/// How long a connection may be without a byte from the other end.
const SILENCE_MAX: Duration = Duration::from_secs(30);

//----------- HttpOptions ----------------------------------------------------

/// Where the door listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Addresses; empty for no such door.
    pub listen: Vec<SocketAddr>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from(([127, 0, 0, 1], 8080))] }
    }
}

//----------- Readiness ------------------------------------------------------

/// Tells why the node is not ready; called for each question, must not wait.
pub type Readiness = Arc<dyn Fn() -> Vec<Reason> + Send + Sync>;

/// One promise that the node cannot keep now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Stable, for programs: `STARTING`, `READ_ONLY`, `STOPPING`.
    pub code: &'static str,
    /// What is wrong and what to do, for people.
    pub message: String,
}

//----------- HttpDoor -------------------------------------------------------

/// The door before it listens.
#[derive(Clone)]
pub struct HttpDoor {
    readiness: Readiness,
    metrics: Arc<Metrics>,
    silence_max: Duration,
}

impl HttpDoor {
    /// Makes the door.
    pub fn new(readiness: Readiness, metrics: Arc<Metrics>) -> Self {
        Self { readiness, metrics, silence_max: SILENCE_MAX }
    }

    /// Serves a bound listener until `drain` ends; then no connection is taken and those open end their question.
    pub async fn serve(
        self,
        listener: TcpListener,
        drain: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let listener = Bounded::new(listener, self.silence_max);
        let router = Router::new()
            .route("/healthz", get(healthz))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .fallback(reply::not_found)
            .layer(from_fn(limit))
            .with_state(self);
        axum::serve(listener, router).with_graceful_shutdown(drain).await
    }
}

async fn healthz() -> Response {
    reply::live()
}

async fn readyz(State(door): State<HttpDoor>) -> Response {
    reply::ready(&(door.readiness)())
}

async fn metrics(State(door): State<HttpDoor>) -> Response {
    reply::page(door.metrics.render())
}

async fn limit(request: Request, next: Next) -> Response {
    tokio::time::timeout(QUESTION_MAX, next.run(request)).await.unwrap_or_else(|_| reply::too_late())
}
