//! The JSON form of values: what `resolve --json` prints, `export` writes and `import` and `--values` read.
//!
//! ```json
//! {"index": 1, "type": "URL", "data": "https://example.com/", "ttl": 3600, "permissions": "1110",
//!  "references": [{"identifier": "88.118.8/A", "index": 2}], "timestamp": "2026-01-01T00:00:00+08:00"}
//! ```
//!
//! `data` is text, or `{"base64": "..."}` where it is not UTF-8. A value that expires at a point in time has
//! `ttl_until` instead of `ttl`. Only `type` and `data` are needed: without `index` a value takes the next free number
//! from 1, in the order given; without the others it has the defaults. `timestamp` is the time at which the
//! node set the value; it is ignored in input.

use core::fmt;
use std::collections::BTreeSet;

use data_encoding::BASE64;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::display;
use crate::model::limits::TTL_DEFAULT_SECONDS;
use crate::model::value::{Permissions, ValueType};
use crate::wire::proto;

//----------- ValueForm ------------------------------------------------------

/// One value as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValueForm {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    index: Option<u32>,
    #[serde(rename = "type")]
    value_type: String,
    data: DataForm,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ttl: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ttl_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    permissions: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    references: Vec<ReferenceForm>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    timestamp: Option<String>,
}

/// A reference to a value of another identifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferenceForm {
    identifier: String,
    #[serde(default)]
    index: u32,
}

impl ValueForm {
    /// A value with all its members, defaults included.
    pub(super) fn whole(value: &proto::Value) -> Self {
        let (ttl, ttl_until) = match value.ttl {
            None => (Some(TTL_DEFAULT_SECONDS), None),
            Some(proto::value::Ttl::RelativeSeconds(seconds)) => (Some(seconds), None),
            Some(proto::value::Ttl::AbsoluteSeconds(second)) => {
                (None, Some(display::time_of_seconds(second)))
            }
        };
        let references = value.references.iter();
        Self {
            index: Some(value.index),
            value_type: value.r#type.clone(),
            data: DataForm::of_bytes(&value.data),
            ttl,
            ttl_until,
            permissions: Some(permissions(value).to_string()),
            references: references
                .map(|reference| ReferenceForm {
                    identifier: reference.identifier.clone(),
                    index: reference.index,
                })
                .collect(),
            timestamp: Some(value.timestamp_seconds)
                .filter(|seconds| *seconds > 0)
                .map(display::time_of_seconds),
        }
    }

    /// A value with the members needed to register the same content again.
    pub(super) fn content(value: &proto::Value) -> Self {
        let mut form = Self::whole(value);
        form.timestamp = None;
        form.ttl = form.ttl.filter(|seconds| *seconds != TTL_DEFAULT_SECONDS);
        form.permissions = form.permissions.filter(|_| !has_default_permissions(value));
        form
    }

    /// Whether an index is given.
    pub(super) fn is_numbered(&self) -> bool {
        self.index.is_some()
    }

    /// The value as a protobuf message; the index is 0 when none was given.
    fn into_proto(self) -> Result<proto::Value, String> {
        let ttl = match (self.ttl, self.ttl_until) {
            (None, None) => None,
            (Some(seconds), None) => Some(proto::value::Ttl::RelativeSeconds(seconds)),
            (None, Some(until)) => {
                let second = display::parse_time(&until)? / 1_000;
                let second =
                    u32::try_from(second).map_err(|_| format!("ttl_until {until} is too far away"))?;
                Some(proto::value::Ttl::AbsoluteSeconds(second))
            }
            (Some(_), Some(_)) => return Err("both ttl and ttl_until are given; one of them suffices".into()),
        };
        let permissions = self.permissions.map(|text| Permissions::parse(&text)).transpose();
        let permissions = permissions.map_err(|error| error.to_string())?;
        let references = self.references.into_iter();
        Ok(proto::Value {
            index: self.index.unwrap_or_default(),
            r#type: self.value_type,
            data: self.data.into_bytes(),
            ttl,
            permissions: permissions.map(|permissions| u32::from(permissions.bits())),
            references: references
                .map(|reference| proto::Reference {
                    identifier: reference.identifier,
                    index: reference.index,
                })
                .collect(),
            timestamp_seconds: 0,
        })
    }
}

/// Values as protobuf messages; those without an index get the next free number from 1, in their order.
pub(super) fn into_protos(forms: Vec<ValueForm>) -> Result<Vec<proto::Value>, String> {
    if forms.iter().any(|form| form.index == Some(0)) {
        return Err("index 0 is not from 1 to 2147483647".into());
    }
    let mut values = Vec::with_capacity(forms.len());
    for form in forms {
        values.push(form.into_proto()?);
    }
    number(&mut values);
    Ok(values)
}

/// Gives values without an index the next number from 1 that no other value claims.
pub(super) fn number(values: &mut [proto::Value]) {
    let claimed: BTreeSet<u32> = values.iter().map(|value| value.index).collect();
    let mut free = (1_u32..).filter(|index| !claimed.contains(index));
    for value in values.iter_mut().filter(|value| value.index == 0) {
        value.index = free.next().unwrap_or_default();
    }
}

/// The permissions of a value, those of its type when none are stated.
pub(super) fn permissions(value: &proto::Value) -> Permissions {
    let stated = value.permissions.and_then(|bits| u8::try_from(bits).ok());
    stated.map_or_else(|| default_permissions(value), Permissions::from_bits)
}

/// Whether a value has the permissions that it would have if none were stated.
pub(super) fn has_default_permissions(value: &proto::Value) -> bool {
    permissions(value) == default_permissions(value)
}

fn default_permissions(value: &proto::Value) -> Permissions {
    ValueType::new(&value.r#type)
        .map_or(Permissions::DEFAULT, |value_type| Permissions::default_of(&value_type))
}

//----------- DataForm -------------------------------------------------------

/// Data as text, or as base64 where it is not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
enum DataForm {
    Text(String),
    Binary(Vec<u8>),
}

impl DataForm {
    fn of_bytes(bytes: &[u8]) -> Self {
        match core::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Binary(bytes.to_vec()),
        }
    }

    fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.into_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }
}

impl Serialize for DataForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Binary(bytes) => serializer.collect_map([("base64", BASE64.encode(bytes))]),
        }
    }
}

impl<'de> Deserialize<'de> for DataForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = DataForm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in quotes, or {\"base64\": \"...\"}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<DataForm, E> {
        Ok(DataForm::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<DataForm, E> {
        Ok(DataForm::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<DataForm, A::Error> {
        match map.next_entry::<String, String>()? {
            Some((key, text)) if key == "base64" => {
                if map.next_key::<String>()?.is_some() {
                    return Err(de::Error::custom("data has one key, base64"));
                }
                let bytes = BASE64.decode(text.as_bytes());
                bytes.map(DataForm::Binary).map_err(|error| de::Error::custom(format!("base64: {error}")))
            }
            _ => Err(de::Error::custom("data is text in quotes, or {\"base64\": \"...\"}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ValueForm, into_protos};
    use crate::wire::proto;

    fn read(json: &str) -> Result<Vec<proto::Value>, String> {
        let forms: Vec<ValueForm> = serde_json::from_str(json).map_err(|error| error.to_string())?;
        into_protos(forms)
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_content() {
        let value = proto::Value {
            index: 7,
            r#type: "HS_SECKEY".into(),
            data: vec![0xff, 0x00],
            ttl: Some(proto::value::Ttl::AbsoluteSeconds(1_767_225_600)),
            permissions: Some(0xe),
            references: vec![proto::Reference { identifier: "88.118.8/零".into(), index: 2 }],
            timestamp_seconds: 5,
        };
        let written = serde_json::to_string(&[ValueForm::content(&value)]).expect("serializable");
        let back = read(&written).expect("readable");
        assert_eq!(back, [proto::Value { timestamp_seconds: 0, ..value.clone() }]);
        let whole = serde_json::to_string(&[ValueForm::whole(&value)]).expect("serializable");
        assert_eq!(read(&whole).expect("readable"), back);
    }

    #[test]
    fn defaults_go_without_saying() {
        let value = proto::Value {
            index: 1,
            r#type: "URL".into(),
            data: b"x".to_vec(),
            ttl: Some(proto::value::Ttl::RelativeSeconds(86_400)),
            permissions: Some(0xe),
            ..proto::Value::default()
        };
        let written = serde_json::to_string(&ValueForm::content(&value)).expect("serializable");
        assert_eq!(written, r#"{"index":1,"type":"URL","data":"x"}"#);
    }

    #[test]
    fn values_without_an_index_take_the_free_numbers_in_order() {
        let values =
            read(r#"[{"type":"A","data":"a"},{"index":1,"type":"B","data":"b"},{"type":"C","data":"c"}]"#);
        let indexes: Vec<u32> = values.expect("readable").iter().map(|value| value.index).collect();
        assert_eq!(indexes, [2, 1, 3]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let refused = |json: &str| read(json).expect_err(json);
        let number = refused(r#"[{"type":"A","data":1}]"#);
        assert!(number.contains("text in quotes"), "{number}");
        let unknown = refused(r#"[{"type":"A","data":"","tll":1}]"#);
        assert!(unknown.contains("`tll`"), "{unknown}");
        let both = refused(r#"[{"type":"A","data":"","ttl":1,"ttl_until":"2026-01-01T00:00:00Z"}]"#);
        assert!(both.contains("one of them"), "{both}");
        let base64 = refused(r#"[{"type":"A","data":{"base64":"%"}}]"#);
        assert!(base64.contains("base64"), "{base64}");
        let zero = refused(r#"[{"index":0,"type":"A","data":""}]"#);
        assert!(zero.contains("index 0"), "{zero}");
    }
}
