//! Messages of the Handle protocol, carried over HTTP: POST to any path, with their own content type.
//!
//! The body is one envelope and its message, as on TCP; the path is ignored. Every reply of the Handle
//! front end comes back with status 200, also one that refuses. A body that could not be read has a line of text as its
//! reply: its sender does not read JSON.

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};

use super::reply;
use super::state::HandleState;
use crate::front::http::dependencies::{Carried, Ends};
use crate::front::http::transport::Routes;
use crate::front::http::transport::body::{check_encoding, media_type, read};
use crate::front::http::transport::context::RequestContext;
use crate::front::http::transport::rejection::Rejection;
use crate::model::limits::HANDLE_MESSAGE_BYTES_MAX;
use crate::wire::handle::envelope::ENVELOPE_BYTES;

/// The content type of a native message.
pub(in crate::front::http) const CONTENT_TYPE: &str = "application/x-hdl-message";
/// Bytes of line ends that some clients put before the envelope.
const LINE_ENDS_MAX: usize = 16;

/// Carries a native message that is posted to a path of the JSON API.
pub(in crate::front::http) async fn intercept(
    api: &HandleState,
    request: Request,
    routes: &Routes,
) -> Response {
    if request.method() != Method::POST || !is_native(request.headers()) {
        return routes.answer_unguarded(request).await;
    }
    let (parts, body) = request.into_parts();
    match RequestContext::of(&parts.extensions) {
        Ok(context) => api.carry(context, &parts.headers, body).await,
        Err(rejection) => unread(rejection),
    }
}

fn is_native(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|given| given == CONTENT_TYPE)
}

impl HandleState {
    /// Carries what was posted to the Handle front end, and its reply back.
    pub(in crate::front::http) async fn post(
        &self,
        from: &RequestContext,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Rejection> {
        if !is_native(headers) {
            return Err(Rejection::UnsupportedMediaType { accepted: CONTENT_TYPE });
        }
        Ok(self.carry(from, headers, body).await)
    }

    async fn carry(&self, from: &RequestContext, headers: &HeaderMap, body: Body) -> Response {
        let Some(tunnel) = &self.tunnel else {
            return reply::no_native();
        };
        let bytes_max = ENVELOPE_BYTES + HANDLE_MESSAGE_BYTES_MAX + LINE_ENDS_MAX;
        let read = match check_encoding(headers) {
            Ok(()) => read(from, body, bytes_max).await,
            Err(rejection) => Err(rejection),
        };
        let (mut message, memory) = match read {
            Ok(read) => read,
            Err(rejection) => return unread(rejection),
        };
        let is_blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let blank = message.iter().take(LINE_ENDS_MAX).take_while(is_blank).count();
        message.drain(..blank);
        let RequestContext { client, deadline, .. } = from;
        let ends = Ends { client: client.address, own: client.own, channel: client.channel };
        let answer = tunnel(Carried { message, ends, memory, deadline: deadline.begin_command() }).await;
        if answer.is_empty() {
            return reply::not_native();
        }
        reply::native(answer)
    }
}

/// The reply to a body that was not read, which no face renders as JSON.
fn unread(rejection: Rejection) -> Response {
    let mut response = rejection.into_response();
    response.extensions_mut().clear();
    response
}
