//! Identifiers and values as DNS names and records.
//!
//! Pure: no message is sent here and no clock is read. [`name`] is the rule by which identifiers, their values and
//! name servers are named, and the only place that knows it; [`record`] is what values look like as records;
//! [`machine`] is the private record type that carries a value exactly; [`additional`] finds OPT and TSIG in a message. The
//! messages around them are made in the DNS front end.

pub mod additional;
pub mod machine;
pub mod name;
pub mod record;
