//! Reserved slots: the way in for whoever runs the node, while clients hold every other slot.
//!
//! gRPC and HTTP have a few slots beside their configured limit. A connection gets one when no other slot is free and no
//! connection can be evicted for it. It is served what says how the node is (health, readiness, metrics) and the calls of
//! administrators of the node; whatever else is asked is refused as overloaded. It has less time to begin, and is closed
//! after a few seconds: at once, or where an administrator called, when nothing is in flight. A source takes a quarter of
//! these slots at most, even one that is exempt from other bounds.
//!
//! This file says how many there are, for how long, and who is served in them. How a client is refused, and which requests
//! ask how the node is, is said by each front end.

use std::time::Duration;

use super::quota::QuotaBounds;
use super::slots::SlotUse;
use crate::authority::caller::Caller;
use crate::model::refusal::Failure;

/// Reserved slots of each front end that has them.
pub const RESERVED_SLOTS: usize = 16;
/// Of so many reserved slots, one source may hold one.
const SOURCE_SHARE: usize = 4;
/// How long a connection in a reserved slot may take for its first byte and its TLS handshake together.
pub(super) const OPENING_MAX: Duration = Duration::from_secs(5);
/// How long a connection in a reserved slot is served, before it is closed in order.
pub(super) const SERVED_MAX: Duration = Duration::from_secs(5);

/// The bounds of so many reserved slots.
pub(super) const fn bounds(slots: usize) -> QuotaBounds {
    QuotaBounds { total: slots, per_source: slots.div_ceil(SOURCE_SHARE) }
}

impl SlotUse {
    /// Notes who calls, once it is known. In a reserved slot only administrators of the node are served.
    pub(in crate::front) fn admit(&self, caller: &Caller) -> Result<(), Failure> {
        if self.is_reserved() && !caller.is_admin() {
            return Err(Failure::Overloaded);
        }
        match caller {
            Caller::Anonymous => {}
            Caller::Node | Caller::Token(_) | Caller::Identity(_) => self.set_authenticated(),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Instant;

    use super::super::slots::{ConnectionLimits, Slots};
    use super::{Caller, Failure};

    #[test]
    fn a_reserved_slot_serves_administrators_of_the_node_alone() {
        let slots = Slots::new(ConnectionLimits::new(1, 1), 4, Instant::now());
        let take = |last: u8| slots.take(IpAddr::from([127, 0, 0, last]), Instant::now()).expect("a slot");
        let (usual, reserved) = (take(1), take(2));
        assert_eq!(usual.usage().admit(&Caller::Anonymous), Ok(()));
        assert!(!usual.usage().is_authenticated());
        assert_eq!(reserved.usage().admit(&Caller::Anonymous), Err(Failure::Overloaded));
        assert_eq!(reserved.usage().admit(&Caller::Node), Ok(()));
        assert!(reserved.usage().is_authenticated());
    }
}
