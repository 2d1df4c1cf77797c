//! This node's own site, as Handle clients want it to find the server again.
#![expect(unused_qualifications, reason = "the macro of utoipa repeats the path of a parameter type")]

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::front::handle_semantics::own_site::{AskedAt, encode_own_site};
use crate::front::http::handle_json::denial::{ApiRefusal, Denial};
use crate::front::http::handle_json::json::openapi_schema::Flag;
use crate::front::http::handle_json::json::site::SiteJson;
use crate::front::http::handle_json::reply::{self, Format, HandleReply};
use crate::front::http::handle_json::state::HandleState;
use crate::front::http::transport::context::RequestContext;
use crate::front::http::transport::extract::{KnownParameters, Strictly};

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

/// Parameters of the reply's format.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct FormatParameters {
    /// Whether the reply is indented for people.
    #[param(value_type = Option<Flag>)]
    pretty: Option<bool>,
    /// A function to be called with the reply (JSONP).
    callback: Option<String>,
}

impl KnownParameters for FormatParameters {
    const NAMES: &'static [&'static str] = &["pretty", "callback"];
}

/// Shows this node's own site: the one that is announced, else where the request came in.
#[utoipa::path(get, path = "/api/site", tag = "node", operation_id = "site",
    params(FormatParameters),
    responses(
        (status = 200, description = "The site.", body = SiteReply),
        (status = 400, description = "The request is malformed.", body = HandleReply),
        (status = 501, description = "The node has no site to show.", body = HandleReply)))]
pub(super) async fn show(
    State(api): State<HandleState>,
    RequestContext { client, .. }: RequestContext,
    _checked: Strictly<FormatParameters>,
    format: Format,
) -> Result<Response, Denial> {
    let key = api.server_key.public().encode_blob();
    let data = encode_own_site(&api.resolver, &key, Some(AskedAt::Http(client.own)));
    let Some(site) = data.and_then(|data| SiteJson::decode(&data)) else {
        return Err(ApiRefusal::NotOffered { what: "a site" }.into());
    };
    let body = SiteReply { response_code: reply::SUCCESS, site };
    Ok(reply::ok(&body, &format))
}

/// The site of this node, under the path that some documents give.
#[utoipa::path(get, path = "/api/sites", tag = "node", operation_id = "sites",
    params(FormatParameters),
    responses(
        (status = 200, description = "The site.", body = SiteReply),
        (status = 400, description = "The request is malformed.", body = HandleReply),
        (status = 501, description = "The node has no site to show.", body = HandleReply)))]
pub(super) async fn show_again(
    api: State<HandleState>,
    context: RequestContext,
    checked: Strictly<FormatParameters>,
    format: Format,
) -> Result<Response, Denial> {
    show(api, context, checked, format).await
}
