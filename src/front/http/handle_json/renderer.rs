//! The renderer of this face: writes denials as JSON, in the form that the request wishes, with a challenge where proof is
//! needed.

use axum::extract::{FromRequestParts, RawPathParams, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
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

/// The parts of a request that the rendering of a denial needs.
pub(in crate::front::http) struct Rendering {
    format: Format,
    /// The handle or prefix, as the request spelled it.
    spelled: Option<String>,
    intent: Intent,
    client: Client,
    headers: HeaderMap,
}

impl Rendering {
    /// What a request wishes.
    pub(in crate::front::http) async fn of(request: Request) -> Result<(Self, Request), Rejection> {
        let (mut parts, body) = request.into_parts();
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        let intent = match parts.method {
            Method::PUT | Method::DELETE => Intent::Command,
            _ => Intent::Question,
        };
        let client = client_of(&parts)?;
        let in_path = RawPathParams::from_request_parts(&mut parts, &()).await.ok();
        let in_path = in_path.iter().flatten().find(|(name, _)| SPELLED.contains(name));
        let in_path = in_path.and_then(|(_, text)| percent_decode_str(text).decode_utf8().ok());
        let spelled = in_path.map(|text| text.into_owned());
        let spelled = spelled.or_else(|| query.get("prefix").map(str::to_owned));
        let headers = parts.headers.clone();
        let rendering = Self { format: Format::of(&query), spelled, intent, client, headers };
        Ok((rendering, Request::from_parts(parts, body)))
    }

    /// The handle or prefix, as the request spelled it.
    pub(in crate::front::http) fn spelled(&self) -> Option<&str> {
        self.spelled.as_deref()
    }
}

impl HandleState {
    /// Writes a denial.
    pub(in crate::front::http) fn deny(&self, denial: Denial, rendering: &Rendering) -> Response {
        let Rendering { format, spelled, intent, client, headers } = rendering;
        let authenticator = &self.transport.authenticator;
        let schemes = authenticator.schemes(client);
        let denial = explain(denial, headers, client.channel);
        let status = reply::status_of_denial(&denial, *intent, schemes);
        let spelled = spelled.as_deref().filter(|spelled| !spelled.is_empty());
        let mut response = reply::denied(&denial, status, spelled, format);
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
pub(in crate::front::http) async fn render(
    State(api): State<HandleState>,
    request: Request,
    next: Next,
) -> Response {
    let (rendering, request) = match Rendering::of(request).await {
        Ok(read) => read,
        Err(rejection) => return rejection.into_response(),
    };
    let mut response = next.run(request).await;
    match take_denial(&mut response) {
        Some(denial) => api.deny(denial, &rendering),
        None => response,
    }
}
