//! Whether a connection can be closed when the door closes: what of it is under way, and whether it is still heard.
//!
//! HTTP/2 ends a connection in two steps: we announce the end, and the other end acknowledges what it has heard
//! (RFC 9113 section 6.8). Who never began to speak, or has gone silent, acknowledges nothing; it is waited for only
//! while one of its calls is worked at. A call is worked at once its request has come in whole, or its stream has begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time;

use super::call::closed;

/// How long a connection may be silent when the door closes.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

//----------- UnderWay -------------------------------------------------------

/// What is under way on one connection.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    calls: AtomicUsize,
    heard: AtomicUsize,
}

impl UnderWay {
    /// Counts a call as worked at until all clones of the mark are dropped.
    pub(super) fn begin_call(self: &Arc<Self>) -> Arc<CallMark> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Arc::new(CallMark(Arc::clone(self)))
    }

    /// Notes that the other end was heard.
    pub(super) fn hear(&self) {
        self.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns when the door closes, and then no call is worked at and nothing was heard for a while.
    pub(super) async fn forsaken(self: Arc<Self>, mut closing: watch::Receiver<bool>) {
        closed(&mut closing).await;
        loop {
            let heard = self.heard.load(Ordering::Relaxed);
            time::sleep(FAREWELL_MAX).await;
            if self.heard.load(Ordering::Relaxed) == heard && self.calls.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}

//----------- CallMark -------------------------------------------------------

/// One call that is worked at.
#[derive(Debug)]
pub(super) struct CallMark(Arc<UnderWay>);

impl Drop for CallMark {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}
