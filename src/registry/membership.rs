//! Memberships: reading what authorizes an identity: the key that proved it, and the lists that may hold it.
//!
//! ```text
//!   decide ─▶ allowed                                                       done
//!      ▲ └──▶ refused ─ lists named, not read yet? ─▶ read them, together ─┐
//!      └───────────────────────────────────────────────────────────────────┘
//! ```
//! Lists are read only where the decision needs them, level by level, each once, within bounds of number and depth. Whoever
//! a list names may be a list in turn, which only reading it tells. What is kept here is read whole and noted with its
//! version, so that a decision is bound to it; of what other nodes keep, only what everybody may see counts, and it is
//! bound to nothing.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier};
use crate::model::identity::Identity;
use crate::model::limits::{LISTS_DEPTH_MAX, LISTS_MAX, LISTS_SOUGHT_MAX, RECORDS_ELSEWHERE_MAX};
use crate::model::prefix::{Homing, Standing};
use crate::model::value::{Value, ValueType};
use crate::store::Store;
use crate::store::directory::Directory;
use crate::store::entry::IdentifierEntry;
use crate::wire::handle::administrator::decode_identities;

use super::administration::{ListName, Memberships, Record};
use super::caller::{HeldKey, KeyHolder};
use super::committer::unread;
use super::refusal::{Failure, Problem, Refusal};

/// How long all reading of other nodes may take for one authorization.
const ELSEWHERE_MAX: Duration = Duration::from_secs(5);

/// Records that are read together: a record may be large, and of lists only the names are kept.
const RECORDS_TOGETHER: usize = 16;

/// Reads what everybody may see of an identifier that another node keeps; says in words why it could not.
pub type Elsewhere = Arc<dyn Fn(Identifier) -> Told + Send + Sync>;

/// What another node will have told.
pub type Told = Pin<Box<dyn Future<Output = Result<Vec<Value>, String>> + Send>>;

//----------- Records --------------------------------------------------------

/// Reads records for decisions.
#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) store: Store,
    pub(crate) elsewhere: Option<Elsewhere>,
}

/// One record as read.
pub(crate) struct Kept {
    pub(crate) identifier: Identifier,
    /// Its state here, tombstones included.
    pub(crate) entry: Option<IdentifierEntry>,
    told: Vec<Value>,
}

impl Kept {
    /// It, as decisions see it.
    pub(crate) fn record(&self) -> Record<'_> {
        let here = self.entry.as_ref().and_then(|entry| entry.values.as_ref());
        let values = here.map_or(self.told.as_slice(), |values| values.as_slice());
        Record { identifier: &self.identifier, values }
    }

    /// Whether it is there.
    pub(crate) fn is_there(&self) -> bool {
        self.entry.as_ref().is_some_and(IdentifierEntry::is_live) || !self.told.is_empty()
    }
}

/// A version that a decision is bound to; 0 where nothing stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) identifier: Identifier,
    pub(crate) name: CanonicalIdentifier,
    pub(crate) version: u64,
}

impl Read {
    /// Whether it would be read at the same version, and from here.
    pub(crate) fn stands(&self, version: u64, directory: &Directory) -> bool {
        self.version == version && Keeper::of(&self.identifier, directory) == Keeper::Here
    }
}

/// What a decision rests on.
pub(crate) struct Evidence {
    /// What was read here.
    pub(crate) read: Vec<Read>,
    until: Instant,
    elsewhere_left: usize,
    unread: Option<Failure>,
}

impl Default for Evidence {
    fn default() -> Self {
        let until = Instant::now() + ELSEWHERE_MAX;
        Self { read: Vec::new(), until, elsewhere_left: RECORDS_ELSEWHERE_MAX, unread: None }
    }
}

/// Who keeps a record, as far as proofs and permissions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// This node.
    Here,
    /// Another node, which tells what everybody may see.
    Elsewhere,
    /// Its prefix is withdrawn: it proves nothing.
    Nobody,
}

impl Keeper {
    /// Who keeps the record of an identifier.
    pub(crate) fn of(identifier: &Identifier, directory: &Directory) -> Self {
        let Some(entry) = directory.governing(&identifier.governing_prefix()) else {
            return Self::Elsewhere;
        };
        // The name of a delegated prefix is kept by who delegates.
        let own_name = identifier.named_prefix().is_some_and(|named| named == entry.prefix);
        match (entry.standing, &entry.homing) {
            (Standing::Suspended | Standing::Revoked, _) => Self::Nobody,
            (Standing::Active, Homing::Here) => Self::Here,
            (Standing::Active, Homing::Delegated(_)) if own_name => Self::Here,
            (Standing::Active, Homing::Delegated(_)) => Self::Elsewhere,
        }
    }
}

impl Records {
    /// Reads records, those kept here in one read, in the order asked.
    pub(crate) async fn read(
        &self,
        wanted: &[Identifier],
        evidence: &mut Evidence,
    ) -> Result<Vec<Kept>, Failure> {
        let directory = self.store.directory();
        let keepers: Vec<Keeper> = wanted.iter().map(|one| Keeper::of(one, &directory)).collect();
        let here = wanted.iter().zip(&keepers).filter(|(_, keeper)| **keeper == Keeper::Here);
        let names: Vec<CanonicalIdentifier> =
            here.map(|(identifier, _)| identifier.canonical(self.folding())).collect();
        let entries = self.store.identifiers(&names).await.map_err(|error| unread(&error))?;
        let mut entries = names.into_iter().zip(entries);
        let mut kept = Vec::with_capacity(wanted.len());
        for (identifier, keeper) in wanted.iter().zip(keepers) {
            let mut one = Kept { identifier: identifier.clone(), entry: None, told: Vec::new() };
            match keeper {
                Keeper::Here => {
                    if let Some((name, entry)) = entries.next() {
                        let version = entry.as_ref().map_or(0, |entry| entry.version);
                        evidence.read.push(Read { identifier: identifier.clone(), name, version });
                        one.entry = entry;
                    }
                }
                Keeper::Elsewhere => one.told = self.read_elsewhere(identifier, evidence).await,
                Keeper::Nobody => {}
            }
            kept.push(one);
        }
        Ok(kept)
    }

    /// What another node shows of a record. That it could not be read is noted: it matters only if nothing else allows.
    async fn read_elsewhere(&self, identifier: &Identifier, evidence: &mut Evidence) -> Vec<Value> {
        let Some(elsewhere) = self.elsewhere.as_ref().filter(|_| evidence.elsewhere_left > 0) else {
            return Vec::new();
        };
        evidence.elsewhere_left -= 1;
        let told = timeout_at(evidence.until, elsewhere(identifier.clone())).await;
        let told = told.unwrap_or_else(|_| Err("the time for asking other nodes is over".to_owned()));
        told.unwrap_or_else(|detail| {
            let list = identifier.to_string();
            evidence.unread = Some(Failure::AdministratorsUnread { list, detail });
            Vec::new()
        })
    }

    fn folding(&self) -> Folding {
        self.store.folding()
    }
}

//----------- Keys -----------------------------------------------------------

impl Records {
    /// Refuses as nobody who does not hold the key any more that proved it. A key kept here is noted with the version of
    /// its record like everything that a decision rests on.
    pub(crate) async fn check_key(&self, holder: &KeyHolder, evidence: &mut Evidence) -> Result<(), Problem> {
        let KeyHolder { identity, key } = holder;
        let keeper = Keeper::of(&identity.identifier, &self.store.directory());
        let holds = match (key, keeper) {
            (HeldKey::Supposed, _) => true,
            (HeldKey::Here { .. }, Keeper::Here) => {
                let kept = self.read(std::slice::from_ref(&identity.identifier), evidence).await?;
                kept.iter().flat_map(|kept| kept.record().values).any(|value| key.is(value))
            }
            (HeldKey::Elsewhere { until_ms }, Keeper::Elsewhere) => self.store.now_ms() < *until_ms,
            // Who kept it keeps it no more, or is withdrawn.
            (HeldKey::Here { .. } | HeldKey::Elsewhere { .. }, _) => false,
        };
        if holds { Ok(()) } else { Err(Refusal::Unauthenticated.into()) }
    }
}

//----------- Lists ----------------------------------------------------------

/// What was named and may be a list that holds the identity.
struct Sought {
    identifier: Identifier,
    name: ListName,
}

/// The lists that were looked for, and which of them name which.
#[derive(Default)]
struct Lists {
    /// What was looked for, whether it is a list or not.
    sought: HashSet<ListName>,
    /// How many lists were found.
    found: usize,
    /// Those found, by whom they name of what was looked for.
    holders: HashMap<ListName, Vec<ListName>>,
}

impl Lists {
    /// Whoever is named may be a list: what is to be looked for, unless it was already or is beyond the bound.
    fn seek(&mut self, named: &Identity, name: &ListName) -> Option<Sought> {
        if named.index == 0 || self.sought.len() >= LISTS_SOUGHT_MAX || !self.sought.insert(name.clone()) {
            return None;
        }
        Some(Sought { identifier: named.identifier.clone(), name: name.clone() })
    }

    /// Takes up a list and whom it names; adds what is to be looked for next.
    fn take_up(
        &mut self,
        list: &ListName,
        identities: &[Identity],
        memberships: &mut Memberships,
        next: &mut Vec<Sought>,
    ) {
        self.found += 1;
        let mut holds = false;
        for named in identities {
            let name = memberships.name_of(named);
            holds |= memberships.is_meant_by(&name);
            next.extend(self.seek(named, &name));
            if self.sought.contains(&name) {
                let holders = self.holders.entry(name).or_default();
                if holders.last() != Some(list) {
                    holders.push(list.clone());
                }
            }
        }
        if holds {
            self.join(list.clone(), memberships);
        }
    }

    /// Takes up that a list holds the identity, and so do those that name the list. Ends, because lists only come in.
    fn join(&self, list: ListName, memberships: &mut Memberships) {
        let mut holding = vec![list];
        while let Some(list) = holding.pop() {
            if memberships.join(list.clone()) {
                holding.extend(self.holders.get(&list).into_iter().flatten().cloned());
            }
        }
    }
}

//----------- Deciding -------------------------------------------------------

impl Records {
    /// Decides about an identity, reading the lists that `named` leads to as long as that may help.
    ///
    /// What is allowed is bound to the lists that hold the identity; the others that were read cannot make it less.
    pub(crate) async fn decide<T>(
        &self,
        identity: &Identity,
        named: Vec<Identity>,
        evidence: &mut Evidence,
        decision: impl Fn(&Memberships) -> Result<T, Refusal>,
    ) -> Result<T, Problem> {
        let before = evidence.read.len();
        let mut memberships = Memberships::of(identity, self.folding());
        let mut lists = Lists::default();
        let seek = |one: &Identity| lists.seek(one, &memberships.name_of(one));
        let mut frontier: Vec<Sought> = named.iter().filter_map(seek).collect();
        for _ in 0..LISTS_DEPTH_MAX {
            match decision(&memberships) {
                Err(refusal) if may_be_helped(&refusal) && !frontier.is_empty() => {}
                _ => break,
            }
            frontier = self.read_lists(&frontier, &mut lists, &mut memberships, evidence).await?;
        }
        match (decision(&memberships), evidence.unread.take()) {
            (Err(refusal), Some(failure)) if may_be_helped(&refusal) => Err(failure.into()),
            (Err(refusal), _) => Err(refusal.into()),
            (Ok(decided), _) => {
                let read = evidence.read.split_off(before);
                evidence.read.extend(read.into_iter().filter(|read| memberships.is_in_one_of(&read.name)));
                Ok(decided)
            }
        }
    }

    /// Reads what may be lists. Returns what these name in turn and was not looked for yet.
    async fn read_lists(
        &self,
        sought: &[Sought],
        lists: &mut Lists,
        memberships: &mut Memberships,
        evidence: &mut Evidence,
    ) -> Result<Vec<Sought>, Failure> {
        let mut next = Vec::new();
        for sought in sought.chunks(RECORDS_TOGETHER) {
            let identifiers: Vec<Identifier> = sought.iter().map(|one| one.identifier.clone()).collect();
            let kept = self.read(&identifiers, evidence).await?;
            for (one, kept) in sought.iter().zip(kept) {
                let (_, index) = one.name;
                if let Some(identities) = identities_at(kept.record(), index)
                    && lists.found < LISTS_MAX
                {
                    lists.take_up(&one.name, &identities, memberships, &mut next);
                }
            }
        }
        Ok(next)
    }
}

/// Whether a membership could turn the refusal around.
fn may_be_helped(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::NotAdministrator { .. } | Refusal::PermissionDenied { .. })
}

/// Whom the list at an index names; none when there is no list.
fn identities_at(record: Record<'_>, index: u32) -> Option<Vec<Identity>> {
    let list = record.values.iter().find(|value| value.index.get() == index);
    let list = list.filter(|value| value.value_type.is(ValueType::HS_VLIST));
    list.and_then(|value| decode_identities(&value.data).ok())
}
