//! What a repair rebuilds when the table of facts about the store is lost: incarnations, what is retained, and seals follow from
//! the journal's headers.

use std::collections::BTreeMap;

use crate::model::limits::SEGMENT_ENTRIES;
use crate::model::position::{Incarnation, Position};

use super::Store;
use super::commit::End;
use super::engine::scan::{Order, ScanLimit, ScanRange};
use super::engine::table::Table;
use super::error::Error;
use super::journal::{Hash, Header};
use super::lineage::{Lineage, LineageEntry};
use super::retention::{RetainedFrom, seal_at};
use super::table_walk::{Step, TableWalk};
use super::writes::Writes;
use super::{envelope, key};

/// Headers of one step.
const STEP: ScanLimit = ScanLimit { entries: 1_000, bytes: 4 * 1024 * 1024 };

/// The first sequence of an incarnation, and its last position with the hash there.
struct Reach {
    first: u64,
    last: (Position, Hash),
}

impl Store {
    /// Writes incarnations, what is retained, and seals, as the journal shows them. What was pruned with the journal does not
    /// come back: the first incarnation seems to begin with the first entry that is there.
    pub(super) async fn rebuild_meta(&self) -> Result<(), Error> {
        let mut reaches: BTreeMap<Incarnation, Reach> = BTreeMap::new();
        let mut writes = Writes::default();
        let mut walk = TableWalk::of(Table::Header, STEP);
        loop {
            let page = match walk.next(self).await {
                Step::Page(page) => page,
                // The walk through the journal that follows names what is missing.
                Step::Unreadable(_) => continue,
                Step::End => break,
            };
            for (key, stored) in page {
                let Ok(envelope::Opened::Whole(body)) = envelope::open(&key, &stored) else { continue };
                let Ok(header) = Header::decode_stored(&body) else { continue };
                extend(&mut reaches, &header);
                if let Some((key, seal)) = seal_at(End::at(&header)) {
                    writes.put(Table::Meta, key, &seal, header.position.sequence);
                }
            }
        }
        writes.put_lineage(&lineage(reaches));
        let headers_from = self.first_segment(Table::Header).await?;
        let bodies_from = self.first_segment(Table::Body).await?.max(headers_from);
        writes.put_retained(RetainedFrom { headers_from, bodies_from });
        self.write(writes.into_batch()).await
    }

    /// The first sequence of the first segment of which a table holds anything: only whole segments are pruned.
    async fn first_segment(&self, table: Table) -> Result<u64, Error> {
        let limit = ScanLimit { entries: 1, bytes: 1 };
        let page = self.inner.engine.scan(table, ScanRange::all(), Order::Forward, limit).await?;
        let first = page.first().and_then(|(key, _)| key::sequence_of(key)).unwrap_or(1);
        Ok(first.saturating_sub(1) / SEGMENT_ENTRIES * SEGMENT_ENTRIES + 1)
    }
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
