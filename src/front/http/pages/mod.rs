//! Pages: `/{handle}` redirects to the web address of the handle, as a proxy does, and shows people what else there is.
//!
//! ```text
//!   GET /{handle} ─▶ a web address in its values: 302 to it, with the text of `urlappend` behind it
//!                 ├▶ HS_ALIAS: as the identifier that it names
//!                 ├▶ none, or `noredirect`: people see the record, programs are redirected to its JSON
//!                 ├▶ stored at another site: people are redirected to its web address, programs get the referral
//!                 └▶ anything else: its status, as a page for people and as JSON for programs
//!   POST ─▶ a native message of the Handle protocol
//! ```
//! A client that prefers `text/html` counts as a person; every response that depends on it has `Vary: Accept`.
#![expect(unused_qualifications, reason = "the macro of utoipa repeats the path of a parameter type")]

mod address;
mod alias;
mod reply;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::alias::{Destination, Following};
use super::handle_json::caller::RequestHead;
use super::handle_json::denial::{ApiRefusal, Denial};
use super::handle_json::json::openapi_schema::Flag;
use super::handle_json::renderer::{Denied, Rendering, take_denial};
use super::handle_json::reply::{Format, HandleReply};
use super::handle_json::resolution::{HandleResolution, ResolveParameters, ask, parse_handle};
use super::handle_json::state::HandleState;
use super::transport::condition::Conditions;
use super::transport::context::RequestContext;
use super::transport::cors::{allow_any_origin, method_not_allowed};
use super::transport::deadline::Deadline;
use super::transport::extract::{Named, Parameters};
use super::transport::negotiation::{Preference, vary_by_accept};
use super::transport::query::clip;
use super::transport::rejection::Rejection;
use super::transport::{Face, Routes};
use crate::authority::caller::Caller;
use crate::front::handle_semantics::question::{self, Wanted};
use crate::model::uri::LocationChoice;
use crate::resolver::answer::{Absence, Answer, Found, Referral};

/// The methods of a target that is no path.
const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, POST");

//----------- Pages ----------------------------------------------------------

/// This face.
pub(super) struct Pages {
    state: HandleState,
    routes: Routes,
}

impl Pages {
    /// The face, and the description of its routes.
    pub(super) fn new(state: HandleState) -> (Self, OpenApi) {
        let (router, openapi) = OpenApiRouter::new()
            .routes(routes!(welcome, post_to_root))
            .routes(routes!(visit, post))
            .split_for_parts();
        let router = router.fallback(no_path).method_not_allowed_fallback(method_not_allowed);
        (Self { routes: Routes::new(router.with_state(state.clone())), state }, openapi)
    }
}

impl Face for Pages {
    /// Every path that is no other face's may name a handle.
    fn has(&self, _path: &str) -> bool {
        true
    }

    /// Scripts of any origin may read the response.
    fn answer(&self, request: Request) -> BoxFuture<'_, Response> {
        Box::pin(async {
            let preference = Preference::of(request.headers());
            let rendering = match Rendering::of(&request, |path| path.strip_prefix('/')) {
                Ok(rendering) => rendering,
                Err(rejection) => return rejection.into_response(),
            };
            let mut response = self.routes.answer(request).await;
            allow_any_origin(match take_denial(&mut response) {
                Some(denied) => render(&self.state, denied, &rendering, preference),
                None => response,
            })
        })
    }
}

/// Writes a denial as a page for people, and as JSON for programs.
fn render(api: &HandleState, denied: Denied, rendering: &Rendering, preference: Preference) -> Response {
    let title = rendering.spelled().unwrap_or_else(|| "Not found".to_owned());
    let message = denied.denial.to_string();
    let mut denied = api.deny(denied, rendering);
    match preference {
        Preference::Data => {
            vary_by_accept(denied.headers_mut());
            denied
        }
        Preference::Page => {
            let mut page = reply::denied(denied.status(), &title, &message);
            // What headers say to a client holds for a page, too.
            let shared = [header::WWW_AUTHENTICATE, header::RETRY_AFTER, header::ACCEPT, header::ALLOW];
            for name in shared {
                for value in denied.headers().get_all(&name) {
                    page.headers_mut().append(name.clone(), value.clone());
                }
            }
            page
        }
    }
}

/// A target that is no path, such as `*`.
async fn no_path(request: Request) -> Response {
    let mut response = method_not_allowed(request).await;
    response.headers_mut().insert(header::ALLOW, ALLOW);
    response
}

//----------- Visits ---------------------------------------------------------

/// How a handle is visited.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
struct VisitParameters {
    /// Whether to show the record instead of redirecting.
    #[param(value_type = Option<Flag>)]
    noredirect: bool,
    /// Text to be appended to the web address; it cannot change scheme, host or port.
    urlappend: Option<String>,
    /// An attribute of the location to choose from a `10320/loc` value, as `name:value`; may repeat.
    locatt: Vec<String>,
}

impl VisitParameters {
    /// The query by which another page, here or at another site, is visited alike.
    fn query(&self) -> String {
        let shown = self.noredirect.then_some(("noredirect", "true"));
        let appended = self.urlappend.as_deref().map(|text| ("urlappend", text));
        let chosen = self.locatt.iter().map(|text| ("locatt", text.as_str()));
        address::query_of(shown.into_iter().chain(appended).chain(chosen))
    }

    /// What the client asks of the location to choose.
    fn choice(&self, api: &HandleState) -> LocationChoice {
        let pair =
            |text: &String| text.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut random = [0; 8];
        api.resolver.fill_random(&mut random);
        LocationChoice {
            attributes: self.locatt.iter().filter_map(pair).collect(),
            random: u64::from_ne_bytes(random),
        }
    }
}

/// Serves a page that describes this node to people.
#[utoipa::path(get, path = "/", tag = "handles", operation_id = "welcome",
    responses(
        (status = 200, description = "A page, for people.", body = String, content_type = "text/html"),
        (status = 404, description = "Programs get no page.", body = HandleReply)))]
async fn welcome(headers: HeaderMap) -> Result<Response, Denial> {
    match Preference::of(&headers) {
        Preference::Data => Err(ApiRefusal::NoPage.into()),
        Preference::Page => {
            let markup = "<p>This is a node of the industrial-internet identifier resolution system. An identifier such as \
                          <code>88.118.8/SN000123</code> is visited as the path of an address here.</p>\n\
                          <p>For programs: <a href=\"/openapi.json\">the description of its interface</a>. \
                          For operators: <a href=\"/readyz\">its readiness</a>, <a href=\"/metrics\">its metrics</a>.</p>\n";
            Ok(reply::page("Identifier node", markup))
        }
    }
}

/// Redirects to the web address of the handle, or shows the record.
#[utoipa::path(get, path = "/{*handle}", tag = "handles", operation_id = "visit",
    params(
        ("handle" = String, Path, description = "The handle; its slash may be percent-encoded.",
            example = "88.118.8/SN000123"),
        VisitParameters,
        ("auth" = Option<Flag>, Query, description = "Only an authoritative answer is accepted; no other node is \
          asked.")),
    responses(
        (status = 200, description = "The record, as a page or as JSON.",
            content((HandleReply = "application/json"), (String = "text/html"))),
        (status = 302, description = "Redirects to the web address in the values, or to that of the handle that HS_ALIAS \
            names; without one, to the record; for people, to the site that answers.",
            headers(("location" = String, description = "The address to go to."))),
        (status = 304, description = "The client has this representation already."),
        (status = 300, description = "Another service answers.",
            content((HandleReply = "application/json"), (String = "text/html"))),
        (status = 400, description = "The path is not a handle of a prefix that this node answers for, or urlappend \
            would change more than path, query and fragment.",
            content((HandleReply = "application/json"), (String = "text/html"))),
        (status = 401, description = "Authentication failed.",
            content((HandleReply = "application/json"), (String = "text/html"))),
        (status = 403, description = "Authentication is required, and the connection accepts no credentials.",
            content((HandleReply = "application/json"), (String = "text/html"))),
        (status = 404, description = "There is no such handle.",
            content((HandleReply = "application/json"), (String = "text/html"))),
        (status = 412, description = "The representation is not the one that If-Match names.",
            content((HandleReply = "application/json"), (String = "text/html"))),
        (status = 500, description = "The node failed.",
            content((HandleReply = "application/json"), (String = "text/html"))),
        (status = 502, description = "Another node that was asked gave no usable answer, or none in time.",
            content((HandleReply = "application/json"), (String = "text/html"))),
        (status = 503, description = "The node is too busy, or stopping.",
            content((HandleReply = "application/json"), (String = "text/html")))))]
async fn visit(
    State(api): State<HandleState>,
    Named(handle): Named,
    Parameters(visit): Parameters<VisitParameters>,
    Parameters(parameters): Parameters<ResolveParameters>,
    head: RequestHead,
    deadline: Deadline,
    format: Format,
) -> Result<Response, Denial> {
    let Ok(identifier) = parse_handle(&handle) else {
        return Err(ApiRefusal::NoPage.into());
    };
    let preference = Preference::of(&head.headers);
    let resolution = HandleResolution {
        api: &api,
        handle: &handle,
        parameters: &parameters,
        format: &format,
        deadline: &deadline,
    };
    if visit.noredirect && preference == Preference::Data {
        let conditions = Conditions::of(&head.headers)?;
        let caller = api.authenticator.admit(head.credentials()).await?;
        return resolution.run(caller, &conditions).await.map(varying);
    }
    match (ask(&api, &parameters, identifier, &deadline).await?, preference) {
        (Answer::Values(found), _) if visit.noredirect => Ok(reply::record(&handle, &found.values)?),
        (Answer::Values(found), _) => {
            let following = Following { api: &api, parameters: &parameters, deadline: &deadline };
            redirect_visit(&handle, found, following, &visit, preference).await
        }
        // Without a slash it cannot be distinguished from other unknown paths.
        (Answer::Absent(_) | Answer::Referral(_) | Answer::NotResponsible(_), _) if !handle.contains('/') => {
            Err(ApiRefusal::NoPage.into())
        }
        (Answer::Referral(referral), Preference::Page) => redirect_to_site(&handle, &visit, referral),
        (Answer::Absent(Absence::Values(_)), Preference::Page) => {
            Ok(reply::sentence(&handle, "This identifier has no values that everybody may see."))
        }
        (answer @ (Answer::Absent(_) | Answer::Referral(_) | Answer::NotResponsible(_)), _) => {
            let outcome = question::outcome(answer, Wanted::Public, &Caller::Anonymous);
            resolution.show(outcome, &Conditions::default()).await.map(varying)
        }
    }
}

/// Redirects to the web address of a record, or of the record that its aliases name; without one, to the page of that
/// record, or to this record itself.
async fn redirect_visit(
    handle: &str,
    found: Found,
    following: Following<'_>,
    visit: &VisitParameters,
    preference: Preference,
) -> Result<Response, Denial> {
    let choice = visit.choice(following.api);
    match following.follow(&found, &choice).await? {
        Destination::Address(uri) => {
            let appended = match visit.urlappend.as_deref() {
                None | Some("") => uri,
                Some(text) => uri.append(text).ok_or_else(|| {
                    let sentence = format!(
                        "urlappend {:?} would change the scheme, host or port, or has control characters; leave it out or correct it",
                        clip(text)
                    );
                    Denial::malformed(&sentence)
                })?,
            };
            Ok(reply::redirect(address::of_uri(&appended)?))
        }
        Destination::Identifier(other) => {
            Ok(reply::redirect(address::of_page(&other.to_string(), &visit.query())?))
        }
        Destination::Record if preference == Preference::Page => Ok(reply::record(handle, &found.values)?),
        Destination::Record => Ok(varying(reply::redirect(address::of_api(handle)?))),
    }
}

/// Redirects a person to the site that answers, when it has a web address.
fn redirect_to_site(handle: &str, visit: &VisitParameters, referral: Referral) -> Result<Response, Denial> {
    match (address::at_site(&referral.site, handle, &visit.query()), referral.unanswered) {
        (Some(address), _) => Ok(varying(reply::redirect(address))),
        (None, Some(unanswered)) => Err((*unanswered).into()),
        (None, None) => {
            let sentence = format!(
                "This identifier is registered at the site of prefix {}, which has no web address.",
                referral.prefix
            );
            Ok(reply::elsewhere(handle, &sentence))
        }
    }
}

fn varying(mut response: Response) -> Response {
    vary_by_accept(response.headers_mut());
    response
}

//----------- Native messages ------------------------------------------------

/// Carries a native message to the Handle front end, and its reply back.
#[utoipa::path(post, path = "/{*handle}", tag = "native", operation_id = "native",
    params(("handle" = String, Path, description = "Any handle; the message says what it is about.",
        example = "88.118.8/SN000123")),
    request_body(content = String, content_type = "application/x-hdl-message",
        description = "One envelope and its message, as on TCP."),
    responses(
        (status = 200, description = "The reply message.", body = String, content_type = "application/x-hdl-message"),
        (status = 400, description = "The body ended early, or is not a message."),
        (status = 408, description = "The body did not arrive in time."),
        (status = 413, description = "The body is larger than any message."),
        (status = 415, description = "The body is of another content type, or encoded."),
        (status = 501, description = "The node does not speak the Handle protocol."),
        (status = 503, description = "The node is too busy.")))]
async fn post(
    State(api): State<HandleState>,
    context: RequestContext,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Rejection> {
    api.post(&context, &headers, body).await
}

/// Carries a native message to the Handle front end, and its reply back, by the shortest path.
#[utoipa::path(post, path = "/", tag = "native", operation_id = "nativeAtRoot",
    request_body(content = String, content_type = "application/x-hdl-message",
        description = "One envelope and its message, as on TCP."),
    responses(
        (status = 200, description = "The reply message.", body = String, content_type = "application/x-hdl-message"),
        (status = 400, description = "The body ended early, or is not a message."),
        (status = 408, description = "The body did not arrive in time."),
        (status = 413, description = "The body is larger than any message."),
        (status = 415, description = "The body is of another content type, or encoded."),
        (status = 501, description = "The node does not speak the Handle protocol."),
        (status = 503, description = "The node is too busy.")))]
async fn post_to_root(
    api: State<HandleState>,
    context: RequestContext,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Rejection> {
    post(api, context, headers, body).await
}
