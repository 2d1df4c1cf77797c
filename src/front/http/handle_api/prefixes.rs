//! Prefixes homed here; for administrators of the node.
#![expect(unused_qualifications, reason = "the macro of utoipa repeats the path of a parameter type")]

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::list::{PageAsked, parse_prefix};
use crate::front::handle_semantics::list::prefix_handles;
use crate::front::http::handle_json::caller::{Asking, Commanding};
use crate::front::http::handle_json::denial::Denial;
use crate::front::http::handle_json::json::openapi_schema::Flag;
use crate::front::http::handle_json::reply::{self, Format, HandleReply};
use crate::front::http::handle_json::state::HandleState;
use crate::front::http::transport::extract::{KnownParameters, Named, NoParameters, Strictly};
use crate::registry::command::{Command, PrefixCommand};

/// The prefixes homed here.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(title = "PrefixList")]
pub(super) struct PrefixList {
    /// 1 for success.
    #[schema(example = 1)]
    response_code: u32,
    /// Total number of prefixes: a text, as clients expect it.
    #[schema(example = "1", pattern = "^[0-9]+$")]
    total_count: String,
    /// The page, from 0, when pages were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<usize>,
    /// The length of a page, when pages were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_size: Option<usize>,
    /// The handles of the prefixes, in order.
    #[schema(example = json!(["0.NA/88.118.8"]))]
    prefixes: Vec<String>,
}

/// Parameters of a list of prefixes.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParameters {
    /// Number of the page, from 0; without `page` and `pageSize` all prefixes are sent.
    page: Option<i64>,
    /// Length of a page; 0 only counts.
    #[param(maximum = 10000)]
    page_size: Option<i64>,
    /// Whether the reply is indented for people.
    #[param(value_type = Option<Flag>)]
    pretty: Option<bool>,
    /// A function to be called with the reply (JSONP).
    callback: Option<String>,
}

impl KnownParameters for PageParameters {
    const NAMES: &'static [&'static str] = &["page", "pageSize", "pretty", "callback"];
}

/// Lists the prefixes homed here.
#[utoipa::path(get, path = "/api/prefixes", tag = "prefixes", operation_id = "listPrefixes",
    params(PageParameters),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "The prefixes.", body = PrefixList),
        (status = 400, description = "The request is malformed.", body = HandleReply),
        (status = 401, description = "Authentication is required, or failed.", body = HandleReply),
        (status = 403, description = "The caller has no permission, or authentication is required and the \
            connection accepts no credentials.", body = HandleReply)))]
pub(super) async fn list(
    State(api): State<HandleState>,
    Strictly(parameters): Strictly<PageParameters>,
    Asking(caller): Asking,
    format: Format,
) -> Result<Response, Denial> {
    let wished = PageAsked::of(parameters.page, parameters.page_size)?;
    let homed = api.resolver.homed_prefixes(&caller).await?;
    let total_count = homed.len().to_string();
    let names = prefix_handles(&homed);
    let prefixes = match wished {
        Some(wished) => names.skip(wished.page.saturating_mul(wished.size)).take(wished.size).collect(),
        None => names.collect(),
    };
    let body = PrefixList {
        response_code: reply::SUCCESS,
        total_count,
        page: wished.map(|wished| wished.page),
        page_size: wished.map(|wished| wished.size),
        prefixes,
    };
    Ok(reply::ok(&body, &format))
}

/// Homes a prefix here: from now on this node stores its handles.
#[utoipa::path(post, path = "/api/prefixes/{*prefix}", tag = "prefixes", operation_id = "homePrefix",
    params(("prefix" = String, Path, description = "The prefix, or its handle; under the default DNS root it has at most 119 characters.",
        min_length = 1, max_length = 119,
        pattern = "^(0\\.NA/)?[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63})*$", example = "0.NA/88.118.8")),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "The prefix is homed here.", body = HandleReply),
        (status = 400, description = "The path is not a prefix, or the prefix cannot be homed here.", body = HandleReply),
        (status = 401, description = "Authentication is required, or failed.", body = HandleReply),
        (status = 403, description = "The caller has no permission, or authentication is required and the \
            connection accepts no credentials.", body = HandleReply),
        (status = 500, description = "The node failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn home(
    State(api): State<HandleState>,
    Named(spelled): Named,
    Strictly(_none): Strictly<NoParameters>,
    commanding: Commanding,
    format: Format,
) -> Result<Response, Denial> {
    let prefix = parse_prefix(&spelled)?;
    command(&api, &commanding, PrefixCommand::Home { prefix, registrant: None }).await?;
    Ok(reply::done(false, &spelled, &format))
}

/// Revokes a prefix; its data is retained, and homing it again makes it active.
#[utoipa::path(delete, path = "/api/prefixes/{*prefix}", tag = "prefixes", operation_id = "unhomePrefix",
    params(("prefix" = String, Path, description = "The prefix, or its handle.", min_length = 1, max_length = 170,
        pattern = "^(0\\.NA/)?[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63})*$", example = "0.NA/88.118.8")),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "The prefix is revoked.", body = HandleReply),
        (status = 400, description = "The path is not a prefix, or the prefix was not homed here.", body = HandleReply),
        (status = 401, description = "Authentication is required, or failed.", body = HandleReply),
        (status = 403, description = "The caller has no permission, or authentication is required and the \
            connection accepts no credentials.", body = HandleReply),
        (status = 500, description = "The node failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn unhome(
    State(api): State<HandleState>,
    Named(spelled): Named,
    Strictly(_none): Strictly<NoParameters>,
    commanding: Commanding,
    format: Format,
) -> Result<Response, Denial> {
    let prefix = parse_prefix(&spelled)?;
    command(&api, &commanding, PrefixCommand::Revoke { prefix }).await?;
    Ok(reply::done(false, &spelled, &format))
}

async fn command(api: &HandleState, commanding: &Commanding, command: PrefixCommand) -> Result<(), Denial> {
    api.command(commanding, Command::Prefix(command)).await.map(|_| ())
}
