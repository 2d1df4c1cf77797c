//! Copies of a store, and what makes a store whole again.
//!
//! ```text
//!   running store ─ image: states ─▶ backup ─ restore: states put, journal redone ─▶ a new store, a new incarnation
//!                 ─ copy_journal ─▶
//!   stopped store ─ check: reads everything ─▶ report
//!                 ─ repair: redoes the journal onto what is left ─▶ report
//! ```
//! Entries are copied whole and in the same form for every engine. What follows from them (counts, digests of long suffixes) is
//! not copied.

pub mod image;
pub mod restore;

pub mod check;
mod meta_rebuild;
pub mod repair;
