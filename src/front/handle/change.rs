//! Changes: a request of the protocol → a command of ours, and the receipt back.
//!
//! What is checked in which order: the prefix is homed here, the request is well-formed, the caller may (a challenge for
//! whom that may be), then what is there. The registry decides; here is only the form.

use crate::model::identifier::{Identifier, Prefix};
use crate::model::prefix::Homing;
use crate::model::value::{Index, Value, Values};
use crate::registry::command::{
    Amend, Command, Existing, Precondition, PrefixCommand, Register, Remove, Target,
};
use crate::registry::receipt::{Outcome, Receipt};
use crate::registry::refusal::Refusal;
use crate::resolver::Resolver;
use crate::wire::cursor::DecodeError;
use crate::wire::handle::body::{HandleAndIndexes, HandleAndValues, HandleOnly};
use crate::wire::handle::code::{OpCode, OpFlags, ResponseCode};
use crate::wire::handle::message::Message;
use crate::wire::handle::value::WireValue;

use super::reply::{self, Reply};
use super::resolution::{Malformed, identifier};

//----------- Commands -------------------------------------------------------

/// The command of a request, when its operation is one that changes something.
pub(super) fn command(message: &Message<'_>, resolver: &Resolver) -> Option<Result<Command, Reply>> {
    let Message { header, body, .. } = message;
    let ground = Ground(resolver);
    let flags = header.flags;
    match header.op {
        OpCode::CREATE => Some(create(body, flags, &ground)),
        OpCode::DELETE => Some(remove(body)),
        OpCode::ADD_VALUE => Some(add(body, flags, &ground)),
        OpCode::REMOVE_VALUE => Some(remove_values(body, &ground)),
        OpCode::MODIFY_VALUE => Some(modify(body, &ground)),
        OpCode::HOME_PREFIX => {
            let home = |prefix| Command::Prefix(PrefixCommand::Home { prefix, registrant: None });
            Some(named_prefix(body).map(home))
        }
        OpCode::UNHOME_PREFIX => {
            let revoke = |prefix| Command::Prefix(PrefixCommand::Revoke { prefix });
            Some(named_prefix(body).map(revoke))
        }
        _ => None,
    }
}

fn create(body: &[u8], flags: OpFlags, ground: &Ground<'_>) -> Result<Command, Reply> {
    let HandleAndValues { handle, values } = decoded(HandleAndValues::decode(body))?;
    let (target, prefix) = if flags.has(OpFlags::MINT) {
        let (prefix, start) = minted(handle)?;
        (Target::Minted { prefix: prefix.clone(), start }, prefix)
    } else {
        let target = named(handle)?;
        let prefix = target.governing_prefix();
        (Target::Named(target), prefix)
    };
    let values = ground.judge(&prefix, complete(&values))?;
    let existing = if flags.has(OpFlags::OVERWRITE) { Existing::Overwrite } else { Existing::Refuse };
    Ok(Command::Register(Register { target, values, existing, precondition: Precondition::None }))
}

fn remove(body: &[u8]) -> Result<Command, Reply> {
    let HandleOnly(handle) = decoded(HandleOnly::decode(body))?;
    Ok(Command::Remove(Remove { identifier: named(handle)?, precondition: Precondition::None }))
}

fn add(body: &[u8], flags: OpFlags, ground: &Ground<'_>) -> Result<Command, Reply> {
    let (amend, values) = amendment(body, ground)?;
    if flags.has(OpFlags::OVERWRITE) {
        return Ok(Command::Amend(Amend { set: values, ..amend }));
    }
    Ok(Command::Amend(Amend { add: values, ..amend }))
}

fn modify(body: &[u8], ground: &Ground<'_>) -> Result<Command, Reply> {
    let (amend, replace) = amendment(body, ground)?;
    Ok(Command::Amend(Amend { replace, ..amend }))
}

fn remove_values(body: &[u8], ground: &Ground<'_>) -> Result<Command, Reply> {
    let HandleAndIndexes { handle, indexes } = decoded(HandleAndIndexes::decode(body))?;
    let identifier = named(handle)?;
    // No value has an index that cannot be.
    let absent = |_| Reply::refuse(ResponseCode::VALUES_NOT_FOUND, "there is no value at such an index");
    let indexes = indexes.into_iter().map(|index| Index::new(index).map_err(absent));
    let remove = ground.judge(&identifier.governing_prefix(), indexes.collect())?;
    Ok(Command::Amend(Amend { remove, ..empty(identifier) }))
}

/// What adding and modifying have in common: the identifier, and at least one value.
fn amendment(body: &[u8], ground: &Ground<'_>) -> Result<(Amend, Vec<Value>), Reply> {
    let HandleAndValues { handle, values } = decoded(HandleAndValues::decode(body))?;
    let identifier = named(handle)?;
    let judged = if values.is_empty() {
        Err(Reply::refuse(ResponseCode::INVALID_VALUE, "no values are given; give at least one"))
    } else {
        complete(&values).map(Values::into_vec)
    };
    let values = ground.judge(&identifier.governing_prefix(), judged)?;
    Ok((empty(identifier), values))
}

fn empty(identifier: Identifier) -> Amend {
    Amend {
        identifier,
        add: Vec::new(),
        replace: Vec::new(),
        set: Vec::new(),
        remove: Vec::new(),
        precondition: Precondition::None,
    }
}

//----------- Parts ----------------------------------------------------------

fn decoded<T>(decoded: Result<T, DecodeError>) -> Result<T, Reply> {
    decoded.map_err(|error| reply::unreadable(&error))
}

/// The identifier to be changed.
fn named(handle: &[u8]) -> Result<Identifier, Reply> {
    identifier(handle).map_err(|malformed| malformed.in_command())
}

/// The prefix that a request of form `0.NA/<prefix>` names.
pub(super) fn named_prefix(body: &[u8]) -> Result<Prefix, Reply> {
    let HandleOnly(handle) = decoded(HandleOnly::decode(body))?;
    let identifier = named(handle)?;
    let sentence = "the handle of a prefix has the form 0.NA/<prefix>";
    identifier.named_prefix().ok_or_else(|| Reply::refuse(ResponseCode::INVALID_HANDLE, sentence))
}

/// Prefix and beginning of a suffix to be minted; the beginning may be empty.
fn minted(handle: &[u8]) -> Result<(Prefix, String), Reply> {
    let text = core::str::from_utf8(handle).map_err(|_| Malformed::NotUtf8.in_command())?;
    let (prefix, start) = text.split_once('/').unwrap_or((text, ""));
    let prefix = Prefix::parse(prefix).map_err(|error| reply::malformed(&error))?;
    Ok((prefix, start.to_owned()))
}

/// The values of a request, all of which an identifier can hold.
fn complete(values: &[WireValue<'_>]) -> Result<Values, Reply> {
    let invalid = |sentence: String| Reply::refuse(ResponseCode::INVALID_VALUE, &sentence);
    let values = values.iter().map(|value| value.to_value().map_err(|problem| invalid(problem.to_string())));
    let values = values.collect::<Result<Vec<Value>, Reply>>()?;
    Values::new(values).map_err(|error| reply::refusal(&Refusal::ValueInvalid(error)))
}

/// Where commands fall on: the prefixes of this node.
struct Ground<'r>(&'r Resolver);

impl Ground<'_> {
    /// What is malformed is told only where this node is responsible.
    fn judge<T>(&self, prefix: &Prefix, judged: Result<T, Reply>) -> Result<T, Reply> {
        judged.map_err(|malformed| responsible(self.0, prefix).err().unwrap_or(malformed))
    }
}

/// Refuses what another node answers for.
pub(super) fn responsible(resolver: &Resolver, prefix: &Prefix) -> Result<(), Reply> {
    match resolver.directory().governing(prefix) {
        Some(entry) if entry.homing == Homing::Here => Ok(()),
        Some(entry) => Err(reply::refusal(&Refusal::PrefixDelegated { prefix: entry.prefix.clone() })),
        None => Err(reply::refusal(&Refusal::NotResponsible { prefix: prefix.clone() })),
    }
}

//----------- Receipts -------------------------------------------------------

/// What is told of a command that was carried out.
pub(super) fn told(op: OpCode, receipt: &Receipt) -> Reply {
    let body = match (&receipt.identifier, op) {
        (Some(identifier), OpCode::CREATE) => HandleOnly(identifier.to_string().as_bytes()).encode(),
        (Some(_) | None, _) => Vec::new(),
    };
    let flags = if has_overwritten(op, receipt) { OpFlags::OVERWRITE } else { OpFlags::NONE };
    Reply { flags, ..Reply::changed(body) }
}

/// Whether something that was there already was written over by what creates or adds.
fn has_overwritten(op: OpCode, receipt: &Receipt) -> bool {
    match (op, receipt.outcome) {
        (OpCode::CREATE | OpCode::ADD_VALUE, Outcome::Overwritten | Outcome::Unchanged) => true,
        (OpCode::ADD_VALUE, Outcome::Amended) => receipt.replaced,
        _ => false,
    }
}
