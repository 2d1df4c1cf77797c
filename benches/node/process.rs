//! The node as a process: started, measured, restarted, ended by its own id.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use idnode::daemon::Addresses;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use crate::Error;
use crate::stats::Line;

/// How long a node may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running node.
pub(crate) struct NodeProcess {
    child: std::sync::Mutex<Child>,
    engine: String,
    data: PathBuf,
    pub(crate) addresses: Addresses,
    pub(crate) token: MetadataValue<Ascii>,
}

impl NodeProcess {
    /// Starts a node on free ports of the loopback.
    pub(crate) async fn start(engine: &str, data: &Path) -> Result<Self, Error> {
        let child = spawn(engine, data)?;
        let addresses = ready(data, child.id()).await?;
        let token = fs::read_to_string(data.join("admin-token"))?;
        let token = format!("Bearer {}", token.trim()).parse()?;
        Ok(Self { child: child.into(), engine: engine.to_owned(), data: data.to_owned(), addresses, token })
    }

    /// A new gRPC connection.
    pub(crate) async fn connect(&self) -> Result<Channel, Error> {
        let url = self.addresses.grpc.first().ok_or("gRPC is off")?;
        Ok(Endpoint::from_shared(url.clone())?.tcp_nodelay(true).connect().await?)
    }

    /// Prints memory and disk in use.
    pub(crate) fn print_size(&self, when: &str) -> Result<(), Error> {
        let id = self.lock().id();
        let status = fs::read_to_string(format!("/proc/{id}/status"))?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        let resident = field("VmRSS").unwrap_or(0) / 1_024;
        let peak = field("VmHWM").unwrap_or(0) / 1_024;
        let disk = bytes_below(&self.data)? >> 20;
        let figures = format!("RSS {resident} MiB (peak {peak} MiB), disk {disk} MiB");
        Line::of(&format!("size {when}"), figures).print();
        Ok(())
    }

    /// Kills the node, starts it again, and tells how long until it answers.
    pub(crate) async fn restart_time(&self) -> Result<Line, Error> {
        let mut figures = Vec::new();
        for how in ["TERM", "KILL"] {
            let id = self.lock().id();
            let begun = Instant::now();
            Command::new("kill").args([&format!("-{how}"), &id.to_string()]).status()?;
            self.lock().wait()?;
            let stopped = begun.elapsed();
            let begun = Instant::now();
            let child = spawn(&self.engine, &self.data)?;
            let id = child.id();
            *self.lock() = child;
            ready(&self.data, id).await?;
            let started = begun.elapsed().as_secs_f64();
            figures.push(format!(
                "after SIG{how} {started:.2} s (stopping took {:.2} s)",
                stopped.as_secs_f64()
            ));
        }
        Ok(Line::of("restart until ready", figures.join(", ")))
    }

    /// Starts a full backup with the command line, as an operator would.
    pub(crate) fn spawn_backup(&self) -> Result<Backup, Error> {
        let url = self.addresses.grpc.first().ok_or("gRPC is off")?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_idnode"));
        command.args(["backup", "create", "--node", url, "--data"]).arg(&self.data);
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()?;
        Ok(Backup { child, begun: Instant::now() })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let mut child = self.lock();
        let _gone = child.kill();
        let _gone = child.wait();
    }
}

/// A running backup.
pub(crate) struct Backup {
    child: Child,
    begun: Instant,
}

impl Backup {
    /// Waits for it.
    pub(crate) async fn finish(mut self) -> Result<Line, Error> {
        let status = tokio::task::spawn_blocking(move || self.child.wait()).await??;
        if !status.success() {
            return Err(format!("the backup ended with {status}").into());
        }
        Ok(Line::of("the backup took", format!("{:.1} s at most", self.begun.elapsed().as_secs_f64())))
    }
}

fn spawn(engine: &str, data: &Path) -> Result<Child, Error> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idnode"));
    command.args(["serve", "--set", &format!("store.engine={engine}"), "--set", "log.level=warn"]);
    // All load comes from one address: it is the rate of answers that is measured, not their limit.
    command.args(["--set", "udp.exempt_networks=127.0.0.0/8"]);
    for front_end in ["grpc", "dns", "handle", "http"] {
        command.args(["--set", &format!("{front_end}.listen=127.0.0.1:0")]);
    }
    command.arg("--data").arg(data).stdout(Stdio::null()).stderr(Stdio::inherit());
    Ok(command.spawn()?)
}

/// Waits until this process has written its addresses.
async fn ready(data: &Path, id: u32) -> Result<Addresses, Error> {
    let begun = Instant::now();
    while begun.elapsed() < READY_WITHIN {
        if let Some(addresses) = Addresses::load(data).filter(|addresses| addresses.process == id) {
            return Ok(addresses);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("the node was not ready in time".into())
}

fn bytes_below(directory: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
