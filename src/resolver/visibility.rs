//! Which values a caller may see.

use crate::model::identifier::Prefix;
use crate::model::value::{Permissions, Value};
use crate::registry::caller::Caller;

use super::answer::Withheld;

/// What a caller may see of one prefix's identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Visibility {
    /// Publicly readable values.
    Public,
    /// Also those that administrators may read.
    Restricted,
}

impl Visibility {
    /// What a caller may see under a prefix.
    pub(super) fn of(caller: &Caller, prefix: &Prefix) -> Self {
        if caller.may_read(prefix) { Self::Restricted } else { Self::Public }
    }

    /// Keeps what is shown of the values; tells what of them is withheld.
    pub(super) fn apply(self, values: &mut Vec<Value>) -> Withheld {
        let hidden = values.iter().filter(|value| !self.shows(value));
        let withheld = hidden.map(|value| match value.permissions.has(Permissions::ADMIN_READ) {
            true => Withheld::FromPublic,
            false => Withheld::FromAll,
        });
        let most = withheld.max().unwrap_or_default();
        values.retain(|value| self.shows(value));
        most
    }

    /// Whether a value is shown.
    pub(super) fn shows(self, value: &Value) -> bool {
        let public = value.permissions.has(Permissions::PUBLIC_READ);
        match self {
            Self::Public => public,
            Self::Restricted => public || value.permissions.has(Permissions::ADMIN_READ),
        }
    }
}
