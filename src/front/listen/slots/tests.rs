//! Which connections get a slot and which give way.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use super::{ConnectionLimits, IDLE_MIN, NoSlot, Slot, Slots};

const LIMITS: ConnectionLimits = ConnectionLimits::new(16, 8);

fn address(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

fn fill(slots: &Arc<Slots>, sources: &[(u8, usize)], now: Instant) -> Vec<Slot> {
    let each = sources.iter().flat_map(|(last, count)| std::iter::repeat_n(*last, *count));
    each.map(|last| slots.take(address(last), now).expect("a slot")).collect()
}

fn is_evicted(slot: &Slot) -> bool {
    slot.evicted().now_or_never().is_some()
}

fn evicted(slots: &[Slot]) -> Vec<usize> {
    slots.iter().enumerate().filter(|(_, slot)| is_evicted(slot)).map(|(position, _)| position).collect()
}

#[test]
fn no_source_takes_every_slot() {
    let now = Instant::now();
    let slots = Slots::new(LIMITS, 0, now);
    let mut greedy = fill(&slots, &[(1, 8)], now);
    assert_eq!(slots.take(address(1), now).err(), Some(NoSlot::Source));
    assert!(slots.take(address(2), now).is_ok());
    drop(greedy.pop());
    assert!(slots.take(address(1), now).is_ok());
    drop(greedy);
    let in_network = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]);
    let network: Vec<Slot> = (0..9).map_while(|last| slots.take(in_network(last), now).ok()).collect();
    assert_eq!(network.len(), 8, "the addresses of one network are one source");
    drop(network);
    let table = slots.table();
    assert!(table.sources.is_empty() && table.sizes.is_empty() && table.taken == 0);
}

#[test]
fn a_source_beyond_its_quota_evicts_its_own_idle_connection() {
    let now = Instant::now();
    let slots = Slots::new(LIMITS, 0, now);
    let taken = fill(&slots, &[(1, 8), (2, 2)], now);
    let later = now + IDLE_MIN;
    taken.iter().take(3).for_each(|slot| slot.usage().touch(later));
    let _ninth = slots.take(address(1), later).expect("one of its own is idle");
    assert_eq!(evicted(&taken), [3]);
    assert_eq!(slots.evicted(), 1);
    assert_eq!(slots.take(address(1), later).err(), Some(NoSlot::Source), "one of eight is on its way out");
}

#[test]
fn the_source_with_most_connections_gives_way_to_others() {
    let now = Instant::now();
    let slots = Slots::new(LIMITS, 0, now);
    let taken = fill(&slots, &[(1, 8), (2, 8)], now);
    taken.iter().skip(8).take(1).for_each(|slot| slot.usage().set_authenticated());
    let mut others = Vec::new();
    for last in [3, 4] {
        others.push(slots.take(address(last), now).expect("the largest source gives way"));
    }
    let evicted_now = evicted(&taken);
    assert_eq!(evicted_now.len(), 2);
    assert!(!evicted_now.contains(&8), "an authenticated connection that is in use stays");
    assert_eq!(slots.take(address(5), now).err(), Some(NoSlot::Total), "two of sixteen are on their way out");
    drop(taken);
    drop(others);
    assert_eq!(slots.open(), 0);
}

#[test]
fn among_equals_the_longest_idle_gives_way_and_the_unauthenticated_first() {
    let now = Instant::now();
    let slots = Slots::new(LIMITS, 0, now);
    let each_one: Vec<(u8, usize)> = (1..=16).map(|last| (last, 1)).collect();
    let taken = fill(&slots, &each_one, now);
    assert_eq!(slots.take(address(17), now).err(), Some(NoSlot::Total), "all are busy");
    let later = now + IDLE_MIN;
    let [first, _, rest @ ..] = taken.as_slice() else { panic!("sixteen") };
    first.usage().set_authenticated();
    rest.iter().for_each(|slot| slot.usage().touch(later));
    let _third = slots.take(address(17), later).expect("the second is idle and not authenticated");
    assert_eq!(evicted(&taken), [1]);
    let _fourth = slots.take(address(18), later).expect("the first is idle");
    assert_eq!(evicted(&taken), [0, 1]);
}

#[test]
fn reserved_slots_are_taken_when_all_others_are() {
    let now = Instant::now();
    let slots = Slots::new(ConnectionLimits::new(4, 4), 8, now);
    let taken = fill(&slots, &[(1, 1), (2, 1), (3, 1), (4, 1)], now);
    assert!(taken.iter().all(|slot| !slot.usage().is_reserved()));
    let reserved: Vec<Slot> = (0..3).map_while(|_| slots.take(address(5), now).ok()).collect();
    assert_eq!(reserved.len(), 2, "a quarter of the reserved slots for one source");
    assert!(reserved.iter().all(|slot| slot.usage().is_reserved()));
    assert!(slots.take(address(6), now).is_ok());
    drop((taken, reserved));
    assert_eq!(slots.open(), 0);
}

#[test]
fn an_exempt_network_is_bounded_by_the_total_alone() {
    let now = Instant::now();
    let exempt_networks = vec!["127.0.0.1/32".parse().expect("a network")];
    let slots = Slots::new(ConnectionLimits { exempt_networks, ..LIMITS }, 0, now);
    let proxy = fill(&slots, &[(1, 15)], now);
    assert!(proxy.iter().all(|slot| slot.usage().source().is_exempt()), "for all that its connections take");
    let _other = slots.take(address(2), now).expect("the last slot");
    assert_eq!(slots.take(address(3), now).err(), Some(NoSlot::Total), "the proxy does not give way");
    assert_eq!(evicted(&proxy), [0; 0]);
    let much_later = now + IDLE_MIN + Duration::from_secs(1);
    assert!(slots.take(address(3), much_later).is_ok(), "until one of its connections is idle");
}
