//! idnode: a node of the industrial-internet identifier resolution system.
//!
//! # Layers
//!
//! A module imports only modules of lower layers. Modules of one layer do not import each other, except that `registry`
//! and `resolver` use `authority`, and `federation` uses `key`.
//!
//! ```text
//!   8  cli                            the command line: clients of a node over gRPC, and work on stopped nodes and files
//!   7  daemon                         assembly and lifetime: starts bottom-up, drains top-down
//!   6  config                         the options of every module, from file, environment and arguments
//!   5  front                          the front ends: DNS, Handle, HTTP, gRPC
//!   4  filing   backup                reports prefixes to the upper node · copies stored outside
//!   3  authority ─▶ registry          who may see and do what · decides and records, the only way to change anything
//!                ─▶ resolver          produces answers
//!   2  store   federation ─▶ key      entries and the journal, on disk · calls other nodes · keys and what they prove
//!   1  wire    telemetry              bytes and messages · logs and metrics
//!   0  model                          the vocabulary
//! ```
//!
//! # A question and a command
//!
//! ```text
//!   packet or call ─ front decodes ─▶ Question + Caller ─▶ resolver ─▶ store ─▶ Answer ─ front replies
//!   packet or call ─ front decodes ─▶ Command + Caller ─▶ registry: authorize ─▶ queue ─▶ committer: read, decide
//!                                                         ─▶ store: entries and journal, one durable write ─▶ Receipt
//!   later: filing and backup follow the journal
//! ```
//!
//! # Invariants
//!
//! - Nothing changes except through [`registry`]. Beside it, filing stores how far it has come, a restore fills a new store, and
//!   an operator may repair a stopped store or accept that the end of its journal is lost.
//! - Acknowledged means durable.
//! - Whatever allowed a command is still true when it commits: prefixes, tokens, and the records that name administrators.
//! - Entries and their journal block are written together; a position that is not durable is never visible.
//! - Only `store::engine` names a storage engine.
//! - [`model`], [`wire`] and [`key`] are pure: no IO, no waiting, no clock, no randomness, no logs.
//! - A front end translates and nothing else: it names neither the store nor another front end.
//! - Generated protobuf types stay in [`wire`], `front::grpc`, [`federation`] and [`cli`].
//! - The time of day and the randomness of keys and names are made in [`daemon`] and passed down.
//!
//! `tests/tidy.rs` checks the layers and all of these but three, which the suite checks: that acknowledged means durable, what
//! is true when a command commits, and that entries and journal are written together.

pub mod model;

pub mod telemetry;
pub mod wire;

pub mod federation;
pub mod key;
pub mod store;

pub mod authority;
pub mod registry;
pub mod resolver;

pub mod backup;
pub mod filing;

pub mod front;

pub mod config;

pub mod daemon;

pub mod cli;
