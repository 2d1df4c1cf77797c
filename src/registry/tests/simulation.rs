//! Seeded programs of commands and restarts, compared with a plain map.
//!
//! The model knows nothing of blocks, groups or journals: for each name a version and, while it lives, its values. A
//! failure prints the seed; put it into `SEED` to see it again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::authority::caller::Caller;
use crate::model::request::RequestId;
use crate::model::value::{Index, Values};
use crate::registry::command::{Amend, Command, Existing, Precondition, Register, Target};
use crate::registry::receipt::{Outcome, Receipt};
use crate::store::EngineKind;
use crate::store::check::check;

use super::fixture::{Fixture, Outcomes, amend, given, home, identifier, prefix, remove, suspend, value};

/// A seed to see again; none takes a new one each time.
const SEED: Option<u64> = None;
/// Batches of one program.
const STEPS: usize = 120;
/// How long one program may take; a slow machine runs a shorter one.
const TIME: Duration = Duration::from_secs(5);
/// Names that the program uses: few, so that commands meet.
const NAMES: u64 = 12;

//----------- Chance ---------------------------------------------------------

/// A small generator: xorshift.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn name(&mut self) -> String {
        let own = if self.one_in(3) { "88.118.2" } else { "88.118" };
        let number = self.below(NAMES);
        if self.one_in(2) { format!("{own}/N{number}") } else { format!("{own}/n{number}") }
    }

    /// Mostly small, now and then cut into pieces.
    fn data(&mut self) -> String {
        let bytes = if self.one_in(20) { 40_000 } else { 1 };
        format!("{}{}", "x".repeat(bytes), self.below(3))
    }

    fn command(&mut self) -> Command {
        let name = self.name();
        let precondition = match self.below(8) {
            0 => Precondition::Absent,
            1 | 2 => Precondition::Version(self.below(6)),
            _ => Precondition::None,
        };
        let command = match self.below(12) {
            0..=4 => {
                let count = 1 + self.below(3);
                let values = (0..count)
                    .map(|_| value(1 + u32::try_from(self.below(400)).expect("small"), &self.data()));
                let values = Values::new(values.collect()).unwrap_or_default();
                let existing = if self.one_in(2) { Existing::Overwrite } else { Existing::Refuse };
                Command::Register(Register {
                    target: Target::Named(identifier(&name)),
                    values,
                    existing,
                    precondition: Precondition::None,
                })
            }
            5..=7 => self.amend(&name),
            8 | 9 => remove(&name),
            10 => suspend("88.118.2"),
            _ => home("88.118.2"),
        };
        given(precondition, command)
    }

    fn amend(&mut self, name: &str) -> Command {
        let index = 1 + u32::try_from(self.below(4)).expect("small");
        let mut command = amend(name);
        match self.below(3) {
            0 => command.add = vec![value(index, &self.data())],
            1 => command.replace = vec![value(index, &self.data())],
            _ => command.remove = vec![Index::new(index).expect("an index")],
        }
        Command::Amend(command)
    }
}

//----------- Model ----------------------------------------------------------

/// What is held under a name.
#[derive(Default)]
struct Held {
    version: u64,
    values: Option<BTreeMap<u32, Vec<u8>>>,
}

/// The plain map, and whether the second prefix is suspended.
#[derive(Default)]
struct Model {
    held: BTreeMap<String, Held>,
    is_suspended: bool,
    prefix_version: u64,
}

/// An outcome and the version it leads to, or the code of a refusal.
type Expected = Result<(Outcome, u64), &'static str>;

impl Model {
    /// Commands are authorized when their batch arrives, and again when they are decided.
    fn apply_all(&mut self, commands: &[Command]) -> Vec<Expected> {
        let was_suspended = self.is_suspended;
        commands.iter().map(|command| self.apply(command, was_suspended)).collect()
    }

    fn apply(&mut self, command: &Command, was_suspended: bool) -> Expected {
        let (target, precondition) = match command {
            Command::Register(Register { target: Target::Named(target), precondition, .. }) => {
                (target, *precondition)
            }
            Command::Amend(amend) => (&amend.identifier, amend.precondition),
            Command::Remove(remove) => (&remove.identifier, remove.precondition),
            _ => return self.administer(command),
        };
        let is_second = *target.prefix() == prefix("88.118.2");
        if is_second && (self.is_suspended || was_suspended) {
            return Err("PREFIX_SUSPENDED");
        }
        let held = self.held.entry(target.to_string().to_ascii_lowercase()).or_default();
        let is_live = held.values.is_some();
        match precondition {
            Precondition::Absent if is_live => return Err("ALREADY_EXISTS"),
            Precondition::Version(expected) if expected != if is_live { held.version } else { 0 } => {
                return Err("VERSION_MISMATCH");
            }
            _ => {}
        }
        let (outcome, values) = match command {
            Command::Register(register) => held.register(register)?,
            Command::Amend(amend) => held.amend(amend)?,
            _ if is_live => (Outcome::Removed, None),
            _ => return Err("ABSENT"),
        };
        if outcome != Outcome::Unchanged {
            *held = Held { version: held.version + 1, values };
        }
        Ok((outcome, held.version))
    }

    fn administer(&mut self, command: &Command) -> Expected {
        let suspends =
            matches!(command, Command::Prefix(crate::registry::command::PrefixCommand::Suspend { .. }));
        if self.prefix_version > 0 && self.is_suspended == suspends {
            return Ok((Outcome::Unchanged, self.prefix_version));
        }
        self.is_suspended = suspends;
        self.prefix_version += 1;
        Ok((Outcome::PrefixChanged, self.prefix_version))
    }

    fn live(&self) -> usize {
        self.held.values().filter(|held| held.values.is_some()).count()
    }
}

/// The outcome of a change, and the values after it.
type Changed = (Outcome, Option<BTreeMap<u32, Vec<u8>>>);

impl Held {
    fn register(&self, register: &Register) -> Result<Changed, &'static str> {
        let values = register.values.as_slice().iter();
        let values: BTreeMap<u32, Vec<u8>> =
            values.map(|value| (value.index.get(), value.data.clone())).collect();
        match &self.values {
            None => Ok((Outcome::Registered, Some(values))),
            Some(_) if register.existing == Existing::Refuse => Err("ALREADY_EXISTS"),
            Some(held) if *held == values => Ok((Outcome::Unchanged, None)),
            Some(_) => Ok((Outcome::Overwritten, Some(values))),
        }
    }

    fn amend(&self, amend: &Amend) -> Result<Changed, &'static str> {
        let held = self.values.as_ref().ok_or("ABSENT")?;
        let mut values = held.clone();
        for index in &amend.remove {
            values.remove(&index.get()).ok_or("INDEX_ABSENT")?;
        }
        for new in &amend.replace {
            *values.get_mut(&new.index.get()).ok_or("INDEX_ABSENT")? = new.data.clone();
        }
        for new in &amend.add {
            if values.insert(new.index.get(), new.data.clone()).is_some() {
                return Err("INDEX_EXISTS");
            }
        }
        let outcome = if values == *held { Outcome::Unchanged } else { Outcome::Amended };
        Ok((outcome, Some(values)))
    }
}

//----------- Program --------------------------------------------------------

fn brief(outcomes: &Outcomes) -> Vec<Expected> {
    let brief = |receipt: &Receipt| (receipt.outcome, receipt.version);
    outcomes.iter().map(|outcome| outcome.as_ref().map(brief).map_err(|refusal| refusal.code())).collect()
}

async fn compare(fixture: &Fixture, model: &Model, label: &str) {
    for (name, held) in &model.held {
        let state = fixture.state(name).await;
        assert_eq!(state.as_ref().map_or(0, |state| state.version), held.version, "{label}: {name}");
        let values = state.and_then(|state| state.values).map(|values| {
            let pair = |value: &crate::model::value::Value| (value.index.get(), value.data.clone());
            values.as_slice().iter().map(pair).collect::<BTreeMap<_, _>>()
        });
        assert!(values == held.values, "{label}: the values of {name} differ");
    }
    assert_eq!(fixture.store.count(), model.live() as u64, "{label}");
}

async fn run(engine: EngineKind, seed: u64) {
    let label = format!("{engine}, seed {seed}");
    let (mut chance, mut model) = (Chance(seed), Model::default());
    let mut fixture = Fixture::open(engine).await;
    let mut repeatable: Vec<(RequestId, Vec<Command>, Outcomes)> = Vec::new();
    fixture.node(home("88.118.2")).await.expect("homed");
    model.prefix_version = 1;
    let begun = Instant::now();
    for step in 0..STEPS {
        if begun.elapsed() > TIME {
            break;
        }
        let commands: Vec<Command> = (0..1 + chance.below(12)).map(|_| chance.command()).collect();
        let expected = model.apply_all(&commands);
        let number = u8::try_from(step).expect("few steps");
        let id = chance.one_in(2).then(|| fixture.request_id(number));
        let outcomes = fixture.request(&Caller::Node, id, commands.clone()).await;
        assert_eq!(brief(&outcomes), expected, "{label}, step {step}: {commands:#?}");
        repeatable
            .extend(id.filter(|_| outcomes.iter().all(Result::is_ok)).map(|id| (id, commands, outcomes)));
        if chance.one_in(4) && !repeatable.is_empty() {
            let chosen = usize::try_from(chance.below(repeatable.len() as u64)).expect("small");
            let (id, commands, first) = &repeatable[chosen];
            let again = fixture.request(&Caller::Node, Some(*id), commands.clone()).await;
            let first: Outcomes = first.iter().flatten().map(|receipt| Ok(receipt.again())).collect();
            assert_eq!(again, first, "{label}, step {step}: a repetition");
        }
        if chance.one_in(15) {
            fixture = fixture.reopen().await;
            compare(&fixture, &model, &label).await;
        }
        fixture.advance(Duration::from_millis(chance.below(2_000)));
    }
    compare(&fixture, &model, &label).await;
    let options = fixture.options();
    let (store, appender, _directory) = fixture.stop().await;
    store.close(appender).await.expect("the store closes");
    let report = check(options).await.expect("the store opens");
    assert!(report.is_sound(), "{label}: {:#?}", report.problems);
    assert_eq!(report.identifiers, model.live() as u64, "{label}");
}

#[tokio::test]
async fn any_program_leads_where_a_plain_map_leads() {
    for engine in EngineKind::ALL {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("the system has randomness");
        run(engine, SEED.unwrap_or(u64::from_be_bytes(bytes) | 1)).await;
    }
}
