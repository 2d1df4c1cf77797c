//! The HTTP door over real sockets: the Handle JSON API, plain and under TLS.

pub(crate) mod door;
pub(crate) mod identity;

mod negotiation;
mod referral;
mod resolution;

mod commands;
mod conditions;
mod http2;
mod listing;

mod authentication;

mod limits;
mod native;
