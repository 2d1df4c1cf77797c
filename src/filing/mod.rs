//! Filing: reports this node's prefixes to the upper node, which delegates to this node from then on.
//!
//! ```text
//!   announce ─▶ where the upper node stands
//!      │  it knows us: go on after its bookmark
//!      │  first contact, a new incarnation on either side, another scope or site, a bookmark before the retained journal:
//!      ▼  the present state, as a whole
//!   follow the journal ─▶ prefix changes filed, in order ─▶ acknowledged, on its disk ─▶ bookmark
//!      ▲                  identifier changes counted                                        │
//!      └────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! - The truth of what is filed is the upper node's bookmark, durable there. What is sent again after a break has no
//!   second effect.
//! - An upper node that is away changes nothing for this node's own work; filing waits, longer each time, and goes on.
//! - A prefix that the upper node refuses is set aside and reported; the others continue.
//! - A later life of this store that filed already ends filing: two copies never both file.
//!
//! It reads the store and keeps bookmarks there; it never changes what is registered.

mod error;
mod follow;
mod present;

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
use crate::model::position::{Bookmark, Incarnation, Position, Stream};
use crate::model::site::Site;
use crate::store::Store;

use self::error::FilingError;
use self::status::{FilingState, FilingWatch, SetAside};

/// The bookmark of the last place confirmed.
const CONFIRMED: &str = "upper";
/// The bookmark of what the confirmation rests on: see [`Filing::basis`].
const BASIS: &str = "upper/basis";
/// How long an acknowledgement may take; the connection itself is watched more closely.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(300);

//----------- Filing ---------------------------------------------------------

/// What filing needs to know.
#[derive(Clone)]
pub struct FilingOptions {
    /// Where this node answers; none when it announces nothing.
    pub site: Option<Site>,
    /// The shortest wait after a failure.
    pub pause_first: Duration,
    /// The longest.
    pub pause_longest: Duration,
    /// Randomness for the waits.
    pub jitter: Jitter,
}

/// The task that files.
struct Filing {
    store: Store,
    upper: Arc<Upper>,
    options: FilingOptions,
    watch: FilingWatch,
}

/// Starts filing. It ends when it is stopped; wherever that happens, the next start goes on from there.
pub fn start(
    store: Store,
    upper: Arc<Upper>,
    options: FilingOptions,
    mut stop: watch::Receiver<bool>,
) -> (FilingWatch, JoinHandle<()>) {
    let watch = FilingWatch::new(store.clone(), upper.name());
    let filing = Filing { store, upper, options, watch: watch.clone() };
    let running = tokio::spawn(async move {
        tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => {}
            () = filing.run() => {}
        }
    });
    (watch, running)
}

impl Filing {
    /// Files until there is a reason never to file again.
    async fn run(self) {
        let confirmed = self.store.bookmark(CONFIRMED).await.ok().flatten();
        self.watch.confirmed(confirmed.and_then(|bookmark| bookmark.at(Stream::ONLY)));
        let Some(site) = self.options.site.clone() else {
            let reason =
                "nothing is announced to the upper node: name this node's addresses in site.addresses";
            tracing::warn!(reason, "filing does not begin");
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

    /// Files over one connection, until it breaks.
    async fn file(&self, site: &Site, backoff: &mut Backoff) -> Result<Infallible, FilingError> {
        let head = self.store.head();
        let line = self.upper.announce(site, head.incarnation).await?;
        let announced = line.announced().clone();
        let basis = basis(&announced, site);
        let start = self.starting_point(&announced, &basis).await?;
        let (speaker, listener) = line.file().await?;
        let mut conversation = Conversation { speaker, listener, announced, watch: self.watch.clone() };
        let from = match start {
            Some(place) => {
                self.watch.confirmed(Some(place));
                place
            }
            None => self.resynchronize(&mut conversation, &basis).await?,
        };
        backoff.reset();
        tracing::info!(upper = %self.upper.name(), after = %from, "filing");
        self.watch.entered(FilingState::Filing);
        self.follow(&mut conversation, from).await
    }

    /// The place after which to go on; none when the present state is to be filed.
    async fn starting_point(
        &self,
        announced: &Announced,
        basis: &Bookmark,
    ) -> Result<Option<Position>, FilingError> {
        let head = self.store.head();
        let known = announced.bookmark.filter(|_| !announced.resynchronize);
        let Some(place) = known.filter(|place| place.incarnation == head.incarnation) else {
            return Ok(None);
        };
        if place.sequence > head.sequence {
            return Err(FilingError::Ahead { confirmed: place.sequence, head: head.sequence });
        }
        let retained = self.store.retained();
        let is_retained = place.sequence + 1 >= retained.headers_from.max(retained.bodies_from);
        let is_same = self.store.bookmark(BASIS).await?.as_ref() == Some(basis);
        Ok(Some(place).filter(|_| is_retained && is_same))
    }

    /// Keeps the place that the upper node confirmed.
    async fn keep(&self, place: Position) -> Result<(), FilingError> {
        self.store.set_bookmark(CONFIRMED, &[place].into_iter().collect()).await?;
        Ok(())
    }

    /// Notes the time of the oldest entry that is not confirmed.
    async fn note_oldest(&self) {
        let next = self.watch.status().confirmed.map_or(1, |place| place.sequence + 1);
        let header = self.store.headers_at(&[next]).await.ok();
        self.watch.oldest(header.into_iter().flatten().flatten().next().map(|header| header.time_ms));
    }
}

/// What a confirmation rests on: the upper node's life, what its token takes from us, and where we said we answer.
/// When one of these changes, the present state is filed anew. It is stored as one digest, in the field of an incarnation.
fn basis(announced: &Announced, site: &Site) -> Bookmark {
    let mut scope: Vec<String> = announced.scope.iter().map(Prefix::canonical).collect();
    scope.sort_unstable();
    let mut hash = Sha256::new();
    hash.update(announced.incarnation.0);
    hash.update(scope.join(","));
    hash.update(format!("{:?}{:?}{:?}", site.addresses(), site.host_name(), site.ports()));
    let mut digest = [0; 16];
    digest.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    [Position { incarnation: Incarnation(digest), stream: Stream::ONLY, sequence: 0 }].into_iter().collect()
}

//----------- Conversation ---------------------------------------------------

/// One stream of filings and what it rests on.
struct Conversation {
    speaker: FilingSender,
    listener: AcknowledgementReceiver,
    announced: Announced,
    watch: FilingWatch,
}

impl Conversation {
    /// Says all of it, and listens until it is confirmed up to a place, which the caller notes. What was not taken.
    async fn deliver(
        &mut self,
        messages: Vec<FilingMessage>,
        until: Position,
    ) -> Result<Vec<SetAside>, FilingError> {
        let Self { speaker, listener, announced, watch } = self;
        let speaking = async {
            for one in messages {
                if speaker.send(one).await.is_err() {
                    break;
                }
            }
            // Whether the stream is at its end or gone, the listener tells.
            std::future::pending().await
        };
        let listening = async {
            let mut aside = Vec::new();
            loop {
                let heard = time::timeout(ACKNOWLEDGE_MAX, listener.next()).await;
                let heard = heard.map_err(|_| FilingError::Silent)??;
                let position = heed(heard, announced, watch, &mut aside)?;
                if position == Some(until) {
                    return Ok(aside);
                }
                if position.is_some() {
                    watch.confirmed(position);
                }
            }
        };
        tokio::select! {
            delivered = listening => delivered,
            never = speaking => never,
        }
    }

    /// Waits for what the upper node says of its own accord, which is only that it goes.
    async fn overhear(&mut self) -> Result<(), FilingError> {
        let heard = self.listener.next().await?;
        let position = heed(heard, &self.announced, &self.watch, &mut Vec::new())?;
        if position.is_some() {
            self.watch.confirmed(position);
        }
        Ok(())
    }

    /// Whether our token covers a prefix.
    fn takes(&self, prefix: &Prefix) -> bool {
        self.announced.scope.iter().any(|own| own.covers(prefix))
    }

    /// Why a prefix that the token does not cover is not filed.
    fn beyond_scope(&self, prefix: &Prefix) -> SetAside {
        let scope: Vec<&str> = self.announced.scope.iter().map(Prefix::as_str).collect();
        let message = format!(
            "the token of the upper node covers {}; ask its operator for one that covers {prefix}",
            scope.join(", ")
        );
        SetAside { prefix: prefix.clone(), message }
    }
}

/// Takes an acknowledgement to heart; the place it confirms.
fn heed(
    heard: Acknowledged,
    announced: &Announced,
    watch: &FilingWatch,
    aside: &mut Vec<SetAside>,
) -> Result<Option<Position>, FilingError> {
    if heard.incarnation != announced.incarnation {
        return Err(FilingError::Reborn);
    }
    aside.extend(heard.refused.into_iter().map(|refused| SetAside {
        prefix: refused.prefix,
        message: format!("{} ({})", refused.message, refused.code),
    }));
    watch.heard();
    Ok(heard.position)
}

/// When the next thing is due.
fn after(pause: Duration) -> Instant {
    Instant::now() + pause
}
