//! The small language that tests are written in: start a node, ask it, expect, restart it, kill it.

pub(crate) mod clients;
pub(crate) mod eventually;
pub(crate) mod flood;
pub(crate) mod handle;
pub(crate) mod lossy_proxy;
pub(crate) mod node;
pub(crate) mod session;
pub(crate) mod tree;
pub(crate) mod vectors;
