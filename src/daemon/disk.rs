//! The disk of the data directory: its files and its free space are watched, so that changes stop before the disk is full and
//! resume when there is space again.
//!
//! ```text
//!   free space ──below the reserve──▶ store paused: reads go on, changes are refused, readiness and status say why
//!              ──an eighth above it─▶ store resumed, without a restart
//! ```
//! An engine that meets a full disk cannot be trusted with another change until it is opened again. The reserve is for what it
//! has begun: flushes of what was acknowledged, and the small files beside it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::HumanBytes;
use nix::sys::statvfs::statvfs;
use tokio::sync::watch;
use tokio::time::{self, MissedTickBehavior};

use crate::store::Store;
use crate::telemetry::{Metrics, Page};

/// How often the space is looked at. What a node writes in that time is part of the reserve.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The part of the reserve that has to be free beside it before a paused store is resumed.
const RESUME_MARGIN_PART: u64 = 8;

/// Bytes that are free for this process on the disk of a path.
pub(super) type FreeSpace = Arc<dyn Fn(&Path) -> io::Result<u64> + Send + Sync>;

/// What the system says.
pub(super) fn free_space() -> FreeSpace {
    Arc::new(|path| {
        let facts = statvfs(path)?;
        Ok(facts.blocks_available().saturating_mul(facts.fragment_size()))
    })
}

//----------- DiskWatch ------------------------------------------------------

/// Watches the disk of a store.
#[derive(Clone)]
pub(super) struct DiskWatch {
    store: Store,
    path: PathBuf,
    reserve_bytes: u64,
    free_space: FreeSpace,
    /// Free bytes when they were last looked at.
    free: Arc<AtomicU64>,
    /// Whether the system said so at the last look: it is logged once when it does not.
    is_known: Arc<AtomicBool>,
}

impl DiskWatch {
    /// Watches the disk of this store, and looks at it once.
    pub(super) fn new(store: Store, reserve_bytes: u64, free_space: FreeSpace) -> Self {
        let path = store.path().to_owned();
        let (free, is_known) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicBool::new(true)));
        let watch = Self { store, path, reserve_bytes, free_space, free, is_known };
        watch.look();
        watch
    }

    /// Looks at the disk until the node stops.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut ticks = time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stopped| *stopped) => return,
                _ = ticks.tick() => {}
            }
            let watch = self.clone();
            // A disk that does not answer is noticed by the watchdog.
            let looked = tokio::task::spawn_blocking(move || watch.look());
            tokio::select! {
                _ = stop.wait_for(|stopped| *stopped) => return,
                _ = looked => {}
            }
        }
    }

    /// Stops the store when its files are gone; pauses or resumes it by the free space.
    fn look(&self) {
        self.store.stop_if_gone();
        let free = match (self.free_space)(&self.path) {
            Ok(free) => {
                self.is_known.store(true, Ordering::Relaxed);
                free
            }
            Err(error) if !self.is_known.swap(false, Ordering::Relaxed) => {
                tracing::debug!(%error, "the free space of the disk is still not known");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, directory = %self.path.display(), "the free space of the disk is not known");
                return;
            }
        };
        self.free.store(free, Ordering::Relaxed);
        if free >= self.resume_bytes() && self.store.resume() {
            tracing::info!(free_bytes = free, "there is space on the disk again; changes are accepted");
        }
        if free >= self.reserve_bytes {
            return;
        }
        let reason = format!(
            "disk full: {} are free at {}, and the store needs {} in reserve; make space: when {} are free, changes are \
             accepted again without a restart",
            HumanBytes(free),
            self.path.display(),
            HumanBytes(self.reserve_bytes),
            HumanBytes(self.resume_bytes())
        );
        if self.store.pause(&reason) {
            tracing::error!(free_bytes = free, reserve_bytes = self.reserve_bytes, "{reason}");
        }
    }

    /// Free bytes at which a paused store is resumed: more than the reserve, so that a store near the reserve is not paused and
    /// resumed repeatedly.
    fn resume_bytes(&self) -> u64 {
        self.reserve_bytes.saturating_add(self.reserve_bytes / RESUME_MARGIN_PART)
    }

    /// Whether pruning has space for its own writes. They are part of what the reserve is for.
    pub(super) fn has_space_to_prune(&self) -> bool {
        self.free.load(Ordering::Relaxed) >= self.reserve_bytes / 2
    }

    /// Adds the free space and the reserve.
    pub(super) fn add_metrics(&self, metrics: &Metrics) {
        let watch = self.clone();
        metrics.add(move |page: &mut Page| {
            let free = watch.free.load(Ordering::Relaxed);
            page.gauge(
                "idnode_disk_free_bytes",
                "Bytes that are free on the disk of the data directory.",
                free,
            );
            let help = "Bytes that the disk needs free; below them changes are refused.";
            page.gauge("idnode_disk_reserve_bytes", help, watch.reserve_bytes);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Arc, AtomicU64, DiskWatch, FreeSpace, Ordering};
    use crate::config::StoreSection;
    use crate::daemon::store_options;
    use crate::store::EngineKind;
    use crate::store::error::Error;
    use crate::store::open::{Opened, open};
    use crate::store::writer::Block;

    #[tokio::test]
    async fn changes_stop_before_the_disk_is_full_and_resume_when_there_is_space() {
        let directory = tempfile::tempdir().expect("a directory");
        let options = store_options(&StoreSection::default(), directory.path());
        let Opened { store, mut writer, .. } = open(options).await.expect("the store opens");
        let free = Arc::new(AtomicU64::new(1_000));
        let free_space: FreeSpace = {
            let free = Arc::clone(&free);
            Arc::new(move |_| Ok(free.load(Ordering::Relaxed)))
        };
        let watch = DiskWatch::new(store.clone(), 1_000, free_space);
        assert_eq!(store.read_only_reason(), None);
        free.store(999, Ordering::Relaxed);
        watch.look();
        let reason = store.read_only_reason().expect("paused");
        assert!(reason.starts_with("disk full: 999 B are free at "), "{reason}");
        let block = || Block { since: store.head(), changes: Vec::new(), remembered: Vec::new() };
        let refused = writer.commit(block()).await.err();
        assert!(matches!(refused, Some(Error::ReadOnly { reason: found }) if found == reason));
        assert_eq!(store.headers_after(None, 10).await.expect("the store reads").len(), 1);
        // Not at the reserve itself, or it would be paused again by the next change.
        for still_paused in [1_000, 1_124, 998] {
            free.store(still_paused, Ordering::Relaxed);
            watch.look();
            assert!(store.read_only_reason().is_some(), "{still_paused}");
        }
        free.store(1_125, Ordering::Relaxed);
        watch.look();
        assert_eq!(store.read_only_reason(), None);
        free.store(1_000, Ordering::Relaxed);
        watch.look();
        assert_eq!(store.read_only_reason(), None);
        writer.commit(block()).await.expect("changes are accepted");
        store.close(writer).await.expect("the store closes");
    }

    #[tokio::test]
    async fn a_data_directory_that_is_removed_stops_the_store() {
        for engine in EngineKind::ALL {
            let directory = tempfile::tempdir().expect("a directory");
            let data = directory.path().join("data");
            let section = StoreSection { engine, ..StoreSection::default() };
            let opened = open(store_options(&section, &data)).await.expect("the store opens");
            let watch = DiskWatch::new(opened.store.clone(), 0, Arc::new(|_| Ok(1)));
            assert_eq!(opened.store.read_only_reason(), None);
            std::fs::rename(&data, directory.path().join("elsewhere")).expect("moved");
            watch.look();
            let reason = opened.store.read_only_reason().expect("stopped");
            assert!(reason.contains("are gone from"), "{engine}: {reason}");
        }
    }
}
