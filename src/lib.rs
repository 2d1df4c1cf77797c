//! idnode: a node of the industrial-internet identifier resolution system.
//!
//! Rooms, in reading order:
//!
//! - [`model`]: the vocabulary.
//! - [`wire`]: bytes and messages.
//! - [`telemetry`]: the log and the metrics.
//! - [`store`]: identifiers, prefixes, tokens and the journal, on disk.
//! - [`federation`]: questions to other nodes and filings; the only room that calls them.
//! - [`registry`]: decides and records; the only door to change.
//! - [`resolver`]: produces answers.
//! - [`front`]: the doors.
//! - [`backup`]: copies kept outside of the node, read back and restored from.
//! - [`filing`]: reports this node's prefixes to the upper node.
//! - [`config`]: what every room is told; the only room that knows the keys of the configuration file.
//! - [`daemon`]: assembly and lifetime.
//! - [`cli`]: the command line; its commands speak gRPC to a node like any client.

pub mod model;

pub mod telemetry;
pub mod wire;

pub mod federation;
pub mod store;

pub mod registry;
pub mod resolver;

pub mod backup;
pub mod filing;
pub mod front;

pub mod config;

pub mod daemon;

pub mod cli;
