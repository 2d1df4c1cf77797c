//! The name of a caller in the journal.

use core::fmt;

use super::identity::Identity;
use super::token::TokenId;

/// The authenticated name of the caller that made a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallerName {
    /// The node itself.
    Node,
    /// An unauthenticated caller, which wrote a publicly writable value.
    Anonymous,
    /// The holder of a token.
    Token(TokenId),
    /// An identity of the Handle protocol.
    Identity(Identity),
}

impl fmt::Display for CallerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("node"),
            Self::Anonymous => f.write_str("anonymous"),
            Self::Token(id) => write!(f, "token {id}"),
            Self::Identity(identity) => fmt::Display::fmt(identity, f),
        }
    }
}
