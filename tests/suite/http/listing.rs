//! Lists of handles, and the node's own site.

use serde_json::{Value as Json, json};

use super::front_end::FrontEnd;
use super::identity::{NOBODY, PASSWORD, SECRET, open};

async fn fill(front_end: &FrontEnd, count: usize) {
    let client = front_end.tls().bearer(&front_end.token());
    for number in 0..count {
        let values = json!([{"index": 1, "type": "URL", "data": "http://a"}]);
        let reply = client.put(&format!("/api/handles/88.118.8/SN{number}"), values).await;
        assert_eq!(reply.verdict(), (201, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_are_listed_by_pages_or_all() {
    let front_end = FrontEnd::open().await;
    fill(&front_end, 5).await;
    let client = front_end.tls().bearer(&front_end.token());
    let list = async |query: &str| client.get(&format!("/api/handles?{query}")).await.json();
    let names = ["88.118.8/SN0", "88.118.8/SN1", "88.118.8/SN2", "88.118.8/SN3", "88.118.8/SN4"];
    let all = json!({"responseCode": 1, "prefix": "88.118.8", "totalCount": "5", "handles": names});
    assert_eq!(list("prefix=88.118.8").await, all);
    assert_eq!(list("prefix=0.NA/88.118.8").await["handles"], json!(names));
    assert_eq!(list("prefix=88.118.8&page=1").await, all, "a page needs its length");
    let page = |page: usize, size: usize, names: &[&str]| json!({"responseCode": 1, "prefix": "88.118.8", "totalCount": "5", "page": page, "pageSize": size, "handles": names});
    assert_eq!(list("prefix=88.118.8&page=0&pageSize=2").await, page(0, 2, &names[..2]));
    assert_eq!(list("prefix=88.118.8&page=2&pageSize=2").await, page(2, 2, &names[4..]));
    assert_eq!(list("prefix=88.118.8&page=3&pageSize=2").await, page(3, 2, &[]));
    assert_eq!(list("prefix=88.118.8&page=4&pageSize=1").await, page(4, 1, &names[4..]));
    assert_eq!(list("prefix=88.118.8&page=9223372036854775807&pageSize=2").await["handles"], json!([]));
    assert_eq!(list("prefix=88.118.8&page=0&pageSize=0").await, page(0, 0, &[]));
    assert_eq!(list("prefix=88.118.8&page=0&pageSize=5").await, page(0, 5, &names));
    let script = client.get("/api/handles?prefix=88.118.8&callback=f").await;
    assert!(
        script.text().starts_with("f({\"responseCode\":1,") && script.text().ends_with("SN4\"]});"),
        "{}",
        script.text()
    );
    let by_body =
        client.post("/api/handles", Some(json!({"prefix": "88.118.8", "page": 0, "pageSize": 2}))).await;
    assert_eq!(by_body.json(), page(0, 2, &names[..2]));
    for (query, verdict) in [
        ("prefix=88..8", (400, 102)),
        ("prefix=99.1", (400, 301)),
        ("prefix=", (400, 102)),
        ("prefix=88.118.8&page=x&pageSize=1", (400, 4)),
        ("prefix=88.118.8&page=0&pageSize=100000", (400, 4)),
        ("prefix=88.118.8&pageSize=10001", (400, 4)),
    ] {
        assert_eq!(client.get(&format!("/api/handles?{query}")).await.verdict(), verdict, "{query}");
    }
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_sent_whole() {
    let front_end = FrontEnd::open().await;
    let directory = front_end.fill_quickly(2_500).await;
    let client = front_end.tls().bearer(&front_end.token());
    let json = client.get("/api/handles?prefix=88.118.8").await.json();
    assert_eq!(json["totalCount"], json!("2500"));
    let found: Vec<&str> =
        json["handles"].as_array().expect("handles").iter().filter_map(Json::as_str).collect();
    assert_eq!(found, directory);
    let page = client.get("/api/handles?prefix=88.118.8&page=2&pageSize=1000").await.json();
    assert_eq!(page["handles"], json!(directory[2_000..]));
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_for_those_who_may_list() {
    let front_end = open().await;
    let path = "/api/handles?prefix=88.118.8";
    assert_eq!(front_end.tls().get(path).await.verdict(), (401, 402));
    let refused = front_end.plain().get(path).await;
    assert_eq!((refused.verdict(), &refused.json()["handle"]), ((401, 402), &json!("88.118.8")));
    assert_eq!(front_end.tls().basic(NOBODY, PASSWORD).get(path).await.verdict(), (403, 400));
    let own = front_end.tls().basic(SECRET, PASSWORD).get(path).await.json();
    assert_eq!(own["handles"], json!(["88.118.8/USER"]));
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_shows_its_site() {
    let front_end = FrontEnd::open().await;
    let port = front_end.address().port();
    let shown = front_end.plain().get("/api/site").await;
    assert_eq!(shown.verdict(), (200, 1));
    assert_eq!(front_end.plain().get("/api/sites").await.json(), shown.json());
    let site = &shown.json()["site"];
    assert_eq!((&site["version"], &site["primarySite"]), (&json!(1), &json!(true)));
    let server = &site["servers"][0];
    assert_eq!(server["address"], json!("127.0.0.1"));
    assert_eq!(
        server["interfaces"],
        json!([{"query": true, "admin": true, "protocol": "HTTP", "port": port}])
    );
    assert_eq!(
        (&server["publicKey"]["format"], &server["publicKey"]["value"]["kty"]),
        (&json!("key"), &json!("RSA"))
    );

    // What is shown can be written as the value of a handle, and is read as it was.
    let values = json!([{"index": 1, "type": "HS_SITE", "data": {"format": "site", "value": site}},
        {"index": 2, "type": "HS_PUBKEY", "data": server["publicKey"]}]);
    let client = front_end.tls().bearer(&front_end.token());
    assert_eq!(client.put("/api/handles/88.118.8/site", values).await.verdict(), (201, 1));
    let read = client.get("/api/handles/88.118.8/site").await.json();
    assert_eq!(
        (&read["values"][0]["data"]["value"], &read["values"][1]["data"]),
        (site, &server["publicKey"])
    );
    front_end.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_interface_describes_itself() {
    let front_end = FrontEnd::open().await;
    let reply = front_end.plain().get("/openapi.json").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    let json = reply.json();
    assert_eq!(json["openapi"], json!("3.1.0"));
    assert!(json["paths"]["/api/handles/{handle}"]["put"]["requestBody"].is_object());
    front_end.close().await;
}
