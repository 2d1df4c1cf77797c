//! The HTTP door over real sockets: the Handle JSON API, plain and under TLS.

mod door;

mod resolution;

mod commands;
mod limits;
