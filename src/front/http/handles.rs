//! Handles: what they hold, and commands on them.
//!
//! ```text
//!   GET     resolve; POST does the same with the parameters in a JSON body
//!   PUT     the whole record, or only the values at `index=...`
//!   DELETE  the whole handle, or only the values at `index=...`
//! ```
//! The reply spells the handle as the request did.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::Shared;
use super::asked::Asked;
use super::denial::{Denial, DoorRefusal};
use super::described::{Flag, IndexNumber, QuestionGiven, TypeName, ValuesGiven};
use super::reply::{self, HandleReply};
use super::value_json::{ValueJson, parse_values};

use crate::front::handle_semantics::question::{self, Elsewhere, Hidden, QuestionOutcome, Wanted};
use crate::front::handle_semantics::referral::{self, Direction, ReferralWish, Service};
use crate::front::handle_semantics::{change, name, response_code};
use crate::model::identifier::Identifier;
use crate::model::value::{Index, Value, Values};
use crate::registry::caller::Caller;
use crate::registry::command::{Existing, Target};
use crate::registry::refusal::Refusal;
use crate::resolver::answer::{Answer, Question};
use crate::resolver::recursion::Recursion;
use crate::wire::handle::code::{ResponseCode, Version};

/// How long other nodes may be asked for one reply.
const RECURSION_MAX: Duration = Duration::from_secs(20);

/// The handle that a path spells. Without a slash it is a prefix, named by its own handle under `0.NA`.
pub(super) fn parse_handle(text: &str) -> Result<Identifier, Denial> {
    if text.is_empty() {
        return Err(DoorRefusal::EmptyHandle.into());
    }
    Ok(name::identifier_of(text)?)
}

//----------- Resolution -----------------------------------------------------

/// What a handle holds.
#[utoipa::path(get, path = "/api/handles/{handle}", tag = "handles", operation_id = "resolve",
    params(
        ("handle" = String, Path, description = "The handle; its slash may be percent-encoded.",
            example = "88.118.8/SN000123"),
        ("index" = Option<Vec<IndexNumber>>, Query, description = "Values at these indexes; with types, the union."),
        ("type" = Option<Vec<TypeName>>, Query, description = "Values of these types; a final dot means the family."),
        ("auth" = Option<Flag>, Query, description = "Asks no other node."),
        ("publicOnly" = Option<Flag>, Query, description = "Only values that everybody may read; the default without proof."),
        ("doNotRefer" = Option<Flag>, Query, description = "No referral to another service."),
        ("pretty" = Option<Flag>, Query, description = "To be read by people."),
        ("callback" = Option<String>, Query, description = "A function to be called with the reply (JSONP).")),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "The values; response code 200 when none was selected.", body = HandleReply),
        (status = 300, description = "Another service answers.", body = HandleReply),
        (status = 400, description = "The request is malformed, or this node does not answer for the prefix.", body = HandleReply),
        (status = 401, description = "Proof is needed, or not accepted.", body = HandleReply),
        (status = 403, description = "The caller may not; or proof is needed over plain text.", body = HandleReply),
        (status = 404, description = "There is no such handle.", body = HandleReply),
        (status = 408, description = "The body did not come in time.", body = HandleReply),
        (status = 413, description = "The body is too large.", body = HandleReply),
        (status = 500, description = "The node, or another that it asked, failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn resolve(shared: &Shared, asked: &Asked, handle: &str) -> Result<Response, Denial> {
    let identifier = parse_handle(handle)?;
    let caller = shared.admit(asked).await?;
    let wanted = wanted(asked, &caller);
    let caller = if wanted == Wanted::Public { Caller::Anonymous } else { caller };
    let asked_about = identifier.clone();
    let answer = answer(shared, asked, &caller, identifier).await?;
    let (code, body) = match question::outcome(answer, wanted, &caller) {
        QuestionOutcome::Values(found) => {
            let values = found.values.iter().map(ValueJson::of).collect();
            let code = ResponseCode::SUCCESS;
            (code, HandleReply::new(code, Some(handle)).with_values(values))
        }
        QuestionOutcome::NoValues => {
            let code = ResponseCode::VALUES_NOT_FOUND;
            (code, HandleReply::new(code, Some(handle)).with_values(Vec::new()))
        }
        QuestionOutcome::NoIdentifier => return Err(Refusal::Absent.into()),
        QuestionOutcome::Hidden(Hidden::UntilProof) => return Err(Refusal::Unauthenticated.into()),
        QuestionOutcome::Hidden(hidden) => return Err(DoorRefusal::Hidden(hidden).into()),
        QuestionOutcome::Elsewhere(elsewhere) => {
            let service = refer(shared, asked, elsewhere).await?;
            let code = response_code::of_referral(&asked_about, Version::OURS);
            let values = service.sites.iter().map(ValueJson::of).collect();
            let referral = service.identifier.to_string();
            (code, HandleReply::new(code, Some(handle)).with_values(values).with_referral(referral))
        }
    };
    Ok(reply::handle(code, &body, &asked.manner))
}

/// What a handle holds; the parameters stand in a JSON body.
#[utoipa::path(post, path = "/api/handles/{handle}", tag = "handles", operation_id = "resolveByBody",
    params(("handle" = String, Path, description = "The handle; its slash may be percent-encoded.",
            example = "88.118.8/SN000123")),
    request_body(content = Option<QuestionGiven>, content_type = "application/json"),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "The values; response code 200 when none was selected.", body = HandleReply),
        (status = 300, description = "Another service answers.", body = HandleReply),
        (status = 400, description = "The request is malformed, or this node does not answer for the prefix.", body = HandleReply),
        (status = 401, description = "Proof is needed, or not accepted.", body = HandleReply),
        (status = 403, description = "The caller may not; or proof is needed over plain text.", body = HandleReply),
        (status = 404, description = "There is no such handle.", body = HandleReply),
        (status = 408, description = "The body did not come in time.", body = HandleReply),
        (status = 413, description = "The body is too large.", body = HandleReply),
        (status = 500, description = "The node, or another that it asked, failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn resolve_by_body(
    shared: &Shared,
    asked: &mut Asked,
    body: Body,
    handle: &str,
) -> Result<Response, Denial> {
    asked.read_parameters(body).await?;
    resolve(shared, asked, handle).await
}

/// What everybody may see of a handle.
pub(super) async fn ask(shared: &Shared, asked: &Asked, identifier: Identifier) -> Result<Answer, Denial> {
    answer(shared, asked, &Caller::Anonymous, identifier).await
}

/// Asks what the query asks of a handle; other nodes too, unless an authoritative answer is wished.
async fn answer(
    shared: &Shared,
    asked: &Asked,
    caller: &Caller,
    identifier: Identifier,
) -> Result<Answer, Denial> {
    let (indexes, types) = (asked.query.indexes()?, asked.query.types()?);
    let question = Question { identifier, indexes, types };
    if asked.query.flag("auth").unwrap_or(false) {
        return Ok(shared.resolver.answer(caller, &question).await?);
    }
    let recursion = Recursion { deadline: Some(Instant::now() + RECURSION_MAX), path: Vec::new() };
    Ok(shared.resolver.recurse(caller, &question, recursion).await?)
}

/// Which values the query wants: without the parameter, public ones for a caller without proof and all for the holder
/// of a key. A token sees what it may: it has no HS_ADMIN that could be changed to name it.
fn wanted(asked: &Asked, caller: &Caller) -> Wanted {
    match (asked.query.flag("publicOnly"), caller) {
        (Some(true), _) | (None, Caller::Anonymous) => Wanted::Public,
        (Some(false), _) | (None, Caller::Identity(_)) => Wanted::All,
        (None, Caller::Node | Caller::Token(_)) => Wanted::Permitted,
    }
}

/// The service that answers, with the values by which clients find it.
async fn refer(shared: &Shared, asked: &Asked, elsewhere: Elsewhere) -> Result<Service, Denial> {
    let declined = asked.query.flag("doNotRefer").unwrap_or(false);
    let wish = if declined { ReferralWish::Decline } else { ReferralWish::Follow };
    match referral::direct(&shared.resolver, elsewhere, wish).await? {
        Direction::Service(service) => Ok(service),
        Direction::NotResponsible { .. } => Err(DoorRefusal::NotResponsible.into()),
    }
}

//----------- Commands -------------------------------------------------------

/// Writes the whole record, or the values at the indexes that the query names.
#[utoipa::path(put, path = "/api/handles/{handle}", tag = "handles", operation_id = "write",
    params(
        ("handle" = String, Path, description = "The handle; its slash may be percent-encoded.",
            example = "88.118.8/SN000123"),
        ("index" = Option<Vec<String>>, Query,
            description = "Only the values at these indexes, those of the body; or `various`."),
        ("overwrite" = Option<Flag>, Query, description = "Whether what exists is replaced; the default."),
        ("mintNewSuffix" = Option<Flag>, Query,
            description = "The path is a prefix, or the beginning of a handle: the node mints the rest.")),
    request_body(content = ValuesGiven, content_type = "application/json"),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "What existed was overwritten, or held already.", body = HandleReply),
        (status = 201, description = "Created, or added, and nothing was overwritten.", body = HandleReply),
        (status = 400, description = "The request is malformed, or this node does not answer for the prefix.", body = HandleReply),
        (status = 401, description = "Proof is needed, or not accepted.", body = HandleReply),
        (status = 403, description = "The caller may not; or proof is needed over plain text.", body = HandleReply),
        (status = 404, description = "There is no such handle to write single values of.", body = HandleReply),
        (status = 409, description = "It exists, or an index stands twice.", body = HandleReply),
        (status = 408, description = "The body did not come in time.", body = HandleReply),
        (status = 413, description = "The body is too large.", body = HandleReply),
        (status = 500, description = "The node, or another that it asked, failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn put(
    shared: &Shared,
    asked: &mut Asked,
    body: Body,
    handle: &str,
) -> Result<Response, Denial> {
    asked.commands();
    let caller = shared.admit(asked).await?;
    let target = target(asked, handle)?;
    let body = asked.read_json(body).await?;
    if !asked.query.flag("mintNewSuffix").unwrap_or(false) {
        check_handle(&body, handle)?;
    }
    let values = parse_values(&body)?;
    let overwrite = asked.query.flag("overwrite").unwrap_or(true);
    let existing = if overwrite { Existing::Overwrite } else { Existing::Refuse };
    let by_index = asked.query.get("index").is_some();
    let command = match target {
        Target::Named(identifier) if by_index => {
            check_indexes(asked, &values)?;
            change::add_values(identifier, values, existing)
        }
        target => change::register(target, Values::new(values)?, existing),
    };
    let receipt = shared.command(&caller, command).await?;
    let created = !change::has_overwritten(&receipt);
    // Minted names are ours to spell; all others are spelled as the request did.
    let minted = receipt.identifier.filter(|_| asked.query.flag("mintNewSuffix").unwrap_or(false));
    let spelled = minted.map_or_else(|| handle.to_owned(), |identifier| identifier.to_string());
    Ok(reply::done(created, &spelled, &asked.manner))
}

/// What a PUT writes: the handle of the path, or a new one that begins so.
fn target(asked: &Asked, handle: &str) -> Result<Target, Denial> {
    if !asked.query.flag("mintNewSuffix").unwrap_or(false) {
        return Ok(Target::Named(parse_handle(handle)?));
    }
    let (prefix, start) = name::minted_under(handle)?;
    Ok(Target::Minted { prefix, start })
}

/// Refuses a body that is about another handle.
fn check_handle(body: &Json, handle: &str) -> Result<(), Denial> {
    match body.get("handle") {
        None | Some(Json::Null) => Ok(()),
        Some(Json::String(stated)) if stated.eq_ignore_ascii_case(handle) => Ok(()),
        Some(_) => Err(Denial::malformed("Mismatched handle: the body names another handle than the path")),
    }
}

/// Refuses indexes in the query that are not those of the body; `various` stands for whatever the body has.
fn check_indexes(asked: &Asked, values: &[Value]) -> Result<(), Denial> {
    if asked.query.all("index").any(|text| text == "various") {
        return Ok(());
    }
    let stated: BTreeSet<Index> = asked.query.indexes()?.into_iter().collect();
    let given: BTreeSet<Index> = values.iter().map(|value| value.index).collect();
    if stated == given {
        return Ok(());
    }
    Err(Denial::malformed("Mismatched indexes: the query names other indexes than the body"))
}

/// Removes the handle, or the values at the indexes that the query names.
#[utoipa::path(delete, path = "/api/handles/{handle}", tag = "handles", operation_id = "remove",
    params(
        ("handle" = String, Path, description = "The handle; its slash may be percent-encoded.",
            example = "88.118.8/SN000123"),
        ("index" = Option<Vec<IndexNumber>>, Query, description = "Only the values at these indexes.")),
    security((), ("basic" = []), ("bearer" = []), ("handle" = [])),
    responses(
        (status = 200, description = "Removed.", body = HandleReply),
        (status = 400, description = "The request is malformed, or this node does not answer for the prefix.", body = HandleReply),
        (status = 401, description = "Proof is needed, or not accepted.", body = HandleReply),
        (status = 403, description = "The caller may not; or proof is needed over plain text.", body = HandleReply),
        (status = 404, description = "There is no such handle.", body = HandleReply),
        (status = 408, description = "The body did not come in time.", body = HandleReply),
        (status = 413, description = "The body is too large.", body = HandleReply),
        (status = 500, description = "The node, or another that it asked, failed.", body = HandleReply),
        (status = 503, description = "The node is too busy, read-only or stopping.", body = HandleReply)))]
pub(super) async fn delete(shared: &Shared, asked: &mut Asked, handle: &str) -> Result<Response, Denial> {
    asked.commands();
    let caller = shared.admit(asked).await?;
    let identifier = parse_handle(handle)?;
    let indexes = asked.query.indexes()?;
    let command = if indexes.is_empty() {
        change::remove(identifier)
    } else {
        change::remove_values(identifier, indexes)
    };
    shared.command(&caller, command).await?;
    Ok(reply::done(false, handle, &asked.manner))
}
