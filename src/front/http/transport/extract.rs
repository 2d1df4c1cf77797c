//! Typed extractors: what handlers take of a request, the same for every face.
//!
//! Each rejects with a [`Rejection`], which the face renders.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::body::{read_json, read_optional_json};
use super::condition::Conditions;
use super::context::RequestContext;
use super::query::Query;
use super::rejection::Rejection;
use crate::front::http::transport::connection::Client;

//----------- Path -----------------------------------------------------------

/// The variable part of a path, percent-decoded: `%2F` and `/` mean the same, and a plus is no blank.
pub(in crate::front::http) struct Named(pub(in crate::front::http) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text)).map_err(|_| Rejection::malformed("the path is not UTF-8"))
    }
}

//----------- Query ----------------------------------------------------------

/// The parameters of a page, from the query; unknown ones are ignored, since links to pages carry more than is for them.
pub(in crate::front::http) struct Parameters<T>(pub(in crate::front::http) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Parameters<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Query::parse(parts.uri.query().unwrap_or_default()).read().map(Self)
    }
}

/// Parameters of an operation, which names all that it takes.
pub(in crate::front::http) trait KnownParameters: DeserializeOwned {
    /// The names of the parameters.
    const NAMES: &'static [&'static str];
}

/// The parameters of an operation, from the query: an unknown one is refused, because the operation would do, or show, something
/// else than was meant.
pub(in crate::front::http) struct Strictly<T>(pub(in crate::front::http) T);

impl<S: Send + Sync, T: KnownParameters> FromRequestParts<S> for Strictly<T> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        query.check_names(T::NAMES)?;
        query.read().map(Self)
    }
}

/// The parameters of an operation that takes none, except for the form of its reply.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::front::http) struct NoParameters {}

impl KnownParameters for NoParameters {
    const NAMES: &'static [&'static str] = &["pretty", "callback"];
}

/// The parameters of an operation, from the query and, where there is one, from a JSON body; unknown ones are refused.
pub(in crate::front::http) struct GivenParameters<T>(pub(in crate::front::http) T);

impl<S: Send + Sync, T: KnownParameters> FromRequest<S> for GivenParameters<T> {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let mut query = Query::parse(request.uri().query().unwrap_or_default());
        if let OptionalJson(Some(json)) = OptionalJson::from_request(request, state).await? {
            query.add_json(&json)?;
        }
        query.check_names(T::NAMES)?;
        query.read().map(Self)
    }
}

//----------- Body -----------------------------------------------------------

/// A body that must be JSON.
pub(in crate::front::http) struct JsonBody(pub(in crate::front::http) Json);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Rejection;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Rejection> {
        let (parts, body) = request.into_parts();
        read_json(RequestContext::of(&parts.extensions)?, &parts.headers, body).await.map(Self)
    }
}

/// A body that may be missing; where there is one it must be JSON.
pub(in crate::front::http) struct OptionalJson(pub(in crate::front::http) Option<Json>);

impl<S: Send + Sync> FromRequest<S> for OptionalJson {
    type Rejection = Rejection;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Rejection> {
        let (parts, body) = request.into_parts();
        let context = RequestContext::of(&parts.extensions)?;
        read_optional_json(context, (&parts.method, &parts.headers), body).await.map(Self)
    }
}

//----------- Head -----------------------------------------------------------

impl<S: Send + Sync> FromRequestParts<S> for Conditions {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
        Self::of(&parts.headers)
    }
}

/// The other end of the connection.
pub(in crate::front::http) fn client_of(parts: &Parts) -> Result<&Arc<Client>, Rejection> {
    RequestContext::of(&parts.extensions).map(|context| &context.client)
}
