//! The handles of a prefix, by pages or all of them.
//!
//! All of them are sent while they are read, a chunk at a time, so that a list of any length takes little memory. What
//! is registered or removed meanwhile may be in it or not. A list that cannot be finished breaks off.
#![expect(unused_qualifications, reason = "the macro of utoipa repeats the path of a parameter type")]

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::authority::caller::Caller;
use crate::front::handle_semantics::list::{CHUNK_NAMES, HandlePages};
use crate::front::handle_semantics::name;
use crate::front::http::handle_json::caller::Asking;
use crate::front::http::handle_json::denial::{ApiRefusal, Denial};
use crate::front::http::handle_json::json::openapi_schema::{Flag, ListGiven};
use crate::front::http::handle_json::reply::{self, Format, HandleReply};
use crate::front::http::handle_json::state::HandleState;
use crate::front::http::transport::connection::Client;
use crate::front::http::transport::context::RequestContext;
use crate::front::http::transport::extract::{GivenParameters, KnownParameters, Strictly};
use crate::front::listen::in_flight::AnswerMark;
use crate::model::identifier::Prefix;
use crate::model::limits::PAGE_ITEMS_MAX;
use crate::model::refusal::Problem;
use crate::resolver::Resolver;

/// A page of the handles of a prefix.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(title = "HandleList")]
pub(super) struct HandleList {
    /// 1 for success.
    #[schema(example = 1)]
    response_code: u32,
    /// The prefix, as the request spelled it.
    #[schema(example = "88.118.8")]
    prefix: String,
    /// How many handles the prefix has in all: a text, as clients expect it.
    #[schema(example = "1", pattern = "^[0-9]+$")]
    total_count: String,
    /// The page, from 0, when pages were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<usize>,
    /// The length of a page, when pages were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    page_size: Option<usize>,
    /// The handles, in order.
    #[schema(example = json!(["88.118.8/SN000123"]))]
    handles: Vec<String>,
}

/// Parameters of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// The prefix.
    #[param(value_type = String, required = true, min_length = 1, max_length = 170,
        pattern = "^(0\\.NA/)?[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63})*$", example = "88.118.8")]
    prefix: Option<String>,
    /// Number of the page, from 0; without `page` and `pageSize` all names are sent.
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

impl KnownParameters for ListParameters {
    const NAMES: &'static [&'static str] = &["prefix", "page", "pageSize", "pretty", "callback"];
}

/// Lists the handles of a prefix; the parameters stand in a JSON body.
#[utoipa::path(post, path = "/api/handles", tag = "handles", operation_id = "listByBody",
    request_body(content = ListGiven, content_type = "application/json"),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "The handles.", body = HandleList),
        (status = 400, description = "The request is malformed, or this node does not answer for the prefix.", body = HandleReply),
        (status = 401, description = "Authentication is required, or failed.", body = HandleReply),
        (status = 403, description = "The caller has no permission, or authentication is required and the \
            connection accepts no credentials.", body = HandleReply),
        (status = 408, description = "The body did not arrive in time.", body = HandleReply),
        (status = 413, description = "The body is too large.", body = HandleReply),
        (status = 415, description = "The body is not JSON, or has a content coding.", body = HandleReply),
        (status = 500, description = "The node, or another that it asked, failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn list_by_body(
    State(api): State<HandleState>,
    Asking(caller): Asking,
    format: Format,
    RequestContext { client, .. }: RequestContext,
    GivenParameters(parameters): GivenParameters<ListParameters>,
) -> Result<Response, Denial> {
    answer(&api, caller, &parameters, (&format, &client)).await
}

/// Lists the handles of a prefix.
#[utoipa::path(get, path = "/api/handles", tag = "handles", operation_id = "list",
    params(ListParameters),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "The handles.", body = HandleList),
        (status = 400, description = "The request is malformed, or this node does not answer for the prefix.", body = HandleReply),
        (status = 401, description = "Authentication is required, or failed.", body = HandleReply),
        (status = 403, description = "The caller has no permission, or authentication is required and the \
            connection accepts no credentials.", body = HandleReply),
        (status = 500, description = "The node, or another that it asked, failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn list(
    State(api): State<HandleState>,
    Strictly(parameters): Strictly<ListParameters>,
    Asking(caller): Asking,
    format: Format,
    RequestContext { client, .. }: RequestContext,
) -> Result<Response, Denial> {
    answer(&api, caller, &parameters, (&format, &client)).await
}

async fn answer(
    api: &HandleState,
    caller: Caller,
    parameters: &ListParameters,
    (format, client): (&Format, &Client),
) -> Result<Response, Denial> {
    let Some(spelled) = parameters.prefix.clone() else {
        return Err(ApiRefusal::EmptyHandle.into());
    };
    let prefix = parse_prefix(&spelled)?;
    let names = Names { resolver: Arc::clone(&api.resolver), pages: HandlePages::new(caller, prefix) };
    match PageAsked::of(parameters.page, parameters.page_size)? {
        Some(page) => list_page(names, format, spelled, page).await,
        None => list_all(names, format, spelled, client.in_flight.begin_answer()).await,
    }
}

/// The prefix that is meant by `88.118.8` or by `0.NA/88.118.8`.
pub(super) fn parse_prefix(text: &str) -> Result<Prefix, Denial> {
    if text.is_empty() {
        return Err(ApiRefusal::EmptyHandle.into());
    }
    name::prefix_of(text)?.map_or_else(|| Ok(Prefix::parse(text)?), Ok)
}

/// One page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageAsked {
    /// Number of the page, from 0.
    pub(super) page: usize,
    /// Length of the page.
    pub(super) size: usize,
}

impl PageAsked {
    /// The page asked for; none when its number or its length is not there, or one is below zero.
    pub(super) fn of(page: Option<i64>, size: Option<i64>) -> Result<Option<Self>, Denial> {
        let number = |given: Option<i64>| given.and_then(|number| usize::try_from(number).ok());
        let (page, size) = (number(page), number(size));
        if let Some(size) = size.filter(|size| *size > PAGE_ITEMS_MAX) {
            return Err(Denial::malformed(&format!(
                "pageSize {size} is above {PAGE_ITEMS_MAX}; ask for more pages"
            )));
        }
        Ok(page.zip(size).map(|(page, size)| Self { page, size }))
    }
}

async fn list_page(
    mut names: Names,
    format: &Format,
    prefix: String,
    wished: PageAsked,
) -> Result<Response, Denial> {
    let total = names.resolver.count_of(names.pages.prefix());
    let skip = wished.page.saturating_mul(wished.size);
    let is_behind_all = u64::try_from(skip).is_ok_and(|skip| skip >= total);
    // The permission to list is checked even when the page has no names.
    let handles = names.next(skip, if is_behind_all { 0 } else { wished.size }).await?;
    let body = HandleList {
        response_code: reply::SUCCESS,
        prefix,
        total_count: total.to_string(),
        page: Some(wished.page),
        page_size: Some(wished.size),
        handles,
    };
    Ok(reply::ok(&body, format))
}

/// Sends all names while they are read.
async fn list_all(
    mut names: Names,
    format: &Format,
    prefix: String,
    in_flight: AnswerMark,
) -> Result<Response, Denial> {
    let total_count = names.resolver.count_of(names.pages.prefix()).to_string();
    let first = names.next(0, CHUNK_NAMES).await?;
    let body = HandleList {
        response_code: reply::SUCCESS,
        prefix,
        total_count,
        page: None,
        page_size: None,
        handles: Vec::new(),
    };
    Ok(reply::json_around(
        &body,
        |head, tail| Body::from_stream(pieces(names, first, Ends { head, tail }, in_flight)),
        format,
    )?)
}

/// The pieces of a list: what stands before the names, chunks of names, what stands behind.
fn pieces(
    names: Names,
    first: Vec<String>,
    ends: Ends,
    in_flight: AnswerMark,
) -> impl Stream<Item = Result<Bytes, Problem>> {
    let mut ready = VecDeque::from([ends.head]);
    ready.push_back(chunk(&first, ""));
    let state = Pieces { names, ready, tail: Some(ends.tail), _in_flight: in_flight };
    stream::try_unfold(state, |mut state| async move {
        if state.ready.is_empty() && state.names.pages.has_more() {
            let more = state.names.next(0, CHUNK_NAMES).await?;
            state.ready.push_back(chunk(&more, ","));
        }
        let piece = state.ready.pop_front().or_else(|| state.tail.take());
        Ok(piece.map(|piece| (Bytes::from(piece), state)))
    })
}

/// The JSON text before and after the names.
struct Ends {
    head: String,
    tail: String,
}

struct Pieces {
    names: Names,
    ready: VecDeque<String>,
    tail: Option<String>,
    _in_flight: AnswerMark,
}

/// Names as the members of a JSON array.
fn chunk(names: &[String], before: &str) -> String {
    let quoted: Vec<String> =
        names.iter().map(|name| serde_json::Value::from(name.as_str()).to_string()).collect();
    if quoted.is_empty() { String::new() } else { format!("{before}{}", quoted.join(",")) }
}

//----------- Names ----------------------------------------------------------

/// The names of a prefix, and where they are read from.
struct Names {
    resolver: Arc<Resolver>,
    pages: HandlePages,
}

impl Names {
    /// The next names.
    async fn next(&mut self, skip: usize, limit: usize) -> Result<Vec<String>, Problem> {
        self.pages.next(&self.resolver, skip, limit).await
    }
}
