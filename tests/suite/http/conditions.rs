//! Conditional requests (RFC 9110 section 13): what a client saw is what it changes.

use serde_json::{Value as Json, json};

use super::front_end::{Client, FrontEnd, Reply};

const PATH: &str = "/api/handles/88.118.8/SN1";

fn url(data: &str) -> Json {
    json!([{"index": 1, "type": "URL", "data": data}])
}

/// A node with one record, a client that may change it, and the tag of the record's state.
async fn open() -> (FrontEnd, Client, String) {
    let front_end = FrontEnd::open().await;
    let writer = front_end.tls().bearer(&front_end.token());
    assert_eq!(writer.put(PATH, url("https://a.example/")).await.verdict(), (201, 1));
    let tag = tag_of(&writer.get(PATH).await);
    (front_end, writer, tag)
}

fn tag_of(reply: &Reply) -> String {
    let tag = reply.header("etag").unwrap_or_else(|| panic!("no tag: {reply:?}"));
    assert!(tag.starts_with('"') && tag.ends_with('"'), "a strong tag (section 8.8.3): {tag}");
    tag.to_owned()
}

async fn present(client: &Client) -> String {
    let json = client.get(PATH).await.json();
    json.pointer("/values/0/data/value").and_then(Json::as_str).unwrap_or("absent").to_owned()
}

/// RFC 9110 section 13.1.1: "the origin server MUST NOT perform the requested method if the selected representation does
/// not match any of the listed entity tags".
#[tokio::test(flavor = "multi_thread")]
async fn rfc_9110_13_1_1_a_write_that_names_another_state_changes_nothing() {
    let (front_end, writer, seen) = open().await;
    let conditioned = writer.with("If-Match", &seen);
    assert_eq!(conditioned.put(PATH, url("https://b.example/")).await.verdict(), (200, 1));
    // The state that was seen is gone: neither form of change is performed.
    for refused in [
        conditioned.put(PATH, url("https://c.example/")).await,
        conditioned.put(&format!("{PATH}?index=1"), url("https://c.example/")).await,
        conditioned.delete(&format!("{PATH}?index=1")).await,
        conditioned.delete(PATH).await,
        writer.with("If-Match", &format!("W/{seen}, \"other\"")).delete(PATH).await,
    ] {
        assert_eq!(refused.verdict(), (412, 4), "{refused:?}");
    }
    assert_eq!(present(&writer).await, "https://b.example/");
    let now = tag_of(&writer.get(PATH).await);
    let either = writer.with("If-Match", &format!("{seen}, {now}"));
    assert_eq!(either.put(&format!("{PATH}?index=1"), url("https://d.example/")).await.verdict(), (200, 1));
    let now = tag_of(&writer.get(PATH).await);
    assert_eq!(writer.with("If-Match", &now).delete(PATH).await.verdict(), (200, 1));
    front_end.close().await;
}

/// RFC 9110 section 13.1.1: "If the field value is "*", the condition is false if the origin server does not have a current
/// representation for the target resource."
#[tokio::test(flavor = "multi_thread")]
async fn rfc_9110_13_1_1_any_state_is_enough_but_there_must_be_one() {
    let (front_end, writer, seen) = open().await;
    let any = writer.with("If-Match", "*");
    assert_eq!(any.put(PATH, url("https://b.example/")).await.verdict(), (200, 1));
    let absent = "/api/handles/88.118.8/none";
    assert_eq!(any.put(absent, url("https://c.example/")).await.verdict(), (412, 100));
    let named = writer.with("If-Match", &seen).put(absent, url("https://c.example/")).await;
    assert_eq!(named.verdict(), (412, 4));
    assert_eq!(writer.get(absent).await.verdict(), (404, 100));
    let minting = "/api/handles/88.118.8?mintNewSuffix=true";
    assert_eq!(any.put(minting, url("https://c.example/")).await.verdict(), (412, 100));
    assert_eq!(any.delete(PATH).await.verdict(), (200, 1));
    front_end.close().await;
}

/// RFC 9110 section 13.1.2: "If-None-Match can also be used with a value of "*" to prevent an unsafe request method [...]
/// from inadvertently modifying an existing representation".
#[tokio::test(flavor = "multi_thread")]
async fn rfc_9110_13_1_2_what_must_not_exist_is_not_overwritten() {
    let (front_end, writer, seen) = open().await;
    let only_new = writer.with("If-None-Match", "*");
    for refused in [
        only_new.put(PATH, url("https://b.example/")).await,
        only_new.put(&format!("{PATH}?index=2"), json!([{"index": 2, "type": "URL", "data": "x"}])).await,
        only_new.delete(PATH).await,
    ] {
        assert_eq!(refused.verdict(), (412, 101), "{refused:?}");
        assert!(refused.text().contains("leave the header out to change what exists"), "{refused:?}");
    }
    let other_than_seen = writer.with("If-None-Match", &seen);
    assert_eq!(other_than_seen.put(PATH, url("https://b.example/")).await.verdict(), (412, 4));
    assert_eq!(present(&writer).await, "https://a.example/");
    assert_eq!(only_new.put("/api/handles/88.118.8/new", url("x")).await.verdict(), (201, 1));
    assert_eq!(writer.put(PATH, url("https://b.example/")).await.verdict(), (200, 1));
    assert_eq!(other_than_seen.put(PATH, url("https://c.example/")).await.verdict(), (200, 1));
    // Without a condition a conflict stays one.
    let unchanged = writer.put(&format!("{PATH}?overwrite=false"), url("https://d.example/")).await;
    assert_eq!(unchanged.verdict(), (409, 101));
    front_end.close().await;
}

/// RFC 9110 section 13.1.2: "Recipients MUST use the weak comparison function"; section 15.4.5: 304 with the tag.
#[tokio::test(flavor = "multi_thread")]
async fn rfc_9110_13_1_2_a_representation_that_the_client_has_is_not_sent_again() {
    let (front_end, writer, _) = open().await;
    let client = front_end.plain();
    let tag = tag_of(&client.get(PATH).await);
    for held in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
        for verb in ["GET", "HEAD"] {
            let unchanged = client.with("If-None-Match", &held).ask(verb, PATH, None).await;
            assert_eq!((unchanged.status, unchanged.header("etag")), (304, Some(tag.as_str())), "{held}");
            assert_eq!(unchanged.body, b"", "{held}");
        }
    }
    assert_eq!(client.with("If-None-Match", "\"other\"").get(PATH).await.verdict(), (200, 1));
    assert_eq!(client.with("If-Match", &tag).get(PATH).await.verdict(), (200, 1));
    assert_eq!(client.with("If-Match", "\"other\"").get(PATH).await.verdict(), (412, 4));
    assert_eq!(writer.put(PATH, url("https://b.example/")).await.verdict(), (200, 1));
    let changed = client.with("If-None-Match", &tag).get(PATH).await;
    assert_eq!(changed.verdict(), (200, 1));
    assert_ne!(tag_of(&changed), tag);
    assert_eq!(
        client.with("If-None-Match", "*").get("/api/handles/88.118.8/none").await.verdict(),
        (404, 100)
    );
    front_end.close().await;
}

/// RFC 9110 section 8.8.1: a strong validator differs between two representations that differ; section 13.2.1: a request
/// that would not succeed anyway is not answers how its condition stands.
#[tokio::test(flavor = "multi_thread")]
async fn rfc_9110_13_2_1_conditions_follow_the_representation_and_come_after_the_caller() {
    let (front_end, writer, seen) = open().await;
    let hidden = json!([{"index": 301, "type": "HS_SECKEY", "data": "password"}]);
    assert_eq!(writer.put(&format!("{PATH}?index=301"), hidden).await.verdict(), (201, 1));
    let (own, public) = (tag_of(&writer.get(PATH).await), tag_of(&front_end.plain().get(PATH).await));
    assert_ne!(own, public, "one shows a hidden value, the other does not");
    for condition in [seen.as_str(), own.as_str()] {
        let unproven = front_end.tls().with("If-Match", condition).put(PATH, url("https://c.example/")).await;
        assert_eq!(unproven.verdict(), (401, 402), "{condition}");
    }
    // Either view names the state that a write is conditioned on.
    let by_public = writer.with("If-Match", &public);
    let written = by_public.put(&format!("{PATH}?index=1"), url("https://c.example/")).await;
    assert_eq!(written.verdict(), (200, 1));
    for unreadable in ["", "7", "\"a", "\"a\", *"] {
        let refused = writer.with("If-Match", unreadable).put(PATH, url("https://d.example/")).await;
        assert_eq!(refused.verdict(), (400, 4), "{unreadable:?}");
    }
    front_end.close().await;
}

/// Of many writers that saw one state, one changes it: the condition holds where the command commits.
#[tokio::test(flavor = "multi_thread")]
async fn of_writers_that_saw_the_same_state_one_wins() {
    let (front_end, writer, seen) = open().await;
    let writes = (0..16).map(|number| {
        let conditioned = writer.with("If-Match", &seen);
        tokio::spawn(
            async move { conditioned.put(PATH, url(&format!("https://{number}.example/"))).await.status },
        )
    });
    let writes: Vec<_> = writes.collect();
    let mut statuses = Vec::new();
    for write in writes {
        statuses.push(write.await.expect("written"));
    }
    statuses.sort_unstable();
    let expected: Vec<u16> = std::iter::once(200).chain([412; 15]).collect();
    assert_eq!(statuses, expected);
    front_end.close().await;
}
