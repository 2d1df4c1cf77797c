//! The doors: each listens, decodes, asks the core and replies. A door translates and nothing else.
//! What they share is `tls`: the certificate that all of them show.

pub mod dns;
pub mod grpc;
pub mod http;

pub mod tls;
