//! Changes of handles: PUT writes a handle or some of its values, DELETE removes them.
//!
//! ```text
//!   PUT     the whole record, or only the values at `index=...`
//!   DELETE  the whole handle, or only the values at `index=...`
//! ```
//! Both may be conditioned on the present state of the record (RFC 9110 section 13.1). The reply spells the handle as the
//! request did.
#![expect(unused_qualifications, reason = "the macro of utoipa repeats the path of a parameter type")]

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value as Json;
use utoipa::IntoParams;

use crate::front::handle_semantics::{change, name};
use crate::front::http::handle_json::caller::Commanding;
use crate::front::http::handle_json::denial::{ApiRefusal, Denial};
use crate::front::http::handle_json::json::openapi_schema::{EntityTags, Flag, IndexNumber, ValuesGiven};
use crate::front::http::handle_json::json::value::parse_values;
use crate::front::http::handle_json::reply::{self, Format, HandleReply};
use crate::front::http::handle_json::resolution::{parse_handle, parse_indexes};
use crate::front::http::handle_json::state::HandleState;
use crate::front::http::transport::condition::{Conditions, RecordState};
use crate::front::http::transport::extract::{JsonBody, KnownParameters, Named, Strictly};
use crate::model::refusal::Refusal;
use crate::model::value::{Index, Value, Values};
use crate::registry::command::{Command, Existing, Precondition, Target};

//----------- Write ----------------------------------------------------------

/// How a record is written.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(super) struct WriteParameters {
    /// Only the values at these indexes, those of the body; or `various`.
    #[param(value_type = Option<Vec<String>>)]
    index: Vec<String>,
    /// Whether what exists is replaced; the default.
    #[param(value_type = Option<Flag>)]
    overwrite: Option<bool>,
    /// With `overwrite`: whether the record of a prefix may be replaced by values that name no administrator (HS_ADMIN).
    #[param(value_type = Option<Flag>)]
    without_administrator: bool,
    /// The path is a prefix, or the beginning of a handle: the node mints the rest.
    #[param(value_type = Option<Flag>)]
    mint_new_suffix: bool,
}

/// Writes the whole record, or the values at the indexes that the query names.
#[utoipa::path(put, path = "/api/handles/{*handle}", tag = "handles", operation_id = "write",
    params(
        ("handle" = String, Path, description = "The handle; its slash may be percent-encoded.",
            example = "88.118.8/SN000123"),
        WriteParameters,
        ("If-Match" = Option<EntityTags>, Header,
            description = "Tags of states; the record must be in one of them; * \
          for any (RFC 9110 section 13.1.1)."),
        ("If-None-Match" = Option<EntityTags>, Header,
            description = "Tags of states; the record must be in none of \
          them; * for any (RFC 9110 section 13.1.2).")),
    request_body(content = ValuesGiven, content_type = "application/json"),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "Existing values were overwritten, or were equal already.", body = HandleReply),
        (status = 201, description = "The handle was created, or values were added, and nothing was overwritten.", body = HandleReply),
        (status = 400, description = "The request is malformed, or this node does not answer for the prefix.", body = HandleReply),
        (status = 401, description = "Authentication is required, or failed.", body = HandleReply),
        (status = 403, description = "The caller has no permission, or authentication is required and the \
            connection accepts no credentials.", body = HandleReply),
        (status = 404, description = "There is no such handle, so that single values cannot be written.", body = HandleReply),
        (status = 409, description = "The handle or a value exists, or an index is given twice.", body = HandleReply),
        (status = 408, description = "The body did not arrive in time.", body = HandleReply),
        (status = 412, description = "The record is not in a state that If-Match or If-None-Match requires.", body = HandleReply),
        (status = 413, description = "The body is too large.", body = HandleReply),
        (status = 415, description = "The body is not JSON, or has a content coding.", body = HandleReply),
        (status = 500, description = "The node, or another that it asked, failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn put(
    State(api): State<HandleState>,
    Named(handle): Named,
    Strictly(parameters): Strictly<WriteParameters>,
    commanding: Commanding,
    format: Format,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Denial> {
    let target = parameters.target(&handle)?;
    if !parameters.mint_new_suffix {
        check_handle(&body, &handle)?;
    }
    let values = parse_values(&body)?;
    let condition = Condition::of(&api, &headers, &target).await?;
    let receipt = api.command(&commanding, parameters.command(target, values, condition.precondition)?).await;
    let receipt = receipt.map_err(|denial| condition.explain(denial))?;
    let created = !change::has_overwritten(&receipt);
    // A minted name is spelled by the node; every other name is spelled as in the request.
    let minted = receipt.identifier.filter(|_| parameters.mint_new_suffix);
    let spelled = minted.map_or(handle, |identifier| identifier.to_string());
    Ok(reply::written_handle(created, &spelled, &receipt.warnings, &format))
}

impl KnownParameters for WriteParameters {
    const NAMES: &'static [&'static str] =
        &["index", "overwrite", "withoutAdministrator", "mintNewSuffix", "pretty", "callback"];
}

impl WriteParameters {
    /// The target of the command: the handle of the path, or a new handle that begins with it.
    fn target(&self, handle: &str) -> Result<Target, Denial> {
        if !self.mint_new_suffix {
            return Ok(Target::Named(parse_handle(handle)?));
        }
        let (prefix, start) = name::minted_under(handle)?;
        Ok(Target::Minted { prefix, start })
    }

    fn command(
        &self,
        target: Target,
        values: Vec<Value>,
        precondition: Precondition,
    ) -> Result<Command, Denial> {
        let overwrite = self.overwrite.unwrap_or(true);
        let existing = match (overwrite, self.without_administrator) {
            (false, false) => Existing::Refuse,
            (true, false) => Existing::Overwrite,
            (true, true) => Existing::OverwriteWithoutAdministrator,
            (false, true) => {
                return Err(Denial::malformed(
                    "withoutAdministrator is for overwriting, which overwrite=false rules out",
                ));
            }
        };
        let command = match target {
            Target::Named(identifier) if !self.index.is_empty() => {
                self.check_indexes(&values)?;
                change::add_values(identifier, values, existing)
            }
            target => change::register(target, Values::new(values)?, existing),
        };
        Ok(change::conditioned(command, precondition))
    }

    /// Refuses indexes in the query that are not those of the body; `various` stands for whatever the body has.
    fn check_indexes(&self, values: &[Value]) -> Result<(), Denial> {
        if self.index.iter().any(|text| text == "various") {
            return Ok(());
        }
        let stated: BTreeSet<Index> = parse_indexes(&self.index)?.into_iter().collect();
        let given: BTreeSet<Index> = values.iter().map(|value| value.index).collect();
        if stated == given {
            return Ok(());
        }
        Err(Denial::malformed("Mismatched indexes: the query names other indexes than the body"))
    }
}

/// Refuses a body that is about another handle.
fn check_handle(body: &Json, handle: &str) -> Result<(), Denial> {
    match body.get("handle") {
        None | Some(Json::Null) => Ok(()),
        Some(Json::String(stated)) if stated.eq_ignore_ascii_case(handle) => Ok(()),
        Some(_) => Err(Denial::malformed("Mismatched handle: the body names another handle than the path")),
    }
}

//----------- Remove ---------------------------------------------------------

/// Parameters of a removal.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(super) struct RemoveParameters {
    /// Only the values at these indexes.
    #[param(value_type = Option<Vec<IndexNumber>>)]
    index: Vec<String>,
}

impl KnownParameters for RemoveParameters {
    const NAMES: &'static [&'static str] = &["index", "pretty", "callback"];
}

/// Removes the handle, or the values at the indexes that the query names.
#[utoipa::path(delete, path = "/api/handles/{*handle}", tag = "handles", operation_id = "remove",
    params(
        ("handle" = String, Path, description = "The handle; its slash may be percent-encoded.",
            example = "88.118.8/SN000123"),
        RemoveParameters,
        ("If-Match" = Option<EntityTags>, Header,
            description = "Tags of states; the record must be in one of them; * \
          for any (RFC 9110 section 13.1.1)."),
        ("If-None-Match" = Option<EntityTags>, Header,
            description = "Tags of states; the record must be in none of \
          them (RFC 9110 section 13.1.2).")),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "The handle or the values were removed.", body = HandleReply),
        (status = 400, description = "The request is malformed, or this node does not answer for the prefix.", body = HandleReply),
        (status = 401, description = "Authentication is required, or failed.", body = HandleReply),
        (status = 403, description = "The caller has no permission, or authentication is required and the \
            connection accepts no credentials.", body = HandleReply),
        (status = 404, description = "There is no such handle.", body = HandleReply),
        (status = 412, description = "The record is not in a state that If-Match or If-None-Match requires.", body = HandleReply),
        (status = 500, description = "The node, or another that it asked, failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn delete(
    State(api): State<HandleState>,
    Named(handle): Named,
    Strictly(parameters): Strictly<RemoveParameters>,
    commanding: Commanding,
    format: Format,
    headers: HeaderMap,
) -> Result<Response, Denial> {
    let identifier = parse_handle(&handle)?;
    let remove = parse_indexes(&parameters.index)?;
    let condition = Condition::of(&api, &headers, &Target::Named(identifier.clone())).await?;
    let command = if remove.is_empty() {
        change::remove(identifier)
    } else {
        change::remove_values(identifier, remove)
    };
    let command = change::conditioned(command, condition.precondition);
    api.command(&commanding, command).await.map_err(|denial| condition.explain(denial))?;
    Ok(reply::done(false, &handle, &format))
}

//----------- Condition ------------------------------------------------------

/// What a write is conditioned on: checked by the registry where the command commits, after the caller was found to be
/// allowed it (RFC 9110 section 13.2.1).
#[derive(Clone, Copy, Debug)]
struct Condition {
    precondition: Precondition,
}

impl Condition {
    /// The condition that the headers state, by the present state of the record where it matters.
    async fn of(api: &HandleState, headers: &HeaderMap, target: &Target) -> Result<Self, Denial> {
        let conditions = Conditions::of(headers)?;
        if conditions.is_empty() {
            return Ok(Self { precondition: Precondition::None });
        }
        let present = match target {
            Target::Named(identifier) => api.resolver.revision(identifier).await?,
            Target::Minted { .. } => None,
        };
        let state = present.map(|(version, changed_ms)| RecordState { version, changed_ms });
        Ok(Self { precondition: conditions.precondition(state) })
    }

    /// Distinguishes a failed condition from other refusals. A record that exists is a conflict, unless the request
    /// required that none exists.
    fn explain(self, denial: Denial) -> Denial {
        match (self.precondition, denial) {
            (Precondition::Absent, Denial::Refused(present @ Refusal::AlreadyExists { .. }))
            | (Precondition::Present, Denial::Refused(present @ Refusal::Absent))
            | (_, Denial::Refused(present @ Refusal::VersionMismatch { .. })) => {
                ApiRefusal::ConditionFailed { present }.into()
            }
            (_, other) => other,
        }
    }
}
