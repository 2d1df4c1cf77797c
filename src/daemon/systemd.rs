//! Messages to systemd, and its watchdog. Without systemd every call does nothing.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::runtime::{Builder, Handle};
use tokio::time;

use super::error::DaemonError;
use crate::model::limits::WRITE_SECONDS_MAX;
use crate::store::Store;
use crate::store::writer::Standing;
use crate::telemetry::Chain;

/// Additional start time that each request asks for.
const MORE_TIME: Duration = Duration::from_secs(60);
/// How long a change may take to reach the disk.
const WRITE_MAX: Duration = Duration::from_secs(WRITE_SECONDS_MAX);
/// Interval between requests for more start time.
const MORE_TIME_EVERY: Duration = Duration::from_secs(15);

/// Reports that the node is ready.
pub(super) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Reports that the node reads again what can be read again; [`ready`] ends it.
pub(super) fn reloading() {
    let now = NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Reloading);
    notify(&[NotifyState::Reloading, now]);
}

/// Reports that the node drains.
pub(super) fn stopping(grace: Duration) {
    let more = NotifyState::ExtendTimeoutUsec(micros(grace + MORE_TIME));
    notify(&[NotifyState::Stopping, more, NotifyState::Status("draining")]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot reach systemd");
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// Asks for more time until the work is done: recovery of a large store may be long.
pub(super) async fn with_more_time<T>(status: &'static str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut ticks = time::interval(MORE_TIME_EVERY);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = ticks.tick() => {
                notify(&[NotifyState::ExtendTimeoutUsec(micros(MORE_TIME)), NotifyState::Status(status)]);
            }
        }
    }
}

//----------- Watchdog ---------------------------------------------------------

/// The thread that notifies systemd's watchdog. Dropping it ends the thread.
pub(super) struct Watchdog {
    _alive: mpsc::Sender<()>,
}

impl Watchdog {
    /// Starts the thread, which notifies systemd while the store answers, changes reach the disk and the runtime runs tasks; none when the unit
    /// has no watchdog.
    ///
    /// The thread has a runtime of its own: however busy the node's runtime is, systemd is notified while that runtime
    /// still runs new tasks, and only then.
    pub(super) fn start(store: Store) -> Result<Option<Self>, DaemonError> {
        let Some(limit) = sd_notify::watchdog_enabled() else { return Ok(None) };
        let failed = |source| DaemonError::System { action: "start the watchdog", source };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let node = Handle::current();
        let (alive, ended) = mpsc::channel();
        let period = limit / 3;
        let watch = move || {
            loop {
                runtime.block_on(check(&store, &node, period));
                if ended.recv_timeout(period) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        };
        thread::Builder::new().name("watchdog".to_owned()).spawn(watch).map_err(failed)?;
        Ok(Some(Self { _alive: alive }))
    }
}

/// Notifies the watchdog when the node answers in time; otherwise logs the reason.
async fn check(store: &Store, node: &Handle, limit: Duration) {
    if time::timeout(limit, node.spawn(async {})).await.is_err() {
        return tracing::error!(
            "the node's runtime does not run its tasks; systemd gets no watchdog message and \
            will restart the node: look for a lack of CPU time or a disk that hangs"
        );
    }
    if let Some(running) = store.write_in_flight().filter(|running| *running > WRITE_MAX) {
        return tracing::error!(
            seconds = running.as_secs(),
            "a change does not reach the disk; systemd gets no watchdog message and will restart the node: check the disk \
             and its load"
        );
    }
    if let Standing::Unsure { .. } = store.standing() {
        // Its files are being opened again, or will be; a new start would do the same.
        return notify(&[NotifyState::Watchdog]);
    }
    match time::timeout(limit, store.header(store.head())).await {
        Ok(Ok(_)) => notify(&[NotifyState::Watchdog]),
        Ok(Err(error)) => {
            tracing::error!(error = %Chain(&error), "the store cannot be read; systemd gets no watchdog message and \
                will restart the node: check the disk");
        }
        Err(_) => tracing::error!(
            "the store does not answer in time; systemd gets no watchdog message and will \
            restart the node: check the disk and its load"
        ),
    }
}
