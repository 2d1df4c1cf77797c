//! A group: commands decided together, in commit order, over the states that the ones before them lead to.
//!
//! ```text
//!   submissions ─▶ one batched read ─▶ Group.decide, item by item ─▶ Block ─▶ committed ─▶ receipts
//! ```
//! What is decided here is on no disk yet: outcomes are given out only when the block has committed.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier};
use crate::model::prefix::PrefixEntry;
use crate::store::commit::Proposed;
use crate::store::directory::Directory;
use crate::store::entry::{Change, IdentifierEntry, Mark, Operation, RequestKey, RequestMemory};

use super::authorize::Authorized;
use super::command::{Command, PrefixCommand, TokenCommand};
use super::refusal::Refusal;
use super::rules::{self, Decision, Now, Present};

/// What an item came to, before its block commits.
pub(super) enum Outcome {
    /// Refused; nothing to commit.
    Refused(Refusal),
    /// Done before for the same request.
    Repeated(Option<Identifier>, RequestMemory),
    /// Held already, at this version, since this journal entry.
    Unchanged {
        /// As registered.
        identifier: Option<Identifier>,
        /// The version.
        version: u64,
        /// Where it last changed.
        sequence: u64,
    },
    /// Proposed, as the n-th of the block.
    Proposed(usize, Option<Identifier>),
    /// The same request stands earlier in this group, as the n-th of the block.
    Twin(usize, Option<Identifier>),
}

/// States and requests as read, and what this group adds to them.
pub(super) struct Group {
    pub(super) folding: Folding,
    pub(super) now: Now,
    pub(super) directory: Arc<Directory>,
    pub(super) present: HashMap<CanonicalIdentifier, State>,
    pub(super) requests: HashMap<RequestKey, RequestMemory>,
    pub(super) twins: HashMap<RequestKey, ([u8; 16], usize)>,
    pub(super) proposed: Vec<Proposed>,
    pub(super) remembered: Vec<(RequestKey, RequestMemory)>,
}

/// An identifier's state as this group sees it.
pub(super) struct State {
    present: Present,
    /// What stands in the store; the block replaces that, however many changes are made of it here.
    mark: Option<Mark>,
    /// Where it last changed; 0 when that is in this group.
    sequence: u64,
}

impl From<IdentifierEntry> for State {
    fn from(entry: IdentifierEntry) -> Self {
        let (mark, sequence) = (Some(entry.mark()), entry.sequence);
        let IdentifierEntry { identifier, version, values, created_ms, .. } = entry;
        Self { present: Present { identifier, version, values, created_ms }, mark, sequence }
    }
}

/// A request's item, to be remembered: its key and the digest of its content.
pub(super) type Remember = Option<(RequestKey, [u8; 16])>;

impl Group {
    /// Decides one item. `target` is the identifier it is about, minted if need be.
    pub(super) fn decide(
        &mut self,
        item: &Authorized,
        target: Option<Identifier>,
        remember: Remember,
    ) -> Outcome {
        if let Some(outcome) = self.repeated(&target, remember) {
            return outcome;
        }
        if let Err(refusal) = item.check_fence(&self.directory, self.now.ms) {
            return Outcome::Refused(refusal);
        }
        let outcome = match (&item.item().command, target) {
            (Command::Prefix(command), _) => self.decide_prefix(item, command, remember),
            (Command::Token(command), _) => self.decide_token(item, command, remember),
            (command, Some(target)) => self.decide_identifier(item, command, target, remember),
            (_, None) => {
                Err(Refusal::CommandInvalid { reason: "the command names no identifier".to_owned() })
            }
        };
        let outcome = outcome.unwrap_or_else(Outcome::Refused);
        self.note(&outcome, remember);
        outcome
    }

    fn repeated(&self, target: &Option<Identifier>, remember: Remember) -> Option<Outcome> {
        let (key, content) = remember?;
        if let Some(memory) = self.requests.get(&key) {
            if memory.content != content {
                return Some(Outcome::Refused(Refusal::RequestConflict));
            }
            let identifier = memory.minted.clone().or_else(|| target.clone());
            return Some(Outcome::Repeated(identifier, memory.clone()));
        }
        let (earlier, position) = self.twins.get(&key)?;
        if *earlier != content {
            return Some(Outcome::Refused(Refusal::RequestConflict));
        }
        let proposed = self.proposed.get(*position).map(|proposed| &proposed.change);
        let identifier = match proposed {
            Some(Change::Identifier { identifier, .. }) => Some(identifier.clone()),
            _ => None,
        };
        Some(Outcome::Twin(*position, identifier))
    }

    /// Remembers what the request came to, for repetitions in this group and later.
    fn note(&mut self, outcome: &Outcome, remember: Remember) {
        let Some((key, content)) = remember else {
            return;
        };
        match outcome {
            Outcome::Proposed(position, _) => {
                self.twins.insert(key, (content, *position));
            }
            Outcome::Unchanged { version, sequence, .. } if *sequence > 0 => {
                let memory = RequestMemory {
                    content,
                    operation: None,
                    version: *version,
                    sequence: *sequence,
                    minted: None,
                };
                self.requests.insert(key, memory.clone());
                self.remembered.push((key, memory));
            }
            Outcome::Unchanged { .. } | Outcome::Refused(_) | Outcome::Repeated(..) | Outcome::Twin(..) => {}
        }
    }

    fn decide_identifier(
        &mut self,
        item: &Authorized,
        command: &Command,
        target: Identifier,
        remember: Remember,
    ) -> Result<Outcome, Refusal> {
        let canonical = target.canonical(self.folding);
        let state = self.present.get(&canonical);
        let present = state.map(|state| &state.present);
        let (decision, minted) = match command {
            Command::Register(register) => {
                let minted = matches!(register.target, super::command::Target::Minted { .. });
                (rules::register(present, &target, register, self.now)?, minted)
            }
            Command::Amend(amend) => (rules::amend(present, amend, self.now)?, false),
            Command::Remove(remove) => (rules::remove(present, remove)?, false),
            Command::Prefix(_) | Command::Token(_) => return Err(Refusal::Absent),
        };
        let (operation, next) = match decision {
            Decision::Change(operation, next) => (operation, next),
            Decision::Unchanged(version) => {
                let sequence = state.map_or(0, |state| state.sequence);
                let identifier = present.map(|present| present.identifier.clone());
                return Ok(Outcome::Unchanged { identifier, version, sequence });
            }
        };
        let mark = state.and_then(|state| state.mark);
        let identifier = next.identifier.clone();
        self.proposed.push(Proposed {
            change: Change::Identifier {
                identifier: identifier.clone(),
                values: next.values.clone(),
                created_ms: next.created_ms,
            },
            operation,
            caller: item.name().clone(),
            version: next.version,
            replaces: mark,
            request: remember,
            minted,
        });
        self.present.insert(canonical, State { present: next, mark, sequence: 0 });
        Ok(Outcome::Proposed(self.proposed.len() - 1, Some(identifier)))
    }

    fn decide_prefix(
        &mut self,
        item: &Authorized,
        command: &PrefixCommand,
        remember: Remember,
    ) -> Result<Outcome, Refusal> {
        let present = self.directory.get(command.prefix()).map(Arc::as_ref);
        let version = present.map_or(0, |present| present.version);
        let Some((operation, entry)) = rules::change_prefix(present, command, item.token())? else {
            return Ok(Outcome::Unchanged { identifier: None, version, sequence: 0 });
        };
        let entry = PrefixEntry { changed_ms: self.now.ms, ..entry };
        Arc::make_mut(&mut self.directory).put_prefix(entry.clone());
        let version = entry.version;
        Ok(self.propose(item, Change::Prefix(entry), operation, version, remember))
    }

    fn decide_token(
        &mut self,
        item: &Authorized,
        command: &TokenCommand,
        remember: Remember,
    ) -> Result<Outcome, Refusal> {
        let (operation, entry) = match command {
            TokenCommand::Create(entry) => (Operation::TokenCreated, entry.clone()),
            TokenCommand::Revoke { id } => {
                let present = self.directory.token(*id).map(Arc::as_ref);
                let version = present.map_or(0, |present| present.version);
                match rules::revoke_token(present, *id, self.now)? {
                    Some(entry) => (Operation::TokenRevoked, entry),
                    None => return Ok(Outcome::Unchanged { identifier: None, version, sequence: 0 }),
                }
            }
        };
        Arc::make_mut(&mut self.directory).put_token(entry.clone());
        let version = entry.version;
        Ok(self.propose(item, Change::Token(entry), operation, version, remember))
    }

    fn propose(
        &mut self,
        item: &Authorized,
        change: Change,
        operation: Operation,
        version: u64,
        remember: Remember,
    ) -> Outcome {
        self.proposed.push(Proposed {
            change,
            operation,
            caller: item.name().clone(),
            version,
            replaces: None,
            request: remember,
            minted: false,
        });
        Outcome::Proposed(self.proposed.len() - 1, None)
    }
}
