//! What the registry promises, over real stores: decided in order, durable with its receipt, repeatable without harm.

pub(crate) mod room;

mod administration;
mod authorization;
mod bounds;
mod fences;
mod identifiers;
mod keys;
mod life;
mod prefixes;
mod requests;
mod simulation;
