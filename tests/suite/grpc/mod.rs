//! The gRPC front end over real sockets: a real store, registry and resolver behind it, generated clients before it.

pub(crate) mod front_end;

mod administration;
mod backup;
mod errors;
mod federation;
mod limits;
mod prefixes;
mod registration;
mod resolution;
mod streams;
mod tls;
