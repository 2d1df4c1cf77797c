//! The node under load: a real process, real sockets, a million identifiers, on both engines, in one run.
//!
//! ```text
//!   cargo bench --bench node                      1,000,000 identifiers
//!   cargo bench --bench node -- --count 50000     fewer
//!   cargo bench --bench node -- --engine fjall    one engine
//! ```
//! Every figure stands beside a limit of this machine measured in the same run: how many appends it can make durable,
//! and how many datagrams the loopback carries with the same client. Machines are shared and noisy: run it several
//! times and compare ratios.

#![expect(clippy::print_stdout, reason = "a bench prints its report")]

mod dns;
mod handle;
mod limits;
mod load;
mod process;
mod resolve;
mod stats;

use std::path::PathBuf;
use std::time::Duration;

use process::NodeProcess;
use stats::Line;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What to measure.
struct Plan {
    count: u64,
    engines: Vec<String>,
    seconds: u64,
}

impl Plan {
    fn from_arguments() -> Result<Self, Error> {
        let mut plan =
            Self { count: 1_000_000, engines: vec!["fjall".to_owned(), "sled".to_owned()], seconds: 5 };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--count" => plan.count = value()?.parse()?,
                "--engine" => plan.engines = vec![value()?],
                "--seconds" => plan.seconds = value()?.parse()?,
                // cargo adds it.
                "--bench" => {}
                other => return Err(format!("{other} is not known; see the head of this bench").into()),
            }
        }
        Ok(plan)
    }
}

fn main() -> Result<(), Error> {
    let plan = Plan::from_arguments()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&plan))
}

async fn measure(plan: &Plan) -> Result<(), Error> {
    let time = Duration::from_secs(plan.seconds);
    limits::appends(time / 2)?.print();
    let echo = limits::echo(time / 2).await?;
    echo.print();
    for engine in &plan.engines {
        let parent = tempfile::tempdir()?;
        measure_engine(plan, engine, parent.path().join("data"), time).await?;
    }
    Ok(())
}

async fn measure_engine(plan: &Plan, engine: &str, data: PathBuf, time: Duration) -> Result<(), Error> {
    println!("\n{engine}: {} identifiers", plan.count);
    let node = NodeProcess::start(engine, &data).await?;
    load::home(&node).await?;
    load::batches(&node, 0, plan.count).await?.print();
    node.print_size("after the load")?;

    let next = plan.count;
    let (line, next) = load::single_writers(&node, next, 64, time).await?;
    line.print();
    resolve::unary(&node, plan.count, 1, time).await?.print();
    resolve::unary(&node, plan.count, 16, time).await?.print();
    resolve::batches(&node, plan.count, time).await?.print();
    dns::queries(&node, plan.count, 1, time).await?.print();
    dns::queries(&node, plan.count, 64, time).await?.print();
    handle::queries(&node, plan.count, 1, time).await?.print();
    handle::queries(&node, plan.count, 64, time).await?.print();

    println!("  while a backup runs:");
    let backup = node.spawn_backup()?;
    let (line, next) = load::batches_for(&node, next, time).await?;
    line.print();
    resolve::unary(&node, plan.count, 16, time).await?.print();
    dns::queries(&node, plan.count, 64, time).await?.print();
    backup.finish().await?.print();

    node.print_size("at the end")?;
    let line = node.restart_time().await?;
    line.print();
    println!("  {next} identifiers were registered in all");
    Ok(())
}

/// The n-th identifier: serials are a permutation, so that keys arrive in random order.
pub(crate) fn identifier(n: u64) -> String {
    let serial = n.wrapping_mul(618_033_989) % 1_000_000_000;
    format!("88.118.{}/SN{serial:09}", 8 + (n / 1_000) % 20)
}

/// A line of a report of the kind `what: rate (p50, p99)`.
pub(crate) fn line(what: &str, count: u64, spent: Duration, latencies: &mut [Duration]) -> Line {
    Line::new(what, count, spent, latencies)
}
