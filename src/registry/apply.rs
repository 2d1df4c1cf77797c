//! Applying a batch: its items are checked, authorized and queued, one step's share at a time, until all have outcomes.

use std::iter::repeat_n;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::authority::caller::Caller;
use crate::authority::unread;
use crate::model::limits::{
    BATCH_ITEMS_MAX, COMMAND_SLOT_BYTES, GROUP_BYTES_MAX, REQUEST_AHEAD_SECONDS_MAX, STEP_ITEMS_MAX,
    VALUES_BYTES_MAX,
};
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::request::RequestId;
use crate::model::value::ValueError;
use crate::store::entry::RequestKey;
use crate::telemetry::lost_outcome;

use super::Registry;
use super::authorize::{self, Authorized, Unauthorized};
use super::command::{Batch, Command, Item, PrefixCommand, Target, mint};
use super::committer::{OutcomeSender, Outcomes, Submission};
use super::digest::RequestOfCaller;
use super::group::Remember;
use super::receipt::Receipt;
use super::warnings::warn;

/// The outcome of each item, in order.
pub(super) type Applied = Vec<Result<Receipt, Problem>>;

/// How long a caller that states no deadline waits for its commands.
const WAIT_MAX: Duration = Duration::from_secs(120);
/// Bytes of values after which a submission is closed early.
const SUBMISSION_BYTES: usize = GROUP_BYTES_MAX / 2;

impl Registry {
    /// Applies a batch: items in order, each with its own outcome, in the order given; after one that failed, no further
    /// ones are tried.
    ///
    /// A command with a receipt is on disk. Dropping the future leaves the outcomes unknown to the caller; commands that
    /// were queued are carried out nevertheless. Receipts name what is likely not as meant.
    pub async fn apply_items(&self, caller: &Caller, batch: Batch) -> Vec<Result<Receipt, Problem>> {
        let deadline = batch.deadline.unwrap_or_else(|| Instant::now() + WAIT_MAX);
        let items: Vec<Arc<Item>> = batch.items.into_iter().map(Arc::new).collect();
        let shared = SharedBatch { request: batch.request, items: items.clone() };
        let mut outcomes = self.apply_all(caller, shared, deadline).await;
        warn(&mut outcomes, &items).await;
        outcomes
    }

    /// Applies a batch as [`Self::apply_items`] does, for a caller that repeats the whole batch when one item fails.
    pub async fn apply(
        &self,
        caller: &Caller,
        batch: Batch,
    ) -> Result<Vec<Result<Receipt, Refusal>>, Failure> {
        let outcomes = self.apply_items(caller, batch).await;
        let failure = failure_of(&outcomes);
        let settled = outcomes.into_iter().map(|outcome| match outcome {
            Ok(receipt) => Ok(Ok(receipt)),
            Err(Problem::Refused(refusal)) => Ok(Err(refusal)),
            Err(Problem::Failed(failed)) => Err(failed),
        });
        settled.collect::<Result<_, _>>().map_err(|failed| failure.unwrap_or(failed))
    }

    async fn apply_all(&self, caller: &Caller, batch: SharedBatch, deadline: Instant) -> Applied {
        if let Err(refusal) = self.check_batch(&batch) {
            let refused = || Err(Problem::Refused(refusal.clone()));
            let outcomes: Applied = batch.items.iter().map(|_| refused()).collect();
            outcomes.iter().for_each(|outcome| self.counters.count_unqueued(outcome));
            return outcomes;
        }
        if let Caller::Identity(_) | Caller::Anonymous = caller {
            return self.apply_each(caller, batch, deadline).await;
        }
        let mut sorted = self.authorize(caller, batch);
        self.recall(&mut sorted.refused).await;
        sorted.refused.iter().for_each(|one| self.counters.count_unqueued(&one.outcome));
        let decided = self.commit(sorted.authorized, deadline).await;
        merge(sorted.refused, decided)
    }

    /// Divides a batch into commands that the caller may give and commands that are refused at once.
    fn authorize(&self, caller: &Caller, batch: SharedBatch) -> Sorted {
        let directory = self.store.directory();
        let now_ms = self.store.now_ms();
        let request = batch.request_of(caller);
        let mut sorted = Sorted::default();
        for (position, item) in batch.items.into_iter().enumerate() {
            let remember = request.map(|request| request.remembered(&item));
            if let Err(refusal) = check_command(&item.command, &self.options.prefix_rule) {
                sorted.refused.push(Refused { position, outcome: Err(refusal.into()), done_before: None });
                continue;
            }
            match Authorized::new(item, caller, &directory, now_ms) {
                Ok(item) => sorted.authorized.push((item, remember)),
                Err(unauthorized) => sorted.refused.push(Refused::new(position, *unauthorized, remember)),
            }
        }
        sorted
    }

    /// A repeated request gets its first receipt even if its prefix was suspended or delegated since.
    async fn recall(&self, refused: &mut [Refused]) {
        let asked: Vec<&mut Refused> = refused.iter_mut().filter(|one| one.done_before.is_some()).collect();
        let key = |one: &&mut Refused| one.done_before.as_ref().map(|before| before.key);
        let keys: Vec<RequestKey> = asked.iter().filter_map(key).collect();
        let memories = match self.store.requests(&keys).await.map_err(|error| unread(&error)) {
            Ok(memories) => memories,
            Err(failure) => {
                asked.into_iter().for_each(|one| one.outcome = Err(failure.clone().into()));
                return;
            }
        };
        let lineage = self.store.lineage();
        for (one, memory) in asked.into_iter().zip(memories) {
            if let (Some(before), Some(memory)) = (one.done_before.take(), memory) {
                let position = lineage.position_of(memory.sequence).unwrap_or_else(|| self.store.head());
                let target = authorize::named(&before.item.command).cloned();
                let repeated = Receipt::repeated(target, &memory, before.content, position);
                one.outcome = repeated.map_err(Problem::from);
            }
        }
    }

    /// Queues authorized commands, a step's share at a time, and waits for all. Items are applied in order: after a share
    /// that could not be queued, none is.
    pub(super) async fn commit(&self, authorized: Vec<(Authorized, Remember)>, deadline: Instant) -> Applied {
        let mut outcomes = Vec::with_capacity(authorized.len());
        let mut queued = Vec::new();
        let mut stopped: Option<Failure> = None;
        for share in shares(authorized) {
            let count = share.len();
            let reply = match stopped {
                Some(failure) => Err(failure),
                None => self.submit(share, deadline).await,
            };
            stopped = reply.as_ref().err().cloned();
            queued.push((count, reply));
        }
        for (count, reply) in queued {
            let share = match reply {
                Ok(reply) => answered(reply, deadline).await,
                Err(failure) => Err(failure),
            };
            match share {
                Ok(share) => outcomes.extend(share.into_iter().map(|one| one.map_err(Problem::from))),
                Err(failure) => outcomes.extend(repeat_n(Err(Problem::Failed(failure)), count)),
            }
        }
        outcomes
    }

    async fn submit(
        &self,
        items: Vec<(Authorized, Remember)>,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Result<Outcomes, Failure>>, Failure> {
        if let Some(reason) = self.store.read_only_reason() {
            return Err(Failure::ReadOnly { reason });
        }
        let count = items.iter().map(|(item, _)| slots_of(&item.item().command)).sum();
        let slots = Arc::clone(&self.slots).acquire_many_owned(count);
        let Ok(slots) = timeout_at(deadline, slots).await else {
            self.counters.count_overloaded(items.len());
            return Err(Failure::Overloaded);
        };
        let slots = slots.map_err(|_| Failure::Stopping)?;
        let (sender, answer) = oneshot::channel();
        let submission = Submission { items, reply: OutcomeSender { sender, slots } };
        self.queue.send(submission).await.map_err(|_| Failure::Stopping)?;
        Ok(answer)
    }

    fn check_batch(&self, batch: &SharedBatch) -> Result<(), Refusal> {
        if batch.items.len() > BATCH_ITEMS_MAX {
            return Err(Refusal::TooManyItems { count: batch.items.len() });
        }
        let Some(request) = batch.request else {
            return Ok(());
        };
        let (now_ms, made_ms) = (self.store.now_ms(), request.made_ms());
        if made_ms > now_ms.saturating_add(REQUEST_AHEAD_SECONDS_MAX * 1_000) {
            let ahead_seconds = made_ms.saturating_sub(now_ms).div_ceil(1_000);
            return Err(Refusal::RequestAhead { ahead_seconds });
        }
        let age_seconds = now_ms.saturating_sub(made_ms) / 1_000;
        let window_seconds = self.options.request_window.as_secs();
        if age_seconds > window_seconds {
            return Err(Refusal::RequestExpired { age_seconds, window_seconds });
        }
        Ok(())
    }
}

//----------- SharedBatch ----------------------------------------------------

/// A batch whose items are looked at once more when they have their outcomes.
pub(super) struct SharedBatch {
    pub(super) request: Option<RequestId>,
    pub(super) items: Vec<Arc<Item>>,
}

impl SharedBatch {
    /// The request under which the items are remembered, if they are.
    pub(super) fn request_of(&self, caller: &Caller) -> Option<RequestOfCaller> {
        let (request, name) = self.request.zip(caller.name())?;
        Some(RequestOfCaller::new(request, &name))
    }
}

//----------- Sorted ---------------------------------------------------------

/// A batch, divided by whether the caller may give each command.
#[derive(Default)]
struct Sorted {
    authorized: Vec<(Authorized, Remember)>,
    /// Refused items, by ascending position in the batch.
    refused: Vec<Refused>,
}

/// An item that is not queued: its position in the batch, and its outcome.
struct Refused {
    position: usize,
    outcome: Result<Receipt, Problem>,
    /// The key under which the request may be remembered from the time when its prefix allowed it.
    done_before: Option<DoneBefore>,
}

struct DoneBefore {
    key: RequestKey,
    content: [u8; 16],
    item: Arc<Item>,
}

impl Refused {
    fn new(position: usize, unauthorized: Unauthorized, remember: Remember) -> Self {
        let Unauthorized { item, refusal } = unauthorized;
        let remember = remember.filter(|_| is_of_prefix(&refusal));
        let done_before = remember.map(|(key, content)| DoneBefore { key, content, item });
        Self { position, outcome: Err(refusal.into()), done_before }
    }
}

/// Whether the prefix refuses the command now but may have allowed it before.
fn is_of_prefix(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::NotResponsible { .. }
            | Refusal::PrefixDelegated { .. }
            | Refusal::PrefixSuspended { .. }
            | Refusal::PrefixRevoked { .. }
    )
}

/// The outcomes of all items, in the order given.
fn merge(refused: Vec<Refused>, decided: Applied) -> Applied {
    let count = refused.len() + decided.len();
    let (mut refused, mut decided) = (refused.into_iter().peekable(), decided.into_iter());
    let next = |position| match refused.next_if(|one| one.position == position) {
        Some(one) => Some(one.outcome),
        None => decided.next(),
    };
    (0..count).filter_map(next).collect()
}

/// The outcome of the only item.
pub(super) fn only(outcomes: Applied) -> Result<Receipt, Problem> {
    outcomes.into_iter().next().ok_or_else(lost_outcome)?
}

/// The failure of items as a whole, if one of them failed: theirs, if all that were not refused failed alike; otherwise
/// the outcome of the whole is unknown.
pub fn failure_of(outcomes: &[Result<Receipt, Problem>]) -> Option<Failure> {
    let failure = |outcome: &'_ Result<Receipt, Problem>| match outcome {
        Err(Problem::Failed(failure)) => Some(failure.clone()),
        Ok(_) | Err(Problem::Refused(_)) => None,
    };
    let mut failures = outcomes.iter().filter_map(failure);
    let first = failures.next()?;
    // Other failures mean that nothing was done, which has to be true of the whole.
    let is_common = outcomes.iter().all(Result::is_err) && failures.all(|other| other == first);
    if is_common || matches!(first, Failure::OutcomeUnknown { .. }) {
        return Some(first);
    }
    Some(Failure::OutcomeUnknown { cause: first.to_string() })
}

//----------- Shares ---------------------------------------------------------

/// Divides a batch into the shares of single steps.
fn shares(authorized: Vec<(Authorized, Remember)>) -> Vec<Vec<(Authorized, Remember)>> {
    let mut shares = Vec::new();
    let (mut share, mut bytes) = (Vec::new(), 0);
    for item in authorized {
        bytes += item.0.item().command.bytes();
        share.push(item);
        if share.len() >= STEP_ITEMS_MAX || bytes >= SUBMISSION_BYTES {
            shares.push(std::mem::take(&mut share));
            bytes = 0;
        }
    }
    if !share.is_empty() {
        shares.push(share);
    }
    shares
}

/// Slots in the queue that a command takes while it waits.
fn slots_of(command: &Command) -> u32 {
    u32::try_from(1 + command.bytes() / COMMAND_SLOT_BYTES).unwrap_or(u32::MAX)
}

async fn answered(
    reply: oneshot::Receiver<Result<Outcomes, Failure>>,
    deadline: Instant,
) -> Result<Outcomes, Failure> {
    let unknown = |cause: &str| Failure::OutcomeUnknown { cause: cause.to_owned() };
    let answered = timeout_at(deadline, reply).await.map_err(|_| unknown("the deadline passed"))?;
    answered.map_err(|_| unknown("the node stopped"))?
}

//----------- Commands -------------------------------------------------------

/// Refuses a command that is invalid whatever the present state is.
pub(super) fn check_command(command: &Command, prefix_rule: &super::PrefixRule) -> Result<(), Refusal> {
    match command {
        Command::Prefix(
            PrefixCommand::Home { prefix, .. }
            | PrefixCommand::Delegate { prefix, .. }
            | PrefixCommand::EndDelegation { prefix, .. },
        ) => prefix_rule(prefix).map_err(|reason| Refusal::CommandInvalid { reason }),
        Command::Prefix(PrefixCommand::File(filing)) => {
            prefix_rule(&filing.prefix).map_err(|reason| Refusal::CommandInvalid { reason })
        }
        Command::Register(register) => match &register.target {
            Target::Minted { prefix, start } => check_minted(prefix, start),
            Target::Named(_) => Ok(()),
        },
        Command::Amend(_) if command.bytes() > VALUES_BYTES_MAX => {
            Err(Refusal::ValueInvalid(ValueError::TooLarge { bytes: command.bytes() }))
        }
        Command::Amend(_)
        | Command::Remove(_)
        | Command::Prefix(_)
        | Command::Token(_)
        | Command::Note(_) => Ok(()),
    }
}

/// Refuses a beginning so long that nothing can be minted after it, and the minting of prefixes.
fn check_minted(prefix: &crate::model::identifier::Prefix, start: &str) -> Result<(), Refusal> {
    let like = mint(prefix, start, [0; 16])?;
    if like.named_prefix().is_none() {
        return Ok(());
    }
    let reason = "identifiers that name prefixes are not minted; name the prefix".to_owned();
    Err(Refusal::CommandInvalid { reason })
}
