//! The node against the standards, clause by clause: real messages to the real front ends over real sockets.
//!
//! A module is a standard, a test is a clause, in our own words. Run one with
//! `cargo test --test suite conformance::rfc8906`.

pub(crate) mod zone;

mod rfc1034;
mod rfc1035;
mod rfc2308;
mod rfc6891;
mod rfc7553;
mod rfc7766;
mod rfc7873;
mod rfc8482;
mod rfc8906;
mod rfc8914;
mod rfc8945;
mod rfc9113;
