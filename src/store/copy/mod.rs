//! Images and copies of the journal for backups, restore from them, and the check and repair of a stopped store.
//!
//! ```text
//!   running store ─ image: states ─▶ backup ─ restore: states put, journal redone ─▶ a new store, a new incarnation
//!                 ─ copy_journal ─▶
//!   stopped store ─ check: reads everything ─▶ report
//!                 ─ repair: redoes the journal onto what is left ─▶ report
//! ```
//! Entries are copied whole and in the same form for every engine. What follows from them (counts, digests of long suffixes) is
//! not copied. A copy has the journal of one stream: its sequences, here and in the modules that make and read copies, are those of
//! that stream.

pub mod image;
pub mod restore;

pub mod check;
pub(in crate::store) mod meta_rebuild;
pub mod repair;
