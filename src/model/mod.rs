//! The vocabulary: identifiers, values, prefixes, sites, tokens, positions, bounds.
//!
//! Plain data with checked constructors; no IO, no waiting, no clock, no serialization. All other modules use
//! these types, so that their contents are checked once and need not be checked again.

pub mod identifier;
pub mod identity;
pub mod uri;
pub mod value;

pub mod caller;
pub mod prefix;
pub mod site;
pub mod token;

pub mod position;
pub mod request;

pub mod environment;
pub mod limits;
pub mod nearest;
pub mod refusal;
