//! Which host a request is for (RFC 9110 section 7.2, RFC 9112 section 3.2, RFC 9113 section 8.3.1).

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::rejection::Rejection;

/// The host that a request is for, with its port where one is named; empty where an old client names none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::front::http) struct Host(pub(in crate::front::http) String);

impl Host {
    /// The host of a request. A target in absolute form, and the pseudo-header of HTTP/2, come before the header.
    fn of(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<Self, Rejection> {
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
            (Some(authority), _) => Ok(Self(authority.as_str().to_owned())),
            (None, Some(named)) => Ok(Self(named.to_owned())),
            (None, None) if version == Version::HTTP_10 || version == Version::HTTP_09 => {
                Ok(Self(String::new()))
            }
            (None, None) => Err(missing()),
        }
    }
}

fn missing() -> Rejection {
    Rejection::malformed("the request lacks the header Host")
}

/// Whether a text is a host with or without a port; empty is allowed (RFC 9112 section 3.2).
fn is_host(text: &str) -> bool {
    text.is_empty() || (text.parse::<Authority>().is_ok() && !text.contains('@'))
}

/// Refuses a request that does not name one host; notes the host for what follows.
pub(in crate::front::http) async fn check(mut request: Request, next: Next) -> Response {
    match Host::of(request.version(), request.uri(), request.headers()) {
        Ok(host) => {
            request.extensions_mut().insert(host);
            next.run(request).await
        }
        Err(rejection) => rejection.into_response(),
    }
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
        Host::of(version, &Uri::from_static(target), &headers).ok().map(|Host(host)| host)
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
