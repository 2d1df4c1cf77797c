//! Questions for other nodes and their answers, in types of the model.

use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier, Prefix};
use crate::model::position::Incarnation;
use crate::model::site::Site;
use crate::model::value::{Index, Value, ValueType};

/// A node that can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PeerTarget {
    /// A site that a prefix is delegated to.
    Site(Site),
    /// The upper node.
    Upper,
}

/// A question for another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerQuestion {
    /// The identifier to resolve.
    pub identifier: Identifier,
    /// Indexes of the wanted values; with `types`, the union; when both are empty, all values are wanted.
    pub indexes: Vec<Index>,
    /// Types of the wanted values.
    pub types: Vec<ValueType>,
    /// The nodes that passed the question on, this one the last.
    pub path: Vec<Incarnation>,
}

/// An answer of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAnswer {
    /// Values with public read permission.
    Values(PeerValues),
    /// There is no such identifier.
    NoIdentifier,
    /// The identifier has no such values, or none with public read permission.
    NoValues,
    /// Another site answers.
    Elsewhere {
        /// The prefix that is delegated.
        prefix: Prefix,
        /// The site that answers for the prefix.
        site: Site,
    },
    /// The node does not know which node answers for the identifier.
    Unknown,
}

/// An identifier and its values, as another node returned them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerValues {
    /// The identifier as registered there.
    pub identifier: Identifier,
    /// The version of the identifier.
    pub version: u64,
    /// The values, by ascending index.
    pub values: Vec<Value>,
    /// When the identifier last changed, in milliseconds since 1970.
    pub changed_ms: u64,
}

/// The parts of a question that make two questions the same. Suffixes that differ by case may be two identifiers elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct QuestionKey {
    target: PeerTarget,
    identifier: CanonicalIdentifier,
    indexes: Vec<Index>,
    types: Vec<String>,
}

impl PeerQuestion {
    /// Returns the key under which equal questions to the same node are shared and cached.
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
