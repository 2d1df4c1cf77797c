//! Web addresses: what a value refers to is the same for a visit over HTTP, on a page, and in DNS.

use hickory_proto::rr::{RData, RecordType};
use idnode::store::EngineKind;
use serde_json::{Value as Json, json};

use crate::http::front_end::{Client, Reply};
use crate::support::clients::{GrpcClient, Transport, dns_ask};
use crate::support::node::{TestNode, admin_token};

/// Index, type and data.
type Line<'a> = (u32, &'a str, &'a str);

const URI: RecordType = RecordType::Unknown(256);
const LOCATIONS: &str = "<locations><location href=\"https://gb.example/\" country=\"gb\"/>\
                         <location href=\"https://all.example/\" id=\"7\"/></locations>";

/// Values, and the URIs of their records in DNS; a visit is redirected to the first one for browsers.
const TABLE: &[(&[Line<'_>], &[&str])] = &[
    (&[(1, "URL", "https://e.example/x?y=%c3%A4#z")], &["https://e.example/x?y=%c3%A4#z"]),
    (&[(2, "URI", "https://e.example/uri")], &["https://e.example/uri"]),
    (&[(2, "url.mirror", "https://e.example/mirror")], &["https://e.example/mirror"]),
    (&[(1, "URL", "http://例子.测试/x")], &["http://xn--fsqu00a.xn--0zwm56d/x"]),
    (&[(1, "URL", "https://e.example/a b/零")], &["https://e.example/a%20b/%E9%9B%B6"]),
    (&[(1, "URL", " https://e.example/blank ")], &["https://e.example/blank"]),
    (&[(1, "URL", "https://e.example\\@evil.example/")], &["https://e.example/@evil.example/"]),
    (&[(1, "URL", "www.example.com/x")], &[]),
    (&[(1, "URL", "//evil.example/x")], &[]),
    (&[(1, "URL", "/x")], &[]),
    (&[(1, "URL", "https:///x")], &[]),
    (&[(1, "URL", "http:evil.example")], &[]),
    (&[(1, "URL", "https://e.example/\r\nSet-Cookie: a=b")], &[]),
    (&[(1, "URL", "java\nscript:alert(1)")], &[]),
    (&[(1, "URL", "javascript:alert(1)")], &["javascript:alert(1)"]),
    (&[(1, "URI", "urn:oid:1.2.156")], &["urn:oid:1.2.156"]),
    (&[(1, "HOMEPAGE", "https://e.example/")], &[]),
    (
        &[(3, "URL", "https://e.example/3"), (1, "URL", "www.example.com"), (2, "URI", "urn:x")],
        &["urn:x", "https://e.example/3"],
    ),
    (
        &[(1, "URL", "https://e.example/1"), (1_000, "10320/loc", LOCATIONS)],
        &["https://all.example/", "https://e.example/1"],
    ),
    (&[(1, "10320/loc", "<locations>")], &[]),
];

/// The URIs in DNS, the preferred first.
fn by_dns(node: &TestNode, name: &str) -> Vec<String> {
    let answer = dns_ask(node.dns(), Transport::Tcp, &format!("{name}.8.118.88.id.internal."), URI);
    let mut found: Vec<(Vec<u8>, String)> = Vec::new();
    for record in &answer.answers {
        let RData::Unknown { rdata, .. } = &record.data else { panic!("opaque: {record}") };
        let (order, uri) = rdata.anything.split_at(4);
        found.push((order.to_vec(), String::from_utf8(uri.to_vec()).expect("ASCII")));
    }
    found.sort();
    found.into_iter().map(|(_, uri)| uri).collect()
}

async fn register(client: &GrpcClient, name: &str, lines: &[Line<'_>]) {
    let values: Vec<_> = lines.iter().map(|(index, kind, data)| (*index, *kind, *data, None)).collect();
    client.register_values(name, &values).await.expect("registered");
}

fn address(reply: &Reply) -> (u16, Option<&str>) {
    (reply.status, reply.header("location"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_leads_to_the_same_address_at_every_front_end() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let client = node.client().await;
    client.home("88.118.8").await.expect("homed");
    let visitor = Client::of(node.node().http_addr().expect("an HTTP address"));
    let person = visitor.with("Accept", "text/html");
    for (row, (lines, expected)) in TABLE.iter().enumerate() {
        let name = format!("w{row}");
        register(&client, &format!("88.118.8/{name}"), lines).await;
        assert_eq!(by_dns(&node, &name), *expected, "DNS, {lines:?}");
        let web = expected.iter().find(|uri| uri.starts_with("http")).copied();
        let path = format!("/88.118.8/{name}");
        let visit = visitor.get(&path).await;
        let record = format!("/api/handles{path}");
        assert_eq!(address(&visit), (302, Some(web.unwrap_or(&record))), "HTTP, {lines:?}");
        let page = person.get(&format!("{path}?noredirect")).await;
        assert!(!page.text().contains("href=\"javascript"), "{}", page.text());
        let links = page.text().matches("href=\"http").count();
        let values = lines.iter().filter(|(_, kind, _)| *kind != "10320/loc");
        let has_link = links > 0;
        let has_address = values.count() > 0 && web.is_some();
        assert_eq!(has_link, has_address, "page, {lines:?}: {}", page.text());
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_visit_chooses_a_location_and_appends_only_behind_the_host() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let client = node.client().await;
    client.home("88.118.8").await.expect("homed");
    register(&client, "88.118.8/loc", &[(1, "10320/loc", LOCATIONS)]).await;
    register(&client, "88.118.8/host", &[(1, "URL", "https://u@e.example")]).await;
    let visitor = Client::of(node.node().http_addr().expect("an HTTP address"));
    for (path, expected) in [
        ("/88.118.8/loc", "https://all.example/"),
        ("/88.118.8/loc?locatt=country:gb", "https://gb.example/"),
        ("/88.118.8/loc?locatt=country:gb&locatt=id:7", "https://all.example/"),
        ("/88.118.8/loc?locatt=id:9", "https://all.example/"),
        ("/88.118.8/loc?urlappend=%3Fa%3Db%26c", "https://all.example/?a=b&c"),
        ("/88.118.8/host?urlappend=.evil.example/", "https://u@e.example/.evil.example/"),
        ("/88.118.8/host?urlappend=@evil.example/", "https://u@e.example/@evil.example/"),
        ("/88.118.8/host?urlappend=:81/%E9%9B%B6", "https://u@e.example/:81/%E9%9B%B6"),
        ("/88.118.8/host?urlappend=%5C%5Cevil.example", "https://u@e.example///evil.example"),
    ] {
        assert_eq!(address(&visitor.get(path).await), (302, Some(expected)), "{path}");
    }
    let wrong = visitor.get("/88.118.8/host?urlappend=%0D%0AX:y").await;
    assert_eq!((wrong.verdict(), wrong.header("location")), ((400, 4), None));
    node.stop().await;
}

/// An alias is redirected as the identifier that it names; one in a circle shows its own record.
#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_redirected_as_its_identifier() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let client = node.client().await;
    client.home("88.118.8").await.expect("homed");
    for (name, lines) in [
        ("end", &[(1, "URL", "https://e.example/end")][..]),
        ("a1", &[(1, "HS_ALIAS", "88.118.8/end")]),
        ("a2", &[(1, "HS_ALIAS", "88.118.8/a1")]),
        ("own", &[(1, "HS_ALIAS", "88.118.8/end"), (2, "URL", "https://e.example/own")]),
        ("note", &[(1, "NOTE", "no address")]),
        ("to-note", &[(1, "HS_ALIAS", "88.118.8/note")]),
        ("to-none", &[(1, "HS_ALIAS", "88.118.8/none at all")]),
        ("self", &[(1, "HS_ALIAS", "88.118.8/self")]),
        ("c1", &[(1, "HS_ALIAS", "88.118.8/c2")]),
        ("c2", &[(1, "HS_ALIAS", "88.118.8/c1")]),
        ("odd", &[(1, "HS_ALIAS", "//evil.example")]),
    ] {
        register(&client, &format!("88.118.8/{name}"), lines).await;
    }
    let visitor = Client::of(node.node().http_addr().expect("an HTTP address"));
    for (name, expected) in [
        ("a1", "https://e.example/end"),
        ("a2", "https://e.example/end"),
        ("a2?urlappend=/x", "https://e.example/end/x"),
        ("own", "https://e.example/own"),
        ("to-note", "/88.118.8/note"),
        ("to-note?urlappend=/x", "/88.118.8/note?urlappend=%2Fx"),
        ("to-none", "/88.118.8/none%20at%20all"),
        ("self", "/api/handles/88.118.8/self"),
        ("c1", "/api/handles/88.118.8/c1"),
        ("odd", "/api/handles/88.118.8/odd"),
    ] {
        let visit = visitor.get(&format!("/88.118.8/{name}")).await;
        assert_eq!(address(&visit), (302, Some(expected)), "{name}");
    }
    let record = visitor.get("/88.118.8/a1?noredirect").await;
    assert_eq!(record.verdict(), (200, 1), "the record of the alias itself");
    node.stop().await;
}

/// A value without a usable URI is accepted, with the same warning at every front end that accepts commands with text replies.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_without_a_usable_uri_is_warned_of() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let client = node.client().await;
    client.home("88.118.8").await.expect("homed");
    let token = admin_token(node.node().data_dir());
    let http = Client::of(node.node().http_addr().expect("an HTTP address")).bearer(&token);
    for (row, (kind, data, expected)) in [
        ("URL", "https://e.example/", None),
        ("URL", "http://例子.测试/", None),
        ("URL", "www.example.com/x", Some("NO_WEB_ADDRESS")),
        ("URL.MIRROR", "ftp://e.example/", Some("NO_WEB_ADDRESS")),
        ("URI", "urn:x", None),
        ("URI", "no uri", Some("NO_URI")),
        ("10320/loc", LOCATIONS, None),
        ("10320/loc", "https://e.example/", Some("NO_LOCATION")),
        ("NOTE", "www.example.com", None),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("88.118.8/x{row}");
        let receipt = client.register_values(&name, &[(7, kind, data, None)]).await.expect("registered");
        let by_grpc: Vec<_> = receipt.warnings.iter().map(|one| (one.index, one.code.as_str())).collect();
        let expected: Vec<_> = expected.into_iter().map(|code| (7, code)).collect();
        assert_eq!(by_grpc, expected, "gRPC, {kind} {data}");
        let body = json!([{"index": 7, "type": kind, "data": data}]);
        let written = http.put(&format!("/api/handles/88.118.8/y{row}"), body).await;
        assert_eq!(written.verdict(), (201, 1), "{written:?}");
        let warnings = written.json().get("warnings").and_then(Json::as_array).cloned().unwrap_or_default();
        let warned = |one: &Json| (one["index"].clone(), one["code"].clone(), one["message"].clone());
        let by_http: Vec<_> = warnings.iter().map(warned).collect();
        let messages = receipt.warnings.iter().map(|one| one.message.as_str());
        let expected = expected
            .iter()
            .zip(messages)
            .map(|((index, code), message)| (json!(index), json!(code), json!(message)));
        assert_eq!(by_http, expected.collect::<Vec<_>>(), "HTTP, {kind} {data}");
    }
    node.stop().await;
}

/// A reply lists a few warnings and counts the others, however many values lead nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn warnings_beyond_the_first_are_counted() {
    let node = TestNode::start(EngineKind::Fjall).await;
    let client = node.client().await;
    client.home("88.118.8").await.expect("homed");
    let token = admin_token(node.node().data_dir());
    let http = Client::of(node.node().http_addr().expect("an HTTP address")).bearer(&token);
    let values: Vec<_> = (1..=2_048).map(|index| (index, "URL", "www.example.com", None)).collect();
    let receipt = client.register_values("88.118.8/g", &values).await.expect("registered");
    assert_eq!((receipt.warnings.len(), receipt.warnings_left_out), (8, 2_040));
    let body: Vec<Json> =
        (1..=2_048).map(|index| json!({"index": index, "type": "URL", "data": "x"})).collect();
    let written = http.put("/api/handles/88.118.8/h", Json::Array(body)).await;
    assert_eq!(written.verdict(), (201, 1), "{written:?}");
    let reply = written.json();
    assert_eq!(reply["warnings"].as_array().map(Vec::len), Some(8));
    assert_eq!(reply["warningsLeftOut"], json!(2_040));
    let one = json!([{"index": 1, "type": "URL", "data": "x"}]);
    let written = http.put("/api/handles/88.118.8/i", one).await;
    assert_eq!(written.json().get("warningsLeftOut"), None);
    node.stop().await;
}
