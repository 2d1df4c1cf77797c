//! The front ends: each listens, decodes, asks the core and replies. A front end translates and nothing else.
//! What they share is in [`listen`]; `handle_semantics` holds the Handle rules that the binary protocol and the JSON API
//! have in common.

pub mod dns;
pub mod grpc;
pub mod handle;
pub mod http;

mod handle_semantics;
pub mod listen;
