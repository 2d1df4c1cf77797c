//! Who calls, as an extractor: of a question or of a command.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, Version};

use super::reply::Format;
use crate::authority::caller::Caller;
use crate::front::http::transport::authentication::{Authenticator, Intent, Readers, RequestCredentials};
use crate::front::http::transport::connection::Client;
use crate::front::http::transport::deadline::{Deadline, deadline_of};
use crate::front::http::transport::extract::client_of;
use crate::front::http::transport::query::Query;
use crate::front::http::transport::rejection::Rejection;

/// Who asks a question.
pub(in crate::front::http) struct Asking(pub(in crate::front::http) Caller);

/// Who gives a command, and until when its outcome is waited for.
pub(in crate::front::http) struct Commanding {
    pub(in crate::front::http) caller: Caller,
    pub(in crate::front::http) deadline: Deadline,
}

/// The credentials of a request.
fn credentials(parts: &Parts, intent: Intent) -> Result<RequestCredentials<'_>, Rejection> {
    let Parts { version, uri, headers, .. } = parts;
    Ok(RequestCredentials {
        headers,
        client: client_of(parts)?,
        target: (*version, uri),
        intent,
        readers: readers(uri),
    })
}

/// Who can read the response.
fn readers(uri: &Uri) -> Readers {
    Format::of(&Query::parse(uri.query().unwrap_or_default())).readers()
}

impl<S> FromRequestParts<S> for Asking
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let credentials = credentials(parts, Intent::Question)?;
        Arc::<Authenticator>::from_ref(state).admit(credentials).await.map(Self)
    }
}

impl<S> FromRequestParts<S> for Commanding
where
    S: Send + Sync,
    Arc<Authenticator>: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let (credentials, deadline) = (credentials(parts, Intent::Command)?, deadline_of(parts)?);
        let caller = Arc::<Authenticator>::from_ref(state).admit(credentials).await?;
        Ok(Self { caller, deadline })
    }
}

/// The head of a request, for handlers that judge its credentials themselves.
pub(in crate::front::http) struct RequestHead {
    version: Version,
    uri: Uri,
    pub(in crate::front::http) headers: HeaderMap,
    pub(in crate::front::http) client: Arc<Client>,
}

impl RequestHead {
    /// The credentials of a question.
    pub(in crate::front::http) fn credentials(&self) -> RequestCredentials<'_> {
        RequestCredentials {
            headers: &self.headers,
            client: &self.client,
            target: (self.version, &self.uri),
            intent: Intent::Question,
            readers: readers(&self.uri),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for RequestHead {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        let client = Arc::clone(client_of(parts)?);
        Ok(Self { version: parts.version, uri: parts.uri.clone(), headers: parts.headers.clone(), client })
    }
}
