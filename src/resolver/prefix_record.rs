//! The record `0.NA/<prefix>` of a delegated prefix, as this node and the site of the prefix hold it together.
//!
//! ```text
//!   here:   HS_SITE, from the prefix entry · what was registered while the prefix was homed here
//!   below:  what the site holds: administrators, keys, certificates, lists
//!   shown:  HS_SITE from here · everything else from below · what is here at indexes that are free
//! ```
//! Only this node says which site answers for the prefix: values that lead to a service are never taken from below. What
//! is below is shown for as long as its TTL allows, so that a key that is replaced there is replaced here as well.

use crate::federation::question::{PeerAnswer, PeerTarget, PeerValues};
use crate::model::identifier::Identifier;
use crate::model::prefix::{Homing, PrefixEntry, PrefixStatus};
use crate::model::site::Site;
use crate::model::value::{Value, ValueType};

use super::answer::{Absence, Answer, Found, Question};
use super::recursion::Unanswered;
use super::{Resolver, insert_derived};
use crate::authority::caller::Caller;
use crate::authority::visibility::Withheld;

/// Types, with the families below them, of values that lead to a service.
const LEADING: [&str; 3] = ["HS_SITE", "HS_SERV", "HS_NA_DELEGATE"];
/// The type of rules about the names under a prefix, which clients ask for together with its service.
const NAMESPACE: &str = "HS_NAMESPACE";

impl Resolver {
    /// Whether the site of a delegated prefix is to be asked for its part of an answer: the question is about the record of
    /// the prefix, and about more than the service to go to.
    pub fn is_completed_below(&self, question: &Question) -> bool {
        self.follower.is_some() && self.site_below(question).is_some()
    }

    /// The site of the prefix whose record a question is about.
    pub(super) fn site_below(&self, question: &Question) -> Option<Site> {
        let named = question.identifier.named_prefix()?;
        let directory = self.store.directory();
        let entry = directory.get(&named).filter(|entry| entry.status == PrefixStatus::Active)?;
        match &entry.homing {
            Homing::Delegated(site) if !asks_for_service(question) => Some(site.clone()),
            Homing::Delegated(_) | Homing::Here => None,
        }
    }

    /// Answers a question about the record of a delegated prefix by both parts of it. `below` is what the site answered to
    /// the question for all values.
    pub(super) async fn complete(
        &self,
        caller: &Caller,
        question: &Question,
        below: Result<PeerAnswer, Unanswered>,
    ) -> Result<Answer, Unanswered> {
        let below = match below {
            Ok(PeerAnswer::Values(found)) => found,
            // The site holds nothing to add.
            Ok(_) => return Ok(self.answer(caller, question).await?),
            Err(unanswered) => return self.answer_without(caller, question, unanswered).await,
        };
        let whole = Question::all(question.identifier.clone());
        let (own, withheld) = match self.answer(caller, &whole).await? {
            Answer::Values(found) => {
                let withheld = found.withheld;
                (Some(found), withheld)
            }
            Answer::Absent(Absence::Values(withheld)) => (None, withheld),
            Answer::Absent(Absence::Identifier) => (None, Withheld::Nothing),
            // The prefix was homed or withdrawn meanwhile.
            other @ (Answer::Referral(_) | Answer::NotResponsible(_)) => return Ok(other),
        };
        let entry =
            question.identifier.named_prefix().and_then(|named| self.store.directory().get(&named).cloned());
        let site = entry
            .and_then(|entry: std::sync::Arc<PrefixEntry>| self.derived_site(&question.identifier, &entry));
        let mut found = joined(own, below, site);
        found.withheld = withheld;
        let selection = question.selection();
        found.values.retain(|value| selection.holds(value));
        if found.values.is_empty() {
            return Ok(Answer::Absent(Absence::Values(withheld)));
        }
        Ok(Answer::Values(found))
    }

    /// The answer of this node alone; where it has none, that of the site is missing.
    async fn answer_without(
        &self,
        caller: &Caller,
        question: &Question,
        unanswered: Unanswered,
    ) -> Result<Answer, Unanswered> {
        match self.answer(caller, question).await? {
            Answer::Absent(_) => Err(unanswered),
            own => Ok(own),
        }
    }

    /// The target and the question by which the site is asked for its part of a record.
    pub(super) fn question_below(site: Site, identifier: &Identifier) -> (PeerTarget, Question) {
        (PeerTarget::Site(site), Question::all(identifier.clone()))
    }
}

/// Whether a question asks for the service of a prefix only, as clients do on their way to an identifier.
fn asks_for_service(question: &Question) -> bool {
    let of_service = |asked: &ValueType| leads(asked) || asked.is(NAMESPACE);
    question.indexes.is_empty() && question.types.iter().any(leads) && question.types.iter().all(of_service)
}

/// Whether values of a type lead to a service.
fn leads(value_type: &ValueType) -> bool {
    LEADING.iter().any(|family| value_type.is_within(family))
}

/// The values of both parts, the site of the prefix among them, by ascending index.
fn joined(own: Option<Found>, below: PeerValues, site: Option<Value>) -> Found {
    let mut values: Vec<Value> = below.values.into_iter().filter(|value| !leads(&value.value_type)).collect();
    let (identifier, own_values, changed_ms) = match own {
        Some(own) => (own.identifier, own.values, own.changed_ms),
        None => (below.identifier, Vec::new(), 0),
    };
    for value in own_values {
        let is_free = values.iter().all(|other| other.index != value.index);
        if is_free && !value.value_type.is(ValueType::HS_SITE) {
            values.push(value);
        }
    }
    values.sort_by_key(|value| value.index);
    if let Some(site) = site {
        insert_derived(&mut values, site);
    }
    Found {
        identifier,
        version: below.version,
        values,
        changed_ms: changed_ms.max(below.changed_ms),
        authoritative: false,
        withheld: Withheld::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::{asks_for_service, leads};
    use crate::model::identifier::Identifier;
    use crate::model::value::{Index, ValueType};
    use crate::resolver::answer::Question;

    fn asked(indexes: &[u32], types: &[&str]) -> Question {
        Question {
            identifier: Identifier::parse("0.NA/88.118").expect("an identifier"),
            indexes: indexes.iter().map(|index| Index::new(*index).expect("an index")).collect(),
            types: types.iter().map(|name| ValueType::new(name).expect("a type")).collect(),
        }
    }

    #[test]
    fn values_that_lead_to_a_service_are_known_by_their_type() {
        let leading = |name: &str| leads(&ValueType::new(name).expect("a type"));
        for name in ["HS_SITE", "hs_site", "HS_SITE.6", "HS_SITE.PREFIX", "HS_SERV", "HS_SERV.PREFIX"] {
            assert!(leading(name), "{name}");
        }
        for name in ["HS_PUBKEY", "HS_SITES", "HS_NAMESPACE", "URL", "HS", "零"] {
            assert!(!leading(name), "{name}");
        }
    }

    #[test]
    fn a_question_for_the_service_is_answered_here() {
        assert!(asks_for_service(&asked(&[], &["HS_SITE"])));
        assert!(asks_for_service(&asked(&[], &["HS_SITE", "HS_SITE.6", "HS_SERV", "HS_NAMESPACE"])));
        for (indexes, types) in [
            (&[][..], &[][..]),
            (&[300], &["HS_SITE"]),
            (&[], &["HS_SITE", "HS_PUBKEY"]),
            (&[], &["HS_NAMESPACE"]),
        ] {
            assert!(!asks_for_service(&asked(indexes, types)), "{indexes:?} {types:?}");
        }
    }
}
