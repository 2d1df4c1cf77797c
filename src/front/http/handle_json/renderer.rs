//! The renderer of this face: writes denials as JSON, in the form that the request wishes, with a challenge where proof is
//! needed.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::response::Response;
use percent_encoding::percent_decode_str;

use super::denial::Denial;
use super::reply::{self, Format};
use super::state::HandleState;
use crate::front::http::transport::authentication::{Intent, Objection, TokenShown, passed_over};
use crate::front::http::transport::connection::Client;
use crate::front::http::transport::context::RequestContext;
use crate::front::http::transport::query::Query;
use crate::front::http::transport::rejection::Rejection;
use crate::front::listen::channel::Channel;
use crate::model::refusal::{Failure, Refusal};

/// Headers of a request that decide how a reply asks for credentials.
const ASKED_FOR: [HeaderName; 2] = [header::AUTHORIZATION, HeaderName::from_static("x-requested-with")];

/// The parts of a request that the rendering of a denial needs.
pub(in crate::front::http) struct Rendering {
    uri: Uri,
    name: fn(&str) -> Option<&str>,
    intent: Intent,
    client: Arc<Client>,
    /// Those of [`ASKED_FOR`].
    headers: HeaderMap,
}

impl Rendering {
    /// What a request wishes, and where its path names a handle or prefix.
    pub(in crate::front::http) fn of(
        request: &Request,
        name: fn(&str) -> Option<&str>,
    ) -> Result<Self, Rejection> {
        let intent = match *request.method() {
            Method::PUT | Method::DELETE => Intent::Command,
            _ => Intent::Question,
        };
        let client = Arc::clone(&RequestContext::of(request.extensions())?.client);
        let shown = |name| request.headers().get(&name).cloned().map(|value| (name, value));
        let headers = ASKED_FOR.into_iter().filter_map(shown).collect();
        Ok(Self { uri: request.uri().clone(), name, intent, client, headers })
    }

    fn query(&self) -> Query {
        Query::parse(self.uri.query().unwrap_or_default())
    }

    /// The handle or prefix, as the request spelled it.
    pub(in crate::front::http) fn spelled(&self) -> Option<String> {
        let in_path = (self.name)(self.uri.path()).filter(|name| !name.is_empty());
        let in_path = in_path.and_then(|text| percent_decode_str(text).decode_utf8().ok());
        in_path.map(Cow::into_owned).or_else(|| self.query().get("prefix").map(str::to_owned))
    }
}

impl HandleState {
    /// Writes a denial.
    pub(in crate::front::http) fn deny(&self, denied: Denied, rendering: &Rendering) -> Response {
        let Denied { denial, allow } = denied;
        let Rendering { intent, client, headers, .. } = rendering;
        let authenticator = &self.authenticator;
        let schemes = authenticator.schemes(client);
        let denial = explain(denial, headers, client.channel);
        let status = reply::status_of_denial(&denial, *intent, schemes);
        let spelled = rendering.spelled().filter(|spelled| !spelled.is_empty());
        let format = Format::of(&rendering.query());
        let mut response = reply::denied(&denial, status, spelled.as_deref(), &format);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        match &denial {
            Denial::Rejected(rejection) => rejection.add_headers(&mut response),
            Denial::Failed(Failure::Overloaded | Failure::Contended | Failure::Stopping) => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            Denial::Refused(_) | Denial::Failed(_) | Denial::Unanswered(_) | Denial::Here(_) => {}
        }
        if reply::states_challenge(status) {
            let complaint = match &denial {
                Denial::Rejected(rejection) => rejection.complaint(),
                Denial::Refused(_) | Denial::Failed(_) | Denial::Unanswered(_) | Denial::Here(_) => None,
            };
            let objection = Objection { complaint: complaint.as_deref(), token: token_shown(&denial) };
            authenticator.challenge((headers, schemes), objection, response.headers_mut());
        }
        response
    }
}

fn token_shown(denial: &Denial) -> TokenShown {
    match denial {
        Denial::Refused(Refusal::TokenUnknown | Refusal::TokenExpired | Refusal::TokenRevoked) => {
            TokenShown::Refused
        }
        _ => TokenShown::No,
    }
}

/// Where proof is missing because the presented proof was ignored, the reply states that instead.
fn explain(denial: Denial, headers: &HeaderMap, channel: Channel) -> Denial {
    if !reply::asks_for_proof(&denial) {
        return denial;
    }
    passed_over(headers, channel).map_or(denial, Denial::from)
}

/// What a response carries that is not written yet.
pub(in crate::front::http) struct Denied {
    /// The denial.
    pub(in crate::front::http) denial: Denial,
    /// The methods that the path takes, where the router names them.
    allow: Option<HeaderValue>,
}

/// The denial that a response carries.
pub(in crate::front::http) fn take_denial(response: &mut Response) -> Option<Denied> {
    let extensions = response.extensions_mut();
    let rejected = extensions.remove::<Rejection>().map(Denial::from);
    let denial = extensions.remove::<Denial>().or(rejected)?;
    Some(Denied { denial, allow: response.headers_mut().remove(header::ALLOW) })
}

/// Writes the denial of a request that is not fulfilled.
pub(in crate::front::http) fn render(
    api: &HandleState,
    mut response: Response,
    rendering: &Rendering,
) -> Response {
    match take_denial(&mut response) {
        Some(denied) => api.deny(denied, rendering),
        None => response,
    }
}
