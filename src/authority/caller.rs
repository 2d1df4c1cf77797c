//! Callers: who sent a request, with what it proved.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::model::caller::CallerName;
use crate::model::identifier::Prefix;
use crate::model::identity::Identity;
use crate::model::refusal::Refusal;
use crate::model::token::{TokenEntry, TokenId};
use crate::model::value::{Index, Value};
use crate::store::directory::Directory;

/// Who sent a request.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A caller that proved nothing.
    Anonymous,
    /// The node itself.
    Node,
    /// The holder of a token, as the token was when it was presented.
    Token(Arc<TokenEntry>),
    /// An identity of the Handle protocol, proved by its key.
    Identity(KeyHolder),
}

impl Caller {
    /// Name of the caller in the journal; none for an anonymous caller.
    pub fn name(&self) -> Option<CallerName> {
        match self {
            Self::Anonymous => None,
            Self::Node => Some(CallerName::Node),
            Self::Token(token) => Some(CallerName::Token(token.id)),
            Self::Identity(holder) => Some(CallerName::Identity(holder.identity.clone())),
        }
    }

    /// Whether the caller may do everything.
    pub fn is_admin(&self) -> bool {
        match self {
            Self::Node => true,
            Self::Token(token) => token.scopes.contains(&crate::model::token::Scope::Admin),
            Self::Anonymous | Self::Identity(_) => false,
        }
    }

    /// Whether the caller may change identifiers of a prefix.
    pub fn may_register(&self, prefix: &Prefix) -> bool {
        match self {
            Self::Node => true,
            Self::Token(token) => token.scopes.iter().any(|scope| scope.may_register(prefix)),
            Self::Anonymous | Self::Identity(_) => false,
        }
    }

    /// Whether the caller may read restricted values, lists and histories of a prefix.
    pub fn may_read(&self, prefix: &Prefix) -> bool {
        match self {
            Self::Node => true,
            Self::Token(token) => token.scopes.iter().any(|scope| scope.may_read(prefix)),
            Self::Anonymous | Self::Identity(_) => false,
        }
    }

    /// Whether the caller may see the contact of a prefix's registrant: a caller that may read the prefix, or may file it.
    pub fn may_see_contact(&self, prefix: &Prefix) -> bool {
        self.may_read(prefix) || self.may_file(prefix)
    }

    /// Whether the caller may file a prefix as a lower node.
    pub fn may_file(&self, prefix: &Prefix) -> bool {
        match self {
            Self::Token(token) => token.scopes.iter().any(|scope| scope.may_file(prefix)),
            Self::Node | Self::Anonymous | Self::Identity(_) => false,
        }
    }
}

//----------- KeyHolder ------------------------------------------------------

/// An identity of the Handle protocol, and the key that proved it. Front ends may remember it: the key is checked again
/// whenever the identity is to be allowed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHolder {
    /// The identity.
    pub identity: Identity,
    /// The key.
    pub key: HeldKey,
}

/// The key that proved an identity, and how long that is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldKey {
    /// A value of this node: valid while it is unchanged.
    Here {
        /// Index of the value.
        index: Index,
        /// Digest of the type and data of the value.
        digest: [u8; 32],
    },
    /// A value of another node: valid until a time in milliseconds since 1970.
    Elsewhere {
        /// Time until which the key is valid, in milliseconds since 1970.
        until_ms: u64,
    },
    /// No proof: the identity is assumed, to find out what it could be allowed.
    Supposed,
}

impl KeyHolder {
    /// An identity without proof.
    pub fn supposed(identity: Identity) -> Self {
        Self { identity, key: HeldKey::Supposed }
    }
}

impl HeldKey {
    /// A value of this node.
    pub fn here(value: &Value) -> Self {
        Self::Here { index: value.index, digest: digest(value) }
    }

    /// Whether a value is the key, unchanged.
    pub(super) fn is(&self, value: &Value) -> bool {
        matches!(self, Self::Here { index, digest: held } if *index == value.index && *held == digest(value))
    }
}

fn digest(value: &Value) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(value.value_type.as_str());
    // No type contains this separator, so that type and data cannot be shifted into each other.
    digest.update([0]);
    digest.update(&value.data);
    digest.finalize().into()
}

//----------- Token texts ----------------------------------------------------

const START: &str = "idn_";

/// The text of a new token, and the hash of its secret that is stored.
pub(crate) fn make_token(id: TokenId, secret: &[u8; 32]) -> (String, [u8; 32]) {
    let text = format!("{START}{id}_{}", data_encoding::HEXLOWER.encode(secret));
    (text, Sha256::digest(secret).into())
}

/// Finds the holder of a token by its text.
pub(super) fn authenticate(directory: &Directory, text: &str, now_ms: u64) -> Result<Caller, Refusal> {
    let (id, secret) = parse(text).ok_or(Refusal::TokenUnknown)?;
    let token = directory.token(id).ok_or(Refusal::TokenUnknown)?;
    let hash: [u8; 32] = Sha256::digest(secret).into();
    if !bool::from(hash.ct_eq(&token.secret_hash)) {
        return Err(Refusal::TokenUnknown);
    }
    check_token(token, now_ms)?;
    Ok(Caller::Token(Arc::clone(token)))
}

/// Refuses a token that is revoked or expired.
pub(crate) fn check_token(token: &TokenEntry, now_ms: u64) -> Result<(), Refusal> {
    if token.revoked_ms.is_some() {
        return Err(Refusal::TokenRevoked);
    }
    if token.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms) {
        return Err(Refusal::TokenExpired);
    }
    Ok(())
}

fn parse(text: &str) -> Option<(TokenId, Vec<u8>)> {
    let (id, secret) = text.strip_prefix(START)?.split_once('_')?;
    let secret =
        data_encoding::HEXLOWER.decode(secret.as_bytes()).ok().filter(|secret| secret.len() == 32)?;
    Some((TokenId::parse(id)?, secret))
}

#[cfg(test)]
mod tests {
    use super::{Caller, authenticate, make_token};
    use crate::model::refusal::Refusal;
    use crate::model::token::{Scope, TokenEntry, TokenId};
    use crate::store::directory::Directory;

    #[test]
    fn a_token_opens_until_it_ends() {
        let id = TokenId([1; 8]);
        let (text, secret_hash) = make_token(id, &[7; 32]);
        let mut entry = TokenEntry {
            id,
            secret_hash,
            label: "line 4".into(),
            scopes: vec![Scope::Admin],
            created_ms: 1,
            expires_ms: Some(100),
            revoked_ms: None,
            version: 1,
        };
        let mut directory = Directory::default();
        directory.put_token(entry.clone(), 1);
        assert!(matches!(authenticate(&directory, &text, 99), Ok(Caller::Token(token)) if token.id == id));
        assert_eq!(authenticate(&directory, &text, 100).err(), Some(Refusal::TokenExpired));
        let wrong = text.replace("07", "08");
        assert_eq!(authenticate(&directory, &wrong, 99).err(), Some(Refusal::TokenUnknown));
        entry.revoked_ms = Some(50);
        directory.put_token(entry, 2);
        assert_eq!(authenticate(&directory, &text, 99).err(), Some(Refusal::TokenRevoked));
    }
}
