//! A gRPC server in front of a node that loses answers, or gives its own.
//!
//! ```text
//!   client ──▶ proxy ──▶ node        each call follows the next line of the script; after its end, calls pass
//! ```

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::client::GrpcService as _;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The treatment of one call.
#[derive(Clone, Debug)]
pub(crate) enum Treatment {
    /// The node carries it out, and the client gets this instead of the answer.
    Lose(Status),
    /// The node never sees it, and the client gets this.
    Answer(Status),
    /// The node carries it out, and the client gets no answer at all.
    Hang,
    /// The node carries it out, and the stream breaks instead of its first answer.
    Break,
    /// The node carries it out, and the first answers on the stream are missing.
    Skip,
}

/// A status with a stable reason, as the node makes them.
pub(crate) fn reason(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "idnode", HashMap::<String, String>::new());
    Status::with_error_details(code, format!("a sentence about {reason}"), details)
}

/// Starts a proxy in front of a node, for the calls whose path ends so; returns its URL.
pub(crate) async fn start(node: &str, method: &'static str, script: Vec<Treatment>) -> String {
    let channel = Endpoint::from_shared(node.to_owned()).expect("a URL").connect().await.expect("connected");
    let script = Arc::new(Mutex::new(VecDeque::from(script)));
    let answer = move |request: Request| {
        let next = match request.uri().path().ends_with(method) {
            true => script.lock().expect("not poisoned").pop_front(),
            false => None,
        };
        treat(channel.clone(), request, next)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let routes = Routes::from(Router::new().fallback(answer));
    let server = Server::builder().add_routes(routes);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    url
}

/// Answers one call.
fn treat(channel: Channel, request: Request, next: Option<Treatment>) -> BoxFuture<'static, Response> {
    Box::pin(async move {
        match next {
            None => pass(channel, request).await,
            Some(Treatment::Answer(status)) => status.into_http(),
            Some(Treatment::Lose(status)) => {
                carry_out(channel, request).await;
                status.into_http()
            }
            Some(Treatment::Hang) => {
                carry_out(channel, request).await;
                std::future::pending().await
            }
            Some(Treatment::Skip) => pass(channel, request)
                .await
                .map(|answers| axum::body::Body::from_stream(answers.into_data_stream().skip(1))),
            Some(Treatment::Break) => pass(channel, request).await.map(|answers| {
                let first = answers.into_data_stream().take(1);
                axum::body::Body::from_stream(first.map(|_| Err::<Bytes, _>(io::Error::other("broken"))))
            }),
        }
    })
}

async fn pass(mut channel: Channel, request: Request) -> Response {
    let (head, body) = request.into_parts();
    std::future::poll_fn(|context| channel.poll_ready(context)).await.expect("a connection");
    let request = axum::http::Request::from_parts(head, Body::new(body));
    channel.call(request).await.expect("an answer").map(axum::body::Body::new)
}

/// Passes a call on and reads the answer to its end.
async fn carry_out(channel: Channel, request: Request) {
    let answer = pass(channel, request).await;
    axum::body::to_bytes(answer.into_body(), usize::MAX).await.expect("an answer");
}
