//! What a request asks beside its path: the query, and for POST the same names in a JSON body.
//!
//! Names may repeat. A name that is bare, `yes` or `true` is a yes; unknown names are passed over.

use percent_encoding::percent_decode_str;
use serde_json::Value as Json;

use crate::model::value::{Index, ValueType};

use super::denial::Denial;

/// Indexes or types of one question: as many as an identifier has values.
const SELECTED_MAX: usize = crate::model::limits::VALUES_MAX;

/// Names that say yes or no.
const FLAGS: [&str; 8] =
    ["auth", "cert", "publicOnly", "doNotRefer", "pretty", "overwrite", "mintNewSuffix", "noredirect"];

//----------- Query ----------------------------------------------------------

/// Names and their texts, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses the part of a URL behind the question mark.
    pub(super) fn parse(text: &str) -> Self {
        let pair = |piece: &str| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            (decode_form(name), decode_form(value))
        };
        Self(text.split('&').filter(|piece| !piece.is_empty()).map(pair).collect())
    }

    /// Adds the names of a JSON object; an array repeats its name.
    pub(super) fn add_json(&mut self, json: &Json) -> Result<(), Denial> {
        let Json::Object(members) = json else {
            return Err(Denial::malformed("the body is no JSON object of parameters"));
        };
        for (name, value) in members {
            match value {
                Json::Array(items) => {
                    items.iter().filter_map(plain).for_each(|text| self.0.push((name.clone(), text)));
                }
                single => self.0.extend(plain(single).map(|text| (name.clone(), text))),
            }
        }
        Ok(())
    }

    /// The first text of a name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every text of a name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, text)| text.as_str())
    }

    /// Whether a name says yes; none when it is not there.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let text = self.get(name)?;
        Some(["", "yes", "true", "1"].iter().any(|word| text.eq_ignore_ascii_case(word)))
    }

    /// Refuses a name that should say yes or no and says neither.
    pub(super) fn check_flags(&self) -> Result<(), Denial> {
        let known = ["", "yes", "true", "1", "no", "false", "0"];
        let says = |text: &str| known.iter().any(|word| text.eq_ignore_ascii_case(word));
        let wrong = self.0.iter().find(|(name, text)| FLAGS.contains(&name.as_str()) && !says(text));
        match wrong {
            None => Ok(()),
            Some((name, text)) => {
                Err(Denial::malformed(&format!("{name} {:?} is neither true nor false", clip(text))))
            }
        }
    }

    /// The number that a name gives.
    pub(super) fn number<T: core::str::FromStr>(&self, name: &str) -> Result<Option<T>, Denial> {
        let parse = |text: &str| {
            let wrong = || Denial::malformed(&format!("{name} {:?} is no number that fits", clip(text)));
            text.parse().map_err(|_| wrong())
        };
        self.get(name).map(parse).transpose()
    }

    /// The indexes asked for.
    pub(super) fn indexes(&self) -> Result<Vec<Index>, Denial> {
        let parse = |text: &str| {
            let number = text.parse().ok().and_then(|number| Index::new(number).ok());
            number.ok_or_else(|| {
                Denial::malformed(&format!("index {:?} is not from 1 to 2147483647", clip(text)))
            })
        };
        let indexes = self.all("index").map(parse).collect::<Result<Vec<_>, _>>()?;
        bounded(indexes, "index")
    }

    /// The types asked for.
    pub(super) fn types(&self) -> Result<Vec<ValueType>, Denial> {
        let parse = |text: &str| ValueType::new(text).map_err(Denial::from);
        bounded(self.all("type").map(parse).collect::<Result<Vec<_>, _>>()?, "type")
    }
}

fn bounded<T>(items: Vec<T>, name: &str) -> Result<Vec<T>, Denial> {
    if items.len() > SELECTED_MAX {
        return Err(Denial::malformed(&format!("{name} stands more than {SELECTED_MAX} times")));
    }
    Ok(items)
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
pub(super) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

/// In queries a plus is a blank (application/x-www-form-urlencoded), in paths it is itself.
fn decode_form(text: &str) -> String {
    let blanks = text.replace('+', " ");
    percent_decode_str(&blanks).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn names_repeat_and_bare_names_say_yes() {
        let query = Query::parse("index=1&index=100&type=URL&auth&publicOnly=false&pretty=yes&x=a+b%2B");
        let indexes: Vec<u32> =
            query.indexes().expect("indexes").into_iter().map(|index| index.get()).collect();
        assert_eq!(indexes, [1, 100]);
        assert_eq!(query.types().expect("types").len(), 1);
        let flags = ["auth", "publicOnly", "pretty", "cert"].map(|name| query.flag(name));
        assert_eq!(flags, [Some(true), Some(false), Some(true), None]);
        assert_eq!(query.get("x"), Some("a b+"));
    }

    #[test]
    fn an_index_is_a_number_from_one() {
        for text in ["index=0", "index=-1", "index=2147483648", "index=x", "index="] {
            assert!(Query::parse(text).indexes().is_err(), "{text}");
        }
    }

    #[test]
    fn a_flag_says_yes_or_no() {
        let check = |text: &str| Query::parse(text).check_flags().is_ok();
        assert!(check("auth&pretty=TRUE&overwrite=no&publicOnly=0&other=x"));
        assert!(!check("overwrite=flase"));
        assert_eq!(Query::parse("auth=1&cert=No").flag("auth"), Some(true));
    }

    #[test]
    fn a_body_names_the_same() {
        let mut query = Query::default();
        query
            .add_json(&serde_json::json!({"index": [1, "2"], "auth": true, "none": null}))
            .expect("an object");
        assert_eq!(query, Query::parse("auth=true&index=1&index=2"));
        assert!(query.add_json(&serde_json::json!([1])).is_err());
    }
}
