//! idnode: a node of the industrial-internet identifier resolution system.
//!
//! Rooms, in reading order:
//!
//! - [`model`]: the vocabulary.
//! - [`wire`]: bytes and messages.
//! - [`store`]: keeps entries and the journal; the only room that names a storage engine.

pub mod config;
pub mod model;
pub mod wire;

pub mod store;
