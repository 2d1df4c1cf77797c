//! The doors: each listens, decodes, asks the core and replies. A door translates and nothing else.

pub mod dns;
pub mod grpc;
pub mod http;
