//! The registry: decides and records. Nothing changes except through here.
//!
//! ```text
//!   Command + Caller ─ authorize ─▶ Authorized ─ queue ─▶ committer ─ decide ─▶ store ─▶ Receipt
//! ```
//! - A front end passes a [`Batch`] of commands; each item gets a receipt, a refusal or a failure, in the order given.
//! - A receipt means that the change is on disk, and visible to the next question at every front end of this node.
//! - The scopes of a token state what it may do; HS_ADMIN values state what an identity of the Handle protocol may do.
//! - A [`Failure`] is a fault of the node. If it leaves the outcome unknown, it says so, and repeating the request id
//!   returns the outcome.
//!
//! It knows no packet, no status number and no protobuf type.

pub mod command;
pub mod receipt;
pub mod warnings;

mod authorize;
mod identity_authorization;

mod apply;
mod committer;
mod digest;
mod filing_rules;
mod group;
mod rules;

pub mod filing;
pub mod store_status;

pub mod counters;

#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;

use crate::authority::Authority;
use crate::authority::caller::{Caller, make_token};
use crate::model::identifier::Prefix;
use crate::model::limits::{
    COMMANDS_WAITING_MAX, REQUEST_WINDOW_DAYS_DEFAULT, SCOPE_PREFIXES_MAX, SCOPES_MAX, TEXT_BYTES_MAX,
};
use crate::model::prefix::{PrefixEntry, PrefixNote};
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::token::{Scope, TokenEntry, TokenId};
use crate::store::Store;
use crate::store::journal::retention::Retention;
use crate::store::writer::{JournalWriter, UpkeepWriter};

pub use self::apply::failure_of;

use self::apply::only;
use self::command::{Batch, Command, Item, Single, TokenCommand};
use self::committer::{Committer, Submission};
use self::counters::RegistryCounters;
use self::receipt::Receipt;

//----------- Registry -------------------------------------------------------

/// Options of the registry.
#[derive(Clone)]
pub struct RegistryOptions {
    /// Time for which request ids are remembered.
    pub request_window: Duration,
    /// A further condition on prefixes that are homed or delegated here: the bound of DNS on names.
    pub prefix_rule: PrefixRule,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        let request_window = Duration::from_secs(u64::from(REQUEST_WINDOW_DAYS_DEFAULT) * 86_400);
        Self { request_window, prefix_rule: Arc::new(|_| Ok(())) }
    }
}

/// Refuses a prefix with a sentence that gives the reason.
pub type PrefixRule = Arc<dyn Fn(&Prefix) -> Result<(), String> + Send + Sync>;

/// Decides and records.
pub struct Registry {
    store: Store,
    upkeep: UpkeepWriter,
    authority: Authority,
    options: RegistryOptions,
    queue: mpsc::Sender<Submission>,
    /// Slots of the queue; those of a command are taken until its outcome is sent.
    slots: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    counters: Arc<RegistryCounters>,
}

/// A token to create.
#[derive(Clone, Debug)]
pub struct TokenDraft {
    /// Label of the token, for people.
    pub label: String,
    /// Scopes of the token.
    pub scopes: Vec<Scope>,
    /// Time of expiry in milliseconds since 1970; none if it does not expire.
    pub expires_ms: Option<u64>,
}

impl Registry {
    /// Starts the committer. The task returns the writer after the registry was stopped.
    pub fn start(
        store: Store,
        writer: JournalWriter,
        authority: Authority,
        options: RegistryOptions,
    ) -> (Self, JoinHandle<JournalWriter>) {
        let (queue, waiting) = mpsc::channel(COMMANDS_WAITING_MAX);
        let stop = watch::Sender::new(false);
        let counters = Arc::new(RegistryCounters::default());
        let upkeep = writer.upkeep();
        let (stopped, counted) = (stop.subscribe(), Arc::clone(&counters));
        let committer = Committer::new(store.clone(), writer, waiting, stopped, counted);
        let slots = Arc::new(Semaphore::new(COMMANDS_WAITING_MAX));
        let running = tokio::spawn(committer.run());
        (Self { store, upkeep, authority, options, queue, slots, stop, counters }, running)
    }

    /// Accepts no more commands; what is queued is still committed.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// What writes the bookmarks of a follower of this node.
    pub fn upkeep(&self) -> UpkeepWriter {
        self.upkeep.clone()
    }

    /// Slots of the queue that waiting commands take now.
    pub fn slots_taken(&self) -> usize {
        COMMANDS_WAITING_MAX.saturating_sub(self.slots.available_permits())
    }

    /// Counts since the start.
    pub fn counters(&self) -> Arc<RegistryCounters> {
        Arc::clone(&self.counters)
    }
}

//----------- Callers and tokens ---------------------------------------------

impl Registry {
    /// Creates a token. Its text is returned once and is not stored; repeating creates another token.
    pub async fn create_token(
        &self,
        caller: &Caller,
        draft: TokenDraft,
    ) -> Result<(String, TokenEntry), Problem> {
        let (text, entry) = self.make_token(draft)?;
        self.apply_one(caller, Command::Token(TokenCommand::Create(entry.clone()))).await?;
        Ok((text, entry))
    }

    /// Makes a token without storing it: at the first start its text has to be on disk before it is valid.
    pub fn make_token(&self, draft: TokenDraft) -> Result<(String, TokenEntry), Refusal> {
        check_draft(&draft, self.store.now_ms())?;
        let mut random = [0; 40];
        self.store.fill_random(&mut random);
        let (mut id, mut secret) = ([0; 8], [0; 32]);
        let (id_bytes, secret_bytes) = random.split_at(8);
        id.copy_from_slice(id_bytes);
        secret.copy_from_slice(secret_bytes);
        let id = TokenId(id);
        let (text, secret_hash) = make_token(id, &secret);
        let entry = TokenEntry {
            id,
            secret_hash,
            label: draft.label,
            scopes: draft.scopes,
            created_ms: self.store.now_ms(),
            expires_ms: draft.expires_ms,
            revoked_ms: None,
            version: 1,
        };
        Ok((text, entry))
    }

    /// Every token; for administrators.
    pub fn tokens(&self, caller: &Caller) -> Result<Vec<TokenEntry>, Refusal> {
        if !caller.is_admin() {
            return Err(Refusal::PermissionDenied { needed: "scope admin".to_owned() });
        }
        Ok(self.store.directory().tokens().map(|token| (**token).clone()).collect())
    }

    /// Every prefix entry, in order.
    pub fn prefixes(&self) -> Vec<PrefixEntry> {
        self.store.directory().prefixes().map(|entry| (**entry).clone()).collect()
    }

    /// The entry of exactly this prefix.
    pub fn prefix(&self, prefix: &Prefix) -> Option<PrefixEntry> {
        self.store.directory().get(prefix).map(|entry| (**entry).clone())
    }

    /// The note on exactly this prefix, for administrators; none for other callers, and where there is none.
    pub fn note(&self, caller: &Caller, prefix: &Prefix) -> Option<Arc<PrefixNote>> {
        let note = self.store.directory().note(prefix).cloned();
        note.filter(|note| caller.is_admin() && !note.text.as_str().is_empty())
    }

    /// Applies one command: when it returns a receipt, the change is on disk.
    pub async fn apply_one(&self, caller: &Caller, single: impl Into<Single>) -> Result<Receipt, Problem> {
        let Single { request, command, deadline } = single.into();
        let batch = Batch { request, items: vec![Item { number: 0, command }], deadline };
        only(self.apply_items(caller, batch).await)
    }
}

fn check_draft(draft: &TokenDraft, now_ms: u64) -> Result<(), Refusal> {
    let invalid = |reason: String| Err(Refusal::CommandInvalid { reason });
    if let Some(past_ms) = draft.expires_ms.and_then(|expires_ms| now_ms.checked_sub(expires_ms)) {
        return invalid(format!(
            "token would have expired {} s ago by the clock of this node; give a time to come",
            past_ms / 1_000
        ));
    }
    if draft.label.trim().is_empty() || draft.label.len() > TEXT_BYTES_MAX {
        return invalid(format!(
            "token label has {} bytes; 1 to {TEXT_BYTES_MAX} are allowed",
            draft.label.len()
        ));
    }
    if draft.scopes.is_empty() || draft.scopes.len() > SCOPES_MAX {
        return invalid(format!("token has {} scopes; 1 to {SCOPES_MAX} are allowed", draft.scopes.len()));
    }
    let named = |scope: &Scope| match scope {
        Scope::Admin => 1,
        Scope::Registrar(prefixes) | Scope::Reader(prefixes) | Scope::Peer(prefixes) => prefixes.len(),
    };
    match draft.scopes.iter().map(named).find(|count| *count == 0 || *count > SCOPE_PREFIXES_MAX) {
        Some(count) => {
            invalid(format!("a scope names {count} prefixes; 1 to {SCOPE_PREFIXES_MAX} are allowed"))
        }
        None => Ok(()),
    }
}

//----------- Upkeep ---------------------------------------------------------

impl Registry {
    /// Forgets expired request ids and prunes the journal; to be called about every hour, with a time that no jump of the clock
    /// has changed, in milliseconds since 1970.
    pub async fn keep_up(&self, trusted_ms: u64, retention: Option<Retention>) -> Result<(), Failure> {
        let failed = |error: crate::store::error::Error| Failure::Store { detail: error.to_string() };
        // The margin of an hour ensures that no id is forgotten while its repetition is still accepted.
        let window_ms = u64::try_from(self.options.request_window.as_millis()).unwrap_or(u64::MAX);
        let expired_ms = trusted_ms.saturating_sub(window_ms).saturating_sub(3_600_000);
        self.upkeep.forget_requests(expired_ms).await.map_err(failed)?;
        if let Some(retention) = retention {
            self.upkeep.prune(retention).await.map_err(failed)?;
        }
        Ok(())
    }
}
