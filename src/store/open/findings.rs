//! What opening compares before it writes anything: the store's contents with its witness, its counts and its journal.
//!
//! ```text
//!   tables that were filled ─▶ prefixes, tokens ─▶ counts against sizes of tables ─▶ entries sampled before the tail
//! ```
//! Each finding is a sentence; with one, the store opens read-only. A sample finds what is missing in proportion to its
//! size; the sizes of tables find the rest of what a lost file takes away. Sled knows no such sizes.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::Store;
use crate::store::entry::state::{State, for_every_state};
use crate::store::entry::{EntryKey as _, EntryKind};
use crate::store::error::Error;
use crate::store::journal::Header;
use crate::store::open::witness::Witness;
use crate::store::open::{proof, redo};
use crate::telemetry::Chain;

/// Journal entries that are looked up, with the states they lead to.
const SAMPLES: usize = 256;
/// What to do about a finding.
pub(in crate::store) const WAY_BACK: &str = "run `idnode store check`, restore the latest backup with `idnode backup restore`, \
                                   or rebuild what the journal still holds with `idnode store check --repair`";

//----------- Findings -------------------------------------------------------

/// What was found, each as a sentence.
#[derive(Debug, Default)]
pub(in crate::store) struct Findings {
    /// What a journal without its end shows too.
    pub(in crate::store) end_or_more: Vec<String>,
    /// What it does not show.
    pub(in crate::store) more: Vec<String>,
}

impl Findings {
    /// All of them.
    pub(in crate::store) fn into_sentences(self) -> Vec<String> {
        self.end_or_more.into_iter().chain(self.more).collect()
    }

    /// Adds what was found; what cannot be read is a finding too.
    fn take(&mut self, found: Result<Vec<String>, Error>) -> Result<(), Error> {
        match found {
            Ok(found) => self.more.extend(found),
            Err(error) if error.is_damage() => self.more.push(Chain(&error).to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Compares the contents with what is known.
pub(in crate::store) async fn compare(store: &Store, witness: Option<&Witness>) -> Result<Findings, Error> {
    let mut findings = match witness {
        Some(witness) => compare_with_witness(store, witness).await?,
        None => Findings::default(),
    };
    let (end, retained) = (store.end().sequence, store.retained());
    for (kind, least) in [
        (EntryKind::Identifier, store.count()),
        (EntryKind::Header, (end + 1).saturating_sub(retained.headers_from)),
        (EntryKind::Body, (end + 1).saturating_sub(retained.bodies_from)),
    ] {
        findings.take(compare_size(store, kind, least).await)?;
    }
    findings.take(sample(store).await)?;
    Ok(findings)
}

/// Compares the contents with what they are known to have held.
pub(in crate::store) async fn compare_with_witness(
    store: &Store,
    witness: &Witness,
) -> Result<Findings, Error> {
    let mut findings = Findings::default();
    for kind in &witness.filled {
        match proof::is_empty(store, *kind).await {
            Ok(true) => {
                findings.end_or_more.push(format!("table {} is empty although it held entries", kind.name()))
            }
            Ok(false) => {}
            unread => findings.take(unread.map(|_| Vec::new()))?,
        }
    }
    let directory = store.directory();
    let (prefixes, tokens) = (directory.prefixes().count() as u64, directory.tokens().count() as u64);
    if prefixes < witness.prefixes {
        findings.end_or_more.push(format!("{prefixes} of {} prefixes are there", witness.prefixes));
    }
    if tokens < witness.tokens {
        findings.end_or_more.push(format!("{tokens} of {} tokens are there", witness.tokens));
    }
    Ok(findings)
}

/// Compares the number of entries that there must be of a kind with the number that they cannot exceed.
async fn compare_size(store: &Store, kind: EntryKind, least: u64) -> Result<Vec<String>, Error> {
    let most = store.inner.engine.entries_at_most(kind).await?;
    let too_few = most
        .filter(|most| *most < least)
        .map(|most| format!("table {} holds at most {most} of its {least} entries", kind.name()));
    Ok(too_few.into_iter().collect())
}

//----------- Sample ---------------------------------------------------------

/// Looks up entries from all over the journal, and the states they lead to.
async fn sample(store: &Store) -> Result<Vec<String>, Error> {
    let sequences = sampled_sequences(store);
    let found = store.headers_at(&sequences).await?;
    let missing = found.iter().filter(|header| header.is_none()).count();
    let headers: Vec<Header> = found.into_iter().flatten().collect();
    let behind = count_behind(store, &headers).await?;
    let bodies_from = store.retained().bodies_from;
    let with_body = headers.into_iter().filter(|header| header.position.sequence >= bodies_from);
    let entries = store.with_bodies(with_body.collect()).await?;
    let without = entries.iter().filter(|entry| entry.body.is_none()).count();
    let looked_up = sequences.len();
    let counted = [
        (missing, "journal entries", "are missing"),
        (without, "journal entries", "have no body"),
        (behind, "journal entries", "lead to a state that is missing or older"),
    ];
    let sentence = |(count, what, how): (usize, &str, &str)| {
        (count > 0).then(|| format!("of {looked_up} {what} looked up, {count} {how}"))
    };
    Ok(counted.into_iter().filter_map(sentence).collect())
}

/// Sequences from all over the retained journal, in order; not from its tail, every entry of which is checked.
fn sampled_sequences(store: &Store) -> Vec<u64> {
    let (first, tail) = (store.retained().headers_from, redo::tail_from(store));
    let count = tail.saturating_sub(first);
    if count <= SAMPLES as u64 {
        return (first..tail).collect();
    }
    let mut random = vec![0; SAMPLES * 8];
    store.fill_random(&mut random);
    let numbers = random.as_chunks::<8>().0.iter().map(|bytes| u64::from_be_bytes(*bytes));
    let sampled: BTreeSet<u64> = numbers.map(|number| first + number % count).collect();
    sampled.into_iter().collect()
}

/// How many subjects have a state that is missing, or older than one of these entries.
pub(in crate::store) async fn count_behind(store: &Store, headers: &[Header]) -> Result<usize, Error> {
    let mut behind = 0;
    for_every_state!(S => {
        behind += count_behind_of::<S>(store, headers).await?;
    });
    Ok(behind)
}

async fn count_behind_of<S: State>(store: &Store, headers: &[Header]) -> Result<usize, Error> {
    let mut latest: BTreeMap<Vec<u8>, (S::Key, u64)> = BTreeMap::new();
    for header in headers {
        let Some(key) = S::key_of(&header.subject) else { continue };
        let (_, version) = latest.entry(key.to_bytes()).or_insert((key, 0));
        *version = header.version.max(*version);
    }
    let states: Vec<Option<S>> = store.inner.engine.get(latest.values().map(|(key, _)| key)).await?;
    let is_behind = |(state, (_, version)): (&Option<S>, &(S::Key, u64))| {
        state.as_ref().is_none_or(|state| state.version() < *version)
    };
    Ok(states.iter().zip(latest.values()).filter(|pair| is_behind(*pair)).count())
}
