//! From a request to the resource that it names, and back with what every reply has.
//!
//! Paths under `/api` are the Handle JSON API; `/healthz`, `/readyz`, `/metrics` and `/openapi.json` are the node's own;
//! every other path is a handle. A path is percent-decoded as UTF-8 and otherwise left as it is: `%2F` and `/` mean the
//! same, and a plus is no blank.
//!
//! A verb that a path does not take, also one that nobody knows, is answered by 405 with the verbs that it takes (RFC 9110
//! section 15.5.6). CNRI's servers answer unknown verbs by 501; no client relies on that, and 405 says what would be right.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use super::asked::Asked;
use super::connection::Peer;
use super::denial::{Denial, DoorRefusal};
use super::query::Query;
use super::reply::{self, Intent, Manner};
use super::{
    HttpDoor, credential, handles, health, list, native, openapi, page, prefixes, sessions, site,
    verifications,
};

/// How long one request may take, its body included.
const REQUEST_MAX: Duration = Duration::from_secs(28);

//----------- Route ----------------------------------------------------------

/// What a path looks like, and the verbs that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// The path, as OpenAPI writes it.
    pub(super) pattern: &'static str,
    /// What it takes, as the header `Allow` writes it.
    pub(super) allow: &'static str,
}

/// Every route.
#[cfg(test)]
pub(super) const ROUTES: [Route; 14] = [
    LIVE,
    READY,
    METRICS,
    OPENAPI,
    LIST,
    HANDLE,
    PREFIXES,
    PREFIX,
    SITE,
    SITES,
    SESSIONS,
    SESSION,
    VERIFICATION,
    PAGE,
];

const LIVE: Route = Route { pattern: "/healthz", allow: READ };
const READY: Route = Route { pattern: "/readyz", allow: READ };
const METRICS: Route = Route { pattern: "/metrics", allow: READ };
const OPENAPI: Route = Route { pattern: "/openapi.json", allow: READ };
const LIST: Route = Route { pattern: "/api/handles", allow: "GET, HEAD, POST, OPTIONS" };
const HANDLE: Route =
    Route { pattern: "/api/handles/{handle}", allow: "GET, HEAD, POST, PUT, DELETE, OPTIONS" };
const PREFIXES: Route = Route { pattern: "/api/prefixes", allow: READ };
const PREFIX: Route = Route { pattern: "/api/prefixes/{prefix}", allow: "POST, DELETE, OPTIONS" };
const SITE: Route = Route { pattern: "/api/site", allow: READ };
const SITES: Route = Route { pattern: "/api/sites", allow: READ };
const SESSIONS: Route = Route { pattern: "/api/sessions", allow: "POST, OPTIONS" };
const SESSION: Route =
    Route { pattern: "/api/sessions/this", allow: "GET, HEAD, POST, PUT, DELETE, OPTIONS" };
const VERIFICATION: Route = Route { pattern: "/api/verifications/{identity}", allow: READ };
const PAGE: Route = Route { pattern: "/{handle}", allow: "GET, HEAD, POST, OPTIONS" };
const UNKNOWN: Route = Route { pattern: "/api/{unknown}", allow: READ };
const READ: &str = "GET, HEAD, OPTIONS";

//----------- Resource -------------------------------------------------------

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Live,
    Ready,
    Metrics,
    OpenApi,
    List,
    Handle(String),
    Prefixes,
    Prefix(String),
    Site,
    Sites,
    Sessions,
    OwnSession,
    OtherSession,
    Verification(String),
    Unknown,
    Page(String),
}

impl Resource {
    /// What a path names; none when its percent-encoding is no UTF-8.
    fn of(path: &str) -> Option<Self> {
        let resource = match path {
            "/healthz" => Self::Live,
            "/readyz" => Self::Ready,
            "/metrics" => Self::Metrics,
            "/openapi.json" => Self::OpenApi,
            "/api/handles" | "/api/handles/" => Self::List,
            "/api/prefixes" | "/api/prefixes/" => Self::Prefixes,
            "/api/site" | "/api/site/" => Self::Site,
            "/api/sites" | "/api/sites/" => Self::Sites,
            "/api/sessions" | "/api/sessions/" => Self::Sessions,
            "/api/sessions/this" | "/api/sessions/this/" => Self::OwnSession,
            "/api" => Self::Unknown,
            _ => return Self::below(path),
        };
        Some(resource)
    }

    fn below(path: &str) -> Option<Self> {
        let Some(rest) = path.strip_prefix("/api/") else {
            return Some(Self::Page(decode(path.strip_prefix('/').unwrap_or(path))?));
        };
        let named = match rest.split_once('/') {
            Some(("handles", handle)) => Self::Handle(decode(handle)?),
            Some(("prefixes", prefix)) => Self::Prefix(decode(prefix)?),
            Some(("sessions", _)) => Self::OtherSession,
            Some(("verifications", identity)) => Self::Verification(decode(identity)?),
            _ => Self::Unknown,
        };
        Some(named)
    }

    fn route(&self) -> Route {
        match self {
            Self::Live => LIVE,
            Self::Ready => READY,
            Self::Metrics => METRICS,
            Self::OpenApi => OPENAPI,
            Self::List => LIST,
            Self::Handle(_) => HANDLE,
            Self::Prefixes => PREFIXES,
            Self::Prefix(_) => PREFIX,
            Self::Site => SITE,
            Self::Sites => SITES,
            Self::Sessions => SESSIONS,
            Self::OwnSession | Self::OtherSession => SESSION,
            Self::Verification(_) => VERIFICATION,
            Self::Unknown => UNKNOWN,
            Self::Page(_) => PAGE,
        }
    }

    /// The handle that the path names, as it was spelled.
    fn handle(&self) -> Option<&str> {
        match self {
            Self::Handle(handle) | Self::Page(handle) | Self::Prefix(handle) => {
                Some(handle.as_str()).filter(|handle| !handle.is_empty())
            }
            Self::Live
            | Self::Ready
            | Self::Metrics
            | Self::OpenApi
            | Self::List
            | Self::Prefixes
            | Self::Site
            | Self::Sites
            | Self::Sessions
            | Self::OwnSession
            | Self::OtherSession
            | Self::Verification(_)
            | Self::Unknown => None,
        }
    }
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}

//----------- Verb -----------------------------------------------------------

/// What is to be done with a resource; HEAD is GET without the body, which the connection leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

impl Verb {
    /// The verb of a method, if the route takes it.
    fn of(method: &Method, route: Route) -> Option<Self> {
        let allowed = route.allow.split(", ").any(|verb| verb == method.as_str());
        let verb = match method.as_str() {
            "GET" | "HEAD" => Self::Get,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            _ => return None,
        };
        Some(verb).filter(|_| allowed)
    }
}

//----------- Dispatch -------------------------------------------------------

/// Answers one request.
pub(super) async fn dispatch(
    State(door): State<HttpDoor>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let channel = peer.channel;
    let _owed = peer.in_flight.begin_answer();
    let answered = timeout(REQUEST_MAX, answer(&door, peer, request)).await;
    let mut response = answered.unwrap_or_else(|_| {
        let manner = Manner::of(&Query::default(), Intent::Command, channel);
        reply::denied(&DoorRefusal::TooLate.into(), None, &manner)
    });
    reply::allow_origins(response.headers_mut());
    door.shared.counters.count_response(response.status());
    response
}

async fn answer(door: &HttpDoor, peer: Peer, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if native::is_native(&parts) {
        return native::carry(door, &peer, body).await;
    }
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let resource = Resource::of(parts.uri.path());
    let route = resource.as_ref().map_or(UNKNOWN, Resource::route);
    if parts.method == Method::OPTIONS {
        return reply::options(route.allow);
    }
    let endpoint = || format!("{} {}", parts.method, super::query::clip(parts.uri.path()));
    let manner = Manner::of(&query, Intent::Question, peer.channel);
    let Some(verb) = Verb::of(&parts.method, route) else {
        let refusal = DoorRefusal::VerbNotAllowed { endpoint: endpoint(), allow: route.allow };
        return reply::denied(&refusal.into(), None, &manner);
    };
    let Some(resource) = resource else {
        return reply::denied(&Denial::malformed("the path is no UTF-8"), None, &manner);
    };
    if resource == Resource::Unknown {
        let refusal = DoorRefusal::UnknownEndpoint { endpoint: endpoint() };
        return reply::denied(&refusal.into(), None, &manner);
    }
    if let Err(denial) = query.check_flags() {
        return reply::denied(&denial, resource.handle(), &manner);
    }
    let mut asked =
        Asked { verb, query, manner, headers: parts.headers, peer, bodies: Arc::clone(&door.shared.bodies) };
    let outcome = fulfill(door, &mut asked, body, &resource).await;
    outcome.unwrap_or_else(|denial| {
        let denial = credential::tell_passed_over(&asked, denial);
        let listed = || asked.query.get("prefix").filter(|_| resource == Resource::List);
        let mut response = reply::denied(&denial, resource.handle().or_else(listed), &asked.manner);
        if reply::asks_for_proof(&response) {
            door.shared.challenge(&asked, reply::complaint(&denial), response.headers_mut());
        }
        response
    })
}

async fn fulfill(
    door: &HttpDoor,
    asked: &mut Asked,
    body: Body,
    resource: &Resource,
) -> Result<Response, Denial> {
    match resource {
        Resource::Live => Ok(health::live()),
        Resource::Ready => Ok(health::ready(&(door.shared.readiness)())),
        Resource::Metrics => Ok(health::metrics(&door.shared.metrics)),
        Resource::OpenApi => Ok(openapi::document()),
        Resource::List => match asked.verb {
            Verb::Post => list::list_by_body(&door.shared, asked, body).await,
            Verb::Get | Verb::Put | Verb::Delete => list::list(&door.shared, asked).await,
        },
        Resource::Handle(handle) => match asked.verb {
            Verb::Get => handles::resolve(&door.shared, asked, handle).await,
            Verb::Post => handles::resolve_by_body(&door.shared, asked, body, handle).await,
            Verb::Put => handles::put(&door.shared, asked, body, handle).await,
            Verb::Delete => handles::delete(&door.shared, asked, handle).await,
        },
        Resource::Page(handle) => match asked.verb {
            Verb::Get | Verb::Put | Verb::Delete => page::show(&door.shared, asked, handle).await,
            Verb::Post => Err(native::refuse()),
        },
        Resource::Prefixes => prefixes::list(&door.shared, asked).await,
        Resource::Prefix(prefix) => match asked.verb {
            Verb::Delete => prefixes::unhome(&door.shared, asked, prefix).await,
            Verb::Get | Verb::Post | Verb::Put => prefixes::home(&door.shared, asked, prefix).await,
        },
        Resource::Site => site::show(&door.shared, asked),
        Resource::Sites => site::show_again(&door.shared, asked),
        Resource::Sessions => sessions::begin(&door.shared, asked, body).await,
        Resource::OwnSession => match asked.verb {
            Verb::Get => sessions::show(&door.shared, asked).await,
            Verb::Post => sessions::prove_by_post(&door.shared, asked, body).await,
            Verb::Put => sessions::prove(&door.shared, asked, body).await,
            Verb::Delete => Ok(sessions::end(&door.shared, asked).await),
        },
        Resource::OtherSession => Ok(sessions::unknown(asked)),
        Resource::Verification(identity) => verifications::verify(&door.shared, asked, identity).await,
        Resource::Unknown => Err(DoorRefusal::NotOffered { what: "this" }.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::Resource;

    #[test]
    fn a_path_names_a_handle_as_it_is_spelled() {
        let check = |path: &str, expected: Resource| assert_eq!(Resource::of(path), Some(expected), "{path}");
        check("/api/handles/88.118.8/a/b", Resource::Handle("88.118.8/a/b".into()));
        check("/api/handles/88.118.8%2Fa+b%20c", Resource::Handle("88.118.8/a+b c".into()));
        check("/api/handles/%E9%9B%B6/%25", Resource::Handle("零/%".into()));
        check("/88.118.8/a", Resource::Page("88.118.8/a".into()));
        check("/api/handles", Resource::List);
        check("/api/none/x", Resource::Unknown);
        check("/api/sessions/other", Resource::OtherSession);
        check("/api/verifications/300:88.118.8/a", Resource::Verification("300:88.118.8/a".into()));
        assert_eq!(Resource::of("/api/handles/%ff"), None);
    }
}
