//! Closing a connection in order: when it has to be closed, and for how long it may finish what it has in flight.

use std::time::Duration;

use tokio::time::sleep;

use super::drain::Draining;
use super::reserved;
use super::slots::SlotUse;

/// How long a connection that has to give its slot away may take for what it has in flight.
const FINISHING_MAX: Duration = Duration::from_secs(30);

/// Waits until a connection has to be closed: its front end drains, it is evicted, or its time in a reserved slot is over.
/// Returns how long it may take for what it has in flight. Safe to drop.
pub(in crate::front) async fn must_close(slot: &SlotUse, draining: &mut Draining) -> Duration {
    let served_max = if slot.is_reserved() { reserved::SERVED_MAX } else { Duration::MAX };
    tokio::select! {
        // How long a drain may take is bounded by the daemon.
        () = draining.begins() => Duration::MAX,
        () = slot.evicted() => FINISHING_MAX,
        () = sleep(served_max) => {
            // The command of an administrator has an outcome that must be reported.
            if slot.is_authenticated() { FINISHING_MAX } else { Duration::ZERO }
        }
    }
}
