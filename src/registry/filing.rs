//! Filings: what an upper node records of the journal of each lower node.
//!
//! A lower node announces itself, then files its prefixes in the order of its journal. Per peer, the upper node stores a
//! bookmark of what was filed; it is durable before it is acknowledged, and moves only forward within one incarnation. An
//! administrator may reset a peer: it files its present state again, whatever incarnation of its store it is.
//!
//! ```text
//!   I1 ──────●────×  filed up to ×       I2 continues I1: accepted, although it has lost what was filed between ● and ×.
//!            └─▶ I2 ──────▶              That stands here, listed, until I2 files it again or an administrator decides.
//!            └─▶ I3 ──▶                  I3 does not continue I2, which filed last: a fork, refused until an administrator decides
//! ```
//! An incarnation that begins files its present state, which renews the marks of all prefixes that its store has; entries of
//! prefixes are never removed from a store. So a prefix with the mark of an older incarnation is one that the store has lost.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::authority::caller::Caller;
use crate::authority::unread;
use crate::model::identifier::Prefix;
use crate::model::limits::BATCH_ITEMS_MAX;
use crate::model::position::{Bookmark, Incarnation, Position, Stream};
use crate::model::prefix::{FilingMark, Homing, PrefixEntry, PrefixStatus};
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::token::{TokenEntry, TokenId};
use crate::store::directory::Directory;

use super::Registry;
use super::command::{Batch, Command, Filing, Item, PrefixCommand};
use super::filing_rules;

impl Registry {
    /// What is confirmed of a peer's journal, in answer to its announcement of this incarnation, and of all that its store has had.
    /// Releases that do not send these send none.
    ///
    /// None if the peer must file its present state first. An incarnation that is older than the one which filed last, or does not
    /// continue it, is refused.
    pub async fn announce(
        &self,
        caller: &Caller,
        incarnation: Incarnation,
        lineage: &[Incarnation],
    ) -> Result<Option<Position>, Problem> {
        let peer = peer(caller)?;
        filing_rules::check_not_ahead(incarnation, Some(peer), self.store.now_ms())?;
        let confirmed = self.confirmed(peer).await?;
        // After a restore of this store the bookmark may be older than the marks.
        let marked = newest_marks(&self.store.directory(), &HashSet::from([peer.id])).remove(&peer.id);
        if confirmed.map(|position| position.incarnation).max(marked) > Some(incarnation) {
            return Err(Refusal::IncarnationSuperseded.into());
        }
        // One that has only begun to file its present state need not be continued.
        let filed = confirmed.filter(|position| position.is_entry()).map(|position| position.incarnation);
        if let Some(filed) = filed.max(marked)
            && !lineage.is_empty()
            && !lineage.contains(&filed)
        {
            tracing::warn!(peer = %peer.id, label = peer.label, %incarnation, %filed,
                "a lower node was refused: its store does not continue the one that filed last");
            return Err(Refusal::IncarnationForked { filed }.into());
        }
        Ok(confirmed.filter(|position| position.incarnation == incarnation))
    }

    /// Of which of these prefixes the lower nodes have lost the filing. Only administrators see it.
    pub async fn lost_filings(
        &self,
        caller: &Caller,
        entries: &[PrefixEntry],
    ) -> Result<LostFilings, Failure> {
        let directory = self.store.directory();
        if !caller.is_admin() {
            return Ok(LostFilings::default());
        }
        let peers: HashSet<TokenId> = entries.iter().filter_map(|entry| Some(entry.filing?.peer)).collect();
        let mut newest = newest_marks(&directory, &peers);
        for peer in peers.into_iter().filter_map(|id| directory.token(id)) {
            let Some(confirmed) = self.confirmed(peer).await? else { continue };
            if confirmed.is_entry() {
                raise(&mut newest, peer.id, confirmed.incarnation);
            } else {
                // It files its present state: what it has lost is known at the end.
                newest.remove(&peer.id);
            }
        }
        Ok(LostFilings { directory, newest })
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

    /// Ends a resynchronization. What the peer filed before and did not file again stands, if its store is known to continue the one that
    /// filed: then it was lost there. Otherwise, and if the peer was reset since, it is revoked.
    pub async fn settle(
        &self,
        caller: &Caller,
        filed: &BTreeSet<Prefix>,
        position: Position,
        continues: bool,
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
        let is_lost = |entry: &&Arc<PrefixEntry>| {
            continues && entry.filing.is_some_and(|mark| is_standing(mark, &entry.prefix, &directory))
        };
        let (lost, missing): (Vec<_>, Vec<_>) = missing.partition(is_lost);
        if let Some(first) = lost.first() {
            tracing::warn!(peer = %peer.id, label = peer.label, prefixes = lost.len(), first = %first.prefix,
                "a lower node has lost prefixes that it had filed; they stand until it files them again or an administrator decides: \
                 see `idnode prefix list --lost`");
        }
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
        let commands: Vec<Command> = missing.into_iter().filter_map(revoke).collect();
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

    /// The last position that was confirmed to a peer.
    async fn confirmed(&self, peer: &TokenEntry) -> Result<Option<Position>, Failure> {
        let bookmark = self.store.bookmark(&bookmark_name(peer)).await.map_err(|error| unread(&error))?;
        Ok(bookmark.and_then(|bookmark| bookmark.at(Stream::ONLY)))
    }
}

/// Name of the bookmark of what a peer filed since it was last reset. A reset makes a new version of its token; a call has the
/// version with which it began.
fn bookmark_name(peer: &TokenEntry) -> String {
    // A revocation is a version too, after which nothing is filed.
    match peer.version - u64::from(peer.revoked_ms.is_some()) {
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

//----------- LostFilings ----------------------------------------------------

/// Which filings the stores of lower nodes have lost.
#[derive(Clone, Default)]
pub struct LostFilings {
    directory: Arc<Directory>,
    /// Of each lower node, the newest incarnation that has filed its present state.
    newest: HashMap<TokenId, Incarnation>,
}

impl LostFilings {
    /// Whether an entry results from a change that the store of the lower node has lost.
    pub fn contains(&self, entry: &PrefixEntry) -> bool {
        let mark = entry.filing.filter(|mark| !mark.is_overruled && entry.status != PrefixStatus::Revoked);
        mark.is_some_and(|mark| {
            let newest = self.newest.get(&mark.peer);
            newest.is_some_and(|newest| mark.position.incarnation < *newest)
                && is_standing(mark, &entry.prefix, &self.directory)
        })
    }
}

/// The newest incarnation of each of these peers in the marks of what it filed since it was last reset.
fn newest_marks(directory: &Directory, peers: &HashSet<TokenId>) -> HashMap<TokenId, Incarnation> {
    let mut newest = HashMap::new();
    for entry in directory.prefixes() {
        let mark = entry.filing.filter(|mark| peers.contains(&mark.peer));
        if let Some(mark) = mark.filter(|mark| is_standing(*mark, &entry.prefix, directory)) {
            raise(&mut newest, mark.peer, mark.position.incarnation);
        }
    }
    newest
}

/// Raises the newest incarnation of a peer to this one, unless it is newer.
fn raise(newest: &mut HashMap<TokenId, Incarnation>, peer: TokenId, to: Incarnation) {
    let known = newest.entry(peer).or_insert(to);
    *known = to.max(*known);
}

/// Whether a mark was made since its peer was last reset. A revoked token is not reset any more.
fn is_standing(mark: FilingMark, prefix: &Prefix, directory: &Directory) -> bool {
    filing_rules::is_compared(mark, prefix, mark.peer, directory)
        || directory.token(mark.peer).is_some_and(|token| token.revoked_ms.is_some())
}

fn peer(caller: &Caller) -> Result<&TokenEntry, Refusal> {
    match caller {
        Caller::Token(token) => Ok(token),
        Caller::Anonymous | Caller::Node | Caller::Identity(_) => Err(Refusal::Unauthenticated),
    }
}
