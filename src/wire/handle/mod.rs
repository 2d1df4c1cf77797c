//! The Handle protocol's binary forms: messages, values and the data of well-known types.
//!
//! ```text
//!   envelope │ header · body · credential │       over UDP cut into packets, each with its envelope
//!   `envelope`   `message`, `body`, `credential`   `packet`
//!   in bodies: values (`value`), whose data may be an administrator, a site or a key
//! ```
//!
//! Pure and bounded: a decoder takes linear time, never panics, and retains unknown numbers. What the
//! messages mean is decided by the front ends, and what keys prove is `crate::key`'s.

pub mod code;

pub mod envelope;
pub mod message;
pub mod packet;

pub mod body;
pub mod credential;

pub mod value;

pub mod administrator;
pub mod key;
pub mod site;
