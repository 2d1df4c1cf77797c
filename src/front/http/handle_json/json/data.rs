//! A value's data as JSON: text, bytes, and the structure of well-known types.
//!
//! ```text
//!   string  printable UTF-8                    admin  HS_ADMIN {handle, index, permissions}
//!   base64  everything else                    vlist  HS_VLIST [{handle, index}]
//!   hex     on the way in only                 site   HS_SITE    key  HS_PUBKEY as a JSON Web Key
//! ```
//!
//! A well-known type whose data does not decode, or would not encode to the same bytes again, is shown as text or bytes:
//! what is read can be written back. Only keys may change their bytes on the way, not what they mean.

use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::plain::{self, Given, Plain, jwk, parse_given};
use super::shape::{ReferenceJson, Wrong, check_members, integer, parse_reference, parse_referent};
use super::site::{SiteJson, parse_site};
use crate::model::identifier::Identifier;
use crate::model::identity::{AdminPermissions, Administrator, Identity};
use crate::model::value::ValueType;
use crate::wire::handle::administrator::{
    decode_administrator, decode_identities, encode_administrator, encode_identities,
};

/// What old writers leave behind an HS_ADMIN value.
const LEGACY_TAIL: [u8; 2] = [0, 0];
/// Types whose data is a site.
const SITES: [&str; 4] = [ValueType::HS_SITE, "HS_SITE.PREFIX", "HS_SITE.6", "HS_NA_DELEGATE"];
/// Permissions of an administrator.
const ADMIN_BITS: usize = 12;

//----------- DataJson -------------------------------------------------------

/// A value's data, by its format.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "format", content = "value", rename_all = "lowercase")]
#[schema(title = "Data")]
pub(in crate::front::http) enum DataJson {
    /// Text.
    String(String),
    /// Bytes.
    Base64(String),
    /// An administrator (HS_ADMIN).
    Admin(AdminJson),
    /// A list of administrators (HS_VLIST).
    Vlist(Vec<ReferenceJson>),
    /// A site (HS_SITE and its like).
    Site(SiteJson),
    /// A public key (HS_PUBKEY) as JSON Web Key.
    Key(Json),
}

/// An administrator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(title = "Administrator")]
pub(in crate::front::http) struct AdminJson {
    /// The identifier of the key or list.
    #[schema(example = "0.NA/88.118.8")]
    handle: String,
    /// The index of the key or list; 0 for any key.
    #[schema(example = 200)]
    index: u32,
    /// Twelve digits, the right to list first.
    #[schema(example = "011111110011", pattern = "^[01]{12,16}$")]
    permissions: String,
    /// Whether two zero bytes end the data, as old writers left them.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    legacy_byte_length: bool,
}

impl DataJson {
    /// The data of a value of this type.
    pub(super) fn of(value_type: &ValueType, data: Vec<u8>) -> Self {
        Self::structured(value_type, &data).unwrap_or_else(|| match plain::show(data) {
            Plain::Text(text) => Self::String(text),
            Plain::Bytes(bytes) => Self::Base64(bytes),
        })
    }

    fn structured(value_type: &ValueType, data: &[u8]) -> Option<Self> {
        if value_type.is(ValueType::HS_ADMIN) {
            return admin_json(data).map(Self::Admin);
        }
        if value_type.is("HS_VLIST") {
            let identities = decode_identities(data).ok().filter(|list| encode_identities(list) == data)?;
            let reference = |identity: Identity| ReferenceJson {
                handle: identity.identifier.to_string(),
                index: identity.index,
            };
            return Some(Self::Vlist(identities.into_iter().map(reference).collect()));
        }
        if SITES.iter().any(|name| value_type.is(name)) {
            return SiteJson::decode(data).map(Self::Site);
        }
        if value_type.is("HS_PUBKEY") {
            return jwk(data).map(Self::Key);
        }
        None
    }
}

fn admin_json(data: &[u8]) -> Option<AdminJson> {
    let administrator = decode_administrator(data).ok()?;
    let encoded = encode_administrator(&administrator);
    let legacy_byte_length = match data.strip_prefix(encoded.as_slice())? {
        [] => false,
        tail if tail == LEGACY_TAIL => true,
        _ => return None,
    };
    let Administrator { permissions, identity } = administrator;
    Some(AdminJson {
        handle: identity.identifier.to_string(),
        index: identity.index,
        permissions: permissions.to_string(),
        legacy_byte_length,
    })
}

//----------- Parsing --------------------------------------------------------

/// The bytes that a value's `data` means: a text, or `{"format": ..., "value": ...}`.
pub(super) fn parse_data(json: &Json) -> Result<Vec<u8>, Wrong> {
    let (format, value) = match parse_given(json)? {
        Given::Bytes(bytes) => return Ok(bytes),
        Given::Structured { format, value } => (format, value),
    };
    match format.as_str() {
        "admin" => parse_admin(value),
        "vlist" => parse_list(value),
        "site" => parse_site(value),
        _ => Err(Wrong::shape(format!(
            "data format {format:?} is none of string, base64, hex, admin, vlist, site, key"
        ))),
    }
}

fn parse_admin(json: &Json) -> Result<Vec<u8>, Wrong> {
    let members = json.as_object().ok_or_else(|| Wrong::shape("an administrator is not an object"))?;
    check_members("an administrator", members, &["handle", "index", "permissions", "legacyByteLength"])?;
    let (handle, index) = parse_referent(members)?;
    let identity = Identity { index, identifier: Identifier::parse(handle)? };
    let permissions = parse_permissions(members)?;
    let mut data = encode_administrator(&Administrator { permissions, identity });
    if members.get("legacyByteLength").and_then(Json::as_bool).unwrap_or(false) {
        data.extend(LEGACY_TAIL);
    }
    Ok(data)
}

fn parse_permissions(members: &Map<String, Json>) -> Result<AdminPermissions, Wrong> {
    let wrong =
        || Wrong::shape("\"permissions\" of an administrator are not twelve digits such as \"011111110011\"");
    match members.get("permissions") {
        None | Some(Json::Null | Json::Bool(false)) => Ok(AdminPermissions::NONE),
        Some(Json::Bool(true)) => Ok(AdminPermissions::ALL),
        Some(Json::String(all)) if all == "*" => Ok(AdminPermissions::ALL),
        Some(Json::String(digits)) => {
            let fits = digits.len() <= 16 && digits.bytes().all(|byte| matches!(byte, b'0' | b'1'));
            let bits = u16::from_str_radix(digits, 2).ok().filter(|_| fits);
            bits.map(AdminPermissions::from_bits).ok_or_else(wrong)
        }
        Some(Json::Number(_)) => {
            let bits = integer(members, "permissions")?.and_then(|bits| u16::try_from(bits).ok());
            bits.map(AdminPermissions::from_bits).ok_or_else(wrong)
        }
        Some(Json::Array(flags)) if flags.len() <= ADMIN_BITS => {
            let set = flags.iter().enumerate().filter(|(_, flag)| is_truthy(flag));
            let bits = set.fold(0_u16, |bits, (place, _)| bits | (1 << place));
            Ok(AdminPermissions::from_bits(bits))
        }
        Some(Json::Array(_) | Json::Object(_)) => Err(wrong()),
    }
}

/// The flags of an array stand in the order of the bits, the lowest first; zero, nothing and empty texts say no.
fn is_truthy(flag: &Json) -> bool {
    match flag {
        Json::Null => false,
        Json::Bool(flag) => *flag,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(_) | Json::Object(_) => true,
    }
}

fn parse_list(json: &Json) -> Result<Vec<u8>, Wrong> {
    let Json::Array(items) = json else {
        return Err(Wrong::shape("data of format vlist is not an array"));
    };
    let parse = |item: &Json| {
        let (handle, index) = parse_reference(item)?;
        Ok(Identity { index, identifier: Identifier::parse(handle)? })
    };
    let identities = items.iter().map(parse).collect::<Result<Vec<_>, Wrong>>()?;
    Ok(encode_identities(&identities))
}
