//! Tokens: what a caller presents, and the scopes that it grants. The secret itself is never stored, only its hash.

use core::fmt;

use super::identifier::Prefix;

//----------- TokenEntry -----------------------------------------------------

/// The stored entry of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEntry {
    /// Id of the token.
    pub id: TokenId,
    /// SHA-256 of the token's 256-bit secret.
    pub secret_hash: [u8; 32],
    /// The label for people.
    pub label: String,
    /// The scopes.
    pub scopes: Vec<Scope>,
    /// Time of creation, in milliseconds since 1970.
    pub created_ms: u64,
    /// Expiry time, in milliseconds since 1970; none when it does not expire.
    pub expires_ms: Option<u64>,
    /// Time at which the token was revoked, in milliseconds since 1970; none while it is valid.
    pub revoked_ms: Option<u64>,
    /// Count of this entry's changes, from 1.
    pub version: u64,
}

/// The id of a token, which is no secret: shown in lists, logs and the journal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub [u8; 8]);

impl TokenId {
    /// Parses 16 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| well_formed)?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

//----------- Scope ----------------------------------------------------------

/// A scope of a token. A prefix includes those below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything is allowed, on every prefix.
    Admin,
    /// Register, amend and remove identifiers of these prefixes, and read their restricted values.
    Registrar(Vec<Prefix>),
    /// Read restricted values, lists and histories of these prefixes.
    Reader(Vec<Prefix>),
    /// Announce a site and file prefixes, as a lower node, within these prefixes.
    Peer(Vec<Prefix>),
}

impl Scope {
    /// Whether the scope allows changing identifiers of a prefix.
    pub fn may_register(&self, prefix: &Prefix) -> bool {
        match self {
            Self::Admin => true,
            Self::Registrar(prefixes) => covers(prefixes, prefix),
            Self::Reader(_) | Self::Peer(_) => false,
        }
    }

    /// Whether the scope allows restricted values, lists and histories of a prefix.
    pub fn may_read(&self, prefix: &Prefix) -> bool {
        match self {
            Self::Admin => true,
            Self::Registrar(prefixes) | Self::Reader(prefixes) => covers(prefixes, prefix),
            Self::Peer(_) => false,
        }
    }

    /// The prefixes that the scope allows a lower node to file; each includes the prefixes below it.
    pub fn peer_prefixes(&self) -> &[Prefix] {
        match self {
            Self::Peer(prefixes) => prefixes,
            Self::Admin | Self::Registrar(_) | Self::Reader(_) => &[],
        }
    }

    /// Whether the scope allows a lower node to file a prefix.
    pub fn may_file(&self, prefix: &Prefix) -> bool {
        covers(self.peer_prefixes(), prefix)
    }
}

fn covers(prefixes: &[Prefix], prefix: &Prefix) -> bool {
    prefixes.iter().any(|own| own.covers(prefix))
}

#[cfg(test)]
mod tests {
    use super::{Prefix, Scope, TokenId};

    #[test]
    fn a_scope_includes_the_prefixes_below_its_own() {
        let prefix = |text: &str| Prefix::parse(text).expect("a valid prefix");
        let registrar = Scope::Registrar(vec![prefix("88.118")]);
        assert!(registrar.may_register(&prefix("88.118.8")));
        assert!(registrar.may_read(&prefix("88.118")));
        assert!(!registrar.may_register(&prefix("88")));
        assert!(!registrar.may_file(&prefix("88.118")));
        assert!(!Scope::Reader(vec![prefix("88")]).may_register(&prefix("88.118")));
        assert!(!Scope::Admin.may_file(&prefix("88")));
    }

    #[test]
    fn a_token_id_parses_as_displayed() {
        let id = TokenId([0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(TokenId::parse(&id.to_string()), Some(id));
        assert_eq!(TokenId::parse("xyz"), None);
    }
}
