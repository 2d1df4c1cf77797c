//! PUT and DELETE: commands on a handle, and what they reply.

use serde_json::{Value as Json, json};

use super::front_end::{Client, FrontEnd, Reply};

const PATH: &str = "/api/handles/88.118.8/SN1";

fn url(data: &str) -> Json {
    json!([{"index": 1, "type": "URL", "data": {"format": "string", "value": data}}])
}

/// Indexes and texts of a record.
async fn record(client: &Client, path: &str) -> Vec<(u64, String)> {
    let json = client.get(path).await.json();
    let values = json.pointer("/values").and_then(Json::as_array).cloned().unwrap_or_default();
    let text =
        |value: &Json| value.pointer("/data/value").and_then(Json::as_str).unwrap_or("structured").to_owned();
    let index = |value: &Json| value.get("index").and_then(Json::as_u64).expect("an index");
    values.iter().map(|value| (index(value), text(value))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_record_is_created_replaced_and_removed() {
    let front_end = FrontEnd::open().await;
    let client = front_end.tls().bearer(&front_end.token());
    let created = client.put(PATH, url("http://a")).await;
    assert_eq!((created.status, created.json()), (201, json!({"responseCode": 1, "handle": "88.118.8/SN1"})));
    let spelled = client.put("/api/handles/88.118.8%2Fsn1", json!({"values": url("http://b")})).await;
    assert_eq!((spelled.status, spelled.json()), (200, json!({"responseCode": 1, "handle": "88.118.8/sn1"})));
    let one = json!({"handle": "88.118.8/SN1", "values": url("http://c")});
    assert_eq!(client.put(&format!("{PATH}?overwrite=true"), one).await.verdict(), (200, 1));
    let single = json!({"index": 2, "type": "DESC", "data": "d"});
    assert_eq!(client.put(PATH, single).await.verdict(), (200, 1));
    assert_eq!(record(&client, PATH).await, [(2, "d".to_owned())]);
    let exists = client.put(&format!("{PATH}?overwrite=false"), url("http://e")).await;
    assert_eq!(exists.verdict(), (409, 101));
    assert_eq!(
        client.put("/api/handles/88.118.8/SN2?overwrite=false", url("http://e")).await.verdict(),
        (201, 1)
    );

    let removed = client.delete(PATH).await;
    assert_eq!((removed.status, removed.json()), (200, json!({"responseCode": 1, "handle": "88.118.8/SN1"})));
    assert_eq!(client.get(PATH).await.verdict(), (404, 100));
    assert_eq!(client.delete(PATH).await.verdict(), (404, 100));
    front_end.close().await;
}

/// What is misspelled would do something else than was meant.
#[tokio::test(flavor = "multi_thread")]
async fn a_misspelled_command_does_nothing() {
    let front_end = FrontEnd::open().await;
    let client = front_end.tls().bearer(&front_end.token());
    let secret = json!([{"index": 1, "type": "NOTE", "data": "x", "premissions": "1100"}]);
    let refused = client.put(PATH, secret).await;
    assert_eq!(refused.verdict(), (400, 4));
    assert!(refused.text().contains("did you mean \\\"permissions\\\"?"), "{refused:?}");
    let twice =
        br#"[{"index": 1, "type": "NOTE", "data": "x", "permissions": "1100", "permissions": "1110"}]"#;
    let refused = client.ask("PUT", PATH, Some(twice)).await;
    assert_eq!(refused.verdict(), (400, 4));
    assert!(refused.text().contains("the member \\\"permissions\\\" is given twice"), "{refused:?}");
    assert_eq!(client.get(PATH).await.verdict(), (404, 100));
    assert_eq!(client.put(PATH, url("a")).await.verdict(), (201, 1));
    for (verb, query, meant) in [
        ("PUT", "overwite=false", "overwrite"),
        ("PUT", "indx=2", "index"),
        ("DELETE", "indxe=1", "index"),
        ("DELETE", "type=URL", "known are index"),
    ] {
        let body = url("b").to_string();
        let refused = client.ask(verb, &format!("{PATH}?{query}"), Some(body.as_bytes())).await;
        assert_eq!(refused.verdict(), (400, 4), "{verb} {query}");
        assert!(refused.text().contains(meant), "{refused:?}");
    }
    assert_eq!(client.post("/api/prefixes/88.121?registrant=a", None).await.verdict(), (400, 4));
    for path in [format!("{PATH}%zz1"), format!("{PATH}%ff")] {
        let refused = client.put(&path, url("b")).await;
        assert_eq!(refused.verdict(), (400, 4), "{path}");
        assert!(refused.text().contains("the path is"), "{refused:?}");
    }
    let refused = client.get(&format!("{PATH}?type=UR%ff")).await;
    assert_eq!(refused.verdict(), (400, 4));
    assert!(refused.text().contains("the parameter \\\"type\\\" is not UTF-8"), "{refused:?}");
    let refused = client.put(PATH, json!([{"index": 4_294_967_297_u64, "type": "X", "data": "x"}])).await;
    assert_eq!(refused.verdict(), (400, 202));
    assert!(refused.text().contains("index 4294967297 is not from 1 to 2147483647"), "{refused:?}");
    assert_eq!(record(&client, PATH).await, [(1, "a".to_owned())]);
    front_end.close().await;
}

/// A misspelled `mintNewSuffix` on a name without a slash would otherwise overwrite the record of the prefix.
#[tokio::test(flavor = "multi_thread")]
async fn the_record_of_a_prefix_does_not_lose_its_administrators_by_accident() {
    let front_end = FrontEnd::open().await;
    let client = front_end.tls().bearer(&front_end.token());
    let record = json!([
        {"index": 1, "type": "URL", "data": "http://a"},
        {"index": 100, "type": "HS_ADMIN", "data": {"format": "admin",
            "value": {"handle": "0.NA/88.118.8", "index": 300, "permissions": "111111111111"}}},
    ]);
    assert_eq!(client.put("/api/handles/0.NA/88.118.8", record).await.verdict(), (201, 1));
    let refused = client.put("/api/handles/88.118.8?mintnewsuffix=true", url("http://b")).await;
    assert_eq!(refused.verdict(), (400, 4));
    assert!(refused.text().contains("did you mean \\\"mintNewSuffix\\\"?"), "{refused:?}");
    let refused = client.put("/api/handles/88.118.8", url("http://b")).await;
    assert_eq!(refused.verdict(), (400, 202));
    assert!(refused.text().contains("withoutAdministrator"), "{refused:?}");
    let refused =
        client.put("/api/handles/88.118.8?overwrite=false&withoutAdministrator=true", url("http://b")).await;
    assert_eq!(refused.verdict(), (400, 4));
    let said = client.put("/api/handles/88.118.8?withoutAdministrator=true", url("http://b")).await;
    assert_eq!(said.verdict(), (200, 1));
    front_end.close().await;
}

/// A question with a misspelled parameter would show something else than was meant.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_of_the_api_refuses_parameters_that_it_does_not_know() {
    let front_end = FrontEnd::open().await;
    let client = front_end.tls().bearer(&front_end.token());
    assert_eq!(client.put(PATH, url("http://a")).await.verdict(), (201, 1));
    for (path, meant) in [
        (format!("{PATH}?publiconly=true"), "publicOnly"),
        ("/api/handles?prefix=88.118.8&pagesize=1".to_owned(), "pageSize"),
        ("/api/prefixes?pagsize=1".to_owned(), "pageSize"),
        ("/api/site?prety".to_owned(), "pretty"),
        ("/api/sites?prety".to_owned(), "pretty"),
        ("/api/sessions/this?prety".to_owned(), "pretty"),
        ("/api/verifications/301:88.118.8/a?nonse=AAAA".to_owned(), "nonce"),
    ] {
        let refused = client.get(&path).await;
        assert_eq!(refused.verdict(), (400, 4), "{path}");
        assert!(refused.text().contains(&format!("did you mean \\\"{meant}\\\"?")), "{path}: {refused:?}");
    }
    for (path, body) in
        [(PATH, json!({"indexes": [1]})), ("/api/handles", json!({"prefix": "88.118.8", "pages": 1}))]
    {
        let refused = client.post(path, Some(body)).await;
        assert_eq!(refused.verdict(), (400, 4), "{path}: {refused:?}");
    }
    // What scripts add against caches, and what other servers know, is ignored.
    assert_eq!(client.get(&format!("{PATH}?_=1700000000&cert=true&auth=true")).await.verdict(), (200, 1));
    front_end.close().await;
}

/// RFC 9110 section 5.3, RFC 9112 sections 6.1 and 7.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_two_readers_could_understand_in_two_ways_is_refused() {
    let front_end = FrontEnd::open().await;
    let token = format!("Bearer {}", front_end.token());
    let body = url("a").to_string();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let head = format!(
        "PUT {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {token}\r\n\
        Content-Type: application/json\r\n"
    );
    for (fields, expected) in [
        ("Transfer-Encoding: gzip, chunked\r\n".to_owned(), (501, 5)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n".to_owned(), (400, 4)),
        (format!("Transfer-Encoding: chunked\r\nAuthorization: {token}\r\n"), (400, 4)),
        ("Transfer-Encoding: chunked\r\nContent-Type: text/plain\r\n".to_owned(), (400, 4)),
        ("Transfer-Encoding: chunked\r\n".to_owned(), (201, 1)),
    ] {
        let request = format!("{head}{fields}\r\n{chunked}");
        let reply = Reply::parse(&front_end.plain().send(request.as_bytes()).await);
        assert_eq!(reply.verdict(), expected, "{fields}");
    }
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_values_are_added_replaced_and_removed() {
    let front_end = FrontEnd::open().await;
    let client = front_end.tls().bearer(&front_end.token());
    let two = json!([{"index": 1, "type": "URL", "data": "b"}, {"index": 7, "type": "X", "data": "x"}]);
    let by_index = format!("{PATH}?index=1&index=7&overwrite=true");
    assert_eq!(client.put(&by_index, two.clone()).await.verdict(), (404, 100), "no record to write into");
    assert_eq!(client.put(PATH, url("a")).await.verdict(), (201, 1));
    assert_eq!(client.put(&by_index, two.clone()).await.verdict(), (200, 1));
    assert_eq!(record(&client, PATH).await, [(1, "b".to_owned()), (7, "x".to_owned())]);
    assert_eq!(client.put(&format!("{PATH}?index=1"), two.clone()).await.verdict(), (400, 4), "mismatched");
    assert_eq!(client.put(&format!("{PATH}?index=various"), two.clone()).await.verdict(), (200, 1));
    let taken = client.put(&format!("{PATH}?index=various&overwrite=false"), two).await;
    assert_eq!(taken.verdict(), (409, 201));
    let third = json!({"index": 9, "type": "Y", "data": "y"});
    assert_eq!(
        client.put(&format!("{PATH}?index=9&overwrite=false"), third.clone()).await.verdict(),
        (201, 1)
    );
    assert_eq!(client.put(&format!("{PATH}?index=9"), third).await.verdict(), (200, 1), "it was there");
    let fourth = json!({"index": 10, "type": "Y", "data": "y"});
    let added = client.put(&format!("{PATH}?index=10"), fourth).await;
    assert_eq!(added.verdict(), (201, 1), "nothing was overwritten");
    assert_eq!(client.delete(&format!("{PATH}?index=10")).await.verdict(), (200, 1));

    assert_eq!(client.delete(&format!("{PATH}?index=1&index=8")).await.verdict(), (400, 200));
    assert_eq!(client.delete(&format!("{PATH}?index=1&index=9")).await.verdict(), (200, 1));
    assert_eq!(record(&client, PATH).await, [(7, "x".to_owned())]);
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_suffix_is_minted() {
    let front_end = FrontEnd::open().await;
    let client = front_end.tls().bearer(&front_end.token());
    for (path, start) in [
        ("/api/handles/88.118.8?mintNewSuffix=true", "88.118.8/"),
        ("/api/handles/88.118.8/?mintNewSuffix", "88.118.8/"),
        ("/api/handles/88.118.8/SN-?mintNewSuffix=true&overwrite=false", "88.118.8/SN-"),
    ] {
        let minted = client.put(path, url("http://a")).await;
        assert_eq!(minted.verdict(), (201, 1), "{path}");
        let handle = minted.json()["handle"].as_str().expect("a handle").to_owned();
        assert!(handle.starts_with(start) && handle.len() > start.len() + 20, "{handle}");
        assert_eq!(record(&client, &format!("/api/handles/{handle}")).await, [(1, "http://a".to_owned())]);
    }
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_needs_proof() {
    let front_end = FrontEnd::open().await;
    let asked = front_end.tls().put(PATH, url("a")).await;
    assert_eq!(asked.verdict(), (401, 402));
    let schemes: Vec<&str> = asked.all("www-authenticate").collect();
    assert!(schemes.contains(&"Basic realm=\"handle\""), "{schemes:?}");
    let script = front_end.tls().with("X-Requested-With", "XMLHttpRequest").put(PATH, url("a")).await;
    assert!(!script.all("www-authenticate").any(|scheme| scheme.starts_with("Basic")), "{script:?}");
    let plain = front_end.plain().put(PATH, url("a")).await;
    assert_eq!(plain.verdict(), (401, 402));
    let schemes: Vec<&str> = plain.all("www-authenticate").collect();
    assert_eq!(schemes, ["Bearer realm=\"idnode\""], "of what is accepted over plain text");
    let unknown = front_end.plain().bearer("idn_0000000000000000_00").put(PATH, url("a")).await;
    assert_eq!(unknown.verdict(), (401, 402));
    let schemes: Vec<&str> = unknown.all("www-authenticate").collect();
    assert_eq!(schemes, ["Bearer realm=\"idnode\", error=\"invalid_token\""], "RFC 6750 section 3.1");
    assert_eq!(front_end.tls().delete(PATH).await.verdict(), (401, 402));
    let wrong = front_end.tls().bearer("idn_0000000000000000_00").put(PATH, url("a")).await;
    assert_eq!(wrong.verdict(), (401, 402));
    // From this machine nobody overhears a token.
    assert_eq!(front_end.plain().bearer(&front_end.token()).put(PATH, url("a")).await.verdict(), (201, 1));
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_refused_by_its_own_code() {
    let front_end = FrontEnd::open().await;
    let client = front_end.tls().bearer(&front_end.token());
    let value = |index: Json| json!({"index": index, "type": "URL", "data": "x"});
    for (body, verdict) in [
        (json!([value(json!(0))]), (400, 202)),
        (json!([value(json!(-1))]), (400, 202)),
        (json!([value(json!(2_147_483_648_u64))]), (400, 202)),
        (json!([value(json!(1)), value(json!(1))]), (409, 201)),
        (json!([{"index": 1, "type": "", "data": "x"}]), (400, 202)),
        (json!([{"index": 1, "type": "HS_SECKEY", "data": "x", "permissions": "1110"}]), (400, 202)),
        (json!([{"index": 1, "type": "URL", "data": ["a", "b"]}]), (400, 4)),
        (json!([{"index": 1, "type": "URL"}]), (400, 4)),
        (json!([{"type": "URL", "data": "x"}]), (400, 4)),
        (json!({"handle": "88.118.8/other", "values": []}), (400, 4)),
        (json!("values"), (400, 4)),
    ] {
        assert_eq!(client.put(PATH, body.clone()).await.verdict(), verdict, "{body}");
    }
    assert_eq!(client.put("/api/handles/88..8/x", url("a")).await.verdict(), (400, 102));
    assert_eq!(client.put("/api/handles/99.1/x", url("a")).await.verdict(), (400, 301));
    let text = client.with("Content-Type", "text/plain").put(PATH, url("a")).await;
    assert_eq!(text.verdict(), (415, 4));
    assert_eq!(client.get(PATH).await.verdict(), (404, 100), "nothing was written");
    front_end.close().await;
}
