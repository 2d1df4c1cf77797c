//! Bytes of unknown clients at the real front ends: seeded, bounded, and never the end of one.

mod amplification;
mod connections;
mod dns;
mod flood;
mod grpc;
mod handle;
mod handle_codec;
mod http2;
mod memory;
