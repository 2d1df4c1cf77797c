//! idnode: a node of the industrial-internet identifier resolution system.
//!
//! Rooms, in reading order:
//!
//! - [`model`]: the vocabulary.

pub mod model;
