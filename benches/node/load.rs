//! Registrations: each counted when its receipt says that it is on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use idnode::wire::proto::prefix_service_client::PrefixServiceClient;
use idnode::wire::proto::registration_service_client::RegistrationServiceClient;
use idnode::wire::proto::{self, item, outcome, registration};
use tonic::Request;

use crate::process::NodeProcess;
use crate::stats::Line;
use crate::{Error, identifier, line};

/// Identifiers of one batch.
const BATCH: u64 = 1_000;
/// Batches in flight.
const IN_FLIGHT: u64 = 4;

/// Homes the prefix above all that is registered here.
pub(crate) async fn home(node: &NodeProcess) -> Result<(), Error> {
    let mut client = PrefixServiceClient::new(node.connect().await?);
    let message = proto::HomePrefixRequest { prefix: "88.118".to_owned(), ..Default::default() };
    client.home_prefix(authorized(node, message)).await?;
    Ok(())
}

/// Registers identifiers in batches until there are so many.
pub(crate) async fn batches(node: &NodeProcess, from: u64, to: u64) -> Result<Line, Error> {
    let next = Arc::new(AtomicU64::new(from));
    let (done, spent, mut latencies) = run_batches(node, next, move |n| n < to).await?;
    Ok(line("durable registrations, batches of 1,000, 4 in flight", done, spent, &mut latencies))
}

/// Registers identifiers in batches for a time.
pub(crate) async fn batches_for(node: &NodeProcess, from: u64, time: Duration) -> Result<(Line, u64), Error> {
    let next = Arc::new(AtomicU64::new(from));
    let end = Instant::now() + time;
    let (done, spent, mut latencies) =
        run_batches(node, Arc::clone(&next), move |_| Instant::now() < end).await?;
    let what = "durable registrations, batches of 1,000, 4 in flight";
    Ok((line(what, done, spent, &mut latencies), next.load(Ordering::Relaxed)))
}

async fn run_batches(
    node: &NodeProcess,
    next: Arc<AtomicU64>,
    goes_on: impl Fn(u64) -> bool + Clone + Send + 'static,
) -> Result<(u64, Duration, Vec<Duration>), Error> {
    let start = Instant::now();
    let mut running = Vec::new();
    for _ in 0..IN_FLIGHT {
        let mut client = RegistrationServiceClient::new(node.connect().await?);
        let (next, goes_on, token) = (Arc::clone(&next), goes_on.clone(), node.token.clone());
        running.push(tokio::spawn(async move {
            let (mut done, mut latencies) = (0, Vec::new());
            loop {
                let first = next.fetch_add(BATCH, Ordering::Relaxed);
                if !goes_on(first) {
                    next.fetch_sub(BATCH, Ordering::Relaxed);
                    return Ok::<_, Error>((done, latencies));
                }
                let mut request = Request::new(batch(first));
                request.metadata_mut().insert("authorization", token.clone());
                let begun = Instant::now();
                let outcomes = client.apply_batch(request).await?.into_inner().outcomes;
                latencies.push(begun.elapsed());
                done += receipts(&outcomes)?;
            }
        }));
    }
    let (mut done, mut latencies) = (0, Vec::new());
    for one in running {
        let (count, times) = one.await??;
        done += count;
        latencies.extend(times);
    }
    Ok((done, start.elapsed(), latencies))
}

/// Registers one identifier a call, from so many writers at once, for a time.
pub(crate) async fn single_writers(
    node: &NodeProcess,
    from: u64,
    writers: u64,
    time: Duration,
) -> Result<(Line, u64), Error> {
    let next = Arc::new(AtomicU64::new(from));
    let start = Instant::now();
    let mut running = Vec::new();
    let channels =
        [node.connect().await?, node.connect().await?, node.connect().await?, node.connect().await?];
    for channel in channels.iter().cycle().take(usize::try_from(writers)?) {
        let mut client = RegistrationServiceClient::new(channel.clone());
        let (next, token) = (Arc::clone(&next), node.token.clone());
        running.push(tokio::spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < time {
                let n = next.fetch_add(1, Ordering::Relaxed);
                let message =
                    proto::RegisterRequest { registration: Some(registration_of(n)), ..Default::default() };
                let mut request = Request::new(message);
                request.metadata_mut().insert("authorization", token.clone());
                let begun = Instant::now();
                client.register(request).await?;
                latencies.push(begun.elapsed());
            }
            Ok::<_, Error>(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for one in running {
        latencies.extend(one.await??);
    }
    let what = format!("durable registrations, {writers} single writers");
    let line = line(&what, latencies.len() as u64, start.elapsed(), &mut latencies);
    Ok((line, next.load(Ordering::Relaxed)))
}

fn receipts(outcomes: &[proto::Outcome]) -> Result<u64, Error> {
    for outcome in outcomes {
        match &outcome.result {
            Some(outcome::Result::Receipt(_)) => {}
            other => return Err(format!("item {}: {other:?}", outcome.number).into()),
        }
    }
    Ok(outcomes.len() as u64)
}

fn batch(first: u64) -> proto::ApplyBatchRequest {
    let item =
        |(number, n)| proto::Item { number, command: Some(item::Command::Register(registration_of(n))) };
    proto::ApplyBatchRequest {
        request_id: String::new(),
        items: (0..).zip(first..first + BATCH).map(item).collect(),
    }
}

/// An identifier with four values, as a factory registers it: about 300 bytes.
fn registration_of(n: u64) -> proto::Registration {
    let value = |index, value_type: &str, data: String| proto::Value {
        index,
        r#type: value_type.to_owned(),
        data: data.into_bytes(),
        ..Default::default()
    };
    let lot = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    proto::Registration {
        target: Some(registration::Target::Identifier(identifier(n))),
        values: vec![
            value(1, "URL", format!("https://trace.factory.example/p/{n}?lot={lot:016x}&line={}", lot % 9)),
            value(
                2,
                "PRODUCT",
                format!("{{\"gtin\":\"0690{:010}\",\"weight\":{}}}", lot % 10_000_000_000, lot % 5_000),
            ),
            value(3, "BATCH", format!("LOT{:08}", lot % 100_000_000)),
            value(4, "EMAIL", "quality@factory.example".to_owned()),
        ],
        ..Default::default()
    }
}

fn authorized<T>(node: &NodeProcess, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", node.token.clone());
    request
}
