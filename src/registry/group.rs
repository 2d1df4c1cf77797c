//! A group: commands that are committed together, decided in order, each on the state after the ones before it.
//!
//! ```text
//!   submissions ─▶ batched reads ─▶ Group.decide, item by item ─▶ Block ─▶ committed ─▶ receipts
//! ```
//! Decisions are not durable yet: receipts are sent only after the block has committed. The journal is dense and has one
//! writer, so that the position of each change is known when it is decided. The group before may still be being written; the
//! states are those after it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier, Prefix};
use crate::model::limits::GROUP_BYTES_MAX;
use crate::model::position::Position;
use crate::model::prefix::{Homing, PrefixEntry};
use crate::store::directory::Directory;
use crate::store::entry::{
    Change, IdentifierChange, IdentifierEntry, Mark, Operation, RequestKey, RequestMemory,
};
use crate::store::journal::lineage::Lineage;
use crate::store::writer::{Block, Proposed, View};

use super::authorize::{self, Authorized};
use super::command::{Command, NotePrefix, PrefixCommand, TokenCommand};
use super::filing_rules::FilingState;
use super::receipt::{Outcome, Receipt};
use super::rules::{self, Decision, Now, Present};
use super::warnings::Warnings;
use crate::authority::evidence::ReadVersion;
use crate::model::refusal::Refusal;

/// Approximate bytes of a change besides its values: names, header, envelope, request memory.
const CHANGE_OVERHEAD_BYTES: usize = 512;

/// States and requests as read, and what this group adds to them.
pub(super) struct Group {
    view: View,
    folding: Folding,
    now: Now,
    /// The end of the journal on which all decisions are based.
    since: Position,
    lineage: Arc<Lineage>,
    directory: Arc<Directory>,
    present: HashMap<CanonicalIdentifier, DecidedEntry>,
    requests: HashMap<RequestKey, RequestMemory>,
    proposed: Vec<Proposed>,
    remembered: Vec<(RequestKey, RequestMemory)>,
    /// Approximate bytes of states and bodies.
    bytes: usize,
    /// Bytes of the values of states that were read.
    read_bytes: usize,
    /// Items that were decided, refused ones too.
    decided: usize,
}

/// An identifier's state as this group sees it.
struct DecidedEntry {
    present: Present,
    /// The state in the store, which the block replaces, however many changes the group makes.
    mark: Option<Mark>,
    /// Sequence of the last change of the identifier.
    sequence: u64,
}

impl From<IdentifierEntry> for DecidedEntry {
    fn from(entry: IdentifierEntry) -> Self {
        let (mark, sequence) = (Some(entry.mark()), entry.sequence);
        Self { present: Present::from(entry), mark, sequence }
    }
}

/// A request's item, to be remembered: its key and the digest of its content.
pub(super) type Remember = Option<(RequestKey, [u8; 16])>;

/// An item with what its decision needs beside the state.
pub(super) struct PreparedItem {
    pub(super) item: Authorized,
    /// Completes the identifier of a command that mints one.
    pub(super) random: [u8; 16],
    pub(super) remember: Remember,
}

/// The result of an item that was not refused.
struct Decided {
    identifier: Option<Identifier>,
    version: u64,
    sequence: u64,
    /// The operation; none if nothing had to be changed.
    operation: Option<Operation>,
    /// Whether present values were replaced or removed.
    replaced: bool,
}

//----------- Reading --------------------------------------------------------

impl Group {
    /// An empty group at the end of the journal.
    pub(super) fn new(view: View) -> Self {
        let (store, end) = (view.store(), view.end());
        Self {
            folding: store.folding(),
            // Journal time never goes backwards, even if the clock does.
            now: Now { ms: store.now_ms().max(end.time_ms) },
            since: end.position(),
            lineage: store.lineage(),
            directory: view.directory(),
            view,
            present: HashMap::new(),
            requests: HashMap::new(),
            proposed: Vec::new(),
            remembered: Vec::new(),
            bytes: 0,
            read_bytes: 0,
            decided: 0,
        }
    }

    /// The state that it is decided on.
    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// Whether the state of an identifier is known already.
    pub(super) fn knows(&self, name: &CanonicalIdentifier) -> bool {
        self.present.contains_key(name)
    }

    /// Whether a request's item is remembered, as far as the group knows.
    pub(super) fn remembers(&self, key: &RequestKey) -> bool {
        self.requests.contains_key(key)
    }

    /// Whether records still have the versions to which an authorization is bound, under prefixes homed here.
    pub(super) fn stands(&self, read: &[ReadVersion]) -> bool {
        let version = |name| self.present.get(name).map_or(0, |state: &DecidedEntry| state.present.version);
        read.iter().all(|read| read.stands(version(&read.name), &self.directory))
    }

    /// Adds states and request memories that were read and are not known yet.
    pub(super) fn take_up(
        &mut self,
        states: impl Iterator<Item = (CanonicalIdentifier, IdentifierEntry)>,
        memories: impl Iterator<Item = (RequestKey, RequestMemory)>,
    ) {
        for (name, entry) in states {
            self.read_bytes += entry.values.as_ref().map_or(0, |values| values.encoded_bytes());
            self.present.insert(name, DecidedEntry::from(entry));
        }
        self.requests.extend(memories);
    }

    /// Whether the group is full.
    pub(super) fn is_full(&self, changes_max: usize) -> bool {
        self.decided >= changes_max || self.bytes.max(self.read_bytes) >= GROUP_BYTES_MAX
    }

    /// Number of its changes.
    pub(super) fn changes(&self) -> usize {
        self.proposed.len()
    }

    /// The block to commit.
    pub(super) fn into_block(self) -> Block {
        Block { since: self.since, changes: self.proposed, remembered: self.remembered }
    }
}

//----------- Deciding -------------------------------------------------------

impl Group {
    /// Decides one item. The receipt is valid once the block has committed.
    pub(super) fn decide(&mut self, prepared: &PreparedItem) -> Result<Receipt, Refusal> {
        self.decided += 1;
        let PreparedItem { item, random, remember } = prepared;
        let (command, remember) = (&item.item().command, *remember);
        if let Some((key, content)) = remember
            && let Some(memory) = self.requests.get(&key)
        {
            let named = authorize::named(command).cloned();
            return Receipt::repeated(named, memory, content, self.position(memory.sequence));
        }
        item.check_fence(&self.directory, self.now.ms)?;
        let now = self.now;
        let decided = match command {
            Command::Register(register) => {
                let target = register.target.identifier(*random)?;
                let rule = |present: Option<&Present>| rules::register(present, &target, register, now);
                self.decide_identifier(item, &target, rule, remember)?
            }
            Command::Amend(amend) => {
                let rule = |present: Option<&Present>| rules::amend(present, amend, now);
                self.decide_identifier(item, &amend.identifier, rule, remember)?
            }
            Command::Remove(remove) => {
                let rule = |present: Option<&Present>| rules::remove(present, remove);
                self.decide_identifier(item, &remove.identifier, rule, remember)?
            }
            Command::Prefix(command) => self.decide_prefix(item, command, remember)?,
            Command::Token(command) => self.decide_token(item, command, remember)?,
            Command::Note(command) => self.decide_note(item, command, remember)?,
        };
        self.note(&decided, command, remember);
        Ok(Receipt {
            position: self.position(decided.sequence),
            identifier: decided.identifier,
            version: decided.version,
            outcome: decided.operation.map_or(Outcome::Unchanged, Outcome::of),
            replaced: decided.replaced && remember.is_none(),
            repeated: false,
            warnings: Warnings::default(),
        })
    }

    /// Remembers the result of a request, for repetitions in this group and later.
    fn note(&mut self, decided: &Decided, command: &Command, remember: Remember) {
        let Some((key, content)) = remember else {
            return;
        };
        let is_request_target = authorize::named(command) == decided.identifier.as_ref();
        let memory = RequestMemory {
            content,
            operation: decided.operation,
            version: decided.version,
            sequence: decided.sequence,
            identifier: decided.identifier.clone().filter(|_| !is_request_target),
        };
        if memory.operation.is_none() {
            self.remembered.push((key, memory.clone()));
        }
        self.requests.insert(key, memory);
    }

    fn decide_identifier(
        &mut self,
        item: &Authorized,
        target: &Identifier,
        rule: impl FnOnce(Option<&Present>) -> Result<Decision, Refusal>,
        remember: Remember,
    ) -> Result<Decided, Refusal> {
        let canonical = target.canonical(self.folding);
        let state = self.present.get(&canonical);
        let present = state.map(|state| &state.present);
        let (operation, next) = match rule(present)? {
            Decision::Change(operation, next) => (operation, next),
            Decision::Unchanged(version) => {
                let sequence = state.map_or(self.since.sequence, |state| state.sequence);
                let identifier = present.map(|present| present.identifier.clone());
                return Ok(Decided { identifier, version, sequence, operation: None, replaced: false });
            }
        };
        let replaced = present.is_some_and(|present| present.loses_values(&next));
        let mark = state.and_then(|state| state.mark);
        let identifier = next.identifier.clone();
        let named = item.item().command.mints() || identifier != *target;
        let change = Change::Identifier(IdentifierChange {
            identifier: identifier.clone(),
            values: next.values.clone(),
            created_ms: next.created_ms,
        });
        // Counts the state and the body of the journal entry.
        self.bytes += 2 * next.values.as_ref().map_or(0, |values| values.encoded_bytes());
        let version = next.version;
        let sequence = self.propose(Proposed {
            change,
            operation,
            caller: item.name().clone(),
            version,
            replaces: mark,
            request: remember,
            named,
        });
        self.present.insert(canonical, DecidedEntry { present: next, mark, sequence });
        Ok(Decided { identifier: Some(identifier), version, sequence, operation: Some(operation), replaced })
    }

    fn decide_prefix(
        &mut self,
        item: &Authorized,
        command: &PrefixCommand,
        remember: Remember,
    ) -> Result<Decided, Refusal> {
        let present = self.directory.get(command.prefix()).map(Arc::as_ref);
        let filings = FilingState {
            directory: &self.directory,
            peer: item.token(),
            holds_identifiers: self.takes_from_here(command) && self.holds_identifiers(command.prefix()),
            now_ms: self.now.ms,
        };
        let Some((operation, entry)) = rules::change_prefix(present, command, &filings)? else {
            let version = present.map_or(0, |present| present.version);
            return Ok(self.held(version, self.directory.prefix_sequence(command.prefix())));
        };
        let entry = PrefixEntry { changed_ms: self.now.ms, ..entry };
        let version = entry.version;
        let sequence = self.administer(item, Change::Prefix(entry.clone()), operation, version, remember);
        Arc::make_mut(&mut self.directory).put_prefix(entry, sequence);
        Ok(Decided { identifier: None, version, sequence, operation: Some(operation), replaced: false })
    }

    fn decide_token(
        &mut self,
        item: &Authorized,
        command: &TokenCommand,
        remember: Remember,
    ) -> Result<Decided, Refusal> {
        let present = self.directory.token(command.id()).map(Arc::as_ref);
        let Some((operation, entry)) = rules::change_token(present, command, self.now)? else {
            let version = present.map_or(0, |present| present.version);
            return Ok(self.held(version, self.directory.token_sequence(command.id())));
        };
        let version = entry.version;
        let sequence = self.administer(item, Change::Token(entry.clone()), operation, version, remember);
        Arc::make_mut(&mut self.directory).put_token(entry, sequence);
        Ok(Decided { identifier: None, version, sequence, operation: Some(operation), replaced: false })
    }

    fn decide_note(
        &mut self,
        item: &Authorized,
        command: &NotePrefix,
        remember: Remember,
    ) -> Result<Decided, Refusal> {
        let entry = self.directory.get(&command.prefix).map(Arc::as_ref);
        let present = self.directory.note(&command.prefix).map(Arc::as_ref);
        let Some(note) = rules::note_prefix(entry, present, command, self.now)? else {
            let version = present.map_or(0, |present| present.version);
            return Ok(self.held(version, self.directory.note_sequence(&command.prefix)));
        };
        let (operation, version) = (Operation::PrefixNoted, note.version);
        let sequence = self.administer(item, Change::Note(note.clone()), operation, version, remember);
        Arc::make_mut(&mut self.directory).put_note(note, sequence);
        Ok(Decided { identifier: None, version, sequence, operation: Some(operation), replaced: false })
    }

    /// Whether a command is a filing of a prefix out of one that is homed here, as the commands before it have left it.
    fn takes_from_here(&self, command: &PrefixCommand) -> bool {
        let PrefixCommand::File(filing) = command else {
            return false;
        };
        let above = self.directory.governing(&filing.prefix);
        above.is_some_and(|above| above.homing == Homing::Here && above.prefix != filing.prefix)
    }

    /// Whether the store holds identifiers of a prefix that has no entry, or this group registers some.
    fn holds_identifiers(&self, prefix: &Prefix) -> bool {
        let is_of_prefix = |entry: &DecidedEntry| {
            let own = entry.present.identifier.prefix();
            entry.present.values.is_some()
                && prefix.covers(own)
                && self.directory.governing(own).is_none_or(|governing| !prefix.covers(&governing.prefix))
        };
        self.directory.get(prefix).is_none() && self.present.values().any(is_of_prefix)
            || self.view.holds_for_entry_above(prefix, &self.directory)
    }

    /// The result for a prefix, token or note that has been as asked for since a journal entry.
    fn held(&self, version: u64, sequence: Option<u64>) -> Decided {
        let sequence = sequence.unwrap_or_else(|| self.end());
        Decided { identifier: None, version, sequence, operation: None, replaced: false }
    }

    fn administer(
        &mut self,
        item: &Authorized,
        change: Change,
        operation: Operation,
        version: u64,
        remember: Remember,
    ) -> u64 {
        self.propose(Proposed {
            change,
            operation,
            caller: item.name().clone(),
            version,
            replaces: None,
            request: remember,
            named: false,
        })
    }

    /// Adds a change; returns the sequence of its journal entry.
    fn propose(&mut self, proposed: Proposed) -> u64 {
        self.proposed.push(proposed);
        self.bytes += CHANGE_OVERHEAD_BYTES;
        self.end()
    }

    /// The end of the journal after the changes so far.
    fn end(&self) -> u64 {
        self.since.sequence + self.proposed.len() as u64
    }

    fn position(&self, sequence: u64) -> Position {
        self.lineage.position_of(sequence).unwrap_or(Position { sequence, ..self.since })
    }
}
