//! Which host a request is for (RFC 9110 section 7.2, RFC 9112 section 3.2, RFC 9113 section 8.3.1).

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, Version, header};

use super::rejection::Rejection;

/// The host that a request is for, with its port where one is named; empty where an old client names none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::front::http) struct Host<'r>(pub(in crate::front::http) &'r str);

impl<'r> Host<'r> {
    /// The host of a request. A target in absolute form, and the pseudo-header of HTTP/2, come before the header.
    pub(in crate::front::http) fn of(
        version: Version,
        uri: &'r Uri,
        headers: &'r HeaderMap,
    ) -> Result<Self, Rejection> {
        let mut named = headers.get_all(header::HOST).iter();
        let (first, second) = (named.next(), named.next());
        if second.is_some() {
            return Err(Rejection::malformed("the header Host is given twice"));
        }
        let wrong = || Rejection::malformed("the header Host names no host");
        let named = first.map(|host| host.to_str().map_err(|_| wrong())).transpose()?;
        if let Some(named) = named.filter(|named| !is_host(named)) {
            let named: String = named.chars().take(64).collect();
            return Err(Rejection::malformed(&format!("the header Host names no host: {named:?}")));
        }
        match (uri.authority(), named) {
            (Some(authority), Some(named))
                if version == Version::HTTP_2 && !authority.as_str().eq_ignore_ascii_case(named) =>
            {
                Err(Rejection::malformed("the header Host and :authority name different hosts"))
            }
            (Some(_), None) if version == Version::HTTP_11 => Err(missing()),
            (Some(authority), _) => Ok(Self(authority.as_str())),
            (None, Some(named)) => Ok(Self(named)),
            (None, None) if version == Version::HTTP_10 || version == Version::HTTP_09 => Ok(Self("")),
            (None, None) => Err(missing()),
        }
    }
}

fn missing() -> Rejection {
    Rejection::malformed("the request lacks the header Host")
}

/// Whether a text is a host with or without a port; empty is allowed (RFC 9112 section 3.2).
fn is_host(text: &str) -> bool {
    is_name(text) || (text.parse::<Authority>().is_ok() && !text.contains('@'))
}

/// Whether a text is a name or an IPv4 address without a port, or with one: what nearly all requests name, found without a copy.
fn is_name(text: &str) -> bool {
    let (name, port) = text.split_once(':').unwrap_or((text, ""));
    (!name.is_empty() || text.is_empty())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Refuses a request that does not name one host.
pub(super) fn check(request: &Request) -> Result<(), Rejection> {
    Host::of(request.version(), request.uri(), request.headers()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Uri, Version, header};

    use super::Host;

    fn host(version: Version, target: &'static str, hosts: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_static(host));
        }
        Host::of(version, &Uri::from_static(target), &headers).ok().map(|Host(host)| host.to_owned())
    }

    #[test]
    fn a_request_names_one_host() {
        let check = |version, target, hosts: &[&'static str], expected: Option<&str>| {
            assert_eq!(host(version, target, hosts).as_deref(), expected, "{version:?} {target} {hosts:?}");
        };
        check(Version::HTTP_11, "/", &["a.example:80"], Some("a.example:80"));
        check(Version::HTTP_11, "/", &["[::1]:80"], Some("[::1]:80"));
        check(Version::HTTP_11, "/", &[""], Some(""));
        check(Version::HTTP_11, "http://b.example/", &["a.example"], Some("b.example"));
        check(Version::HTTP_11, "http://b.example/", &[], None);
        check(Version::HTTP_11, "/", &[], None);
        check(Version::HTTP_11, "/", &["a.example", "a.example"], None);
        check(Version::HTTP_11, "/", &["a b"], None);
        check(Version::HTTP_11, "/", &["user@a.example"], None);
        check(Version::HTTP_11, "/", &["a.example/x"], None);
        check(Version::HTTP_10, "/", &[], Some(""));
        check(Version::HTTP_10, "/", &["a.example", "b.example"], None);
        check(Version::HTTP_2, "https://a.example/", &[], Some("a.example"));
        check(Version::HTTP_2, "https://a.example/", &["A.example"], Some("a.example"));
        check(Version::HTTP_2, "https://a.example/", &["b.example"], None);
        check(Version::HTTP_2, "/", &[], None);
    }
}
