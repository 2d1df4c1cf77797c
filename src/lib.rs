//! idnode: a node of the industrial-internet identifier resolution system.
//!
//! # The house
//!
//! A room imports only rooms on lower floors; neighbors on a floor do not know each other, except that `resolver` may
//! use `registry`'s types.
//!
//! ```text
//!   6  cli                        the command line; its commands speak gRPC to a node like any client
//!   5  config ─▶ daemon           what every room is told · assembly and lifetime
//!   4  front   filing   backup    the doors · reports prefixes upward · copies kept outside
//!   3  registry ─▶ resolver       decides and records, the only door to change · produces answers
//!   2  store   federation   key   entries and the journal, on disk · the only room that calls other nodes · keys and
//!                                 what they prove
//!   1  wire    telemetry          bytes and messages · the log and the metrics
//!   0  model                      the vocabulary
//! ```
//!
//! # A question, and a command
//!
//! ```text
//!   packet or call ─ front decodes ─▶ Question + Caller ─▶ resolver ─▶ store ─▶ Answer ─ front replies
//!   packet or call ─ front decodes ─▶ Command + Caller ─▶ registry: authorize ─▶ queue ─▶ committer: read, decide
//!                                                         ─▶ store: states and journal, one durable write ─▶ Receipt
//!   later: filing and backup follow the journal
//! ```
//!
//! # What must stay so
//!
//! - Nothing changes except through [`registry`]; a receipt means that it is on disk.
//! - What allowed a command still stands when it commits: prefixes, tokens, and the records that name administrators.
//! - States and their journal entries are written together; nobody sees a position that is not durable.
//! - Only `store::engine` names a storage engine; [`model`], [`wire`] and [`key`] never wait, log or read a clock.
//! - A door translates and nothing else: it names neither the store nor another door.
//! - Generated protobuf types stay in [`wire`], `front::grpc`, [`federation`] and [`cli`].
//! - Time and randomness are made in [`daemon`] and handed down.
//!
//! `tests/tidy.rs` enforces these.

pub mod model;

pub mod telemetry;
pub mod wire;

pub mod federation;
pub mod key;
pub mod store;

pub mod registry;
pub mod resolver;

pub mod backup;
pub mod filing;
pub mod front;

pub mod config;

pub mod daemon;

pub mod cli;
