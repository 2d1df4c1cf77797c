//! Prefixes as decisions see them: whether this node answers for one, and where the record of an identifier is stored.

use crate::model::identifier::{Identifier, Prefix};
use crate::model::prefix::{Homing, PrefixEntry, PrefixStatus};
use crate::model::refusal::Refusal;
use crate::store::directory::Directory;

/// The active entry, homed here, that governs a prefix.
pub(crate) fn homed_here<'d>(prefix: &Prefix, directory: &'d Directory) -> Result<&'d PrefixEntry, Refusal> {
    let entry =
        directory.governing(prefix).ok_or_else(|| Refusal::NotResponsible { prefix: prefix.clone() })?;
    check_active(entry)?;
    match &entry.homing {
        Homing::Here => Ok(entry),
        Homing::Delegated(_) => Err(Refusal::PrefixDelegated { prefix: entry.prefix.clone() }),
    }
}

/// Refuses a prefix that is suspended or revoked.
pub(crate) fn check_active(entry: &PrefixEntry) -> Result<(), Refusal> {
    let prefix = entry.prefix.clone();
    match entry.status {
        PrefixStatus::Active => Ok(()),
        PrefixStatus::Suspended => Err(Refusal::PrefixSuspended { prefix }),
        PrefixStatus::Revoked => Err(Refusal::PrefixRevoked { prefix }),
    }
}

//----------- RecordSource ---------------------------------------------------

/// Where the record of an identifier is read, as far as proofs and permissions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordSource {
    /// The record is in the store of this node.
    Here,
    /// The record of a delegated prefix: what this node holds of it, and what the site of the prefix shows to everybody.
    Both,
    /// The record is at another node, which shows what everybody may see.
    Elsewhere,
    /// Nowhere: its prefix is suspended or revoked, so that it proves nothing.
    Withdrawn,
}

impl RecordSource {
    /// Where the record of an identifier is read.
    pub(crate) fn of(identifier: &Identifier, directory: &Directory) -> Self {
        let Some(entry) = directory.governing(&identifier.governing_prefix()) else {
            return Self::Elsewhere;
        };
        // The name of a delegated prefix is answered by the node that delegates it, with what the delegated site adds.
        let own_name = identifier.named_prefix().is_some_and(|named| named == entry.prefix);
        match (entry.status, &entry.homing) {
            (PrefixStatus::Suspended | PrefixStatus::Revoked, _) => Self::Withdrawn,
            (PrefixStatus::Active, Homing::Here) => Self::Here,
            (PrefixStatus::Active, Homing::Delegated(_)) if own_name => Self::Both,
            (PrefixStatus::Active, Homing::Delegated(_)) => Self::Elsewhere,
        }
    }

    /// Whether some or all of the record is in the store of this node.
    pub(crate) fn includes_here(self) -> bool {
        match self {
            Self::Here | Self::Both => true,
            Self::Elsewhere | Self::Withdrawn => false,
        }
    }
}
