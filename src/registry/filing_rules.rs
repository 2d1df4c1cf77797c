//! Decisions about filings: whether a lower node may have a prefix, and the entry that its filing leads to.
//!
//! ```text
//!   an entry of the prefix ───▶ homed here: refused · suspended or revoked by an administrator: refused
//!                               filed by the same peer: not by an older incarnation, not an older position
//!                               filed by another peer: refused while the token of that peer is valid
//!   no entry, but one above ──▶ the same for the part that would be taken out of it, unless the scope of the peer lies
//!                               below that entry: then an administrator has granted this part by the token
//! ```
//! Identifiers that this node holds are never taken, whatever the scope. A peer is its token. Incarnations and positions are
//! compared within one peer only; when an administrator resets a peer, what it filed before is not compared any more, and its
//! incarnation may have begun at a time that this node's clock has not reached. A suspension by an administrator of this node
//! overrules filings of the prefix until it ends; who filed the prefix stays known.
//! One store that files with another token is the same lower node: its incarnation shows it.

use crate::authority::caller::check_token;
use crate::model::identifier::Prefix;
use crate::model::limits::INCARNATION_AHEAD_SECONDS_MAX;
use crate::model::position::{Incarnation, Position};
use crate::model::prefix::{FilingMark, Homing, PrefixEntry, PrefixStatus};
use crate::model::refusal::Refusal;
use crate::model::token::{TokenEntry, TokenId};
use crate::store::directory::Directory;
use crate::store::entry::Operation;

use super::command::Filing;
use super::rules::with_usable_key;

/// The incarnation in the mark of what was filed before its peer was reset; no store has it.
const NONE: Incarnation = Incarnation([0; 16]);

/// The state on which filings are decided.
pub(super) struct FilingState<'a> {
    /// Prefixes and tokens.
    pub(super) directory: &'a Directory,
    /// The token with which the lower node files; none for callers without one.
    pub(super) peer: Option<TokenId>,
    /// Whether this node holds identifiers under the filed prefix, for which it would no longer answer.
    pub(super) holds_identifiers: bool,
    /// Time in milliseconds since 1970.
    pub(super) now_ms: u64,
}

/// The entry that a filing by a lower node leads to. Filing the same position twice has no effect.
pub(super) fn file(
    filing: &Filing,
    state: &FilingState<'_>,
) -> Result<Option<(Operation, PrefixEntry)>, Refusal> {
    let peer = state.peer.ok_or(Refusal::Unauthenticated)?;
    check_not_ahead(
        filing.position.incarnation,
        state.directory.token(peer).map(AsRef::as_ref),
        state.now_ms,
    )?;
    let present = state.directory.get(&filing.prefix).map(AsRef::as_ref);
    match present {
        Some(present) => check_entry(present, filing, peer, state)?,
        None => check_above(filing, peer, state)?,
    }
    let is_outdated = |mark: FilingMark| {
        is_compared(mark, &filing.prefix, peer, state.directory) && mark.position > filing.position
    };
    // The same position may be filed again with another site, so the content is compared below.
    if present.and_then(|present| present.filing).is_some_and(is_outdated) {
        return Ok(None);
    }
    let entry = PrefixEntry {
        prefix: filing.prefix.clone(),
        homing: Homing::Delegated(with_usable_key(&filing.site)?),
        status: filing.status,
        registrant: filing.registrant.clone(),
        filing: Some(FilingMark { peer, position: filing.position, is_overruled: false }),
        version: present.map_or(1, |present| present.version + 1),
        changed_ms: 0,
    };
    // A later incarnation renews the mark, and so does a filing after a reset: an older mark is one that the store has lost.
    let is_same = |present: &PrefixEntry| {
        let incarnation = filing.position.incarnation;
        present.filing.is_some_and(|mark| {
            mark.position.incarnation == incarnation
                && is_compared(mark, &filing.prefix, peer, state.directory)
        }) && present.homing == entry.homing
            && present.status == entry.status
            && present.registrant == entry.registrant
    };
    if present.is_some_and(is_same) {
        return Ok(None);
    }
    let operation = match filing.status {
        PrefixStatus::Active => Operation::PrefixDelegated,
        PrefixStatus::Suspended => Operation::PrefixSuspended,
        PrefixStatus::Revoked => Operation::PrefixRevoked,
    };
    Ok(Some((operation, entry)))
}

/// Refuses an incarnation that began at a time which this node's clock has not reached, unless an administrator has reset the
/// peer: a store that once began under a clock far ahead begins all its later incarnations after that.
pub(super) fn check_not_ahead(
    incarnation: Incarnation,
    peer: Option<&TokenEntry>,
    now_ms: u64,
) -> Result<(), Refusal> {
    let ahead_seconds = incarnation.began_ms().saturating_sub(now_ms) / 1_000;
    let was_reset = peer.is_some_and(|token| token.version > 1);
    if ahead_seconds > INCARNATION_AHEAD_SECONDS_MAX && !was_reset {
        return Err(Refusal::IncarnationAhead { ahead_seconds });
    }
    Ok(())
}

/// Checks a filing against the entry of its prefix.
fn check_entry(
    present: &PrefixEntry,
    filing: &Filing,
    peer: TokenId,
    state: &FilingState<'_>,
) -> Result<(), Refusal> {
    check_own_decision(present)?;
    let Some(mark) = present.filing else {
        return Ok(());
    };
    if mark.peer != peer {
        return check_other_peer(present, mark, filing, state);
    }
    let is_older = mark.position.incarnation > filing.position.incarnation
        && is_compared(mark, &filing.prefix, peer, state.directory);
    if is_older { Err(Refusal::IncarnationSuperseded) } else { Ok(()) }
}

/// Checks a filing of a prefix without an entry against the entry that covers it until now.
fn check_above(filing: &Filing, peer: TokenId, state: &FilingState<'_>) -> Result<(), Refusal> {
    let Some(above) = state.directory.governing(&filing.prefix) else {
        return Ok(());
    };
    if is_granted_below(&above.prefix, &filing.prefix, peer, state.directory) {
        let is_held = above.homing == Homing::Here && state.holds_identifiers;
        let prefix = filing.prefix.clone();
        return if is_held { Err(Refusal::PrefixHomedHere { prefix }) } else { Ok(()) };
    }
    check_own_decision(above)?;
    match above.filing.filter(|mark| mark.peer != peer) {
        Some(mark) => check_other_peer(above, mark, filing, state),
        None => Ok(()),
    }
}

/// Refuses what this node homes and what its administrators have suspended or revoked.
fn check_own_decision(entry: &PrefixEntry) -> Result<(), Refusal> {
    let prefix = entry.prefix.clone();
    let is_own = entry.filing.is_none_or(|mark| mark.is_overruled);
    match (entry.status, &entry.homing) {
        (PrefixStatus::Suspended, _) if is_own => Err(Refusal::PrefixSuspended { prefix }),
        (PrefixStatus::Revoked, _) if is_own => Err(Refusal::PrefixRevoked { prefix }),
        (_, Homing::Here) => Err(Refusal::PrefixHomedHere { prefix }),
        _ => Ok(()),
    }
}

/// Refuses what another lower node has filed, while that node may file it.
fn check_other_peer(
    entry: &PrefixEntry,
    mark: FilingMark,
    filing: &Filing,
    state: &FilingState<'_>,
) -> Result<(), Refusal> {
    let is_same_store = mark.position.incarnation == filing.position.incarnation;
    let other = state.directory.token(mark.peer);
    let may_file = other.is_some_and(|token| {
        check_token(token, state.now_ms).is_ok()
            && token.scopes.iter().any(|scope| scope.may_file(&entry.prefix))
    });
    if may_file && !is_same_store {
        return Err(Refusal::PrefixFiled { prefix: entry.prefix.clone(), peer: mark.peer.to_string() });
    }
    Ok(())
}

/// Whether a scope of the peer covers the prefix and lies below the entry above it.
fn is_granted_below(above: &Prefix, prefix: &Prefix, peer: TokenId, directory: &Directory) -> bool {
    let Some(token) = directory.token(peer) else {
        return false;
    };
    let scopes = token.scopes.iter().flat_map(|scope| scope.peer_prefixes());
    scopes.filter(|scope| scope.covers(prefix)).any(|scope| above.covers(scope) && above != scope)
}

/// The entry as suspended by an administrator of this node.
pub(super) fn overrule(entry: &PrefixEntry, directory: &Directory) -> PrefixEntry {
    match entry.filing {
        Some(mark) if mark.is_overruled => entry.clone(),
        filing => PrefixEntry {
            status: PrefixStatus::Suspended,
            filing: filing
                .map(|mark| FilingMark { is_overruled: true, ..carry(mark, &entry.prefix, directory) }),
            ..entry.clone()
        },
    }
}

/// The entry without the suspension by an administrator of this node.
pub(super) fn apply_again(entry: &PrefixEntry, directory: &Directory) -> PrefixEntry {
    let carried = |mark| FilingMark { is_overruled: false, ..carry(mark, &entry.prefix, directory) };
    PrefixEntry { status: PrefixStatus::Active, filing: entry.filing.map(carried), ..entry.clone() }
}

/// The mark for a later change of its entry. What was filed before its peer was reset is not compared after that change
/// either: it gets the position before all others.
fn carry(mark: FilingMark, prefix: &Prefix, directory: &Directory) -> FilingMark {
    let first = Position { incarnation: NONE, sequence: 0, ..mark.position };
    let position = if is_compared(mark, prefix, mark.peer, directory) { mark.position } else { first };
    FilingMark { position, ..mark }
}

/// Whether a mark of the peer counts: one that was made before the peer was reset does not.
pub(super) fn is_compared(mark: FilingMark, prefix: &Prefix, peer: TokenId, directory: &Directory) -> bool {
    mark.peer == peer && mark.position.incarnation != NONE && directory.is_changed_after(prefix, peer)
}
