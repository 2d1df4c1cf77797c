//! The only room that names a storage engine: keeps entries and the journal, and says what is durable when.

#[cfg_attr(not(test), expect(dead_code, reason = "the store above it lands next"))]
mod engine;

pub use self::engine::{EngineError, EngineKind, UnknownEngine};
