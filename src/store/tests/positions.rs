//! Positions: the store reads its journal after one that it has, and takes no other for it.

use super::{change, commit, opened, options, raise_high_water};
use crate::model::position::{Incarnation, Position, Stream};
use crate::store::error::Error;
use crate::store::journal::Header;
use crate::store::open::Opened;
use crate::store::open::loss::accept_loss;
use crate::store::{EngineKind, Store};

fn positions(headers: &[Header]) -> Vec<Position> {
    headers.iter().map(|header| header.position).collect()
}

/// The positions that a store lists after one, or why it does not.
async fn after(store: &Store, position: Option<Position>) -> Result<Vec<Position>, Error> {
    store.headers_after(position, 100).await.map(|headers| positions(&headers))
}

#[tokio::test]
async fn the_journal_is_read_after_a_position() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
        let block = (0..5).map(|number| change(&format!("88/{number}"), Some(b"x"), 1, None)).collect();
        let committed = commit(&mut writer, block).await;
        let (second, last) = (committed.positions[0], committed.positions[4]);
        assert_eq!((store.head(), store.journal_entries()), (last, 6), "{engine}");
        assert_eq!(after(&store, None).await.expect("it reads").len(), 6, "{engine}");
        assert_eq!(
            after(&store, Some(second)).await.expect("it reads"),
            committed.positions[1..],
            "{engine}"
        );
        assert_eq!(after(&store, Some(last)).await.expect("it reads"), [], "{engine}");
        let one = store.headers_after(Some(second), 1).await.expect("it reads");
        assert_eq!(positions(&one), committed.positions[1..2], "{engine}");
        assert_eq!(store.header(second).await.expect("it reads").map(|header| header.position), Some(second));
    }
}

#[tokio::test]
async fn a_position_of_another_journal_is_not_one_of_this() {
    for engine in EngineKind::ALL {
        let directory = tempfile::tempdir().expect("a directory");
        let Opened { store, mut writer, .. } = opened(directory.path(), engine).await;
        commit(&mut writer, vec![change("88/x", Some(b"x"), 1, None)]).await;
        let head = store.head();
        let others = [
            Position { sequence: 0, ..head },
            Position { sequence: head.sequence + 1, ..head },
            Position { sequence: u64::MAX, ..head },
            Position { incarnation: Incarnation([9; 16]), ..head },
            Position { stream: Stream(1), ..head },
        ];
        for other in others {
            assert!(!store.has_position(other), "{engine}: {other}");
            assert_eq!(store.header(other).await.expect("it reads"), None, "{engine}: {other}");
            let refused = after(&store, Some(other)).await;
            let is_named = matches!(&refused, Err(Error::OtherJournal { position }) if *position == other);
            assert!(is_named, "{engine}: {refused:?}");
        }
        assert!(store.has_position(head), "{engine}");
    }
}

/// The sequence of an entry that was lost belongs to another entry now, in another incarnation.
#[tokio::test]
async fn a_position_of_an_accepted_loss_is_not_taken_for_what_has_its_sequence() {
    let directory = tempfile::tempdir().expect("a directory");
    let Opened { store, mut writer, .. } = opened(directory.path(), EngineKind::Fjall).await;
    commit(&mut writer, vec![change("88/x", Some(b"one"), 1, None)]).await;
    let before = store.head();
    store.close(writer).await.expect("the store closes");
    raise_high_water(directory.path(), 3);
    accept_loss(options(directory.path(), EngineKind::Fjall)).await.expect("the loss is accepted");

    let Opened { store, .. } = opened(directory.path(), EngineKind::Fjall).await;
    let begun = store.head();
    let lost = Position { sequence: begun.sequence, ..before };
    assert_eq!(begun.entries_after(before), Some(1), "sequences go on");
    assert!(store.has_position(before) && store.has_position(begun) && !store.has_position(lost));
    assert_eq!(store.header(lost).await.expect("it reads"), None);
    assert_eq!(after(&store, Some(before)).await.expect("it reads"), [begun]);
    assert!(
        matches!(after(&store, Some(lost)).await, Err(Error::OtherJournal { position }) if position == lost)
    );
}
