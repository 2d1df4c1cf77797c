//! The same at every front end: gRPC, DNS, Handle over UDP and TCP, HTTP. The forms differ, the meaning does not.
//!
//! ```text
//!   questions:   one table ─▶ ask each front end ─▶ Meaning, all alike
//!   commands:    one table ─▶ gRPC by token, Handle and HTTP by identity ─▶ Verdict, all alike
//!   prefixes:    the same, of homing, unhoming and listing
//!   proofs:      every kind of proof that is not accepted ─▶ Handle and HTTP, which know identities
//!   permissions: what each bit of an HS_ADMIN allows ─▶ Handle and HTTP, which know identities
//!   addresses:   what a value refers to ─▶ visits and pages over HTTP, URI records in DNS
//! ```
//! DNS shows what everybody may see, and takes no commands.

mod commands;
mod meaning;
mod permissions;
mod prefixes;
mod proofs;
mod questions;
mod web_addresses;
