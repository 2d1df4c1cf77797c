//! Questions in flight: who asks what is being asked already waits for that answer.
//!
//! The asking goes on as long as anybody waits for it, and no task of its own carries it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};

use crate::model::position::Incarnation;

use super::error::PeerError;
use super::question::{PeerAnswer, QuestionKey};

/// A question on its way, from those that passed it on.
pub(super) type FlightKey = (QuestionKey, Vec<Incarnation>);

type Answer = Result<PeerAnswer, PeerError>;
type Flight = Shared<BoxFuture<'static, Answer>>;

/// Questions in flight.
#[derive(Default)]
pub(super) struct Flights {
    flying: Mutex<HashMap<FlightKey, WeakShared<BoxFuture<'static, Answer>>>>,
}

impl Flights {
    /// Joins the flight of this question, or begins one.
    pub(super) fn join(&self, key: FlightKey, begin: impl FnOnce() -> BoxFuture<'static, Answer>) -> Flight {
        let mut flying = self.flying.lock().unwrap_or_else(PoisonError::into_inner);
        let landed = |flight: &Flight| flight.peek().is_some();
        if let Some(flight) = flying.get(&key).and_then(WeakShared::upgrade).filter(|flight| !landed(flight))
        {
            return flight;
        }
        let is_open = |flight: &mut WeakShared<_>| flight.upgrade().is_some_and(|flight| !landed(&flight));
        flying.retain(|_, flight| is_open(flight));
        let flight = begin().shared();
        if let Some(weak) = flight.downgrade() {
            flying.insert(key, weak);
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
    async fn the_same_question_flies_once() {
        let flights = Flights::default();
        let (begun, landing) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let fly = |suffix: &str, path: Vec<Incarnation>| {
            let (begun, landing) = (Arc::clone(&begun), Arc::clone(&landing));
            flights.join((asked(suffix).key(&PeerTarget::Upper), path), || {
                begun.fetch_add(1, Ordering::SeqCst);
                async move {
                    landing.notified().await;
                    Ok(PeerAnswer::NoIdentifier)
                }
                .boxed()
            })
        };
        let (first, second) = (fly("a", Vec::new()), fly("a", Vec::new()));
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        let passed_on = fly("a", vec![Incarnation([1; 16])]);
        assert_eq!(begun.load(Ordering::SeqCst), 2, "a question that came another way flies by itself");
        drop(passed_on);
        landing.notify_one();
        let (first, second) = tokio::join!(first, second);
        assert_eq!((first, second), (Ok(PeerAnswer::NoIdentifier), Ok(PeerAnswer::NoIdentifier)));
        drop(fly("a", Vec::new()));
        assert_eq!(begun.load(Ordering::SeqCst), 3, "an answer that arrived is not waited for");
    }
}
