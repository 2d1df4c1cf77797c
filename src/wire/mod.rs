//! Bytes and messages: what the front ends and the federation send and receive.
//!
//! Pure functions: nothing here waits, logs, or reads a clock.

pub mod cursor;
pub mod dns;
pub mod handle;
pub mod message;
pub mod message_size;
#[expect(
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "all of it is generated"
)]
pub mod proto;
