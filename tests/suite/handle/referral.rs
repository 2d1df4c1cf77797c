//! Referrals: clients that follow them are sent on, others are answered by asking there for them.

use idnode::wire::handle::body::{HandleOnly, Referral};
use idnode::wire::handle::code::{OpCode, OpFlags, Version};
use idnode::wire::handle::site::SiteRecord;

use crate::support::handle::{Request, TcpClient};
use crate::support::tree::Tier;

/// An upper node that delegates `88.118.8` to a lower one, with an identifier there.
async fn tree() -> (Tier, Tier) {
    let upper = Tier::top().await;
    upper.home("88.118").await;
    let lower = Tier::below(&upper, &["88.118.8"]).await;
    lower.home("88.118.8").await;
    lower.register("88.118.8/SN1", "https://factory.example/1", 60).await;
    lower.settled();
    (upper, lower)
}

fn connect(tier: &Tier) -> TcpClient {
    TcpClient::connect(tier.node().handle_addr().expect("a Handle address"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_follows_is_referred_to_the_site() {
    let (mut upper, mut lower) = tree().await;
    let mut client = connect(&upper);
    for (handle, code) in [("88.118.8/SN1", 302), ("0.NA/88.118.8.5", 303)] {
        let response = client.ask(&Request::resolve(handle).without(OpFlags::RECURSIVE));
        assert_eq!(response.code(), code, "{handle}");
        let message = response.decoded();
        let referral = Referral::decode(message.body).expect("a referral");
        assert_eq!(referral.handle, b"0.NA/88.118.8");
        let site = referral.values.first().expect("a site");
        assert_eq!(site.value_type, b"HS_SITE");
        let site = SiteRecord::decode(site.data).expect("a site");
        let port = site.servers.first().and_then(|server| server.interfaces.first()).expect("TCP").port;
        assert_eq!(port, 2641, "the port that the lower node announces");
    }
    let alone = Request::resolve("88.118.8/SN1").without(OpFlags::RECURSIVE).with(OpFlags::NO_REFERRAL);
    assert_eq!(client.ask(&alone).code(), 301, "it does not want to be referred");
    lower.stop().await;
    upper.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_answered_by_asking_for_them() {
    let (mut upper, mut lower) = tree().await;
    let mut client = connect(&upper);
    let expected = [(1, "https://factory.example/1".to_owned())];
    let response = client.ask(&Request::resolve("88.118.8/SN1"));
    assert_eq!(response.values().1, expected);
    assert!(!response.decoded().header.flags.has(OpFlags::AUTHORITATIVE), "another node keeps it");
    // Clients before 2.10 do not know what to make of a referral by prefix.
    let mut old = Request::resolve("88.118.8/SN1").without(OpFlags::RECURSIVE);
    old.envelope.version = Version::V2_4;
    old.envelope.suggested = Version::V2_4;
    assert_eq!(client.ask(&old).values().1, expected);
    let mut passed_on = Request::resolve("88.118.8/SN1");
    passed_on.header.recursion = 10;
    assert_eq!(client.ask(&passed_on).code(), 6);
    assert_eq!(client.ask(&Request::resolve("77.7/x")).code(), 301, "nobody knows it");
    lower.stop().await;
    upper.stop().await;
}

/// Whoever can go to the site itself is referred there when it does not answer; only others get an error.
#[tokio::test(flavor = "multi_thread")]
async fn clients_are_referred_to_a_site_that_does_not_answer() {
    let (mut upper, mut lower) = tree().await;
    lower.stop().await;
    let mut client = connect(&upper);
    let response = client.ask(&Request::resolve("88.118.8/SN1"));
    assert_eq!(response.code(), 302);
    let referral = Referral::decode(response.decoded().body).expect("a referral").values.len();
    assert_eq!(referral, 1);
    let declined = client.ask(&Request::resolve("88.118.8/SN1").with(OpFlags::NO_REFERRAL));
    assert_eq!(declined.code(), 2);
    assert!(declined.sentence().contains("gave no answer that can be used"), "{}", declined.sentence());
    let mut old = Request::resolve("88.118.8/SN1");
    old.envelope.version = Version::V2_4;
    old.envelope.suggested = Version::V2_4;
    assert_eq!(client.ask(&old).code(), 2, "it cannot follow");
    upper.stop().await;
}

/// The national resolver asks for the bare prefix and goes to the first TCP interface of its site.
#[tokio::test(flavor = "multi_thread")]
async fn a_bare_prefix_names_the_site_that_serves_it() {
    let (mut upper, mut lower) = tree().await;
    for (tier, prefix) in [(&upper, "88.118.8"), (&lower, "88.118.8"), (&upper, "88.118")] {
        let response = connect(tier).ask(&Request::select(prefix, &[], &["HS_SITE"]));
        assert_eq!(response.values().0, prefix, "the handle as it was asked for");
        assert_eq!(response.values().1.len(), 1);
    }
    let site = connect(&lower).ask(&Request::new(OpCode::GET_SITE_INFO, HandleOnly(b"/").encode()));
    let record = SiteRecord::decode(site.decoded().body).expect("a site");
    assert_eq!(record.servers.len(), 1);
    lower.stop().await;
    upper.stop().await;
}
