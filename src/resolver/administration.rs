//! What identities of the Handle protocol may read: hidden values by READ_VALUE of the record's own administrators, lists
//! by LIST_IDENTIFIERS of the prefix's, the homed prefixes by being configured for this node.

use std::sync::Arc;

use crate::model::identifier::{Identifier, Prefix};
use crate::model::identity::AdminPermissions;
use crate::model::prefix::{Homing, Standing};
use crate::model::value::{Permissions, Value, ValueType, Values};
use crate::registry::administration::{Memberships, Record, administers};
use crate::registry::caller::{Caller, KeyHolder};
use crate::registry::membership::{Elsewhere, Evidence, Kept, Records};
use crate::registry::refusal::{Problem, Refusal};
use crate::store::entry::IdentifierEntry;

use super::Resolver;
use super::answer::{Answer, Question};
use super::recursion::Recursion;
use super::visibility::Visibility;

//----------- Values ---------------------------------------------------------

impl Resolver {
    /// What an identity may see of a record. Its administrators and its key are looked at only where that makes a
    /// difference.
    pub(super) async fn visibility_of(
        &self,
        holder: &KeyHolder,
        question: &Question,
        entry: Option<&IdentifierEntry>,
    ) -> Result<Visibility, Problem> {
        let values = entry.and_then(|entry| entry.values.as_ref()).map(Values::as_slice).unwrap_or_default();
        let restricted = |value: &Value| {
            !value.permissions.has(Permissions::PUBLIC_READ) && value.permissions.has(Permissions::ADMIN_READ)
        };
        let selection = question.selection();
        if !values.iter().any(|value| restricted(value) && selection.holds(value)) {
            return Ok(Visibility::Public);
        }
        let record = Record { identifier: &question.identifier, values };
        let named = record.administrators().map(|one| one.identity).collect();
        let decision = |who: &Memberships| record.check(Some(who), AdminPermissions::READ_VALUE);
        let mut evidence = Evidence::default();
        self.records().check_key(holder, &mut evidence).await?;
        match self.records().decide(&holder.identity, named, &mut evidence, decision).await {
            Ok(()) => Ok(Visibility::Restricted),
            Err(Problem::Refused(_)) => Ok(Visibility::Public),
            Err(failed @ Problem::Failed(_)) => Err(failed),
        }
    }
}

//----------- Lists ----------------------------------------------------------

impl Resolver {
    /// Refuses a caller that may not list a prefix's identifiers, or a prefix that is not homed here.
    ///
    /// The prefix's own record decides when there is one, else that of the prefix homed here that covers it.
    pub async fn check_list(&self, caller: &Caller, prefix: &Prefix) -> Result<(), Problem> {
        let Caller::Identity(holder) = caller else {
            return Ok(self.check_reader(caller, prefix)?);
        };
        let homed = self.homed_here(prefix)?;
        let own = Identifier::of_prefix(prefix);
        let wanted = [own.clone(), Identifier::of_prefix(&homed)];
        let mut evidence = Evidence::default();
        self.records().check_key(holder, &mut evidence).await?;
        let kept = self.records().read(&wanted, &mut evidence).await?;
        let governing = kept.iter().find(|one| one.is_there());
        let record = governing.map_or(Record { identifier: &own, values: &[] }, Kept::record);
        let named = record.administrators().map(|one| one.identity).collect();
        let decision = |who: &Memberships| record.check(Some(who), AdminPermissions::LIST_IDENTIFIERS);
        self.records().decide(&holder.identity, named, &mut evidence, decision).await
    }

    /// The active prefixes homed here, in order; for who administers this node.
    pub async fn homed_prefixes(&self, caller: &Caller) -> Result<Vec<Prefix>, Problem> {
        match caller {
            Caller::Anonymous => return Err(Refusal::Unauthenticated.into()),
            Caller::Node | Caller::Token(_) if caller.is_admin() => {}
            Caller::Node | Caller::Token(_) => {
                return Err(Refusal::PermissionDenied { needed: "scope admin".to_owned() }.into());
            }
            Caller::Identity(holder) => {
                self.check_key(holder).await?;
                let identity = &holder.identity;
                if !administers(&self.options.administrators, identity, self.store.folding()) {
                    let of = "this node".to_owned();
                    return Err(Refusal::NotAdministrator { identity: identity.clone(), of }.into());
                }
            }
        }
        let directory = self.store.directory();
        let homed = directory
            .prefixes()
            .filter(|entry| entry.homing == Homing::Here && entry.standing == Standing::Active);
        Ok(homed.map(|entry| entry.prefix.clone()).collect())
    }
}

//----------- Elsewhere ------------------------------------------------------

impl Resolver {
    pub(super) fn records(&self) -> Records {
        let elsewhere = self.onward.as_ref().map(|_| self.elsewhere());
        Records { store: self.store.clone(), elsewhere }
    }

    /// Reads what other nodes show of administrators, for the registry.
    pub fn elsewhere(&self) -> Elsewhere {
        let resolver = self.clone();
        Arc::new(move |identifier| {
            let resolver = resolver.clone();
            Box::pin(async move { resolver.administration_elsewhere(identifier).await })
        })
    }

    async fn administration_elsewhere(&self, identifier: Identifier) -> Result<Vec<Value>, String> {
        let types = [ValueType::HS_ADMIN, ValueType::HS_VLIST];
        let types = types.iter().filter_map(|name| ValueType::new(name).ok()).collect();
        let question = Question { identifier, indexes: Vec::new(), types };
        match self.recurse(&Caller::Anonymous, &question, Recursion::default()).await {
            Ok(Answer::Values(found)) => Ok(found.values),
            // Where nobody keeps it, nobody is named.
            Ok(Answer::Absent(_) | Answer::NotResponsible(_) | Answer::Referral(_)) => Ok(Vec::new()),
            Err(unanswered) => Err(unanswered.to_string()),
        }
    }
}
