//! Filing: reports this node's prefixes to the upper node, which delegates to this node from then on.
//!
//! ```text
//!   announce ─▶ the upper node's bookmark
//!      │  it is valid: continue after it
//!      │  first contact, a new incarnation on either side, another scope or site, a bookmark before the retained journal,
//!      │  something that was refused:
//!      ▼  file the whole present state
//!   follow the journal ─▶ prefix changes filed, in order ─▶ acknowledged, on its disk ─▶ bookmark
//!      ▲                  identifier changes counted                                        │
//!      └────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! - The upper node's bookmark, which is durable there, decides what counts as filed. A message that is repeated after
//!   an interruption has no second effect.
//! - An unreachable upper node does not affect this node's own work; filing retries, after a longer wait each time.
//! - A prefix that the upper node refuses is set aside and reported; the others are filed. It is filed again after a pause
//!   and at each new contact, since the refusal ends by a decision there.
//! - Filing ends when a later incarnation of this store has filed: two copies of a store never both file. A store that does not
//!   continue the one which filed last is refused until the operator of the upper node decides; it is tried again meanwhile.
//!
//! Filing reads the store and saves bookmarks there; it never changes what is registered.

mod error;
mod follow;
mod present;
mod refused;

pub mod status;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{self, Instant};

use crate::federation::Backoff;
use crate::federation::filing_message::{Acknowledged, Announced, FilingMessage};
use crate::federation::upper::{AcknowledgementReceiver, FilingSender, Upper};
use crate::model::environment::Jitter;
use crate::model::identifier::Prefix;
use crate::model::limits::INCARNATIONS_ANNOUNCED_MAX;
use crate::model::position::{Bookmark, Incarnation, Position, Stream};
use crate::model::site::Site;
use crate::store::Store;
use crate::store::writer::UpkeepWriter;

use self::error::FilingError;
use self::refused::Refused;
use self::status::{FilingState, FilingWatch, SetAside};

/// Name of the bookmark of the last confirmed position.
const CONFIRMED: &str = "upper";
/// Name of the bookmark that holds the [`basis`] of the confirmation.
const BASIS: &str = "upper/basis";
/// How long an acknowledgement may take; the connection itself is watched more closely.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(300);

//----------- Filing ---------------------------------------------------------

/// Settings of filing.
#[derive(Clone)]
pub struct FilingOptions {
    /// The site of this node; none when nothing is announced.
    pub site: Option<Site>,
    /// The shortest wait after a failure.
    pub pause_first: Duration,
    /// The longest wait after a failure.
    pub pause_longest: Duration,
    /// The wait before what the upper node refused is filed again over the same connection.
    pub refused_pause: Duration,
    /// Source of the randomness in the waits.
    pub jitter: Jitter,
}

/// The task that files.
struct Filing {
    store: Store,
    upkeep: UpkeepWriter,
    upper: Arc<Upper>,
    options: FilingOptions,
    watch: FilingWatch,
}

/// Starts filing. It may be stopped at any point; the next start continues from there.
pub fn start(
    store: Store,
    upkeep: UpkeepWriter,
    upper: Arc<Upper>,
    options: FilingOptions,
    mut stop: watch::Receiver<bool>,
) -> (FilingWatch, JoinHandle<()>) {
    let watch = FilingWatch::new(store.clone(), upper.name());
    let filing = Filing { store, upkeep, upper, options, watch: watch.clone() };
    let running = tokio::spawn(async move {
        tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => {}
            () = filing.run() => {}
        }
    });
    (watch, running)
}

impl Filing {
    /// Files, with retries, until a final error.
    async fn run(self) {
        let confirmed = self.store.bookmark(CONFIRMED).await.ok().flatten();
        self.watch.confirmed(confirmed.and_then(|bookmark| bookmark.at(Stream::ONLY)));
        let Some(site) = self.options.site.clone() else {
            let reason =
                "nothing is announced to the upper node: name this node's addresses in site.addresses";
            tracing::warn!(reason, "filing does not start");
            self.watch.broke(FilingState::Ended, reason.to_owned());
            return;
        };
        let mut backoff = Backoff::new(self.options.pause_first, self.options.pause_longest);
        loop {
            let Err(error) = self.file(&site, &mut backoff).await;
            if error.is_final() {
                tracing::error!(upper = %self.upper.name(), %error, "filing has ended");
                self.watch.broke(FilingState::Ended, error.to_string());
                return;
            }
            let pause = backoff.next((self.options.jitter)());
            if self.watch.broke(FilingState::Away, error.to_string()) {
                tracing::warn!(upper = %self.upper.name(), %error, "filing is interrupted and tried again");
            }
            self.note_oldest().await;
            time::sleep(pause).await;
        }
    }

    /// Files over one connection until it breaks.
    async fn file(&self, site: &Site, backoff: &mut Backoff) -> Result<Infallible, FilingError> {
        let head = self.store.head();
        let connection = self.upper.announce(site, head.incarnation, &lineage(&self.store)).await?;
        let announced = connection.announced().clone();
        let basis = basis(&announced, site);
        let start = self.starting_point(&announced, &basis).await?;
        let (sender, receiver) = connection.file().await?;
        let (watch, refused) = (self.watch.clone(), Refused::none());
        let mut stream = FilingStream { sender, receiver, announced, watch, basis, refused };
        let from = match start {
            Some(position) => {
                self.watch.confirmed(Some(position));
                position
            }
            None => self.resynchronize(&mut stream).await?,
        };
        backoff.reset();
        tracing::info!(upper = %self.upper.name(), after = %from, "filing");
        self.watch.entered(FilingState::Filing);
        self.follow(&mut stream, from).await
    }

    /// Returns the position after which to continue; none when the present state has to be filed.
    async fn starting_point(
        &self,
        announced: &Announced,
        basis: &Bookmark,
    ) -> Result<Option<Position>, FilingError> {
        let head = self.store.head();
        let known = announced.bookmark.filter(|_| !announced.resynchronize);
        let Some(position) = known.filter(|position| position.incarnation == head.incarnation) else {
            return Ok(None);
        };
        if position > head {
            return Err(FilingError::Ahead { confirmed: position, head });
        }
        // What was confirmed beyond the saved position may have been refused, and the answer lost.
        let saved = self.store.bookmark(CONFIRMED).await?.and_then(|bookmark| bookmark.at(Stream::ONLY));
        let Some(saved) = saved.filter(|saved| saved.incarnation == head.incarnation) else {
            return Ok(None);
        };
        let position = if saved < position { saved } else { position };
        let is_retained = self.store.has_position(position) && self.store.retains_after(position);
        let is_same = self.store.bookmark(BASIS).await?.as_ref() == Some(basis);
        Ok(Some(position).filter(|_| is_retained && is_same))
    }

    /// Saves the position that the upper node confirmed.
    async fn save_confirmed(&self, position: Position) -> Result<(), FilingError> {
        self.upkeep.set_bookmark(CONFIRMED, &[position].into_iter().collect()).await?;
        Ok(())
    }

    /// Records the time of the oldest entry that is not confirmed.
    async fn note_oldest(&self) {
        let next = self.store.headers_after(self.watch.status().confirmed, 1).await.ok();
        self.watch.oldest(next.into_iter().flatten().next().map(|header| header.time_ms));
    }
}

/// The incarnations of a store, the present one last, as far as they are announced.
fn lineage(store: &Store) -> Vec<Incarnation> {
    let lineage = store.lineage();
    let entries = lineage.entries();
    let earlier = entries.len().saturating_sub(INCARNATIONS_ANNOUNCED_MAX);
    entries.iter().skip(earlier).map(|entry| entry.incarnation).collect()
}

/// Returns the basis of a confirmation: the upper node's incarnation, the scope of the token, and the announced site.
/// When one of them changes, the present state is filed again. It is stored as one digest, in the field of an
/// incarnation; the sequence is 0, or 1 while something is refused.
fn basis(announced: &Announced, site: &Site) -> Bookmark {
    let mut scope: Vec<String> = announced.scope.iter().map(Prefix::canonical).collect();
    scope.sort_unstable();
    let mut hash = Sha256::new();
    // Differs from the basis of versions that did not note refusals and did not announce a lineage, so that all is filed again.
    hash.update("lineage");
    hash.update(announced.incarnation.0);
    hash.update(scope.join(","));
    hash.update(format!("{:?}{:?}{:?}", site.addresses(), site.host_name(), site.ports()));
    hash.update(site.public_key().unwrap_or_default());
    let mut digest = [0; 16];
    digest.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    [Position { incarnation: Incarnation(digest), stream: Stream::ONLY, sequence: 0 }].into_iter().collect()
}

//----------- FilingStream ---------------------------------------------------

/// One stream of filings, with the announcement that it belongs to.
struct FilingStream {
    sender: FilingSender,
    receiver: AcknowledgementReceiver,
    announced: Announced,
    watch: FilingWatch,
    /// What the next contact compares.
    basis: Bookmark,
    refused: Refused,
}

impl FilingStream {
    /// Sends all messages and waits until the upper node confirms a position, which the caller records. Returns what was
    /// refused.
    async fn deliver(
        &mut self,
        messages: Vec<FilingMessage>,
        until: Position,
    ) -> Result<Vec<SetAside>, FilingError> {
        let Self { sender, receiver, announced, watch, .. } = self;
        let sending = async {
            for message in messages {
                if sender.send(message).await.is_err() {
                    break;
                }
            }
            // The receiving half has the outcome, also when the stream has ended.
            std::future::pending().await
        };
        let receiving = async {
            let mut aside = Vec::new();
            loop {
                let received = time::timeout(ACKNOWLEDGE_MAX, receiver.next()).await;
                let received = received.map_err(|_| FilingError::Silent)??;
                let position = process(received, announced, watch, &mut aside)?;
                if position == Some(until) {
                    return Ok(aside);
                }
                if position.is_some() {
                    watch.confirmed(position);
                }
            }
        };
        tokio::select! {
            delivered = receiving => delivered,
            never = sending => never,
        }
    }

    /// Waits for a message that the upper node sends unprompted; usually this is the end of the stream.
    async fn receive_unprompted(&mut self) -> Result<(), FilingError> {
        let received = self.receiver.next().await?;
        let position = process(received, &self.announced, &self.watch, &mut Vec::new())?;
        if position.is_some() {
            self.watch.confirmed(position);
        }
        Ok(())
    }

    /// Returns whether the token covers a prefix.
    fn covers(&self, prefix: &Prefix) -> bool {
        self.announced.scope.iter().any(|own| own.covers(prefix))
    }

    /// Returns the explanation for a prefix that the token does not cover.
    fn beyond_scope(&self, prefix: &Prefix) -> SetAside {
        let scope: Vec<&str> = self.announced.scope.iter().map(Prefix::as_str).collect();
        let message = format!(
            "the token of the upper node covers {}; ask its operator for one that covers {prefix}",
            scope.join(", ")
        );
        SetAside { prefix: prefix.clone(), message }
    }
}

/// Processes an acknowledgement; returns the position that it confirms.
fn process(
    received: Acknowledged,
    announced: &Announced,
    watch: &FilingWatch,
    aside: &mut Vec<SetAside>,
) -> Result<Option<Position>, FilingError> {
    if received.incarnation != announced.incarnation {
        return Err(FilingError::UpperRestored);
    }
    aside.extend(received.refused.into_iter().map(|refused| SetAside {
        prefix: refused.prefix,
        message: format!("{} ({})", refused.message, refused.code),
    }));
    watch.contacted();
    Ok(received.position)
}

/// Returns the instant after a pause.
fn after(pause: Duration) -> Instant {
    Instant::now() + pause
}
