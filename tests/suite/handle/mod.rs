//! The Handle front end, as its clients meet it: real sockets, UDP and TCP.

mod administration;
mod referral;
mod resolution;
mod session;
mod transport;
