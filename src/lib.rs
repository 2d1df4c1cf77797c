//! idnode: a node of the industrial-internet identifier resolution system.
//!
//! Rooms, in reading order:
//!
//! - [`model`]: the vocabulary.
//! - [`wire`]: bytes and messages.

pub mod model;
pub mod wire;
