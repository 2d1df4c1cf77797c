//! Resolutions by gRPC: random identifiers, every tenth absent.

use std::time::{Duration, Instant};

use idnode::wire::proto::resolution_service_client::ResolutionServiceClient;
use idnode::wire::proto::{self, answer, resolve_outcome};

use crate::process::NodeProcess;
use crate::stats::Line;
use crate::{Error, identifier, line};

/// Questions of one batch.
const BATCH: u64 = 1_000;

/// A sequence of numbers that looks random and is the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound.max(1)
    }

    /// An identifier, and whether it was registered.
    pub(crate) fn asked(&mut self, count: u64) -> (String, bool) {
        let there = self.below(10) != 0;
        let n = self.below(count);
        if there { (identifier(n), true) } else { (format!("88.118.8/ABSENT{n}"), false) }
    }
}

/// One question a call, so many calls in flight.
pub(crate) async fn unary(
    node: &NodeProcess,
    count: u64,
    in_flight: u64,
    time: Duration,
) -> Result<Line, Error> {
    let channel = node.connect().await?;
    let start = Instant::now();
    let mut running = Vec::new();
    for seed in 0..in_flight {
        let mut client = ResolutionServiceClient::new(channel.clone());
        running.push(tokio::spawn(async move {
            let (mut numbers, mut latencies) = (Numbers(seed), Vec::new());
            while start.elapsed() < time {
                let (identifier, there) = numbers.asked(count);
                let question = proto::Question { identifier, ..Default::default() };
                let message = proto::ResolveRequest { question: Some(question), ..Default::default() };
                let begun = Instant::now();
                let found = client.resolve(message).await?.into_inner().answer;
                latencies.push(begun.elapsed());
                check(found.as_ref(), there)?;
            }
            Ok::<_, Error>(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for one in running {
        latencies.extend(one.await??);
    }
    let what = format!("gRPC resolutions, {in_flight} in flight");
    Ok(line(&what, latencies.len() as u64, start.elapsed(), &mut latencies))
}

/// A thousand questions a call, four calls in flight.
pub(crate) async fn batches(node: &NodeProcess, count: u64, time: Duration) -> Result<Line, Error> {
    let start = Instant::now();
    let mut running = Vec::new();
    for seed in 0..4 {
        let client = ResolutionServiceClient::new(node.connect().await?);
        let mut client = client.max_decoding_message_size(64 * 1024 * 1024);
        running.push(tokio::spawn(async move {
            let (mut numbers, mut latencies) = (Numbers(seed), Vec::new());
            while start.elapsed() < time {
                let asked: Vec<(String, bool)> = (0..BATCH).map(|_| numbers.asked(count)).collect();
                let question = |(identifier, _): &(String, bool)| proto::Question {
                    identifier: identifier.clone(),
                    ..Default::default()
                };
                let message = proto::ResolveBatchRequest { questions: asked.iter().map(question).collect() };
                let begun = Instant::now();
                let outcomes = client.resolve_batch(message).await?.into_inner().outcomes;
                latencies.push(begun.elapsed());
                for (outcome, (_, there)) in outcomes.iter().zip(&asked) {
                    let Some(resolve_outcome::Result::Answer(answer)) = &outcome.result else {
                        return Err::<_, Error>(format!("refused: {outcome:?}").into());
                    };
                    check(Some(answer), *there)?;
                }
            }
            Ok::<_, Error>(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for one in running {
        latencies.extend(one.await??);
    }
    let questions = latencies.len() as u64 * BATCH;
    Ok(line("gRPC resolutions, batches of 1,000, 4 in flight", questions, start.elapsed(), &mut latencies))
}

fn check(found: Option<&proto::Answer>, there: bool) -> Result<(), Error> {
    let answered = found.and_then(|found| found.answer.as_ref());
    match (answered, there) {
        (Some(answer::Answer::Values(found)), true) if found.values.len() == 4 => Ok(()),
        (Some(answer::Answer::Absent(_)), false) => Ok(()),
        (other, there) => Err(format!("registered: {there}, answered: {other:?}").into()),
    }
}
