//! Prefixes homed here; for administrators of the node.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::asked::Asked;
use super::denial::Denial;
use super::described::Flag;
use super::list::{page_of, parse_prefix};
use super::reply::{self, HandleReply};
use crate::front::handle_semantics::list::prefix_handles;
use crate::registry::command::{Command, PrefixCommand};
use crate::wire::handle::code::ResponseCode;

/// The prefixes homed here.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(title = "PrefixList")]
pub(super) struct PrefixList {
    /// 1 for success.
    #[schema(example = 1)]
    response_code: u32,
    /// How many there are in all: a text, as clients expect it.
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

/// Lists the prefixes homed here.
#[utoipa::path(get, path = "/api/prefixes", tag = "prefixes", operation_id = "listPrefixes",
    params(
        ("page" = Option<i64>, Query, description = "Which page, from 0; without page and pageSize all come."),
        ("pageSize" = Option<i64>, Query, description = "How long a page is; 0 only counts.", maximum = 10000),
        ("pretty" = Option<Flag>, Query, description = "To be read by people."),
        ("callback" = Option<String>, Query, description = "A function to be called with the reply (JSONP).")),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "The prefixes.", body = PrefixList),
        (status = 400, description = "The request is malformed.", body = HandleReply),
        (status = 401, description = "Proof is needed, or not accepted.", body = HandleReply),
        (status = 403, description = "The caller may not; or proof is needed over plain text.", body = HandleReply)))]
pub(super) async fn list(shared: &Shared, asked: &Asked) -> Result<Response, Denial> {
    let wished = page_of(asked)?;
    let caller = shared.admit(asked).await?;
    let homed = shared.resolver.homed_prefixes(&caller).await?;
    let total_count = homed.len().to_string();
    let names = prefix_handles(&homed);
    let prefixes = match wished {
        Some(wished) => names.skip(wished.page.saturating_mul(wished.size)).take(wished.size).collect(),
        None => names.collect(),
    };
    let body = PrefixList {
        response_code: ResponseCode::SUCCESS.0,
        total_count,
        page: wished.map(|wished| wished.page),
        page_size: wished.map(|wished| wished.size),
        prefixes,
    };
    Ok(reply::json(StatusCode::OK, &body, &asked.manner))
}

/// Homes a prefix here: from now on this node keeps its handles.
#[utoipa::path(post, path = "/api/prefixes/{prefix}", tag = "prefixes", operation_id = "homePrefix",
    params(("prefix" = String, Path, description = "The prefix, or its handle; under the default DNS root it has at most 119 characters.",
        min_length = 1, max_length = 119,
        pattern = "^(0\\.NA/)?[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63})*$", example = "0.NA/88.118.8")),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "It is homed here.", body = HandleReply),
        (status = 400, description = "It is no prefix, or cannot be homed here.", body = HandleReply),
        (status = 401, description = "Proof is needed, or not accepted.", body = HandleReply),
        (status = 403, description = "The caller may not; or proof is needed over plain text.", body = HandleReply),
        (status = 500, description = "The node failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn home(shared: &Shared, asked: &mut Asked, spelled: &str) -> Result<Response, Denial> {
    let prefix = parse_prefix(spelled)?;
    command(shared, asked, spelled, PrefixCommand::Home { prefix, registrant: None }).await
}

/// Withdraws a prefix from here; its data is kept, and homing it again brings it back.
#[utoipa::path(delete, path = "/api/prefixes/{prefix}", tag = "prefixes", operation_id = "unhomePrefix",
    params(("prefix" = String, Path, description = "The prefix, or its handle.", min_length = 1, max_length = 170,
        pattern = "^(0\\.NA/)?[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63})*$", example = "0.NA/88.118.8")),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "It is homed here no more.", body = HandleReply),
        (status = 400, description = "It is no prefix, or it was not homed here.", body = HandleReply),
        (status = 401, description = "Proof is needed, or not accepted.", body = HandleReply),
        (status = 403, description = "The caller may not; or proof is needed over plain text.", body = HandleReply),
        (status = 500, description = "The node failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn unhome(shared: &Shared, asked: &mut Asked, spelled: &str) -> Result<Response, Denial> {
    let prefix = parse_prefix(spelled)?;
    command(shared, asked, spelled, PrefixCommand::Revoke { prefix }).await
}

async fn command(
    shared: &Shared,
    asked: &mut Asked,
    spelled: &str,
    command: PrefixCommand,
) -> Result<Response, Denial> {
    asked.commands();
    let caller = shared.admit(asked).await?;
    shared.command(&caller, Command::Prefix(command)).await?;
    Ok(reply::done(false, spelled, &asked.manner))
}
