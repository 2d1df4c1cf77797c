//! Values as arguments: `URL=https://example.com/`, `3:EMAIL=service@example.com`, or a JSON file.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::administration;
use super::error::Error;
use super::value_form::{self, ValueForm};
use crate::model::limits::{MESSAGE_BYTES_MAX, VALUES_BYTES_MAX};
use crate::model::value::{Index, Permissions};
use crate::wire::proto;

//----------- ValueArgument --------------------------------------------------

/// One value as an argument: `TYPE=DATA` or `INDEX:TYPE=DATA`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ValueArgument {
    index: Option<Index>,
    value_type: String,
    data: Vec<u8>,
}

/// Parses `TYPE=DATA` or `INDEX:TYPE=DATA`.
pub(super) fn parse_value(text: &str) -> Result<ValueArgument, String> {
    let (name, data) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("a value is written TYPE=DATA or INDEX:TYPE=DATA, such as 1:URL=https://example.com/")?;
    let (index, value_type) = split_index(name)?;
    let data = administration::parse(value_type, data)?;
    Ok(ValueArgument { index, value_type: value_type.to_owned(), data })
}

/// Parses `INDEX:TYPE=DATA`, where the index is required.
pub(super) fn parse_numbered_value(text: &str) -> Result<ValueArgument, String> {
    let value = parse_value(text)?;
    match value.index {
        Some(_) => Ok(value),
        None => {
            Err("the index is missing: write INDEX:TYPE=DATA, such as 3:EMAIL=service@example.com".into())
        }
    }
}

/// Splits `INDEX:TYPE` when there are digits before the first colon; otherwise all of it is the type.
pub(super) fn split_index(name: &str) -> Result<(Option<Index>, &str), String> {
    match name.split_once(':') {
        Some((digits, value_type))
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            let index = digits.parse().ok().and_then(|number| Index::new(number).ok());
            let index = index.ok_or_else(|| format!("index {digits} is not from 1 to 2147483647"))?;
            Ok((Some(index), value_type))
        }
        _ => Ok((None, name)),
    }
}

//----------- ValueArguments -------------------------------------------------

/// Settings for all values of one command.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct CommonOfValues {
    /// TTL in seconds of all values given as arguments; 86400 by default
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,

    /// Permissions of all values given as arguments, four digits 0 or 1: administrators read, administrators write,
    /// public read, public write; 1110 by default
    #[arg(long, value_name = "DIGITS", value_parser = parse_permissions)]
    permissions: Option<Permissions>,
}

impl CommonOfValues {
    /// Sets what is given, on a value that does not say otherwise.
    pub(super) fn apply(&self, value: &mut proto::Value) {
        value.ttl = value.ttl.or(self.ttl.map(proto::value::Ttl::RelativeSeconds));
        let permissions = self.permissions.map(|permissions| u32::from(permissions.bits()));
        value.permissions = value.permissions.or(permissions);
    }
}

fn parse_permissions(text: &str) -> Result<Permissions, String> {
    Permissions::parse(text).map_err(|error| error.to_string())
}

/// The values of an identifier.
#[derive(Args, Clone, Debug)]
pub(super) struct ValuesArguments {
    /// Values; one without an index takes the next free number from 1. HS_ADMIN is written as an identity, such as
    /// 100:HS_ADMIN=300:0.NA/88.118.8, and HS_VLIST as identities separated by commas
    #[arg(value_name = "[INDEX:]TYPE=DATA", value_parser = parse_value)]
    values: Vec<ValueArgument>,

    /// JSON file (- for standard input) with an array of values in the form that `idnode resolve --json` prints
    #[arg(long = "values", value_name = "FILE", conflicts_with = "values")]
    file: Option<PathBuf>,

    #[command(flatten)]
    common: CommonOfValues,
}

impl ValuesArguments {
    /// The values as protobuf messages.
    pub(super) fn to_protos(&self) -> Result<Vec<proto::Value>, Error> {
        if let Some(path) = &self.file {
            return load(path);
        }
        let mut values: Vec<proto::Value> =
            self.values.iter().map(|value| to_proto(value, &self.common)).collect();
        value_form::number(&mut values);
        Ok(values)
    }
}

/// The value as a protobuf message; its index is 0 when none was given.
pub(super) fn to_proto(value: &ValueArgument, common: &CommonOfValues) -> proto::Value {
    proto::Value {
        index: value.index.map_or(0, Index::get),
        r#type: value.value_type.clone(),
        data: value.data.clone(),
        ttl: common.ttl.map(proto::value::Ttl::RelativeSeconds),
        permissions: common.permissions.map(|permissions| u32::from(permissions.bits())),
        references: Vec::new(),
        timestamp_seconds: 0,
    }
}

/// Values from a JSON file.
fn load(path: &Path) -> Result<Vec<proto::Value>, Error> {
    let mut text = String::new();
    let bound = u64::try_from(MESSAGE_BYTES_MAX).unwrap_or(u64::MAX);
    let read = if path == Path::new("-") {
        io::stdin().take(bound).read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(bound).read_to_string(&mut text))
    };
    read.map_err(|error| Error::file(path, &error))?;
    let wrong = |cause: String| Error::Input(format!("{}: {cause}", path.display()));
    let forms: Vec<ValueForm> = serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(&text))
        .map_err(|error| wrong(format!("{error}; write an array of values such as [{EXAMPLE}]")))?;
    value_form::into_protos(forms).map_err(wrong)
}

/// One value in JSON.
const EXAMPLE: &str = r#"{"index": 1, "type": "URL", "data": "https://example.com/"}"#;

const _: () = assert!(VALUES_BYTES_MAX < MESSAGE_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::{parse_numbered_value, parse_value, split_index};

    #[test]
    fn a_value_is_type_and_data_with_or_without_an_index() {
        let value = parse_value("URL=https://example.com/?a=b").expect("a value");
        assert_eq!(
            (value.value_type.as_str(), value.data.as_slice()),
            ("URL", b"https://example.com/?a=b".as_slice())
        );
        assert_eq!(value.index, None);
        let value = parse_value("12:EMAIL=").expect("a value");
        assert_eq!(value.index.map(crate::model::value::Index::get), Some(12));
        assert_eq!(value.data, b"");
        let value = parse_value("urn:x=1").expect("a value");
        assert_eq!(value.value_type, "urn:x");
    }

    #[test]
    fn what_is_no_value_is_refused_with_an_example() {
        for text in ["URL", "=x"] {
            let refused = parse_value(text).expect_err(text);
            assert!(refused.contains("TYPE=DATA"), "{refused}");
        }
        let refused = parse_value("0:URL=x").expect_err("index 0");
        assert!(refused.contains("index 0"), "{refused}");
        let refused = parse_numbered_value("URL=x").expect_err("no index");
        assert!(refused.contains("INDEX:TYPE=DATA"), "{refused}");
    }

    #[test]
    fn a_name_of_digits_only_is_a_type() {
        assert_eq!(split_index("5"), Ok((None, "5")));
        assert_eq!(split_index(":5"), Ok((None, ":5")));
    }
}
