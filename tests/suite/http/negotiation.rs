//! What a request is for and which form its answer has (RFC 9110 sections 7.2, 12.5, 15.5.16; RFC 9112 section 3.2), and what
//! people are shown.

use serde_json::json;

use super::front_end::{Client, FrontEnd, Reply};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// A node with a record that has a URL, and one that has none.
async fn open() -> FrontEnd {
    let front_end = FrontEnd::open().await;
    let writer = front_end.tls().bearer(&front_end.token());
    for (path, kind) in [("/api/handles/88.118.8/SN1", "URL"), ("/api/handles/88.118.8/plain", "DESC")] {
        let values = json!([{"index": 1, "type": kind, "data": "https://a.example/?<b>"}]);
        assert_eq!(writer.put(path, values).await.verdict(), (201, 1));
    }
    front_end
}

fn is_page(reply: &Reply) -> bool {
    reply.header("content-type") == Some("text/html; charset=utf-8")
}

fn varies(reply: &Reply) -> bool {
    reply.all("vary").any(|names| names.eq_ignore_ascii_case("accept"))
}

/// RFC 9110 section 12.5.1: ranges, the most specific first, with weights, in any case.
#[tokio::test(flavor = "multi_thread")]
async fn rfc_9110_12_5_1_the_form_follows_the_ranges_and_their_weights() {
    let front_end = open().await;
    for (accept, page) in [
        (BROWSER, true),
        ("TEXT/HTML", true),
        ("text/*", true),
        ("application/json;q=0.5, text/html", true),
        ("application/json, text/html;q=0.5", false),
        ("text/html;q=0", false),
        ("text/html;q=0, */*", false),
        ("application/x-text/html", false),
        ("*/*", false),
        ("image/png", false),
    ] {
        let reply = front_end.plain().with("Accept", accept).get("/88.118.8/SN1?noredirect").await;
        assert_eq!((reply.status, is_page(&reply)), (200, page), "{accept}: {reply:?}");
        assert!(varies(&reply), "section 12.5.5, {accept}: {reply:?}");
    }
    let led = front_end.plain().with("Accept", BROWSER).get("/88.118.8/SN1").await;
    assert_eq!((led.status, varies(&led)), (302, false), "where the form does not matter");
    front_end.close().await;
}

/// RFC 9110 section 15.5.16: 415 where the content is in a format that the method does not support.
#[tokio::test(flavor = "multi_thread")]
async fn rfc_9110_15_5_16_content_of_another_type_or_coding_is_refused() {
    let front_end = open().await;
    let writer = front_end.tls().bearer(&front_end.token());
    let body = br#"[{"index":1,"type":"URL","data":"x"}]"#.as_slice();
    let path = "/api/handles/88.118.8/SN2";
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        for (verb, path) in [
            ("PUT", path),
            ("POST", "/api/handles/88.118.8/SN1"),
            ("POST", "/api/handles"),
            ("POST", "/api/sessions"),
        ] {
            let refused = writer.with("Content-Type", content_type).ask(verb, path, Some(body)).await;
            assert_eq!(refused.verdict(), (415, 4), "{content_type:?} {verb} {path}");
            assert_eq!(refused.header("accept"), Some("application/json"), "{verb} {path}");
        }
    }
    for coding in ["gzip", "identity, br"] {
        let refused = writer.with("Content-Encoding", coding).ask("PUT", path, Some(body)).await;
        assert_eq!(refused.verdict(), (415, 4), "{coding}");
        assert_eq!(refused.header("accept-encoding"), Some("identity"), "{coding}");
    }
    let native =
        front_end.plain().with("Content-Type", "text/plain").ask("POST", "/88.118.8/SN1", Some(body)).await;
    assert_eq!((native.status, native.header("accept")), (415, Some("application/x-hdl-message")));
    let written =
        writer.with("Content-Type", "Application/JSON; charset=utf-8").with("Content-Encoding", "identity");
    assert_eq!(written.ask("PUT", path, Some(body)).await.verdict(), (201, 1));
    // Without content there is nothing that could have a type.
    assert_eq!(front_end.plain().post("/api/handles/88.118.8/SN1", None).await.verdict(), (200, 1));
    front_end.close().await;
}

/// RFC 9112 section 3.2: "A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks
/// a Host header field and to any request message that contains more than one Host header field line or a Host header field
/// with an invalid field value."
#[tokio::test(flavor = "multi_thread")]
async fn rfc_9112_3_2_a_request_names_one_host() {
    let front_end = open().await;
    for (version, hosts, expected) in [
        ("1.1", vec!["localhost"], 200),
        ("1.1", vec!["localhost:8080"], 200),
        ("1.1", vec![], 400),
        ("1.1", vec!["localhost", "localhost"], 400),
        ("1.1", vec!["local host"], 400),
        ("1.1", vec!["user@localhost"], 400),
        ("1.0", vec![], 200),
        ("1.0", vec!["localhost", "other"], 400),
    ] {
        for path in
            ["/api/handles/88.118.8/SN1", "/healthz", "/metrics", "/openapi.json", "/88.118.8/SN1?noredirect"]
        {
            let lines: String = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
            let request = format!("GET {path} HTTP/{version}\r\n{lines}Connection: close\r\n\r\n");
            let reply = Reply::parse(&front_end.plain().send(request.as_bytes()).await);
            assert_eq!(reply.status, expected, "HTTP/{version} {hosts:?} {path}: {reply:?}");
        }
    }
    front_end.close().await;
}

/// Statuses stay what they are for programs; people see what happened.
#[tokio::test(flavor = "multi_thread")]
async fn people_see_a_page_where_programs_get_json() {
    let front_end = open().await;
    let (program, person) = (front_end.plain(), front_end.plain().with("Accept", BROWSER));
    for (path, for_programs, for_people, shown) in [
        ("/", (404, 4), 200, "Identifier node"),
        ("/88.118.8/none", (404, 100), 404, "88.118.8/none"),
        ("/99.1/x", (400, 301), 400, "99.1/x"),
        ("/88..8/%3Cb%3E", (404, 4), 404, "88..8/&lt;b&gt;"),
    ] {
        let reply = program.get(path).await;
        assert_eq!((reply.verdict(), varies(&reply)), (for_programs, true), "{path}");
        let page = person.get(path).await;
        assert_eq!(
            (page.status, is_page(&page), varies(&page)),
            (for_people, true, true),
            "{path}: {page:?}"
        );
        assert!(page.text().contains(shown) && !page.text().contains("<b>"), "{path}: {}", page.text());
    }
    // Without a URL value a program is redirected to the record, a person sees it.
    let led = program.get("/88.118.8/plain").await;
    assert_eq!((led.status, led.header("location")), (302, Some("/api/handles/88.118.8/plain")));
    let page = person.get("/88.118.8/plain").await;
    assert_eq!((page.status, is_page(&page)), (200, true));
    assert!(page.text().contains("https://a.example/?&lt;b&gt;"), "{}", page.text());
    let policy = page.header("content-security-policy");
    assert!(policy.is_some_and(|policy| policy.contains("default-src 'none'")), "{page:?}");
    front_end.close().await;
}

/// Whoever may see the metrics is decided by the network, not by a page that its visitor happened to open.
#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_other_origins_read_no_metrics() {
    let front_end = open().await;
    let script = front_end.plain().with("Origin", "https://elsewhere.example");
    for path in ["/metrics", "/readyz", "/healthz"] {
        let reply = script.get(path).await;
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (200, None), "{path}");
    }
    let described = script.get("/openapi.json").await;
    assert_eq!((described.status, described.header("access-control-allow-origin")), (200, Some("*")));
    front_end.close().await;
}

/// The document names routes that are served: none of them is unknown, each of its references has a target.
#[tokio::test(flavor = "multi_thread")]
async fn the_description_is_of_the_routes_that_are_served() {
    let front_end = open().await;
    let description = front_end.plain().get("/openapi.json").await.json();
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in description["paths"].as_object().expect("paths") {
        for (verb, operation) in item.as_object().expect("operations") {
            let name = operation["operationId"].as_str().expect("a name").to_owned();
            assert!(names.insert(name.clone()), "{name} stands twice");
            assert!(operation["summary"].is_string(), "{name} has no summary");
            check_served(&front_end.plain(), &verb.to_uppercase(), path).await;
        }
    }
    assert_eq!(names.len(), 25, "{names:?}");
    for reference in description.to_string().split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().expect("a pointer");
        assert!(description.pointer(pointer).is_some(), "{pointer} has no target");
    }
    front_end.close().await;
}

async fn check_served(client: &Client, verb: &str, path: &str) {
    let path = path
        .replace("{handle}", "88.118.8/SN1")
        .replace("{prefix}", "88.118.8")
        .replace("{identity}", "301:88.118.8/a");
    let reply = client.ask(verb, &path, None).await;
    assert_ne!(reply.status, 405, "{verb} {path}");
    let text = String::from_utf8_lossy(&reply.body);
    assert!(!text.contains("Unknown HTTP API endpoint"), "{verb} {path}: {text}");
}
