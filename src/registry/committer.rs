//! The committer: the single task that turns authorized commands into durable changes, in groups.
//!
//! ```text
//!   apply ─▶ queue (bounded) ─▶ gather ─▶ read states and requests ─▶ decide ─▶ hand in ─▶ settled ─▶ receipts
//!                                 ▲     while the group is not full and the │
//!                                 └──── one before is being written ────────┘
//! ```
//! While one group is written, the next is decided on what that one leads to; there is no timer. It is handed in when it is full, or
//! when the one before has settled and nothing more is queued. Receipts are sent when the group has settled; when the one before
//! has not, its outcome is that of both. A group grows step by step, so that neither its reads nor its writes exceed their bounds,
//! whatever the size of the states.
//!
//! After a failed write the store accepts nothing until it has recovered, which is tried here, between two groups.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::authority::unread;
use crate::model::identifier::CanonicalIdentifier;
use crate::model::limits::STEP_ITEMS_MAX;
use crate::model::refusal::{Failure, Refusal};
use crate::store::Store;
use crate::store::entry::RequestKey;
use crate::store::error::Error;
use crate::store::writer::{BlockOutcome, JournalWriter, Recovery};

use super::authorize::Authorized;
use super::counters::RegistryCounters;
use super::group::{Group, PreparedItem, Remember};
use super::receipt::Receipt;

/// Commands of one caller that are decided in one step, and the channel for their outcomes.
pub(super) struct Submission {
    pub(super) items: Vec<(Authorized, Remember)>,
    pub(super) reply: OutcomeSender,
}

/// The channel for outcomes, and the slots in the queue that are held until they are sent.
pub(super) struct OutcomeSender {
    pub(super) sender: oneshot::Sender<Result<Outcomes, Failure>>,
    pub(super) slots: OwnedSemaphorePermit,
}

impl OutcomeSender {
    fn send(self, outcomes: Result<Outcomes, Failure>) {
        // A caller that stopped waiting learns the outcome by repeating its request id.
        let _gone = self.sender.send(outcomes);
        drop(self.slots);
    }
}

/// The outcome of each item, in order.
pub(super) type Outcomes = Vec<Result<Receipt, Refusal>>;

/// The task's state.
pub(super) struct Committer {
    store: Store,
    writer: JournalWriter,
    queue: mpsc::Receiver<Submission>,
    stop: watch::Receiver<bool>,
    counters: Arc<RegistryCounters>,
    recovery: Recovery,
    /// Sends the receipts of the last group.
    replies: Option<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn new(
        store: Store,
        writer: JournalWriter,
        queue: mpsc::Receiver<Submission>,
        stop: watch::Receiver<bool>,
        counters: Arc<RegistryCounters>,
    ) -> Self {
        let recovery = Recovery::new(store.clone());
        Self { store, writer, queue, stop, counters, recovery, replies: None }
    }

    /// Commits until it is stopped and the queue is empty; returns the writer.
    pub(super) async fn run(mut self) -> JournalWriter {
        loop {
            tokio::select! {
                first = next(&mut self.queue, &mut self.stop) => match first {
                    Some(first) => self.commit_group(first).await,
                    None => break,
                },
                () = self.recovery.due() => self.recovery.attempt(&mut self.writer).await,
            }
        }
        self.writer.settle().await;
        self.replies_sent().await;
        self.writer
    }

    async fn commit_group(&mut self, first: Submission) {
        let mut group = Group::new(self.writer.view());
        let mut decided = Vec::new();
        let mut next = Some(first);
        while let Some(first) = next {
            let step = self.gather(first);
            decided.extend(self.decide(&mut group, step).await);
            let full = group.is_full(self.store.block_changes_max());
            next = if full { None } else { self.more().await };
        }
        let changes = group.changes();
        let appended = self.writer.append(group.into_block()).await;
        self.replies_sent().await;
        let counters = Arc::clone(&self.counters);
        self.replies = Some(tokio::spawn(async move {
            let outcome = appended.settled().await;
            reply(decided, outcome, changes, &counters);
        }));
    }

    /// The next submission for a group that is not full; none when there is none and the group before has settled.
    async fn more(&mut self) -> Option<Submission> {
        tokio::select! {
            biased;
            next = self.queue.recv() => return next,
            () = self.writer.settled() => {}
        }
        self.queue.try_recv().ok()
    }

    /// Waits until the receipts of the last group are sent. It has settled.
    async fn replies_sent(&mut self) {
        if let Some(replies) = self.replies.take() {
            // A panic in it was logged where it happened; its callers learn that the outcome is unknown.
            let _ended = replies.await;
        }
    }

    /// Takes further queued submissions, up to the size of a step.
    fn gather(&mut self, first: Submission) -> Vec<Submission> {
        let mut count = first.items.len();
        let mut step = vec![first];
        while count < STEP_ITEMS_MAX {
            let Ok(next) = self.queue.try_recv() else {
                break;
            };
            count += next.items.len();
            step.push(next);
        }
        step
    }

    /// Decides the commands of a step. If their state cannot be read, the failure is their outcome.
    async fn decide(&self, group: &mut Group, step: Vec<Submission>) -> Vec<(OutcomeSender, Outcomes)> {
        let prepared: Vec<Prepared> = step.into_iter().map(|one| self.prepare(one)).collect();
        let read = match self.store.check_writable() {
            Ok(()) => read(group, &prepared).await.map_err(|error| unread(&error)),
            Err(Error::ReadOnly { reason }) => Err(Failure::ReadOnly { reason }),
            Err(error) => Err(unread(&error)),
        };
        if let Err(failure) = read {
            prepared.into_iter().for_each(|one| one.reply.send(Err(failure.clone())));
            return Vec::new();
        }
        let decide = |Prepared { items, reply }: Prepared| {
            if !items.iter().all(|one| group.stands(one.item.read())) {
                reply.send(Err(Failure::Contended));
                return None;
            }
            let outcomes = items.iter().map(|one| group.decide(one));
            Some((reply, outcomes.collect()))
        };
        prepared.into_iter().filter_map(decide).collect()
    }

    /// Adds what decisions need beside the state.
    fn prepare(&self, submission: Submission) -> Prepared {
        let Submission { items, reply } = submission;
        let prepare = |(item, remember): (Authorized, Remember)| {
            let mut random = [0; 16];
            if item.item().command.mints() {
                self.store.fill_random(&mut random);
            }
            PreparedItem { item, random, remember }
        };
        Prepared { items: items.into_iter().map(prepare).collect(), reply }
    }
}

/// Reads, in one batch, the state that a step needs and the group does not hold yet.
async fn read(group: &mut Group, prepared: &[Prepared]) -> Result<(), Error> {
    let view = group.view().clone();
    let folding = view.store().folding();
    let items = || prepared.iter().flat_map(|one| &one.items);
    // A target that cannot be minted has no state; it is refused when it is decided.
    let targets = items().filter_map(|one| one.item.item().command.target(one.random).ok().flatten());
    let bound = items().flat_map(|one| one.item.read()).map(|read| read.name.clone());
    let names: HashSet<CanonicalIdentifier> = targets
        .map(|target| target.canonical(folding))
        .chain(bound)
        .filter(|name| !group.knows(name))
        .collect();
    let names: Vec<CanonicalIdentifier> = names.into_iter().collect();
    let keys = items().filter_map(|one| one.remember.map(|(key, _)| key));
    let keys: Vec<RequestKey> = keys.filter(|key| !group.remembers(key)).collect();
    let (states, memories) = tokio::try_join!(view.identifiers(&names), view.requests(&keys))?;
    let states = names.into_iter().zip(states).filter_map(|(name, entry)| Some((name, entry?)));
    let memories = keys.into_iter().zip(memories).filter_map(|(key, memory)| Some((key, memory?)));
    group.take_up(states, memories);
    Ok(())
}

/// Sends the outcomes of a group that has ended.
fn reply(
    decided: Vec<(OutcomeSender, Outcomes)>,
    outcome: BlockOutcome,
    changes: usize,
    counters: &RegistryCounters,
) {
    let failure = match outcome {
        BlockOutcome::Committed => {
            counters.count_group(changes);
            for (reply, outcomes) in decided {
                counters.count(&outcomes);
                reply.send(Ok(outcomes));
            }
            return;
        }
        BlockOutcome::NotOwner { reason } => Failure::ReadOnly { reason },
        BlockOutcome::Unsure { cause } => Failure::OutcomeUnknown { cause },
    };
    decided.into_iter().for_each(|(reply, _)| reply.send(Err(failure.clone())));
}

/// Waits for the next submission; none once the registry was stopped and nothing is queued. Safe to drop.
async fn next(
    queue: &mut mpsc::Receiver<Submission>,
    stop: &mut watch::Receiver<bool>,
) -> Option<Submission> {
    tokio::select! {
        biased;
        () = stopped(stop) => {}
        next = queue.recv() => return next,
    }
    // A closed queue still yields what it holds.
    queue.close();
    queue.recv().await
}

/// Completes when the registry is stopped; never if it was dropped before.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending().await
    }
}

/// A submission whose items can be decided.
struct Prepared {
    items: Vec<PreparedItem>,
    reply: OutcomeSender,
}
