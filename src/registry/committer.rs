//! The committer: the one task that turns authorized commands into durable changes, group by group.
//!
//! ```text
//!   apply ─▶ queue (bounded) ─▶ gather ─▶ read states and requests ─▶ decide ─▶ commit ─▶ receipts
//! ```
//! While one group is being written, the next one gathers; nobody waits for a timer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use crate::model::identifier::{CanonicalIdentifier, Identifier};
use crate::model::limits::GROUP_ITEMS_MAX;
use crate::model::position::Position;
use crate::model::request::RequestId;
use crate::store::Store;
use crate::store::commit::{Appender, Block};
use crate::store::entry::RequestKey;
use crate::store::error::Error;

use super::authorize::{self, Authorized};
use super::command::{Command, Target};
use super::counters::RegistryCounters;
use super::digest;
use super::group::{Group, Outcome, Remember, State};
use super::receipt::{self, Receipt};
use super::refusal::{Failure, Refusal};
use super::rules::Now;

/// Commands of one caller that are decided in one group, and where their outcomes go.
pub(super) struct Submission {
    pub(super) request: Option<RequestId>,
    pub(super) items: Vec<Authorized>,
    pub(super) reply: oneshot::Sender<Result<Outcomes, Failure>>,
    /// The places in the queue it holds until it is answered.
    pub(super) places: OwnedSemaphorePermit,
}

/// The outcome of each item, in order.
pub(super) type Outcomes = Vec<Result<Receipt, Refusal>>;

/// The task's state.
pub(super) struct Committer {
    pub(super) store: Store,
    pub(super) appender: Appender,
    pub(super) queue: mpsc::Receiver<Submission>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) counters: Arc<RegistryCounters>,
}

impl Committer {
    /// Commits until stopped, then what is still queued; gives the appender back.
    pub(super) async fn run(mut self) -> Appender {
        loop {
            let next = tokio::select! {
                biased;
                first = self.queue.recv() => Next::Queued(first),
                () = stopped(&mut self.stop) => Next::Stopped,
            };
            match next {
                Next::Queued(Some(first)) => {
                    let group = self.gather(first);
                    self.commit(group).await;
                }
                Next::Queued(None) => return self.appender,
                Next::Stopped => {
                    // What is queued is still received; then the queue ends.
                    self.queue.close();
                    self.stop = watch::Sender::new(false).subscribe();
                }
            }
        }
    }

    /// Takes what else is waiting, up to the size of a group.
    fn gather(&mut self, first: Submission) -> Vec<Submission> {
        let mut count = first.items.len();
        let mut group = vec![first];
        while count < GROUP_ITEMS_MAX {
            let Ok(next) = self.queue.try_recv() else {
                break;
            };
            count += next.items.len();
            group.push(next);
        }
        group
    }

    async fn commit(&mut self, submissions: Vec<Submission>) {
        let prepared: Vec<Prepared> = submissions.into_iter().map(|one| self.prepare(one)).collect();
        let outcomes = self.decide_and_commit(&prepared).await;
        match outcomes {
            Ok(outcomes) => {
                for (one, outcomes) in prepared.into_iter().zip(outcomes) {
                    self.counters.count(&outcomes);
                    // A caller that stopped waiting repeats with its request id.
                    let _gone = one.reply.send(Ok(outcomes));
                    drop(one.places);
                }
            }
            Err(failure) => {
                for one in prepared {
                    let _gone = one.reply.send(Err(failure.clone()));
                    drop(one.places);
                }
            }
        }
    }

    async fn decide_and_commit(&mut self, prepared: &[Prepared]) -> Result<Vec<Outcomes>, Failure> {
        if let Err(error) = self.store.check_writable() {
            return Err(failure(&error));
        }
        let since = self.appender.end().sequence;
        let mut group = self.read(prepared).await.map_err(|error| failure(&error))?;
        let decide = |group: &mut Group, one: &Prepared| {
            let items = one.items.iter();
            items
                .map(|(item, target, remember)| group.decide(item, target.clone(), *remember))
                .collect::<Vec<_>>()
        };
        let decided: Vec<Vec<Outcome>> = prepared.iter().map(|one| decide(&mut group, one)).collect();
        let block = Block {
            since,
            changes: std::mem::take(&mut group.proposed),
            remembered: std::mem::take(&mut group.remembered),
        };
        let versions: Vec<u64> = block.changes.iter().map(|change| change.version).collect();
        let operations: Vec<_> = block.changes.iter().map(|change| change.operation).collect();
        self.counters.count_group(block.changes.len());
        let committed = self.appender.commit(block).await.map_err(|error| failure(&error))?;
        let receipts = Receipts { store: &self.store, positions: &committed.positions, versions, operations };
        Ok(decided
            .into_iter()
            .map(|outcomes| outcomes.into_iter().map(|one| receipts.of(one)).collect())
            .collect())
    }

    /// Mints suffixes and names what is to be remembered.
    fn prepare(&self, submission: Submission) -> Prepared {
        let Submission { request, items, reply, places } = submission;
        let prepare = |item: Authorized| {
            let remember = request.map(|request| {
                let caller = digest::caller(item.name());
                (
                    RequestKey { request, caller, item: item.item().number },
                    digest::content(&item.item().command),
                )
            });
            let target = self.target(&item.item().command);
            (item, target, remember)
        };
        Prepared { items: items.into_iter().map(prepare).collect(), reply, places }
    }

    fn target(&self, command: &Command) -> Option<Identifier> {
        if let Command::Register(register) = command
            && let Target::Minted { prefix, start } = &register.target
        {
            let mut random = [0; 16];
            self.store.fill_random(&mut random);
            // Lower-case base32hex: one plain DNS label, and no letter that folding would change.
            let minted = data_encoding::BASE32HEX_NOPAD.encode(&random).to_ascii_lowercase();
            return Identifier::new(prefix.clone(), &format!("{start}{minted}")).ok();
        }
        authorize::named(command).cloned()
    }

    /// One batched read of everything that the group is decided on.
    async fn read(&self, prepared: &[Prepared]) -> Result<Group, Error> {
        let folding = self.store.folding();
        let items = || prepared.iter().flat_map(|one| &one.items);
        let targets = items().filter_map(|(_, target, _)| target.as_ref());
        let names: HashSet<CanonicalIdentifier> = targets.map(|target| target.canonical(folding)).collect();
        let names: Vec<CanonicalIdentifier> = names.into_iter().collect();
        let keys: Vec<RequestKey> =
            items().filter_map(|(_, _, remember)| remember.map(|(key, _)| key)).collect();
        let (states, memories) =
            tokio::try_join!(self.store.identifiers(&names), self.store.requests(&keys))?;
        let known = |(name, entry): (CanonicalIdentifier, Option<_>)| Some((name, State::from(entry?)));
        let remembered = |(key, memory): (RequestKey, Option<_>)| Some((key, memory?));
        Ok(Group {
            folding,
            now: Now { ms: self.store.now_ms() },
            directory: self.store.directory(),
            present: names.into_iter().zip(states).filter_map(known).collect(),
            requests: keys.into_iter().zip(memories).filter_map(remembered).collect(),
            twins: HashMap::new(),
            proposed: Vec::new(),
            remembered: Vec::new(),
        })
    }
}

/// What the committer does next.
enum Next {
    Queued(Option<Submission>),
    Stopped,
}

/// Resolves when the registry was told to stop; never when nobody can tell it any more.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stopped| *stopped).await.is_err() {
        std::future::pending().await
    }
}

/// A submission, with the identifier and the memory of each item.
struct Prepared {
    items: Vec<(Authorized, Option<Identifier>, Remember)>,
    reply: oneshot::Sender<Result<Outcomes, Failure>>,
    places: OwnedSemaphorePermit,
}

/// Makes receipts of a committed block.
struct Receipts<'a> {
    store: &'a Store,
    positions: &'a [Position],
    versions: Vec<u64>,
    operations: Vec<crate::store::entry::Operation>,
}

impl Receipts<'_> {
    fn of(&self, outcome: Outcome) -> Result<Receipt, Refusal> {
        match outcome {
            Outcome::Refused(refusal) => Err(refusal),
            Outcome::Repeated(identifier, memory) => Ok(Receipt {
                identifier,
                version: memory.version,
                position: self.position(memory.sequence),
                outcome: memory.operation.map_or(receipt::Outcome::Unchanged, receipt::Outcome::of),
                repeated: true,
            }),
            Outcome::Unchanged { identifier, version, sequence } => Ok(Receipt {
                identifier,
                version,
                position: self.position(sequence),
                outcome: receipt::Outcome::Unchanged,
                repeated: false,
            }),
            Outcome::Proposed(at, identifier) => Ok(self.committed(at, identifier, false)),
            Outcome::Twin(at, identifier) => Ok(self.committed(at, identifier, true)),
        }
    }

    fn committed(&self, at: usize, identifier: Option<Identifier>, repeated: bool) -> Receipt {
        let operation = self.operations.get(at).copied();
        Receipt {
            identifier,
            version: self.versions.get(at).copied().unwrap_or(0),
            position: self.positions.get(at).copied().unwrap_or_else(|| self.store.head()),
            outcome: operation.map_or(receipt::Outcome::Unchanged, receipt::Outcome::of),
            repeated,
        }
    }

    /// The position of a sequence; the journal's end where the change stands in this very block.
    fn position(&self, sequence: u64) -> Position {
        let known = (sequence > 0).then(|| self.store.lineage().position_of(sequence)).flatten();
        known.unwrap_or_else(|| self.store.head())
    }
}

/// What a store error means to a caller whose commands were being committed.
fn failure(error: &Error) -> Failure {
    match error {
        Error::ReadOnly { reason } => Failure::ReadOnly { reason: reason.clone() },
        Error::Engine(cause) => Failure::OutcomeUnknown { cause: cause.to_string() },
        Error::Damaged { .. }
        | Error::JournalDamaged { .. }
        | Error::Format { .. }
        | Error::Outdated { .. }
        | Error::CopyDamaged { .. }
        | Error::File { .. } => Failure::Store { detail: error.to_string() },
    }
}
