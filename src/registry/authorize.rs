//! Authorization: what a caller may do, as a type. Only an [`Authorized`] command can be committed.
//!
//! An authorization is bound to the prefixes and tokens that were read for it. The committer checks that they have not
//! changed and otherwise authorizes again: nothing commits after its prefix was suspended or its token revoked. The
//! authorization of an identity is also bound to the versions of the records that allow it; see `identity_authorization`.

use std::sync::Arc;

use crate::authority::caller::{Caller, check_token};
use crate::authority::evidence::ReadVersion;
use crate::authority::prefix::homed_here;
use crate::model::caller::CallerName;
use crate::model::identifier::{Identifier, Prefix};
use crate::model::prefix::PrefixStatus;
use crate::model::refusal::Refusal;
use crate::model::token::{TokenEntry, TokenId};
use crate::store::directory::Directory;

use super::command::{Command, Item, PrefixCommand, Register, Remove, Target};

/// A command that its caller may give, according to the state that was read.
pub(super) struct Authorized {
    item: Arc<Item>,
    caller: Caller,
    name: CallerName,
    directory: Arc<Directory>,
    /// The versions to which the authorization is bound.
    read: Vec<ReadVersion>,
}

/// A command that its caller may not give, and the reason.
pub(super) struct Unauthorized {
    pub(super) item: Arc<Item>,
    pub(super) refusal: Refusal,
}

impl Authorized {
    /// Checks that the caller may give the command; gives the item back when it may not.
    pub(super) fn new(
        item: Arc<Item>,
        caller: &Caller,
        directory: &Arc<Directory>,
        now_ms: u64,
    ) -> Result<Self, Box<Unauthorized>> {
        let name = caller.name().ok_or(Refusal::Unauthenticated);
        let checked = name.and_then(|name| {
            check(caller, &item.command, directory, now_ms)?;
            Ok(name)
        });
        match checked {
            Ok(name) => {
                let (caller, directory) = (caller.clone(), Arc::clone(directory));
                Ok(Self { item, caller, name, directory, read: Vec::new() })
            }
            Err(refusal) => Err(Box::new(Unauthorized { item, refusal })),
        }
    }

    /// A command that records allow; only `identity_authorization` may make it.
    pub(super) fn by_records(
        item: Arc<Item>,
        caller: &Caller,
        directory: Arc<Directory>,
        read: Vec<ReadVersion>,
    ) -> Self {
        let name = caller.name().unwrap_or(CallerName::Anonymous);
        Self { item, caller: caller.clone(), name, directory, read }
    }

    /// The versions of records to which it is bound.
    pub(super) fn read(&self) -> &[ReadVersion] {
        &self.read
    }

    /// Refuses the command if what was read has changed and does not allow it now.
    pub(super) fn check_fence(&self, directory: &Arc<Directory>, now_ms: u64) -> Result<(), Refusal> {
        if Arc::ptr_eq(&self.directory, directory) {
            return Ok(());
        }
        match &self.caller {
            Caller::Node | Caller::Token(_) => check(&self.caller, &self.item.command, directory, now_ms),
            Caller::Identity(_) | Caller::Anonymous => check_ground(&self.item.command, directory),
        }
    }

    /// The command and its number.
    pub(super) fn item(&self) -> &Item {
        &self.item
    }

    /// The name of the caller in the journal.
    pub(super) fn name(&self) -> &CallerName {
        &self.name
    }

    /// The caller's token, when it has one.
    pub(super) fn token(&self) -> Option<TokenId> {
        match &self.name {
            CallerName::Token(id) => Some(*id),
            CallerName::Node | CallerName::Anonymous | CallerName::Identity(_) => None,
        }
    }
}

/// Refuses a command that the token or the prefix does not allow.
pub(super) fn check(
    caller: &Caller,
    command: &Command,
    directory: &Directory,
    now_ms: u64,
) -> Result<(), Refusal> {
    if let Caller::Token(token) = caller {
        let present = directory.token(token.id).ok_or(Refusal::TokenUnknown)?;
        check_token(present, now_ms)?;
        check_not_reset(token, present, command)?;
    }
    match command {
        Command::Register(register) => match &register.target {
            Target::Named(identifier) => check_change(caller, &identifier.governing_prefix(), directory),
            Target::Minted { prefix, .. } => check_change(caller, prefix, directory),
        },
        Command::Amend(amend) => check_change(caller, &amend.identifier.governing_prefix(), directory),
        Command::Remove(Remove { identifier, .. }) if is_left_over(identifier, directory) => {
            check_registrar(caller, &identifier.governing_prefix())
        }
        Command::Remove(remove) => check_change(caller, &remove.identifier.governing_prefix(), directory),
        Command::Prefix(PrefixCommand::File(filing)) => check_filing(caller, &filing.prefix),
        Command::Prefix(_) | Command::Token(_) | Command::Note(_) => check_admin(caller),
    }
}

/// Refuses every change of identifiers under a prefix that is not homed here.
pub(super) fn check_ground(command: &Command, directory: &Directory) -> Result<(), Refusal> {
    let prefix = match command {
        Command::Register(Register { target: Target::Minted { prefix, .. }, .. }) => Some(prefix.clone()),
        Command::Remove(Remove { identifier, .. }) if is_left_over(identifier, directory) => None,
        _ => named(command).map(Identifier::governing_prefix),
    };
    prefix.map_or(Ok(()), |prefix| homed_here(&prefix, directory).map(|_| ()))
}

/// Whether an identifier is the record of a prefix that was revoked here. Nobody sees it any more, but it can be removed, so
/// that its administrators and keys are not those of the next registrant.
pub(super) fn is_left_over(identifier: &Identifier, directory: &Directory) -> bool {
    let entry = identifier.named_prefix().and_then(|named| directory.get(&named).cloned());
    entry.is_some_and(|entry| entry.status == PrefixStatus::Revoked)
}

fn check_change(caller: &Caller, prefix: &Prefix, directory: &Directory) -> Result<(), Refusal> {
    check_registrar(caller, prefix)?;
    homed_here(prefix, directory).map(|_| ())
}

fn check_registrar(caller: &Caller, prefix: &Prefix) -> Result<(), Refusal> {
    if caller.may_register(prefix) {
        return Ok(());
    }
    Err(Refusal::PermissionDenied { needed: format!("scope registrar on prefix {prefix}") })
}

/// Refuses a filing of a call that began before an administrator reset its peer, and so made a new version of its token.
fn check_not_reset(token: &TokenEntry, present: &TokenEntry, command: &Command) -> Result<(), Refusal> {
    match command {
        Command::Prefix(PrefixCommand::File(_)) if token.version < present.version => Err(Refusal::PeerReset),
        _ => Ok(()),
    }
}

fn check_filing(caller: &Caller, prefix: &Prefix) -> Result<(), Refusal> {
    if caller.may_file(prefix) {
        return Ok(());
    }
    Err(Refusal::PermissionDenied { needed: format!("scope peer on prefix {prefix}") })
}

fn check_admin(caller: &Caller) -> Result<(), Refusal> {
    if caller.is_admin() {
        return Ok(());
    }
    Err(Refusal::PermissionDenied { needed: "scope admin".to_owned() })
}

/// The identifier that a command is about, when it names one.
pub(super) fn named(command: &Command) -> Option<&Identifier> {
    match command {
        Command::Register(register) => match &register.target {
            Target::Named(identifier) => Some(identifier),
            Target::Minted { .. } => None,
        },
        Command::Amend(amend) => Some(&amend.identifier),
        Command::Remove(remove) => Some(&remove.identifier),
        Command::Prefix(_) | Command::Token(_) | Command::Note(_) => None,
    }
}
