//! The life of a serving process: start, announce, wait for signals, reload, drain.
//!
//! ```text
//!   SIGTERM, SIGINT   drain within the grace period and close the store, or end without that when the disk does not
//!                     answer; a second one ends at once
//!   SIGHUP            read again: the log level, the certificate
//! ```

use std::io;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::error::DaemonError;
use super::node::{Node, RunningNode};
use super::systemd::{self, Watchdog};
use crate::config::{Config, ConfigError};
use crate::model::limits::STOP_SECONDS_MAX;
use crate::telemetry::{Chain, LogControl};

/// Reads the configuration again, from the sources of the start.
pub type Reload = Box<dyn Fn() -> Result<Config, ConfigError> + Send>;

/// Serves until the process has to stop. `announce` is called once, when the node is ready.
pub async fn serve(
    config: Config,
    log: LogControl,
    reload: Reload,
    announce: impl FnOnce(&RunningNode),
) -> Result<(), DaemonError> {
    let mut signals = Signals::new()?;
    let starting = systemd::with_more_time("opening the store", Node::start(config));
    let mut node = tokio::select! {
        started = starting => started?,
        () = signals.stop() => {
            tracing::info!("asked to stop before the store was open");
            return Ok(());
        }
    };
    let watchdog = Watchdog::start(node.store().clone())?;
    announce(&node);
    systemd::ready(&status(&node));
    let outcome = wait(&mut node, &mut signals, &log, &reload).await;
    let grace = node.config().shutdown.grace;
    systemd::stopping(grace);
    let stopped = stop(node, &mut signals, grace).await;
    drop(watchdog);
    outcome.and(stopped)
}

/// Waits for the end: on a signal, or because a front end failed.
async fn wait(
    node: &mut RunningNode,
    signals: &mut Signals,
    log: &LogControl,
    reload: &Reload,
) -> Result<(), DaemonError> {
    loop {
        tokio::select! {
            order = signals.next() => match order {
                Order::Stop => {
                    tracing::info!("asked to stop; draining");
                    return Ok(());
                }
                Order::Reload => {
                    systemd::reloading();
                    reload_from(node, log, reload);
                    systemd::ready(&status(node));
                }
            },
            error = node.failed() => {
                tracing::error!(error = %Chain(&error), "stopping");
                return Err(error);
            }
        }
    }
}

async fn stop(node: RunningNode, signals: &mut Signals, grace: Duration) -> Result<(), DaemonError> {
    let _guard = StopGuard::start(grace + Duration::from_secs(STOP_SECONDS_MAX) + GUARD_MARGIN)?;
    let mut stopping = std::pin::pin!(node.stop_within(grace));
    tokio::select! {
        stopped = &mut stopping => {
            tracing::info!("stopped");
            stopped
        }
        () = signals.stop() => {
            tracing::warn!("second signal to stop; exiting without draining");
            Ok(())
        }
    }
}

fn reload_from(node: &RunningNode, log: &LogControl, reload: &Reload) {
    match reload() {
        Ok(config) => {
            log.set_level(config.log.level);
            node.reload();
            let restart = Config { log: config.log.clone(), ..node.config().clone() } != config;
            tracing::info!(restart_needed_for_other_changes = restart, "configuration reloaded");
        }
        Err(error) => {
            tracing::error!(%error, "the configuration cannot be reloaded; the node continues with the \
            one it has")
        }
    }
}

fn status(node: &RunningNode) -> String {
    match node.store().read_only_reason() {
        None => format!("serving {} identifiers", node.store().count()),
        Some(reason) => format!("read-only: {reason}"),
    }
}

//----------- StopGuard ------------------------------------------------------

/// How much later than the stop itself the guard ends the process.
const GUARD_MARGIN: Duration = Duration::from_secs(5);

/// Ends the process when a stop takes too long: a disk that does not answer can hold every thread of the runtime.
/// Dropping it ends the guard.
struct StopGuard {
    _alive: std::sync::mpsc::Sender<()>,
}

impl StopGuard {
    fn start(limit: Duration) -> Result<Self, DaemonError> {
        let failed = |source| DaemonError::System { action: "guard the stop", source };
        let (alive, ended) = std::sync::mpsc::channel();
        let guard = move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let error = DaemonError::Unclosed { what: "a thread of the node" };
                tracing::error!(%error, "the stop takes too long; the process ends");
                std::process::exit(error.exit_code().into());
            }
        };
        thread::Builder::new().name("stop-guard".to_owned()).spawn(guard).map_err(failed)?;
        Ok(Self { _alive: alive })
    }
}

//----------- Signals --------------------------------------------------------

/// Signals as they arrive. They are received by a thread with a runtime of its own, so that they are noticed however busy
/// the node's runtime is.
struct Signals {
    received: mpsc::UnboundedReceiver<Order>,
}

impl Signals {
    fn new() -> Result<Self, DaemonError> {
        let failed = |source| DaemonError::System { action: "listen to signals", source };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let mut streams = {
            let _entered = runtime.enter();
            SignalStreams::new().map_err(failed)?
        };
        let (sender, received) = mpsc::unbounded_channel();
        // Unbounded, but the system merges signals of one kind that were not received yet.
        let forward = move || {
            runtime.block_on(async {
                loop {
                    let signal = tokio::select! {
                        () = sender.closed() => return,
                        signal = streams.next() => signal,
                    };
                    if sender.send(signal).is_err() {
                        return;
                    }
                }
            });
        };
        thread::Builder::new().name("signals".to_owned()).spawn(forward).map_err(failed)?;
        Ok(Self { received })
    }

    /// Waits for the next signal.
    async fn next(&mut self) -> Order {
        match self.received.recv().await {
            Some(signal) => signal,
            // The thread ends after this receiver only.
            None => std::future::pending().await,
        }
    }

    /// Waits until the process has to stop.
    async fn stop(&mut self) {
        while self.next().await != Order::Stop {}
    }
}

/// The signals of the operating system that the node listens to.
struct SignalStreams {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl SignalStreams {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Stop,
            _ = self.interrupt.recv() => Order::Stop,
            _ = self.hangup.recv() => Order::Reload,
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Stop,
    Reload,
}
