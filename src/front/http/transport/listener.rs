//! From accepted connections to served ones, drained in order.
//!
//! ```text
//!   accepted ──▶ Connection ──▶ HTTP/1.1, or HTTP/2 by its preface ──▶ Faces
//! ```
//!
//! A connection in a reserved slot (`listen::reserved`) is served with health, readiness and metrics, and with what a token
//! of an administrator asks for; each request is its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::coop::unconstrained;
use tokio::time::sleep;

use crate::front::listen::accept::{Accepted, Reception};
use crate::front::listen::budget::{MemoryAccount, MemoryBudget};
use crate::front::listen::closing::must_close;
use crate::front::listen::drain::Drain;
use crate::front::listen::in_flight::InFlight;

use super::Faces;
use super::connection::{Client, Connection};

/// Bytes of a request's line and headers together.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of one request.
const HEADERS_MAX: usize = 64;
/// Bytes of headers over HTTP/2, counted after decoding.
const HEAD_LIST_BYTES_MAX: u32 = 32 * 1024;
/// Requests of one HTTP/2 connection at a time: no fewer than 100 (RFC 9113 section 6.5.2).
const STREAMS_MAX: u32 = 128;
/// Streams that a client may open and reset before they are looked at, before the connection is closed: a client that
/// does so much of it floods us (CVE-2023-44487).
const RESETS_MAX: usize = 32;
/// Streams that we may reset for errors of a client before the connection is closed (CVE-2025-8671). A client that does not
/// know yet how many requests it may have at a time opens more, which are refused by a reset and can be repeated.
const ERRORS_MAX: usize = 1_024;
/// Bytes of one HTTP/2 stream that wait for the client to take them, beside the answer itself.
const SEND_BYTES_MAX: usize = 64 * 1024;
/// Paths that say how the node is, which are served to anybody in reserved slots, and while the memory is spent: health, readiness and metrics.
pub(in crate::front::http) const RESERVED_PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The state that all connections of a listener share.
pub(in crate::front::http) struct Service {
    pub(in crate::front::http) faces: Arc<Faces>,
    pub(in crate::front::http) memory: Arc<MemoryBudget>,
    pub(in crate::front::http) reception: Reception,
    /// How long a connection may be without a byte from or to the client, and a request's head may take.
    pub(in crate::front::http) silence_max: Duration,
}

/// Serves a listener until `drain` ends; then no connection is accepted, and of those open the ones that have an answer in
/// flight give it before they are closed.
pub(in crate::front::http) async fn serve(
    listener: TcpListener,
    service: Service,
    drain: impl Future<Output = ()>,
) {
    let Service { faces, memory, reception, silence_max } = service;
    let end = Drain::new();
    let serve = move |accepted: Accepted| {
        let memory = memory.account(accepted.holder());
        serve_one(accepted, memory, Arc::clone(&faces), silence_max)
    };
    let mut accepting = pin!(reception.serve(listener, end.draining(), serve));
    tokio::select! {
        () = &mut accepting => return,
        () = drain => drop(end),
    }
    accepting.await;
}

/// What speaks HTTP, within its bounds.
fn builder(silence_max: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(silence_max)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_LIST_BYTES_MAX)
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(ERRORS_MAX)
        .max_send_buf_size(SEND_BYTES_MAX);
    builder
}

/// Serves a connection to its end. A client that sends without pause uses up what this task may do at a time, so what ends the
/// connection is not bound by that.
async fn serve_one(accepted: Accepted, memory: Arc<MemoryAccount>, faces: Arc<Faces>, silence_max: Duration) {
    let Accepted { stream, client: address, own, channel, client_certificate, slot, mut draining } = accepted;
    let usage = slot.usage();
    let in_flight = InFlight::new(usage.clone());
    let connection = Connection::new(stream, silence_max, in_flight.clone());
    let client = Arc::new(Client {
        address,
        own,
        channel,
        certificate: client_certificate,
        in_flight,
        memory,
        is_multiplexed: false.into(),
    });
    let is_reserved = usage.is_reserved();
    let answer = service_fn(|request: Request<Incoming>| {
        let (faces, client) = (Arc::clone(&faces), Arc::clone(&client));
        async move {
            let request = request.map(Body::new);
            Ok::<_, Infallible>(if is_reserved {
                faces.answer_reserved(&client, request).await
            } else {
                faces.answer(&client, request).await
            })
        }
    });
    let builder = builder(silence_max);
    let serving = builder.serve_connection(TokioIo::new(connection), answer);
    let mut serving = pin!(serving);
    let closing_max = tokio::select! {
        ended = &mut serving => {
            if let Err(error) = ended {
                tracing::debug!(client = %address, %error, "HTTP connection ended");
            }
            return;
        }
        closing_max = unconstrained(must_close(&usage, &mut draining)) => closing_max,
    };
    serving.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ended = &mut serving => {}
        // Idle, or half a request: it cannot be waited for.
        () = unconstrained(client.settled()) => {}
        () = unconstrained(sleep(closing_max)) => {}
    }
}
