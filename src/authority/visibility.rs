//! Visibility: which values a caller may see, and what is withheld from it.

use crate::model::identifier::Prefix;
use crate::model::value::{Permissions, Value};

use super::caller::Caller;

/// What a caller may see of one prefix's identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    /// Publicly readable values.
    Public,
    /// Public values, and those that administrators may read.
    Restricted,
}

impl Visibility {
    /// What a caller may see under a prefix.
    pub(crate) fn of(caller: &Caller, prefix: &Prefix) -> Self {
        if caller.may_read(prefix) { Self::Restricted } else { Self::Public }
    }

    /// Removes what the caller may not see; returns what was withheld.
    pub(crate) fn apply(self, values: &mut Vec<Value>) -> Withheld {
        let hidden = values.iter().filter(|value| !self.shows(value));
        let withheld = hidden.map(|value| match value.permissions.has(Permissions::ADMIN_READ) {
            true => Withheld::FromPublic,
            false => Withheld::FromAll,
        });
        let most = withheld.max().unwrap_or_default();
        values.retain(|value| self.shows(value));
        most
    }

    /// Whether a value is visible.
    pub(crate) fn shows(self, value: &Value) -> bool {
        let public = value.permissions.has(Permissions::PUBLIC_READ);
        match self {
            Self::Public => public,
            Self::Restricted => public || value.permissions.has(Permissions::ADMIN_READ),
        }
    }
}

/// What a question asked for, exists, and is withheld from the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Withheld {
    /// Nothing is withheld.
    #[default]
    Nothing,
    /// Values that an administrator may read.
    FromPublic,
    /// Values that no caller may read, perhaps others beside them.
    FromAll,
}

/// Whether only administrators may read a value.
pub(crate) fn is_restricted(value: &Value) -> bool {
    !value.permissions.has(Permissions::PUBLIC_READ) && value.permissions.has(Permissions::ADMIN_READ)
}
