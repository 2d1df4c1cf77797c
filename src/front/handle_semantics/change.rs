//! Changes: the protocol's ways of writing as commands, and what a receipt means to its clients.

use crate::model::identifier::{Identifier, Prefix};
use crate::model::prefix::Homing;
use crate::model::refusal::Refusal;
use crate::model::value::{Index, Value, Values};
use crate::registry::command::{Amend, Command, Existing, Precondition, Register, Remove, Target};
use crate::registry::receipt::{Outcome, Receipt};
use crate::resolver::Resolver;

/// Registers an identifier with these values.
pub(in crate::front) fn register(target: Target, values: Values, existing: Existing) -> Command {
    Command::Register(Register { target, values, existing, precondition: Precondition::None })
}

/// Removes an identifier.
pub(in crate::front) fn remove(identifier: Identifier) -> Command {
    Command::Remove(Remove { identifier, precondition: Precondition::None })
}

/// Adds values to an identifier; what stands at their indexes is overwritten, or refuses the whole.
pub(in crate::front) fn add_values(
    identifier: Identifier,
    values: Vec<Value>,
    existing: Existing,
) -> Command {
    let amend = no_change(identifier);
    Command::Amend(match existing {
        Existing::Refuse => Amend { add: values, ..amend },
        Existing::Overwrite | Existing::OverwriteWithoutAdministrator => Amend { set: values, ..amend },
    })
}

/// Replaces values that an identifier has.
pub(in crate::front) fn replace_values(identifier: Identifier, replace: Vec<Value>) -> Command {
    Command::Amend(Amend { replace, ..no_change(identifier) })
}

/// Removes values of an identifier.
pub(in crate::front) fn remove_values(identifier: Identifier, remove: Vec<Index>) -> Command {
    Command::Amend(Amend { remove, ..no_change(identifier) })
}

/// The same command, carried out only if a precondition holds where it commits.
pub(in crate::front) fn conditioned(command: Command, precondition: Precondition) -> Command {
    match command {
        Command::Register(register) => Command::Register(Register { precondition, ..register }),
        Command::Amend(amend) => Command::Amend(Amend { precondition, ..amend }),
        Command::Remove(remove) => Command::Remove(Remove { precondition, ..remove }),
        other @ (Command::Prefix(_) | Command::Token(_) | Command::Note(_)) => other,
    }
}

fn no_change(identifier: Identifier) -> Amend {
    let (add, replace, set, remove) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    Amend { identifier, add, replace, set, remove, precondition: Precondition::None }
}

/// Refuses a change of what another node answers for.
pub(in crate::front) fn check_responsible(resolver: &Resolver, prefix: &Prefix) -> Result<(), Refusal> {
    match resolver.directory().governing(prefix) {
        Some(entry) if entry.homing == Homing::Here => Ok(()),
        Some(entry) => Err(Refusal::PrefixDelegated { prefix: entry.prefix.clone() }),
        None => Err(Refusal::NotResponsible { prefix: prefix.clone() }),
    }
}

/// Whether a command that creates or adds has found, and perhaps overwritten, something that was there already.
pub(in crate::front) fn has_overwritten(receipt: &Receipt) -> bool {
    match receipt.outcome {
        Outcome::Overwritten | Outcome::Unchanged => true,
        Outcome::Amended => receipt.replaced,
        Outcome::Registered
        | Outcome::Removed
        | Outcome::PrefixChanged
        | Outcome::TokenCreated
        | Outcome::TokenRevoked
        | Outcome::PeerReset
        | Outcome::PrefixNoted => false,
    }
}
