//! What the registry promises, over real stores: decided in order, durable with its receipt, repeatable without harm.

pub(crate) mod room;

mod authorization;
mod bounds;
mod identifiers;
mod life;
mod prefixes;
mod requests;
mod simulation;
