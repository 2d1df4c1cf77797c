//! Authority: who a caller is, and what it may see and do.
//!
//! ```text
//!   token ─────────────── authenticate ─┐
//!   identity and proof ── candidates ───┼─▶ Caller ─▶ registry: may it change this?   (decide, check_key)
//!   nothing ────────────────────────────┘         └▶ resolver: what may it see?      (visibility, check_list)
//! ```
//! - A token allows by its scopes; an identity of the Handle protocol is allowed by HS_ADMIN values and the lists that
//!   these name (`administration`, `membership`).
//! - Whatever allows something is read again for each decision: a removed key, list or administrator counts no more at the
//!   next request. The [`Evidence`] of a decision says which versions it rests on, and the registry commits only while these
//!   are unchanged.
//! - Records of other nodes are read through the federation, within a bound of number and time for each decision.
//!
//! It changes nothing, and it knows neither commands nor questions: the registry and the resolver ask it.

pub mod caller;
pub mod credential;
pub mod visibility;

pub(crate) mod administration;
pub(crate) mod evidence;
pub(crate) mod membership;
pub(crate) mod prefix;
mod reading;
pub(crate) mod remote;

use std::sync::Arc;

use crate::model::identity::Identity;
use crate::model::refusal::{Failure, Refusal};
use crate::store::Store;
use crate::store::error::Error;
use crate::telemetry::Chain;

use self::caller::Caller;
use self::remote::RemoteRecords;

pub use self::remote::RemoteOptions;

//----------- Authority ------------------------------------------------------

/// What the authority needs to know.
#[derive(Clone, Default)]
pub struct AuthorityOptions {
    /// Identities that administer this node: they home and revoke prefixes, and list those homed.
    pub administrators: Arc<[Identity]>,
    /// How records of other nodes are read.
    pub remote: RemoteOptions,
}

/// Decides who callers are and what they may do. Clones are the same authority.
#[derive(Clone)]
pub struct Authority {
    store: Store,
    administrators: Arc<[Identity]>,
    remote: RemoteRecords,
}

impl Authority {
    /// An authority over a store.
    pub fn new(store: Store, options: AuthorityOptions) -> Self {
        let AuthorityOptions { administrators, remote } = options;
        Self { store, administrators, remote: RemoteRecords::new(remote) }
    }

    /// Finds the caller by the text of its token.
    pub fn authenticate(&self, token: &str) -> Result<Caller, Refusal> {
        caller::authenticate(&self.store.directory(), token, self.store.now_ms())
    }

    /// Refuses an identity that is not configured to administer this node.
    pub(crate) fn check_node_administrator(&self, identity: &Identity) -> Result<(), Refusal> {
        if administration::administers(&self.administrators, identity, self.store.folding()) {
            return Ok(());
        }
        Err(Refusal::NotAdministrator { identity: identity.clone(), of: "this node".to_owned() })
    }
}

/// What a store error means where something was to be read: nothing was done.
pub(crate) fn unread(error: &Error) -> Failure {
    Failure::Store { detail: Chain(error).to_string() }
}
