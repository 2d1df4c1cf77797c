//! Pages of other origins: what a browser says of the page that a request comes from.
//!
//! A browser sends a remembered password and its certificate by itself, also with a request that a page makes without
//! the knowledge of its reader. Browsers state where a request comes from: by `Sec-Fetch-Site` (Fetch Metadata Request
//! Headers, section 2.4), older ones by `Origin` (RFC 6454 section 7). Programs other than browsers send neither.

use axum::http::{HeaderMap, header};

use crate::front::http::transport::host::Host;

/// Header that states how the page that made a request relates to this host.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Whether a page of another origin made a request that came under TLS.
pub(super) fn is_foreign(headers: &HeaderMap, Host(own): Host<'_>) -> bool {
    match (headers.get(SEC_FETCH_SITE), headers.get(header::ORIGIN)) {
        // Of a page of this origin, or of who sits before the browser.
        (Some(site), _) => site != "same-origin" && site != "none",
        (None, Some(origin)) => {
            let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("https://"));
            own.is_empty() || !origin.is_some_and(|origin| names_same(own, origin))
        }
        (None, None) => false,
    }
}

/// Whether a host and an origin are the same, with or without the port that is usual under TLS.
fn names_same(host: &str, origin: &str) -> bool {
    let bare = |text: &str| text.strip_suffix(":443").unwrap_or(text).to_ascii_lowercase();
    bare(host) == bare(origin)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header};

    use super::{Host, SEC_FETCH_SITE, is_foreign};

    fn check(site: Option<&'static str>, origin: Option<&'static str>, expected: bool) {
        let mut headers = HeaderMap::new();
        if let Some(site) = site {
            headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(site));
        }
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
        }
        let host = Host("Node.example:8443");
        assert_eq!(is_foreign(&headers, host), expected, "{site:?} {origin:?}");
    }

    #[test]
    fn a_browser_says_where_a_request_comes_from() {
        check(None, None, false);
        check(Some("same-origin"), None, false);
        check(Some("none"), Some("null"), false);
        for site in ["cross-site", "same-site", "", "Same-Origin", "new-word"] {
            check(Some(site), None, true);
            check(Some(site), Some("https://node.example:8443"), true);
        }
        check(None, Some("https://node.example:8443"), false);
        let others = [
            "https://node.example",
            "http://node.example:8443",
            "https://node.example:8443.evil.example",
            "https://evil.example",
            "null",
            "",
        ];
        for origin in others {
            check(None, Some(origin), true);
        }
    }

    #[test]
    fn the_usual_port_may_be_left_out() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_static("https://[2001:db8::8]"));
        assert!(!is_foreign(&headers, Host("[2001:db8::8]:443")));
        assert!(is_foreign(&headers, Host("")), "a request that names no host has no origin");
    }
}
