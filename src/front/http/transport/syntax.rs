//! Syntax of a request, beyond what the HTTP library checks: what two readers could understand in two ways is refused.
//!
//! ```text
//!   Authorization, Content-Type    once (RFC 9110 section 5.3)
//!   Transfer-Encoding              chunked, once (RFC 9112 sections 6.1 and 7)
//!   path, query                    UTF-8, percent-encoded (RFC 3986 section 2.1)
//! ```

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, header};
use percent_encoding::percent_decode_str;

use super::query::clip;
use super::rejection::Rejection;

/// Fields of a request that are no lists, so that two of them contradict each other.
const SINGLE: [HeaderName; 2] = [header::AUTHORIZATION, header::CONTENT_TYPE];

/// Refuses a request that could be understood in two ways.
pub(super) fn check(request: &Request) -> Result<(), Rejection> {
    check_fields(request.headers())?;
    check_text(request.uri().path(), "the path")?;
    check_query(request.uri().query().unwrap_or_default())
}

fn check_fields(headers: &HeaderMap) -> Result<(), Rejection> {
    if let Some(name) = SINGLE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Err(Rejection::malformed(&format!("the header {name} is given twice")));
    }
    let codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let codings: Vec<&str> =
        codings.flat_map(|field| field.to_str().unwrap_or("?").split(',')).map(str::trim).collect();
    if codings.iter().any(|coding| !coding.eq_ignore_ascii_case("chunked")) {
        return Err(Rejection::UnknownTransferCoding);
    }
    if codings.len() > 1 {
        return Err(Rejection::malformed("the transfer coding chunked is applied twice"));
    }
    Ok(())
}

fn check_query(query: &str) -> Result<(), Rejection> {
    // Most queries have nothing to decode.
    for parameter in query.split('&').filter(|parameter| parameter.contains('%')) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        check_text(name, "the name of a parameter")?;
        check_text(value, &format!("the parameter {:?}", clip(name)))?;
    }
    Ok(())
}

/// Refuses a text whose percent signs are not followed by two digits, or that is not UTF-8 once it is decoded.
fn check_text(text: &str, what: &str) -> Result<(), Rejection> {
    if !text.contains('%') {
        return Ok(());
    }
    for (at, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(at + 1..at + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            let place = text.get(at..).map(|rest| rest.chars().take(3).collect::<String>());
            return Err(Rejection::malformed(&format!(
                "{what} is malformed at {:?}, byte {at}: two hexadecimal digits follow a percent sign",
                place.unwrap_or_default()
            )));
        }
    }
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    core::str::from_utf8(&bytes).map(|_| ()).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let before: String = String::from_utf8_lossy(before).chars().rev().take(16).collect();
        let before: String = before.chars().rev().collect();
        Rejection::malformed(&format!("{what} is not UTF-8 after {before:?}"))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

    use super::{check_fields, check_query, check_text};
    use crate::front::http::transport::rejection::Rejection;

    fn fields(name: &HeaderName, values: &[&'static str]) -> Result<(), Rejection> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_static(value));
        }
        check_fields(&headers)
    }

    #[test]
    fn fields_that_are_no_lists_stand_once() {
        for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
            assert_eq!(fields(&name, &["a"]), Ok(()));
            let twice = Rejection::malformed(&format!("the header {name} is given twice"));
            assert_eq!(fields(&name, &["a", "a"]), Err(twice));
        }
        assert_eq!(fields(&header::ACCEPT, &["a", "b"]), Ok(()));
    }

    #[test]
    fn a_body_is_chunked_once_or_whole() {
        let codings = |values: &[&'static str]| fields(&header::TRANSFER_ENCODING, values);
        assert_eq!(codings(&[]), Ok(()));
        assert_eq!(codings(&["Chunked"]), Ok(()));
        for values in [&["gzip, chunked"][..], &["gzip", "chunked"], &["identity"], &["chunked, gzip"]] {
            assert_eq!(codings(values), Err(Rejection::UnknownTransferCoding), "{values:?}");
        }
        let twice = Rejection::malformed("the transfer coding chunked is applied twice");
        for values in [&["chunked, chunked"][..], &["chunked", "chunked"]] {
            assert_eq!(codings(values), Err(twice.clone()), "{values:?}");
        }
    }

    #[test]
    fn malformed_escapes_are_named_with_their_place() {
        let check = |query: &str, expected: &str| {
            assert_eq!(check_query(query).map_err(|error| error.to_string()), Err(expected.to_owned()));
        };
        assert_eq!(check_query("a=%E9%9B%B6&b&=&c=%25+零"), Ok(()));
        check(
            "a=1&type=UR%f",
            "the parameter \"type\" is malformed at \"%f\", byte 2: two hexadecimal digits follow a percent sign",
        );
        check("type=UR%ff", "the parameter \"type\" is not UTF-8 after \"UR\"");
        check("%ff=1", "the name of a parameter is not UTF-8 after \"\"");
        let path = check_text("/a/p%zz1", "the path").map_err(|error| error.to_string());
        let expected =
            "the path is malformed at \"%zz\", byte 4: two hexadecimal digits follow a percent sign";
        assert_eq!(path, Err(expected.to_owned()));
    }
}
