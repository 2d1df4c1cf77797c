//! The HTTP front end over real sockets: the Handle JSON API, plain and under TLS.

pub(crate) mod front_end;
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
