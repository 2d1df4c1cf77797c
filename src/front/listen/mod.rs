//! Listening: what every front end does before a message is decoded and after an answer is encoded.
//!
//! ```text
//!   bind ─▶ accept ─▶ slots ─▶ stream, plain or TLS ─▶ the front end's protocol
//!   bind ─▶ datagram ───────────────────────────────▶ the front end's protocol ─▶ udp_rate_limit
//! ```
//!
//! Bounds are counted per [`source::Source`] by [`quota`]; what is remembered for a time is in [`expiring`] maps; work that
//! occupies a processor runs in the [`crypto_pool`]; [`drain`] ends a front end in order, and [`in_flight`] tells when a
//! connection may be closed. What clients make a front end hold comes out of its memory [`budget`]: the [`receive_buffer`] of a
//! connection and its [`answers`] that wait to be written take theirs there.

pub mod bind;
pub mod inherited;

pub(in crate::front) mod accept;
pub mod channel;
pub(in crate::front) mod closing;
pub mod counters;
pub mod reserved;
pub mod slots;
pub(in crate::front) mod stream;
pub mod tls;

pub(in crate::front) mod datagram;
pub mod udp_rate_limit;

pub(in crate::front) mod drain;
pub(in crate::front) mod in_flight;

pub(in crate::front) mod answers;
pub(in crate::front) mod bounds;
pub mod budget;
pub(in crate::front) mod expiring;
pub(in crate::front) mod quota;
pub(in crate::front) mod receive_buffer;
pub(in crate::front) mod source;

pub mod crypto_pool;
