//! From a listener to served connections: bounded in number, and drained in order.
//!
//! ```text
//!   listener ── a place is free ──▶ accept ──▶ first byte, handshake ──▶ HTTP/1.1 ──▶ route
//! ```
//!
//! Accepting never fails for good: what goes wrong with one connection is told and the next is taken.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::front::listen::drain::{Drain, Draining};

use super::connection::Connection;
use super::counters::{HttpCounters, OpenMark, count};

/// Connections of one listener at a time; more wait unaccepted.
const CONNECTIONS_MAX: usize = 4_096;
/// How long accepting rests after the system refused it, as it does when file descriptors run out.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Bytes of a request's line and headers together.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of one request.
const HEADERS_MAX: usize = 64;

/// What every connection of a listener is served with.
pub(super) struct Service {
    pub(super) router: Router,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) counters: Arc<HttpCounters>,
    /// How long a connection may be without a byte from or to the other end, and a request's head may take.
    pub(super) silence_max: Duration,
}

/// Serves a listener until `drain` ends; then no connection is taken, and of those open the ones that owe an answer give
/// it before they are closed.
pub(super) async fn serve(listener: TcpListener, service: Service, drain: impl Future<Output = ()>) {
    let service = Arc::new(service);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let end = Drain::new();
    let mut drain = pin!(drain);
    loop {
        tokio::select! {
            () = &mut drain => break,
            accepted = take(&listener, &places) => {
                let Some(accepted) = accepted else { break };
                tokio::spawn(serve_one(accepted, Arc::clone(&service), end.draining()));
            }
        }
    }
    drop(listener);
    end.run().await;
}

struct Accepted {
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
}

/// Waits for a place, then for a connection. None when the places are gone for good, which they never are.
async fn take(listener: &TcpListener, places: &Arc<Semaphore>) -> Option<Accepted> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return Some(Accepted { stream, address, place }),
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection; trying again");
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn serve_one(accepted: Accepted, service: Arc<Service>, mut draining: Draining) {
    let Accepted { stream, address, place: _place } = accepted;
    let opened = tokio::select! {
        opened = Connection::open(stream, address, service.tls.as_ref(), service.silence_max) => opened,
        // Nothing was asked yet.
        () = draining.begins() => return,
    };
    let (connection, peer) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            count(&service.counters.handshakes_failed);
            tracing::debug!(%address, %error, "HTTP connection came to nothing");
            return;
        }
    };
    let _open = OpenMark::new(Arc::clone(&service.counters));
    let owed = Arc::clone(&peer.owed);
    let router = service.router.clone().layer(Extension(peer));
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(service.silence_max)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX);
    let serving = builder.serve_connection(TokioIo::new(connection), TowerToHyperService::new(router));
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = draining.begins() => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = &mut serving => ended,
                // Idle, or half a request: it cannot be waited for.
                () = owed.settled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%address, %error, "HTTP connection ended");
    }
}
