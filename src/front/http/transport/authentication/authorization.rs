//! Parsing of the header `Authorization`. It decides nothing.
//!
//! ```text
//!   Bearer idn_...
//!   Basic base64(300%3A88.118.8/a:password)
//!   Handle sessionId="...", id="300%3A88.118.8/a", type="HS_PUBKEY", cnonce="...", alg="SHA256", signature="..."
//!   Handle clientCert="true"
//! ```

use data_encoding::BASE64_NOPAD;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json};

use crate::authority::credential::Unproven;
use crate::key::secret::{self, Derivation};
use crate::model::identifier::Identifier;
use crate::model::identity::Identity;

/// Bytes of one part of a header.
const PART_BYTES_MAX: usize = 8_192;

//----------- Authorization --------------------------------------------------

/// The credentials in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::front::http) enum Authorization<'h> {
    /// A token of the node.
    Bearer(&'h str),
    /// An identity and its secret key.
    Basic(Identity, Vec<u8>),
    /// A session, an answer to its challenge, or the wish to be known by the certificate.
    Handle(Parts),
    /// The header is not understood.
    Other,
}

impl<'h> Authorization<'h> {
    /// Parses a header.
    pub(in crate::front::http) fn parse(header: &'h str) -> Self {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header, ""));
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("Bearer") {
            return Self::Bearer(rest);
        }
        if scheme.eq_ignore_ascii_case("Basic") {
            return parse_basic(rest).unwrap_or(Self::Other);
        }
        if scheme.eq_ignore_ascii_case("Handle") {
            return Self::Handle(Parts::parse(rest));
        }
        Self::Other
    }
}

fn parse_basic(text: &str) -> Option<Authorization<'static>> {
    let bytes = decode_base64(text)?;
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let (user, password) = bytes.split_at(colon);
    let user = percent_decode_str(core::str::from_utf8(user).ok()?).decode_utf8().ok()?;
    Some(Authorization::Basic(parse_identity(&user)?, password.get(1..)?.to_vec()))
}

/// An identity as users write it: `index:handle`, or a handle that stands for any of its keys.
pub(in crate::front::http) fn parse_identity(text: &str) -> Option<Identity> {
    if let Ok(identity) = Identity::parse(text) {
        return Some(identity);
    }
    Identifier::parse(text).ok().map(|identifier| Identity { index: 0, identifier })
}

/// Base64 in either alphabet, padded or not, blanks ignored: clients differ.
pub(in crate::front::http) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let normal = |byte: u8| match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b' ' | b'\t' | b'\r' | b'\n' => None,
        other => Some(other),
    };
    let mut digits: Vec<u8> = text.bytes().filter_map(normal).collect();
    while digits.last() == Some(&b'=') {
        digits.pop();
    }
    BASE64_NOPAD.decode(&digits).ok()
}

//----------- Parts ----------------------------------------------------------

/// Named texts of the scheme `Handle`, from its header or from a JSON body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::front::http) struct Parts(Vec<(String, String)>);

impl Parts {
    /// Parses `name="text"`, separated by commas; a backslash takes the next character as it is.
    fn parse(header: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = header;
        while let Some((name, behind)) = rest.split_once('=') {
            let (value, behind) = take_value(behind);
            let name = name.trim_matches([',', ' ', '\t']);
            // In headers the id is percent-encoded, in bodies it is not.
            let value = match name {
                "id" => percent_decode_str(&value).decode_utf8_lossy().into_owned(),
                _ => value,
            };
            parts.push((name.to_owned(), value));
            rest = behind;
        }
        Self(parts)
    }

    /// The members of a JSON body.
    pub(in crate::front::http) fn of_body(body: &Map<String, Json>) -> Self {
        let part = |(name, value): (&String, &Json)| {
            let text = match value {
                Json::String(text) => text.clone(),
                Json::Number(number) => number.to_string(),
                Json::Bool(flag) => flag.to_string(),
                Json::Null | Json::Array(_) | Json::Object(_) => return None,
            };
            Some((name.clone(), text))
        };
        Self(body.iter().filter_map(part).collect())
    }

    /// Named texts that did not come from a header.
    pub(in crate::front::http) fn of_texts<'t>(
        texts: impl IntoIterator<Item = (&'static str, Option<&'t str>)>,
    ) -> Self {
        let part = |(name, text): (&str, Option<&str>)| Some((name.to_owned(), text?.to_owned()));
        Self(texts.into_iter().filter_map(part).collect())
    }

    /// These parts, completed by those of another source.
    pub(in crate::front::http) fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// The text of a name.
    pub(in crate::front::http) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        found.map(|(_, text)| text.as_str()).filter(|text| text.len() <= PART_BYTES_MAX)
    }

    /// The bytes that a name gives in base64.
    pub(in crate::front::http) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        decode_base64(self.get(name)?)
    }

    /// Whether the authorization answers a challenge.
    pub(in crate::front::http) fn is_answer(&self) -> bool {
        self.get("signature").is_some()
    }

    /// Whether the client wishes to be identified by its certificate.
    pub(in crate::front::http) fn wishes_certificate(&self) -> bool {
        self.get("clientCert").is_some_and(|wish| wish.eq_ignore_ascii_case("true"))
    }

    /// The answer of a secret key, as the wire protocol has it.
    pub(in crate::front::http) fn secret_answer(&self) -> Result<Vec<u8>, Unproven> {
        let mac = self.bytes("signature").unwrap_or_default();
        let number = |name| self.get(name).and_then(|text| text.trim().parse().ok());
        let derivation = self.bytes("salt").zip(number("iterations")).zip(number("length"));
        let derivation = derivation.map(|((salt, rounds), bits)| Derivation { salt, rounds, bits });
        let answer = secret::named_answer(self.get("alg").unwrap_or_default(), &mac, derivation.as_ref());
        answer.map_err(|error| Unproven::Unusable { reason: error.to_string() })
    }
}

/// The text behind an equals sign, and what follows it.
fn take_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.trim_start().strip_prefix('"') else {
        let (value, rest) = text.split_once(',').unwrap_or((text, ""));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((_, c)) = characters.next() {
        match c {
            '"' => break,
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, characters.as_str())
}

#[cfg(test)]
mod tests {
    use super::{Authorization, Parts, parse_identity};
    use crate::model::identity::Identity;

    fn identity(text: &str) -> Identity {
        Identity::parse(text).expect("an identity")
    }

    #[test]
    fn the_user_of_basic_is_an_identity_percent_encoded() {
        let parse = |text: &str| {
            let encoded = data_encoding::BASE64.encode(text.as_bytes());
            match Authorization::parse(&format!("Basic {encoded}")) {
                Authorization::Basic(identity, password) => Some((identity, password)),
                _ => None,
            }
        };
        let expected = Some((identity("300:21.T14999/USER"), b"pass:word".to_vec()));
        assert_eq!(parse("300%3A21.T14999/USER:pass:word"), expected);
        assert_eq!(parse("300%3A21.T14999%2FUSER:pass:word"), expected);
        assert_eq!(parse("88.118.8/a:"), Some((identity("0:88.118.8/a"), Vec::new())), "any of its keys");
        assert_eq!(parse("nobody:x"), None);
        assert_eq!(Authorization::parse("Basic ???"), Authorization::Other);
        assert_eq!(Authorization::parse("Digest x"), Authorization::Other);
    }

    #[test]
    fn the_parts_of_handle_are_quoted_or_not() {
        let header = r#"Handle version="0",sessionId="a,b=\"c\"", id="300%3A88.118.8/%E9%9B%B6" , alg=SHA256, signature="/+8=""#;
        let Authorization::Handle(parts) = Authorization::parse(header) else { panic!("not understood") };
        assert_eq!(parts.get("sessionid"), Some("a,b=\"c\""));
        assert_eq!(parts.get("id"), Some("300:88.118.8/零"));
        assert_eq!((parts.get("alg"), parts.get("version")), (Some("SHA256"), Some("0")));
        assert_eq!(parts.bytes("signature"), Some(vec![0xff, 0xef]));
        assert!(parts.is_answer() && !parts.wishes_certificate());
        assert_eq!(Authorization::parse("Handle"), Authorization::Handle(Parts::default()));
        assert_eq!(Authorization::parse("Bearer  idn_1_2 "), Authorization::Bearer("idn_1_2"));
    }

    #[test]
    fn an_identity_may_leave_out_the_index() {
        assert_eq!(parse_identity("88.118.8/a:b"), Some(identity("0:88.118.8/a:b")));
        assert_eq!(parse_identity("7:88.118.8/a"), Some(identity("7:88.118.8/a")));
        assert_eq!(parse_identity("x"), None);
    }
}
