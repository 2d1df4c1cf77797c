//! Questions and answers. Absent, delegated and not responsible are answers too, not errors.

use std::collections::HashSet;

use crate::authority::visibility::Withheld;
use crate::model::caller::CallerName;
use crate::model::identifier::{Identifier, Prefix};
use crate::model::position::Position;
use crate::model::site::Site;
use crate::model::value::{Index, Value, ValueType};
use crate::store::Cursor;
use crate::store::entry::Operation;

use super::recursion::Unanswered;

/// Number of indexes or types up to which comparing them one by one is faster than hashing.
const SELECTED_FEW: usize = 16;

/// A read request, after decoding.
#[derive(Clone, Debug)]
pub struct Question {
    /// The identifier.
    pub identifier: Identifier,
    /// Indexes of the values asked for, in addition to `types`; if both are empty, all values are asked for.
    pub indexes: Vec<Index>,
    /// Types of the values asked for; a type that ends in a dot means every type that begins with it.
    pub types: Vec<ValueType>,
}

impl Question {
    /// Asks for all values of an identifier.
    pub fn all(identifier: Identifier) -> Self {
        Self { identifier, indexes: Vec::new(), types: Vec::new() }
    }

    /// Indexes and types of the question, prepared for many comparisons.
    pub(super) fn selection(&self) -> Selection<'_> {
        if self.indexes.len().max(self.types.len()) <= SELECTED_FEW {
            return Selection::Few(self);
        }
        let types = self.types.iter().map(|asked| asked.as_str().to_ascii_lowercase());
        Selection::Many { indexes: self.indexes.iter().copied().collect(), types: types.collect() }
    }
}

/// The indexes and types of a question, prepared for many comparisons: an unknown client may ask for tens of thousands
/// of types, and the cost for each value has to stay constant.
pub(super) enum Selection<'q> {
    /// Few indexes and types: compared one by one.
    Few(&'q Question),
    /// Many: hashed, with types in lower case.
    Many { indexes: HashSet<Index>, types: HashSet<String> },
}

impl Selection<'_> {
    /// Whether a value is asked for.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Few(Question { indexes, types, .. }) => {
                let everything = indexes.is_empty() && types.is_empty();
                let of_type = || types.iter().any(|asked| value.value_type.is_selected_by(asked));
                everything || indexes.contains(&value.index) || of_type()
            }
            Self::Many { indexes, types } => {
                let name = value.value_type.as_str().to_ascii_lowercase();
                let family = |(dot, _)| name.get(..=dot).is_some_and(|family| types.contains(family));
                indexes.contains(&value.index)
                    || types.contains(&name)
                    || name.match_indices('.').any(family)
                    || types.contains(&format!("{name}."))
            }
        }
    }
}

/// The outcome of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The values that the caller may see.
    Values(Found),
    /// The identifier, or the values asked for, do not exist or are not visible.
    Absent(Absence),
    /// Another site answers for the prefix.
    Referral(Referral),
    /// This node has no entry that covers the prefix.
    NotResponsible(NotResponsible),
}

/// An identifier, with those of its values that were asked for and that the caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The identifier as registered.
    pub identifier: Identifier,
    /// Version of the identifier; 0 when nothing is registered and all values follow from its prefix entry.
    pub version: u64,
    /// The values, by ascending index.
    pub values: Vec<Value>,
    /// Time of the last change of the identifier, in milliseconds since 1970.
    pub changed_ms: u64,
    /// Whether this node holds it; an answer of another node is not authoritative.
    pub authoritative: bool,
    /// What was asked for and is not shown to this caller.
    pub withheld: Withheld,
}

/// What is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// There is no such identifier.
    Identifier,
    /// The identifier has no such values, or none that the caller may see.
    Values(Withheld),
}

/// The site to ask instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referral {
    /// The delegated prefix.
    pub prefix: Prefix,
    /// The site that answers for the prefix.
    pub site: Site,
    /// Why this node got no answer from there, though it was to ask; none when it did not ask.
    pub unanswered: Option<Box<Unanswered>>,
}

/// The node that may know more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotResponsible {
    /// The upper node's address; none at the top.
    pub upper: Option<String>,
}

/// A page of a list, in the order of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Cursor after which the next page begins; none when nothing follows.
    pub next: Option<Cursor>,
}

/// The part of a list of names that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamesAsked<'a> {
    /// Cursor after which the part begins; none for the beginning of the list.
    pub after: Option<&'a Cursor>,
    /// Names to skip first.
    pub skip: usize,
    /// Largest number of names; 0 only checks whether the caller may list.
    pub limit: usize,
}

/// A page of an identifier's changes, the newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The changes.
    pub changes: Vec<HistoryChange>,
    /// Position of the change before which the next page begins; none on the last page.
    pub next: Option<Position>,
    /// First position that the journal retains, so that earlier changes may be missing; none if it retains all.
    pub complete_from: Option<Position>,
}

/// One change of an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryChange {
    /// Position of the change in the journal.
    pub position: Position,
    /// Time in milliseconds since 1970.
    pub time_ms: u64,
    /// The operation.
    pub operation: Operation,
    /// The version reached.
    pub version: u64,
    /// The name of the caller.
    pub caller: CallerName,
    /// The values after the change that the caller may see; none if the body was pruned.
    pub values: Option<Vec<Value>>,
}

#[cfg(test)]
mod tests {
    use super::{Question, SELECTED_FEW, Selection};
    use crate::model::value::{Index, ValueType};
    use crate::registry::tests::fixture::{identifier, typed};

    #[test]
    fn who_asks_for_much_gets_the_same() {
        let value_type = |text: &str| ValueType::new(text).expect("a type");
        let names = ["URL", "url", "A", "A.", "a.b", "A.B.C", "AB", "A..B", "标识.码", "标识."];
        let values: Vec<_> = (1..).zip(names).map(|(index, name)| typed(index, name, "x")).collect();
        let more = (0..SELECTED_FEW).map(|number| value_type(&format!("other-{number}")));
        let more: Vec<ValueType> = more.collect();
        let asked = ["Url", "a.", "a", "a.b.", "A.B", "a..", "标识.", "标识.码", "ab.", "b", "other-1"];
        let mut held = 0;
        for types in asked.map(|text| vec![value_type(text)]) {
            for indexes in [Vec::new(), vec![Index::new(2).expect("an index")]] {
                let few = Question { identifier: identifier("88/a"), indexes, types: types.clone() };
                let many = Question { types: [types.clone(), more.clone()].concat(), ..few.clone() };
                assert!(matches!(many.selection(), Selection::Many { .. }));
                for value in &values {
                    let expected = few.selection().holds(value);
                    assert_eq!(many.selection().holds(value), expected, "{types:?} of {value:?}");
                    held += usize::from(expected);
                }
            }
        }
        assert!(held > 20, "{held}");
    }
}
