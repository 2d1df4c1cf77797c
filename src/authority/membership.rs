//! Memberships: the lists that may hold an identity, read where a decision needs them.
//!
//! ```text
//!   decide ─▶ allowed                                                       done
//!      ▲ └──▶ refused ─ lists named, not read yet? ─▶ read them, together ─┐
//!      └───────────────────────────────────────────────────────────────────┘
//! ```
//! Lists are read level by level, each once, within bounds of number and depth. Any identity that a list names may be a
//! list in turn, which only reading it shows. Records of this node are read whole and noted with their version, so that a
//! decision is bound to it; of records of other nodes only what everybody may see counts, and no version is noted.

use std::collections::{HashMap, HashSet};

use crate::model::identifier::Identifier;
use crate::model::identity::Identity;
use crate::model::limits::{LISTS_DEPTH_MAX, LISTS_MAX, LISTS_SOUGHT_MAX};
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::value::ValueType;
use crate::wire::handle::administrator::decode_identities;

use super::Authority;
use super::administration::{ListName, Memberships, Record};
use super::evidence::Evidence;

/// Records that are read together: a record may be large, and only the names of lists are retained.
const RECORDS_TOGETHER: usize = 16;

//----------- Lists ----------------------------------------------------------

/// An identity that a record names, and that may be a list which holds the caller.
struct Candidate {
    identifier: Identifier,
    name: ListName,
}

/// The lists that were looked for, and which names which.
#[derive(Default)]
struct Lists {
    /// Candidates that were looked for, lists or not.
    sought: HashSet<ListName>,
    /// How many lists were found.
    found: usize,
    /// The lists found, by the candidates that they name.
    holders: HashMap<ListName, Vec<ListName>>,
}

impl Lists {
    /// Any named identity may be a list: returns it unless it was looked for already or is beyond the bound.
    fn seek(&mut self, named: &Identity, name: &ListName) -> Option<Candidate> {
        if named.index == 0 || self.sought.len() >= LISTS_SOUGHT_MAX || !self.sought.insert(name.clone()) {
            return None;
        }
        Some(Candidate { identifier: named.identifier.clone(), name: name.clone() })
    }

    /// Adds a list and its members; extends `next` by the members to look for.
    fn add(
        &mut self,
        list: &ListName,
        identities: &[Identity],
        memberships: &mut Memberships,
        next: &mut Vec<Candidate>,
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

    /// Notes that a list holds the identity, and so do those that name the list. Ends, since lists are only added.
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

impl Authority {
    /// Decides about an identity, reading the lists that `named` leads to as long as that may help.
    ///
    /// A permission is bound to the lists that hold the identity; the other lists that were read cannot revoke it.
    pub(crate) async fn decide<T>(
        &self,
        identity: &Identity,
        named: Vec<Identity>,
        evidence: &mut Evidence,
        decision: impl Fn(&Memberships) -> Result<T, Refusal>,
    ) -> Result<T, Problem> {
        let before = evidence.read.len();
        let mut memberships = Memberships::of(identity, self.store.folding());
        let mut lists = Lists::default();
        let seek = |one: &Identity| lists.seek(one, &memberships.name_of(one));
        let mut frontier: Vec<Candidate> = named.iter().filter_map(seek).collect();
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

    /// Reads candidates. Returns those that the lists among them name and that were not looked for yet.
    async fn read_lists(
        &self,
        sought: &[Candidate],
        lists: &mut Lists,
        memberships: &mut Memberships,
        evidence: &mut Evidence,
    ) -> Result<Vec<Candidate>, Failure> {
        let mut next = Vec::new();
        for sought in sought.chunks(RECORDS_TOGETHER) {
            let identifiers: Vec<Identifier> = sought.iter().map(|one| one.identifier.clone()).collect();
            let records = self.read(&identifiers, evidence).await?;
            for (one, read) in sought.iter().zip(records) {
                let (_, index) = one.name;
                if let Some(identities) = identities_at(read.record(), index)
                    && lists.found < LISTS_MAX
                {
                    lists.add(&one.name, &identities, memberships, &mut next);
                }
            }
        }
        Ok(next)
    }
}

/// Whether one more membership could lift the refusal.
fn may_be_helped(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::NotAdministrator { .. } | Refusal::PermissionDenied { .. })
}

/// The identities that the list at an index names; none when there is no list.
fn identities_at(record: Record<'_>, index: u32) -> Option<Vec<Identity>> {
    let list = record.values.iter().find(|value| value.index.get() == index);
    let list = list.filter(|value| value.value_type.is(ValueType::HS_VLIST));
    list.and_then(|value| decode_identities(&value.data).ok())
}
