//! Verifications: whether somebody's answer to a challenge was made with a secret key that is kept here. For services
//! that accept identities of the Handle system and cannot see their secret keys.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::asked::Asked;
use super::authorization::{Parts, parse_identity};
use super::data_json::decode_base64;
use super::denial::{Denial, DoorRefusal};
use super::reply::{self, HandleReply};
use crate::authority::credential::Unproven;
use crate::front::handle_semantics::proof::verify_secret;
use crate::model::identity::Identity;
use crate::wire::handle::code::ResponseCode;

/// Whether an answer is right.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(title = "Verification")]
pub(super) struct VerificationReply {
    /// 1: the answer could be judged.
    #[schema(example = 1)]
    response_code: u32,
    /// The handle that holds the key.
    #[schema(example = "88.118.8/a")]
    handle: String,
    /// Whether it is right.
    is_valid: bool,
}

/// Judges an answer to a challenge.
#[utoipa::path(get, path = "/api/verifications/{identity}", tag = "sessions", operation_id = "verify",
    params(
        ("identity" = String, Path, description = "Whose key: index:handle.",
            pattern = "^[1-9][0-9]{0,8}:[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63})*/[^/]+$", example = "301:88.118.8/a"),
        ("nonce" = String, Query, description = "The challenger's nonce, in base64.",
            min_length = 4, pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
            example = "AAECAwQFBgcICQoLDA0ODw=="),
        ("cnonce" = String, Query, description = "What was signed behind it, in base64.",
            min_length = 4, pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
            example = "AAECAwQFBgcICQoLDA0ODw=="),
        ("alg" = String, Query, description = "The way of the answer.", example = "HMAC-SHA256"),
        ("signature" = String, Query, description = "The answer, in base64.", min_length = 4,
            pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
            example = "AAECAwQFBgcICQoLDA0ODw=="),
        ("salt" = Option<String>, Query, description = "Of a derived key, in base64."),
        ("iterations" = Option<u32>, Query, description = "Of a derived key."),
        ("length" = Option<u32>, Query, description = "Of a derived key, in bits.")),
    responses(
        (status = 200, description = "Whether the answer is right.", body = VerificationReply),
        (status = 400, description = "The request is malformed, or the key is not kept here.", body = HandleReply),
        (status = 500, description = "The node failed.", body = HandleReply),
        (status = 503, description = "The node is too busy or stopping.", body = HandleReply)))]
pub(super) async fn verify(shared: &Shared, asked: &Asked, spelled: &str) -> Result<Response, Denial> {
    let identity = identity(asked, spelled)?;
    let bytes = |name: &str| {
        let decoded = asked.query.get(name).and_then(decode_query);
        decoded.ok_or_else(|| Denial::malformed(&format!("{name} is missing or no base64")))
    };
    let challenge = [bytes("nonce")?, bytes("cnonce")?].concat();
    bytes("signature")?;
    let answer = Parts::of_query(&asked.query).secret_answer();
    let answer = answer.map_err(|error| Denial::malformed(&error.to_string()))?;
    let verified =
        verify_secret((&shared.authority, &shared.crypto_pool), &identity, answer, challenge).await;
    let is_valid = match verified {
        Ok(is_valid) => is_valid,
        Err(Unproven::NoKey { .. } | Unproven::Wrong { .. }) => false,
        Err(Unproven::Failed(failure)) => return Err(failure.into()),
        Err(Unproven::Unreachable { .. }) => return Err(DoorRefusal::NotResponsible.into()),
        Err(unusable @ Unproven::Unusable { .. }) => return Err(Denial::malformed(&unusable.to_string())),
    };
    let handle = identity.identifier.to_string();
    let body = VerificationReply { response_code: ResponseCode::SUCCESS.0, handle, is_valid };
    Ok(reply::json(StatusCode::OK, &body, &asked.manner))
}

/// Whose key is meant: the index stands in the path or in the query, not in both.
fn identity(asked: &Asked, spelled: &str) -> Result<Identity, Denial> {
    let identity = parse_identity(spelled);
    let identity =
        identity.ok_or_else(|| Denial::malformed("the path names no identity such as 301:88.118.8/a"))?;
    match asked.query.number("index")? {
        None if identity.index == 0 => Err(Denial::malformed("No index provided")),
        Some(_) if identity.index != 0 => {
            Err(Denial::malformed("the index stands in the path and in the query"))
        }
        None => Ok(identity),
        Some(index) => Ok(Identity { index, ..identity }),
    }
}

/// Base64 in a query, where a plus may have become a blank on the way.
fn decode_query(text: &str) -> Option<Vec<u8>> {
    decode_base64(&text.replace(' ', "+"))
}
