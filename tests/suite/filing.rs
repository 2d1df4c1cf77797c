//! Filing: what a lower node homes, the upper node delegates to it; through absence, restarts and restores.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use idnode::authority::caller::Caller;
use idnode::backup::Kind;
use idnode::federation::networks::{AllowedNetworks, LoopbackUse};
use idnode::federation::upper::UpperOptions;
use idnode::federation::{Federation, FederationOptions};
use idnode::filing::status::{FilingState, FilingStatus};
use idnode::filing::{self, FilingOptions};
use idnode::model::environment::Jitter;
use idnode::model::limits::SEGMENT_ENTRIES;
use idnode::model::prefix::{Homing, PrefixStatus};
use idnode::model::site::{Ports, Site};
use idnode::registry::command::{Command, PrefixCommand, TokenCommand};
use idnode::store::journal::retention::Retention;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::support::clients::{GrpcClient, http_get};
use crate::support::eventually::eventually;
use crate::support::node::{NodeProcess, admin_token};
use crate::support::tree::{FiledChange, Tier, home, prefix, register};

/// Changes of prefixes among so many changes of identifiers each: homed, suspended, homed for somebody else.
fn mixed(prefixes: usize, identifiers_each: usize) -> Vec<Command> {
    let change = |number: usize| {
        let text = format!("88.118.{}", number / 3);
        match number % 3 {
            0 => home(&text, Some("A factory")),
            1 => Command::Prefix(PrefixCommand::Suspend { prefix: prefix(&text) }),
            _ => home(&text, Some(&format!("Factory {number}"))),
        }
    };
    let among = move |number: usize| {
        (0..identifiers_each)
            .map(move |part| register(&format!("88.118/{number}-{part}"), "https://example.com", 60))
    };
    (0..prefixes).flat_map(|number| [change(number)].into_iter().chain(among(number))).collect()
}

/// The upper node's journal holds what was filed first, then each of these changes once, in this order.
async fn assert_filed_once(upper: &Tier, expected: &[FiledChange]) {
    let found = upper.prefix_changes(None).await.split_off(1);
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_node_files_what_it_homes_and_suspends() {
    let top = Tier::top().await;
    let lower = Tier::below(&top, &["88.118"]).await;
    lower.settled();
    lower.apply(vec![home("88.118", Some("A region"))]).await;
    lower.settled();
    let entry = top.entry("88.118").expect("it was filed");
    assert_eq!(entry.registrant.as_ref().map(|registrant| registrant.name()), Some("A region"));
    let Homing::Delegated(site) = &entry.homing else { panic!("{entry:?}") };
    assert_eq!(site.addresses(), [lower.grpc().ip()]);
    assert_eq!(site.ports().grpc, Some(lower.grpc().port()));
    lower.suspend("88.118").await;
    lower.settled();
    assert_eq!(top.entry("88.118").map(|entry| entry.status), Some(PrefixStatus::Suspended));
    lower.home("88.118").await;
    let status = lower.settled();
    assert_eq!(top.entry("88.118").map(|entry| entry.status), Some(PrefixStatus::Active));
    assert_eq!((status.state, status.last_error, status.counts.filed), (FilingState::Filing, None, 3));
    let (_, page) = http_get(lower.node().addresses().http.first().expect("an address"), "/metrics");
    for line in ["idnode_filing_connected 1", "idnode_filing_lag_entries 0", "idnode_filing_filed_total 3"] {
        assert!(page.lines().any(|found| found == line), "{line} in {page}");
    }
}

/// The upper node stops, many changes are made below, it starts again: everything is filed once, in order.
#[tokio::test(flavor = "multi_thread")]
async fn an_upper_node_that_was_away_gets_everything_once_in_order() {
    let mut top = Tier::top().await;
    let lower = Tier::below(&top, &["88.118"]).await;
    lower.home("88.118").await;
    lower.settled();
    let before = lower.node().store().head();
    top.stop().await;
    lower.apply(mixed(999, 20)).await;
    let status = lower.troubled("cannot be reached");
    assert_eq!((status.state, status.lag_entries), (FilingState::Away, 999 * 21));
    top.go_on().await;
    let status = lower.settled();
    assert_eq!(status.counts.identifiers, 999 * 20);
    let expected = lower.prefix_changes(Some(before)).await;
    assert_eq!(expected.len(), 999);
    assert_filed_once(&top, &expected).await;
}

/// Either side is stopped and started again while filings are under way.
#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_either_side_lose_and_repeat_nothing() {
    let mut top = Tier::top().await;
    let mut lower = Tier::below(&top, &["88.118"]).await;
    lower.home("88.118").await;
    lower.settled();
    let before = lower.node().store().head();
    for (number, portion) in mixed(600, 3).chunks(300).enumerate() {
        lower.apply(portion.to_vec()).await;
        if number % 2 == 0 {
            lower.stop().await;
            lower.go_on().await;
        } else {
            top.stop().await;
            top.go_on().await;
        }
    }
    lower.settled();
    let expected = lower.prefix_changes(Some(before)).await;
    assert_eq!(expected.len(), 600);
    assert_filed_once(&top, &expected).await;
    assert_eq!(lower.filing().counts.resynchronizations, 0, "the bookmark was enough");
}

/// A lower node that is killed again and again while it files: each change arrives once, in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_lower_node_files_each_change_once() {
    let top = Tier::top().await;
    let folder = tempfile::tempdir().expect("a directory");
    let token_file = folder.path().join("upper-token");
    fs::write(&token_file, top.peer_token(&["88.118"]).await).expect("written");
    let settings = [
        format!("upper.address=http://{}", top.grpc()),
        format!("upper.token_file={}", token_file.display()),
        "site.addresses=127.0.0.1".to_owned(),
        "site.grpc_port=7373".to_owned(),
        "site.handle_port=2641".to_owned(),
        "site.http_port=80".to_owned(),
    ];
    let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting.as_str()]).collect();
    let data = folder.path().join("data");
    for round in 0..4 {
        let lower = NodeProcess::start(&data, &arguments);
        let client = GrpcClient::connect(lower.grpc(), Some(&admin_token(&data))).await;
        for number in 0..15 {
            client.home(&format!("88.118.{}", round * 15 + number)).await.expect("homed");
        }
        lower.kill();
    }
    let lower = NodeProcess::start(&data, &arguments);
    eventually("the last is filed", || top.entry("88.118.59"));
    let filed = top.prefix_changes(None).await;
    let prefixes: BTreeSet<&str> = filed.iter().map(|(prefix, ..)| prefix.as_str()).collect();
    assert_eq!((prefixes.len(), filed.len()), (60, 60), "each once");
    assert!(filed.is_sorted_by_key(|(_, _, _, place)| *place), "in order");
    lower.kill();
}

/// A restored lower node files its present state; what it has lost stands and is listed, and the other copy is shut out.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_lower_node_files_anew_and_its_older_copy_is_refused() {
    let top = Tier::top().await;
    let mut lower = Tier::below(&top, &["88.118"]).await;
    lower.home("88.118.1").await;
    lower.settled();
    lower.stop().await;
    let earlier = lower.copy();
    lower.go_on().await;
    lower.home("88.118.2").await;
    lower.suspend("88.118.1").await;
    lower.settled();
    lower.stop().await;
    let later = lower.copy();
    lower.restore(&earlier).await;
    lower.go_on().await;
    lower.home("88.118.3").await;
    let status = lower.settled();
    assert_eq!(status.counts.resynchronizations, 1);
    let prefix_status = |text: &str| top.entry(text).map(|entry| entry.status);
    assert_eq!(prefix_status("88.118.1"), Some(PrefixStatus::Active), "as it was then");
    assert_eq!(prefix_status("88.118.2"), Some(PrefixStatus::Active), "not revoked by itself");
    assert_eq!(top.lost().await, ["88.118.2"]);
    assert_eq!(prefix_status("88.118.3"), Some(PrefixStatus::Active));
    lower.stop().await;
    lower.put_back(&later);
    lower.go_on().await;
    lower.home("88.118.4").await;
    let status = lower.troubled("INCARNATION_SUPERSEDED");
    assert!(status.last_error.is_some_and(|error| error.contains("stop whichever of the two is not wanted")));
    assert_eq!(status.state, FilingState::Ended);
    assert_eq!(prefix_status("88.118.4"), None, "two copies never both file");
}

/// A lower node, stopped, that has filed 88.118.1, was restored from a copy of that time, and has filed 88.118.2; and the copy.
async fn restored_below(top: &Tier) -> (Tier, TempDir) {
    let mut lower = Tier::below(top, &["88.118"]).await;
    lower.home("88.118.1").await;
    lower.settled();
    lower.stop().await;
    let earlier = lower.copy();
    lower.restore(&earlier).await;
    lower.go_on().await;
    lower.home("88.118.2").await;
    lower.settled();
    lower.stop().await;
    (lower, earlier)
}

/// A backup is restored twice. The second store does not continue the first, which has filed: the operator of the upper node decides.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_restore_of_the_same_backup_files_after_a_reset() {
    let top = Tier::top().await;
    let (mut lower, earlier) = restored_below(&top).await;
    lower.restore(&earlier).await;
    lower.go_on().await;
    lower.home("88.118.3").await;
    let status = lower.troubled("INCARNATION_FORKED");
    assert!(status.last_error.is_some_and(|error| error.contains("stop the other store")));
    assert_eq!(status.state, FilingState::Away, "it is tried again");
    let prefix_status = |text: &str| top.entry(text).map(|entry| entry.status);
    assert_eq!((prefix_status("88.118.2"), prefix_status("88.118.3")), (Some(PrefixStatus::Active), None));
    top.reset_peer().await;
    lower.settled();
    assert_eq!(prefix_status("88.118.1"), Some(PrefixStatus::Active));
    assert_eq!(prefix_status("88.118.2"), Some(PrefixStatus::Revoked), "the operator has decided");
    assert_eq!(prefix_status("88.118.3"), Some(PrefixStatus::Active));
}

/// An operator of the upper node resets the peer: then the older copy files, also after the upper node was restored.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_peer_files_again_also_after_a_backup_of_the_upper_node_was_restored() {
    let mut top = Tier::top().await;
    let (mut lower, earlier) = restored_below(&top).await;
    lower.put_back(&earlier);
    lower.go_on().await;
    lower.troubled("INCARNATION_SUPERSEDED");
    lower.stop().await;
    top.back_up(Kind::Full).await;
    top.reset_peer().await;
    top.back_up(Kind::Incremental).await;
    top.stop().await;
    top.restore_backup().await;
    top.go_on().await;
    lower.go_on().await;
    lower.home("88.118.3").await;
    lower.settled();
    let status = |text: &str| top.entry(text).map(|entry| entry.status);
    assert_eq!(status("88.118.1"), Some(PrefixStatus::Active));
    assert_eq!(status("88.118.2"), Some(PrefixStatus::Revoked), "the older copy does not know it");
    assert_eq!(status("88.118.3"), Some(PrefixStatus::Active));
}

/// A restored upper node is filed the present state, what it had forgotten included.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_upper_node_is_filed_the_present_state() {
    let mut top = Tier::top().await;
    let lower = Tier::below(&top, &["88.118"]).await;
    lower.home("88.118.1").await;
    lower.settled();
    top.stop().await;
    let earlier = top.copy();
    top.go_on().await;
    lower.home("88.118.2").await;
    lower.settled();
    top.stop().await;
    top.restore(&earlier).await;
    top.go_on().await;
    eventually("the present state is filed", || top.entry("88.118.2"));
    let status = lower.settled();
    assert_eq!(status.counts.resynchronizations, 2, "at first contact, and now");
    assert!(top.entry("88.118.1").is_some());
}

/// Prefixes beyond the token are set aside; the others are filed, and a wider token brings in the rest.
#[tokio::test(flavor = "multi_thread")]
async fn prefixes_beyond_the_token_do_not_bar_the_others() {
    let top = Tier::top().await;
    let mut lower = Tier::below(&top, &["88.118"]).await;
    lower.apply(vec![home("88.118.1", None), home("99.1", None), home("88.118.2", None)]).await;
    let status = lower.settled();
    assert!(top.entry("88.118.1").is_some() && top.entry("88.118.2").is_some());
    assert_eq!(top.entry("99.1"), None);
    let [aside] = status.set_aside.as_slice() else { panic!("{status:?}") };
    assert_eq!(aside.prefix, prefix("99.1"));
    let expected = "the token of the upper node covers 88.118; ask its operator for one that covers 99.1";
    assert_eq!(aside.message, expected);
    lower.stop().await;
    fs::write(lower.token_file(), top.peer_token(&["88.118", "99"]).await).expect("written");
    lower.go_on().await;
    eventually("the rest is filed", || top.entry("99.1"));
    assert_eq!(lower.settled().set_aside, []);
}

/// What the administrator of the upper node says of a prefix stands against filings.
#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_suspension_stands_against_filings() {
    let top = Tier::top().await;
    let lower = Tier::below(&top, &["88.118"]).await;
    lower.apply(vec![home("88.118.1", Some("A factory")), home("88.118.2", None)]).await;
    lower.settled();
    top.suspend("88.118.1").await;
    lower.apply(vec![home("88.118.1", Some("Another factory")), home("88.118.3", None)]).await;
    let status = lower.settled();
    assert_eq!(top.entry("88.118.1").map(|entry| entry.status), Some(PrefixStatus::Suspended));
    assert!(top.entry("88.118.3").is_some(), "the others go on");
    let [aside] = status.set_aside.as_slice() else { panic!("{status:?}") };
    assert_eq!(aside.prefix, prefix("88.118.1"));
    assert!(aside.message.ends_with("(PREFIX_SUSPENDED)"), "{}", aside.message);
}

/// A node whose store and token are new: what the upper node refused is filed once the operator has done what the refusal
/// says, at the next contact.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_filed_again_at_the_next_contact() {
    let top = Tier::top().await;
    let mut former = Tier::below(&top, &["88.118"]).await;
    former.home("88.118.1").await;
    former.settled();
    former.stop().await;
    let mut lower = Tier::below(&top, &["88.118"]).await;
    lower.home("88.118.1").await;
    let refused = |status: &FilingStatus| {
        let [aside] = status.set_aside.as_slice() else { panic!("{status:?}") };
        assert!(aside.message.ends_with("(PREFIX_FILED)"), "{}", aside.message);
    };
    refused(&lower.settled());
    lower.stop().await;
    lower.go_on().await;
    refused(&lower.settled());
    let site_of = |top: &Tier| {
        let entry = top.entry("88.118.1").expect("an entry");
        let Homing::Delegated(site) = &entry.homing else { panic!("{entry:?}") };
        (site.addresses().to_vec(), entry.filing.expect("it was filed").peer)
    };
    let (before, id) = site_of(&top);
    top.apply(vec![Command::Token(TokenCommand::Revoke { id })]).await;
    lower.stop().await;
    lower.go_on().await;
    let own = [lower.grpc().ip()];
    assert_ne!(before, own);
    eventually("it is filed", || (site_of(&top).0 == own).then_some(()));
    assert_eq!(lower.settled().set_aside, []);
    lower.stop().await;
    lower.go_on().await;
    assert_eq!(lower.settled().counts.resynchronizations, 0, "nothing is left to file again");
}

/// The same over the connection that there is: after a pause.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_is_filed_again_after_a_pause() {
    let top = Tier::top().await;
    let mut former = Tier::below(&top, &["88.118"]).await;
    former.home("88.118.1").await;
    former.settled();
    former.stop().await;
    let lower = Tier::top().await;
    lower.apply(vec![home("88.118.1", None), home("88.118.2", None)]).await;
    fs::write(lower.token_file(), top.peer_token(&["88.118"]).await).expect("written");
    let upper = UpperOptions {
        address: format!("http://{}", top.grpc()),
        token_file: Some(lower.token_file()),
        authority: None,
        tls_host_name: None,
        allow_token_in_plain_text: false,
    };
    let jitter: Jitter = Arc::new(|| 0);
    let federation = Federation::new(FederationOptions {
        upper: Some(upper),
        authorities: None,
        networks: AllowedNetworks::new(&[], LoopbackUse::Allowed),
        cache_answers: 0,
        clock: idnode::daemon::clock(),
        jitter: Arc::clone(&jitter),
    });
    let upper = Arc::clone(federation.expect("settings").upper().expect("an upper node"));
    let ports = Ports { grpc: Some(lower.grpc().port()), ..Ports::default() };
    let site = Site::new(vec![lower.grpc().ip()], None, ports).expect("a site");
    let options = FilingOptions {
        site: Some(site.clone()),
        pause_first: Duration::from_millis(20),
        pause_longest: Duration::from_millis(20),
        refused_pause: Duration::from_millis(20),
        jitter,
    };
    let (end, stop) = watch::channel(false);
    let (filing, running) =
        filing::start(lower.node().store().clone(), lower.node().registry().upkeep(), upper, options, stop);
    let aside = eventually("it is refused", || filing.status().set_aside.first().cloned());
    assert_eq!(aside.prefix, prefix("88.118.1"));
    assert!(aside.message.ends_with("(PREFIX_FILED)"), "{}", aside.message);
    let id = top.entry("88.118.1").and_then(|entry| entry.filing).expect("it was filed").peer;
    top.apply(vec![Command::Token(TokenCommand::Revoke { id })]).await;
    let expected = Homing::Delegated(site);
    eventually("it is filed", || top.entry("88.118.1").filter(|entry| entry.homing == expected));
    eventually("it is reported so", || filing.status().set_aside.is_empty().then_some(()));
    let counts = filing.status().counts;
    assert_eq!((counts.resynchronizations, counts.interruptions), (1, 0), "over the first connection");
    end.send(true).expect("it runs");
    running.await.expect("it ends");
}

/// A token that is revoked while filings go on ends them; what was changed since is filed with the next token.
#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_loses_no_filing() {
    let top = Tier::top().await;
    let lower = Tier::below(&top, &["88.118"]).await;
    lower.home("88.118.1").await;
    lower.settled();
    let tokens = top.node().registry().tokens(&Caller::Node).expect("tokens");
    let id = tokens.iter().find(|token| token.label == "lower node").expect("a peer").id;
    top.apply(vec![Command::Token(TokenCommand::Revoke { id })]).await;
    lower.home("88.118.2").await;
    lower.troubled("TOKEN_REVOKED");
    assert_eq!(top.entry("88.118.2"), None);
    assert_eq!(lower.filing().set_aside, [], "it is not the prefix that was refused");
    fs::write(lower.token_file(), top.peer_token(&["88.118"]).await).expect("written");
    lower.settled();
    assert!(top.entry("88.118.2").is_some());
}

/// When the journal was pruned while the upper node was away, the present state is filed.
#[tokio::test(flavor = "multi_thread")]
async fn a_bookmark_below_the_pruned_journal_leads_to_the_present_state() {
    let mut top = Tier::top().await;
    let lower = Tier::below(&top, &["88.118"]).await;
    lower.home("88.118.1").await;
    lower.settled();
    top.stop().await;
    lower.suspend("88.118.1").await;
    let many =
        (0..SEGMENT_ENTRIES).map(|number| register(&format!("88.118.2/{number}"), "https://a.example", 60));
    lower.home("88.118.2").await;
    lower.apply(many.collect()).await;
    let all = Retention { bodies_before_ms: u64::MAX, headers_before_ms: u64::MAX };
    lower.node().registry().keep_up(0, Some(all)).await.expect("pruned");
    assert!(lower.node().store().complete_from().is_some_and(|first| first.sequence > SEGMENT_ENTRIES));
    top.go_on().await;
    let status = lower.settled();
    assert_eq!(status.counts.resynchronizations, 2, "at first contact, and now");
    assert_eq!(top.entry("88.118.1").map(|entry| entry.status), Some(PrefixStatus::Suspended));
    assert_eq!(top.entry("88.118.2").map(|entry| entry.status), Some(PrefixStatus::Active));
}

/// A wrong token is reported; the right one in the file is used without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_reported_and_a_right_one_used() {
    let top = Tier::top().await;
    let other_party = Tier::top().await.peer_token(&["88.118"]).await;
    let lower = Tier::below_with(&top, &other_party, |_| {}).await;
    lower.home("88.118.1").await;
    let status = lower.troubled("TOKEN_UNKNOWN");
    let expected = "put a peer token of the upper node into the file that upper.token_file names";
    assert!(status.last_error.is_some_and(|error| error.ends_with(expected)));
    lower.register("88.118.1/SN1", "https://example.com", 60).await;
    fs::write(lower.token_file(), top.peer_token(&["88.118"]).await).expect("written");
    let status = lower.settled();
    assert_eq!(status.last_error, None);
    assert!(top.entry("88.118.1").is_some());
}

/// A node whose own place changes files the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_moves_is_delegated_to_its_new_place() {
    let top = Tier::top().await;
    let mut lower = Tier::below(&top, &["88.118"]).await;
    lower.home("88.118.1").await;
    lower.settled();
    lower.stop().await;
    lower.go_on_with(|config| config.site.grpc_port = Some(17_373)).await;
    eventually("the new place is known", || {
        let entry = top.entry("88.118.1")?;
        let Homing::Delegated(site) = &entry.homing else { panic!("{entry:?}") };
        (site.ports().grpc == Some(17_373)).then_some(())
    });
}

/// What an enterprise files to its secondary node, that one files to the top, with its own place.
#[tokio::test(flavor = "multi_thread")]
async fn filings_climb_from_tier_to_tier() {
    let top = Tier::top().await;
    let secondary = Tier::below(&top, &["88.118"]).await;
    let enterprise = Tier::below(&secondary, &["88.118.8"]).await;
    secondary.home("88.118").await;
    enterprise.apply(vec![home("88.118.8", Some("A factory"))]).await;
    enterprise.settled();
    secondary.settled();
    let place = |tier: &Tier| {
        let entry = tier.entry("88.118.8").expect("it was filed");
        let Homing::Delegated(site) = entry.homing else { panic!("not delegated") };
        (site.addresses().to_vec(), entry.registrant.map(|registrant| registrant.name().to_owned()))
    };
    let factory = Some("A factory".to_owned());
    assert_eq!(place(&secondary), (vec![enterprise.grpc().ip()], factory.clone()));
    assert_eq!(place(&top), (vec![secondary.grpc().ip()], factory), "the top refers to the secondary node");
}

/// Without addresses of its own a node announces nothing, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_place_files_nothing_and_says_so() {
    let top = Tier::top().await;
    let token = top.peer_token(&["88.118"]).await;
    let lower = Tier::below_with(&top, &token, |config| config.site.addresses.clear()).await;
    let status = lower.troubled("name this node's addresses in site.addresses");
    assert_eq!(status.state, FilingState::Ended);
}
