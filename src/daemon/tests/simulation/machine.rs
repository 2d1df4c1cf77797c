//! A machine with one node: it starts, is stopped, killed, loses its power, and its clock is wrong at times.
//!
//! Each run of a node has a runtime of its own, whose end is the end of the process. The node is everything below the front
//! ends; the upper node has front ends too, because filing goes over the network.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::config::Config;
use crate::daemon::clock_and_entropy::Environment;
use crate::daemon::core::{Core, store_options_in};
use crate::daemon::directory::DataDirectory;
use crate::daemon::disk;
use crate::daemon::node::{Node, RunningNode};
use crate::model::site::{Ports, Site};
use crate::store::EngineKind;
use crate::store::copy::check::{CheckReport, check};
use crate::store::open::engine_folder;
use crate::store::simulated::Disk;

use super::chance::Chance;

/// When every program begins, in milliseconds since 1970.
pub(in crate::daemon) const START_MS: u64 = 1_800_000_000_000;
/// How long a runtime may take to end: its threads may be in a commit.
const RUNTIME_END_MAX: Duration = Duration::from_secs(30);

//----------- Run ------------------------------------------------------------

/// One run of a node, from its start to its end.
struct Run {
    /// The node; declared before the runtime that its tasks run on.
    node: Running,
    runtime: Runtime,
}

/// What runs.
enum Running {
    /// Everything below the front ends.
    Core(Box<Core>, DataDirectory),
    /// A whole node.
    Whole(Box<RunningNode>),
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum End {
    /// In order, as after SIGTERM.
    Stop,
    /// As after kill -9: what was written survives.
    Kill,
    /// The power is cut: what was not synced is lost, but for the first few writes.
    PowerCut {
        /// Writes that survive.
        survivors: usize,
    },
}

//----------- Machine --------------------------------------------------------

/// A machine with one node.
pub(in crate::daemon) struct Machine {
    /// The configuration of its node.
    pub(in crate::daemon) config: Config,
    folder: TempDir,
    wall_ms: Arc<AtomicU64>,
    environment: Environment,
    site: Option<Site>,
    run: Option<Run>,
}

impl Machine {
    /// A machine whose node has not been started yet.
    pub(in crate::daemon) fn new(engine: EngineKind, chance: &mut Chance) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        config.store.directory = folder.path().join("data");
        config.store.engine = engine;
        config.store.cache_bytes = 4 * 1024 * 1024;
        config.backup.directories = vec![folder.path().join("backups")];
        let wall_ms = Arc::new(AtomicU64::new(START_MS));
        let environment = environment(&wall_ms, chance.next());
        Self { config, folder, wall_ms, environment, site: None, run: None }
    }

    /// The folder of the machine's files.
    pub(in crate::daemon) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the wall clock of the machine shows.
    pub(in crate::daemon) fn set_wall_ms(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::Relaxed);
    }

    /// Its clock and randomness.
    pub(in crate::daemon) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The site at which the node is announced to an upper node.
    pub(in crate::daemon) fn announce(&mut self) {
        let ports = Ports { grpc: Some(7_373), ..Ports::default() };
        self.site = Some(Site::new(vec![[127, 0, 0, 1].into()], None, ports).expect("a valid site"));
    }

    /// Starts everything below the front ends.
    pub(in crate::daemon) fn start(&mut self) {
        self.prepare();
        let runtime = runtime();
        let directory =
            DataDirectory::open(&self.config.store.directory).expect("the data directory is free");
        let opened = Core::open(&self.config, &directory, self.site.clone(), &self.environment);
        let core = runtime.block_on(opened).expect("the node starts");
        self.run = Some(Run { node: Running::Core(Box::new(core), directory), runtime });
    }

    /// Starts the node with its front ends; its gRPC address stays the same from then on.
    pub(in crate::daemon) fn start_whole(&mut self) {
        self.prepare();
        let runtime = runtime();
        let started = Node::start_in(self.config.clone(), &self.environment);
        let node = runtime.block_on(started).expect("the node starts");
        self.config.grpc.listen = node.grpc_addr().into_iter().collect();
        self.run = Some(Run { node: Running::Whole(Box::new(node)), runtime });
    }

    fn prepare(&self) {
        assert!(self.run.is_none(), "the node runs");
        let key = self.config.store.directory.join(DataDirectory::SERVER_KEY);
        if !key.exists() {
            // Making a key takes longer than a program.
            fs::create_dir_all(&self.config.store.directory).expect("space on disk");
            fs::write(key, include_str!("../../../../tests/data/server-key.pem")).expect("space on disk");
        }
    }

    /// The core of the running node.
    pub(in crate::daemon) fn core(&self) -> &Core {
        match &self.run.as_ref().expect("the node runs").node {
            Running::Core(core, _) => core,
            Running::Whole(node) => node.core(),
        }
    }

    /// Runs work on the runtime of the node.
    pub(in crate::daemon) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.run.as_ref().expect("the node runs").runtime.block_on(work)
    }

    /// Whether the node runs.
    pub(in crate::daemon) fn is_running(&self) -> bool {
        self.run.is_some()
    }

    /// Ends the run of the node.
    pub(in crate::daemon) fn end(&mut self, end: End) {
        let disk = self.disk();
        let Run { node, runtime } = self.run.take().expect("the node runs");
        match (end, &disk) {
            (End::Stop, _) => {
                let deadline = Instant::now() + RUNTIME_END_MAX;
                runtime.block_on(async move {
                    match node {
                        // After a write that failed, closing fails, too.
                        Running::Core(core, _directory) => drop(core.close(deadline).await),
                        Running::Whole(node) => drop(node.stop().await),
                    }
                });
                runtime.shutdown_timeout(RUNTIME_END_MAX);
                disk.iter().for_each(Disk::kill);
            }
            (end, disk) => {
                match (end, disk) {
                    (End::PowerCut { survivors }, Some(disk)) => disk.cut_power(survivors),
                    (_, Some(disk)) => disk.kill(),
                    (_, None) => {}
                }
                // Tasks end with the runtime; what they hold of the node goes before the lock of its directory.
                runtime.shutdown_timeout(RUNTIME_END_MAX);
                drop(node);
            }
        }
    }

    /// Reads the whole store of a node that does not run.
    pub(in crate::daemon) fn check(&self) -> CheckReport {
        let Config { store, .. } = &self.config;
        let options = store_options_in(store, &store.directory, &self.environment);
        runtime().block_on(check(options)).expect("the store is read")
    }

    /// The disk of a simulated engine; none on another engine.
    pub(in crate::daemon) fn disk(&self) -> Option<Disk> {
        let engine = self.config.store.engine;
        (engine == EngineKind::Simulated)
            .then(|| Disk::of(&self.config.store.directory.join(engine_folder(engine))))
    }

    /// A folder that nothing has used yet.
    pub(in crate::daemon) fn new_folder(&self, name: &str) -> PathBuf {
        let numbered = (0..).map(|number: u32| self.folder().join(format!("{name}-{number}")));
        numbered.filter(|path| !path.exists()).find(|_| true).expect("names without end")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(Run { node, runtime }) = self.run.take() {
            runtime.shutdown_timeout(RUNTIME_END_MAX);
            drop(node);
        }
        if self.config.store.directory.exists() {
            self.disk().iter().for_each(Disk::discard);
        }
    }
}

/// A runtime for one run.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads for a runtime")
}

/// A clock that the program sets, and randomness that follows from a seed.
fn environment(wall_ms: &Arc<AtomicU64>, seed: u64) -> Environment {
    let (time, count) = (Arc::clone(wall_ms), Arc::new(AtomicU64::new(seed)));
    let next = move || Chance::new(count.fetch_add(1, Ordering::Relaxed)).next();
    let fill = next.clone();
    Environment {
        clock: Arc::new(move || time.load(Ordering::Relaxed)),
        entropy: Arc::new(move |bytes| {
            for part in bytes.chunks_mut(8) {
                part.iter_mut().zip(fill().to_be_bytes()).for_each(|(to, from)| *to = from);
            }
        }),
        jitter: Arc::new(next),
        free_space: disk::free_space(),
    }
}
