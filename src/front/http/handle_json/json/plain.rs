//! Data without further structure as JSON: text, bytes and public keys.

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde_json::Value as Json;

use super::shape::{Wrong, check_members, text};
use crate::front::http::transport::authentication::authorization::decode_base64;
use crate::key::PublicKey;

/// The first byte of a key in DER, which Handle clients do not read as JSON Web Key.
const DER_SEQUENCE: u8 = 0x30;

/// Data as it is shown.
pub(super) enum Plain {
    /// Printable text.
    Text(String),
    /// Base64 of bytes that are no printable text.
    Bytes(String),
}

/// Text where it is printable, else bytes.
pub(super) fn show(data: Vec<u8>) -> Plain {
    // Most data is printable ASCII, which is found without decoding characters.
    let is_ascii = data.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let is_printable = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    match String::from_utf8(data) {
        Ok(text) if is_ascii || text.chars().all(is_printable) => Plain::Text(text),
        Ok(text) => Plain::Bytes(BASE64.encode(text.as_bytes())),
        Err(error) => Plain::Bytes(BASE64.encode(error.as_bytes())),
    }
}

/// The JSON Web Key of HS_PUBKEY data, where it is a blob of a kind that Handle clients know in this form. PEM texts
/// and DER stay what they are; SM2 keys have no form here that others read.
pub(super) fn jwk(data: &[u8]) -> Option<Json> {
    if data.first() == Some(&DER_SEQUENCE) || data.starts_with(b"-----") {
        return None;
    }
    match PublicKey::decode(data).ok()? {
        key @ (PublicKey::Rsa(_) | PublicKey::Dsa(_)) => Some(key.to_jwk()),
        PublicKey::Sm2(_) => None,
    }
}

//----------- Parsing --------------------------------------------------------

/// What `data` holds.
pub(super) enum Given<'j> {
    /// Bytes, however they were written.
    Bytes(Vec<u8>),
    /// A value in a format that has more structure.
    Structured {
        /// The format, in lower case.
        format: String,
        /// The value.
        value: &'j Json,
    },
}

/// Takes `data` apart: a text, or `{"format": ..., "value": ...}`.
pub(super) fn parse_given(json: &Json) -> Result<Given<'_>, Wrong> {
    let members = match json {
        Json::String(text) => return Ok(Given::Bytes(text.clone().into_bytes())),
        Json::Number(number) => return Ok(Given::Bytes(number.to_string().into_bytes())),
        Json::Bool(flag) => return Ok(Given::Bytes(flag.to_string().into_bytes())),
        Json::Object(members) => members,
        Json::Null | Json::Array(_) => {
            return Err(Wrong::shape(
                "\"data\" is neither a text nor an object with \"format\" and \"value\"",
            ));
        }
    };
    check_members("\"data\"", members, &["format", "value"])?;
    let format = text(members, "format")?.to_ascii_lowercase();
    let value = members.get("value").ok_or_else(|| Wrong::shape("\"data\" has no \"value\""))?;
    let bytes = match format.as_str() {
        "string" => scalar(value)?,
        "base64" => {
            decode_base64(value.as_str().unwrap_or("?")).ok_or_else(|| Wrong::shape("data is not base64"))?
        }
        "hex" => HEXLOWER_PERMISSIVE
            .decode(value.as_str().unwrap_or("?").as_bytes())
            .map_err(|_| Wrong::shape("data is not hexadecimal"))?,
        "key" => parse_jwk(value)?,
        _ => return Ok(Given::Structured { format, value }),
    };
    Ok(Given::Bytes(bytes))
}

fn scalar(json: &Json) -> Result<Vec<u8>, Wrong> {
    match json {
        Json::String(text) => Ok(text.clone().into_bytes()),
        Json::Number(number) => Ok(number.to_string().into_bytes()),
        Json::Bool(flag) => Ok(flag.to_string().into_bytes()),
        Json::Null | Json::Array(_) | Json::Object(_) => {
            Err(Wrong::shape("data of format string is not text"))
        }
    }
}

/// The HS_PUBKEY data of a JSON Web Key.
fn parse_jwk(json: &Json) -> Result<Vec<u8>, Wrong> {
    let key =
        PublicKey::from_jwk(json).map_err(|error| Wrong::shape(format!("data of format key: {error}")))?;
    Ok(key.encode_blob())
}
