//! kill -9 at random moments during registration: what was acknowledged is there, whole, and reported again.
//!
//! ```text
//!   writers ─ batches ─▶ node process ─ kill -9 ─▶ store checked at rest ─▶ node again ─▶ every batch repeated
//! ```
//! Some items are as large as an identifier may be. Five rounds an engine; `IDNODE_CRASH_ROUNDS` asks for more.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use idnode::config::Config;
use idnode::daemon::store_options;
use idnode::store::EngineKind;
use idnode::store::copy::check::check;
use idnode::wire::proto::{Item, Outcome, Receipt, Registration, Value, item, outcome, registration};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::clients::GrpcClient;
use crate::support::node::{NodeProcess, admin_token};

/// Rounds an engine when nobody asks for more.
const ROUNDS: usize = 5;
/// Rounds on one store, before a new one is begun.
const CHAINED: usize = 10;
/// Callers that register at the same time.
const WRITERS: usize = 4;
/// Items of one batch.
const ITEMS: u32 = 20;
/// Bytes of data of a large item: with its frame, as much as an identifier may hold.
const LARGE_BYTES: usize = 239_900;
/// How long a node may register before it is killed.
const LIFE_MS: (u64, u64) = (20, 700);

/// A batch: everything about it follows from its number and its request id.
#[derive(Clone, Copy)]
struct Batch {
    number: u64,
    request: Uuid,
}

impl Batch {
    fn name(self, item: u32) -> String {
        format!("88.118.8/crash-{}-{item}", self.number)
    }

    /// The data of an item: one in ten is as large as can be.
    fn data(self, item: u32) -> Vec<u8> {
        let word = format!("{} of {} ", item, self.number);
        let is_large = item % 10 == 3;
        word.bytes().cycle().take(if is_large { LARGE_BYTES } else { 60 }).collect()
    }

    fn items(self) -> Vec<Item> {
        let item = |number: u32| {
            let value = Value { index: 1, r#type: "URL".into(), data: self.data(number), ..Value::default() };
            let registration = Registration {
                target: Some(registration::Target::Identifier(self.name(number))),
                values: vec![value],
                ..Registration::default()
            };
            Item { number, command: Some(item::Command::Register(registration)) }
        };
        (0..ITEMS).map(item).collect()
    }
}

/// What an engine went through.
#[derive(Default)]
struct Rounds {
    next: u64,
    /// Batches with their receipts.
    acknowledged: Vec<(Batch, Vec<Receipt>)>,
    /// Batches in flight when the node was killed, that it had done in part or in whole.
    done_unheard: u64,
}

fn receipts(outcomes: Vec<Outcome>) -> Vec<Receipt> {
    let receipt = |outcome: Outcome| match outcome.result {
        Some(outcome::Result::Receipt(receipt)) => receipt,
        other => panic!("item {}: expected a receipt, not {other:?}", outcome.number),
    };
    outcomes.into_iter().map(receipt).collect()
}

/// Registers batches until the node goes away; the last one is of unknown outcome.
async fn write(client: GrpcClient, numbers: Vec<u64>) -> (Vec<(Batch, Vec<Receipt>)>, Option<Batch>) {
    let mut acknowledged = Vec::new();
    for number in numbers {
        let batch = Batch { number, request: Uuid::now_v7() };
        match client.apply(batch.request, batch.items()).await {
            Ok(outcomes) => acknowledged.push((batch, receipts(outcomes))),
            Err(_killed) => return (acknowledged, Some(batch)),
        }
    }
    (acknowledged, None)
}

impl Rounds {
    /// Lets writers register for a random time, kills the node, and returns what is of unknown outcome.
    async fn register_and_kill(&mut self, node: NodeProcess, life: Duration) -> (usize, Vec<Batch>) {
        let token = admin_token(node.data());
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            let client = GrpcClient::connect(node.grpc(), Some(&token)).await;
            let numbers = (self.next..self.next + 1_000).collect();
            self.next += 1_000;
            writers.spawn(write(client, numbers));
        }
        let early = tokio::time::timeout(life, writers.join_next()).await;
        assert!(early.is_err(), "a writer ended before the node: {}", node.log());
        node.kill();
        let mut unknown = Vec::new();
        let before = self.acknowledged.len();
        while let Some(written) = writers.join_next().await {
            let (acknowledged, last) = written.expect("a writer ends");
            self.acknowledged.extend(acknowledged);
            unknown.extend(last);
        }
        (before, unknown)
    }

    /// Repeats batches: what has a receipt gets the same again, what has none is done now.
    async fn repeat(&mut self, client: &GrpcClient, from: usize, unknown: Vec<Batch>) {
        for (batch, first) in self.acknowledged.iter().skip(from) {
            let again = receipts(client.apply(batch.request, batch.items()).await.expect("repeated"));
            let expected: Vec<Receipt> =
                first.iter().map(|receipt| Receipt { repeated: true, ..receipt.clone() }).collect();
            assert_eq!(again, expected, "batch {}", batch.number);
        }
        for batch in unknown {
            let outcomes = client.apply(batch.request, batch.items()).await.expect("repeated");
            let first = receipts(outcomes);
            self.done_unheard += u64::from(first.iter().any(|receipt| receipt.repeated));
            let first = first.into_iter().map(|receipt| Receipt { repeated: false, ..receipt }).collect();
            self.acknowledged.push((batch, first));
        }
    }

    /// Every item of these batches is there, and whole.
    async fn resolve(&self, client: &GrpcClient, from: usize) {
        for (batch, _) in self.acknowledged.iter().skip(from) {
            for number in 0..ITEMS {
                let name = batch.name(number);
                assert!(client.data(&name).await == [batch.data(number)], "{name} is torn");
            }
        }
    }
}

/// Checks the store of a node that is not running.
async fn check_at_rest(data: &Path, engine: EngineKind, acknowledged: usize) {
    let mut config = Config::default();
    config.store.engine = engine;
    let report = check(store_options(&config.store, data)).await.expect("the store opens");
    assert!(report.is_sound(), "{engine}: {:#?}", report.problems);
    assert!(report.identifiers >= acknowledged as u64 * u64::from(ITEMS));
}

/// Goes through rounds, several on one store that grows, and says what came of them.
async fn crash(engine: EngineKind, rounds: usize) {
    let (mut batches, mut unheard, mut left) = (0, 0, rounds);
    while left > 0 {
        let chained = left.min(CHAINED);
        let all = crash_one_store(engine, chained).await;
        (batches, unheard) = (batches + all.acknowledged.len(), unheard + all.done_unheard);
        left -= chained;
    }
    writeln!(
        std::io::stdout(),
        "{engine}: {rounds} kills, {batches} batches of {ITEMS} acknowledged, none lost, none torn; {unheard} done unheard"
    )
    .expect("somebody reads");
}

async fn crash_one_store(engine: EngineKind, rounds: usize) -> Rounds {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let arguments = ["--set", &format!("store.engine={engine}")];
    let start = || NodeProcess::start(&data, &arguments);
    let connect =
        async |node: &NodeProcess| GrpcClient::connect(node.grpc(), Some(&admin_token(node.data()))).await;
    let mut node = start();
    connect(&node).await.home("88.118.8").await.expect("homed");
    let mut all = Rounds::default();
    for _ in 0..rounds {
        let life = Duration::from_millis(random_within(LIFE_MS));
        let (before, unknown) = all.register_and_kill(node, life).await;
        check_at_rest(&data, engine, all.acknowledged.len()).await;
        node = start();
        let client = connect(&node).await;
        all.repeat(&client, before, unknown).await;
        all.resolve(&client, before).await;
    }
    // Nothing of an earlier round was lost in a later one.
    all.resolve(&connect(&node).await, 0).await;
    node.kill();
    check_at_rest(&data, engine, all.acknowledged.len()).await;
    all
}

/// A number between two, from the system's randomness.
fn random_within((least, most): (u64, u64)) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    least + u64::from_be_bytes(bytes) % (most - least)
}

fn rounds() -> usize {
    std::env::var("IDNODE_CRASH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS)
}

#[tokio::test(flavor = "multi_thread")]
async fn fjall_keeps_every_acknowledged_item_over_kills() {
    crash(EngineKind::Fjall, rounds()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sled_keeps_every_acknowledged_item_over_kills() {
    crash(EngineKind::Sled, rounds()).await;
}
