//! What the extractors of every face work with.

use super::authentication::Authenticator;
use super::body::Bodies;

/// What the extractors of every face work with.
pub(in crate::front::http) struct Transport {
    /// Tells who calls.
    pub(in crate::front::http) authenticator: Authenticator,
    /// Memory for bodies.
    pub(in crate::front::http) bodies: Bodies,
}
