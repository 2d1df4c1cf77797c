//! The value of one key as its source wrote it, and the forms that a key may require.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use core::fmt;
use ipnet::IpNet;
use toml::de::{DeInteger, DeValue};

//----------- RawValue -------------------------------------------------------

/// A value before its key has checked it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RawValue {
    /// From the environment or an argument: the key decides what it means. A list is separated by commas.
    Plain(String),
    /// A TOML string.
    Text(String),
    /// A TOML integer.
    Integer(i128),
    /// A TOML boolean.
    Flag(bool),
    /// A TOML array.
    List(Vec<RawValue>),
    /// A form that no key accepts, such as a table, a float or a date; the text names it.
    Other(&'static str),
}

/// The form that would have been right, for messages.
pub(super) type ExpectedForm = String;

impl RawValue {
    /// Converts a value of the parsed file.
    pub(super) fn of_toml(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(integer) => of_integer(integer),
            DeValue::Boolean(flag) => Self::Flag(*flag),
            DeValue::Array(items) => {
                Self::List(items.iter().map(|item| Self::of_toml(item.get_ref())).collect())
            }
            DeValue::Float(_) => Self::Other("a number with a fraction"),
            DeValue::Datetime(_) => Self::Other("a date"),
            DeValue::Table(_) => Self::Other("a table"),
        }
    }

    /// Text that is not empty.
    pub(super) fn text(&self) -> Result<&str, ExpectedForm> {
        match self {
            Self::Plain(text) | Self::Text(text) if !text.is_empty() => Ok(text),
            _ => Err("write text in quotes, at least one character".into()),
        }
    }

    /// A path.
    pub(super) fn path(&self) -> Result<PathBuf, ExpectedForm> {
        self.text().map(PathBuf::from).map_err(|_| "write the path of a file or directory in quotes".into())
    }

    /// `true` or `false`.
    pub(super) fn flag(&self) -> Result<bool, ExpectedForm> {
        match self {
            Self::Flag(flag) => Ok(*flag),
            Self::Plain(text) if text == "true" => Ok(true),
            Self::Plain(text) if text == "false" => Ok(false),
            _ => Err("write true or false".into()),
        }
    }

    /// A whole number within bounds.
    pub(super) fn integer<T>(&self, bounds: RangeInclusive<T>) -> Result<T, ExpectedForm>
    where
        T: TryFrom<i128> + PartialOrd + fmt::Display,
    {
        let number = match self {
            Self::Integer(number) => Some(*number),
            Self::Plain(text) => text.replace('_', "").parse().ok(),
            _ => None,
        };
        let fitting = number.and_then(|number| T::try_from(number).ok());
        fitting
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| format!("write a whole number from {} to {}", bounds.start(), bounds.end()))
    }

    /// A duration in whole seconds within bounds.
    pub(super) fn seconds(&self, bounds: RangeInclusive<u64>) -> Result<Duration, ExpectedForm> {
        self.integer(bounds).map(Duration::from_secs)
    }

    /// A list, each item checked by `item`; one text counts as a list of one.
    pub(super) fn list<T>(
        &self,
        item: impl Fn(&str) -> Result<T, ExpectedForm>,
    ) -> Result<Vec<T>, ExpectedForm> {
        match self {
            Self::List(items) => items.iter().map(|one| item(one.text()?)).collect(),
            Self::Text(text) => Ok(vec![item(text)?]),
            Self::Plain(text) => {
                text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(item).collect()
            }
            _ => Err("write a list of texts such as [\"one\", \"two\"]".into()),
        }
    }

    /// A list of socket addresses.
    pub(super) fn socket_addresses(&self) -> Result<Vec<SocketAddr>, ExpectedForm> {
        const RIGHT: &str = "write addresses with ports such as [\"127.0.0.1:7373\", \"[::1]:7373\"]";
        self.list(|text| text.parse().map_err(|_| RIGHT.into())).map_err(|_| RIGHT.into())
    }

    /// A list of IP addresses.
    pub(super) fn addresses(&self) -> Result<Vec<IpAddr>, ExpectedForm> {
        const RIGHT: &str =
            "write addresses that others reach, without ports, such as [\"192.0.2.7\", \"2001:db8::7\"]";
        let reachable = |address: &IpAddr| !address.is_unspecified() && !address.is_multicast();
        let address = |text: &str| text.parse().ok().filter(reachable).ok_or_else(|| RIGHT.to_owned());
        self.list(address).map_err(|_| RIGHT.into())
    }

    /// A list of networks; an address is a network of its own.
    pub(super) fn networks(&self) -> Result<Vec<IpNet>, ExpectedForm> {
        const RIGHT: &str = "write networks such as [\"192.0.2.0/24\", \"2001:db8::/32\"]";
        let network = |text: &str| {
            let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
            text.parse().ok().or_else(address).ok_or_else(|| RIGHT.to_owned())
        };
        self.list(network).map_err(|_| RIGHT.into())
    }

    /// A host name or domain name.
    pub(super) fn name(&self, example: &str) -> Result<String, ExpectedForm> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let name = self.text().ok().map(|text| text.strip_suffix('.').unwrap_or(text));
        name.filter(|name| name.len() <= 253 && name.split('.').all(label))
            .map(str::to_owned)
            .ok_or_else(|| format!("write labels of letters, digits and '-' such as \"{example}\""))
    }

    /// One of several words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, ExpectedForm> {
        let text = self.text().unwrap_or_default();
        let chosen = choices.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        chosen.ok_or_else(|| {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            format!("write one of {}", words.join(", "))
        })
    }
}

fn of_integer(integer: &DeInteger<'_>) -> RawValue {
    match i128::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(number) => RawValue::Integer(number),
        Err(_) => RawValue::Other("a number out of range"),
    }
}

impl fmt::Display for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) | Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Self::Other(kind) => write!(f, "({kind})"),
        }
    }
}
