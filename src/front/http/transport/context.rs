//! What is known of a request from its head on: an extension of every request.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::request::Parts;

use super::connection::Client;
use super::deadline::Deadline;
use super::rejection::Rejection;
use crate::front::listen::budget::BudgetSpent;
use crate::telemetry::bug;

/// What is known of a request from its head on. Clones belong to the same request.
#[derive(Clone, Debug)]
pub(in crate::front::http) struct RequestContext {
    /// The client of the connection.
    pub(in crate::front::http) client: Arc<Client>,
    /// Until when it is answered.
    pub(in crate::front::http) deadline: Deadline,
    /// Whether there is memory for its answer.
    pub(in crate::front::http) memory: Result<(), BudgetSpent>,
}

impl RequestContext {
    /// The context among the extensions of a request.
    pub(in crate::front::http) fn of(extensions: &Extensions) -> Result<&Self, Rejection> {
        extensions.get().ok_or_else(|| Rejection::Failed(bug("every request has its context")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Self::of(&parts.extensions).cloned()
    }
}
