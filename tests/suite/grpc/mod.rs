//! The gRPC door over real sockets: a real store, registry and resolver behind it, generated clients before it.

pub(crate) mod door;

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
