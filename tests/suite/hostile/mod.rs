//! Strangers' bytes at the real doors: seeded, bounded, and never the end of the door.

mod amplification;
mod connections;
mod dns;
mod flood;
mod grpc;
mod handle;
mod handle_codec;
mod http2;
mod memory;
