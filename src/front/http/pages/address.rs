//! Addresses in redirects: where a record is shown, and where another site shows it. The web address of a record is chosen by
//! [`crate::model::uri`].

use std::net::IpAddr;

use axum::http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::model::refusal::Failure;
use crate::model::site::Site;
use crate::model::uri::Uri;
use crate::telemetry::bug;

/// Characters that are escaped in a path of this node; slashes stay.
const IN_PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~').remove(b':');

/// A web address.
pub(super) fn of_uri(uri: &Uri) -> Result<HeaderValue, Failure> {
    HeaderValue::from_str(uri.as_str()).map_err(|_| bug("a URI fits in a header"))
}

/// The query of an address, with its question mark; nothing without parameters.
pub(super) fn query_of<'a>(parameters: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = String::new();
    for (name, value) in parameters {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        query.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }
    query
}

/// The path at which this node is asked for a handle, with a query.
pub(super) fn of_page(handle: &str, query: &str) -> Result<HeaderValue, Failure> {
    let path = format!("/{}{query}", utf8_percent_encode(handle, IN_PATH));
    HeaderValue::from_str(&path).map_err(|_| bug("an escaped path fits in a header"))
}

/// The path at which the API of this node shows a record.
pub(super) fn of_api(handle: &str) -> Result<HeaderValue, Failure> {
    let path = format!("/api/handles/{}", utf8_percent_encode(handle, IN_PATH));
    HeaderValue::from_str(&path).map_err(|_| bug("an escaped path fits in a header"))
}

/// The address at which another site shows a handle, with a query; none when it has no HTTP. With a host name it is https://.
pub(super) fn at_site(site: &Site, handle: &str, query: &str) -> Option<HeaderValue> {
    let port = site.ports().http?;
    let (scheme, host, usual) = match (site.host_name(), site.addresses().first()?) {
        (Some(name), _) => ("https", name.to_owned(), 443),
        (None, IpAddr::V4(address)) => ("http", address.to_string(), 80),
        (None, IpAddr::V6(address)) => ("http", format!("[{address}]"), 80),
    };
    let port = if port == usual { String::new() } else { format!(":{port}") };
    let path = utf8_percent_encode(handle, IN_PATH);
    HeaderValue::from_str(&format!("{scheme}://{host}{port}/{path}{query}")).ok()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::{at_site, of_api, of_page, query_of};
    use crate::model::site::{Ports, Site};

    #[test]
    fn a_handle_stays_one_path() {
        let path = of_api("88.118.8/零?a#b%").expect("a path");
        assert_eq!(path, "/api/handles/88.118.8/%E9%9B%B6%3Fa%23b%25");
    }

    #[test]
    fn a_query_is_led_on_with_a_handle() {
        let query = query_of([("urlappend", "/p?a=b&c"), ("locatt", "id:1"), ("locatt", "零")].into_iter());
        assert_eq!(query, "?urlappend=%2Fp%3Fa%3Db%26c&locatt=id%3A1&locatt=%E9%9B%B6");
        assert_eq!(
            of_page("88/a?", &query).expect("a path").to_str().expect("text"),
            format!("/88/a%3F{query}")
        );
        assert_eq!(query_of(core::iter::empty()), "");
    }

    #[test]
    fn a_site_is_reached_by_its_name_or_else_its_first_address() {
        let at = |address: IpAddr, name: Option<&str>, http: Option<u16>| {
            let ports = Ports { http, handle: Some(2_641), ..Ports::default() };
            let site = Site::new(vec![address], name, ports).expect("a site");
            at_site(&site, "88.118.8/a b", "").map(|found| found.to_str().expect("text").to_owned())
        };
        let (four, six) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
        assert_eq!(at(four, None, Some(8_080)).as_deref(), Some("http://127.0.0.1:8080/88.118.8/a%20b"));
        assert_eq!(at(six, None, Some(80)).as_deref(), Some("http://[::1]/88.118.8/a%20b"));
        let named = at(four, Some("below.example"), Some(443));
        assert_eq!(named.as_deref(), Some("https://below.example/88.118.8/a%20b"));
        assert_eq!(at(four, Some("below.example"), None), None);
    }
}
