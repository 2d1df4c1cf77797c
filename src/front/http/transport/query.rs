//! Parameters of a request: the query, and for POST the same names in a JSON body; parsed into a type of the
//! operation that they are for.
//!
//! Names may repeat. A name that is bare, `yes` or `true` is a yes. Unknown names are refused by the API and ignored by
//! pages.

use percent_encoding::percent_decode_str;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor, value};
use serde::forward_to_deserialize_any;
use serde_json::Value as Json;

use super::rejection::Rejection;
use crate::model::nearest::nearest;

//----------- Query ----------------------------------------------------------

/// A name that scripts add with a number, so that no cache answers.
const CACHE_BUSTER: &str = "_";

/// Names and their texts, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::front::http) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses the part of a URL behind the question mark.
    pub(in crate::front::http) fn parse(text: &str) -> Self {
        let pair = |piece: &str| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            (decode_form(name), decode_form(value))
        };
        Self(text.split('&').filter(|piece| !piece.is_empty()).map(pair).collect())
    }

    /// Adds the names of a JSON object; an array repeats its name, and nothing stands for no names.
    pub(in crate::front::http) fn add_json(&mut self, json: &Json) -> Result<(), Rejection> {
        let members = match json {
            Json::Null => return Ok(()),
            Json::Object(members) => members,
            Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => {
                return Err(Rejection::malformed("the body is not a JSON object of parameters"));
            }
        };
        for (name, value) in members {
            let texts = match value {
                Json::Null => continue,
                Json::Array(items) => items.iter().map(plain).collect(),
                single => plain(single).map(|text| vec![text]),
            };
            let wrong = || {
                Rejection::malformed(&format!(
                    "{:?} is not text, a number, a flag or a list of these",
                    clip(name)
                ))
            };
            let texts: Vec<String> = texts.ok_or_else(wrong)?;
            self.0.extend(texts.into_iter().map(|text| (name.clone(), text)));
        }
        Ok(())
    }

    /// Refuses a name that nobody reads: a misspelled one would be ignored.
    pub(in crate::front::http) fn check_names(&self, known: &[&'static str]) -> Result<(), Rejection> {
        let is_known = |name: &str| known.contains(&name) || name == CACHE_BUSTER;
        match self.0.iter().find(|(name, _)| !is_known(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let sentence = unknown_name(name, known.iter().copied());
                Err(Rejection::malformed(&format!("the request has the parameter {sentence}")))
            }
        }
    }

    /// The first text of a name.
    pub(in crate::front::http) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every text of a name.
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, text)| text.as_str())
    }

    /// Whether a name says yes; none when it is not there.
    pub(in crate::front::http) fn flag(&self, name: &str) -> Option<bool> {
        Some(parse_flag(self.get(name)?).unwrap_or(false))
    }

    /// The parameters of an operation. A name that takes one text takes the first.
    pub(in crate::front::http) fn read<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        let mut grouped: Vec<(&str, Texts<'_>)> = Vec::new();
        for (name, _) in &self.0 {
            if !grouped.iter().any(|(known, _)| known == name) {
                let texts = Texts { name, texts: self.all(name).collect() };
                grouped.push((name, texts));
            }
        }
        T::deserialize(MapDeserializer::new(grouped.into_iter()))
            .map_err(|error: value::Error| Rejection::malformed(&error.to_string()))
    }
}

fn plain(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// The beginning of a text, for messages.
pub(in crate::front::http) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The sentence about a name that is not known, with the one that is likely meant.
pub(in crate::front::http) fn unknown_name(name: &str, known: impl Iterator<Item = &'static str>) -> String {
    let known: Vec<&str> = known.collect();
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("{:?}, which is not known; did you mean {meant:?}?", clip(name)),
        None => format!("{:?}, which is not known; known are {}", clip(name), known.join(", ")),
    }
}

/// In queries a plus is a blank (application/x-www-form-urlencoded), in paths it is itself.
fn decode_form(text: &str) -> String {
    let blanks = text.replace('+', " ");
    percent_decode_str(&blanks).decode_utf8_lossy().into_owned()
}

fn parse_flag(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is(&["", "yes", "true", "1"]) {
        return Some(true);
    }
    is(&["no", "false", "0"]).then_some(false)
}

//----------- Texts ----------------------------------------------------------

/// The texts of one name, to be read as a flag, a number, a text or a list of them.
struct Texts<'q> {
    name: &'q str,
    texts: Vec<&'q str>,
}

impl Texts<'_> {
    fn first(&self) -> &str {
        self.texts.first().copied().unwrap_or_default()
    }

    fn number<T: core::str::FromStr>(&self) -> Result<T, value::Error> {
        let wrong =
            || format!("{} {:?} is not a number in the accepted range", self.name, clip(self.first()));
        self.first().parse().map_err(|_| serde::de::Error::custom(wrong()))
    }
}

impl<'de> IntoDeserializer<'de> for Texts<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Texts<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_str(self.first())
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        let wrong = || format!("{} {:?} is neither true nor false", self.name, clip(self.first()));
        let flag = parse_flag(self.first()).ok_or_else(|| serde::de::Error::custom(wrong()))?;
        visitor.visit_bool(flag)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_i64(self.number()?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_u32(self.number()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, value::Error> {
        visitor.visit_seq(SeqDeserializer::new(self.texts.into_iter()))
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple tuple_struct map
        struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::Query;

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Example {
        index: Vec<String>,
        auth: bool,
        public_only: Option<bool>,
        page: Option<i64>,
        x: Option<String>,
    }

    fn read(text: &str) -> Result<Example, String> {
        Query::parse(text).read().map_err(|rejection| rejection.to_string())
    }

    #[test]
    fn names_repeat_and_bare_names_say_yes() {
        let query = read("index=1&auth&index=100&publicOnly=false&unknown=yes&x=a+b%2B&x=c&page=-1");
        let query = query.expect("parameters");
        assert_eq!(query.index, ["1", "100"]);
        assert_eq!((query.auth, query.public_only, query.page), (true, Some(false), Some(-1)));
        assert_eq!(query.x.as_deref(), Some("a b+"), "the first");
        let nothing = read("").expect("parameters");
        assert_eq!((nothing.auth, nothing.public_only, nothing.index.len()), (false, None, 0));
    }

    #[test]
    fn a_flag_says_yes_or_no_and_a_number_is_one() {
        let check = |text: &str, expected: &str| assert_eq!(read(text).err().as_deref(), Some(expected));
        check("auth=flase", "auth \"flase\" is neither true nor false");
        check("page=x", "page \"x\" is not a number in the accepted range");
        assert!(
            read("auth=TRUE&publicOnly=0").is_ok_and(|query| query.auth && query.public_only == Some(false))
        );
    }

    #[test]
    fn a_body_names_the_same() {
        let mut query = Query::default();
        query
            .add_json(&serde_json::json!({"index": [1, "2"], "auth": true, "none": null}))
            .expect("an object");
        assert_eq!(query, Query::parse("auth=true&index=1&index=2"));
        assert!(query.add_json(&serde_json::json!(null)).is_ok(), "no names");
        for wrong in
            [serde_json::json!([1]), serde_json::json!({"page": {}}), serde_json::json!({"index": [[1]]})]
        {
            assert!(query.add_json(&wrong).is_err(), "{wrong}");
        }
    }
}
