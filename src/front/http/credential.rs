//! Who calls, by what the request shows.
//!
//! A token of the node comes as `Authorization: Bearer idn_...`, over TLS, from this machine, or where the configuration
//! takes it over plain text. Over plain text everything else is passed over, as if it were not there.

use axum::http::{HeaderMap, HeaderValue, header};

use super::Shared;
use super::asked::Asked;
use super::counters::count;
use super::denial::Denial;
use crate::registry::caller::Caller;

impl Shared {
    /// Finds out who calls.
    pub(super) async fn admit(&self, asked: &Asked) -> Result<Caller, Denial> {
        self.caller(asked).await.inspect_err(|_| count(&self.counters.credentials_refused))
    }

    async fn caller(&self, asked: &Asked) -> Result<Caller, Denial> {
        let Some(shown) = asked.header(header::AUTHORIZATION) else {
            return Ok(Caller::Anonymous);
        };
        let (scheme, credential) = shown.trim().split_once(' ').unwrap_or((shown, ""));
        if scheme.eq_ignore_ascii_case("Bearer") {
            return self.token_holder(asked, credential.trim());
        }
        Ok(Caller::Anonymous)
    }

    fn token_holder(&self, asked: &Asked, token: &str) -> Result<Caller, Denial> {
        if asked.peer.is_overheard() && !self.allow_tokens_in_plain_text {
            let complaint = "a token was shown in plain text; use TLS, and have this token revoked if others could read it";
            return Err(Denial::unproven(Some(complaint.to_owned())));
        }
        Ok(self.registry.authenticate(token)?)
    }

    /// Tells how to prove who one is.
    pub(super) fn challenge(&self, asked: &Asked, _complaint: Option<&str>, headers: &mut HeaderMap) {
        // A script asks its user itself; a browser would ask in its own window.
        let is_script = asked.headers.get("x-requested-with").is_some_and(|by| by == "XMLHttpRequest");
        if !is_script {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"handle\""));
        }
        headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"idnode\""));
    }
}
