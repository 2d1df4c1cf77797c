//! JSON in which no object names a member twice: readers differ in which of the two they take (RFC 8259 section 4).

use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

use super::query::clip;

/// JSON whose members are named once.
pub(super) struct UniqueJson(pub(super) Json);

impl<'de> Deserialize<'de> for UniqueJson {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Json, E> {
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(UniqueJson(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("the member {:?} is given twice", clip(&name))));
            }
            let UniqueJson(value) = members.next_value()?;
            object.insert(name, value);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::UniqueJson;

    fn read(text: &str) -> Result<Json, String> {
        serde_json::from_str(text).map(|UniqueJson(json)| json).map_err(|error| error.to_string())
    }

    #[test]
    fn json_is_read_as_it_is() {
        let text = r#"{"a":[1,-1,1.5,18446744073709551615,"x\n",true,null,{}],"b":{"a":[]}}"#;
        let expected = json!({"a": [1, -1, 1.5, u64::MAX, "x\n", true, null, {}], "b": {"a": []}});
        assert_eq!(read(text), Ok(expected));
    }

    #[test]
    fn a_member_is_named_once_in_its_object() {
        let error = |text: &str| read(text).expect_err("a member twice");
        assert_eq!(error(r#"{"a":1,"a":1}"#), "the member \"a\" is given twice at line 1 column 10");
        assert_eq!(
            error(r#"[{"b":{"a":1,"c":2,"\u0061":1}}]"#),
            "the member \"a\" is given twice at line 1 column 27"
        );
        assert!(read(&"[".repeat(100_000)).is_err());
    }
}
