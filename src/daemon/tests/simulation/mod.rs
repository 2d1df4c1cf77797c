//! Seeded programs for a whole node, compared with a plain map: commands, questions, restarts, kills, power cuts, faults of the
//! disk, a wrong clock, pruning, backups, restores, and filing at an upper node that is away at times.
//!
//! ```text
//!   seed ─▶ Chance ─▶ steps ─▶ Machine (the node on its disk, under its clock) ─┐
//!                        └───▶ Model (a plain map) ──────────────────────────────┴─ compared
//! ```
//! What must hold at any time: an acknowledged change is there and stays there; one that failed is there completely or not at
//! all, and a repetition of its request leads to the same outcome; nothing is read-only without a reason; request ids and
//! history last as long as configured, whatever the clock shows; a restore gives exactly what was asked for; the upper node
//! holds what was filed, and is sent it once.
//!
//! A failure prints its seed. `IDNODE_SIMULATION_SEEDS=17..18 cargo test --lib simulation` runs that one again; without the
//! variable a few seeds run, beginning at a random one.

mod chance;
mod machine;
mod model;
mod program;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

use self::program::Program;

/// Programs that run when no seeds are asked for.
const SEEDS_DEFAULT: u64 = 24;
/// Programs that run at the same time: they wait for disks and networks.
const THREADS: usize = 6;

/// The seeds that were asked for, or a few that begin at random.
fn seeds() -> Range<u64> {
    if let Ok(asked) = std::env::var("IDNODE_SIMULATION_SEEDS") {
        let bounds =
            asked.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
        return bounds.unwrap_or_else(|| panic!("IDNODE_SIMULATION_SEEDS is {asked:?}; example: 0..1000"));
    }
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    let first = u64::from(u32::from_be_bytes(bytes));
    first..first + SEEDS_DEFAULT
}

#[test]
fn programs_lead_where_a_plain_map_leads() {
    let waiting = Mutex::new(seeds());
    let failed = Mutex::new(Vec::new());
    let next = || waiting.lock().expect("no thread panics with it").next();
    let work = || {
        while let Some(seed) = next() {
            if catch_unwind(AssertUnwindSafe(|| Program::run(seed))).is_err() {
                failed.lock().expect("no thread panics with it").push(seed);
            }
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(work))));
    let failed = failed.into_inner().expect("no thread panics with it");
    assert!(failed.is_empty(), "these seeds failed, see above: {failed:?}");
}
