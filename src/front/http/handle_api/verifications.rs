//! Verifications: whether an answer to a challenge was made with a secret key that is stored here. For services
//! that accept identities of the Handle system and cannot see their secret keys.
#![expect(unused_qualifications, reason = "the macro of utoipa repeats the path of a parameter type")]

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::authority::credential::Unproven;
use crate::front::handle_semantics::proof::verify_secret;
use crate::front::http::handle_json::denial::{ApiRefusal, Denial};
use crate::front::http::handle_json::reply::{self, Format, HandleReply};
use crate::front::http::handle_json::state::HandleState;
use crate::front::http::transport::authentication::authorization::{Parts, decode_base64, parse_identity};
use crate::front::http::transport::extract::{KnownParameters, Named, Strictly};
use crate::key::secret::AnswerForms;
use crate::model::identity::Identity;

/// The outcome of a verification.
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
    /// Whether the answer was made with the key.
    is_valid: bool,
}

/// An answer to a challenge of another server.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", default)]
#[into_params(parameter_in = Query)]
pub(super) struct VerifyParameters {
    /// The challenger's nonce, in base64.
    #[param(value_type = String, required = true, min_length = 4, pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
        example = "AAECAwQFBgcICQoLDA0ODw==")]
    nonce: Option<String>,
    /// What was signed behind it, in base64.
    #[param(value_type = String, required = true, min_length = 4, pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
        example = "AAECAwQFBgcICQoLDA0ODw==")]
    cnonce: Option<String>,
    /// The algorithm of the answer; PBKDF2-HMAC-SHA1 comes with salt, iterations and length.
    #[param(value_type = String, required = true, pattern = "^(HMAC-SHA256|HMAC-SHA1|SHA-256|SHA-1|PBKDF2-HMAC-SHA1)$",
        example = "HMAC-SHA256")]
    alg: Option<String>,
    /// The answer, in base64.
    #[param(value_type = String, required = true, min_length = 4, pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$",
        example = "AAECAwQFBgcICQoLDA0ODw==")]
    signature: Option<String>,
    /// Of a derived key, in base64.
    salt: Option<String>,
    /// Of a derived key.
    #[param(value_type = Option<u32>)]
    iterations: Option<String>,
    /// Of a derived key, in bits.
    #[param(value_type = Option<u32>)]
    length: Option<String>,
    /// The index of the key, where the path names a handle alone.
    index: Option<u32>,
}

/// Judges an answer to a challenge.
#[utoipa::path(get, path = "/api/verifications/{*identity}", tag = "sessions", operation_id = "verify",
    params(
        ("identity" = String, Path, description = "The identity whose key is meant, as index:handle.",
            pattern = "^[1-9][0-9]{0,8}:[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63})*/[^/]+$", example = "301:88.118.8/a"),
        VerifyParameters),
    responses(
        (status = 200, description = "Whether the answer was made with the key.", body = VerificationReply),
        (status = 400, description = "The request is malformed, or the key is not stored here.", body = HandleReply),
        (status = 500, description = "The node failed.", body = HandleReply),
        (status = 503, description = "The node is too busy or stopping.", body = HandleReply)))]
pub(super) async fn verify(
    State(api): State<HandleState>,
    Named(spelled): Named,
    Strictly(parameters): Strictly<VerifyParameters>,
    format: Format,
) -> Result<Response, Denial> {
    let identity = identity(&parameters, &spelled)?;
    let bytes = |name: &str, text: &Option<String>| {
        let decoded = text.as_deref().and_then(decode_query);
        decoded.ok_or_else(|| Denial::malformed(&format!("{name} is missing or not base64")))
    };
    let challenge = [bytes("nonce", &parameters.nonce)?, bytes("cnonce", &parameters.cnonce)?].concat();
    bytes("signature", &parameters.signature)?;
    let answer = parameters.parts().secret_answer().map_err(ApiRefusal::Unverifiable)?;
    let provers = (api.authority(), &*api.crypto_pool);
    let is_valid = match verify_secret(provers, &identity, (answer, AnswerForms::Current), challenge).await {
        Ok(is_valid) => is_valid,
        Err(Unproven::Failed(failure)) => return Err(failure.into()),
        Err(unproven) => return Err(ApiRefusal::Unverifiable(unproven).into()),
    };
    let handle = identity.identifier.to_string();
    let body = VerificationReply { response_code: reply::SUCCESS, handle, is_valid };
    Ok(reply::ok(&body, &format))
}

impl KnownParameters for VerifyParameters {
    const NAMES: &'static [&'static str] = &[
        "nonce",
        "cnonce",
        "alg",
        "signature",
        "salt",
        "iterations",
        "length",
        "index",
        "pretty",
        "callback",
    ];
}

impl VerifyParameters {
    /// What an answer is made of.
    fn parts(&self) -> Parts {
        Parts::of_texts([
            ("alg", self.alg.as_deref()),
            ("signature", self.signature.as_deref()),
            ("salt", self.salt.as_deref()),
            ("iterations", self.iterations.as_deref()),
            ("length", self.length.as_deref()),
        ])
    }
}

/// Whose key is meant: the index stands in the path or in the query, not in both.
fn identity(parameters: &VerifyParameters, spelled: &str) -> Result<Identity, Denial> {
    let identity = parse_identity(spelled);
    let identity =
        identity.ok_or_else(|| Denial::malformed("the path names no identity such as 301:88.118.8/a"))?;
    match parameters.index {
        None if identity.index == 0 => Err(Denial::malformed("No index provided")),
        Some(_) if identity.index != 0 => {
            Err(Denial::malformed("the index is given both in the path and in the query"))
        }
        None => Ok(identity),
        Some(index) => Ok(Identity { index, ..identity }),
    }
}

/// Base64 in a query, where a plus may have become a blank on the way.
fn decode_query(text: &str) -> Option<Vec<u8>> {
    decode_base64(&text.replace(' ', "+"))
}
