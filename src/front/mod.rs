//! The doors: each listens, decodes, asks the core and replies. A door translates and nothing else.
//! What they share is `tls`, the certificate that all of them show, and `socket`, which binds UDP and TCP together.

pub mod dns;
pub mod grpc;
pub mod handle;
pub mod http;

mod socket;
pub mod tls;
