//! Changes: requests of the protocol become commands, and receipts become replies.
//!
//! Order of the checks: the prefix is homed here, the request is well-formed, the caller has the permission (it is
//! challenged if it has proved nothing yet), then the state of the identifier. The registry decides; this file only
//! translates.

use crate::front::handle_semantics::{change as rules, name};
use crate::model::identifier::{Identifier, Prefix};
use crate::model::refusal::Refusal;
use crate::model::value::{Index, Value, Values};
use crate::registry::command::{Command, Existing, PrefixCommand, Target};
use crate::registry::receipt::Receipt;
use crate::resolver::Resolver;
use crate::wire::cursor::DecodeError;
use crate::wire::handle::body::{HandleAndIndexes, HandleAndValues, HandleOnly};
use crate::wire::handle::code::{OpCode, OpFlags};
use crate::wire::handle::message::Message;
use crate::wire::handle::value::WireValue;

use super::reply::{self, Reply};
use super::resolution::{Malformed, identifier};

//----------- Commands -------------------------------------------------------

/// The command of a request; none when its operation changes nothing.
pub(super) fn command(message: &Message<'_>, resolver: &Resolver) -> Option<Result<Command, Reply>> {
    let Message { header, body, .. } = message;
    let responsibility = Responsibility(resolver);
    let flags = header.flags;
    match header.op {
        OpCode::CREATE => Some(create(body, flags, &responsibility)),
        OpCode::DELETE => Some(remove(body)),
        OpCode::ADD_VALUE => Some(add(body, flags, &responsibility)),
        OpCode::REMOVE_VALUE => Some(remove_values(body, &responsibility)),
        OpCode::MODIFY_VALUE => Some(modify(body, &responsibility)),
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

fn create(body: &[u8], flags: OpFlags, responsibility: &Responsibility<'_>) -> Result<Command, Reply> {
    let HandleAndValues { handle, values } = decoded(HandleAndValues::decode(body))?;
    let (target, prefix) = if flags.has(OpFlags::MINT) {
        let (prefix, start) = minted(handle)?;
        (Target::Minted { prefix: prefix.clone(), start }, prefix)
    } else {
        let target = named(handle)?;
        let prefix = target.governing_prefix();
        (Target::Named(target), prefix)
    };
    let values = responsibility.or_refuse(&prefix, complete(&values))?;
    Ok(rules::register(target, values, existing(flags)))
}

/// What happens to that which exists already.
fn existing(flags: OpFlags) -> Existing {
    if flags.has(OpFlags::OVERWRITE) { Existing::Overwrite } else { Existing::Refuse }
}

fn remove(body: &[u8]) -> Result<Command, Reply> {
    let HandleOnly(handle) = decoded(HandleOnly::decode(body))?;
    Ok(rules::remove(named(handle)?))
}

fn add(body: &[u8], flags: OpFlags, responsibility: &Responsibility<'_>) -> Result<Command, Reply> {
    let (identifier, values) = amendment(body, responsibility)?;
    Ok(rules::add_values(identifier, values, existing(flags)))
}

fn modify(body: &[u8], responsibility: &Responsibility<'_>) -> Result<Command, Reply> {
    let (identifier, values) = amendment(body, responsibility)?;
    Ok(rules::replace_values(identifier, values))
}

fn remove_values(body: &[u8], responsibility: &Responsibility<'_>) -> Result<Command, Reply> {
    let HandleAndIndexes { handle, indexes } = decoded(HandleAndIndexes::decode(body))?;
    let identifier = named(handle)?;
    // No value can have such an index.
    let indexes = indexes.into_iter().map(|index| Index::new(index).map_err(|_| reply::no_such_index()));
    let remove = responsibility.or_refuse(&identifier.governing_prefix(), indexes.collect())?;
    Ok(rules::remove_values(identifier, remove))
}

/// The identifier and the values, at least one, of a request to add or modify values.
fn amendment(body: &[u8], responsibility: &Responsibility<'_>) -> Result<(Identifier, Vec<Value>), Reply> {
    let HandleAndValues { handle, values } = decoded(HandleAndValues::decode(body))?;
    let identifier = named(handle)?;
    let judged = if values.is_empty() {
        Err(reply::invalid_values("no values are given; give at least one"))
    } else {
        complete(&values).map(Values::into_vec)
    };
    let values = responsibility.or_refuse(&identifier.governing_prefix(), judged)?;
    Ok((identifier, values))
}

//----------- Parts ----------------------------------------------------------

fn decoded<T>(decoded: Result<T, DecodeError>) -> Result<T, Reply> {
    decoded.map_err(|error| reply::unreadable(&error))
}

/// The identifier that a request changes.
fn named(handle: &[u8]) -> Result<Identifier, Reply> {
    identifier(handle).map_err(|malformed| malformed.in_command())
}

/// The prefix that a request of form `0.NA/<prefix>` names.
pub(super) fn named_prefix(body: &[u8]) -> Result<Prefix, Reply> {
    let HandleOnly(handle) = decoded(HandleOnly::decode(body))?;
    let identifier = named(handle)?;
    identifier.named_prefix().ok_or_else(reply::not_a_prefix)
}

/// The prefix under which to mint, and the beginning of the suffix, which may be empty.
fn minted(handle: &[u8]) -> Result<(Prefix, String), Reply> {
    let text = core::str::from_utf8(handle).map_err(|_| Malformed::NotUtf8.in_command())?;
    name::minted_under(text).map_err(|error| reply::malformed(&error))
}

/// The values of a request, as an identifier can hold them.
fn complete(values: &[WireValue<'_>]) -> Result<Values, Reply> {
    let values = values.iter();
    let values =
        values.map(|value| value.to_value().map_err(|error| reply::invalid_values(&error.to_string())));
    let values = values.collect::<Result<Vec<Value>, Reply>>()?;
    Values::new(values).map_err(|error| reply::refusal(&Refusal::ValueInvalid(error)))
}

/// The prefixes that this node is responsible for.
struct Responsibility<'r>(&'r Resolver);

impl Responsibility<'_> {
    /// Reports a malformed request only where this node is responsible; elsewhere that comes first.
    fn or_refuse<T>(&self, prefix: &Prefix, decoded: Result<T, Reply>) -> Result<T, Reply> {
        decoded.map_err(|malformed| responsible(self.0, prefix).err().unwrap_or(malformed))
    }
}

/// Refuses a prefix that another node is responsible for.
pub(super) fn responsible(resolver: &Resolver, prefix: &Prefix) -> Result<(), Reply> {
    rules::check_responsible(resolver, prefix).map_err(|refusal| reply::refusal(&refusal))
}

//----------- Receipts -------------------------------------------------------

/// The reply to a command that was carried out.
pub(super) fn done(op: OpCode, receipt: &Receipt) -> Reply {
    let body = match (&receipt.identifier, op) {
        (Some(identifier), OpCode::CREATE) => HandleOnly(identifier.to_string().as_bytes()).encode(),
        (Some(_) | None, _) => Vec::new(),
    };
    let is_written = matches!(op, OpCode::CREATE | OpCode::ADD_VALUE);
    let flags =
        if is_written && rules::has_overwritten(receipt) { OpFlags::OVERWRITE } else { OpFlags::NONE };
    Reply { flags, ..Reply::changed(body) }
}
