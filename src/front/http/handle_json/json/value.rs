//! Values as the Handle JSON API writes them.
//!
//! ```json
//! {"index": 1, "type": "URL", "data": {"format": "string", "value": "https://example.com/"},
//!  "ttl": 86400, "timestamp": "2026-01-01T00:00:00Z"}
//! ```
//!
//! `permissions` is left out where they are `1110`, `references` where there are none; a TTL that is a time is a text.
//! On the way in, numbers may be texts, and the timestamp is ignored: the node sets it. Members that are not known are
//! refused, so that a misspelled `permissions` does not make a value public. Unlike CNRI's server, which
//! ignores the first of four permission digits, this one takes all four at their word.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::super::reply::{self, Format};
use super::data::{self, DataJson};
use super::shape::{ReferenceJson, Wrong, check_members, integer, parse_reference, text};
use crate::front::http::transport::query::clip;
use crate::model::identifier::Identifier;
use crate::model::limits::{REFERENCES_MAX, TTL_MAX_SECONDS, VALUES_MAX};
use crate::model::refusal::Failure;
use crate::model::value::{Index, Permissions, Reference, Ttl, Value, ValueError, ValueType};

//----------- ValueJson ------------------------------------------------------

/// One value of an identifier.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(title = "Value")]
pub(in crate::front::http) struct ValueJson {
    /// Index of the value: its number within the identifier.
    #[schema(minimum = 1, maximum = 2147483647, example = 1)]
    index: u32,
    /// Type of the value.
    #[serde(rename = "type")]
    #[schema(example = "URL")]
    value_type: String,
    /// The datum.
    data: DataJson,
    /// Admin read, admin write, public read, public write; left out where it is 1110.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "1110", pattern = "^[01]{4}$")]
    permissions: Option<String>,
    /// How long an answer may be cached.
    ttl: TtlJson,
    /// Time of the last change, set by the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2026-01-01T00:00:00Z")]
    timestamp: Option<String>,
    /// Values of other identifiers that the value refers to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<ReferenceJson>,
}

/// Seconds from the answer on, or a point in time (ISO 8601).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
#[schema(title = "Ttl")]
pub(in crate::front::http) enum TtlJson {
    /// Seconds.
    Seconds(u32),
    /// A point in time.
    Until(String),
}

impl ValueJson {
    /// A value as it is written.
    pub(in crate::front::http) fn of(value: Value) -> Self {
        Self::with_times(value, &mut TimeTexts::default())
    }

    /// Values as they are written.
    pub(in crate::front::http) fn all(values: Vec<Value>) -> Vec<Self> {
        let mut times = TimeTexts::default();
        values.into_iter().map(|value| Self::with_times(value, &mut times)).collect()
    }

    fn with_times(value: Value, times: &mut TimeTexts) -> Self {
        let Value { index, value_type, data, ttl, permissions, references, timestamp } = value;
        let reference = |reference: &Reference| ReferenceJson {
            handle: reference.identifier.to_string(),
            index: reference.index,
        };
        Self {
            index: index.get(),
            data: DataJson::of(&value_type, data),
            value_type: value_type.into(),
            permissions: (permissions != Permissions::DEFAULT).then(|| permissions.to_string()),
            ttl: match ttl {
                Ttl::Relative(seconds) => TtlJson::Seconds(seconds),
                Ttl::Absolute(until) => TtlJson::Until(times.of(until)),
            },
            timestamp: (timestamp != 0).then(|| times.of(timestamp)),
            references: references.iter().map(reference).collect(),
        }
    }
}

impl ValueJson {
    /// The data as text for people: as it is, or as JSON where it has a structure.
    pub(in crate::front::http) fn data_text(&self) -> Result<String, Failure> {
        match &self.data {
            DataJson::String(text) | DataJson::Base64(text) => Ok(text.clone()),
            DataJson::Admin(admin) => reply::write(admin, &Format::default()),
            DataJson::Vlist(list) => reply::write(list, &Format::default()),
            DataJson::Site(site) => reply::write(site, &Format::default()),
            DataJson::Key(key) => reply::write(key, &Format::default()),
        }
    }
}

/// The texts of times. Values that were written together have the same time: its text is made once.
#[derive(Default)]
struct TimeTexts {
    last: Option<(u32, String)>,
}

impl TimeTexts {
    fn of(&mut self, seconds: u32) -> String {
        if let Some((known, text)) = &self.last
            && *known == seconds
        {
            return text.clone();
        }
        let text = time_text(seconds);
        self.last = Some((seconds, text.clone()));
        text
    }
}

/// Seconds since 1970 as `2026-01-01T00:00:00Z`.
fn time_text(seconds: u32) -> String {
    Timestamp::from_second(i64::from(seconds)).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

//----------- Parsing --------------------------------------------------------

/// The members of a value; what a reply shows can be sent back.
const VALUE_MEMBERS: [&str; 7] = ["index", "type", "data", "permissions", "ttl", "timestamp", "references"];
/// The members of a body that is a value.
const SINGLE_MEMBERS: [&str; 9] =
    ["index", "type", "data", "permissions", "ttl", "timestamp", "references", "handle", "values"];
/// The members of a body that holds values.
const RECORD_MEMBERS: [&str; 3] = ["handle", "values", "responseCode"];

/// The values of a body: an array of them, an object with `values`, or one value.
pub(in crate::front::http) fn parse_values(body: &Json) -> Result<Vec<Value>, Wrong> {
    let items = match body {
        Json::Array(items) => items.as_slice(),
        Json::Object(members) => match members.get("values") {
            Some(Json::Array(items)) => {
                check_members("the body", members, &RECORD_MEMBERS)?;
                items.as_slice()
            }
            Some(_) => return Err(Wrong::shape("\"values\" is not an array")),
            None => {
                check_members("the body", members, &SINGLE_MEMBERS)?;
                return Ok(vec![parse_members(members)?]);
            }
        },
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            return Err(Wrong::shape("the body is neither an array of values nor an object with \"values\""));
        }
    };
    if items.len() > VALUES_MAX {
        return Err(ValueError::TooMany { count: items.len() }.into());
    }
    items.iter().map(parse_value).collect()
}

fn parse_value(json: &Json) -> Result<Value, Wrong> {
    let Json::Object(members) = json else {
        return Err(Wrong::shape("a value is not a JSON object"));
    };
    check_members("a value", members, &VALUE_MEMBERS)?;
    parse_members(members)
}

fn parse_members(members: &Map<String, Json>) -> Result<Value, Wrong> {
    let index = integer(members, "index")?.ok_or_else(|| Wrong::shape("a value has no \"index\""))?;
    let index = u32::try_from(index).map_err(|_| ValueError::Index { found: index }).and_then(Index::new)?;
    let value_type = ValueType::new(text(members, "type")?)?;
    let data = members.get("data").ok_or_else(|| Wrong::shape(format!("index {index} has no \"data\"")))?;
    let data = data::parse_data(data)?;
    let permissions = match members.get("permissions") {
        None | Some(Json::Null) => Permissions::default_of(&value_type),
        Some(Json::String(all)) if all == "*" => Permissions::from_bits(0xf),
        Some(Json::String(digits)) => Permissions::parse(digits)?,
        Some(_) => return Err(Wrong::shape("\"permissions\" is not text such as \"1110\"")),
    };
    let references = parse_references(members.get("references"))?;
    let ttl = parse_ttl(members.get("ttl"))?;
    Ok(Value { index, value_type, data, ttl, permissions, references, timestamp: 0 })
}

fn parse_ttl(json: Option<&Json>) -> Result<Ttl, Wrong> {
    match json {
        None | Some(Json::Null) => Ok(Ttl::default()),
        Some(Json::Number(number)) => {
            let seconds = number.as_u64().and_then(|seconds| u32::try_from(seconds).ok());
            let seconds = seconds.filter(|seconds| *seconds <= TTL_MAX_SECONDS);
            seconds.map(Ttl::Relative).ok_or_else(|| {
                Wrong::shape(format!("\"ttl\" {number} is not from 0 to {TTL_MAX_SECONDS} seconds"))
            })
        }
        Some(Json::String(text)) => {
            let time = text.parse::<Timestamp>().ok();
            let until = time.and_then(|time| u32::try_from(time.as_second()).ok());
            until.map(Ttl::Absolute).ok_or_else(|| {
                Wrong::shape(format!(
                    "\"ttl\" {:?} is not a time such as \"2026-01-01T00:00:00Z\" from 1970 to 2106",
                    clip(text)
                ))
            })
        }
        Some(_) => Err(Wrong::shape("\"ttl\" is neither seconds nor a time")),
    }
}

fn parse_references(json: Option<&Json>) -> Result<Vec<Reference>, Wrong> {
    let items = match json {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(items)) if items.len() <= REFERENCES_MAX => items,
        Some(_) => {
            return Err(Wrong::shape(format!("\"references\" is not an array of at most {REFERENCES_MAX}")));
        }
    };
    let parse = |item: &Json| {
        let (handle, index) = parse_reference(item)?;
        Ok(Reference { identifier: Identifier::parse(handle)?, index })
    };
    items.iter().map(parse).collect()
}

#[cfg(test)]
mod tests;
