//! What a repair rebuilds when the table of facts about the store is lost: incarnations, what is retained, and seals follow from
//! the journal's headers.

use std::collections::BTreeMap;

use crate::model::limits::SEGMENT_ENTRIES;
use crate::model::position::{Incarnation, Position};
use crate::store::Store;
use crate::store::engine::{PageLimit, Step, Walk, WriteId, Writes};
use crate::store::entry::Readable;
use crate::store::entry::journaled::{EncodedBody, JournalKey};
use crate::store::error::Error;
use crate::store::journal::lineage::{Lineage, LineageEntry};
use crate::store::journal::retention::{RetainedFrom, Seal};
use crate::store::journal::{Hash, Header};
use crate::store::writer::End;

/// Headers of one step.
const STEP: PageLimit = PageLimit { entries: 1_000, bytes: 4 * 1024 * 1024 };

/// The first sequence of an incarnation, and its last position with the hash there.
struct Reach {
    first: u64,
    last: (Position, Hash),
}

/// Writes incarnations, what is retained, and seals, as the journal shows them. What was pruned with the journal does not
/// come back: the first incarnation seems to begin with the first entry that is there.
pub(in crate::store) async fn rebuild_meta(store: &Store) -> Result<(), Error> {
    let mut reaches: BTreeMap<Incarnation, Reach> = BTreeMap::new();
    let mut writes = Writes::default();
    let mut walk = Walk::<Header>::through_all(STEP);
    loop {
        let page = match walk.next(&store.inner.engine).await {
            Step::Page(page) => page,
            // The walk through the journal that follows names what is missing.
            Step::Unreadable(_) => continue,
            Step::End => break,
        };
        for header in page.into_iter().filter_map(|walked| walked.entry.ok()) {
            extend(&mut reaches, &header);
            if let Some(seal) = Seal::at(End::at(&header)) {
                writes.put(&seal.key(), &seal, WriteId::SMALL);
            }
        }
    }
    writes.put_fact(&lineage(reaches));
    let headers_from = first_segment::<Header>(store).await?;
    let bodies_from = first_segment::<EncodedBody>(store).await?.max(headers_from);
    writes.put_fact(&RetainedFrom { headers_from, bodies_from });
    store.write(writes).await
}

/// The first sequence of the first segment of which there is any header, or any body: only whole segments are pruned.
async fn first_segment<R: Readable<Key = JournalKey>>(store: &Store) -> Result<u64, Error> {
    let first = store.inner.engine.first_sequence::<R>().await?.unwrap_or(1);
    Ok(first.saturating_sub(1) / SEGMENT_ENTRIES * SEGMENT_ENTRIES + 1)
}

fn extend(reaches: &mut BTreeMap<Incarnation, Reach>, header: &Header) {
    let Header { position, chain, .. } = header;
    let reach = reaches
        .entry(position.incarnation)
        .or_insert(Reach { first: position.sequence, last: (*position, *chain) });
    reach.first = reach.first.min(position.sequence);
    if position.sequence > reach.last.0.sequence {
        reach.last = (*position, *chain);
    }
}

fn lineage(reaches: BTreeMap<Incarnation, Reach>) -> Lineage {
    let mut in_order: Vec<(Incarnation, Reach)> = reaches.into_iter().collect();
    in_order.sort_by_key(|(_, reach)| reach.first);
    let mut lineage = Lineage::default();
    let mut continues = None;
    for (incarnation, Reach { first, last }) in in_order {
        lineage.begin(LineageEntry { incarnation, first_sequence: first, continues });
        continues = Some(last);
    }
    lineage
}
