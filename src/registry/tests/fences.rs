//! An authorization by records does not outlive them: what changes between reading and committing is provoked by the
//! node that is asked for a list meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::authority::caller::{Caller, HeldKey, KeyHolder};
use crate::authority::remote::Stub;
use crate::authority::{AuthorityOptions, RemoteOptions};
use crate::model::identity::AdminPermissions as May;
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::registry::Registry;
use crate::registry::command::Command;
use crate::store::EngineKind;

use super::fixture::{
    Fixture, add, admin, home, identity, list, proved, register, registration, suspend, typed, value, with,
};

const OURS: &str = "300:88.118/us";
const AWAY: &str = "200:99/list";

/// A fixture in which `meanwhile` is applied while the list of another node is read: given which time it is read.
struct Interrupted {
    fixture: Fixture,
    times: Arc<AtomicUsize>,
}

impl Interrupted {
    async fn open(meanwhile: impl Fn(usize) -> Option<Command> + Send + Sync + 'static) -> Self {
        let registry: Arc<OnceLock<Arc<Registry>>> = Arc::default();
        let times = Arc::new(AtomicUsize::new(0));
        let (ours, counted) = (Arc::clone(&registry), Arc::clone(&times));
        let meanwhile = Arc::new(meanwhile);
        let elsewhere: Stub = Arc::new(move |_| {
            let registry = Arc::clone(ours.get().expect("the registry runs"));
            let command = meanwhile(counted.fetch_add(1, Ordering::Relaxed));
            Box::pin(async move {
                if let Some(command) = command {
                    registry.apply_one(&Caller::Node, command).await.expect("applied meanwhile");
                }
                Ok(vec![list(200, &[OURS])])
            })
        });
        let options =
            AuthorityOptions { remote: RemoteOptions::Stub(elsewhere), ..AuthorityOptions::default() };
        let fixture = Fixture::open_with(options).await;
        assert!(registry.set(Arc::clone(&fixture.registry)).is_ok());
        Self { fixture, times }
    }

    fn times(&self) -> usize {
        self.times.load(Ordering::Relaxed)
    }
}

fn x(administrator: &str) -> Command {
    registration("88.118/x", vec![value(1, "one"), admin(100, May::ALL, administrator)])
}

#[tokio::test]
async fn nothing_commits_by_an_administrator_removed_before_it() {
    let others = "300:88.118/others";
    let one = Interrupted::open(move |time| (time == 0).then(|| x(others))).await;
    one.fixture.node(x(AWAY)).await.expect("registered");
    let refused = one.fixture.one(&proved(OURS), add("88.118/x", 5, "ours")).await;
    let expected = Refusal::NotAdministrator { identity: identity(OURS), of: "88.118/x".into() };
    assert_eq!(refused, Err(expected));
    assert_eq!(one.times(), 1, "the second time, nothing names the list");
    let state = one.fixture.state("88.118/x").await.expect("an entry");
    assert_eq!((state.version, state.values.expect("values").as_slice().len()), (2, 2));
}

#[tokio::test]
async fn nothing_commits_by_a_key_withdrawn_before_it() {
    let key = |text: &str| with("1100", typed(300, "HS_SECKEY", text));
    let keys = move |text: &str| registration("88.118/us", vec![key(text)]);
    let one = Interrupted::open(move |time| (time == 0).then(|| keys("another"))).await;
    one.fixture.node(keys("ours")).await.expect("registered");
    one.fixture.node(x(AWAY)).await.expect("registered");
    let held = HeldKey::here(&key("ours"));
    let caller = Caller::Identity(KeyHolder { identity: identity(OURS), key: held });
    let refused = one.fixture.one(&caller, add("88.118/x", 5, "ours")).await;
    assert_eq!(refused, Err(Refusal::Unauthenticated));
    assert_eq!(one.times(), 1, "the second time, the key is looked at first");
    assert_eq!(one.fixture.state("88.118/x").await.expect("an entry").version, 1);
}

/// The record names two lists; the one stored here holds us until the other one is read.
#[tokio::test]
async fn nothing_commits_by_a_member_struck_off_a_list_before_it() {
    let lists = |whom: &str| registration("88.118/lists", vec![list(200, &[whom])]);
    let one = Interrupted::open(move |time| (time == 0).then(|| lists("300:88.118/others"))).await;
    one.fixture.node(lists("301:88.118/us")).await.expect("registered");
    let administrators = vec![admin(100, May::ALL, "200:88.118/lists"), admin(101, May::ALL, "201:99/list")];
    one.fixture.node(registration("88.118/x", administrators)).await.expect("registered");
    let refused = one.fixture.one(&proved("301:88.118/us"), add("88.118/x", 5, "ours")).await;
    let expected = Refusal::NotAdministrator { identity: identity("301:88.118/us"), of: "88.118/x".into() };
    assert_eq!(refused, Err(expected));
    assert_eq!(one.times(), 2);
    assert_eq!(one.fixture.state("88.118/x").await.expect("an entry").version, 1);
}

/// A list under a prefix that was suspended proves nothing any more.
#[tokio::test]
async fn nothing_commits_by_a_list_withdrawn_with_its_prefix_before_it() {
    let one = Interrupted::open(|time| (time == 0).then(|| suspend("77"))).await;
    one.fixture.node(home("77")).await.expect("homed");
    one.fixture
        .node(registration("77/lists", vec![list(200, &["301:88.118/us"])]))
        .await
        .expect("registered");
    let administrators = vec![admin(100, May::ALL, "200:77/lists"), admin(101, May::ALL, "201:99/list")];
    one.fixture.node(registration("88.118/x", administrators)).await.expect("registered");
    let refused = one.fixture.one(&proved("301:88.118/us"), add("88.118/x", 5, "ours")).await;
    let expected = Refusal::NotAdministrator { identity: identity("301:88.118/us"), of: "88.118/x".into() };
    assert_eq!(refused, Err(expected));
    assert_eq!(one.fixture.state("88.118/x").await.expect("an entry").version, 1);
}

/// What was looked at and did not help may change as it likes.
#[tokio::test]
async fn a_list_that_does_not_hold_the_caller_binds_nothing() {
    let other = |text: &str| registration("88.118/other", vec![value(1, text), list(200, &[])]);
    let one = Interrupted::open(move |time| (time == 0).then(|| other("changed"))).await;
    one.fixture.node(other("first")).await.expect("registered");
    let administrators = vec![admin(100, May::ALL, "200:88.118/other"), admin(101, May::ALL, AWAY)];
    one.fixture.node(registration("88.118/x", administrators)).await.expect("registered");
    one.fixture.one(&proved(OURS), add("88.118/x", 5, "ours")).await.expect("added");
    assert_eq!(one.times(), 1, "authorized once");
}

#[tokio::test]
async fn nothing_is_registered_by_an_administrator_of_a_prefix_removed_before_it() {
    let of_prefix = |whom: &str| registration("0.NA/88.118", vec![admin(100, May::ALL, whom)]);
    let one = Interrupted::open(move |time| (time == 0).then(|| of_prefix("300:88.118/others"))).await;
    one.fixture.node(of_prefix(AWAY)).await.expect("registered");
    let refused = one.fixture.one(&proved(OURS), register("88.118/new", "ours")).await;
    let expected = Refusal::NotAdministrator { identity: identity(OURS), of: "0.NA/88.118".into() };
    assert_eq!(refused, Err(expected));
    assert_eq!(one.fixture.state("88.118/new").await, None);
}

/// A prefix record of its own, made meanwhile, governs from then on.
#[tokio::test]
async fn a_prefix_record_made_meanwhile_governs() {
    let own = || registration("0.NA/88.118.5", vec![admin(100, May::ALL, "300:88.118/others")]);
    let one = Interrupted::open(move |time| (time == 0).then(own)).await;
    one.fixture
        .node(registration("0.NA/88.118", vec![admin(100, May::ALL, AWAY)]))
        .await
        .expect("registered");
    let refused = one.fixture.one(&proved(OURS), register("88.118.5/new", "ours")).await;
    let expected = Refusal::NotAdministrator { identity: identity(OURS), of: "0.NA/88.118.5".into() };
    assert_eq!(refused, Err(expected));
}

/// A record that is being written cannot be read anew until it is on disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_being_written_is_waited_for() {
    let fixture = Arc::new(Fixture::open(EngineKind::Fjall).await);
    fixture.node(x(OURS)).await.expect("registered");
    fixture.store.hold_writes_patiently();
    let first = tokio::spawn({
        let fixture = Arc::clone(&fixture);
        async move { fixture.node(add("88.118/x", 10, "meanwhile")).await }
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while fixture.store.write_in_flight().is_none() {
        assert!(Instant::now() < deadline, "the first change is written");
        tokio::task::yield_now().await;
    }
    let mut ours = tokio::spawn({
        let fixture = Arc::clone(&fixture);
        async move { fixture.one(&proved(OURS), add("88.118/x", 5, "ours")).await }
    });
    let early = timeout(Duration::from_millis(200), &mut ours).await;
    assert!(early.is_err(), "answered while the record is written: {early:?}");
    fixture.store.hold_writes(false);
    first.await.expect("no panic").expect("registered");
    assert_eq!(ours.await.expect("no panic").expect("authorized anew").version, 3);
}

#[tokio::test]
async fn what_changes_once_is_authorized_anew_and_what_changes_for_ever_fails() {
    let unrelated = |time: usize| add("88.118/x", 10 + u32::try_from(time).expect("a few"), "meanwhile");
    let once = Interrupted::open(move |time| (time == 0).then(|| unrelated(time))).await;
    once.fixture.node(x(AWAY)).await.expect("registered");
    let receipt = once.fixture.one(&proved(OURS), add("88.118/x", 5, "ours")).await.expect("the second time");
    assert_eq!((receipt.version, once.times()), (3, 2));

    let always = Interrupted::open(move |time| Some(unrelated(time))).await;
    always.fixture.node(x(AWAY)).await.expect("registered");
    let failed = always.fixture.registry.apply_one(&proved(OURS), add("88.118/x", 5, "ours")).await;
    assert_eq!(failed, Err(Problem::Failed(Failure::Contended)));
    assert_eq!(always.times(), 5);
    let state = always.fixture.state("88.118/x").await.expect("an entry");
    assert_eq!(state.version, 6, "ours is not among its changes");
}
