//! The renderer of this face: writes denials as JSON, in the form that the request wishes, with a challenge where proof is
//! needed.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::response::Response;
use percent_encoding::percent_decode_str;

use super::denial::Denial;
use super::reply::{self, Format};
use super::state::HandleState;
use crate::front::http::transport::authentication::{Intent, Objection, TokenShown, passed_over};
use crate::front::http::transport::connection::Client;
use crate::front::http::transport::extract::client_of;
use crate::front::http::transport::query::Query;
use crate::front::http::transport::rejection::Rejection;
use crate::front::listen::channel::Channel;
use crate::model::refusal::{Failure, Refusal};

/// Paths whose variable part is spelled in replies.
const SPELLED: [&str; 2] = ["handle", "prefix"];

/// Headers of a request that decide how a reply asks for credentials.
const ASKED_FOR: [HeaderName; 2] = [header::AUTHORIZATION, HeaderName::from_static("x-requested-with")];

/// The parts of a request that the rendering of a denial needs.
pub(in crate::front::http) struct Rendering {
    uri: Uri,
    in_path: Option<RawPathParams>,
    intent: Intent,
    client: Arc<Client>,
    /// Those of [`ASKED_FOR`].
    headers: HeaderMap,
}

impl Rendering {
    /// What a request wishes.
    pub(in crate::front::http) async fn of(request: Request) -> Result<(Self, Request), Rejection> {
        let (mut parts, body) = request.into_parts();
        let intent = match parts.method {
            Method::PUT | Method::DELETE => Intent::Command,
            _ => Intent::Question,
        };
        let client = Arc::clone(client_of(&parts)?);
        let in_path = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
        let shown = |name| parts.headers.get(&name).cloned().map(|value| (name, value));
        let headers = ASKED_FOR.into_iter().filter_map(shown).collect();
        let rendering = Self { uri: parts.uri.clone(), in_path, intent, client, headers };
        Ok((rendering, Request::from_parts(parts, body)))
    }

    fn query(&self) -> Query {
        Query::parse(self.uri.query().unwrap_or_default())
    }

    /// The handle or prefix, as the request spelled it.
    pub(in crate::front::http) fn spelled(&self) -> Option<String> {
        let in_path = self.in_path.iter().flatten().find(|(name, _)| SPELLED.contains(name));
        let in_path = in_path.and_then(|(_, text)| percent_decode_str(text).decode_utf8().ok());
        in_path.map(Cow::into_owned).or_else(|| self.query().get("prefix").map(str::to_owned))
    }
}

impl HandleState {
    /// Writes a denial.
    pub(in crate::front::http) fn deny(&self, denial: Denial, rendering: &Rendering) -> Response {
        let Rendering { intent, client, headers, .. } = rendering;
        let authenticator = &self.authenticator;
        let schemes = authenticator.schemes(client);
        let denial = explain(denial, headers, client.channel);
        let status = reply::status_of_denial(&denial, *intent, schemes);
        let spelled = rendering.spelled().filter(|spelled| !spelled.is_empty());
        let format = Format::of(&rendering.query());
        let mut response = reply::denied(&denial, status, spelled.as_deref(), &format);
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

/// The denial that a response carries.
pub(in crate::front::http) fn take_denial(response: &mut Response) -> Option<Denial> {
    let extensions = response.extensions_mut();
    let rejected = extensions.remove::<Rejection>().map(Denial::from);
    extensions.remove::<Denial>().or(rejected)
}

/// Writes the denial of a request that is not fulfilled.
pub(in crate::front::http) fn render(
    api: &HandleState,
    mut response: Response,
    rendering: &Rendering,
) -> Response {
    match take_denial(&mut response) {
        Some(denial) => api.deny(denial, rendering),
        None => response,
    }
}
