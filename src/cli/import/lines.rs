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
//!
//! A file of changes has `"add"` and `"replace"`, lists of values in the whole form with their indexes, and `"remove"`, a
//! list of indexes; a file of removals needs the identifier alone.

use core::fmt;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;

use super::super::error::{Error, Reason};
use super::super::value_argument::split_index;
use super::super::value_form::{self, ValueForm};
use super::accident::{Found, has_replacement};
use super::columns::{RESULT_COLUMNS, check_setting, check_type};
use super::mapping::{Meaning, Unused, permissions_of};
use super::reading::{Naming, Purpose, Reading, is_identifier, is_suffix};
use super::row::{Changes, Content, Original, Row, malformed, undecodable};
use super::source::{Source, shown};
use crate::model::value::Index;
use crate::wire::proto;

/// Keys that `resolve --json` adds to the values.
const PASSED_OVER: &[&str] = &["version", "changed", "authoritative"];

//----------- Lines ----------------------------------------------------------

/// A JSON lines file.
pub(super) struct Lines<R> {
    reader: BufReader<Source<R>>,
    reading: Reading,
    line: Vec<u8>,
    /// The number of the last line read.
    number: u64,
    /// Bytes of text read so far, including a byte order mark.
    text_bytes: u64,
    /// What the command line gives a meaning to and no line has had yet.
    unused: Unused,
}

impl<R: Read> Lines<R> {
    /// Creates a reader; nothing is read yet.
    pub(super) fn new(source: Source<R>, reading: Reading) -> Self {
        let text_bytes = source.given_bytes();
        let unused = Unused::new(&reading.mapping, &reading.permissions);
        Self { reader: BufReader::new(source), reading, line: Vec::new(), number: 0, text_bytes, unused }
    }

    /// What the command line gives a meaning to and no line so far has, in sentences.
    pub(super) fn unused(&self) -> Vec<String> {
        self.unused.sentences()
    }

    /// The next line that is neither blank nor a reason of an earlier result file; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Row>, Error> {
        loop {
            self.line.clear();
            self.reader.get_mut().begin_row();
            let read = self.reader.read_until(b'\n', &mut self.line);
            let read = read.map_err(|error| {
                self.reader.get_ref().read_failed(&format!("line {}", self.number + 1), &error)
            })?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.text_bytes += read as u64;
            let invalid = self.reader.get_mut().take_invalid(self.text_bytes);
            if let Some(row) = self.row(invalid) {
                return Ok(Some(row));
            }
        }
    }

    fn row(&mut self, invalid: Option<u64>) -> Option<Row> {
        let source = self.reader.get_ref();
        let text = String::from_utf8_lossy(&self.line);
        let text = text.trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() {
            return None;
        }
        let parsed = match (invalid, text.strip_prefix('\u{feff}')) {
            (Some(offset), _) => Err((String::new(), undecodable(source.complaint(offset, None)))),
            (None, Some(_)) => Err((String::new(), inner_mark())),
            (None, None) => {
                parse(text, &self.reading, &mut self.unused)?.and_then(|(identifier, content)| {
                    match marked(text, &content, &self.reading) {
                        Some(found) => Err((identifier, found.reason())),
                        None => Ok((identifier, content)),
                    }
                })
            }
        };
        let (identifier, content): (String, Result<_, Reason>) = match parsed {
            Ok((identifier, content)) => (identifier, Ok(content)),
            Err((identifier, reason)) => (identifier, Err(reason)),
        };
        Some(Row {
            number: self.number,
            identifier,
            content,
            original: Original::Line(if invalid.is_some() { shown(text) } else { text.to_owned() }),
            read_bytes: source.read_bytes(),
        })
    }
}

/// The reason of a line that begins with a byte order mark, although it is not the first.
fn inner_mark() -> Reason {
    malformed(
        "the line begins with a byte order mark (U+FEFF), as where files were joined; a mark stands at the beginning of \
         a file only: remove it",
    )
}

/// The first value with a replacement character, in a line that holds one literally: a program wrote it for what it could
/// not read, this one in a result file among them. An escape, as an export has it, is exact.
fn marked(line: &str, content: &Content, reading: &Reading) -> Option<Found> {
    if !has_replacement(line) {
        return None;
    }
    let check = |value: &proto::Value| {
        let noun = format!("the value at index {}", value.index);
        let text = core::str::from_utf8(&value.data).ok()?;
        reading.tolerance.check_replacement(&noun, text)
    };
    content.values().find_map(check)
}

//----------- Parsing --------------------------------------------------------

/// The identifier and the content of a line, or as much of the identifier as could be read, and the reason.
type Parsed = Result<(String, Content), (String, Reason)>;

/// Reads a line; none for a reason of an earlier result file.
fn parse(line: &str, reading: &Reading, unused: &mut Unused) -> Option<Parsed> {
    let members: Members = match serde_json::from_str(line) {
        Ok(members) => members,
        Err(error) => return Some(Err((String::new(), malformed(error.to_string())))),
    };
    let members: Vec<(String, Json)> = members.0;
    let is_result = |(key, _): &(String, Json)| RESULT_COLUMNS.contains(&key.as_str());
    if !members.is_empty() && members.iter().all(is_result) {
        return None;
    }
    let members = members.into_iter().filter(|member| !is_result(member)).collect();
    let parsed = sort(members, reading, unused);
    if let Ok((_, content)) = &parsed {
        content.values().for_each(|value| unused.see_type(&value.r#type));
    }
    Some(parsed)
}

/// Divides the members of a line into its identifier and the rest.
fn sort(members: Vec<(String, Json)>, reading: &Reading, unused: &mut Unused) -> Parsed {
    let nameless = |wrong: String| (String::new(), malformed(wrong));
    let (mut name, mut others) = (None, Vec::new());
    for (key, value) in members {
        let key = reading.text(&key).to_owned();
        unused.see_column(&key);
        let is_name = match reading.mapping.of(&key) {
            Some(Meaning::Skip) => continue,
            Some(Meaning::Identifier) => reading.naming == Naming::Whole,
            Some(Meaning::Suffix) => reading.naming != Naming::Whole,
            Some(Meaning::Named(meaning)) => {
                others.push((meaning.clone(), value));
                continue;
            }
            None => reading.naming.is_noun(&key),
        };
        if !is_name {
            others.push((key, value));
            continue;
        }
        let Json::String(text) = value else {
            return Err(nameless(format!("{key:?} is not text in quotes")));
        };
        if name.replace(text).is_some() {
            return Err(nameless(format!("{key:?} occurs twice")));
        }
    }
    let Some(name) = name else {
        return Err(nameless(no_name(&reading.naming, &others)));
    };
    let name = reading.text(&name);
    let shown = reading.naming.identifier(name);
    let content = content(others, reading).map_err(|wrong| (shown.clone(), malformed(wrong)))?;
    match reading.identifier(name) {
        Ok(identifier) => Ok((identifier, content)),
        Err(reason) => Err((shown, reason)),
    }
}

fn no_name(naming: &Naming, others: &[(String, Json)]) -> String {
    let noun = naming.noun();
    let has_other = |is_other: fn(&str) -> bool| others.iter().any(|(key, _)| is_other(key));
    match naming {
        Naming::Whole if has_other(is_suffix) => {
            "the line has a \"suffix\"; give --prefix PREFIX for it".into()
        }
        Naming::Under { .. } if has_other(is_identifier) => {
            "the line has an \"identifier\"; leave --prefix out".into()
        }
        Naming::Whole | Naming::Under { .. } => format!("the line has no {noun:?}"),
    }
}

/// What a line asks for.
fn content(members: Vec<(String, Json)>, reading: &Reading) -> Result<Content, String> {
    match &reading.purpose {
        Purpose::Remove => Ok(Content::Removal),
        Purpose::Amend(common) => Ok(Content::Changes(changes(members, reading)?.with(common))),
        Purpose::Register => {
            let whole = members.iter().position(|(key, value)| key == "values" && value.is_array());
            let mut members = members;
            let mut values = match whole.map(|position| members.remove(position)) {
                Some((_, values)) => whole_form(values, &members, reading)?,
                None => flat_form(members, reading)?,
            };
            for value in values.iter_mut().filter(|value| value.permissions.is_none()) {
                value.permissions = permissions_of(&reading.permissions, &value.r#type);
            }
            Ok(Content::Values(values))
        }
    }
}

/// Changes of an identifier.
fn changes(members: Vec<(String, Json)>, reading: &Reading) -> Result<Changes, String> {
    let mut changes = Changes::default();
    let mut seen = BTreeSet::new();
    for (key, member) in members {
        if !seen.insert(key.clone()) {
            return Err(format!("{key:?} occurs twice; put all into one list"));
        }
        match key.as_str() {
            "add" => changes.add = numbered_values(&key, member, reading)?,
            "replace" => changes.replace = numbered_values(&key, member, reading)?,
            "remove" => {
                changes.remove = serde_json::from_value(member)
                    .map_err(|error| format!("\"remove\": {error}; write a list of indexes such as [3]"))?;
            }
            other if PASSED_OVER.contains(&other) => {}
            _ => {
                return Err(format!(
                    "{key:?} is not \"add\", \"replace\" or \"remove\"; leave it out with --map {key}=skip"
                ));
            }
        }
    }
    if changes == Changes::default() {
        return Err("the line changes nothing: it has no \"add\", \"replace\" or \"remove\"".into());
    }
    Ok(changes)
}

/// Values that all have an index.
fn numbered_values(key: &str, values: Json, reading: &Reading) -> Result<Vec<proto::Value>, String> {
    let forms: Vec<ValueForm> =
        serde_json::from_value(values).map_err(|error| format!("{key:?}: {error}"))?;
    if forms.iter().any(|form| !form.is_numbered()) {
        return Err(format!("{key:?}: a value has no index"));
    }
    of_forms(forms, reading)
}

/// The values of a list.
fn of_forms(forms: Vec<ValueForm>, reading: &Reading) -> Result<Vec<proto::Value>, String> {
    let values = value_form::into_protos(forms)?;
    values.iter().try_for_each(|value| check_type(&value.r#type, reading))?;
    Ok(values)
}

fn whole_form(
    values: Json,
    others: &[(String, Json)],
    reading: &Reading,
) -> Result<Vec<proto::Value>, String> {
    let unexpected = others.iter().find(|(key, _)| !PASSED_OVER.contains(&key.as_str()));
    if let Some((key, _)) = unexpected {
        return Err(format!(
            "{key:?} occurs beside \"values\"; put it into the list, or leave \"values\" out"
        ));
    }
    let forms: Vec<ValueForm> =
        serde_json::from_value(values).map_err(|error| format!("\"values\": {error}"))?;
    of_forms(forms, reading)
}

fn flat_form(members: Vec<(String, Json)>, reading: &Reading) -> Result<Vec<proto::Value>, String> {
    let mut values = Vec::new();
    for (key, member) in members {
        if let Some(found) = reading.tolerance.check_name(&format!("the key {key:?}"), &key) {
            return Err(found.sentence());
        }
        let (index, value_type) = split_index(&key).map_err(|wrong| format!("{key:?}: {wrong}"))?;
        let value_type = reading.text(value_type);
        check_setting(value_type, reading)?;
        check_type(value_type, reading)?;
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
    use super::super::accident::{Accident, Tolerance};
    use super::super::reading::tests::{plain, under};
    use super::super::reading::{Purpose, Reading};
    use super::super::row::{Content, Original, Row};
    use super::super::source::{Encoding, Source};
    use super::Lines;
    use crate::cli::value_argument::CommonOfValues;

    fn rows(bytes: &[u8], reading: Reading) -> Vec<Row> {
        let mut lines = Lines::new(Source::new(bytes, Encoding::Utf8).expect("text"), reading);
        let mut rows = Vec::new();
        while let Some(row) = lines.next().expect("readable") {
            rows.push(row);
        }
        rows
    }

    fn values(row: &Row) -> Vec<(u32, &str, &[u8])> {
        let values = row.content.as_ref().expect("a good line").values();
        values.map(|value| (value.index, value.r#type.as_str(), value.data.as_slice())).collect()
    }

    #[test]
    fn the_flat_form_keeps_the_order_of_its_keys() {
        let line = r#"{"Z":"a","identifier":"88/x","A":["b","c"],"2:M":"d","N":null,"Z":"e"}"#;
        let rows = rows(line.as_bytes(), plain());
        let expected: [(u32, &str, &[u8]); 5] =
            [(1, "Z", b"a"), (3, "A", b"b"), (4, "A", b"c"), (2, "M", b"d"), (5, "Z", b"e")];
        assert_eq!(values(&rows[0]), expected);
    }

    #[test]
    fn the_whole_form_is_what_resolve_prints() {
        let line = r#"{"identifier":"88/x","version":3,"changed":"2026-01-01T00:00:00Z","authoritative":true,
            "values":[{"index":9,"type":"KEY","data":{"base64":"/wA="},"permissions":"1100","ttl":5}]}"#;
        let rows = rows(line.replace('\n', " ").as_bytes(), plain());
        assert_eq!(values(&rows[0]), [(9, "KEY", &[0xff, 0x00][..])]);
        let value = rows[0].content.as_ref().expect("a good line").values().next();
        assert_eq!(value.expect("a value").permissions, Some(0b1100));
    }

    #[test]
    fn a_suffix_stands_under_the_prefix_given() {
        let rows = rows(b"{\"suffix\":\"x/y\",\"URL\":\"u\"}\n", under("88.118.8"));
        assert_eq!(rows[0].identifier, "88.118.8/x/y");
    }

    #[test]
    fn bad_lines_are_refused_by_number_and_good_ones_read() {
        let text = "\n{\"identifier\":\"88/a\",\"N\":1}\n{\"URL\":\"u\"}\n{\"identifier\":\nx\n\
                    {\"identifier\":\"88/b\",\"values\":[],\"URL\":\"u\"}\n{\"identifier\":\"88/c\",\"1:A\":[\"x\",\"y\"]}\n\
                    {\"identifier\":\"88/d\",\"URL\":\"u\"}";
        let rows = rows(text.as_bytes(), plain());
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
        let rows = rows(b"{\"identifier\":\"88/\xff\"}\n{\"identifier\":\"88/b\"}\n", plain());
        let refused = rows[0].content.as_ref().expect_err("no UTF-8");
        assert!(refused.message.contains("byte 18 of the file"), "{refused}");
        assert_eq!(values(&rows[1]), []);
    }

    #[test]
    fn a_mark_in_a_value_is_refused_and_an_escaped_one_is_exact() {
        for line in [
            "{\"identifier\":\"88/a\",\"A\":[\"x\",\"caf\u{fffd}\"]}",
            "{\"identifier\":\"88/a\",\"A\":[\"x\",\"caf\u{fdd0}\"]}",
            "{\"identifier\":\"88/a\",\"values\":[{\"index\":2,\"type\":\"A\",\"data\":\"caf\u{fffd}\"}]}",
        ] {
            let (code, message) = refuse(line, plain());
            assert!(
                code == "REPLACEMENT" && message.starts_with("the value at index 2 contains"),
                "{message}"
            );
            let accepted = Reading { tolerance: Tolerance::of(&[Accident::Replacement]), ..plain() };
            assert_eq!(values(&rows(line.as_bytes(), accepted)[0]).last().map(|value| value.0), Some(2));
        }
        let escaped = rows(br#"{"identifier":"88/a","A":"caf\ufffd"}"#, plain());
        assert_eq!(values(&escaped[0]), [(1, "A", "caf\u{fffd}".as_bytes())]);
        let skipped =
            rows("{\"identifier\":\"88/a\",\"version\":\"\u{fffd}\",\"values\":[]}".as_bytes(), plain());
        assert_eq!(values(&skipped[0]), []);
    }

    fn refuse(line: &str, reading: Reading) -> (String, String) {
        let rows = rows(line.as_bytes(), reading);
        let reason = rows[0].content.as_ref().expect_err("a bad line");
        (reason.code.clone(), reason.message.clone())
    }

    #[test]
    fn accidents_in_names_are_refused_and_values_are_taken_as_they_are() {
        assert_eq!(refuse("{\"identifier\":\"88/a\u{a0}\",\"URL\":\"u\"}", plain()).0, "BLANKS");
        let (_, key) = refuse("{\"identifier\":\"88/a\",\" URL\":\"u\"}", plain());
        assert!(key.contains("begins with a space"), "{key}");
        for line in [
            r#"{"identifier":"88/a","3: URL":"u"}"#,
            r#"{"identifier":"88/a","values":[{"index":1,"type":" URL","data":"u"}]}"#,
        ] {
            let (_, blank) = refuse(line, plain());
            assert!(blank.contains("begins with a space"), "{blank}");
        }
        let (_, setting) = refuse("{\"identifier\":\"88/a\",\"TTL\":\"60\"}", plain());
        assert!(setting.contains("everybody may read"), "{setting}");
        let (_, mark) = refuse("\u{feff}\u{feff}{\"identifier\":\"88/a\"}", plain());
        assert!(mark.contains("byte order mark"), "{mark}");
        let rows = rows("\u{feff}{\"标识\":\"88/a\",\"N\":\" 1E+5\"}".as_bytes(), plain());
        assert_eq!(values(&rows[0]), [(1, "N", &b" 1E+5"[..])], "quoted text is exact");
    }

    #[test]
    fn reasons_of_a_result_file_are_not_read() {
        let text = b"{\"refused_reason\":\"why\",\"refused_code\":\"BLANKS\",\"refused_row\":7}\n{\"identifier\":\"88/a\"}\n";
        let rows = rows(text, plain());
        assert_eq!((rows.len(), rows[0].number), (1, 2));
        assert_eq!(rows[0].original, Original::Line("{\"identifier\":\"88/a\"}".into()));
    }

    #[test]
    fn changes_and_removals_are_read() {
        let amend = Reading { purpose: Purpose::Amend(CommonOfValues::default()), ..plain() };
        let line = r#"{"identifier":"88/a","add":[{"index":3,"type":"EMAIL","data":"m"}],"remove":[5]}"#;
        let found = rows(line.as_bytes(), amend.clone());
        let Ok(Content::Changes(changes)) = &found[0].content else { panic!("{:?}", found[0]) };
        assert_eq!((changes.add[0].index, &changes.remove), (3, &vec![5]));
        let refused = |line: &str| refuse(line, amend.clone()).1;
        assert!(refused(r#"{"identifier":"88/a"}"#).contains("changes nothing"));
        assert!(refused(r#"{"identifier":"88/a","URL":"u"}"#).contains("--map URL=skip"));
        assert!(refused(r#"{"identifier":"88/a","add":[{"type":"A","data":"x"}]}"#).contains("no index"));
        let remove = Reading { purpose: Purpose::Remove, ..plain() };
        let removed = rows(br#"{"identifier":"88/a","URL":"u"}"#, remove);
        assert_eq!(removed[0].content, Ok(Content::Removal));
    }
}
