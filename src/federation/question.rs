//! What is asked of another node and what it tells, in the words of the model.

use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier, Prefix};
use crate::model::position::Incarnation;
use crate::model::site::Site;
use crate::model::value::{Index, Value, ValueType};

/// Which node to ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerTarget {
    /// A site that a prefix is delegated to.
    Site(Site),
    /// The node above.
    Upper,
}

/// A question for another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerQuestion {
    /// Which identifier.
    pub identifier: Identifier,
    /// Values at these indexes; with `types`, the union; none of both asks for all.
    pub indexes: Vec<Index>,
    /// Values of these types.
    pub types: Vec<ValueType>,
    /// The nodes that passed the question on, this one the last.
    pub path: Vec<Incarnation>,
}

/// What another node tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAnswer {
    /// Values that everybody may see.
    Values(PeerValues),
    /// There is no such identifier.
    NoIdentifier,
    /// The identifier has no such values, or none that everybody may see.
    NoValues,
    /// Another site answers.
    Elsewhere {
        /// For this prefix.
        prefix: Prefix,
        /// There.
        site: Site,
    },
    /// The node knows of nobody who answers.
    Unknown,
}

/// An identifier and its values, as another node tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerValues {
    /// The identifier as registered there.
    pub identifier: Identifier,
    /// Its version.
    pub version: u64,
    /// The values, by ascending index.
    pub values: Vec<Value>,
    /// When it last changed, in milliseconds since 1970.
    pub changed_ms: u64,
}

/// What makes two questions the same. Suffixes that differ by case may be two identifiers elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct QuestionKey {
    target: PeerTarget,
    identifier: CanonicalIdentifier,
    indexes: Vec<Index>,
    types: Vec<String>,
}

impl PeerQuestion {
    /// What makes it the same question as another, to this node.
    pub(super) fn key(&self, target: &PeerTarget) -> QuestionKey {
        let mut types: Vec<String> =
            self.types.iter().map(|asked| asked.as_str().to_ascii_uppercase()).collect();
        types.sort_unstable();
        let mut indexes = self.indexes.clone();
        indexes.sort_unstable();
        let identifier = self.identifier.canonical(Folding::SuffixSensitive);
        QuestionKey { target: target.clone(), identifier, indexes, types }
    }
}
