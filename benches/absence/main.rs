//! An upper node that is away while much happens below: how long until everything is filed, and whether it is filed
//! once, in order.
//!
//! ```text
//!   cargo bench --bench absence                                  10,000 prefix changes among 1,000,000 identifiers
//!   cargo bench --bench absence -- --prefixes 100 --each 20      fewer
//! ```
//! Both nodes run in this process, on real sockets and disks. It fails when a change is missing, doubled or misplaced.

#![expect(clippy::print_stdout, reason = "a bench prints its report")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use idnode::authority::caller::Caller;
use idnode::config::Config;
use idnode::daemon::{Node, RunningNode};
use idnode::filing::status::FilingStatus;
use idnode::model::identifier::{Identifier, Prefix};
use idnode::model::position::Position;
use idnode::model::prefix::{PrefixStatus, Registrant};
use idnode::model::token::Scope;
use idnode::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use idnode::registry::TokenDraft;
use idnode::registry::command::{
    Batch, Command, Existing, Item, Precondition, PrefixCommand, Register, Target,
};
use idnode::store::entry::Change;
use idnode::store::journal::{JournalEntry, Subject};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long filing may take in all.
const DEADLINE: Duration = Duration::from_secs(1_800);

/// What happens while the upper node is away.
struct Plan {
    prefixes: usize,
    each: usize,
}

impl Plan {
    fn from_arguments() -> Result<Self, Error> {
        let mut plan = Self { prefixes: 10_000, each: 100 };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--prefixes" => plan.prefixes = value()?.parse()?,
                "--each" => plan.each = value()?.parse()?,
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
    runtime.block_on(run(&plan))
}

async fn run(plan: &Plan) -> Result<(), Error> {
    let directory = tempfile::tempdir()?;
    let mut above = config(&directory.path().join("above"))?;
    let upper = Node::start(above.clone()).await?;
    let address = upper.grpc_addr().ok_or("gRPC is off")?;
    above.grpc.listen = vec![address];
    let below = config_below(directory.path(), &upper, address).await?;
    let lower = Node::start(below).await?;
    apply(&lower, vec![home("88.118", "The region")?]).await?;
    settle(&lower).await?;
    let before = lower.store().head();
    upper.stop().await?;

    let begun = Instant::now();
    for number in 0..plan.prefixes {
        apply(&lower, portion(number, plan.each)?).await?;
    }
    let (changes, took) = (plan.prefixes * plan.each, begun.elapsed());
    println!("upper node away: {} changes of prefixes, {changes} of identifiers, {took:.1?}", plan.prefixes);
    let lag = status(&lower)?.lag_entries;
    println!("lag: {lag} entries, {}", status(&lower)?.last_error.unwrap_or_default());

    let begun = Instant::now();
    let upper = Node::start(above).await?;
    settle(&lower).await?;
    let took = begun.elapsed();
    let entries = f64::from(u32::try_from(lag)?);
    println!("everything filed: {took:.1?} after the start, {:.0} entries/s", entries / took.as_secs_f64());
    let counts = status(&lower)?.counts;
    println!("counted: {} changes of prefixes, {} of identifiers", counts.filed, counts.identifiers);
    compare(&filings(&lower, Some(before)).await?, filings(&upper, None).await?.get(1..).unwrap_or(&[]))?;
    println!("the journal above holds each change once, in the order below");
    lower.stop().await?;
    upper.stop().await?;
    Ok(())
}

//----------- Nodes ----------------------------------------------------------

fn config(data: &Path) -> Result<Config, Error> {
    let mut config = Config::default();
    config.store.directory = data.into();
    config.grpc.listen = vec!["127.0.0.1:0".parse()?];
    config.dns.listen = Vec::new();
    config.handle.listen = Vec::new();
    config.http.listen = Vec::new();
    config.site.addresses = vec!["127.0.0.1".parse()?];
    Ok(config)
}

async fn config_below(directory: &Path, upper: &RunningNode, address: SocketAddr) -> Result<Config, Error> {
    let scopes = vec![Scope::Peer(vec![prefix("88.118")?])];
    let draft = TokenDraft { label: "below".into(), scopes, expires_ms: None };
    let (token, _) = upper.registry().create_token(&Caller::Node, draft).await?;
    let token_file = directory.join("token");
    fs::write(&token_file, token)?;
    let mut config = config(&directory.join("below"))?;
    config.upper.address = Some(format!("http://{address}"));
    config.upper.token_file = Some(token_file);
    Ok(config)
}

fn status(lower: &RunningNode) -> Result<FilingStatus, Error> {
    lower.filing().ok_or_else(|| "the node files nowhere".into())
}

/// Waits until everything is confirmed.
async fn settle(lower: &RunningNode) -> Result<(), Error> {
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        let status = status(lower)?;
        if status.lag_entries == 0 && status.state.is_connected() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(format!("not filed within {DEADLINE:?}: {:?}", status(lower)?).into())
}

//----------- Changes --------------------------------------------------------

/// One change of a prefix - homed, suspended, homed for somebody else - and some identifiers after it.
fn portion(number: usize, identifiers: usize) -> Result<Vec<Command>, Error> {
    let text = format!("88.118.{}", number / 3);
    let change = match number % 3 {
        0 => home(&text, "A factory")?,
        1 => Command::Prefix(PrefixCommand::Suspend { prefix: prefix(&text)? }),
        _ => home(&text, &format!("Factory {number}"))?,
    };
    let mut commands = vec![change];
    for part in 0..identifiers {
        commands.push(register(&format!("88.118/{number}-{part}"))?);
    }
    Ok(commands)
}

fn prefix(text: &str) -> Result<Prefix, Error> {
    Ok(Prefix::parse(text)?)
}

fn home(text: &str, name: &str) -> Result<Command, Error> {
    let registrant = Some(Registrant::new(name, None, "")?);
    Ok(Command::Prefix(PrefixCommand::Home { prefix: prefix(text)?, registrant }))
}

fn register(identifier: &str) -> Result<Command, Error> {
    let value = Value {
        index: Index::new(1)?,
        value_type: ValueType::new("URL")?,
        data: format!("https://example.com/{identifier}").into_bytes(),
        ttl: Ttl::default(),
        permissions: Permissions::DEFAULT,
        references: Vec::new(),
        timestamp: 0,
    };
    Ok(Command::Register(Register {
        target: Target::Named(Identifier::parse(identifier)?),
        values: Values::new(vec![value])?,
        existing: Existing::Refuse,
        precondition: Precondition::None,
    }))
}

async fn apply(node: &RunningNode, commands: Vec<Command>) -> Result<(), Error> {
    let items = (0..).zip(commands).map(|(number, command)| Item { number, command }).collect();
    for outcome in
        node.registry().apply(&Caller::Node, Batch { request: None, items, deadline: None }).await?
    {
        outcome?;
    }
    Ok(())
}

//----------- Journals -------------------------------------------------------

/// One change as both journals record it: prefix, standing, registrant, position in the journal below.
type FiledChange = (String, PrefixStatus, String, u64);

async fn filings(node: &RunningNode, after: Option<Position>) -> Result<Vec<FiledChange>, Error> {
    let store = node.store();
    let mut found = Vec::new();
    let mut read_to = after;
    loop {
        let mut headers = store.headers_after(read_to, 10_000).await?;
        let Some(last) = headers.last() else {
            return Ok(found);
        };
        read_to = Some(last.position);
        headers.retain(|header| matches!(header.subject, Subject::Prefix(_)));
        for JournalEntry { header, body } in store.with_bodies(headers).await? {
            let Some(Change::Prefix(entry)) = body.map(|body| body.change) else {
                return Err(format!("entry {} has no body", header.position.sequence).into());
            };
            let position = entry.filing.map_or(header.position.sequence, |mark| mark.position.sequence);
            let name = entry.registrant.map(|registrant| registrant.name().to_owned()).unwrap_or_default();
            found.push((entry.prefix.to_string(), entry.status, name, position));
        }
    }
}

fn compare(below: &[FiledChange], above: &[FiledChange]) -> Result<(), Error> {
    let differs = below.iter().zip(above).find(|(below, above)| below != above);
    if let Some((below, above)) = differs {
        return Err(format!("filed as {above:?}, changed as {below:?}").into());
    }
    if below.len() != above.len() {
        return Err(format!("{} changes below, {} above", below.len(), above.len()).into());
    }
    Ok(())
}
