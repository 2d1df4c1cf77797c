//! idnode: a node of the industrial-internet identifier resolution system.
//!
//! Rooms, in reading order:
//!
//! - [`model`]: the vocabulary.
//! - [`wire`]: bytes and messages.
//! - [`store`]: identifiers, prefixes, tokens and the journal, on disk.

pub mod config;
pub mod model;
pub mod store;
pub mod wire;
