//! Resolution of handles: GET resolves; POST does the same with the parameters in a JSON body.
//!
//! The reply spells the handle as the request did. PUT and DELETE of the same path are in [`super::handle_changes`].

use axum::extract::State;
use axum::response::Response;

use crate::front::http::handle_json::caller::Asking;
use crate::front::http::handle_json::denial::Denial;
use crate::front::http::handle_json::json::openapi_schema::{EntityTags, QuestionGiven};
use crate::front::http::handle_json::reply::{Format, HandleReply};
use crate::front::http::handle_json::resolution::{HandleResolution, ResolveParameters};
use crate::front::http::handle_json::state::HandleState;
use crate::front::http::transport::condition::Conditions;
use crate::front::http::transport::deadline::Deadline;
use crate::front::http::transport::extract::{GivenParameters, Named, Strictly};

/// What a handle holds.
#[utoipa::path(get, path = "/api/handles/{*handle}", tag = "handles", operation_id = "resolve",
    params(
        ("handle" = String, Path, description = "The handle; its slash may be percent-encoded.",
            example = "88.118.8/SN000123"),
        ResolveParameters,
        ("If-Match" = Option<EntityTags>, Header,
            description = "Tags; the representation must have one of them (RFC \
          9110 section 13.1.1)."),
        ("If-None-Match" = Option<EntityTags>, Header,
            description = "Tags of representations that the client has already.")),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "The values; response code 200 when none was selected.", body = HandleReply,
            headers(("ETag" = String, description = "The tag of this representation of the record's present state."))),
        (status = 304, description = "The client has this representation already."),
        (status = 300, description = "Another service answers.", body = HandleReply),
        (status = 400, description = "The request is malformed, or this node does not answer for the prefix.", body = HandleReply),
        (status = 401, description = "Authentication is required, or failed.", body = HandleReply),
        (status = 403, description = "The caller has no permission, or authentication is required and the \
            connection accepts no credentials.", body = HandleReply),
        (status = 404, description = "There is no such handle.", body = HandleReply),
        (status = 412, description = "The representation is not the one that If-Match names.", body = HandleReply),
        (status = 500, description = "The node failed.", body = HandleReply),
        (status = 502, description = "Another node that was asked gave no usable answer, or none in time.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn resolve(
    State(api): State<HandleState>,
    Named(handle): Named,
    Strictly(parameters): Strictly<ResolveParameters>,
    Asking(caller): Asking,
    deadline: Deadline,
    format: Format,
    conditions: Conditions,
) -> Result<Response, Denial> {
    let resolution = HandleResolution {
        api: &api,
        handle: &handle,
        parameters: &parameters,
        format: &format,
        deadline: &deadline,
    };
    resolution.run(caller, &conditions).await
}

/// What a handle holds; the parameters stand in a JSON body.
#[utoipa::path(post, path = "/api/handles/{*handle}", tag = "handles", operation_id = "resolveByBody",
    params(("handle" = String, Path, description = "The handle; its slash may be percent-encoded.",
            example = "88.118.8/SN000123")),
    request_body(content = Option<QuestionGiven>, content_type = "application/json"),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "The values; response code 200 when none was selected.", body = HandleReply),
        (status = 300, description = "Another service answers.", body = HandleReply),
        (status = 400, description = "The request is malformed, or this node does not answer for the prefix.", body = HandleReply),
        (status = 401, description = "Authentication is required, or failed.", body = HandleReply),
        (status = 403, description = "The caller has no permission, or authentication is required and the \
            connection accepts no credentials.", body = HandleReply),
        (status = 404, description = "There is no such handle.", body = HandleReply),
        (status = 408, description = "The body did not arrive in time.", body = HandleReply),
        (status = 413, description = "The body is too large.", body = HandleReply),
        (status = 415, description = "The body is not JSON, or has a content coding.", body = HandleReply),
        (status = 500, description = "The node failed.", body = HandleReply),
        (status = 502, description = "Another node that was asked gave no usable answer, or none in time.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn resolve_by_body(
    State(api): State<HandleState>,
    Named(handle): Named,
    Asking(caller): Asking,
    deadline: Deadline,
    format: Format,
    GivenParameters(parameters): GivenParameters<ResolveParameters>,
) -> Result<Response, Denial> {
    let resolution = HandleResolution {
        api: &api,
        handle: &handle,
        parameters: &parameters,
        format: &format,
        deadline: &deadline,
    };
    resolution.run(caller, &Conditions::default()).await
}
