//! Handles that another node keeps: fetched from there, or referred to.
//!
//! ```text
//!     top
//!      | 88.118
//!   enterprise
//! ```

use serde_json::{Value as Json, json};

use super::front_end::Client;
use crate::support::node::admin_token;
use crate::support::tree::Tier;

struct Tree {
    top: Tier,
    _enterprise: Tier,
}

impl Tree {
    async fn grow() -> Self {
        let top = Tier::top().await;
        let enterprise = Tier::below(&top, &["88.118"]).await;
        enterprise.home("88.118").await;
        enterprise.register("88.118/SN1", "https://factory.example/1", 60).await;
        enterprise.settled();
        Self { top, _enterprise: enterprise }
    }

    fn client(&self) -> Client {
        Client::of(self.top.node().http_addr().expect("an HTTP address"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_node_keeps_is_fetched_from_there() {
    let tree = Tree::grow().await;
    let fetched = tree.client().get("/api/handles/88.118/sn1").await;
    assert_eq!(fetched.verdict(), (200, 1));
    assert_eq!(fetched.json()["handle"], json!("88.118/sn1"));
    assert_eq!(fetched.json()["values"][0]["data"]["value"], json!("https://factory.example/1"));
    let visit = tree.client().get("/88.118/SN1").await;
    assert_eq!((visit.status, visit.header("location")), (302, Some("https://factory.example/1")));
    assert_eq!(tree.client().get("/api/handles/88.118/none").await.verdict(), (404, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authoritative_answer_comes_from_its_own_node() {
    let tree = Tree::grow().await;
    let referred = tree.client().get("/api/handles/88.118/SN1?auth=true").await;
    assert_eq!(referred.verdict(), (300, 302));
    let json = referred.json();
    assert_eq!((&json["handle"], &json["referralHandle"]), (&json!("88.118/SN1"), &json!("0.NA/88.118")));
    let site = &json["values"][0];
    assert_eq!((&site["type"], &site["data"]["format"]), (&json!("HS_SITE"), &json!("site")));
    let interfaces = &site["data"]["value"]["servers"][0]["interfaces"];
    assert!(interfaces[0]["port"].as_u64().is_some_and(|port| port > 0), "{json}");
    let prefix = tree.client().get("/api/handles/0.NA/88.118.7?auth").await;
    assert_eq!(prefix.verdict(), (300, 303));
    assert_eq!(tree.client().get("/api/handles/0.NA/88.118?auth").await.verdict(), (200, 1));
    let unreferred = tree.client().get("/api/handles/88.118/SN1?auth=true&doNotRefer=true").await;
    assert_eq!(unreferred.verdict(), (400, 301));
    let token = admin_token(tree.top.node().data_dir());
    let elsewhere = tree.client().bearer(&token);
    let values = json!([{"index": 1, "type": "URL", "data": "x"}]);
    assert_eq!(elsewhere.put("/api/handles/88.118/SN2", values).await.verdict(), (400, 301));
}

/// A person who scanned a code is redirected to the site that holds it, over as many nodes as it takes; a program gets the referral.
#[tokio::test(flavor = "multi_thread")]
async fn people_are_led_to_the_site_that_keeps_an_identifier() {
    let tree = Tree::grow().await;
    let person = tree.client().with("Accept", "text/html,*/*;q=0.8");
    let led = person.get("/88.118/SN%201?auth=true").await;
    // The site below announces the usual port.
    let referred = tree.client().get("/88.118/SN%201?auth=true").await;
    assert_eq!(referred.verdict(), (300, 302), "a program gets the referral");
    let json = referred.json();
    let address = json.pointer("/values/0/data/value/servers/0/address").and_then(Json::as_str);
    let expected = format!("http://{}/88.118/SN%201", address.expect("an address"));
    assert_eq!((led.status, led.header("location")), (302, Some(expected.as_str())), "{led:?}");
    assert!(led.all("vary").any(|names| names == "Accept"), "{led:?}");
    let asked = person.get("/88.118/SN%201?auth=true&urlappend=/page&locatt=id:1").await;
    let expected = format!("{expected}?urlappend=%2Fpage&locatt=id%3A1");
    assert_eq!((asked.status, asked.header("location")), (302, Some(expected.as_str())), "{asked:?}");
    assert!(referred.all("vary").any(|names| names == "Accept"), "{referred:?}");
}
