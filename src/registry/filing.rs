//! Filings: what an upper node records of the journal of each lower node.
//!
//! A lower node announces itself, then files its prefixes in the order of its journal. Per peer, the upper node stores a
//! bookmark of what was filed; it is durable before it is acknowledged, and moves only forward within one incarnation. An
//! administrator may reset a peer: it files its present state again, whatever incarnation of its store it is.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::authority::caller::Caller;
use crate::authority::unread;
use crate::model::identifier::Prefix;
use crate::model::limits::BATCH_ITEMS_MAX;
use crate::model::position::{Bookmark, Incarnation, Position, Stream};
use crate::model::prefix::{Homing, PrefixEntry, PrefixStatus};
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::token::TokenEntry;

use super::Registry;
use super::command::{Batch, Command, Filing, Item, PrefixCommand};
use super::filing_rules;

impl Registry {
    /// What is confirmed of a peer's journal, in answer to its announcement of this incarnation.
    ///
    /// None if the peer must file its present state first. An incarnation older than one that has filed is refused.
    pub async fn announce(
        &self,
        caller: &Caller,
        incarnation: Incarnation,
    ) -> Result<Option<Position>, Problem> {
        let peer = peer(caller)?;
        filing_rules::check_not_ahead(incarnation, Some(peer), self.store.now_ms())?;
        let known = self.confirmed(peer).await?;
        match known {
            Some(position) if position.incarnation > incarnation => {
                Err(Refusal::IncarnationSuperseded.into())
            }
            Some(position) if position.incarnation == incarnation => Ok(Some(position)),
            _ => Ok(None),
        }
    }

    /// Confirms a peer's journal up to a position; when this returns, it is on disk. A call that began before the peer was
    /// reset confirms nothing.
    pub async fn confirm(&self, caller: &Caller, position: Position) -> Result<(), Problem> {
        let peer = peer(caller)?;
        filing_rules::check_not_ahead(position.incarnation, Some(peer), self.store.now_ms())?;
        if self.store.directory().token(peer.id).is_some_and(|present| peer.version < present.version) {
            return Err(Refusal::PeerReset.into());
        }
        let known = self.confirmed(peer).await?;
        if known.is_some_and(|known| known.incarnation > position.incarnation) {
            return Err(Refusal::IncarnationSuperseded.into());
        }
        if known.is_some_and(|known| known >= position) {
            return Ok(());
        }
        let bookmark: Bookmark = [position].into_iter().collect();
        // A reset in between has no effect on this name, and its bookmark has another.
        let saved = self.upkeep.set_bookmark(&bookmark_name(peer), &bookmark).await;
        Ok(saved.map_err(|error| unread(&error))?)
    }

    /// Ends a resynchronization: what the peer filed before and did not file again is revoked.
    pub async fn settle(
        &self,
        caller: &Caller,
        filed: &BTreeSet<Prefix>,
        position: Position,
    ) -> Result<(), Problem> {
        let peer = peer(caller)?;
        let directory = self.store.directory();
        let filed_by_peer = |entry: &&Arc<PrefixEntry>| {
            entry.filing.is_some_and(|mark| mark.peer == peer.id)
                && entry.status != PrefixStatus::Revoked
                && caller.may_file(&entry.prefix)
        };
        let missing =
            directory.prefixes().filter(filed_by_peer).filter(|entry| !filed.contains(&entry.prefix));
        let revoke = |entry: &Arc<PrefixEntry>| {
            let Homing::Delegated(site) = &entry.homing else {
                return None;
            };
            Some(Command::Prefix(PrefixCommand::File(Filing {
                prefix: entry.prefix.clone(),
                site: site.clone(),
                registrant: entry.registrant.clone(),
                status: PrefixStatus::Revoked,
                position,
            })))
        };
        let commands: Vec<Command> = missing.filter_map(revoke).collect();
        for portion in commands.chunks(BATCH_ITEMS_MAX) {
            let items = (0..).zip(portion).map(|(number, command)| Item { number, command: command.clone() });
            let batch = Batch { request: None, items: items.collect(), deadline: None };
            let outcomes = self.apply(caller, batch).await?;
            // Other refusals mean that the prefix has changed since, which takes precedence.
            if let Some(refusal) = outcomes.into_iter().filter_map(Result::err).find(is_of_peer) {
                return Err(refusal.into());
            }
        }
        self.confirm(caller, position).await
    }

    async fn confirmed(&self, peer: &TokenEntry) -> Result<Option<Position>, Failure> {
        let bookmark = self.store.bookmark(&bookmark_name(peer)).await.map_err(|error| unread(&error))?;
        Ok(bookmark.and_then(|bookmark| bookmark.at(Stream::ONLY)))
    }
}

/// Name of the bookmark of what a peer filed since it was last reset. A reset makes a new version of its token; a call has the
/// version with which it began.
fn bookmark_name(peer: &TokenEntry) -> String {
    match peer.version {
        0 | 1 => format!("peer/{}", peer.id),
        version => format!("peer/{}/{version}", peer.id),
    }
}

/// Whether a filing was refused for its token or its incarnation, and not for its prefix.
fn is_of_peer(refusal: &Refusal) -> bool {
    refusal.is_of_token()
        || matches!(
            refusal,
            Refusal::PermissionDenied { .. }
                | Refusal::IncarnationSuperseded
                | Refusal::IncarnationAhead { .. }
        )
}

fn peer(caller: &Caller) -> Result<&TokenEntry, Refusal> {
    match caller {
        Caller::Token(token) => Ok(token),
        Caller::Anonymous | Caller::Node | Caller::Identity(_) => Err(Refusal::Unauthenticated),
    }
}
