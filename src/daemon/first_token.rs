//! The admin token of the first start, and of the first start after a restore.
//!
//! ```text
//!   start ──store accepts changes──▶ token written to its file, then stored
//!      └────paused, for lack of space────▶ waits ──resumed──▶ the same
//! ```

use std::sync::Arc;

use super::directory::AdminTokenFile;
use super::error::DaemonError;
use crate::authority::Authority;
use crate::authority::caller::Caller;
use crate::model::token::Scope;
use crate::registry::command::{Command, TokenCommand};
use crate::registry::{Registry, TokenDraft};
use crate::store::Store;
use crate::store::copy::restore::RESTORED;
use crate::store::entry::Change;
use crate::telemetry::Chain;

/// Label of the token, in the list of tokens.
pub(super) const LABEL: &str = "first start";

/// What is needed to create the first admin token.
pub(super) struct FirstToken {
    pub(super) store: Store,
    pub(super) authority: Authority,
    pub(super) registry: Arc<Registry>,
    pub(super) file: AdminTokenFile,
}

impl FirstToken {
    /// Creates the admin token when the store has no tokens. The file is written first: a crash in between leaves a file that the
    /// next start overwrites, never a stored token whose text is lost.
    ///
    /// The first start after a restore makes one too, unless the file of the old one was put back: a backup holds
    /// tokens as hashes only.
    pub(super) async fn ensure(&self) -> Result<(), DaemonError> {
        if self.store.read_only_reason().is_some() {
            return Ok(());
        }
        if self.store.directory().tokens().next().is_some() {
            let is_valid = self.file.load().is_some_and(|token| self.authority.authenticate(&token).is_ok());
            if is_valid || !self.was_just_restored().await? {
                return Ok(());
            }
        }
        let draft = TokenDraft { label: LABEL.into(), scopes: vec![Scope::Admin], expires_ms: None };
        let failed =
            |error: &dyn core::error::Error| DaemonError::FirstToken { reason: Chain(error).to_string() };
        let (text, entry) = self.registry.make_token(draft).map_err(|refusal| failed(&refusal))?;
        self.file.save(&text)?;
        let command = Command::Token(TokenCommand::Create(entry));
        self.registry.apply_one(&Caller::Node, command).await.map_err(|problem| failed(&problem))?;
        tracing::info!(file = %self.file.path().display(), "admin token of the first start written");
        Ok(())
    }

    /// Creates the token as soon as a store that is paused accepts changes.
    pub(super) async fn ensure_when_resumed(self) {
        loop {
            self.store.resumed().await;
            match self.ensure().await {
                // It may have been paused again in between.
                Ok(()) | Err(_) if self.store.pause_reason().is_some() => {}
                Ok(()) => return,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "the admin token of the first start is not written; the next \
                        start tries again");
                    return;
                }
            }
        }
    }

    /// Whether nothing was changed since a restore.
    async fn was_just_restored(&self) -> Result<bool, DaemonError> {
        let last = self.store.header(self.store.head()).await.map_err(DaemonError::Store)?;
        let last = self.store.with_bodies(last.into_iter().collect()).await.map_err(DaemonError::Store)?;
        let change = last.into_iter().next().and_then(|entry| entry.body).map(|body| body.change);
        Ok(matches!(change, Some(Change::Incarnation(begun)) if begun.reason == RESTORED))
    }
}
