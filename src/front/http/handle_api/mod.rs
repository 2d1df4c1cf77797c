//! The Handle HTTP JSON API: resolving handles and commanding them, listing, homing prefixes, sessions, and the native
//! messages of the Handle protocol over HTTP. It speaks as CNRI's servers do, so that their clients work.
//!
//! ```text
//!   renderer ─▶ guard ─▶ extractors: path, parameters, caller, body ─▶ handles, list, prefixes, site ─▶ registry | resolver
//!      ▲                                                           ├▶ sessions, verifications
//!      │                                                           └▶ native: to the Handle front end, by the daemon
//!      └────────────────────────── Denial ◀── a reason ◀───────────────┘
//! ```
//! `json` writes the model's words as JSON and reads them; `denial` names why a request is not fulfilled; `reply` alone knows
//! response codes and statuses.

pub(super) mod json;

pub(super) mod denial;
pub(super) mod reply;

pub(super) mod caller;
pub(super) mod renderer;

pub(super) mod handles;
mod list;
mod prefixes;
mod sessions;
mod site;
mod verifications;

pub(super) mod native;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tokio::time::Instant;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::denial::{ApiRefusal, Denial};
use super::transport::authentication::Authenticator;
use super::transport::cors::{allow_any_origin, method_not_allowed};
use super::transport::query::clip;
use super::transport::{Transport, guard};
use super::{HttpDependencies, Tunnel};
use crate::authority::Authority;
use crate::authority::caller::Caller;
use crate::front::listen::crypto_pool::CryptoPool;
use crate::key::PrivateKey;
use crate::registry::Registry;
use crate::registry::command::{Batch, Command, Item};
use crate::registry::receipt::Receipt;
use crate::resolver::Resolver;
use crate::telemetry::bug;

/// How long a command may wait for its outcome.
const COMMAND_MAX: Duration = Duration::from_secs(20);

//----------- HandleApi ------------------------------------------------------

/// What the handlers of this face work with.
#[derive(Clone)]
pub(super) struct HandleApi {
    transport: Arc<Transport>,
    registry: Arc<Registry>,
    resolver: Arc<Resolver>,
    server_key: Arc<PrivateKey>,
    crypto_pool: Arc<CryptoPool>,
    tunnel: Option<Tunnel>,
}

impl FromRef<HandleApi> for Arc<Transport> {
    fn from_ref(api: &HandleApi) -> Self {
        Arc::clone(&api.transport)
    }
}

impl HandleApi {
    /// The face over what a node has.
    pub(super) fn new(dependencies: &HttpDependencies, transport: Arc<Transport>) -> Self {
        Self {
            transport,
            registry: Arc::clone(&dependencies.registry),
            resolver: Arc::clone(&dependencies.resolver),
            server_key: Arc::clone(&dependencies.server_key),
            crypto_pool: Arc::clone(&dependencies.crypto_pool),
            tunnel: dependencies.tunnel.clone(),
        }
    }

    /// Decides who callers are.
    fn authority(&self) -> &Authority {
        &self.transport.authenticator.authority
    }

    /// What finds out who calls.
    pub(super) fn authenticator(&self) -> &Authenticator {
        &self.transport.authenticator
    }

    /// Has a command carried out: when it returns a receipt, the change is durable.
    async fn command(&self, caller: &Caller, command: Command) -> Result<Receipt, Denial> {
        let deadline = Some(Instant::now() + COMMAND_MAX);
        let batch = Batch { request: None, items: vec![Item { number: 0, command }], deadline };
        let outcome = self.registry.apply(caller, batch).await?.into_iter().next();
        Ok(outcome.ok_or_else(|| bug("one outcome for each item"))??)
    }
}

//----------- Routes ---------------------------------------------------------

/// The routes of this face, and their description.
pub(super) fn routes(api: HandleApi) -> (Router, OpenApi) {
    let (described, openapi) = OpenApiRouter::new()
        .routes(routes!(list::list, list::list_by_body))
        .routes(routes!(handles::resolve, handles::resolve_by_body, handles::put, handles::delete))
        .routes(routes!(prefixes::list))
        .routes(routes!(prefixes::home, prefixes::unhome))
        .routes(routes!(sessions::begin))
        .routes(routes!(sessions::show, sessions::prove, sessions::prove_by_post, sessions::end))
        .routes(routes!(verifications::verify))
        .routes(routes!(site::show))
        .routes(routes!(site::show_again))
        .split_for_parts();
    // The same paths with a slash behind them, as some clients write them, and what is none of ours.
    let more = Router::new()
        .route("/api/handles/", get(list::list).post(list::list_by_body))
        .route("/api/prefixes/", get(prefixes::list))
        .route("/api/site/", get(site::show))
        .route("/api/sites/", get(site::show_again))
        .route("/api/sessions/", post(sessions::begin))
        .route(
            "/api/sessions/{*other}",
            get(sessions::unknown).put(sessions::unknown).post(sessions::unknown).delete(sessions::unknown),
        )
        .route(
            "/api/sessions/this/",
            get(sessions::show).put(sessions::prove).post(sessions::prove_by_post).delete(sessions::end),
        )
        .route("/api", get(unknown))
        .route("/api/{*unknown}", get(unknown));
    let router = described
        .merge(more)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(api.clone(), native::intercept))
        .with_state(api.clone());
    (around(guard(router), api), openapi)
}

/// Puts a router behind the renderer of this face and lets scripts of any origin read its replies.
fn around(router: Router, api: HandleApi) -> Router {
    router.layer(from_fn_with_state(api, renderer::render)).layer(from_fn(allow_any_origin))
}

/// A path under `/api` that names nothing.
async fn unknown(uri: Uri, request: Request) -> Denial {
    let endpoint = format!("{} {}", request.method(), clip(uri.path()));
    Denial::Here(ApiRefusal::UnknownEndpoint { endpoint })
}
