//! This node's own site, as Handle clients want it to find the server again.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::asked::Asked;
use super::denial::{Denial, DoorRefusal};
use super::described::Flag;
use super::reply::{self, HandleReply};
use super::site_json::SiteJson;
use crate::front::handle_semantics::own_site::{AskedAt, encode_own_site};
use crate::wire::handle::code::ResponseCode;

/// This node's own site.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SiteReply {
    /// 1 for success.
    #[schema(example = 1)]
    response_code: u32,
    /// The site.
    site: SiteJson,
}

/// Shows this node's own site: the one that is announced, else where the request came in.
#[utoipa::path(get, path = "/api/site", tag = "node", operation_id = "site",
    params(
        ("pretty" = Option<Flag>, Query, description = "To be read by people."),
        ("callback" = Option<String>, Query, description = "A function to be called with the reply (JSONP).")),
    responses(
        (status = 200, description = "The site.", body = SiteReply),
        (status = 400, description = "The request is malformed.", body = HandleReply),
        (status = 501, description = "The node has no site to show.", body = HandleReply)))]
pub(super) fn show(shared: &Shared, asked: &Asked) -> Result<Response, Denial> {
    let key = shared.server_key.public().encode_blob();
    let data = encode_own_site(&shared.resolver, &key, Some(AskedAt::Http(asked.peer.own)));
    let Some(site) = data.and_then(|data| SiteJson::decode(&data)) else {
        return Err(DoorRefusal::NotOffered { what: "a site" }.into());
    };
    let body = SiteReply { response_code: ResponseCode::SUCCESS.0, site };
    Ok(reply::json(StatusCode::OK, &body, &asked.manner))
}

/// The same under the name that some documents give it.
#[utoipa::path(get, path = "/api/sites", tag = "node", operation_id = "sites",
    responses(
        (status = 200, description = "The site.", body = SiteReply),
        (status = 400, description = "The request is malformed.", body = HandleReply),
        (status = 501, description = "The node has no site to show.", body = HandleReply)))]
pub(super) fn show_again(shared: &Shared, asked: &Asked) -> Result<Response, Denial> {
    show(shared, asked)
}
