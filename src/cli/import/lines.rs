//! Lines: JSON lines, one identifier a line, in either of two forms.
//!
//! ```json
//! {"identifier": "88.118.8/A", "values": [{"index": 1, "type": "URL", "data": "https://example.com/"}]}
//! {"identifier": "88.118.8/B", "URL": "https://example.com/", "7:EMAIL": "a@example.com", "NAME": ["零件", "part"]}
//! ```
//!
//! The first is what `export` writes and carries everything; `version`, `changed` and `authoritative`, which
//! `resolve --json` adds, are ignored. In the second each key is a type or `INDEX:TYPE`; a list gives several
//! values, `null` none; those without an index take the free numbers from 1 in their order. Numbers are refused,
//! since their text would change on the way.

use core::fmt;
use std::io::{BufRead as _, BufReader, Read};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;

use super::super::error::{Error, Reason};
use super::super::value_argument::split_index;
use super::super::value_form::{self, ValueForm};
use super::row::{Naming, Row, malformed, undecodable};
use super::source::{MARK, Source, read_failed};
use crate::model::value::Index;
use crate::wire::proto;

/// Keys that `resolve --json` adds to the values.
const PASSED_OVER: &[&str] = &["version", "changed", "authoritative"];

//----------- Lines ----------------------------------------------------------

/// A JSON lines file.
pub(super) struct Lines<R> {
    reader: BufReader<Source<R>>,
    naming: Naming,
    line: Vec<u8>,
    /// The number of the last line read.
    number: u64,
    /// Bytes of text read so far, including a byte order mark.
    text_bytes: u64,
}

impl<R: Read> Lines<R> {
    /// Creates a reader; nothing is read yet.
    pub(super) fn new(source: Source<R>, naming: Naming) -> Self {
        let text_bytes = source.given_bytes();
        Self { reader: BufReader::new(source), naming, line: Vec::new(), number: 0, text_bytes }
    }

    /// The next line that is not blank; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Error> {
        loop {
            self.line.clear();
            self.reader.get_mut().begin_row();
            let read = self.reader.read_until(b'\n', &mut self.line).map_err(|error| read_failed(&error))?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.text_bytes += read as u64;
            let invalid = self.reader.get_mut().take_invalid(self.text_bytes);
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(self.row(invalid)));
            }
        }
    }

    fn row(&self, invalid: Option<u64>) -> Row {
        let source = self.reader.get_ref();
        let text = String::from_utf8_lossy(&self.line);
        let parsed = match invalid {
            Some(offset) => Err((String::new(), undecodable(source.complaint(offset, None)))),
            None => parse(&text, &self.naming).map_err(|(name, reason)| (name, malformed(reason))),
        };
        let (identifier, content): (String, Result<_, Reason>) = match parsed {
            Ok((identifier, values)) => (identifier, Ok(values)),
            Err((identifier, reason)) => (identifier, Err(reason)),
        };
        let identifier = identifier.replace(MARK, "\u{fffd}");
        Row { number: self.number, identifier, content, read_bytes: source.read_bytes() }
    }
}

//----------- Parsing --------------------------------------------------------

/// The identifier and the values of a line, or as much of the identifier as could be read, and the error.
fn parse(line: &str, naming: &Naming) -> Result<(String, Vec<proto::Value>), (String, String)> {
    let members: Members = serde_json::from_str(line).map_err(|error| (String::new(), error.to_string()))?;
    let (mut name, mut values, mut others) = (None, None, Vec::new());
    for (key, value) in members.0 {
        if key == naming.noun() {
            let Json::String(text) = value else {
                return Err((String::new(), format!("{key:?} is not text in quotes")));
            };
            if name.replace(text).is_some() {
                return Err((String::new(), format!("{key:?} occurs twice")));
            }
        } else if key == "values" && value.is_array() {
            values = Some(value);
        } else {
            others.push((key, value));
        }
    }
    let Some(name) = name else {
        return Err((String::new(), no_name(naming, &others)));
    };
    let identifier = naming.identifier(&name);
    let read = match values {
        Some(values) => whole_form(values, &others),
        None => flat_form(others),
    };
    match read {
        Ok(values) => Ok((identifier, values)),
        Err(wrong) => Err((identifier, wrong)),
    }
}

fn no_name(naming: &Naming, others: &[(String, Json)]) -> String {
    let other = match naming {
        Naming::Whole => "suffix",
        Naming::Under { .. } => "identifier",
    };
    let noun = naming.noun();
    match (naming, others.iter().any(|(key, _)| key == other)) {
        (Naming::Whole, true) => "the line has a \"suffix\"; give --prefix PREFIX for it".into(),
        (Naming::Under { .. }, true) => "the line has an \"identifier\"; leave --prefix out".into(),
        (_, false) => format!("the line has no {noun:?}"),
    }
}

fn whole_form(values: Json, others: &[(String, Json)]) -> Result<Vec<proto::Value>, String> {
    let unexpected = others.iter().find(|(key, _)| !PASSED_OVER.contains(&key.as_str()));
    if let Some((key, _)) = unexpected {
        return Err(format!(
            "{key:?} occurs beside \"values\"; put it into the list, or leave \"values\" out"
        ));
    }
    let forms: Vec<ValueForm> =
        serde_json::from_value(values).map_err(|error| format!("\"values\": {error}"))?;
    value_form::into_protos(forms)
}

fn flat_form(members: Vec<(String, Json)>) -> Result<Vec<proto::Value>, String> {
    let mut values = Vec::new();
    for (key, member) in members {
        let (index, value_type) = split_index(&key).map_err(|wrong| format!("{key:?}: {wrong}"))?;
        let texts = texts(&key, member)?;
        if index.is_some() && texts.len() > 1 {
            return Err(format!("{key:?} names one index but {} values; leave the index out", texts.len()));
        }
        values.extend(texts.into_iter().map(|text| proto::Value {
            index: index.map_or(0, Index::get),
            r#type: value_type.to_owned(),
            data: text.into_bytes(),
            ..proto::Value::default()
        }));
    }
    value_form::number(&mut values);
    Ok(values)
}

/// The texts under one key.
fn texts(key: &str, member: Json) -> Result<Vec<String>, String> {
    let wrong = || format!("{key:?} is not text; write it in quotes, so that it remains unchanged");
    match member {
        Json::Null => Ok(Vec::new()),
        Json::String(text) => Ok(vec![text]),
        Json::Array(items) => items
            .into_iter()
            .map(|item| match item {
                Json::String(text) => Ok(text),
                _ => Err(wrong()),
            })
            .collect(),
        Json::Bool(_) | Json::Number(_) | Json::Object(_) => Err(wrong()),
    }
}

//----------- Members --------------------------------------------------------

/// The members of a JSON object in their order, repeated keys included.
struct Members(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object such as {\"identifier\": \"88.118.8/A\", \"URL\": \"https://example.com/\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::{Naming, Row};
    use super::super::source::{Encoding, Source};
    use super::Lines;

    fn rows(bytes: &[u8], naming: Naming) -> Vec<Row> {
        let mut lines = Lines::new(Source::new(bytes, Encoding::Utf8).expect("text"), naming);
        let mut rows = Vec::new();
        while let Some(row) = lines.next().expect("readable") {
            rows.push(row);
        }
        rows
    }

    fn values(row: &Row) -> Vec<(u32, &str, &[u8])> {
        let values = row.content.as_ref().expect("a good line");
        values.iter().map(|value| (value.index, value.r#type.as_str(), value.data.as_slice())).collect()
    }

    #[test]
    fn the_flat_form_keeps_the_order_of_its_keys() {
        let line = r#"{"Z":"a","identifier":"88/x","A":["b","c"],"2:M":"d","N":null,"Z":"e"}"#;
        let rows = rows(line.as_bytes(), Naming::Whole);
        let expected: [(u32, &str, &[u8]); 5] =
            [(1, "Z", b"a"), (3, "A", b"b"), (4, "A", b"c"), (2, "M", b"d"), (5, "Z", b"e")];
        assert_eq!(values(&rows[0]), expected);
    }

    #[test]
    fn the_whole_form_is_what_resolve_prints() {
        let line = r#"{"identifier":"88/x","version":3,"changed":"2026-01-01T00:00:00Z","authoritative":true,
            "values":[{"index":9,"type":"KEY","data":{"base64":"/wA="},"permissions":"1100","ttl":5}]}"#;
        let rows = rows(line.replace('\n', " ").as_bytes(), Naming::Whole);
        assert_eq!(values(&rows[0]), [(9, "KEY", &[0xff, 0x00][..])]);
        let value = &rows[0].content.as_ref().expect("a good line")[0];
        assert_eq!(value.permissions, Some(0b1100));
    }

    #[test]
    fn a_suffix_stands_under_the_prefix_given() {
        let under = Naming::Under { prefix: "88.118.8".into() };
        let rows = rows(b"{\"suffix\":\"x/y\",\"URL\":\"u\"}\n", under);
        assert_eq!(rows[0].identifier, "88.118.8/x/y");
    }

    #[test]
    fn bad_lines_are_refused_by_number_and_good_ones_read() {
        let text = "\n{\"identifier\":\"88/a\",\"N\":1}\n{\"URL\":\"u\"}\n{\"identifier\":\nx\n\
                    {\"identifier\":\"88/b\",\"values\":[],\"URL\":\"u\"}\n{\"identifier\":\"88/c\",\"1:A\":[\"x\",\"y\"]}\n\
                    {\"identifier\":\"88/d\",\"URL\":\"u\"}";
        let rows = rows(text.as_bytes(), Naming::Whole);
        let numbers: Vec<u64> = rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [2, 3, 4, 5, 6, 7, 8]);
        let message =
            |position: usize| rows[position].content.as_ref().expect_err("a bad line").message.clone();
        assert!(message(0).contains("\"N\" is not text"), "{}", message(0));
        assert_eq!(rows[0].identifier, "88/a", "the refusal can name it");
        assert!(message(1).contains("no \"identifier\""), "{}", message(1));
        assert!(message(2).contains("EOF"), "{}", message(2));
        assert!(message(4).contains("beside \"values\""), "{}", message(4));
        assert!(message(5).contains("leave the index out"), "{}", message(5));
        assert_eq!(values(&rows[6]), [(1, "URL", &b"u"[..])]);
    }

    #[test]
    fn an_invalid_byte_is_reported_with_its_offset() {
        let rows = rows(b"{\"identifier\":\"88/\xff\"}\n{\"identifier\":\"88/b\"}\n", Naming::Whole);
        let refused = rows[0].content.as_ref().expect_err("no UTF-8");
        assert!(refused.message.contains("byte 18 of the file"), "{refused}");
        assert_eq!(values(&rows[1]), []);
    }
}
