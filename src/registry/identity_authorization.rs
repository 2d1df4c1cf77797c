//! Authorization of identities and of callers without proof: by records, one command at a time.
//!
//! ```text
//!   command ─ structure, prefix homed here ─ read: key, target, prefix record, lists ─ administration ─▶ Authorized
//!      ▲                                                                          { versions read }          │
//!      └──────────── something read has changed (a few times) ◀────────── committer: read again ◀────────────┘
//! ```
//! An authorization holds for the versions that were read. The committer reads them again with the state on which it
//! decides: nothing commits after the administrator, or its key, was removed.
//!
//! The prefix record that governs an identifier `a.b/x` is `0.NA/a.b` when there is one, else that of the prefix homed
//! here that covers it. The identities configured for this node home and revoke prefixes, remove the records of revoked ones,
//! and nothing else.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::authority::administration::{self, Memberships, Next, Record};
use crate::authority::caller::Caller;
use crate::authority::evidence::{Evidence, ReadRecord, ReadVersion};
use crate::authority::unread;
use crate::model::identifier::Identifier;
use crate::model::identity::{AdminPermissions, Identity};
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::store::directory::Directory;
use crate::telemetry::{bug, count};

use super::Registry;
use super::apply::{Applied, SharedBatch, check_command, only};
use super::authorize::{self, Authorized};
use super::command::{Amend, Command, Item, PrefixCommand, Register, Remove, Target};
use super::group::Remember;
use super::receipt::Receipt;
use super::rules::{self, Now, Present};

/// Times that a command is authorized again because a record that allowed it has changed.
const ATTEMPTS_MAX: usize = 5;

//----------- Applying -------------------------------------------------------

impl Registry {
    /// Whether a caller could give this command now. Authorization takes place again when the command is applied.
    ///
    /// A caller without proof gets [`Refusal::Unauthenticated`] if some identity could give the command.
    pub async fn check(&self, caller: &Caller, command: &Command) -> Result<(), Problem> {
        check_command(command, &self.options.prefix_rule)?;
        let directory = self.store.directory();
        match caller {
            Caller::Node | Caller::Token(_) => {
                Ok(authorize::check(caller, command, &directory, self.store.now_ms())?)
            }
            Caller::Identity(_) | Caller::Anonymous => {
                self.allow(caller, command, &directory).await.map(|_read| ())
            }
        }
    }

    /// Applies items one after the other, up to one that fails; each sees the effects of those before it.
    pub(super) async fn apply_each(&self, caller: &Caller, batch: SharedBatch, deadline: Instant) -> Applied {
        let request = batch.request_of(caller);
        let mut outcomes = Applied::with_capacity(batch.items.len());
        for item in batch.items {
            if let Some(Err(Problem::Failed(failure))) = outcomes.last() {
                outcomes.push(Err(failure.clone().into()));
                continue;
            }
            let remember = request.map(|request| request.remembered(&item));
            outcomes.push(self.apply_item(caller, item, remember, deadline).await);
        }
        outcomes
    }

    async fn apply_item(
        &self,
        caller: &Caller,
        item: Arc<Item>,
        remember: Remember,
        deadline: Instant,
    ) -> Result<Receipt, Problem> {
        let rejected = |problem: &Problem| self.counters.count_rejected(problem);
        let checked = check_command(&item.command, &self.options.prefix_rule);
        checked.map_err(Problem::from).inspect_err(rejected)?;
        if let Some(receipt) = self.recall_item(&item.command, remember).await.inspect_err(rejected)? {
            count(&self.counters.repeated);
            return Ok(receipt);
        }
        let mut published = self.store.follow();
        for attempt in 1..=ATTEMPTS_MAX {
            published.mark_unchanged();
            let directory = self.store.directory();
            let read = self.allow(caller, &item.command, &directory).await.inspect_err(rejected)?;
            let authorized = Authorized::by_records(Arc::clone(&item), caller, directory, read);
            match only(self.commit(vec![(authorized, remember)], deadline).await) {
                // What has changed may still be on its way to the disk, and cannot be read before it is there.
                Err(Problem::Failed(Failure::Contended)) if attempt < ATTEMPTS_MAX => {
                    let _published_or_late = timeout_at(deadline, published.changed()).await;
                }
                settled => return settled,
            }
        }
        Err(Failure::Contended.into())
    }

    /// A repeated request gets its first receipt, even if the caller is not an administrator any more.
    async fn recall_item(&self, command: &Command, remember: Remember) -> Result<Option<Receipt>, Problem> {
        let Some((key, content)) = remember else {
            return Ok(None);
        };
        let memories = self.store.requests(&[key]).await.map_err(|error| unread(&error))?;
        let Some(memory) = memories.into_iter().flatten().next() else {
            return Ok(None);
        };
        let position = self.store.lineage().position_of(memory.sequence).unwrap_or_else(|| self.store.head());
        let target = authorize::named(command).cloned();
        Ok(Some(Receipt::repeated(target, &memory, content, position)?))
    }
}

//----------- Allowing -------------------------------------------------------

impl Registry {
    /// Refuses a command that the caller may not give; returns the versions that the decision depends on.
    async fn allow(
        &self,
        caller: &Caller,
        command: &Command,
        directory: &Directory,
    ) -> Result<Vec<ReadVersion>, Problem> {
        authorize::check_ground(command, directory)?;
        let mut evidence = Evidence::default();
        let identity = match caller {
            Caller::Identity(holder) => {
                self.authority.check_held_key(holder, &mut evidence).await?;
                Some(&holder.identity)
            }
            Caller::Anonymous | Caller::Node | Caller::Token(_) => None,
        };
        let mut read = self.allow_identity(identity, command, directory).await?;
        read.append(&mut evidence.read);
        Ok(read)
    }

    async fn allow_identity(
        &self,
        identity: Option<&Identity>,
        command: &Command,
        directory: &Directory,
    ) -> Result<Vec<ReadVersion>, Problem> {
        match command {
            Command::Prefix(command) => {
                self.check_prefix_command(identity, Some(command))?;
                Ok(Vec::new())
            }
            Command::Token(_) | Command::Note(_) => {
                self.check_prefix_command(identity, None)?;
                Ok(Vec::new())
            }
            Command::Register(register) => {
                rules::check_register_shape(register)?;
                self.allow_register(identity.ok_or(Refusal::Unauthenticated)?, register, directory).await
            }
            Command::Amend(amend) => {
                rules::check_amend_shape(amend)?;
                let open = amend.add.is_empty() && amend.remove.is_empty();
                if identity.is_none() && !open {
                    return Err(Refusal::Unauthenticated.into());
                }
                self.allow_amend(identity, amend).await
            }
            Command::Remove(remove) => {
                let identity = identity.ok_or(Refusal::Unauthenticated)?;
                if authorize::is_left_over(&remove.identifier, directory) {
                    return self.allow_remove_left_over(identity, remove).await;
                }
                self.allow_remove(identity, remove).await
            }
        }
    }

    /// The identities that are configured for this node may home and revoke prefixes.
    fn check_prefix_command(
        &self,
        identity: Option<&Identity>,
        command: Option<&PrefixCommand>,
    ) -> Result<(), Refusal> {
        let identity = identity.ok_or(Refusal::Unauthenticated)?;
        self.authority.check_node_administrator(identity)?;
        match command {
            Some(PrefixCommand::Home { .. } | PrefixCommand::Revoke { .. }) => Ok(()),
            Some(
                PrefixCommand::Delegate { .. }
                | PrefixCommand::Suspend { .. }
                | PrefixCommand::Resume { .. }
                | PrefixCommand::EndDelegation { .. }
                | PrefixCommand::File(_),
            )
            | None => Err(Refusal::PermissionDenied { needed: "scope admin".to_owned() }),
        }
    }

    async fn allow_register(
        &self,
        identity: &Identity,
        register: &Register,
        directory: &Directory,
    ) -> Result<Vec<ReadVersion>, Problem> {
        let (target, (own, needed)) = match &register.target {
            Target::Named(target) => (Some(target), administration::creation(target)),
            Target::Minted { prefix, .. } => {
                (None, (Identifier::of_prefix(prefix), AdminPermissions::ADD_IDENTIFIER))
            }
        };
        let homed = homed_record(register, directory);
        // The record of a new prefix cannot authorize its own registration.
        let homed = homed.filter(|homed| target.is_none_or(|target| !self.is_same(homed, target)));
        let wanted: Vec<Identifier> =
            [Some(&own), homed.as_ref(), target].into_iter().flatten().cloned().collect();
        let mut evidence = Evidence::default();
        let mut records = self.authority.read(&wanted, &mut evidence).await?;
        let target = target.and_then(|_| records.pop());
        let present = present_of(target.as_ref());
        let prefix = records.iter().find(|one| one.exists()).or_else(|| records.first());
        let prefix = prefix.map_or(Record { identifier: &own, values: &[] }, ReadRecord::record);
        if let Some(stored) = &target {
            let decided = rules::register(present.as_ref(), &stored.identifier, register, self.now());
            match decided {
                // Whether this is meant is for callers to say who may overwrite the record; it is decided again.
                Ok(_) | Err(Refusal::AdministratorMissing { .. }) => {}
                Err(refusal) => return Err(without_secrets(refusal, stored).into()),
            }
        }
        let there = target.as_ref().filter(|stored| stored.exists()).map(ReadRecord::record);
        let named = named_by(&[Some(prefix), there]);
        let values = register.values.as_slice();
        let written = values.iter().map(|value| value.index).collect();
        let next = Next { values, written: &written };
        let decision = |who: &Memberships| match there {
            Some(record) => administration::check_overwrite(record, next, prefix, needed, Some(who)),
            None => prefix.check(Some(who), needed),
        };
        self.authority.decide(identity, named, &mut evidence, decision).await?;
        Ok(evidence.read)
    }

    async fn allow_amend(
        &self,
        identity: Option<&Identity>,
        amend: &Amend,
    ) -> Result<Vec<ReadVersion>, Problem> {
        let (stored, mut evidence) = self.read_target(&amend.identifier).await?;
        let next = rules::amended(present_of(Some(&stored)).as_ref(), amend, self.now())?;
        let record = stored.record();
        let written = amend.written().map(|value| value.index).collect();
        let next = Next { values: next.as_slice(), written: &written };
        let check = |who: Option<&Memberships>| administration::check_amend(record, next, who);
        match identity {
            None => check(None)?,
            Some(identity) => {
                let named = named_by(&[Some(record)]);
                self.authority.decide(identity, named, &mut evidence, |who| check(Some(who))).await?;
            }
        }
        Ok(evidence.read)
    }

    async fn allow_remove(&self, identity: &Identity, remove: &Remove) -> Result<Vec<ReadVersion>, Problem> {
        let (stored, mut evidence) = self.read_target(&remove.identifier).await?;
        rules::remove(present_of(Some(&stored)).as_ref(), remove)?;
        let record = stored.record();
        let decision = |who: &Memberships| record.check(Some(who), AdminPermissions::DELETE_IDENTIFIER);
        self.authority.decide(identity, named_by(&[Some(record)]), &mut evidence, decision).await?;
        Ok(evidence.read)
    }

    /// The record of a revoked prefix is removed by its administrators, if they can prove themselves still, and by those of
    /// this node, who have revoked the prefix.
    async fn allow_remove_left_over(
        &self,
        identity: &Identity,
        remove: &Remove,
    ) -> Result<Vec<ReadVersion>, Problem> {
        let mut evidence = Evidence::default();
        let stored = self.authority.read_withdrawn(&remove.identifier, &mut evidence).await?;
        rules::remove(present_of(Some(&stored)).as_ref(), remove)?;
        if self.authority.check_node_administrator(identity).is_ok() {
            return Ok(evidence.read);
        }
        let record = stored.record();
        let decision = |who: &Memberships| record.check(Some(who), AdminPermissions::DELETE_IDENTIFIER);
        self.authority.decide(identity, named_by(&[Some(record)]), &mut evidence, decision).await?;
        Ok(evidence.read)
    }

    async fn read_target(&self, target: &Identifier) -> Result<(ReadRecord, Evidence), Problem> {
        let mut evidence = Evidence::default();
        let stored = self.authority.read(std::slice::from_ref(target), &mut evidence).await?;
        let stored = stored.into_iter().next().ok_or_else(|| bug("one record for each identifier read"))?;
        Ok((stored, evidence))
    }

    fn is_same(&self, left: &Identifier, right: &Identifier) -> bool {
        left.canonical(self.store.folding()) == right.canonical(self.store.folding())
    }

    fn now(&self) -> Now {
        Now { ms: self.store.now_ms() }
    }
}

/// The record of the prefix homed here that covers the identifier to register.
fn homed_record(register: &Register, directory: &Directory) -> Option<Identifier> {
    let prefix = match &register.target {
        Target::Named(target) => target.governing_prefix(),
        Target::Minted { prefix, .. } => prefix.clone(),
    };
    directory.governing(&prefix).map(|entry| Identifier::of_prefix(&entry.prefix))
}

/// Reports that an identifier exists, but not that it holds the same values, if that would confirm a guess of hidden
/// values.
fn without_secrets(refusal: Refusal, stored: &ReadRecord) -> Refusal {
    match refusal {
        Refusal::AlreadyExists { version, same } => {
            Refusal::AlreadyExists { version, same: same && !administration::hide(stored.record().values) }
        }
        other => other,
    }
}

fn present_of(stored: Option<&ReadRecord>) -> Option<Present> {
    stored.and_then(|stored| stored.entry.clone()).map(Present::from)
}

/// The identities that the HS_ADMIN values of records name.
fn named_by(records: &[Option<Record<'_>>]) -> Vec<Identity> {
    let administrators = records.iter().flatten().flat_map(Record::administrators);
    administrators.map(|one| one.identity).collect()
}
