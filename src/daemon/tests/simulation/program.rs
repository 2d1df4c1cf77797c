//! One program: its steps, and what is compared after each.

mod above;
mod restores;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use crate::authority::caller::Caller;
use crate::model::identifier::{Identifier, Prefix};
use crate::model::prefix::PrefixStatus;
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::request::RequestId;
use crate::registry::command::{Command, PrefixCommand};
use crate::registry::receipt::Receipt;
use crate::resolver::answer::{Absence, Answer, NamesAsked, Question};
use crate::store::simulated::DiskFault;
use crate::store::writer::Standing;
use crate::store::{EngineKind, Store};

use super::chance::{CALLER, Chance, PREFIXES, batch, second};
use super::machine::{End, Machine, START_MS};
use super::model::{Data, Expected, Model, State, canonical};

/// Steps of one program.
const STEPS: u64 = 60;
/// How long a node may take to recover from a fault that has passed.
const RECOVERY_MAX: Duration = Duration::from_secs(60);
/// Milliseconds of a minute and of a day.
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;
/// Days for which the journal is retained, where it is pruned; request ids are remembered for seven.
const RETAINED_DAYS: u32 = 30;

/// A request with its first outcomes.
struct Remembered {
    id: RequestId,
    true_ms: u64,
    commands: Vec<Command>,
    outcomes: Vec<Expected>,
}

/// A program, in the middle of its steps.
pub(super) struct Program {
    label: String,
    /// What was done beside changes and questions, for whoever reads of a failure.
    trail: Vec<String>,
    chance: Chance,
    model: Model,
    lower: Machine,
    upper: Option<Machine>,
    /// The time as it really is, in milliseconds since 1970.
    true_ms: u64,
    /// How far the wall clock is from it.
    skew_ms: i64,
    remembered: Vec<Remembered>,
    /// Journal entries at which backups in the present directory end.
    backups: Vec<u64>,
    /// Resynchronizations that this run of the lower node may need; none before it first settled in its incarnation.
    resynchronizations: Option<u64>,
}

impl Program {
    /// Runs the program of a seed; panics at the first difference.
    pub(super) fn run(seed: u64) {
        let mut chance = Chance::new(seed);
        let engine = match seed % 32 {
            0 => EngineKind::Fjall,
            16 => EngineKind::Sled,
            _ => EngineKind::Simulated,
        };
        let mut lower = Machine::new(engine, &mut chance);
        if chance.one_in(2) {
            (lower.config.store.bodies_days, lower.config.store.headers_days) =
                (RETAINED_DAYS, RETAINED_DAYS);
        }
        let upper = (seed % 8 == 1).then(|| above::upper_of(&mut lower, &mut chance));
        let mut program = Self {
            label: format!("seed {seed}, {engine}"),
            trail: Vec::new(),
            chance,
            model: Model::default(),
            lower,
            upper,
            true_ms: START_MS,
            skew_ms: 0,
            remembered: Vec::new(),
            backups: Vec::new(),
            resynchronizations: None,
        };
        program.lower.start();
        let home = |prefix: &str| {
            let prefix = Prefix::parse(prefix).expect("a prefix");
            Command::Prefix(PrefixCommand::Home { prefix, registrant: None })
        };
        let homed = program.submit(None, vec![home(PREFIXES[0])]);
        assert!(homed.is_ok_and(|outcomes| outcomes.iter().all(Result::is_ok)), "{}", program.label);
        program.carry_out(None, vec![home(PREFIXES[1])]);
        for step in 0..STEPS {
            program.label = format!("seed {seed}, {engine}, step {step}");
            program.step();
        }
        program.set_clock_right();
        program.bring_back(End::Stop);
        program.settle();
        program.check();
    }

    /// Stops the node and reads its whole store.
    fn check(&mut self) {
        self.lower.end(End::Stop);
        let report = self.lower.check();
        assert!(report.is_sound(), "{}: {report:?}", self.label);
        assert_eq!(report.identifiers, self.model.present.live() as u64, "{}", self.label);
    }

    fn step(&mut self) {
        match self.chance.below(100) {
            0..=37 => self.change(),
            38..=47 => self.ask(),
            48..=51 => self.compare(),
            52..=57 => self.look_back(),
            58..=67 => self.repeat(),
            68..=74 => self.wait(),
            75..=81 => self.restart(),
            82..=88 => self.change_on_a_faulty_disk(),
            89..=93 => self.back_up(),
            94 | 95 => self.restore(),
            _ => self.trouble(),
        }
    }

    /// Notes what is done, with the time.
    fn note(&mut self, what: String) {
        let days = (self.true_ms - START_MS) as f64 / DAY_MS as f64;
        let step = self.label.rsplit(' ').next().unwrap_or_default();
        self.trail.push(format!("step {step}, day {days:.3}: {what}"));
    }

    fn store(&self) -> &Store {
        &self.lower.core().store
    }
}

//----------- Commands -------------------------------------------------------

impl Program {
    /// Gives commands to the node.
    fn submit(
        &self,
        id: Option<RequestId>,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<Receipt, Refusal>>, Failure> {
        let registry = &self.lower.core().registry;
        self.lower.run(registry.apply(&CALLER, batch(id, commands)))
    }

    /// Gives commands to the node and to the model.
    fn carry_out(&mut self, id: Option<RequestId>, commands: Vec<Command>) {
        let head = self.store().head().sequence;
        let expected = self.model.present.clone().apply_all(&commands);
        let outcomes = self.submit(id, commands.clone());
        let outcomes = outcomes.unwrap_or_else(|failure| panic!("{}: {failure}", self.label));
        assert_eq!(brief(&outcomes), expected, "{}: {commands:#?}", self.label);
        self.note_commit(&commands, head);
        self.remember(id, commands, expected);
    }

    /// Records in the model what the node has committed after `head`.
    fn note_commit(&mut self, commands: &[Command], head: u64) {
        let first = self.store().lineage().position_of(head + 1).expect("it was committed");
        let header = self.lower.run(self.store().header(first)).expect("the journal is read");
        let journal_ms = header.map_or(0, |header| header.time_ms);
        self.model.commit(commands, head, journal_ms, self.true_ms);
    }

    fn remember(&mut self, id: Option<RequestId>, commands: Vec<Command>, outcomes: Vec<Expected>) {
        if let Some(id) = id.filter(|_| outcomes.iter().all(Result::is_ok)) {
            self.remembered.push(Remembered { id, true_ms: self.true_ms, commands, outcomes });
        }
    }

    /// A request id, as clients make them: by a clock that is right. A node whose clock is wrong refuses them.
    fn request_id(&mut self) -> Option<RequestId> {
        let wanted = self.chance.one_in(2) && self.skew_ms == 0;
        wanted.then(|| self.chance.request_id(self.true_ms))
    }

    fn change(&mut self) {
        let (id, commands) = (self.request_id(), self.chance.commands());
        self.carry_out(id, commands);
        let passed_ms = self.chance.below(2_000);
        self.pass(passed_ms);
    }

    /// The disk or the power fails in a change; then the node recovers, or is started again.
    fn change_on_a_faulty_disk(&mut self) {
        let Some(disk) = self.lower.disk() else { return self.change() };
        let faults = [
            DiskFault::WriteFails,
            DiskFault::SyncFails,
            DiskFault::PowerCut { survives: false },
            DiskFault::PowerCut { survives: true },
        ];
        let fault = *self.chance.one_of(&faults);
        let (id, commands) = (self.request_id(), self.chance.commands());
        let (head, before) = (self.store().head().sequence, self.model.present.clone());
        let mut after = before.clone();
        let expected = after.apply_all(&commands);
        self.note(format!("{fault:?}"));
        disk.fail_next(fault);
        let outcome = self.submit(id, commands.clone());
        let is_cut = matches!(fault, DiskFault::PowerCut { .. });
        match outcome {
            // Nothing had to be written, or a write of the node itself met the fault: then nothing can be read before a start.
            Ok(outcomes) => {
                assert_eq!(brief(&outcomes), expected, "{}: {commands:#?}", self.label);
                self.end_somehow(is_cut);
                self.start();
                self.note_commit(&commands, head);
                self.remember(id, commands, expected);
                return self.compare();
            }
            Err(Failure::OutcomeUnknown { .. }) if !is_cut && self.chance.one_in(2) => self.recover(),
            Err(_) => {
                self.end_somehow(is_cut);
                self.start();
            }
        }
        self.take_outcome(&before, &after, &commands, head);
        if self.chance.one_in(4) {
            // What was seen stays, also when the power is cut.
            self.bring_back(End::PowerCut { survivors: 0 });
        }
        if let Some(id) = id.filter(|_| expected.iter().all(Result::is_ok)) {
            let head = self.store().head().sequence;
            let outcomes = self.submit(Some(id), commands.clone());
            let outcomes = outcomes.unwrap_or_else(|failure| panic!("{}: {failure}", self.label));
            assert_eq!(brief(&outcomes), expected, "{}: the repetition of {commands:#?}", self.label);
            if outcomes.iter().flatten().any(|receipt| !receipt.repeated)
                && before != after
                && self.model.present == before
            {
                self.note_commit(&commands, head);
            }
            self.remember(Some(id), commands, expected);
        }
        self.compare();
    }

    /// Waits until the node accepts changes again.
    fn recover(&mut self) {
        self.note("recovers".to_owned());
        let store = self.store();
        let standing = self.lower.run(async { tokio::time::timeout(RECOVERY_MAX, store.recovered()).await });
        assert_eq!(standing.ok(), Some(Standing::Open), "{}", self.label);
    }

    /// After a change of unknown outcome: it is there completely, or not at all.
    fn take_outcome(&mut self, before: &State, after: &State, commands: &[Command], head: u64) {
        let held = self.held();
        if held == shown(after) && before != after {
            self.note_commit(commands, head);
        } else {
            assert_eq!(held, shown(before), "{}: neither before nor after {commands:#?}", self.label);
        }
    }

    /// Repeats an earlier request: it is remembered for seven days, whatever the clock showed meanwhile.
    fn repeat(&mut self) {
        let recent = self.true_ms.saturating_sub(6 * DAY_MS);
        let chosen: Vec<&Remembered> = self.remembered.iter().filter(|one| one.true_ms > recent).collect();
        if self.skew_ms != 0 || chosen.is_empty() {
            return;
        }
        let Remembered { id, commands, outcomes, .. } = *self.chance.one_of(&chosen);
        let again = self.submit(Some(*id), commands.clone());
        let again = again.unwrap_or_else(|failure| panic!("{}: {failure}", self.label));
        assert_eq!(brief(&again), *outcomes, "{}: a repetition of {commands:#?}", self.label);
        let all_repeated = again.iter().flatten().all(|receipt| receipt.repeated);
        assert!(all_repeated, "{}: carried out twice: {commands:#?}", self.label);
    }
}

fn brief(outcomes: &[Result<Receipt, Refusal>]) -> Vec<Expected> {
    let brief = |receipt: &Receipt| (receipt.outcome, receipt.version);
    outcomes.iter().map(|outcome| outcome.as_ref().map(brief).map_err(Refusal::code)).collect()
}

//----------- Questions ------------------------------------------------------

/// What the store shows of a state: version and values by name; whether the second prefix is suspended, and its version.
type Shown = (BTreeMap<String, (u64, Option<Data>)>, bool, u64);

fn shown(state: &State) -> Shown {
    let held = state.held.iter().filter(|(_, held)| held.version > 0);
    let values = |held: &super::model::Held| held.values.as_deref().cloned();
    let held = held.map(|(name, held)| (name.clone(), (held.version, values(held))));
    (held.collect(), state.is_suspended, state.prefix_version)
}

impl Program {
    /// What the store holds under every name that a program uses.
    fn held(&self) -> Shown {
        let names: Vec<String> = PREFIXES
            .iter()
            .flat_map(|prefix| (0..8).map(move |number| format!("{prefix}/n{number}")))
            .collect();
        let canonical =
            |name: &String| Identifier::parse(name).expect("an identifier").canonical(self.store().folding());
        let asked: Vec<_> = names.iter().map(canonical).collect();
        let found = self.lower.run(self.store().identifiers(&asked)).expect("the store is read");
        let shown = names.into_iter().zip(found).filter_map(|(name, entry)| {
            let entry = entry?;
            let values = entry.values.map(|values| {
                values.as_slice().iter().map(|value| (value.index.get(), value.data.clone())).collect()
            });
            Some((name, (entry.version, values)))
        });
        let directory = self.store().directory();
        let prefix = directory.get(&second());
        let is_suspended = prefix.is_some_and(|entry| entry.status == PrefixStatus::Suspended);
        (shown.collect(), is_suspended, prefix.map_or(0, |entry| entry.version))
    }

    /// Compares everything that is held, and the lists.
    fn compare(&mut self) {
        assert_eq!(self.held(), shown(&self.model.present), "{}", self.label);
        assert_eq!(self.store().count(), self.model.present.live() as u64, "{}", self.label);
        for text in PREFIXES {
            let prefix = Prefix::parse(text).expect("a prefix");
            if prefix == second() && self.model.present.is_suspended {
                continue;
            }
            let asked = NamesAsked { limit: 100, ..NamesAsked::default() };
            let page = self.lower.run(self.lower.core().resolver.names(&Caller::Node, &prefix, asked));
            let page = page.unwrap_or_else(|problem| panic!("{}: {problem}", self.label));
            let names: Vec<String> = page.items.iter().map(canonical).collect();
            let live = |(name, held): (&String, &super::model::Held)| {
                (held.values.is_some() && name.starts_with(&format!("{text}/"))).then(|| name.clone())
            };
            let expected: Vec<String> = self.model.present.held.iter().filter_map(live).collect();
            assert_eq!(names, expected, "{}: names of {text}", self.label);
        }
    }

    /// Asks for one identifier.
    fn ask(&mut self) {
        let identifier = self.chance.name();
        let held = self.model.present.held.get(&canonical(&identifier)).cloned().unwrap_or_default();
        let is_suspended = self.model.present.is_suspended && *identifier.prefix() == second();
        let answer =
            self.lower.run(self.lower.core().resolver.answer(&Caller::Node, &Question::all(identifier)));
        match (answer, held.values) {
            (Err(Problem::Refused(refusal)), _) if is_suspended => {
                assert_eq!(refusal.code(), "PREFIX_SUSPENDED", "{}", self.label);
            }
            (Ok(Answer::Values(found)), Some(values)) if !is_suspended => {
                let data: Data =
                    found.values.iter().map(|value| (value.index.get(), value.data.clone())).collect();
                assert_eq!((found.version, &data), (held.version, &*values), "{}", self.label);
            }
            (Ok(Answer::Absent(_)), None) if !is_suspended => {}
            (Ok(Answer::Absent(Absence::Values(_))), Some(values)) if !is_suspended && values.is_empty() => {}
            (answer, values) => panic!("{}: {answer:?} where {values:?} is held", self.label),
        }
    }

    /// Reads the history of one identifier: what was changed within the time of retention is there, with its values.
    fn look_back(&mut self) {
        let identifier = self.chance.name();
        let name = canonical(&identifier);
        let since = self.true_ms.saturating_sub(u64::from(RETAINED_DAYS - 1) * DAY_MS);
        let of_name =
            |reached: &&super::model::Reached| reached.changed.as_ref().is_some_and(|(its, _)| *its == name);
        let changes = self.model.reached.values().filter(of_name);
        let versions =
            |reached: &super::model::Reached| reached.changed.as_ref().map(|(_, version)| *version);
        let expected: Vec<u64> =
            changes.clone().filter(|reached| reached.true_ms > since).filter_map(versions).rev().collect();
        let is_suspended = self.model.present.is_suspended && *identifier.prefix() == second();
        if changes.count() == 0 || is_suspended {
            return;
        }
        let history = self.lower.core().resolver.history(&Caller::Node, &identifier, None, 1_000);
        let history = self.lower.run(history).unwrap_or_else(|problem| panic!("{}: {problem}", self.label));
        let whole = history.changes.iter().filter(|change| change.values.is_some());
        let found: Vec<u64> = whole.map(|change| change.version).take(expected.len()).collect();
        assert_eq!(found, expected, "{}: the history of {identifier}", self.label);
    }
}

//----------- Time -----------------------------------------------------------

impl Program {
    fn pass(&mut self, passed_ms: u64) {
        self.true_ms += passed_ms;
        self.set_wall();
    }

    fn set_wall(&self) {
        self.lower.set_wall_ms(self.true_ms.saturating_add_signed(self.skew_ms));
        self.upper.iter().for_each(|upper| upper.set_wall_ms(self.true_ms));
    }

    /// Lets time pass: minutes, days, or a busy day with a change every hour, after which a clock can be trusted.
    fn wait(&mut self) {
        match self.chance.below(4) {
            0 => self.pass(MINUTE_MS * (1 + self.true_ms % 120)),
            1 => {
                let days = self.chance.below(12);
                self.pass(days * DAY_MS);
            }
            _ => {
                for _ in 0..27 {
                    let (id, command) = (self.request_id(), self.chance.command());
                    self.carry_out(id, vec![command]);
                    self.pass(55 * MINUTE_MS);
                }
            }
        }
    }

    fn set_clock_right(&mut self) {
        self.skew_ms = 0;
        self.set_wall();
    }

    /// The clock jumps, or the upper node goes and comes.
    fn trouble(&mut self) {
        if self.upper.is_some() {
            return self.trouble_above();
        }
        if self.skew_ms == 0 {
            let days = i64::try_from(1 + self.chance.below(400)).expect("a small number");
            let day_ms = i64::try_from(DAY_MS).expect("a small number");
            self.skew_ms = if self.chance.one_in(3) { -days * day_ms } else { days * day_ms };
            self.note(format!("the clock is wrong by {} days", self.skew_ms / day_ms));
            self.set_wall();
        } else {
            self.note("the clock is right again".to_owned());
            self.set_clock_right();
        }
        if self.chance.one_in(2) {
            self.restart();
        }
    }
}

//----------- Restarts -------------------------------------------------------

impl Program {
    fn restart(&mut self) {
        let is_cut = self.chance.one_in(3);
        self.bring_back_somehow(is_cut);
    }

    fn bring_back_somehow(&mut self, is_cut: bool) {
        self.end_somehow(is_cut);
        self.start();
        self.compare();
    }

    fn bring_back(&mut self, end: End) {
        self.lower.end(end);
        self.start();
        self.compare();
    }

    fn end_somehow(&mut self, is_cut: bool) {
        let end = match self.chance.below(2) {
            _ if is_cut => {
                End::PowerCut { survivors: usize::try_from(self.chance.below(2)).expect("0 or 1") }
            }
            0 => End::Kill,
            _ => End::Stop,
        };
        self.note(format!("{end:?}"));
        self.lower.end(end);
    }

    /// Starts the node: it is never read-only after one of these ends.
    fn start(&mut self) {
        self.lower.start();
        let reason = self.store().read_only_reason();
        assert_eq!(reason, None, "{}", self.label);
        self.resynchronizations = self.resynchronizations.map(|_| 0);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let trail = self.trail.join("\n");
            let _shown = writeln!(std::io::stderr(), "{} failed after:\n{trail}", self.label);
        }
    }
}
