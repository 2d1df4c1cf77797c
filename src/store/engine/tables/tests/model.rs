//! Random programs of commits and reopenings, compared with a plain map.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::Strategy, prop_oneof, strategy::Just, test_runner::TestRunner};

use super::{
    super::{
        EngineKind,
        backend::Backend,
        batch::WriteBatch,
        scan::{Order, PageLimit, ScanRange},
        table::Table,
    },
    CACHE_BYTES, all,
};

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<(u8, Vec<u8>, Option<Vec<u8>>)>),
    Reopen,
}

/// Few keys, so that they meet; some large values, so that pages split.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = vec(0_u8..6, 1..4);
    let value = prop_oneof![
        1 => Just(None),
        4 => vec(0_u8..=255, 0..40).prop_map(Some),
        1 => (0_u8..=255, 10_000_usize..24_000).prop_map(|(byte, bytes)| Some(vec![byte; bytes])),
    ];
    let commit = vec((1_u8..=12, key, value), 0..40).prop_map(Step::Commit);
    vec(prop_oneof![5 => commit, 1 => Just(Step::Reopen)], 1..16)
}

#[test]
fn fjall_behaves_as_a_map() {
    behaves_as_a_map(EngineKind::Fjall, 24);
}

#[test]
fn sled_behaves_as_a_map() {
    behaves_as_a_map(EngineKind::Sled, 24);
}

fn behaves_as_a_map(kind: EngineKind, cases: u32) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = proptest::test_runner::Config { cases, failure_persistence: None, ..Default::default() };
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        runtime.block_on(run(kind, steps));
        Ok(())
    });
    outcome.unwrap();
}

async fn run(kind: EngineKind, steps: Vec<Step>) {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = Backend::open(kind, directory.path(), CACHE_BYTES).await.unwrap();
    let mut model = BTreeMap::<(Table, Vec<u8>), Vec<u8>>::new();
    for step in steps {
        match step {
            Step::Commit(changes) => engine.commit(change_both(changes, &mut model)).await.unwrap(),
            Step::Reopen => {
                engine.close().await.unwrap();
                engine = Backend::open(kind, directory.path(), CACHE_BYTES).await.unwrap();
            }
        }
        compare(&engine, &model).await;
    }
}

fn change_both(
    changes: Vec<(u8, Vec<u8>, Option<Vec<u8>>)>,
    model: &mut BTreeMap<(Table, Vec<u8>), Vec<u8>>,
) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (code, key, value) in changes {
        let table = Table::from_code(code).unwrap();
        match value {
            Some(value) => {
                model.insert((table, key.clone()), value.clone());
                batch.put(table, key, value);
            }
            None => {
                model.remove(&(table, key.clone()));
                batch.delete(table, key);
            }
        }
    }
    batch
}

async fn compare(engine: &Backend, model: &BTreeMap<(Table, Vec<u8>), Vec<u8>>) {
    for table in Table::ALL {
        let expected: Vec<_> = model.iter().filter(|((its, _), _)| *its == table).collect();
        let expected: Vec<_> =
            expected.into_iter().map(|((_, key), value)| (key.clone(), value.clone())).collect();
        assert!(all(engine, table).await == expected, "{} differs", table.name());
        let keys = expected.iter().map(|(key, _)| key.clone()).collect();
        let many = engine.get_many(table, keys).await.unwrap();
        assert!(
            many.iter().flatten().eq(expected.iter().map(|(_, value)| value)),
            "{} differs",
            table.name()
        );
        let (range, limit) = (ScanRange::starting_with(&[3]), PageLimit { entries: 5, bytes: usize::MAX });
        let last = engine.scan(table, range, Order::Backward, limit).await.unwrap();
        let expected = expected.into_iter().rev().filter(|(key, _)| key[0] == 3).take(5);
        assert!(last.into_iter().eq(expected), "{} differs backward", table.name());
    }
}
