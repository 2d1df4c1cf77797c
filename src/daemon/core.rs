//! Core: everything below the front ends, from the open store to the resolver, and its upkeep.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{self, MissedTickBehavior};

use super::backup;
use super::clock_and_entropy::{Environment, clock, entropy};
use super::directory::DataDirectory;
use super::disk::DiskWatch;
use super::error::DaemonError;
use super::federation_setup::{self, RunningFiling};
use super::first_token::FirstToken;
use super::server_key::ServerKey;
use super::steady_clock::{Observed, START_TOLERANCE, STEADY, SteadyClock, millis};
use crate::authority::{Authority, AuthorityOptions, RemoteOptions};
use crate::backup::Backups;
use crate::config::{Config, StoreSection};
use crate::federation::Federation;
use crate::federation::follow::Follower;
use crate::model::identifier::{Folding, Prefix};
use crate::model::site::Site;
use crate::registry::{Registry, RegistryOptions};
use crate::resolver::{Resolver, ResolverOptions};
use crate::store::journal::retention::Retention;
use crate::store::open::{self, OpenReport, Opened, engine_folder};
use crate::store::writer::JournalWriter;
use crate::store::{EngineKind, Store};
use crate::telemetry::Chain;
use crate::wire::dns::name::check_prefix_fits;

/// How often the clock is compared with the time that has passed.
const CLOCK_EVERY: Duration = Duration::from_secs(30);
/// How often request ids that ran out are forgotten and the journal is pruned.
const UPKEEP_EVERY: Duration = Duration::from_secs(3_600);
/// How long tasks may take to end after a start that failed: the longest is a group commit on a busy disk.
pub(super) const TASK_END_MAX: Duration = Duration::from_secs(30);
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

//----------- Core -----------------------------------------------------------

/// Everything below the front ends.
pub(super) struct Core {
    pub(super) store: Store,
    pub(super) authority: Authority,
    pub(super) registry: Arc<Registry>,
    pub(super) resolver: Arc<Resolver>,
    pub(super) server_key: ServerKey,
    pub(super) backups: Backups,
    schedule: Option<JoinHandle<()>>,
    pub(super) federation: Arc<Federation>,
    pub(super) filing: Option<RunningFiling>,
    committer: JoinHandle<JournalWriter>,
    upkeep: JoinHandle<()>,
    high_water: JoinHandle<()>,
    pub(super) disk: DiskWatch,
    disk_watch: JoinHandle<()>,
    /// Waits for space to write the first admin token; none where it was written or is not due.
    first_token: Option<JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Core {
    /// Opens the store and starts the modules that use it. `site` is the site that this node announces.
    pub(super) async fn open(
        config: &Config,
        directory: &DataDirectory,
        site: Option<Site>,
        environment: &Environment,
    ) -> Result<Self, DaemonError> {
        check_engine(&config.store, directory)?;
        let federation = federation_setup::federation(config, environment)?;
        let server_key = ServerKey::load_or_make(directory, &environment.entropy).await?;
        let site = site.map(|site| server_key.show_in(site)).transpose()?;
        let opened = open::open(store_options_in(&config.store, directory.path(), environment)).await;
        let Opened { store, writer, report } = opened.map_err(DaemonError::Store)?;
        log_opened(&store, &report);
        let disk = DiskWatch::new(
            store.clone(),
            config.store.disk_reserve_bytes,
            Arc::clone(&environment.free_space),
        );
        let backups = match backup::backups(config, &store, &server_key) {
            Ok(backups) => backups,
            Err(error) => {
                store.close(writer).await.map_err(DaemonError::Close)?;
                return Err(error);
            }
        };
        let stop = watch::Sender::new(false);
        let schedule = config.backup.schedule;
        let schedule = schedule.map(|schedule| backups.spawn_schedule(schedule, stop.subscribe()));
        let high_water = store.spawn_high_water(stop.subscribe());
        let disk_watch = tokio::spawn(disk.clone().run(stop.subscribe()));
        let follower = follower(config, &federation);
        let authority = authority(config, &store, follower.clone());
        let resolver = resolver(config, &store, &authority, site.clone());
        let resolver = Arc::new(follower.into_iter().fold(resolver, Resolver::with_follower));
        let options = registry_options(config);
        let (registry, committer) = Registry::start(store.clone(), writer, authority.clone(), options);
        let registry = Arc::new(registry);
        let upkeep = Upkeep::new(config, store.clone(), Arc::clone(&registry), backups.clone(), disk.clone());
        let upkeep = upkeep.await;
        let upkeep = tokio::spawn(upkeep.run(stop.subscribe()));
        let stopped = stop.subscribe();
        let filing = federation_setup::start_filing(
            &store,
            registry.upkeep(),
            &federation,
            site,
            environment,
            stopped,
        );
        let mut core = Self {
            store,
            authority,
            registry,
            resolver,
            server_key,
            backups,
            schedule,
            federation,
            filing,
            committer,
            upkeep,
            high_water,
            disk,
            disk_watch,
            first_token: None,
            stop,
        };
        match core.ensure_admin_token(directory).await {
            Ok(()) => Ok(core),
            Err(error) => {
                core.close(Instant::now() + TASK_END_MAX).await?;
                Err(error)
            }
        }
    }

    /// Creates the admin token of the first start, now or when there is space for it.
    async fn ensure_admin_token(&mut self, directory: &DataDirectory) -> Result<(), DaemonError> {
        let first_token = FirstToken {
            store: self.store.clone(),
            authority: self.authority.clone(),
            registry: Arc::clone(&self.registry),
            file: directory.admin_token_file(),
        };
        first_token.ensure().await?;
        if self.store.pause_reason().is_some() {
            let mut stop = self.stop.subscribe();
            self.first_token = Some(tokio::spawn(async move {
                tokio::select! {
                    _ = stop.wait_for(|stopped| *stopped) => {}
                    () = first_token.ensure_when_resumed() => {}
                }
            }));
        }
        Ok(())
    }

    /// Commits what is queued, then closes the store. Ends by the deadline, whatever the tasks and the store do.
    pub(super) async fn close(self, deadline: Instant) -> Result<(), DaemonError> {
        self.registry.stop();
        self.stop.send_replace(true);
        if let Some(schedule) = self.schedule {
            join("backup schedule", schedule, deadline).await;
        }
        if let Some(filing) = self.filing {
            join("filing", filing.task, deadline).await;
        }
        if let Some(first_token) = self.first_token {
            join("first token", first_token, deadline).await;
        }
        join("upkeep", self.upkeep, deadline).await;
        join("high-water file", self.high_water, deadline).await;
        join("disk watch", self.disk_watch, deadline).await;
        // Without the writer the store cannot be closed cleanly; the next start repairs it.
        let committer = join("committer", self.committer, deadline).await;
        let writer = committer.ok_or(DaemonError::Unclosed { what: "a change that is being written" })?;
        match time::timeout_at(deadline.into(), self.store.close(writer)).await {
            Ok(closed) => closed.map_err(DaemonError::Close),
            Err(_) => Err(DaemonError::Unclosed { what: "the storage engine" }),
        }
    }
}

/// Logs what was opened, and whether it accepts changes.
fn log_opened(store: &Store, report: &OpenReport) {
    tracing::info!(
        directory = %store.path().display(),
        engine = %store.engine_kind(),
        identifiers = store.count(),
        position = %store.head(),
        created = report.created,
        checked = report.checked,
        mended = report.repaired,
        "store open"
    );
    if let Some(reason) = store.read_only_reason() {
        tracing::error!(%reason, "the store is read-only");
    }
}

/// Follows referrals to other nodes, where the configuration allows that.
fn follower(config: &Config, federation: &Arc<Federation>) -> Option<Follower> {
    let follower = Follower { federation: Arc::clone(federation), question_max: config.recursion.deadline };
    config.recursion.allowed.then_some(follower)
}

fn authority(config: &Config, store: &Store, follower: Option<Follower>) -> Authority {
    let administrators = config.handle.administrators.clone().into();
    let remote = follower.map_or(RemoteOptions::Unread, RemoteOptions::Asked);
    Authority::new(store.clone(), AuthorityOptions { administrators, remote })
}

fn resolver(config: &Config, store: &Store, authority: &Authority, site: Option<Site>) -> Resolver {
    let options = ResolverOptions { upper: config.upper.address.clone(), site };
    Resolver::new(store.clone(), authority.clone(), options)
}

/// The outcome of a task that was asked to end. One that does not is aborted; the next start repairs what that leaves.
async fn join<T>(task: &'static str, mut running: JoinHandle<T>, deadline: Instant) -> Option<T> {
    match time::timeout_at(deadline.into(), &mut running).await {
        Ok(ended) => ended.inspect_err(|error| tracing::error!(%error, task, "a task has failed")).ok(),
        Err(_) => {
            tracing::error!(task, "a task did not end when it was asked to");
            running.abort();
            None
        }
    }
}

//----------- Options of the modules -----------------------------------------

fn registry_options(config: &Config) -> RegistryOptions {
    let root = config.dns.root.clone();
    let fits = move |prefix: &Prefix| check_prefix_fits(&root, prefix).map_err(|error| error.to_string());
    RegistryOptions {
        request_window: Duration::from_millis(u64::from(config.store.request_window_days) * DAY_MS),
        prefix_rule: Arc::new(fits),
    }
}

/// Options of the store in this data directory, for a node and for commands that work on a store at rest.
pub fn store_options(options: &StoreSection, directory: &Path) -> open::StoreOptions {
    let folding = if options.case_sensitive_suffix { Folding::SuffixSensitive } else { Folding::Insensitive };
    open::StoreOptions {
        directory: directory.into(),
        engine: options.engine,
        cache_bytes: options.cache_bytes,
        folding,
        clock: clock(),
        entropy: entropy(),
    }
}

/// As [`store_options`], with this clock and randomness.
pub(super) fn store_options_in(
    options: &StoreSection,
    directory: &Path,
    environment: &Environment,
) -> open::StoreOptions {
    let Environment { clock, entropy, .. } = environment.clone();
    open::StoreOptions { clock, entropy, ..store_options(options, directory) }
}

/// Refuses to begin an empty store beside one of the other engine, or where a store was before.
pub(super) fn check_engine(options: &StoreSection, directory: &DataDirectory) -> Result<(), DaemonError> {
    let path = directory.path();
    let exists = |kind: EngineKind| path.join(engine_folder(kind)).exists();
    let mut others = EngineKind::ALL.into_iter().filter(|kind| *kind != options.engine);
    if let Some(found) = others.find(|kind| exists(*kind)).filter(|_| !exists(options.engine)) {
        return Err(DaemonError::EngineChanged { directory: path.into(), found });
    }
    // The admin token is written once the store is complete.
    if directory.admin_token_path().exists() && !open::holds_data(path, options.engine) {
        return Err(DaemonError::Store(open::gone(path, options.engine)));
    }
    Ok(())
}

//----------- Upkeep ---------------------------------------------------------

/// What is done every hour: request ids that ran out are forgotten, the journal is pruned as configured. Backups are given
/// the trusted time for their retention.
struct Upkeep {
    store: Store,
    registry: Arc<Registry>,
    backups: Backups,
    disk: DiskWatch,
    bodies_days: u32,
    headers_days: u32,
    clock: SteadyClock,
}

impl Upkeep {
    async fn new(
        config: &Config,
        store: Store,
        registry: Arc<Registry>,
        backups: Backups,
        disk: DiskWatch,
    ) -> Self {
        let StoreSection { bodies_days, headers_days, .. } = config.store;
        let (last_ms, now_ms) = (store.end().time_ms, store.now_ms());
        // A journal that cannot be read has made the store read-only, and then nothing is pruned.
        let is_steady = store.is_dense(millis(STEADY), millis(START_TOLERANCE)).await.unwrap_or(false);
        let clock = SteadyClock::new(last_ms, is_steady, now_ms, Instant::now());
        if last_ms > now_ms && !clock.is_trusted() {
            tracing::warn!(
                seconds = (last_ms - now_ms) / 1_000,
                "the clock is before the last change in the journal: it is wrong now, or it was then. Changes are dated with \
                 the time of that change until the clock has reached it"
            );
        } else if !clock.is_trusted() {
            tracing::info!(
                seconds = (now_ms - last_ms) / 1_000,
                "the journal does not show that the clock was steady in the last day: it has a gap of an hour or more, or covers \
                 less than a day. Nothing is pruned and no request id is forgotten by the present time until the clock has \
                 run steadily for a day"
            );
        }
        Self { store, registry, backups, disk, bodies_days, headers_days, clock }
    }

    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = time::interval(CLOCK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = Instant::now();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stopped| *stopped) => return,
                _ = ticks.tick() => {}
            }
            let trusted_ms = self.look_at_clock();
            if Instant::now() < due {
                continue;
            }
            due = Instant::now() + UPKEEP_EVERY;
            // Cancelled in the middle, it is done again at the next start: the first tick comes at once.
            tokio::select! {
                _ = stop.wait_for(|stopped| *stopped) => return,
                () = self.keep_up(trusted_ms) => {}
            }
        }
    }

    /// The time to prune and forget by. A jump of the clock is logged, and not trusted at once.
    fn look_at_clock(&mut self) -> u64 {
        let Observed { trusted_ms, jump_ms } = self.clock.look(self.store.now_ms(), Instant::now());
        if let Some(jump_ms) = jump_ms {
            tracing::warn!(
                seconds = jump_ms / 1_000,
                "the clock has jumped; request ids may be refused by it. Nothing is pruned or forgotten by the new time until \
                 the clock has run steadily for a day: check the clock and its synchronization"
            );
        }
        self.backups.set_trusted_time(trusted_ms);
        trusted_ms
    }

    /// On a disk that is nearly full too: pruning makes space.
    async fn keep_up(&self, trusted_ms: u64) {
        if self.store.stop_reason().is_some() || !self.disk.has_space_to_prune() {
            return;
        }
        if let Err(error) = self.registry.keep_up(trusted_ms, self.retention(trusted_ms)).await {
            tracing::warn!(error = %Chain(&error), "pruning the journal and old requests failed; it is tried again \
                in an hour");
        }
    }

    /// What to prune at a time; none when the journal is retained without end.
    fn retention(&self, trusted_ms: u64) -> Option<Retention> {
        let before = |days: u32| match days {
            0 => 0,
            days => trusted_ms.saturating_sub(u64::from(days) * DAY_MS),
        };
        let retention = Retention {
            bodies_before_ms: before(self.bodies_days),
            headers_before_ms: before(self.headers_days),
        };
        (retention.bodies_before_ms > 0).then_some(retention)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{
        Arc, Config, Core, DAY_MS, DataDirectory, Duration, Environment, Instant, SteadyClock, Upkeep,
        backup, time,
    };
    use crate::backup::Kind;
    use crate::daemon::disk::FreeSpace;
    use crate::model::environment::Clock;

    /// A first start without space makes no token; it is made as soon as there is space, without a restart.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_first_admin_token_is_written_when_there_is_space() {
        let parent = tempfile::tempdir().expect("a directory");
        let directory = DataDirectory::open(parent.path()).expect("opened");
        let key = include_str!("../../tests/data/server-key.pem");
        directory.save_server_key(key).expect("space on disk");
        let config = Config::default();
        let free = Arc::new(AtomicU64::new(0));
        let free_space: FreeSpace = {
            let free = Arc::clone(&free);
            Arc::new(move |_| Ok(free.load(Ordering::Relaxed)))
        };
        let environment = Environment { free_space, ..Environment::of_system() };
        let core = Core::open(&config, &directory, None, &environment).await.expect("the store opens");
        assert_eq!(core.store.stop_reason(), None);
        let reason = core.store.pause_reason().expect("paused");
        assert!(reason.starts_with("disk full: 0 B are free at "), "{reason}");
        let file = directory.admin_token_file();
        assert_eq!(file.load(), None);
        let mut end = core.store.follow();
        free.store(u64::MAX, Ordering::Relaxed);
        let stored = end.wait_for(|published| published.end.sequence >= 2);
        let stored = time::timeout(Duration::from_secs(30), stored).await.expect("the token is stored");
        assert_eq!(stored.expect("the store is open").end.sequence, 2);
        let token = file.load().expect("the file");
        assert!(core.authority.authenticate(&token).is_ok(), "{token}");
        core.close(Instant::now() + Duration::from_secs(30)).await.expect("closed");
    }

    /// A clock that jumps a year ahead makes no backup too old until the new time is trusted.
    #[tokio::test(flavor = "multi_thread")]
    async fn backups_are_retired_by_the_trusted_time() {
        const START_MS: u64 = 1_800_000_000_000;
        const LATER_MS: u64 = START_MS + 366 * DAY_MS;
        let parent = tempfile::tempdir().expect("a directory");
        let directory = DataDirectory::open(&parent.path().join("data")).expect("opened");
        directory.save_server_key(include_str!("../../tests/data/server-key.pem")).expect("space on disk");
        let mut config = Config::default();
        config.backup.directories = vec![parent.path().join("backups")];
        config.backup.keep_days = 1;
        let now_ms = Arc::new(AtomicU64::new(START_MS));
        let clock: Clock = {
            let now_ms = Arc::clone(&now_ms);
            Arc::new(move || now_ms.load(Ordering::Relaxed))
        };
        let environment = Environment { clock, ..Environment::of_system() };
        let core = Core::open(&config, &directory, None, &environment).await.expect("the store opens");
        let backups = backup::backups(&config, &core.store, &core.server_key).expect("no key file");
        let trusting = |ms| Upkeep {
            store: core.store.clone(),
            registry: Arc::clone(&core.registry),
            backups: backups.clone(),
            disk: core.disk.clone(),
            bodies_days: 0,
            headers_days: 0,
            clock: SteadyClock::new(ms, true, ms, Instant::now()),
        };
        let create = async || backups.create(None, Kind::Full, &|_| {}).await.expect("it is made").name;
        let retire = async || backups.retire(None).await.expect("it retires");

        let mut upkeep = trusting(START_MS);
        let older = create().await;
        now_ms.store(LATER_MS, Ordering::Relaxed);
        create().await;
        upkeep.look_at_clock();
        assert_eq!(retire().await, Vec::<String>::new());
        trusting(LATER_MS).look_at_clock();
        assert_eq!(retire().await, [older]);
        core.close(Instant::now() + Duration::from_secs(30)).await.expect("closed");
    }
}
