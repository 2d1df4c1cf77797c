//! Identities of the Handle protocol: a key at an index of an identifier, and what administrators may do.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

use super::identifier::{Identifier, IdentifierError};

//----------- Identity -------------------------------------------------------

/// An identity: the key at an index of an identifier, written `300:0.NA/88.118.8`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The index of the key; in a value that names administrators, 0 stands for any index.
    pub index: u32,
    /// Identifier that holds the key.
    pub identifier: Identifier,
}

impl Identity {
    /// Parses `index:identifier`.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let malformed = || IdentityError::Malformed { found: text.chars().take(64).collect() };
        let (index, identifier) = text.split_once(':').ok_or_else(malformed)?;
        let index = index.parse().map_err(|_| malformed())?;
        let identifier = Identifier::parse(identifier).map_err(IdentityError::Identifier)?;
        Ok(Self { index, identifier })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.index, self.identifier)
    }
}

/// Why a text is not an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// Not of the form `index:identifier`.
    Malformed {
        /// The beginning of what was found.
        found: String,
    },
    /// The part after the colon is not an identifier.
    Identifier(IdentifierError),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { found } => {
                write!(f, "identity {found:?} is not index:identifier; write it such as 300:0.NA/88.118.8")
            }
            Self::Identifier(error) => write!(f, "identity: {error}"),
        }
    }
}

impl core::error::Error for IdentityError {}

//----------- AdminPermissions -----------------------------------------------

/// What an administrator may do: the bits of HS_ADMIN (RFC 3651 section 3.2.1).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct AdminPermissions(u16);

impl AdminPermissions {
    /// Register identifiers of the prefix.
    pub const ADD_IDENTIFIER: Self = Self(0x0001);
    /// Remove the identifier.
    pub const DELETE_IDENTIFIER: Self = Self(0x0002);
    /// Register prefixes below the prefix.
    pub const ADD_DERIVED_PREFIX: Self = Self(0x0004);
    /// Remove prefixes below the prefix.
    pub const DELETE_DERIVED_PREFIX: Self = Self(0x0008);
    /// Change values.
    pub const MODIFY_VALUE: Self = Self(0x0010);
    /// Remove values.
    pub const REMOVE_VALUE: Self = Self(0x0020);
    /// Add values.
    pub const ADD_VALUE: Self = Self(0x0040);
    /// Change HS_ADMIN values.
    pub const MODIFY_ADMIN: Self = Self(0x0080);
    /// Remove HS_ADMIN values.
    pub const REMOVE_ADMIN: Self = Self(0x0100);
    /// Add HS_ADMIN values.
    pub const ADD_ADMIN: Self = Self(0x0200);
    /// Read values that are not public.
    pub const READ_VALUE: Self = Self(0x0400);
    /// List the identifiers of the prefix.
    pub const LIST_IDENTIFIERS: Self = Self(0x0800);
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self(0x0fff);

    /// Takes the bits unchanged; unknown ones are retained.
    pub fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The bits.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// Whether all of these are among them.
    pub fn has(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }
}

impl BitOr for AdminPermissions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for AdminPermissions {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Twelve digits, the right to list first, as Handle JSON writes them.
impl fmt::Display for AdminPermissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012b}", self.0)
    }
}

impl fmt::Debug for AdminPermissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The contents of one HS_ADMIN value: permissions of an identity, or of a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// The permissions.
    pub permissions: AdminPermissions,
    /// The identity: a key, any key of an identifier (index 0), or an HS_VLIST.
    pub identity: Identity,
}

#[cfg(test)]
mod tests {
    use super::{AdminPermissions, Identity, IdentityError};

    #[test]
    fn an_identity_is_an_index_and_an_identifier() {
        let identity = Identity::parse("300:0.NA/88.118.8").expect("an identity");
        assert_eq!((identity.index, identity.to_string().as_str()), (300, "300:0.NA/88.118.8"));
        let found = "0.NA/88".to_owned();
        assert_eq!(Identity::parse("0.NA/88"), Err(IdentityError::Malformed { found }));
        assert!(matches!(Identity::parse("3:88"), Err(IdentityError::Identifier(_))));
    }

    #[test]
    fn permissions_are_written_with_the_right_to_list_first() {
        assert_eq!(AdminPermissions::LIST_IDENTIFIERS.to_string(), "100000000000");
        let both = AdminPermissions::ADD_VALUE | AdminPermissions::MODIFY_VALUE;
        assert!(both.has(AdminPermissions::ADD_VALUE) && !both.has(AdminPermissions::ALL));
    }
}
