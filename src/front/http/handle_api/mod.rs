//! The Handle HTTP JSON API: resolving handles and commanding them, listing, homing prefixes, sessions, and the native
//! messages of the Handle protocol over HTTP. It speaks as CNRI's servers do, so that their clients work.
//!
//! ```text
//!   renderer ─▶ guarded ─▶ extractors: path, parameters, caller, body ─▶ handles, list, site ─▶ resolver
//!      ▲                                                           ├▶ handle_changes, prefixes ─▶ registry
//!      │                                                           └▶ sessions, verifications
//!      └────────────────────────── Denial ◀── a reason ◀───────────────┘
//! ```
//! The renderer, the JSON and what else is shared with the pages is in `handle_json`.

mod handle_changes;
mod handles;
mod list;
mod prefixes;
mod sessions;
mod site;
mod verifications;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::transport::cors::{allow_any_origin, method_not_allowed};
use super::transport::query::clip;
use super::transport::{Face, Routes, guarded};
use crate::front::http::handle_json::denial::{ApiRefusal, Denial};
use crate::front::http::handle_json::native;
use crate::front::http::handle_json::renderer::{self, Rendering};
use crate::front::http::handle_json::state::HandleState;

//----------- HandleApi ------------------------------------------------------

/// This face.
pub(super) struct HandleApi {
    state: HandleState,
    routes: Routes,
}

impl HandleApi {
    /// The face, and the description of its routes.
    pub(super) fn new(state: HandleState) -> (Self, OpenApi) {
        let (router, openapi) = routes(state.clone());
        (Self { state, routes: Routes::new(router) }, openapi)
    }
}

impl Face for HandleApi {
    fn has(&self, path: &str) -> bool {
        path.strip_prefix("/api").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Scripts of any origin may read the reply.
    fn answer(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(async {
            let rendering = match Rendering::of(&request, name_in) {
                Ok(rendering) => rendering,
                Err(rejection) => return rejection.into_response(),
            };
            let answer = |request| native::intercept(&self.state, request, &self.routes);
            let response = guarded(request, answer).await;
            allow_any_origin(renderer::render(&self.state, response, &rendering))
        })
    }
}

//----------- Routes ---------------------------------------------------------

/// The routes of this face, and their description.
fn routes(api: HandleState) -> (Router, OpenApi) {
    let (described, openapi) = OpenApiRouter::new()
        .routes(routes!(list::list, list::list_by_body))
        .routes(routes!(
            handles::resolve,
            handles::resolve_by_body,
            handle_changes::put,
            handle_changes::delete
        ))
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
    let router = described.merge(more).method_not_allowed_fallback(method_not_allowed).with_state(api);
    (router, openapi)
}

/// The handle or prefix that a path names.
fn name_in(path: &str) -> Option<&str> {
    path.strip_prefix("/api/handles/").or_else(|| path.strip_prefix("/api/prefixes/"))
}

/// A path under `/api` that names nothing.
async fn unknown(uri: Uri, request: Request) -> Denial {
    let endpoint = format!("{} {}", request.method(), clip(uri.path()));
    Denial::Here(ApiRefusal::UnknownEndpoint { endpoint })
}
