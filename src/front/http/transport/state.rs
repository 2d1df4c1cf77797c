//! The state that the extractors of every face share.

use super::authentication::Authenticator;
use super::body::Bodies;

/// The state that the extractors of every face share.
pub(in crate::front::http) struct Transport {
    /// Determines callers.
    pub(in crate::front::http) authenticator: Authenticator,
    /// Memory for bodies.
    pub(in crate::front::http) bodies: Bodies,
}
