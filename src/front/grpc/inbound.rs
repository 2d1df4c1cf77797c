//! Filings of lower nodes: which node has announced itself, the incarnation of its store, and its confirmed position.
//!
//! A filing becomes a command like any other, and the registry decides whether the peer's token covers it. This file only
//! enforces the order of messages and remembers the site that a peer announced:
//!
//! ```text
//!   announce ──▶ known ──▶ begin ──▶ filings ──▶ end ──▶ filings and progress, confirmed group by group
//!                  └─────────── bookmark fits ──────────────▲
//! ```
//!
//! A position is confirmed after everything up to it is on disk; after a crash in between, the same is filed again,
//! without effect. A resynchronization begins by confirming sequence 0 of the new incarnation, which no entry has: until
//! its end a peer that announces itself has to begin again. Older incarnations are refused from then on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tonic::Status;

use super::call::Call;
use super::reply::{self, FrontRefusal};
use super::request;
use crate::authority::caller::Caller;
use crate::model::identifier::Prefix;
use crate::model::position::{Incarnation, Position, Stream};
use crate::model::prefix::{PrefixStatus, Registrant};
use crate::model::refusal::Refusal;
use crate::model::site::Site;
use crate::model::token::{Scope, TokenId};
use crate::registry::Registry;
use crate::registry::command::{Batch, Command, Filing, Item, PrefixCommand};

//----------- Inbound --------------------------------------------------------

/// The lower nodes that file here.
pub(super) struct Inbound {
    registry: Arc<Registry>,
    announced: Mutex<HashMap<Peer, Announcement>>,
}

/// A lower node since it was last reset: a reset makes a new version of its token, and a call has the version with which it
/// began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Peer {
    token: TokenId,
    version: u64,
}

/// The announcement of a lower node.
#[derive(Clone, Debug)]
pub(super) struct Announcement {
    /// Site at which the lower node answers.
    pub(super) site: Site,
    /// Incarnation of the lower node's store.
    pub(super) incarnation: Incarnation,
    /// Whether the lower node says which incarnations its store has had, so that this one is known to continue the last.
    pub(super) has_lineage: bool,
}

impl Inbound {
    /// Without any peer.
    pub(super) fn new(registry: Arc<Registry>) -> Self {
        Self { registry, announced: Mutex::default() }
    }

    /// Records the site of a lower node, whose store has had these incarnations. Returns its confirmed position in the present one; none
    /// if it has to file its present state first.
    pub(super) async fn announce(
        &self,
        call: &Call,
        announcement: Announcement,
        lineage: &[Incarnation],
    ) -> Result<Option<Position>, Status> {
        let peer = peer(&call.caller)?;
        if self.announced(peer).is_some_and(|known| announcement.incarnation < known.incarnation) {
            return Err(reply::refused(&Refusal::IncarnationSuperseded, None));
        }
        let confirmed = self.registry.announce(&call.caller, announcement.incarnation, lineage);
        let confirmed = call.ask(confirmed).await?.map_err(|problem| reply::problem(&problem))?;
        self.announcements().insert(peer, announcement);
        Ok(confirmed.filter(|place| place.is_entry()))
    }

    /// Begins a stream of filings of a lower node that has announced itself.
    pub(super) fn begin(self: &Arc<Self>, call: Call) -> Result<FilingStream, Status> {
        let peer = peer(&call.caller)?;
        let Some(announcement) = self.announced(peer) else {
            return Err(reply::refused_here(&FrontRefusal::NotAnnounced));
        };
        Ok(FilingStream { inbound: Arc::clone(self), call, peer, announcement, present_state: None })
    }

    /// Forgets the announcement of a peer that was reset. Its open streams end: it has to announce itself again.
    pub(super) fn forget(&self, peer: TokenId) {
        self.announcements().retain(|known, _| known.token != peer);
    }

    fn announced(&self, peer: Peer) -> Option<Announcement> {
        self.announcements().get(&peer).cloned()
    }

    fn announcements(&self) -> std::sync::MutexGuard<'_, HashMap<Peer, Announcement>> {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The peer that a caller's token identifies: a token with a peer scope.
fn peer(caller: &Caller) -> Result<Peer, Status> {
    match caller {
        Caller::Token(token) if token.scopes.iter().any(|scope| matches!(scope, Scope::Peer(_))) => {
            Ok(Peer { token: token.id, version: token.version })
        }
        Caller::Anonymous => Err(reply::refused(&Refusal::Unauthenticated, None)),
        Caller::Node | Caller::Token(_) | Caller::Identity(_) => Err(not_a_peer()),
    }
}

/// The prefixes that a caller may file.
pub(super) fn scope(caller: &Caller) -> impl Iterator<Item = &Prefix> {
    let scopes = match caller {
        Caller::Token(token) => token.scopes.as_slice(),
        Caller::Node | Caller::Anonymous | Caller::Identity(_) => &[],
    };
    let prefixes = scopes.iter().filter_map(|scope| match scope {
        Scope::Peer(prefixes) => Some(prefixes),
        Scope::Admin | Scope::Registrar(_) | Scope::Reader(_) => None,
    });
    prefixes.flatten()
}

fn not_a_peer() -> Status {
    reply::refused(&Refusal::PermissionDenied { needed: "scope peer".to_owned() }, None)
}

//----------- FilingStream ---------------------------------------------------

/// The filings of one lower node over one stream.
pub(super) struct FilingStream {
    inbound: Arc<Inbound>,
    call: Call,
    peer: Peer,
    announcement: Announcement,
    /// The prefixes filed since a resynchronization began; none outside of one.
    present_state: Option<BTreeSet<Prefix>>,
}

/// One message of a lower node.
#[derive(Clone, Debug)]
pub(super) enum Message {
    /// The present state follows.
    Begin {
        /// The incarnation of the store.
        incarnation: Incarnation,
    },
    /// The present state of one prefix.
    Filing(Draft),
    /// The present state is complete.
    End {
        /// Position of the lower node's journal at which the state was read.
        as_of: Position,
    },
    /// Nothing to file up to a position.
    Progress {
        /// The position.
        position: Position,
    },
}

/// A filing, without the site, which the peer has announced.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The prefix.
    pub(super) prefix: Prefix,
    /// The registrant.
    pub(super) registrant: Option<Registrant>,
    /// The status of the prefix.
    pub(super) status: PrefixStatus,
    /// The position of the change in the lower node's journal.
    pub(super) position: Position,
}

/// The outcome of a group of messages.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The confirmed position of the lower node; none during a resynchronization.
    pub(super) position: Option<Position>,
    /// Filings that were refused.
    pub(super) refused: Vec<(Prefix, Position, Refusal)>,
}

impl FilingStream {
    /// The call by which the lower node files.
    pub(super) fn call(&self) -> &Call {
        &self.call
    }

    /// Applies a group of messages in order. When it returns, everything that it confirms is on disk.
    pub(super) async fn take(&mut self, group: Vec<Message>) -> Result<Taken, Status> {
        let mut taken = Taken::default();
        let mut drafts = Vec::new();
        for message in group {
            if let Message::Filing(draft) = message {
                self.check_incarnation(draft.position.incarnation)?;
                drafts.push(draft);
                continue;
            }
            self.file(core::mem::take(&mut drafts), &mut taken).await?;
            match message {
                Message::Begin { incarnation } => self.begin_present_state(incarnation).await?,
                Message::End { as_of } => self.end_present_state(as_of, &mut taken).await?,
                Message::Progress { position } => self.confirm(position, &mut taken).await?,
                Message::Filing(_) => {}
            }
        }
        self.file(drafts, &mut taken).await?;
        Ok(taken)
    }

    async fn begin_present_state(&mut self, incarnation: Incarnation) -> Result<(), Status> {
        self.check_incarnation(incarnation)?;
        self.present_state = Some(BTreeSet::new());
        let nowhere = Position { incarnation, stream: Stream::ONLY, sequence: 0 };
        self.call.change(self.inbound.registry.confirm(&self.call.caller, nowhere)).await
    }

    /// Settles what this peer filed before and has not filed again, then confirms the position.
    async fn end_present_state(&mut self, as_of: Position, taken: &mut Taken) -> Result<(), Status> {
        self.check_incarnation(as_of.incarnation)?;
        let Some(present) = self.present_state.take() else {
            let refusal = request::invalid("the end of a resynchronization that was not begun");
            return Err(reply::refused(&refusal, None));
        };
        let continues = self.announcement.has_lineage;
        let settled = self.inbound.registry.settle(&self.call.caller, &present, as_of, continues);
        self.call.change(settled).await?;
        taken.position = Some(as_of);
        Ok(())
    }

    /// Files drafts, and confirms them unless they belong to a present state.
    async fn file(&mut self, drafts: Vec<Draft>, taken: &mut Taken) -> Result<(), Status> {
        let Some(last) = drafts.last().map(|draft| draft.position) else {
            return Ok(());
        };
        let prefixes = self.apply(drafts, taken).await?;
        match &mut self.present_state {
            Some(present) => {
                present.extend(prefixes);
                Ok(())
            }
            None => self.confirm(last, taken).await,
        }
    }

    /// Applies drafts in order; returns their prefixes. One that is refused is named all the same: the lower node has it.
    async fn apply(&self, drafts: Vec<Draft>, taken: &mut Taken) -> Result<Vec<Prefix>, Status> {
        let marks: Vec<(Prefix, Position)> =
            drafts.iter().map(|draft| (draft.prefix.clone(), draft.position)).collect();
        let items = (0..).zip(drafts).map(|(number, draft)| Item { number, command: self.command(draft) });
        let batch = Batch { request: None, items: items.collect(), deadline: self.call.deadline };
        let outcomes = self.call.command(self.inbound.registry.apply(&self.call.caller, batch)).await;
        let outcomes = outcomes.map_err(|failure| reply::failed(&failure, None))?;
        let mut prefixes = Vec::with_capacity(marks.len());
        for ((prefix, position), outcome) in marks.into_iter().zip(outcomes) {
            match outcome {
                Ok(_) => {}
                // Without a valid token nothing is confirmed, so that the peer files it again with its next token.
                Err(refusal) if refusal.is_of_token() => return Err(reply::refused(&refusal, None)),
                Err(refusal) => {
                    tracing::warn!(peer = %self.peer.token, %prefix, reason = refusal.code(), "a filing was refused");
                    taken.refused.push((prefix.clone(), position, refusal));
                }
            }
            prefixes.push(prefix);
        }
        Ok(prefixes)
    }

    fn command(&self, draft: Draft) -> Command {
        Command::Prefix(PrefixCommand::File(Filing {
            prefix: draft.prefix,
            site: self.announcement.site.clone(),
            registrant: draft.registrant,
            status: draft.status,
            position: draft.position,
        }))
    }

    /// Confirms a position; while a present state is filed, only its end is confirmed.
    async fn confirm(&mut self, position: Position, taken: &mut Taken) -> Result<(), Status> {
        self.check_incarnation(position.incarnation)?;
        if self.present_state.is_none() {
            self.call.change(self.inbound.registry.confirm(&self.call.caller, position)).await?;
            taken.position = Some(position);
        }
        Ok(())
    }

    /// Refuses an incarnation other than the one that the peer announced last, on this or another connection.
    fn check_incarnation(&self, incarnation: Incarnation) -> Result<(), Status> {
        let own = self.announcement.incarnation;
        let Some(latest) = self.inbound.announced(self.peer).map(|known| known.incarnation) else {
            return Err(reply::refused_here(&FrontRefusal::NotAnnounced));
        };
        if incarnation < own || own < latest {
            return Err(reply::refused(&Refusal::IncarnationSuperseded, None));
        }
        // A stream of a later incarnation outlives a reset only until the earlier one has announced itself.
        if incarnation > own || own > latest {
            return Err(reply::refused_here(&FrontRefusal::NotAnnounced));
        }
        Ok(())
    }
}
