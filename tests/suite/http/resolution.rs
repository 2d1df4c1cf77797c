//! GET: what a handle holds, in which form, and to whom it is shown.

use serde_json::{Value as Json, json};

use super::front_end::{FrontEnd, Reply};

const SECRET: &str = "{\"format\":\"string\",\"value\":\"password\"}";

/// A front end with one record: 1 URL, 4 EMAIL.WORK, 100 HS_ADMIN, 301 HS_SECKEY.
async fn open() -> FrontEnd {
    let front_end = FrontEnd::open().await;
    let values = json!([
        {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin", "value":
            {"handle": "0.NA/88.118.8", "index": 200, "permissions": "011111110011"}}},
        {"index": 301, "type": "HS_SECKEY", "data": "password"},
        {"index": 1, "type": "URL", "data": "http://a"},
        {"index": 4, "type": "EMAIL.WORK", "data": {"format": "string", "value": "a@b"}, "ttl": 60},
    ]);
    let created = front_end.tls().bearer(&front_end.token()).put("/api/handles/88.118.8/SN1", values).await;
    assert_eq!(created.verdict(), (201, 1), "{created:?}");
    front_end
}

fn indexes(reply: &Reply) -> Vec<u64> {
    let json = reply.json();
    let values = json.pointer("/values").and_then(Json::as_array);
    let values = values.unwrap_or_else(|| panic!("no values: {reply:?}"));
    values.iter().map(|value| value.get("index").and_then(Json::as_u64).expect("an index")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_shown_with_its_values_by_ascending_index() {
    let front_end = open().await;
    for client in [front_end.plain(), front_end.tls()] {
        let reply = client.get("/api/handles/88.118.8/sn1").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("application/json;charset=utf-8"));
        let json = reply.json();
        assert_eq!((&json["responseCode"], &json["handle"]), (&json!(1), &json!("88.118.8/sn1")));
        assert_eq!(indexes(&reply), [1, 4, 100], "the secret is hidden");
        assert_eq!(json["values"][1]["data"], json!({"format": "string", "value": "a@b"}));
        assert_eq!(json["values"][1]["ttl"], json!(60));
        assert_eq!(json["values"][2]["data"]["value"]["permissions"], json!("011111110011"));
        assert!(json["values"][0]["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{json}");
        assert!(!reply.text().contains(SECRET));
    }
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_selects_by_index_and_type_together() {
    let front_end = open().await;
    let client = front_end.plain();
    for (query, expected) in [
        ("index=100&type=URL", vec![1, 100]),
        ("type=EMAIL.", vec![4]),
        ("type=email.work&index=4", vec![4]),
        ("auth=true&index=1&cert=true", vec![1]),
    ] {
        let reply = client.get(&format!("/api/handles/88.118.8/SN1?{query}")).await;
        assert_eq!((reply.verdict(), indexes(&reply)), ((200, 1), expected), "{query}");
    }
    let empty = client.get("/api/handles/88.118.8/SN1?index=7").await;
    assert_eq!((empty.verdict(), indexes(&empty)), ((200, 200), vec![]));
    let by_body = client.post("/api/handles/88.118.8/SN1", Some(json!({"index": [1, "4"]}))).await;
    assert_eq!((by_body.verdict(), indexes(&by_body)), ((200, 1), vec![1, 4]));
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_has_its_own_code() {
    let front_end = open().await;
    let client = front_end.plain();
    for (path, verdict) in [
        ("/api/handles/88.118.8/none", (404, 100)),
        ("/api/handles/0.NA/88.118.8", (404, 100)),
        ("/api/handles/88.118.8", (404, 100)),
        ("/api/handles/99.1/x", (400, 301)),
        ("/api/handles/", (400, 102)),
        ("/api/handles", (400, 102)),
        ("/api/handles/88..8/x", (400, 102)),
        ("/api/handles/88.118.8/", (400, 102)),
        ("/api/handles/88.118.8/SN1?index=0", (400, 4)),
        ("/api/handles/88.118.8/SN1?index=x", (400, 4)),
        ("/api/handles/%FF%FE/x", (400, 4)),
        ("/api/handles/88.118.8/SN1?publicOnly=false", (401, 402)),
        ("/api/none", (404, 4)),
        ("/api", (404, 4)),
    ] {
        assert_eq!(client.get(path).await.verdict(), verdict, "{path}");
    }
    let absent = client.get("/api/handles/88.118.8/none").await;
    assert_eq!(absent.json(), json!({"responseCode": 100, "handle": "88.118.8/none"}));
    let empty = client.get("/api/handles/").await;
    assert_eq!(empty.json(), json!({"responseCode": 102, "message": "Empty handle invalid"}));
    front_end.close().await;
}

/// Without proof only public values are meant; with `publicOnly=false` leaving one out is no answer.
#[tokio::test(flavor = "multi_thread")]
async fn hidden_values_are_shown_to_those_who_may_read_them() {
    let front_end = open().await;
    let path = "/api/handles/88.118.8/SN1";
    let asked = front_end.tls().get(&format!("{path}?publicOnly=false")).await;
    assert_eq!(asked.verdict(), (401, 402));
    let reader = front_end.tls().bearer(&front_end.token());
    assert_eq!(indexes(&reader.get(path).await), [1, 4, 100, 301]);
    assert_eq!(indexes(&reader.get(&format!("{path}?publicOnly")).await), [1, 4, 100]);
    let shown = reader.get(&format!("{path}?index=301")).await.json();
    assert_eq!(shown["values"][0]["permissions"], json!("1100"));
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_is_as_scripts_and_people_wish_it() {
    let front_end = open().await;
    let path = "/api/handles/88.118.8/SN1?index=1";
    let plain = front_end.plain().get(path).await;
    let script = front_end.plain().get(&format!("{path}&callback=a.b%5B0%5D(alert)")).await;
    assert_eq!(script.header("content-type"), Some("application/javascript;charset=utf-8"));
    assert_eq!(script.text(), format!("a.b[0]_alert_({});", plain.text()));
    let absent = front_end.plain().get("/api/handles/88.118.8/none?callback=f").await;
    assert_eq!(
        (absent.status, absent.text()),
        (404, "f({\"responseCode\":100,\"handle\":\"88.118.8/none\"});")
    );
    let pretty = front_end.plain().get(&format!("{path}&pretty")).await;
    assert!(pretty.text().starts_with("{\n  \"responseCode\": 1,\n"), "{}", pretty.text());
    assert_eq!(pretty.json(), plain.json());
    let head = front_end.plain().ask("HEAD", path, None).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(plain.body.len().to_string().as_str()));
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_that_a_path_does_not_take_is_answered_by_those_it_takes() {
    let front_end = open().await;
    for (verb, path, allow) in [
        ("PATCH", "/api/handles/88.118.8/SN1", "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
        ("QUERY", "/api/handles/88.118.8/SN1", "GET, HEAD, POST, PUT, DELETE, OPTIONS"),
        ("TRACE", "/api/handles", "GET, HEAD, POST, OPTIONS"),
        ("PUT", "/88.118.8/SN1", "GET, HEAD, POST, OPTIONS"),
        ("PUT", "/", "GET, HEAD, POST, OPTIONS"),
    ] {
        let reply = front_end.plain().ask(verb, path, None).await;
        assert_eq!(reply.verdict(), (405, 4), "{verb} {path}");
        assert_eq!(reply.header("allow"), Some(allow), "{verb} {path}");
    }
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_of_any_origin_may_ask() {
    let front_end = open().await;
    let client = front_end.plain().with("Origin", "https://elsewhere.example");
    let preflight = client
        .with("Access-Control-Request-Method", "PUT")
        .with("Access-Control-Request-Headers", "authorization")
        .ask("OPTIONS", "/api/handles/88.118.8/SN1", None)
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, POST, HEAD, PUT, DELETE"));
    assert_eq!(preflight.header("access-control-max-age"), Some("86400"));
    assert_eq!(preflight.header("access-control-allow-credentials"), None);
    let headers = preflight.header("access-control-allow-headers").expect("headers");
    assert_eq!(
        headers,
        "X-Requested-With, Authorization, Origin, Accept, Content-Type, If-Match, If-None-Match"
    );
    for path in ["/api/handles/88.118.8/SN1", "/api/handles/88.118.8/none"] {
        let reply = client.get(path).await;
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{path}");
    }
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_is_a_web_address() {
    let front_end = open().await;
    let client = front_end.plain();
    let visit = client.get("/88.118.8/SN1").await;
    assert_eq!((visit.status, visit.header("location")), (302, Some("http://a")));
    let encoded = client.get("/88.118.8%2FSN1").await;
    assert_eq!((encoded.status, encoded.header("location")), (302, Some("http://a")));
    let token = front_end.token();
    let values = json!([{"index": 1, "type": "DESC", "data": "<script>alert(1)</script>"}]);
    let path = "/api/handles/88.118.8/no%20url%3F";
    assert_eq!(front_end.tls().bearer(&token).put(path, values).await.verdict(), (201, 1));
    let without = client.get("/88.118.8/no%20url%3F").await;
    assert_eq!((without.status, without.header("location")), (302, Some(path)));
    let record = client.get("/88.118.8/SN1?noredirect").await;
    assert_eq!((record.verdict(), indexes(&record)), ((200, 1), vec![1, 4, 100]));
    let browser = client.with("Accept", "text/html,application/xhtml+xml");
    let page = browser.get("/88.118.8/no%20url%3F?noredirect").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(
        page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'"))
    );
    assert!(page.text().contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{}", page.text());
    assert!(!page.text().contains("<script>"), "{}", page.text());
    assert_eq!(client.get("/88.118.8/none").await.verdict(), (404, 100));
    assert_eq!(client.get("/").await.status, 404);
    front_end.close().await;
}
