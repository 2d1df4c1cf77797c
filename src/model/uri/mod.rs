//! URIs in values: what a value refers to, for redirects (HTTP), URI and NAPTR records (DNS), pages, and warnings alike.
//!
//! ```text
//!   value of type URL, URI, or of a subtype such as URL.MIRROR ─ Uri::of_value ─▶ its URI
//!   value of type 10320/loc                                    ─ Locations     ─▶ a choice of URIs
//!   values of a record ─ uris_of ───▶ each value with its URIs and their weights
//!                      ─ web_address ─▶ one http or https URI
//! ```
//!
//! - A valid ASCII URI is used unchanged. Any other text is converted as a browser converts it: letters beyond ASCII in a
//!   host become A-labels (RFC 3987 section 3.1), spaces and letters beyond ASCII elsewhere are percent-encoded.
//! - Text without a scheme, such as `www.example.com/x`, is no URI: whether a host or a relative path is meant cannot be known.
//! - An http or https URI names a host. No URI has control characters.
//! - A question costs little whatever a record holds: an http or https URI, or text that has to be encoded to be a URI, has at
//!   most [`URI_BYTES_MAX`] bytes, and of the values of type `10320/loc` of one record the first [`RECORD_LOCATIONS_BYTES_MAX`]
//!   bytes are read.

mod locations;

use core::fmt;

use percent_encoding::percent_encode_byte;
use url::{Host, Position, Url};

pub use self::locations::LocationChoice;
use self::locations::Locations;
use super::limits::WARNING_BYTES_MAX;
use super::value::{Index, Value, ValueType};

/// The families of types whose values are URIs.
const FAMILIES: [&str; 2] = [ValueType::URL, "URI"];
/// Bytes of text that is read as a URL: what browsers and servers accept in a request.
const URI_BYTES_MAX: usize = 8 * 1024;
/// Bytes of values of type `10320/loc` of one record that are read, the least indexes first.
const RECORD_LOCATIONS_BYTES_MAX: usize = 16 * 1024;
/// Bytes that each of them takes at least, because it takes time to begin to read one.
const LOCATIONS_BYTES_MIN: usize = 256;
/// Weight of the only URI of a value.
const WEIGHT_ALONE: u16 = 1;
/// Characters of a value that a warning repeats.
const SHOWN_CHARACTERS_MAX: usize = 64;
/// Bytes that these characters take at most when they are escaped.
const SHOWN_BYTES_MAX: usize = 192;

// A warning has less than 256 bytes beside them, and JSON escapes at most each byte of them again.
const _: () = assert!(2 * SHOWN_BYTES_MAX + 256 <= WARNING_BYTES_MAX);

//----------- Uri ------------------------------------------------------------

/// An absolute URI (RFC 3986): ASCII, without blanks and control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri(String);

impl Uri {
    /// The URI that a value of type `URL` or `URI`, or of a subtype, holds.
    pub fn of_value(value: &Value) -> Option<Self> {
        if !is_of_uri(value) {
            return None;
        }
        Self::parse(core::str::from_utf8(&value.data).ok()?)
    }

    /// Reads an absolute URI or IRI; blanks around it are ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        let (scheme, rest) = text.split_once(':')?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        // The parser of the URL standard would remove some control characters, and so change what was meant.
        if !is_scheme || rest.is_empty() || text.chars().any(char::is_control) {
            return None;
        }
        let is_web = is_web_scheme(scheme);
        if !is_web && is_valid(text) {
            return Some(Self(text.to_owned()));
        }
        // What follows has it parsed as a URL, which takes longer than to read it.
        if text.len() > URI_BYTES_MAX {
            return None;
        }
        if !is_web {
            return normalize(text);
        }
        // That parser also accepts http:host and http:///host (RFC 9110 section 4.2.1: a host is required).
        let authority = authority_of(rest).filter(|authority| !authority.is_empty())?;
        if is_valid(text) && !authority.contains('%') {
            return has_host(authority).then(|| Self(text.to_owned()));
        }
        normalize(text)
    }

    /// Whether it is an http or https URI, to which a browser may be redirected.
    pub fn is_web(&self) -> bool {
        self.0.split_once(':').is_some_and(|(scheme, _)| is_web_scheme(scheme))
    }

    /// The http or https URI with text behind it. Scheme, user information, host and port stay; text that would change
    /// them, or that has control characters, is refused.
    pub fn append(&self, text: &str) -> Option<Self> {
        let ours = Url::parse(&self.0).ok().filter(|_| self.is_web())?;
        let rest = self.0.split_once(':').map(|(_, rest)| rest)?;
        let is_bare = authority_of(rest).is_some_and(|authority| authority.len() + "//".len() == rest.len());
        // Right behind the host, other text would continue the host: http://example.com and `.evil.example`.
        let separator = if is_bare && !text.starts_with(['/', '?', '#']) { "/" } else { "" };
        if text.chars().any(char::is_control) {
            return None;
        }
        let appended = Self::parse(&format!("{self}{separator}{text}"))?;
        let theirs = Url::parse(&appended.0).ok()?;
        (ours[..Position::BeforePath] == theirs[..Position::BeforePath]).then_some(appended)
    }

    /// The URI as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a value's type says that its data is a URI.
fn is_of_uri(value: &Value) -> bool {
    FAMILIES.iter().any(|family| value.value_type.is_within(family))
}

fn is_web_scheme(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// The authority of what follows the colon of a scheme: user information, host and port.
fn authority_of(rest: &str) -> Option<&str> {
    rest.strip_prefix("//")?.split(['/', '?', '#', '\\']).next()
}

/// Whether an authority in ASCII names a host that a browser accepts, and a valid port.
fn has_host(authority: &str) -> bool {
    let host_and_port = authority.rsplit_once('@').map_or(authority, |(_, host_and_port)| host_and_port);
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let with_port = host_and_port.rsplit_once(':').filter(|(_, port)| is_number(port));
    let (host, port) = with_port.unwrap_or((host_and_port, ""));
    !host.is_empty() && Host::parse(host).is_ok() && (port.is_empty() || port.parse::<u16>().is_ok())
}

/// Whether text with a scheme is a URI already (RFC 3986 appendix A).
fn is_valid(text: &str) -> bool {
    let rest = text.split_once(':').map_or("", |(_, rest)| rest);
    let authority = authority_of(rest).unwrap_or_default();
    let behind = rest.strip_prefix("//").unwrap_or(rest).strip_prefix(authority).unwrap_or_default();
    let brackets_and_at = |byte: u8| matches!(byte, b'[' | b']' | b'@');
    authority.bytes().all(|byte| is_of_path(byte) && byte != b'/' || brackets_and_at(byte))
        && authority.matches('@').count() <= 1
        && behind.bytes().all(|byte| is_of_path(byte) || matches!(byte, b'?' | b'#'))
        && behind.matches('#').count() <= 1
        && text.match_indices('%').all(|(at, _)| is_escape(text.as_bytes(), at))
}

/// Whether a byte stands for itself in a path, or begins an escape.
fn is_of_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')'
        )
        || matches!(byte, b'*' | b'+' | b',' | b';' | b'=' | b'%')
}

/// Whether a percent sign is followed by two hexadecimal digits.
fn is_escape(bytes: &[u8], at: usize) -> bool {
    bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// The URI that a browser would ask for.
fn normalize(text: &str) -> Option<Uri> {
    let url = Url::parse(text).ok()?;
    let mut uri = url[..Position::BeforePath].to_owned();
    let behind = url[Position::BeforePath..].as_bytes();
    let mut has_fragment = false;
    for (at, byte) in behind.iter().enumerate() {
        // The URL standard leaves some characters as they are that RFC 3986 does not allow.
        let stays = match byte {
            b'%' => is_escape(behind, at),
            b'#' => !core::mem::replace(&mut has_fragment, true),
            b'?' => true,
            other => is_of_path(*other),
        };
        if stays {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(percent_encode_byte(*byte));
        }
    }
    is_valid(&uri).then_some(Uri(uri))
}

//----------- WeightedUri ----------------------------------------------------

/// A URI that a value refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedUri {
    /// The URI.
    pub uri: Uri,
    /// Weight among the URIs of the same value.
    pub weight: u16,
}

/// What the values of a record, by ascending index, refer to, each read when it is asked for: its URI, or the locations it
/// chooses from for a client of whom nothing is known. Values of locations beyond the first 16 KiB are passed over.
pub fn uris_of(values: &[Value]) -> impl Iterator<Item = (&Value, Vec<WeightedUri>)> {
    let mut budget = LocationsBudget::default();
    let is_read = move |value: &&Value| !is_of_locations(value) || budget.admits(value);
    values.iter().filter(is_read).map(|value| (value, uris_of_value(value)))
}

/// The bytes of locations of one record that may still be read.
struct LocationsBudget(usize);

impl Default for LocationsBudget {
    fn default() -> Self {
        Self(RECORD_LOCATIONS_BYTES_MAX)
    }
}

impl LocationsBudget {
    /// Whether a value of locations is read. Behind the first that is beyond the budget, none is. One that is too long in itself
    /// is not parsed and takes nothing of it.
    fn admits(&mut self, value: &Value) -> bool {
        let bytes = value.data.len();
        if bytes > RECORD_LOCATIONS_BYTES_MAX {
            return false;
        }
        let left = self.0.checked_sub(bytes.max(LOCATIONS_BYTES_MIN));
        self.0 = left.unwrap_or(0);
        left.is_some()
    }
}

fn uris_of_value(value: &Value) -> Vec<WeightedUri> {
    if !is_of_locations(value) {
        let uri = Uri::of_value(value).map(|uri| WeightedUri { uri, weight: WEIGHT_ALONE });
        return uri.into_iter().collect();
    }
    let Some(locations) = Locations::of_value(value) else { return Vec::new() };
    locations.candidates(&LocationChoice::default()).into_iter().map(WeightedUri::from).collect()
}

/// The number by which the URIs of values are ordered, the least first: locations, then other values by their index.
pub fn preference_of(value: &Value) -> u16 {
    if is_of_locations(value) { 0 } else { u16::try_from(value.index.get()).unwrap_or(u16::MAX) }
}

/// The http or https URI that the values of a record, by ascending index, refer to.
pub fn web_address(values: &[Value], choice: &LocationChoice) -> Option<Uri> {
    let mut budget = LocationsBudget::default();
    let chosen = values.iter().filter(|value| is_of_locations(value) && budget.admits(value));
    let chosen = chosen.filter_map(|value| Locations::of_value(value)?.choose(choice));
    chosen.chain(values.iter().filter_map(Uri::of_value)).find(Uri::is_web)
}

fn is_of_locations(value: &Value) -> bool {
    value.value_type.is(ValueType::LOCATIONS)
}

//----------- UriWarning -----------------------------------------------------

/// A value whose type announces a URI, and whose data has none that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UriWarning {
    /// A value of type `URL` or a subtype, to which nobody can be redirected.
    NotWeb {
        /// Index of the value.
        index: Index,
        /// Beginning of its data.
        found: String,
    },
    /// A value of type `URI` or a subtype that is no absolute URI.
    NotUri {
        /// Index of the value.
        index: Index,
        /// Beginning of its data.
        found: String,
    },
    /// A value of type `10320/loc` without a location to which anybody can be redirected.
    NoLocation {
        /// Index of the value.
        index: Index,
    },
    /// A value of type `URL` or `URI`, or of a subtype, that is too long to be read.
    TooLong {
        /// Index of the value.
        index: Index,
        /// Bytes of its data.
        bytes: usize,
    },
}

impl UriWarning {
    /// The warning about a value, if there is one.
    pub fn about(value: &Value) -> Option<Self> {
        let index = value.index;
        let found = || beginning(&value.data);
        if is_of_locations(value) {
            let locations = Locations::of_value(value);
            return locations.is_none().then_some(Self::NoLocation { index });
        }
        if !is_of_uri(value) {
            return None;
        }
        let (bytes, is_url) = (value.data.len(), value.value_type.is_within(ValueType::URL));
        match Uri::of_value(value) {
            Some(uri) if !is_url || uri.is_web() => None,
            None if bytes > URI_BYTES_MAX => Some(Self::TooLong { index, bytes }),
            _ if is_url => Some(Self::NotWeb { index, found: found() }),
            _ => Some(Self::NotUri { index, found: found() }),
        }
    }

    /// The stable code of the warning.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotWeb { .. } => "NO_WEB_ADDRESS",
            Self::NotUri { .. } => "NO_URI",
            Self::NoLocation { .. } => "NO_LOCATION",
            Self::TooLong { .. } => "URI_TOO_LONG",
        }
    }

    /// Index of the value that it is about.
    pub fn index(&self) -> Index {
        match self {
            Self::NotWeb { index, .. }
            | Self::NotUri { index, .. }
            | Self::NoLocation { index }
            | Self::TooLong { index, .. } => *index,
        }
    }
}

/// The beginning of data, as much as a warning repeats of it.
fn beginning(data: &[u8]) -> String {
    let mut bytes_left = SHOWN_BYTES_MAX;
    let read = data.get(..4 * SHOWN_CHARACTERS_MAX).unwrap_or(data);
    let text = String::from_utf8_lossy(read);
    let fits = |character: &char| {
        let bytes: usize = character.escape_debug().map(char::len_utf8).sum();
        let rest = bytes_left.checked_sub(bytes);
        bytes_left = rest.unwrap_or(0);
        rest.is_some()
    };
    text.chars().take(SHOWN_CHARACTERS_MAX).take_while(fits).collect()
}

impl fmt::Display for UriWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotWeb { index, found } => write!(
                f,
                "the URL at index {index} is not a web address: {found:?}; so no client is redirected to it; \
                 write an http or https URI such as https://example.com/x"
            ),
            Self::NotUri { index, found } => write!(
                f,
                "the URI at index {index} is not an absolute URI: {found:?}; it has no URI record; \
                 a URI begins with a scheme, such as https: or urn:"
            ),
            Self::NoLocation { index } => write!(
                f,
                "the 10320/loc at index {index} has no location that is a web address; write XML such as \
                 <locations><location href=\"https://example.com/x\"/></locations>"
            ),
            Self::TooLong { index, bytes } => write!(
                f,
                "the URI at index {index} has {bytes} bytes; nobody is redirected to it, and it has no URI record: \
                 {URI_BYTES_MAX} are allowed"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
