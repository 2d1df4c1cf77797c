//! What a node must hold, as a plain map: for each name a version and, while it is registered, its values.
//!
//! The model knows nothing of blocks, groups, disks or restarts. It retains every state that it went through, by the journal
//! entry after which it held, so that a restore can be compared with the state at any entry.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::identifier::Identifier;
use crate::registry::command::{
    Amend, Command, Existing, Precondition, PrefixCommand, Register, Remove, Target,
};
use crate::registry::receipt::Outcome;

use super::chance::second;

/// An outcome with the version it leads to, or the code of a refusal.
pub(in crate::daemon) type Expected = Result<(Outcome, u64), &'static str>;
/// The values of an identifier, by index.
pub(in crate::daemon) type Data = BTreeMap<u32, Vec<u8>>;

//----------- State ----------------------------------------------------------

/// What is held under a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Held {
    /// Changes so far.
    pub(in crate::daemon) version: u64,
    /// The values; none once removed.
    pub(in crate::daemon) values: Option<Arc<Data>>,
}

/// Everything that a node holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct State {
    /// The identifiers that were ever registered, by their canonical names.
    pub(in crate::daemon) held: BTreeMap<String, Held>,
    /// Whether the second prefix is suspended.
    pub(in crate::daemon) is_suspended: bool,
    /// Changes of the second prefix.
    pub(in crate::daemon) prefix_version: u64,
}

impl State {
    /// Applies the commands of one request. They are authorized when the request arrives, and again when they are decided.
    pub(in crate::daemon) fn apply_all(&mut self, commands: &[Command]) -> Vec<Expected> {
        let was_suspended = self.is_suspended;
        commands.iter().map(|command| self.apply(command, was_suspended)).collect()
    }

    fn apply(&mut self, command: &Command, was_suspended: bool) -> Expected {
        let (target, precondition) = match command {
            Command::Register(Register { target: Target::Named(target), precondition, .. }) => {
                (target, *precondition)
            }
            Command::Amend(Amend { identifier, precondition, .. })
            | Command::Remove(Remove { identifier, precondition }) => (identifier, *precondition),
            Command::Prefix(command) => return Ok(self.administer(command)),
            Command::Register(_) | Command::Token(_) | Command::Note(_) => {
                panic!("no program contains it: {command:?}")
            }
        };
        if *target.prefix() == second() && (self.is_suspended || was_suspended) {
            return Err("PREFIX_SUSPENDED");
        }
        let held = self.held.entry(canonical(target)).or_default();
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
            *held = Held { version: held.version + 1, values: values.map(Arc::new) };
        }
        Ok((outcome, held.version))
    }

    fn administer(&mut self, command: &PrefixCommand) -> (Outcome, u64) {
        let suspends = matches!(command, PrefixCommand::Suspend { .. });
        if self.prefix_version > 0 && self.is_suspended == suspends {
            return (Outcome::Unchanged, self.prefix_version);
        }
        self.is_suspended = suspends;
        self.prefix_version += 1;
        (Outcome::PrefixChanged, self.prefix_version)
    }

    /// Number of live identifiers.
    pub(in crate::daemon) fn live(&self) -> usize {
        self.held.values().filter(|held| held.values.is_some()).count()
    }
}

/// The name under which spellings of an identifier meet.
pub(in crate::daemon) fn canonical(identifier: &Identifier) -> String {
    identifier.to_string().to_ascii_lowercase()
}

impl Held {
    fn register(&self, register: &Register) -> Result<(Outcome, Option<Data>), &'static str> {
        let values = register.values.as_slice().iter();
        let values: Data = values.map(|value| (value.index.get(), value.data.clone())).collect();
        match &self.values {
            None => Ok((Outcome::Registered, Some(values))),
            Some(_) if register.existing == Existing::Refuse => Err("ALREADY_EXISTS"),
            Some(held) if **held == values => Ok((Outcome::Unchanged, None)),
            Some(_) => Ok((Outcome::Overwritten, Some(values))),
        }
    }

    fn amend(&self, amend: &Amend) -> Result<(Outcome, Option<Data>), &'static str> {
        let held = self.values.as_ref().ok_or("ABSENT")?;
        let mut values = Data::clone(held);
        for index in &amend.remove {
            values.remove(&index.get()).ok_or("INDEX_ABSENT")?;
        }
        for new in &amend.replace {
            *values.get_mut(&new.index.get()).ok_or("INDEX_ABSENT")? = new.data.clone();
        }
        for new in &amend.set {
            values.insert(new.index.get(), new.data.clone());
        }
        for new in &amend.add {
            if values.insert(new.index.get(), new.data.clone()).is_some() {
                return Err("INDEX_EXISTS");
            }
        }
        let outcome = if values == **held { Outcome::Unchanged } else { Outcome::Amended };
        Ok((outcome, Some(values)))
    }
}

//----------- Model ----------------------------------------------------------

/// A state that was reached by a journal entry.
#[derive(Clone, Debug)]
pub(in crate::daemon) struct Reached {
    /// The time of the entry, as the journal has it.
    pub(in crate::daemon) journal_ms: u64,
    /// The time at which it was really made.
    pub(in crate::daemon) true_ms: u64,
    /// The state after the entry.
    pub(in crate::daemon) state: State,
    /// The identifier that was changed, with its version; none for a prefix.
    pub(in crate::daemon) changed: Option<(String, u64)>,
}

/// The present state, and those before.
#[derive(Clone, Debug, Default)]
pub(in crate::daemon) struct Model {
    /// The state now.
    pub(in crate::daemon) present: State,
    /// States by the sequence of the entry that led to them.
    pub(in crate::daemon) reached: BTreeMap<u64, Reached>,
}

impl Model {
    /// Records that commands were carried out in journal entries after `head`.
    pub(in crate::daemon) fn commit(
        &mut self,
        commands: &[Command],
        head: u64,
        journal_ms: u64,
        true_ms: u64,
    ) {
        let was_suspended = self.present.is_suspended;
        let mut sequence = head;
        for command in commands {
            let applied = self.present.apply(command, was_suspended);
            if !applied.is_ok_and(|(outcome, _)| outcome != Outcome::Unchanged) {
                continue;
            }
            sequence += 1;
            let changed = target(command).map(|target| {
                let name = canonical(target);
                let version = self.present.held.get(&name).map_or(0, |held| held.version);
                (name, version)
            });
            let state = self.present.clone();
            self.reached.insert(sequence, Reached { journal_ms, true_ms, state, changed });
        }
    }

    /// The state after a journal entry.
    pub(in crate::daemon) fn at(&self, sequence: u64) -> State {
        self.reached
            .range(..=sequence)
            .next_back()
            .map(|(_, reached)| reached.state.clone())
            .unwrap_or_default()
    }

    /// Forgets what came after a journal entry.
    pub(in crate::daemon) fn go_back(&mut self, sequence: u64) {
        self.present = self.at(sequence);
        self.reached.retain(|its, _| *its <= sequence);
    }
}

fn target(command: &Command) -> Option<&Identifier> {
    match command {
        Command::Register(Register { target: Target::Named(target), .. }) => Some(target),
        Command::Amend(Amend { identifier, .. }) | Command::Remove(Remove { identifier, .. }) => {
            Some(identifier)
        }
        _ => None,
    }
}
