//! Copies of a store, and what makes a store whole again: backups are made of them, and a check reads what a copy would.
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
pub(in crate::store) mod meta_rebuild;
pub mod repair;
