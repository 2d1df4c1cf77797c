//! The choices of a program: all of them follow from its seed.

use crate::authority::caller::Caller;
use crate::model::identifier::{Identifier, Prefix};
use crate::model::request::RequestId;
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use crate::registry::command::{
    Amend, Batch, Command, Existing, Item, Precondition, PrefixCommand, Register, Remove, Target,
};

/// Names below each prefix: few, so that commands meet.
const NAMES: u64 = 8;

/// The prefix that identifiers are registered under, and one below it that is suspended at times.
pub(in crate::daemon) const PREFIXES: [&str; 2] = ["88.118", "88.118.2"];

/// A generator of numbers: xorshift64*.
pub(in crate::daemon) struct Chance(u64);

impl Chance {
    /// The choices of a seed.
    pub(in crate::daemon) fn new(seed: u64) -> Self {
        // Seeds are small numbers: spread their bits, and avoid zero.
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub(in crate::daemon) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a bound.
    pub(in crate::daemon) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    /// True once in so many times.
    pub(in crate::daemon) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// One of these.
    pub(in crate::daemon) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let chosen = usize::try_from(self.below(choices.len() as u64)).expect("a small number");
        choices.get(chosen).expect("below the length")
    }

    /// An index that values have.
    fn index(&mut self, bound: u64) -> Index {
        Index::new(1 + u32::try_from(self.below(bound)).expect("a small number")).expect("an index")
    }

    /// A name, in different spellings.
    pub(in crate::daemon) fn name(&mut self) -> Identifier {
        let prefix = *self.one_of(&PREFIXES);
        let number = self.below(NAMES);
        let letter = if self.one_in(2) { "N" } else { "n" };
        Identifier::parse(&format!("{prefix}/{letter}{number}")).expect("a valid identifier")
    }

    /// A value: mostly small, now and then cut into pieces.
    fn value(&mut self, index: Index) -> Value {
        let bytes = if self.one_in(25) { 40_000 } else { 1 };
        Value {
            index,
            value_type: ValueType::new("DESC").expect("a valid type"),
            data: format!("{}{}", "x".repeat(bytes), self.below(3)).into_bytes(),
            ttl: Ttl::default(),
            permissions: Permissions::DEFAULT,
            references: Vec::new(),
            timestamp: 0,
        }
    }

    fn precondition(&mut self) -> Precondition {
        match self.below(8) {
            0 => Precondition::Absent,
            1 => Precondition::Version(self.below(6)),
            _ => Precondition::None,
        }
    }

    /// A command on identifiers, or on the second prefix.
    pub(in crate::daemon) fn command(&mut self) -> Command {
        match self.below(14) {
            0..=5 => self.register(),
            6..=9 => self.amend(),
            10 | 11 => Command::Remove(Remove { identifier: self.name(), precondition: self.precondition() }),
            12 => Command::Prefix(PrefixCommand::Suspend { prefix: second() }),
            _ => Command::Prefix(PrefixCommand::Home { prefix: second(), registrant: None }),
        }
    }

    fn register(&mut self) -> Command {
        let (target, precondition) = (Target::Named(self.name()), self.precondition());
        let values = (0..1 + self.below(3)).map(|_| {
            let index = self.index(400);
            self.value(index)
        });
        // Two values may have drawn one index; then there is none.
        let values = Values::new(values.collect()).unwrap_or_default();
        let existing = if self.one_in(2) { Existing::Overwrite } else { Existing::Refuse };
        Command::Register(Register { target, values, existing, precondition })
    }

    fn amend(&mut self) -> Command {
        let (identifier, precondition) = (self.name(), self.precondition());
        let (add, replace, set, remove) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut amend = Amend { identifier, add, replace, set, remove, precondition };
        let index = self.index(4);
        match self.below(4) {
            0 => amend.add = vec![self.value(index)],
            1 => amend.replace = vec![self.value(index)],
            2 => amend.set = vec![self.value(index)],
            _ => amend.remove = vec![index],
        }
        Command::Amend(amend)
    }

    /// Commands of one request.
    pub(in crate::daemon) fn commands(&mut self) -> Vec<Command> {
        (0..1 + self.below(8)).map(|_| self.command()).collect()
    }

    /// A request id that was made at a time.
    pub(in crate::daemon) fn request_id(&mut self, made_ms: u64) -> RequestId {
        let time = u128::from(made_ms) << 80;
        let random = (u128::from(self.next()) << 64 | u128::from(self.next())) & ((1 << 80) - 1);
        let fixed = (random & !(0xf << 76) & !(0x3 << 62)) | (7 << 76) | (2 << 62);
        RequestId::from_bytes((time | fixed).to_be_bytes()).expect("a UUIDv7")
    }
}

/// The prefix that is suspended at times.
pub(in crate::daemon) fn second() -> Prefix {
    Prefix::parse(PREFIXES[1]).expect("a prefix")
}

/// The caller of every command.
pub(in crate::daemon) const CALLER: Caller = Caller::Node;

/// Items numbered from 0.
pub(in crate::daemon) fn batch(request: Option<RequestId>, commands: Vec<Command>) -> Batch {
    let item = |(number, command)| Item { number, command };
    Batch { request, items: (0..).zip(commands).map(item).collect(), deadline: None }
}
