//! The description of this interface, generated from the code that serves it (OpenAPI 3.1).

use std::sync::LazyLock;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, RefOr};
use utoipa::{Modify, OpenApi, openapi};

use super::described::Flag;
use super::{handles, health, list, native, page, prefixes, reply, sessions, site, verifications};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "idnode",
        description = "The Handle HTTP JSON API of a node of the industrial-internet identifier resolution system.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Schemes, &Scripts),
    components(schemas(Flag)),
    tags(
        (name = "handles", description = "What handles hold, and commands on them."),
        (name = "prefixes", description = "Which prefixes are homed here; for administrators of the node."),
        (name = "sessions", description = "Challenges, their answers, and what they open."),
        (name = "native", description = "Messages of the Handle protocol over HTTP."),
        (name = "node", description = "How the node is.")
    ),
    paths(
        handles::resolve,
        handles::resolve_by_body,
        handles::put,
        handles::delete,
        list::list,
        list::list_by_body,
        prefixes::list,
        prefixes::home,
        prefixes::unhome,
        sessions::begin,
        sessions::show,
        sessions::prove,
        sessions::prove_by_post,
        sessions::end,
        verifications::verify,
        site::show,
        site::show_again,
        page::show,
        native::carry,
        health::live,
        health::ready,
        health::metrics,
        document,
    )
)]
struct Description;

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

/// Where a reply may be given to a function, it is a script.
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

/// The description as text; it does not change while the node runs.
static TEXT: LazyLock<Bytes> =
    LazyLock::new(|| Description::openapi().to_pretty_json().unwrap_or_default().into());

/// The description.
#[utoipa::path(get, path = "/openapi.json", tag = "node", operation_id = "describe",
    responses((status = 200, description = "This document.", body = serde_json::Value)))]
pub(super) fn document() -> Response {
    reply::respond(StatusCode::OK, "application/json", TEXT.clone())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value as Json;

    use super::TEXT;
    use crate::front::http::route::ROUTES;

    fn description() -> Json {
        serde_json::from_slice(&TEXT).expect("JSON")
    }

    /// HEAD goes with GET, OPTIONS with everything.
    #[test]
    fn every_route_is_described() {
        let description = description();
        assert_eq!(description["openapi"], "3.1.0");
        let mut described = BTreeSet::new();
        for (path, item) in description["paths"].as_object().expect("paths") {
            for verb in item.as_object().expect("operations").keys() {
                described.insert((path.clone(), verb.to_ascii_uppercase()));
            }
        }
        let mut served = BTreeSet::new();
        for route in ROUTES {
            for verb in route.allow.split(", ").filter(|verb| !matches!(*verb, "HEAD" | "OPTIONS")) {
                served.insert((route.pattern.to_owned(), verb.to_owned()));
            }
        }
        assert_eq!(described, served);
    }

    #[test]
    fn every_operation_has_its_name_and_every_reference_leads_somewhere() {
        let description = description();
        let mut names = BTreeSet::new();
        for item in description["paths"].as_object().expect("paths").values() {
            for operation in item.as_object().expect("operations").values() {
                let name = operation["operationId"].as_str().expect("a name").to_owned();
                assert!(names.insert(name.clone()), "{name} stands twice");
                assert!(operation["summary"].is_string(), "{name} has no summary");
            }
        }
        check_references(&description, &description);
    }

    fn check_references(description: &Json, part: &Json) {
        match part {
            Json::Object(members) => {
                if let Some(Json::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').expect("a reference within the document");
                    assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                members.values().for_each(|member| check_references(description, member));
            }
            Json::Array(items) => items.iter().for_each(|item| check_references(description, item)),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
        }
    }
}
