//! The description of the interface, derived from the very routes that are served (OpenAPI 3.1).

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Paths, RefOr};
use utoipa::{Modify, OpenApi, openapi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::front::http::handle_json::json::openapi_schema::{EntityTags, Flag};
use crate::front::http::transport::cors::{allow_any_origin, method_not_allowed};
use crate::front::http::transport::rejection::Rejection;
use crate::front::http::transport::{Face, Routes};
use crate::model::refusal::Failure;
use crate::telemetry::bug;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "idnode",
        description = "The Handle HTTP JSON API of a node of the industrial-internet identifier resolution system.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Schemes),
    components(schemas(EntityTags, Flag)),
    tags(
        (name = "handles", description = "What handles hold, and commands on them."),
        (name = "prefixes", description = "Which prefixes are homed here; for administrators of the node."),
        (name = "sessions", description = "Sessions: challenges and their answers."),
        (name = "native", description = "Messages of the Handle protocol over HTTP."),
        (name = "node", description = "Health and metrics of the node.")
    )
)]
struct Description;

/// Path of the description.
const PATH: &str = "/openapi.json";

/// The face that shows the description of all faces. Scripts of any origin may read it.
pub(in crate::front::http) struct DescriptionFace(Routes);

impl DescriptionFace {
    /// The face over the descriptions of the others.
    pub(in crate::front::http) fn new(faces: impl IntoIterator<Item = openapi::OpenApi>) -> Self {
        let (router, own) = OpenApiRouter::new().routes(routes!(document)).split_for_parts();
        let router = router.method_not_allowed_fallback(method_not_allowed);
        Self(Routes::new(router.with_state(describe(faces, own))))
    }
}

impl Face for DescriptionFace {
    fn has(&self, path: &str) -> bool {
        path == PATH
    }

    fn answer(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(async { allow_any_origin(self.0.answer(request).await) })
    }
}

/// The description as text.
#[derive(Clone)]
struct Text(Result<Bytes, Failure>);

/// The description of the faces and of the route that shows it, as text; it does not change while the node runs.
fn describe(faces: impl IntoIterator<Item = openapi::OpenApi>, own: openapi::OpenApi) -> Text {
    let mut description = Description::openapi();
    for face in faces {
        description.merge(face);
    }
    description.merge(own);
    Scripts.modify(&mut description);
    name_wildcards(&mut description.paths);
    let text = description.to_pretty_json();
    Text(text.map(Bytes::from).map_err(|_| bug("the description of the interface can be written")))
}

/// A variable part that may hold slashes is written like others: OpenAPI has no form for it.
fn name_wildcards(paths: &mut Paths) {
    let named = std::mem::take(&mut paths.paths);
    paths.paths = named.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
}

/// How callers prove who they are.
struct Schemes;

impl Modify for Schemes {
    fn modify(&self, description: &mut openapi::OpenApi) {
        let components = description.components.get_or_insert_default();
        let mut add = |name: &str, scheme: HttpAuthScheme, words: &str| {
            let scheme = HttpBuilder::new().scheme(scheme).description(Some(words)).build();
            components.add_security_scheme(name, SecurityScheme::Http(scheme));
        };
        add("bearer", HttpAuthScheme::Bearer, "A token of the node.");
        add(
            "basic",
            HttpAuthScheme::Basic,
            "An identity, percent-encoded, and its secret key; over TLS only.",
        );
        let words = "A Handle session, or the answer to its challenge, in `Authorization: Handle ...`; over TLS only.";
        let handle = ApiKeyValue::with_description("Authorization", words);
        components.add_security_scheme("handle", SecurityScheme::ApiKey(ApiKey::Header(handle)));
    }
}

/// Adds the script content type to replies that may be passed to a function (JSONP).
struct Scripts;

impl Modify for Scripts {
    fn modify(&self, description: &mut openapi::OpenApi) {
        let operations =
            description.paths.paths.values_mut().flat_map(|item| [&mut item.get, &mut item.post]);
        for operation in operations.flatten() {
            let parameters = operation.parameters.iter().flatten();
            if !parameters
                .clone()
                .any(|parameter| matches!(parameter, RefOr::T(one) if one.name == "callback"))
            {
                continue;
            }
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response {
                    let script =
                        ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String)));
                    response.content.insert("application/javascript".to_owned(), RefOr::T(script.build()));
                }
            }
        }
    }
}

/// The description.
#[utoipa::path(get, path = "/openapi.json", tag = "node", operation_id = "describe",
    responses((status = 200, description = "This document.", body = serde_json::Value)))]
async fn document(State(Text(text)): State<Text>) -> Result<Response, Rejection> {
    Ok(([(header::CONTENT_TYPE, "application/json")], text?).into_response())
}
