//! Guarantees of the registry, over real stores: order of decisions, durability of receipts, harmless repetition.

pub(crate) mod fixture;

mod administration;
mod authorization;
mod bounds;
mod fences;
mod filings;
mod identifiers;
mod keys;
mod life;
mod named;
mod notes;
mod prefixes;
mod requests;
