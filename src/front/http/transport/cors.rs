//! Scripts of other origins: what a browser lets them send and read (the Fetch standard, section 3.2).
//!
//! The middleware of tower-http answers every OPTIONS request by itself, without the methods of the path; ours are answered by
//! the path.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::query::clip;
use super::rejection::Rejection;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, HEAD, PUT, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static(
    "X-Requested-With, Authorization, Origin, Accept, Content-Type, If-Match, If-None-Match",
);
const EXPOSED: HeaderValue = HeaderValue::from_static("WWW-Authenticate, Location, ETag");
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("86400");

/// Lets scripts of any origin read a response; they are never given the browser's own credentials.
pub(in crate::front::http) fn allow_any_origin(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    response
}

/// Answers a method that a path does not take. OPTIONS asks which it takes: the router adds the header `Allow`.
pub(in crate::front::http) async fn method_not_allowed(request: Request) -> Response {
    if request.method() != Method::OPTIONS {
        let endpoint = format!("{} {}", request.method(), clip(request.uri().path()));
        return Rejection::MethodNotAllowed { endpoint }.into_response();
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    response
}

/// Completes the header `Allow` that the router wrote: OPTIONS is taken everywhere.
pub(super) fn complete_allow(headers: &mut HeaderMap) {
    let Some(allow) = headers.get(header::ALLOW).and_then(|allow| allow.to_str().ok()) else { return };
    let mut methods: Vec<&str> =
        allow.split(',').map(str::trim).filter(|method| !method.is_empty()).collect();
    methods.retain(|method| *method != "OPTIONS");
    methods.push("OPTIONS");
    if let Ok(allow) = HeaderValue::from_str(&methods.join(", ")) {
        headers.insert(header::ALLOW, allow);
    }
}
