//! Nodes to test: in this process, and as a process of their own that can be killed.
//!
//! Both take any free port and a temporary directory. Where a node is, it says in the `addresses` file.

use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use idnode::config::Config;
use idnode::daemon::{Addresses, Node, RunningNode};
use idnode::store::EngineKind;
use tempfile::TempDir;

use super::clients::GrpcClient;
use super::eventually::eventually;

/// Any free port on loopback.
const ANY: &str = "127.0.0.1:0";

/// A configuration with every front end on any free port and the data in `data`.
pub(crate) fn config(data: &Path, engine: EngineKind) -> Config {
    let any = vec![ANY.parse().expect("an address")];
    let mut config = Config::default();
    config.store.directory = data.into();
    config.store.engine = engine;
    config.grpc.listen.clone_from(&any);
    config.dns.listen.clone_from(&any);
    config.handle.listen.clone_from(&any);
    config.http.listen = any;
    config
}

/// Puts a server key into a data directory that has none: making one takes longer than most tests.
pub(crate) fn give_server_key(data: &Path) {
    let file = data.join("server-key.pem");
    if !file.exists() {
        fs::create_dir_all(data).expect("a directory");
        fs::write(file, include_str!("../../data/server-key.pem")).expect("a key file");
    }
}

/// The admin token that the first start wrote.
pub(crate) fn admin_token(data: &Path) -> String {
    fs::read_to_string(data.join("admin-token")).expect("an admin token").trim().to_owned()
}

//----------- TestNode -------------------------------------------------------

/// A node in this process.
pub(crate) struct TestNode {
    running: RunningNode,
    directory: TempDir,
}

impl TestNode {
    /// Starts one on an engine.
    pub(crate) async fn start(engine: EngineKind) -> Self {
        Self::start_with(engine, |_| {}).await
    }

    /// The same with a changed configuration; a restart forgets the change.
    pub(crate) async fn start_with(engine: EngineKind, tell: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self::start_changed(directory, engine, tell).await
    }

    async fn start_in(directory: TempDir, engine: EngineKind) -> Self {
        Self::start_changed(directory, engine, |_| {}).await
    }

    async fn start_changed(directory: TempDir, engine: EngineKind, tell: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(&directory.path().join("data"), engine);
        give_server_key(&config.store.directory);
        tell(&mut config);
        let running = Node::start(config).await.expect("the node starts");
        Self { running, directory }
    }

    /// Stops it in order and starts it again on the same data.
    pub(crate) async fn restart(self) -> Self {
        let Self { running, directory } = self;
        let engine = running.store().engine_kind();
        running.stop().await.expect("the node stops");
        Self::start_in(directory, engine).await
    }

    /// A client that shows the admin token of the first start.
    pub(crate) async fn client(&self) -> GrpcClient {
        GrpcClient::connect(self.grpc(), Some(&admin_token(self.running.data_dir()))).await
    }

    /// A client that shows no token.
    pub(crate) async fn anonymous_client(&self) -> GrpcClient {
        GrpcClient::connect(self.grpc(), None).await
    }

    /// The URL of its gRPC front end.
    pub(crate) fn grpc(&self) -> &str {
        self.running.addresses().grpc.first().expect("a gRPC address")
    }

    /// The address of its DNS front end.
    pub(crate) fn dns(&self) -> SocketAddr {
        self.running.dns_addr().expect("a DNS address")
    }

    /// The address of its Handle front end.
    pub(crate) fn handle(&self) -> SocketAddr {
        self.running.handle_addr().expect("a Handle address")
    }

    /// The URL of its HTTP front end.
    pub(crate) fn http(&self) -> &str {
        self.running.addresses().http.first().expect("an HTTP address")
    }

    /// The node itself.
    pub(crate) fn node(&self) -> &RunningNode {
        &self.running
    }

    /// Stops it in order; the directory stays until the returned guard is dropped.
    pub(crate) async fn stop(self) -> TempDir {
        self.running.stop().await.expect("the node stops");
        self.directory
    }
}

//----------- NodeProcess ----------------------------------------------------

/// A node that is a process of its own; killed when dropped.
pub(crate) struct NodeProcess {
    child: Child,
    data: PathBuf,
    log: TempDir,
    /// Its addresses.
    pub(crate) addresses: Addresses,
}

impl NodeProcess {
    /// Starts one with its data in `data`, and waits until it listens.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        Self::start_with(data, arguments, &[])
    }

    /// The same with variables in its environment.
    pub(crate) fn start_with(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = serve(data, arguments);
        command.envs(environment.iter().copied());
        Self::run(data, command)
    }

    /// Starts one that may open so many files at a time.
    pub(crate) fn start_with_descriptors(data: &Path, descriptors: u32) -> Self {
        Self::start_limited(data, &format!("ulimit -n {descriptors}"), &[])
    }

    /// Starts one whose files cannot grow beyond so many blocks of 512 bytes, as on a full disk.
    pub(crate) fn start_with_file_blocks(data: &Path, blocks: u32, arguments: &[&str]) -> Self {
        Self::start_limited(data, &format!("trap '' XFSZ && ulimit -f {blocks}"), arguments)
    }

    /// Starts one under a limit that a shell sets.
    fn start_limited(data: &Path, limit: &str, arguments: &[&str]) -> Self {
        let serve = serve(data, arguments);
        let mut command = Command::new("/bin/sh");
        command.env_clear().arg("-c").arg(format!("{limit} && exec \"$0\" \"$@\""));
        command.arg(serve.get_program()).args(serve.get_args()).stdin(Stdio::null()).stdout(Stdio::piped());
        Self::run(data, command)
    }

    fn run(data: &Path, mut command: Command) -> Self {
        let log = tempfile::tempdir().expect("a directory");
        let lines = File::create(log.path().join("log")).expect("a file");
        let child = command.stderr(lines).spawn().expect("a process");
        let mut node = Self { child, data: data.into(), log, addresses: Addresses::default() };
        node.addresses = eventually("the node has written its addresses", || {
            if let Some(status) = node.child.try_wait().expect("a child") {
                panic!("the node ended with {status}: {}", node.log());
            }
            Addresses::load(data).filter(|addresses| addresses.process == node.child.id())
        });
        node
    }

    /// What it has written to standard error so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log.path().join("log")).expect("a log")
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The URL of its gRPC front end.
    pub(crate) fn grpc(&self) -> &str {
        self.addresses.grpc.first().expect("a gRPC address")
    }

    /// The address of its DNS front end.
    pub(crate) fn dns(&self) -> SocketAddr {
        *self.addresses.dns.first().expect("a DNS address")
    }

    /// The URL of its HTTP front end.
    pub(crate) fn http(&self) -> &str {
        self.addresses.http.first().expect("an HTTP address")
    }

    /// The most memory that it has had in RAM so far, in MiB.
    pub(crate) fn resident_peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib / 1024
    }

    /// Sends a signal by its name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs");
        assert!(sent.success(), "signal {name} was not sent");
    }

    /// Kills it, as kill -9 does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a running child");
        self.child.wait().expect("a child");
    }

    /// Waits until it ends by itself; its exit status and what it wrote to standard output and standard error.
    pub(crate) fn wait(mut self) -> (ExitStatus, String, String) {
        let status = eventually("the node ends", || self.child.try_wait().expect("a child"));
        let mut greeting = String::new();
        self.child.stdout.take().map(|mut stdout| stdout.read_to_string(&mut greeting));
        (status, greeting, self.log())
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It has ended already in most tests.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Runs a node that is expected to end by itself at once.
pub(crate) fn serve_and_end(data: &Path, arguments: &[&str]) -> Output {
    serve(data, arguments).output().expect("a process")
}

/// Runs the program with these arguments and without our environment.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idnode"));
    command.env_clear().args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn serve(data: &Path, arguments: &[&str]) -> Command {
    let mut command = program(&["serve"]);
    for front_end in ["grpc.listen", "dns.listen", "handle.listen", "http.listen"] {
        command.args(["--set", &format!("{front_end}={ANY}")]);
    }
    command.arg("--data").arg(data).args(arguments);
    command
}
