//! Questions in flight: the same question, asked again meanwhile, shares the answer.
//!
//! A call runs as long as at least one caller waits for it; the waiting callers drive it, without a task of its own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::model::position::Incarnation;

use super::error::PeerError;
use super::question::{PeerAnswer, QuestionKey};

/// Key of a call in flight: a question and the nodes that passed it on.
pub(super) type FlightKey = (QuestionKey, Vec<Incarnation>);

type Answer = Result<PeerAnswer, PeerError>;
type Flight = Shared<BoxFuture<'static, Answer>>;

/// Questions in flight.
#[derive(Default)]
pub(super) struct Flights {
    in_flight: Mutex<HashMap<FlightKey, WeakShared<BoxFuture<'static, Answer>>>>,
}

impl Flights {
    /// Joins the call that is in flight for this question, or starts one.
    pub(super) fn join(&self, key: FlightKey, start: impl FnOnce() -> BoxFuture<'static, Answer>) -> Flight {
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        let is_complete = |flight: &Flight| flight.peek().is_some();
        if let Some(flight) =
            in_flight.get(&key).and_then(WeakShared::upgrade).filter(|flight| !is_complete(flight))
        {
            return flight;
        }
        let is_pending =
            |flight: &mut WeakShared<_>| flight.upgrade().is_some_and(|flight| !is_complete(&flight));
        in_flight.retain(|_, flight| is_pending(flight));
        let flight = start().shared();
        if let Some(weak) = flight.downgrade() {
            in_flight.insert(key, weak);
        }
        flight
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::FutureExt;
    use tokio::sync::Notify;

    use super::super::question::{PeerAnswer, PeerQuestion, PeerTarget};
    use super::Flights;
    use crate::model::identifier::Identifier;
    use crate::model::position::Incarnation;

    fn asked(suffix: &str) -> PeerQuestion {
        let identifier = Identifier::parse(&format!("88.1/{suffix}")).expect("an identifier");
        PeerQuestion { identifier, indexes: Vec::new(), types: Vec::new(), path: Vec::new() }
    }

    #[tokio::test]
    async fn the_same_question_is_sent_once() {
        let flights = Flights::default();
        let (started, answered) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let ask = |suffix: &str, path: Vec<Incarnation>| {
            let (started, answered) = (Arc::clone(&started), Arc::clone(&answered));
            flights.join((asked(suffix).key(&PeerTarget::Upper), path), || {
                started.fetch_add(1, Ordering::SeqCst);
                async move {
                    answered.notified().await;
                    Ok(PeerAnswer::NoIdentifier)
                }
                .boxed()
            })
        };
        let (first, second) = (ask("a", Vec::new()), ask("a", Vec::new()));
        assert_eq!(started.load(Ordering::SeqCst), 1);
        let passed_on = ask("a", vec![Incarnation([1; 16])]);
        assert_eq!(started.load(Ordering::SeqCst), 2, "a question that came another way is sent separately");
        drop(passed_on);
        answered.notify_one();
        let (first, second) = tokio::join!(first, second);
        assert_eq!((first, second), (Ok(PeerAnswer::NoIdentifier), Ok(PeerAnswer::NoIdentifier)));
        drop(ask("a", Vec::new()));
        assert_eq!(started.load(Ordering::SeqCst), 3, "an answer that arrived is not waited for");
    }
}
