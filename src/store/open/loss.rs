//! A journal that ends before what was acknowledged, or is another one: how it is found, and how an operator accepts it.
//!
//! ```text
//!   high-water mark ─▶ compared with the journal ─▶ reached · behind · of another chain
//!                                                               └─ read-only, until a restore or accept_loss
//! ```
//! Only the end of a journal can be accepted as lost. Whatever else a store shows needs a repair or a backup first, so that no
//! loss is accepted of which only a part is known.

use crate::store::Store;
use crate::store::error::Error;
use crate::store::open::findings::{Findings, WAY_BACK};
use crate::store::open::high_water::{HighWater, HighWaterFile};
use crate::store::open::proof::FileProof;
use crate::store::open::read_only_image::refuse_read_only;
use crate::store::open::redo::{CheckedTail, Redo};
use crate::store::open::{Attached, StoreOptions, attach, begin_incarnation, refuse_without_data};
use crate::store::open::{findings, proof, redo, save_high_water};
use crate::store::writer::JournalWriter;

/// What to do about a journal that lost its end.
const WAY_BACK_OF_END: &str = "restore the latest backup with `idnode backup restore`, or accept the loss with \
                               `idnode store accept-loss`";

//----------- AgainstMark ----------------------------------------------------

/// The journal's end, compared with the high-water mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum AgainstMark {
    /// What was acknowledged is there.
    Reached,
    /// The journal ends before it.
    Behind {
        /// The last acknowledged entry.
        acknowledged: u64,
    },
    /// The acknowledged entry is another one.
    OtherChain {
        /// The last acknowledged entry.
        acknowledged: u64,
    },
}

impl AgainstMark {
    /// Why the store is read-only, given its last entry; none when it is not.
    fn reason(self, end: u64) -> Option<String> {
        match self {
            Self::Reached => None,
            Self::Behind { acknowledged } => {
                let lost = acknowledged.saturating_sub(end);
                Some(format!(
                    "the journal ends at entry {end} but entry {acknowledged} was acknowledged: {lost} changes are missing; \
                     {WAY_BACK_OF_END}"
                ))
            }
            Self::OtherChain { acknowledged } => Some(format!(
                "journal entry {acknowledged} is not the one that was acknowledged: files of two stores were mixed; \
                 {WAY_BACK_OF_END}"
            )),
        }
    }
}

/// Compares the journal with what the high-water file says was acknowledged; behind it, writing stops.
pub(in crate::store) async fn compare_high_water(store: &Store) -> Result<(), Error> {
    if acknowledged(store)?.is_none() {
        return save_high_water(store);
    }
    match against_mark(store).await {
        Ok(found) => {
            if let Some(reason) = found.reason(store.end().sequence) {
                store.stop_writing(&reason);
            }
            Ok(())
        }
        Err(error) if error.is_damage() => {
            store.stop_writing(&format!("{}; {WAY_BACK}", crate::telemetry::Chain(&error)));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

async fn against_mark(store: &Store) -> Result<AgainstMark, Error> {
    let Some(mark) = acknowledged(store)? else { return Ok(AgainstMark::Reached) };
    let acknowledged = mark.position.sequence;
    if store.end().sequence < acknowledged {
        return Ok(AgainstMark::Behind { acknowledged });
    }
    let there = store.headers_at(&[acknowledged]).await?.into_iter().flatten().next();
    let is_other = there.is_some_and(|header| header.chain != mark.chain);
    Ok(if is_other { AgainstMark::OtherChain { acknowledged } } else { AgainstMark::Reached })
}

fn acknowledged(store: &Store) -> Result<Option<HighWater>, Error> {
    HighWaterFile::read(&store.inner.files)
}

//----------- Accepting ------------------------------------------------------

/// What [`accept_loss`] accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedLoss {
    /// Acknowledged journal entries that are lost; none where another journal is there, and their number is not known.
    pub lost: Option<u64>,
    /// Entries that outlived their journal entries and were recorded again.
    pub adopted: u64,
}

/// Whether a store has lost the end of its journal, and nothing else. Any other damage is [`Error::OtherDamage`]. A few states of
/// the last entries may be redone, as at an opening.
pub async fn find_loss(options: StoreOptions) -> Result<bool, Error> {
    refuse_without_data(&options)?;
    refuse_read_only(&options.directory)?;
    let Attached { store, fresh, proof, .. } = attach(options).await?;
    let found = if fresh { Ok(false) } else { lost_its_end(&store, &proof).await };
    store.inner.engine.close().await?;
    if matches!(found, Ok(false)) && !fresh {
        proof::list_closed_files(&store).await?;
    }
    found
}

/// Accepts that a journal ends before its high-water mark: a new incarnation begins at its present end. The caller has asked
/// [`find_loss`] what is lost.
///
/// Entries that outlived their journal entries are recorded again, so that followers see them.
pub async fn accept_loss(options: StoreOptions) -> Result<AcceptedLoss, Error> {
    let Attached { store, .. } = attach(options).await?;
    let found = store.end();
    let lost = match against_mark(&store).await? {
        AgainstMark::Reached => Some(0),
        AgainstMark::Behind { acknowledged } => Some(acknowledged.saturating_sub(found.sequence)),
        AgainstMark::OtherChain { .. } => None,
    };
    redo::repair_tail(&store, Redo::All).await?;
    let mut writer = JournalWriter::new(store.clone());
    begin_incarnation(&mut writer, "loss accepted").await?;
    let adopted = redo::adopt_ahead_of(&store, found.sequence, &mut writer).await?;
    save_high_water(&store)?;
    store.close(writer).await?;
    Ok(AcceptedLoss { lost, adopted })
}

async fn lost_its_end(store: &Store, proof: &FileProof) -> Result<bool, Error> {
    let mark = against_mark(store).await?;
    let Findings { mut end_or_more, more } = findings::compare(store, proof.witness()).await?;
    end_or_more.extend(proof.differences.iter().cloned());
    let explained = match mark {
        AgainstMark::Reached => more.is_empty() && end_or_more.is_empty() && tail_is_whole(store).await?,
        AgainstMark::Behind { .. } | AgainstMark::OtherChain { .. } => more.is_empty(),
    };
    if explained {
        return Ok(mark != AgainstMark::Reached);
    }
    let mut all: Vec<String> = mark.reason(store.end().sequence).into_iter().collect();
    all.extend(end_or_more.into_iter().chain(more));
    if all.is_empty() {
        all.push("the last journal entries lead to states that are missing or older".to_owned());
    }
    Err(Error::OtherDamage { reason: format!("{}; {WAY_BACK}", all.join("; ")) })
}

/// Whether the journal's tail has all its states, or an opening redoes those that it lacks.
async fn tail_is_whole(store: &Store) -> Result<bool, Error> {
    match redo::repair_tail(store, Redo::Handful).await {
        Ok(CheckedTail { behind, repaired, .. }) => Ok(behind <= repaired),
        Err(error) if error.is_damage() => Ok(false),
        Err(error) => Err(error),
    }
}
