//! What callers may read: hidden values by READ_VALUE of the record's own administrators, lists by LIST_IDENTIFIERS of the
//! prefix's, the prefixes of this node by being configured as its administrator.

use crate::model::identifier::{Identifier, Prefix};
use crate::model::identity::AdminPermissions;
use crate::model::refusal::{Problem, Refusal};

use super::Authority;
use super::administration::{Memberships, Record};
use super::caller::{Caller, KeyHolder};
use super::evidence::{Evidence, ReadRecord};
use super::prefix::homed_here;
use super::visibility::Visibility;

//----------- Values ---------------------------------------------------------

impl Authority {
    /// What a caller may see of a record. The administrators and the key of an identity are read only where restricted
    /// values are asked for, since nothing else depends on them.
    pub(crate) async fn visibility(
        &self,
        caller: &Caller,
        record: Record<'_>,
        asks_for_restricted: bool,
    ) -> Result<Visibility, Problem> {
        match caller {
            Caller::Identity(holder) if asks_for_restricted => self.visibility_to(holder, record).await,
            Caller::Identity(_) => Ok(Visibility::Public),
            Caller::Anonymous | Caller::Node | Caller::Token(_) => {
                Ok(Visibility::of(caller, &record.identifier.governing_prefix()))
            }
        }
    }

    async fn visibility_to(&self, holder: &KeyHolder, record: Record<'_>) -> Result<Visibility, Problem> {
        let named = record.administrators().map(|one| one.identity).collect();
        let decision = |who: &Memberships| record.check(Some(who), AdminPermissions::READ_VALUE);
        let mut evidence = Evidence::default();
        self.check_held_key(holder, &mut evidence).await?;
        match self.decide(&holder.identity, named, &mut evidence, decision).await {
            Ok(()) => Ok(Visibility::Restricted),
            Err(Problem::Refused(_)) => Ok(Visibility::Public),
            Err(failed @ Problem::Failed(_)) => Err(failed),
        }
    }
}

//----------- Lists ----------------------------------------------------------

impl Authority {
    /// Refuses a caller that may not list a prefix's identifiers, or a prefix that is not homed here.
    ///
    /// The prefix's own record decides when there is one, else that of the prefix homed here that covers it.
    pub async fn check_list(&self, caller: &Caller, prefix: &Prefix) -> Result<(), Problem> {
        let Caller::Identity(holder) = caller else {
            return Ok(self.check_reader(caller, prefix)?);
        };
        let homed = homed_here(prefix, &self.store.directory())?.prefix.clone();
        let own = Identifier::of_prefix(prefix);
        let wanted = [own.clone(), Identifier::of_prefix(&homed)];
        let mut evidence = Evidence::default();
        self.check_held_key(holder, &mut evidence).await?;
        let records = self.read(&wanted, &mut evidence).await?;
        let governing = records.iter().find(|one| one.exists());
        let record = governing.map_or(Record { identifier: &own, values: &[] }, ReadRecord::record);
        let named = record.administrators().map(|one| one.identity).collect();
        let decision = |who: &Memberships| record.check(Some(who), AdminPermissions::LIST_IDENTIFIERS);
        self.decide(&holder.identity, named, &mut evidence, decision).await
    }

    /// Refuses a caller that may not read a prefix's restricted values, or a prefix that is not homed here.
    pub(crate) fn check_reader(&self, caller: &Caller, prefix: &Prefix) -> Result<(), Refusal> {
        homed_here(prefix, &self.store.directory())?;
        if caller.name().is_none() {
            return Err(Refusal::Unauthenticated);
        }
        if !caller.may_read(prefix) {
            return Err(Refusal::PermissionDenied { needed: format!("scope reader on prefix {prefix}") });
        }
        Ok(())
    }

    /// Refuses a caller that may not list the prefixes of this node.
    pub(crate) async fn check_node_reader(&self, caller: &Caller) -> Result<(), Problem> {
        match caller {
            Caller::Anonymous => Err(Refusal::Unauthenticated.into()),
            Caller::Node | Caller::Token(_) if caller.is_admin() => Ok(()),
            Caller::Node | Caller::Token(_) => {
                Err(Refusal::PermissionDenied { needed: "scope admin".to_owned() }.into())
            }
            Caller::Identity(holder) => {
                self.check_key(holder).await?;
                Ok(self.check_node_administrator(&holder.identity)?)
            }
        }
    }
}
