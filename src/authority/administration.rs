//! Administration: what the identities of the Handle protocol may do. Pure functions from a record's values and the lists
//! that hold an identity to a permission or a refusal.
//!
//! An identity may do what some HS_ADMIN value allows that names it, directly, by any index of its identifier (index 0),
//! or through a list that holds it (HS_VLIST). One value must allow all of it.
//!
//! | command | allowed by |
//! |---|---|
//! | register | add identifier on the prefix; add derived prefix on `0.NA/a` for `0.NA/a.b` |
//! | overwrite | what its single changes need, if they add no administrator; or add administrator on the identifier; or delete on the identifier and add on the prefix |
//! | amend | add, modify, remove of each value; of administrators the same for administrators |
//! | remove | delete identifier |
//!
//! An unchanged value needs no permission; but writing a hidden value again needs what changing it would, since otherwise a
//! right guess would differ from a wrong one. A value that anybody may write can be modified by anybody within its type and
//! with its permissions, unless it is an administrator, a key or a list: these decide who may do everything else. A value that
//! administrators may not write cannot be modified.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier};
use crate::model::identity::{AdminPermissions, Administrator, Identity};
use crate::model::refusal::Refusal;
use crate::model::value::{Index, Permissions, Value, ValueType};
use crate::wire::handle::administrator::decode_administrator;

/// The types of values that say who may do what; the public writes none of them.
const OF_ADMINISTRATION: [&str; 4] =
    [ValueType::HS_ADMIN, ValueType::HS_VLIST, ValueType::HS_PUBKEY, ValueType::HS_SECKEY];

//----------- Memberships ----------------------------------------------------

/// An identity and the lists that hold it.
#[derive(Clone, Debug)]
pub(crate) struct Memberships {
    identity: Identity,
    name: CanonicalIdentifier,
    lists: HashSet<ListName>,
    folding: Folding,
}

/// A list of identities: an index of an identifier.
pub(crate) type ListName = (CanonicalIdentifier, u32);

impl Memberships {
    /// An identity without known lists.
    pub(crate) fn of(identity: &Identity, folding: Folding) -> Self {
        let name = identity.identifier.canonical(folding);
        Self { identity: identity.clone(), name, lists: HashSet::new(), folding }
    }

    /// Whether a value that names these means it.
    pub(crate) fn is_named_by(&self, named: &Identity) -> bool {
        self.is_meant_by(&self.name_of(named))
    }

    /// An identity in the form that is compared: as the list that it may be.
    pub(crate) fn name_of(&self, named: &Identity) -> ListName {
        (named.identifier.canonical(self.folding), named.index)
    }

    /// Whether a name means it: its own with its index or with 0 for any, or that of a list that holds it.
    pub(crate) fn is_meant_by(&self, name: &ListName) -> bool {
        let (identifier, index) = name;
        let itself = *identifier == self.name && (*index == 0 || *index == self.identity.index);
        itself || self.lists.contains(name)
    }

    /// Whether an identifier has a list that holds it.
    pub(crate) fn is_in_one_of(&self, name: &CanonicalIdentifier) -> bool {
        self.lists.iter().any(|(identifier, _)| identifier == name)
    }

    /// Notes that a list holds it. Returns whether that is new.
    pub(crate) fn join(&mut self, list: ListName) -> bool {
        self.lists.insert(list)
    }
}

/// Whether an identity is among those configured to administer this node.
pub(crate) fn administers(configured: &[Identity], identity: &Identity, folding: Folding) -> bool {
    let itself = Memberships::of(identity, folding);
    configured.iter().any(|named| itself.is_named_by(named))
}

//----------- Record ---------------------------------------------------------

/// A record as decisions see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'r> {
    /// The identifier of the record.
    pub(crate) identifier: &'r Identifier,
    /// The values of the record; empty when it does not exist.
    pub(crate) values: &'r [Value],
}

impl Record<'_> {
    /// The identities that its HS_ADMIN values name, with their permissions. Values that cannot be decoded are skipped.
    pub(crate) fn administrators(&self) -> impl Iterator<Item = Administrator> {
        let named = self.values.iter().filter(|value| value.value_type.is(ValueType::HS_ADMIN));
        named.filter_map(|value| decode_administrator(&value.data).ok())
    }

    /// Refuses an identity that may not do all of this. An anonymous caller may do what needs no permission.
    pub(crate) fn check(&self, who: Option<&Memberships>, needed: AdminPermissions) -> Result<(), Refusal> {
        if needed == AdminPermissions::NONE {
            return Ok(());
        }
        let who = who.ok_or(Refusal::Unauthenticated)?;
        let mut named = self.administrators().filter(|one| who.is_named_by(&one.identity)).peekable();
        if named.peek().is_none() {
            let (identity, of) = (who.identity.clone(), self.identifier.to_string());
            return Err(Refusal::NotAdministrator { identity, of });
        }
        if named.any(|one| one.permissions.has(needed)) {
            return Ok(());
        }
        Err(Refusal::PermissionDenied {
            needed: format!("permission to {} on {}", words(needed), self.identifier),
        })
    }
}

/// Permissions in words.
fn words(permissions: AdminPermissions) -> String {
    const WORDS: [(AdminPermissions, &str); 12] = [
        (AdminPermissions::ADD_IDENTIFIER, "add identifiers"),
        (AdminPermissions::DELETE_IDENTIFIER, "delete identifiers"),
        (AdminPermissions::ADD_DERIVED_PREFIX, "add derived prefixes"),
        (AdminPermissions::DELETE_DERIVED_PREFIX, "delete derived prefixes"),
        (AdminPermissions::MODIFY_VALUE, "modify values"),
        (AdminPermissions::REMOVE_VALUE, "remove values"),
        (AdminPermissions::ADD_VALUE, "add values"),
        (AdminPermissions::MODIFY_ADMIN, "modify administrators"),
        (AdminPermissions::REMOVE_ADMIN, "remove administrators"),
        (AdminPermissions::ADD_ADMIN, "add administrators"),
        (AdminPermissions::READ_VALUE, "read values"),
        (AdminPermissions::LIST_IDENTIFIERS, "list identifiers"),
    ];
    let named = WORDS.iter().filter(|(permission, _)| permissions.has(*permission));
    named.map(|(_, word)| *word).collect::<Vec<_>>().join(" and ")
}

//----------- Changes --------------------------------------------------------

/// The values that a command leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next<'n> {
    /// All values of the record after the command.
    pub(crate) values: &'n [Value],
    /// Indexes at which the caller wrote a value.
    pub(crate) written: &'n BTreeSet<Index>,
}

/// Whether the public may not read all of these.
pub(crate) fn hide(values: &[Value]) -> bool {
    !values.iter().all(is_public)
}

/// What changes of single values need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Needs {
    permissions: AdminPermissions,
    /// A value that is modified and whose own permissions do not let administrators write it.
    protected: Option<Index>,
}

impl Needs {
    /// What it needs to come from one state to the next.
    fn of(from: &[Value], next: Next<'_>) -> Self {
        let mut pairs: BTreeMap<u32, (Option<&Value>, Option<&Value>)> = BTreeMap::new();
        from.iter().for_each(|old| pairs.entry(old.index.get()).or_default().0 = Some(old));
        next.values.iter().for_each(|new| pairs.entry(new.index.get()).or_default().1 = Some(new));
        let changed = pairs.into_values().filter(|(old, new)| !stays(*old, *new, next));
        changed.fold(Self::default(), |needs, (old, new)| needs.and(old, new))
    }

    fn and(self, old: Option<&Value>, new: Option<&Value>) -> Self {
        let needed = match (old, new) {
            (None, None) => AdminPermissions::NONE,
            (None, Some(new)) if is_admin(new) => AdminPermissions::ADD_ADMIN,
            (None, Some(_)) => AdminPermissions::ADD_VALUE,
            (Some(old), None) if is_admin(old) => AdminPermissions::REMOVE_ADMIN,
            (Some(_), None) => AdminPermissions::REMOVE_VALUE,
            (Some(old), Some(new)) if is_open(old, new) => return self,
            (Some(old), Some(new)) => match (is_admin(old), is_admin(new)) {
                (false, false) => AdminPermissions::MODIFY_VALUE,
                (true, true) => AdminPermissions::MODIFY_ADMIN,
                (false, true) => AdminPermissions::MODIFY_VALUE | AdminPermissions::ADD_ADMIN,
                (true, false) => AdminPermissions::REMOVE_ADMIN | AdminPermissions::MODIFY_VALUE,
            },
        };
        let modified = old.filter(|_| new.is_some());
        let protected = modified.filter(|old| !old.permissions.has(Permissions::ADMIN_WRITE));
        Self {
            permissions: self.permissions | needed,
            protected: self.protected.or(protected.map(|old| old.index)),
        }
    }

    fn check_unprotected(self) -> Result<(), Refusal> {
        self.protected.map_or(Ok(()), |index| Err(Refusal::ValueProtected { index }))
    }
}

/// Whether a value is unchanged, and the caller learns nothing by that.
fn stays(old: Option<&Value>, new: Option<&Value>, next: Next<'_>) -> bool {
    let same = old.zip(new).filter(|(old, new)| old.says_the_same(new));
    same.is_some_and(|(old, _)| is_public(old) || !next.written.contains(&old.index))
}

fn is_public(value: &Value) -> bool {
    value.permissions.has(Permissions::PUBLIC_READ)
}

fn is_admin(value: &Value) -> bool {
    value.value_type.is(ValueType::HS_ADMIN)
}

/// Whether anybody may make one of the other. The permissions of a value are its administrators' decision.
fn is_open(old: &Value, new: &Value) -> bool {
    let decides = |value: &Value| OF_ADMINISTRATION.iter().any(|name| value.value_type.is(name));
    let by = |permission| old.permissions.has(permission);
    let is_open = by(Permissions::PUBLIC_WRITE) && by(Permissions::ADMIN_WRITE);
    let is_same_kind = old.value_type == new.value_type && old.permissions == new.permissions;
    is_open && is_same_kind && !decides(old) && !decides(new)
}

/// Refuses an identity that may not change a record to what follows.
pub(crate) fn check_amend(
    record: Record<'_>,
    next: Next<'_>,
    who: Option<&Memberships>,
) -> Result<(), Refusal> {
    let needs = Needs::of(record.values, next);
    needs.check_unprotected()?;
    record.check(who, needs.permissions)
}

/// Refuses an identity that may not replace a record by what follows; `add` is the permission on `prefix` that registering
/// it again would need.
pub(crate) fn check_overwrite(
    record: Record<'_>,
    next: Next<'_>,
    prefix: Record<'_>,
    add: AdminPermissions,
    who: Option<&Memberships>,
) -> Result<(), Refusal> {
    let needs = Needs::of(record.values, next);
    let single = if needs.permissions.has(AdminPermissions::ADD_ADMIN) {
        record.check(who, AdminPermissions::ADD_ADMIN)
    } else {
        record.check(who, needs.permissions).and_then(|()| needs.check_unprotected())
    };
    let replace = || {
        record.check(who, AdminPermissions::DELETE_IDENTIFIER)?;
        prefix.check(who, add)
    };
    let whole = || record.check(who, AdminPermissions::ADD_ADMIN).or_else(|_| replace());
    single.or_else(|refusal| whole().map_err(|_| refusal))
}

/// The permission that registering needs, and the prefix record whose administrators have it.
pub(crate) fn creation(target: &Identifier) -> (Identifier, AdminPermissions) {
    match target.named_prefix().and_then(|named| named.parent()) {
        Some(parent) => (Identifier::of_prefix(&parent), AdminPermissions::ADD_DERIVED_PREFIX),
        None => (Identifier::of_prefix(target.prefix()), AdminPermissions::ADD_IDENTIFIER),
    }
}
