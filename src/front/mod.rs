//! The doors: each listens, decodes, asks the core and replies. A door translates and nothing else.
//! What they share is `tls`, the certificate that all of them show; `socket`, which binds UDP and TCP together;
//! `source`, whom their bounds count; `drain`, how they end; and `response_code`, what the Handle protocol calls each
//! reason.

pub mod dns;
pub mod grpc;
pub mod handle;
pub mod http;

mod drain;
mod response_code;
mod socket;
mod source;
pub mod tls;
