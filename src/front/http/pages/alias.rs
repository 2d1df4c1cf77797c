//! Aliases: HS_ALIAS names the identifier that is meant in the place of another (RFC 3651 section 3.2.5).
//!
//! ```text
//!   record ─ a web address? ─▶ it                      10320/loc and URL come before an alias
//!          ├ an alias?       ─▶ ask for that record, up to ALIASES_MAX times
//!          └ neither         ─▶ the record itself; behind aliases, its page
//! ```
//! The record that an alias names is asked for as the visit asked: other nodes too, unless an authoritative answer is wished.

use crate::front::http::handle_json::denial::Denial;
use crate::front::http::handle_json::resolution::{ResolveParameters, ask};
use crate::front::http::handle_json::state::HandleState;
use crate::front::http::transport::deadline::Deadline;
use crate::model::identifier::Identifier;
use crate::model::uri::{LocationChoice, Uri, web_address};
use crate::model::value::ValueType;
use crate::resolver::answer::{Answer, Found};

/// Aliases that are followed one after the other; more are most likely a circle.
const ALIASES_MAX: usize = 8;

/// What is needed to ask for the records that aliases name.
#[derive(Clone, Copy)]
pub(super) struct Following<'f> {
    pub(super) api: &'f HandleState,
    pub(super) parameters: &'f ResolveParameters,
    pub(super) deadline: &'f Deadline,
}

/// Where a visit of a record is redirected.
pub(super) enum Destination {
    /// A web address.
    Address(Uri),
    /// The page of another identifier, which has no alias.
    Identifier(Identifier),
    /// Nowhere else.
    Record,
}

impl Following<'_> {
    /// Where a visit of a record is redirected, by its own values or by its aliases. Aliases that form a circle have no
    /// destination.
    pub(super) async fn follow(self, found: &Found, choice: &LocationChoice) -> Result<Destination, Denial> {
        if let Some(uri) = web_address(&found.values, choice) {
            return Ok(Destination::Address(uri));
        }
        let mut next = alias_of(found);
        for _ in 0..ALIASES_MAX {
            let Some(identifier) = next.take() else { break };
            let Answer::Values(found) =
                ask(self.api, self.parameters, identifier.clone(), self.deadline).await?
            else {
                return Ok(Destination::Identifier(identifier));
            };
            if let Some(uri) = web_address(&found.values, choice) {
                return Ok(Destination::Address(uri));
            }
            next = alias_of(&found);
            if next.is_none() {
                return Ok(Destination::Identifier(identifier));
            }
        }
        Ok(Destination::Record)
    }
}

/// The identifier that a record names as its alias.
fn alias_of(found: &Found) -> Option<Identifier> {
    let alias = found.values.iter().find(|value| value.value_type.is(ValueType::HS_ALIAS))?;
    Identifier::parse(core::str::from_utf8(&alias.data).ok()?.trim()).ok()
}
