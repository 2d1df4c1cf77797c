//! Who calls, as an extractor: of a question or of a command.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;

use super::reply::Format;
use crate::authority::caller::Caller;
use crate::front::http::transport::authentication::{Claim, Intent};
use crate::front::http::transport::deadline::{Deadline, deadline_of};
use crate::front::http::transport::extract::client_of;
use crate::front::http::transport::host::Host;
use crate::front::http::transport::query::Query;
use crate::front::http::transport::rejection::Rejection;
use crate::front::http::transport::state::Transport;
use crate::telemetry::bug;

/// Who asks a question.
pub(in crate::front::http) struct Asking(pub(in crate::front::http) Caller);

/// Who gives a command, and until when its outcome is waited for.
pub(in crate::front::http) struct Commanding {
    pub(in crate::front::http) caller: Caller,
    pub(in crate::front::http) deadline: Deadline,
}

/// What a request shows of who sent it.
fn claim(parts: &Parts, intent: Intent) -> Result<Claim, Rejection> {
    let format = Format::of(&Query::parse(parts.uri.query().unwrap_or_default()));
    let host = parts.extensions.get::<Host>().cloned();
    Ok(Claim {
        headers: parts.headers.clone(),
        client: client_of(parts)?,
        host: host.ok_or_else(|| bug("every request passes the check of its host"))?,
        intent,
        readers: format.readers(),
    })
}

impl<S> FromRequestParts<S> for Asking
where
    S: Send + Sync,
    Arc<Transport>: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let claim = claim(parts, Intent::Question)?;
        Arc::<Transport>::from_ref(state).authenticator.admit(&claim).await.map(Self)
    }
}

impl<S> FromRequestParts<S> for Commanding
where
    S: Send + Sync,
    Arc<Transport>: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let (claim, deadline) = (claim(parts, Intent::Command)?, deadline_of(parts)?);
        let caller = Arc::<Transport>::from_ref(state).authenticator.admit(&claim).await?;
        Ok(Self { caller, deadline })
    }
}

/// What a request shows of who sent it, for handlers that judge it themselves.
pub(in crate::front::http) struct Shown(pub(in crate::front::http) Claim);

impl<S: Send + Sync> FromRequestParts<S> for Shown {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        claim(parts, Intent::Question).map(Self)
    }
}
