//! Decisions: pure functions from a present state and a command to the next state, or a refusal.

use crate::authority::administration::Record;
use crate::authority::caller::check_token;
use crate::key::PublicKey;
use crate::model::identifier::{Identifier, Prefix};
use crate::model::prefix::{Homing, PrefixEntry, PrefixNote, PrefixStatus, Registrant};
use crate::model::site::{Site, SiteError};
use crate::model::token::{Scope, TokenEntry, TokenId};
use crate::model::value::{Value, ValueType, Values};
use crate::store::directory::Directory;
use crate::store::entry::{IdentifierEntry, Operation};

use super::command::{
    Amend, Existing, NotePrefix, Precondition, PrefixCommand, Register, Remove, Target, TokenCommand,
};
use super::filing_rules::{self, FilingState};
use crate::model::refusal::Refusal;

//----------- Identifiers ----------------------------------------------------

/// The present state of an identifier, as decisions see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Present {
    /// The identifier as registered.
    pub(super) identifier: Identifier,
    /// Version of the identifier, also of a tombstone.
    pub(super) version: u64,
    /// Values of the identifier; none when it was removed.
    pub(super) values: Option<Values>,
    /// Time of registration, in milliseconds since 1970.
    pub(super) created_ms: u64,
}

impl From<IdentifierEntry> for Present {
    fn from(entry: IdentifierEntry) -> Self {
        let IdentifierEntry { identifier, version, values, created_ms, .. } = entry;
        Self { identifier, version, values, created_ms }
    }
}

impl Present {
    /// Whether the next state lacks some value of this one, or has it changed.
    pub(super) fn loses_values(&self, next: &Self) -> bool {
        let next = next.values.as_ref();
        let stands = |value: &Value| {
            next.and_then(|next| next.get(value.index)).is_some_and(|new| new.says_the_same(value))
        };
        self.values.as_ref().is_some_and(|values| !values.as_slice().iter().all(stands))
    }
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// A new state, by this operation.
    Change(Operation, Present),
    /// The present state, at this version, is as asked for.
    Unchanged(u64),
}

/// The time as decisions see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Time in milliseconds since 1970.
    pub(super) ms: u64,
}

impl Now {
    fn timestamp(self) -> u32 {
        u32::try_from(self.ms / 1_000).unwrap_or(u32::MAX)
    }
}

/// Registers an identifier.
pub(super) fn register(
    present: Option<&Present>,
    identifier: &Identifier,
    command: &Register,
    now: Now,
) -> Result<Decision, Refusal> {
    check_site_values(identifier, command.values.as_slice().iter())?;
    let version = present.map_or(0, |present| present.version);
    let refuses = command.existing == Existing::Refuse || command.precondition == Precondition::Absent;
    let held = present.and_then(|present| Some((present, present.values.as_ref()?)));
    if let Precondition::Version(_) | Precondition::Present = command.precondition {
        check_precondition(present, command.precondition)?;
    }
    let (operation, spelled, created_ms) = match held {
        None => (Operation::Registered, identifier.clone(), now.ms),
        Some((_, values)) if refuses => {
            return Err(Refusal::AlreadyExists { version, same: values.say_the_same(&command.values) });
        }
        Some((_, values)) if values.say_the_same(&command.values) => return Ok(Decision::Unchanged(version)),
        Some((_, values)) if loses_administrators(identifier, values, command) => {
            let prefix = identifier.named_prefix().unwrap_or_else(|| identifier.governing_prefix());
            return Err(Refusal::AdministratorMissing { prefix });
        }
        Some((present, _)) => (Operation::Overwritten, present.identifier.clone(), present.created_ms),
    };
    let values = stamped(command.values.clone().into_vec(), now)?;
    let state = Present { identifier: spelled, version: version + 1, values: Some(values), created_ms };
    Ok(Decision::Change(operation, state))
}

/// Whether an overwrite that does not say so would leave the record of a prefix without an administrator.
fn loses_administrators(identifier: &Identifier, present: &Values, command: &Register) -> bool {
    let has_administrator =
        |values: &Values| Record { identifier, values: values.as_slice() }.administrators().next().is_some();
    identifier.named_prefix().is_some()
        && command.existing != Existing::OverwriteWithoutAdministrator
        && has_administrator(present)
        && !has_administrator(&command.values)
}

/// Changes single values of an identifier.
pub(super) fn amend(present: Option<&Present>, command: &Amend, now: Now) -> Result<Decision, Refusal> {
    let amended = amended(present, command, now)?;
    let (present, values) = live(present)?;
    if amended.say_the_same(values) {
        return Ok(Decision::Unchanged(present.version));
    }
    let state = Present { version: present.version + 1, values: Some(amended), ..present.clone() };
    Ok(Decision::Change(Operation::Amended, state))
}

/// The values that an amendment leads to.
pub(super) fn amended(present: Option<&Present>, command: &Amend, now: Now) -> Result<Values, Refusal> {
    check_precondition(present, command.precondition)?;
    let (_, values) = live(present)?;
    check_amend_shape(command)?;
    if let Some(index) = command.remove.iter().find(|index| values.get(**index).is_none()) {
        return Err(Refusal::IndexAbsent { index: *index });
    }
    if let Some(value) = command.replace.iter().find(|value| values.get(value.index).is_none()) {
        return Err(Refusal::IndexAbsent { index: value.index });
    }
    if let Some(value) = command.add.iter().find(|value| values.get(value.index).is_some()) {
        return Err(Refusal::IndexExists { index: value.index });
    }
    let goes = |value: &&Value| {
        command.remove.contains(&value.index) || command.written().any(|new| new.index == value.index)
    };
    let mut remaining: Vec<Value> = values.as_slice().iter().filter(|value| !goes(value)).cloned().collect();
    let new = command.written().cloned();
    remaining.extend(new.map(|value| Value { timestamp: now.timestamp(), ..value }));
    Ok(Values::new(remaining)?)
}

/// Removes an identifier; a tombstone keeps its version.
pub(super) fn remove(present: Option<&Present>, command: &Remove) -> Result<Decision, Refusal> {
    check_precondition(present, command.precondition)?;
    let (present, _) = live(present)?;
    let state = Present { version: present.version + 1, values: None, ..present.clone() };
    Ok(Decision::Change(Operation::Removed, state))
}

fn live(present: Option<&Present>) -> Result<(&Present, &Values), Refusal> {
    present.and_then(|present| Some((present, present.values.as_ref()?))).ok_or(Refusal::Absent)
}

fn check_precondition(present: Option<&Present>, precondition: Precondition) -> Result<(), Refusal> {
    let live = present.filter(|present| present.values.is_some());
    match precondition {
        Precondition::None => Ok(()),
        Precondition::Absent => match live {
            None => Ok(()),
            Some(present) => Err(Refusal::AlreadyExists { version: present.version, same: false }),
        },
        Precondition::Present => live.map(|_| ()).ok_or(Refusal::Absent),
        Precondition::Version(expected) => {
            let found = live.map_or(0, |present| present.version);
            if found == expected { Ok(()) } else { Err(Refusal::VersionMismatch { expected, found }) }
        }
    }
}

/// Refuses a registration that is invalid whatever the present state is.
pub(super) fn check_register_shape(command: &Register) -> Result<(), Refusal> {
    match &command.target {
        Target::Named(identifier) => check_site_values(identifier, command.values.as_slice().iter()),
        Target::Minted { .. } => Ok(()),
    }
}

/// Refuses an amendment that is invalid whatever the present state is.
pub(super) fn check_amend_shape(command: &Amend) -> Result<(), Refusal> {
    check_site_values(&command.identifier, command.written())?;
    let named = command.written().map(|value| value.index);
    let mut indexes: Vec<u32> =
        named.chain(command.remove.iter().copied()).map(|index| index.get()).collect();
    indexes.sort_unstable();
    if indexes.is_empty() {
        let reason = "amend names no value; add, replace or remove at least one".to_owned();
        return Err(Refusal::CommandInvalid { reason });
    }
    let repeated = indexes.iter().zip(indexes.iter().skip(1)).find(|(left, right)| left == right);
    match repeated {
        Some((index, _)) => {
            let reason = format!("index {index} is given twice in one amend; name each index once");
            Err(Refusal::CommandInvalid { reason })
        }
        None => Ok(()),
    }
}

/// The sites of a prefix are those of its entry; they are not registered a second time.
fn check_site_values<'v>(
    identifier: &Identifier,
    mut values: impl Iterator<Item = &'v Value>,
) -> Result<(), Refusal> {
    let is_site = |value: &&Value| value.value_type.is(ValueType::HS_SITE);
    match values.find(is_site).filter(|_| identifier.named_prefix().is_some()) {
        None => Ok(()),
        Some(value) => {
            let reason = format!(
                "index {}: the HS_SITE of a prefix follows from its prefix entry here and is not written; leave it out, \
                 or have an administrator move the prefix with `idnode prefix delegate`",
                value.index
            );
            Err(Refusal::CommandInvalid { reason })
        }
    }
}

fn stamped(mut values: Vec<Value>, now: Now) -> Result<Values, Refusal> {
    values.iter_mut().for_each(|value| value.timestamp = now.timestamp());
    Ok(Values::new(values)?)
}

//----------- Prefixes -------------------------------------------------------

/// The entry that a prefix command leads to; none if the present one is as asked for.
pub(super) fn change_prefix(
    present: Option<&PrefixEntry>,
    command: &PrefixCommand,
    filings: &FilingState<'_>,
) -> Result<Option<(Operation, PrefixEntry)>, Refusal> {
    let (operation, target) = match command {
        PrefixCommand::Home { prefix, registrant } => {
            if let Some(PrefixEntry { prefix, homing: Homing::Delegated(_), .. }) = present {
                return Err(Refusal::DelegationStands { prefix: prefix.clone() });
            }
            (Operation::PrefixHomed, answered_by(present, prefix, Homing::Here, registrant.as_ref()))
        }
        PrefixCommand::Delegate { prefix, site, registrant } => {
            let homing = Homing::Delegated(with_usable_key(site)?);
            (Operation::PrefixDelegated, answered_by(present, prefix, homing, registrant.as_ref()))
        }
        PrefixCommand::Suspend { prefix } => {
            let entry = present.ok_or_else(|| Refusal::PrefixAbsent { prefix: prefix.clone() })?;
            if entry.status == PrefixStatus::Revoked {
                return Err(Refusal::PrefixRevoked { prefix: entry.prefix.clone() });
            }
            (Operation::PrefixSuspended, filing_rules::overrule(entry, filings.directory))
        }
        PrefixCommand::Resume { prefix } => {
            let entry = present.ok_or_else(|| Refusal::PrefixAbsent { prefix: prefix.clone() })?;
            resume(entry, filings.directory)?
        }
        PrefixCommand::EndDelegation { prefix, version } => {
            let entry = present.ok_or_else(|| Refusal::PrefixAbsent { prefix: prefix.clone() })?;
            (Operation::PrefixHomed, end_delegation(entry, *version)?)
        }
        PrefixCommand::Revoke { prefix } => {
            let entry = present.ok_or_else(|| Refusal::PrefixAbsent { prefix: prefix.clone() })?;
            // The entry does not belong to a filing any more, and filings do not undo the decision.
            (
                Operation::PrefixRevoked,
                PrefixEntry { status: PrefixStatus::Revoked, filing: None, ..entry.clone() },
            )
        }
        PrefixCommand::File(filing) => return filing_rules::file(filing, filings),
    };
    let unchanged = present.is_some_and(|present| *present == target);
    let version = present.map_or(1, |present| present.version + 1);
    Ok((!unchanged).then_some((operation, PrefixEntry { version, ..target })))
}

/// The entry that homing or delegating leads to, still with the present version.
fn answered_by(
    present: Option<&PrefixEntry>,
    prefix: &Prefix,
    homing: Homing,
    registrant: Option<&Registrant>,
) -> PrefixEntry {
    let unchanged = present.and_then(|present| present.registrant.as_ref());
    PrefixEntry {
        prefix: present.map_or_else(|| prefix.clone(), |present| present.prefix.clone()),
        homing,
        status: PrefixStatus::Active,
        registrant: registrant.or(unchanged).cloned(),
        filing: None,
        version: present.map_or(0, |present| present.version),
        changed_ms: present.map_or(0, |present| present.changed_ms),
    }
}

/// The site with its key as HS_SITE shows it, in whatever encoding it was given.
pub(super) fn with_usable_key(site: &Site) -> Result<Site, Refusal> {
    let Some(key) = site.public_key() else {
        return Ok(site.clone());
    };
    let key = PublicKey::decode(key).map_err(|error| SiteError::PublicKey { reason: error.to_string() })?;
    Ok(site.clone().with_public_key(&key.encode_blob())?)
}

/// The entry without a suspension of this node's own. Later filings of its lower node apply to it again.
fn resume(entry: &PrefixEntry, directory: &Directory) -> Result<(Operation, PrefixEntry), Refusal> {
    let operation = match entry.homing {
        Homing::Here => Operation::PrefixHomed,
        Homing::Delegated(_) => Operation::PrefixDelegated,
    };
    match entry.status {
        PrefixStatus::Active => Ok((operation, entry.clone())),
        PrefixStatus::Revoked => Err(Refusal::PrefixRevoked { prefix: entry.prefix.clone() }),
        PrefixStatus::Suspended if entry.filing.is_some_and(|mark| !mark.is_overruled) => {
            let reason = format!(
                "prefix {} was suspended by the lower node that filed it; resume it there, and the filing lifts it here",
                entry.prefix
            );
            Err(Refusal::CommandInvalid { reason })
        }
        PrefixStatus::Suspended => Ok((operation, filing_rules::apply_again(entry, directory))),
    }
}

/// The entry of a delegated prefix, homed here. It has to be the one that the administrator has seen.
fn end_delegation(entry: &PrefixEntry, seen: u64) -> Result<PrefixEntry, Refusal> {
    if entry.homing == Homing::Here {
        let reason = format!("prefix {} is not delegated; it is homed at this node", entry.prefix);
        return Err(Refusal::CommandInvalid { reason });
    }
    if entry.version != seen {
        return Err(Refusal::VersionMismatch { expected: seen, found: entry.version });
    }
    Ok(answered_by(Some(entry), &entry.prefix, Homing::Here, None))
}

//----------- Notes ----------------------------------------------------------

/// The note that a command leads to; none if the present one is as asked for.
pub(super) fn note_prefix(
    entry: Option<&PrefixEntry>,
    present: Option<&PrefixNote>,
    command: &NotePrefix,
    now: Now,
) -> Result<Option<PrefixNote>, Refusal> {
    let NotePrefix { prefix, text } = command;
    let entry = entry.ok_or_else(|| Refusal::PrefixAbsent { prefix: prefix.clone() })?;
    // Where there is no note, removing it changes nothing.
    if present.map_or("", |present| present.text.as_str()) == text.as_str() {
        return Ok(None);
    }
    let version = present.map_or(1, |present| present.version + 1);
    Ok(Some(PrefixNote { prefix: entry.prefix.clone(), text: text.clone(), version, changed_ms: now.ms }))
}

//----------- Tokens ---------------------------------------------------------

/// The entry that a token command leads to; none if the present one is as asked for.
pub(super) fn change_token(
    present: Option<&TokenEntry>,
    command: &TokenCommand,
    now: Now,
) -> Result<Option<(Operation, TokenEntry)>, Refusal> {
    match (command, present) {
        (TokenCommand::Create(entry), None) => Ok(Some((Operation::TokenCreated, entry.clone()))),
        (TokenCommand::Create(entry), Some(_)) => {
            let reason = format!("there is a token {} already; make one with another id", entry.id);
            Err(Refusal::CommandInvalid { reason })
        }
        (TokenCommand::Revoke { id }, present) => {
            Ok(revoke_token(present, *id, now)?.map(|entry| (Operation::TokenRevoked, entry)))
        }
        (TokenCommand::ResetPeer { id }, present) => {
            Ok(Some((Operation::PeerReset, reset_peer(present, *id, now)?)))
        }
    }
}

/// The next version of a peer's token. What was filed before this change is not compared with later filings any more: neither
/// marks on prefixes, which are older in the journal, nor the bookmark, whose name holds the version.
fn reset_peer(present: Option<&TokenEntry>, id: TokenId, now: Now) -> Result<TokenEntry, Refusal> {
    let present = present.ok_or_else(|| Refusal::TokenAbsent { id: id.to_string() })?;
    if !present.scopes.iter().any(|scope| matches!(scope, Scope::Peer(_))) {
        let reason = format!("token {id} has no scope peer; name the token with which the lower node files");
        return Err(Refusal::CommandInvalid { reason });
    }
    if check_token(present, now.ms).is_err() {
        let reason = format!(
            "token {id} is revoked or expired, so its lower node cannot file; create a new token for it: filing with a new token \
             starts from the present state"
        );
        return Err(Refusal::CommandInvalid { reason });
    }
    Ok(TokenEntry { version: present.version + 1, ..present.clone() })
}

/// Ends a token; none when it has ended already.
fn revoke_token(present: Option<&TokenEntry>, id: TokenId, now: Now) -> Result<Option<TokenEntry>, Refusal> {
    let present = present.ok_or_else(|| Refusal::TokenAbsent { id: id.to_string() })?;
    if present.revoked_ms.is_some() {
        return Ok(None);
    }
    Ok(Some(TokenEntry { revoked_ms: Some(now.ms), version: present.version + 1, ..present.clone() }))
}
