//! Increments, and restores to earlier positions and times.

use std::fs;

use super::{
    Bench, Damage, EngineKind, Error, Kind, RestoreRequest, Until, check_restored, refused, restored, verdict,
};
use crate::model::position::{Position, Stream};

/// full ─ incremental ─ incremental, with writes between and after.
struct Chain {
    bench: Bench,
    names: Vec<String>,
    ends: Vec<Position>,
}

async fn chain(engine: EngineKind) -> Chain {
    let mut bench = Bench::new(engine).await;
    let (mut names, mut ends) = (Vec::new(), Vec::new());
    for (kind, round) in [(Kind::Full, 0), (Kind::Incremental, 1), (Kind::Incremental, 2)] {
        for block in 0..3 {
            bench.write(round * 30 + block..round * 30 + block + 50).await;
        }
        let made = bench.create(kind).await;
        assert_eq!((made.kind, made.note, made.base), (kind, None, names.last().cloned()));
        names.push(made.name);
        ends.push(made.to);
    }
    Chain { bench, names, ends }
}

#[tokio::test]
async fn an_increment_restores_with_all_it_continues() {
    for engine in EngineKind::ALL {
        let Chain { bench, names, ends } = chain(engine).await;
        for (position, name) in names.iter().enumerate() {
            let report = restored(bench.request(name, &format!("again-{position}"))).await;
            assert_eq!(report.backups, names[..=position]);
            assert_eq!(report.restored.continues, ends[position]);
            let data = bench.path(&format!("again-{position}"));
            check_restored(&data, engine, bench.states_at(ends[position].sequence)).await;
            assert!(verdict(&bench.path("backups").join(name)).await.is_whole());
        }
    }
}

#[tokio::test]
async fn any_earlier_position_after_the_image_can_be_restored() {
    let Chain { bench, names, ends } = chain(EngineKind::Fjall).await;
    let blocks: Vec<u64> =
        bench.past.iter().map(|(end, _)| *end).filter(|end| *end >= ends[0].sequence).collect();
    assert!(blocks.len() > 5);
    // By the directory and the full position, and by the newest backup and the sequence alone.
    for (turn, sequence) in blocks.into_iter().enumerate() {
        let data = format!("again-{sequence}");
        let position = Position { sequence, ..ends[0] };
        let (from, text) = if turn % 2 == 0 {
            ("", position.to_string())
        } else {
            (names[2].as_str(), sequence.to_string())
        };
        let until = Until::parse_position(&text).expect("a position");
        let report = restored(RestoreRequest { until, ..bench.request(from, &data) }).await;
        assert_eq!(report.restored.continues, position);
        check_restored(&bench.path(&data), EngineKind::Fjall, bench.states_at(sequence)).await;
    }
}

#[tokio::test]
async fn a_time_restores_the_last_entry_not_after_it() {
    let Chain { bench, ends, .. } = chain(EngineKind::Fjall).await;
    let header = bench.header(ends[1].sequence - 60).await;
    let time_ms = header.time_ms;
    let headers = bench.store.headers_after(None, 100_000).await.expect("the journal reads");
    let not_after = headers.iter().filter(|header| header.time_ms <= time_ms);
    let expected = not_after.map(|header| header.position.sequence).max();
    let request = bench.request("", "again");
    let report = restored(RestoreRequest { until: Until::Time(time_ms), ..request.clone() }).await;
    assert_eq!(Some(report.restored.continues.sequence), expected);
    assert_eq!(report.restored.time_ms, time_ms);
    check_restored(&bench.path("again"), EngineKind::Fjall, bench.states_at(expected.expect("one"))).await;

    let error =
        refused(RestoreRequest { until: Until::Time(1_700_000_000_000), data: bench.path("no"), ..request })
            .await;
    let Error::Unreachable { target, reach } = &error else { panic!("{error}") };
    assert_eq!((target.as_str(), reach.len()), ("time 2023-11-14T22:13:20Z", 1));
    assert!(reach.iter().all(|line| line.contains(&format!("reaches from {}", ends[0]))), "{error}");
}

#[tokio::test]
async fn positions_out_of_reach_and_of_other_lives_are_refused() {
    let Chain { bench, ends, names } = chain(EngineKind::Fjall).await;
    let before = Position { sequence: ends[0].sequence - 1, ..ends[0] };
    let beyond = Position { sequence: ends[2].sequence + 1, ..ends[2] };
    let other = Position { incarnation: crate::model::position::Incarnation([9; 16]), ..ends[1] };
    assert_eq!(before.stream, Stream::ONLY);
    for (position, from) in [(before, ""), (beyond, ""), (other, ""), (ends[2], names[1].as_str())] {
        let request = RestoreRequest { until: Until::Position(position), ..bench.request(from, "again") };
        let error = refused(request).await;
        assert!(matches!(error, Error::Unreachable { .. }), "{position}: {error}");
    }
}

#[tokio::test]
async fn a_chain_with_a_gap_is_named_and_refused() {
    let Chain { bench, names, .. } = chain(EngineKind::Fjall).await;
    let backups = bench.path("backups");
    let aside = bench.path("aside");
    fs::rename(backups.join(&names[1]), &aside).expect("the increment");
    let expected = format!("{}: the backup that this one continues is missing", names[1]);
    let found = verdict(&backups.join(&names[2])).await.findings;
    assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), std::slice::from_ref(&expected));
    let error = refused(bench.request(&names[2], "again")).await.to_string();
    assert!(error.contains(&expected), "{error}");
    // The directory as a whole still offers what is before the gap, to who accepts it.
    let error = refused(bench.request("", "again")).await;
    let Error::Older { lost, .. } = &error else { panic!("{error}") };
    assert!(lost[0].to_string().starts_with(&names[2]) && error.to_string().contains(&expected), "{error}");
    let accepting = RestoreRequest { damage: Damage::AcceptOlder, ..bench.request("", "again") };
    let report = restored(accepting).await;
    assert_eq!((report.backups.as_slice(), report.lost), (&names[..1], lost.clone()));
    fs::rename(&aside, backups.join(&names[1])).expect("the increment");
    fs::write(backups.join(&names[0]).join("image-000001.zst"), b"short").expect("space on disk");
    let found = verdict(&backups.join(&names[2])).await.findings;
    assert_eq!(found[0].file, format!("{}/image-000001.zst", names[0]));
}

#[tokio::test]
async fn what_cannot_be_continued_becomes_a_full_backup_that_says_why() {
    let mut bench = Bench::new(EngineKind::Fjall).await;
    bench.write(0..50).await;
    let made = bench.create(Kind::Incremental).await;
    assert_eq!(made.kind, Kind::Full);
    let note = made.note.expect("a reason");
    assert!(note.ends_with("there is no earlier backup of this store"), "{note}");
    bench.write(0..50).await;
    let later = bench.create(Kind::Incremental).await;
    assert_eq!(later.kind, Kind::Incremental);
    // A store restored to before the end of that increment goes another way.
    restored(bench.request(&made.name, "again")).await;
    let scratch = bench.close().await;
    let mut again = Bench::at(scratch, "again", EngineKind::Fjall).await;
    again.write(0..500).await;
    let next = again.create(Kind::Incremental).await;
    assert_eq!(next.kind, Kind::Full);
    let note = next.note.expect("a reason");
    assert!(note.contains("ends in an incarnation of the store that this one does not continue"), "{note}");
    // Of the whole directory, what was made last is restored.
    let report = restored(again.request("", "third")).await;
    assert_eq!(report.backups, [next.name]);
}
