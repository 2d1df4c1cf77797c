//! What systemd is told, and the watchdog it wants fed. Without systemd every call does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::task::JoinHandle;
use tokio::time;

use crate::store::Store;
use crate::telemetry::Chain;

/// How much more time each request for more asks for.
const MORE_TIME: Duration = Duration::from_secs(60);
/// How often it is asked for.
const MORE_TIME_EVERY: Duration = Duration::from_secs(15);

/// The node is ready.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The node reads again what can be read again; [`ready`] ends it.
pub(super) fn reloading() {
    let now = NotifyState::monotonic_usec_now().unwrap_or(NotifyState::Reloading);
    tell(&[NotifyState::Reloading, now]);
}

/// The node drains.
pub(super) fn stopping(grace: Duration) {
    let more = NotifyState::ExtendTimeoutUsec(micros(grace + MORE_TIME));
    tell(&[NotifyState::Stopping, more, NotifyState::Status("draining")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot reach systemd");
    }
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}

/// Asks for more time until what is waited for has come: recovery of a large store may be long.
pub(super) async fn with_more_time<T>(status: &'static str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut ticks = time::interval(MORE_TIME_EVERY);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            _ = ticks.tick() => {
                tell(&[NotifyState::ExtendTimeoutUsec(micros(MORE_TIME)), NotifyState::Status(status)]);
            }
        }
    }
}

/// Feeds the watchdog as long as the store answers; none when systemd wants no feeding. Abort it to stop.
pub(super) fn spawn_watchdog(store: Store) -> Option<JoinHandle<()>> {
    let limit = sd_notify::watchdog_enabled()?;
    Some(tokio::spawn(async move {
        let mut ticks = time::interval(limit / 3);
        loop {
            ticks.tick().await;
            match time::timeout(limit / 3, store.headers_at(&[store.end().sequence])).await {
                Ok(Ok(_)) => tell(&[NotifyState::Watchdog]),
                Ok(Err(error)) => {
                    tracing::error!(error = %Chain(&error), "the store fails; the watchdog is not fed");
                }
                Err(_) => tracing::error!("the store does not answer; the watchdog is not fed"),
            }
        }
    }))
}
