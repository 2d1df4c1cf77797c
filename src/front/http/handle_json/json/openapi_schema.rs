//! Types of request bodies, for the OpenAPI document only.
//!
//! These types are never constructed: bodies are read by hand, with precise error messages and with some tolerance
//! that the document does not promise.
#![expect(dead_code, reason = "types that are only described")]

use serde::Serialize;
use utoipa::ToSchema;

use super::data::AdminJson;
use super::shape::ReferenceJson;
use super::site::SiteJson;

/// A flag: yes when given alone or as `yes`, `true` or `1`; no when given as `no`, `false` or `0`.
#[derive(Serialize, ToSchema)]
#[schema(pattern = "^([Yy][Ee][Ss]|[Tt][Rr][Uu][Ee]|1|[Nn][Oo]|[Ff][Aa][Ll][Ss][Ee]|0)?$", example = "true")]
pub(in crate::front::http) struct Flag(String);

/// Entity tags, or `*` for any.
#[derive(Serialize, ToSchema)]
#[schema(pattern = "^([*]|(W/)?\"[!#-~]*\"(, (W/)?\"[!#-~]*\"){0,9})$")]
pub(in crate::front::http) struct EntityTags(String);

/// The number of a value within its identifier.
#[derive(Serialize, ToSchema)]
#[schema(minimum = 1, maximum = 2147483647, example = 1)]
pub(in crate::front::http) struct IndexNumber(u32);

/// What the data of a value is.
#[derive(Serialize, ToSchema)]
#[schema(min_length = 1, max_length = 255, example = "URL")]
pub(in crate::front::http) struct TypeName(String);

/// What a question asks, where it stands in a body.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"index": [1, 100], "publicOnly": true}))]
pub(in crate::front::http) struct QuestionGiven {
    /// Values at these indexes.
    index: Option<Vec<IndexNumber>>,
    /// Values of these types.
    r#type: Option<Vec<TypeName>>,
    /// Asks no other node.
    auth: Option<bool>,
    /// Only values that everybody may read.
    public_only: Option<bool>,
    /// No referral to another service.
    do_not_refer: Option<bool>,
}

/// Which list is asked for, where it stands in a body.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"prefix": "88.118.8", "page": 0, "pageSize": 100}))]
pub(in crate::front::http) struct ListGiven {
    /// The prefix.
    #[schema(
        min_length = 1,
        max_length = 170,
        pattern = "^(0\\.NA/)?[A-Za-z0-9-]{1,63}(\\.[A-Za-z0-9-]{1,63})*$"
    )]
    prefix: String,
    /// Number of the page, from 0.
    page: Option<i64>,
    /// Number of items on a page.
    #[schema(maximum = 10000)]
    page_size: Option<i64>,
}

/// What a PUT writes: values, an object that holds them, or a single one.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(example = json!([{"index": 1, "type": "URL", "data": "https://example.com/"}]))]
pub(in crate::front::http) enum ValuesGiven {
    /// The values.
    Array(Vec<ValueGiven>),
    /// An object that holds the values.
    Record {
        /// The handle; it must be that of the path.
        handle: Option<String>,
        /// The values.
        values: Vec<ValueGiven>,
    },
    /// A single value.
    One(ValueGiven),
}

/// One value to be written.
#[derive(Serialize, ToSchema)]
pub(in crate::front::http) struct ValueGiven {
    /// Index of the value: its number within the identifier.
    #[schema(minimum = 1, maximum = 2147483647, example = 1)]
    index: u32,
    /// Type of the value.
    #[serde(rename = "type")]
    #[schema(min_length = 1, max_length = 255, example = "URL")]
    value_type: String,
    /// The datum.
    data: DataGiven,
    /// Admin read, admin write, public read, public write; 1110 without, 1100 for an HS_SECKEY.
    #[schema(pattern = "^[01]{4}$", example = "1110")]
    permissions: Option<String>,
    /// How long an answer may be cached: seconds, or a point in time; a day without.
    ttl: Option<TtlGiven>,
    /// Time of the last change; ignored, because the node sets it.
    timestamp: Option<String>,
    /// Values of other identifiers that the value refers to.
    #[schema(max_items = 64)]
    references: Option<Vec<ReferenceJson>>,
}

/// Seconds from the answer on, or a point in time (ISO 8601).
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::front::http) enum TtlGiven {
    /// Seconds.
    Seconds(u32),
    /// A point in time.
    Until(String),
}

/// A datum to be written: text, or a value in a format.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::front::http) enum DataGiven {
    /// Text.
    Text(String),
    /// A value in a format.
    Formatted(FormattedGiven),
}

/// A value in a format.
#[derive(Serialize, ToSchema)]
#[serde(tag = "format", content = "value", rename_all = "lowercase")]
pub(in crate::front::http) enum FormattedGiven {
    /// Text.
    String(String),
    /// Bytes.
    Base64(Base64Given),
    /// Bytes.
    Hex(HexGiven),
    /// An administrator (HS_ADMIN).
    Admin(AdminJson),
    /// A list of administrators (HS_VLIST).
    Vlist(Vec<ReferenceJson>),
    /// A site (HS_SITE).
    Site(SiteJson),
    /// A public key (HS_PUBKEY).
    Key(KeyGiven),
}

/// Bytes in base64, padded or not.
#[derive(Serialize, ToSchema)]
#[schema(
    pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw](==)?|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=?)?$",
    example = "AAEC"
)]
pub(in crate::front::http) struct Base64Given(String);

/// Bytes in hexadecimal.
#[derive(Serialize, ToSchema)]
#[schema(pattern = "^([0-9A-Fa-f]{2})*$", example = "000102")]
pub(in crate::front::http) struct HexGiven(String);

/// A JSON Web Key; its numbers are base64 for URLs.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kty")]
pub(in crate::front::http) enum KeyGiven {
    /// The modulus and the exponent of an RSA key.
    #[serde(rename = "RSA")]
    Rsa {
        /// The modulus.
        n: NumberGiven,
        /// The exponent.
        e: NumberGiven,
    },
    /// The numbers of a DSA key.
    #[serde(rename = "DSA")]
    Dsa {
        /// The key.
        y: NumberGiven,
        /// The field.
        p: NumberGiven,
        /// The order of the group.
        q: NumberGiven,
        /// The generator.
        g: NumberGiven,
    },
}

/// A number in base64 for URLs, unpadded.
#[derive(Serialize, ToSchema)]
#[schema(
    min_length = 2,
    pattern = "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$",
    example = "AQAB"
)]
pub(in crate::front::http) struct NumberGiven(String);
