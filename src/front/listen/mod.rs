//! Listening: what every front end does before a message is decoded and after an answer is encoded.
//!
//! ```text
//!   bind ─▶ accept ─▶ slot ─▶ plain or TLS ─▶ the front end's protocol
//!   bind ─▶ datagrams ─────────────────────▶ the front end's protocol
//! ```
//!
//! Bounds are counted per [`source::Source`]; work that occupies a processor runs in the [`crypto_pool`]; [`drain`] ends
//! a listener and its connections in order.

pub(in crate::front) mod bind;
pub mod crypto_pool;
pub(in crate::front) mod datagram;
pub(in crate::front) mod drain;
pub(in crate::front) mod source;
pub mod tls;
