//! Backups on this machine, without a node: list, verify, restore.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use clap::Args;
use indicatif::HumanCount;
use serde_json::json;

use super::display::{self, parse_time};
use super::error::{Error, Reason};
use super::output::{Form, Output};
use super::progress::{Point, Progress};
use crate::backup::{self, Damage, Kind, RestoreReport, RestoreRequest, Until};
use crate::daemon;
use crate::model::position::Position;
use crate::store::EngineKind;
use crate::telemetry::Chain;
use crate::wire::proto;

/// Bytes of the engine's cache during a restore.
const CACHE_BYTES: u64 = 256 * 1024 * 1024;

//----------- OfflineArguments -----------------------------------------------

/// Selects between asking a node and reading the directory.
#[derive(Args, Debug)]
pub(super) struct OfflineArguments {
    /// Read --directory on this machine instead of asking a node
    #[arg(long, requires = "directory")]
    offline: bool,

    /// With --offline: the key file of an encrypted backup
    #[arg(long, value_name = "FILE", requires = "offline")]
    key_file: Option<PathBuf>,
}

impl OfflineArguments {
    /// Whether the directory is read without a node.
    pub(super) fn is_offline(&self) -> bool {
        self.offline
    }

    /// Lists the backups in the directory, and what is wrong with them.
    pub(super) fn list(&self, directory: &str) -> Result<proto::ListBackupsResponse, Error> {
        list(directory, self.key_file.as_deref())
    }

    /// Reads a backup completely and checks it.
    pub(super) async fn verify(
        &self,
        directory: &str,
        name: &str,
    ) -> Result<(Vec<proto::Finding>, proto::Verdict), Error> {
        let folder = Path::new(directory).join(name);
        let progress = Watched::new();
        let report = |now| progress.advance(&now);
        let verdict = backup::verify_folder(&folder, self.key_file.as_deref(), &report).await;
        progress.finish();
        let verdict = verdict.map_err(|error| explain(&error))?;
        let whole = verdict.is_whole();
        let findings = verdict.findings.into_iter().map(finding).collect();
        Ok((findings, proto::Verdict { whole, entries: verdict.entries, bytes: verdict.bytes }))
    }
}

/// The backups in a directory of this machine, and what is wrong with them.
fn list(directory: &str, key_file: Option<&Path>) -> Result<proto::ListBackupsResponse, Error> {
    let listed = backup::list_directory(Path::new(directory), key_file).map_err(|error| explain(&error))?;
    let position = |position: Position| proto::Position {
        incarnation: position.incarnation.0.to_vec(),
        stream: position.stream.0.into(),
        sequence: position.sequence,
    };
    let backups = listed.backups.into_iter().map(|backup| proto::Backup {
        name: backup.name,
        directory: backup.directory.display().to_string(),
        kind: match backup.kind {
            Kind::Full => proto::BackupKind::Full.into(),
            Kind::Incremental => proto::BackupKind::Incremental.into(),
        },
        from: Some(position(backup.from)),
        to: Some(position(backup.to)),
        created_ms: backup.created_ms,
        entries: backup.entries,
        bytes: backup.bytes,
        encrypted: backup.encrypted,
        base: backup.base.unwrap_or_default(),
        note: backup.note.unwrap_or_default(),
    });
    let findings = listed.findings.into_iter().map(finding);
    Ok(proto::ListBackupsResponse { backups: backups.collect(), findings: findings.collect() })
}

fn finding(finding: backup::Finding) -> proto::Finding {
    proto::Finding { file: finding.file, message: finding.message }
}

//----------- RestoreArguments -----------------------------------------------

/// Arguments of `idnode backup restore`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode backup restore /srv/backups/2026-11-23T023000Z-full --data /var/lib/idnode
  idnode backup restore /srv/backups --data ./restored --to-time 2026-11-23T10:00:00+08:00

FROM is the folder of one backup, which is restored with those that it continues; or a directory of backups, of which
those that reach the target are used. Backups are compared by their position in the journal, never by a clock. A state
between two backups is restored where any later backup holds the journal up to it.

Everything is checked while it is read. When a backup of the directory is damaged, missing, unreadable or not proved by the
key, the restore goes on if the others hold the same; else it is refused and names what is wrong, unless --accept-older is
given. After a refusal the data directory is unchanged. The restored store begins a new incarnation. The position, the time
and the newest backup used are always printed: compare them with what you expect, because nothing can be known of a backup
that vanished together with the catalog of its directory.

A backup holds tokens as hashes only. The first start after a restore writes a new admin token, unless the file
admin-token was put back into the data directory. Run it as the user that the node runs as, or as
root and then give the data directory to that user.")]
pub(super) struct RestoreArguments {
    /// A backup, or a directory of backups
    from: PathBuf,

    /// The new data directory: empty, or not yet existing
    #[arg(long, value_name = "DIRECTORY")]
    data: PathBuf,

    /// The engine of the restored store, fjall or sled; by default that of the backup
    #[arg(long, value_name = "ENGINE")]
    engine: Option<EngineKind>,

    /// Restore up to this position: INCARNATION:STREAM:SEQUENCE, or the sequence alone
    #[arg(long, value_name = "POSITION", value_parser = position)]
    to_position: Option<Until>,

    /// Restore up to the last change not after this time, such as 2026-11-23T10:00:00+08:00
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "to_position")]
    to_time: Option<Until>,

    /// The key file of an encrypted backup; then only what its key proves is restored
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Restore an older state when the newest one in a directory cannot be restored, and say what is lost
    #[arg(long)]
    accept_older: bool,

    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

fn position(text: &str) -> Result<Until, String> {
    Until::parse_position(text)
        .ok_or_else(|| "expected a position as `idnode backup list --json` prints it".into())
}

fn time(text: &str) -> Result<Until, String> {
    parse_time(text).map(Until::Time)
}

impl RestoreArguments {
    /// The output format that the arguments ask for.
    pub(super) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }

    /// Restores, and prints a summary.
    pub(super) async fn run(self) -> Result<(), Error> {
        let mut output = Output::new(self.form());
        let request = RestoreRequest {
            from: self.from,
            data: self.data.clone(),
            engine: self.engine,
            until: self.to_position.or(self.to_time).unwrap_or(Until::End),
            damage: if self.accept_older { Damage::AcceptOlder } else { Damage::Refuse },
            key_file: self.key_file,
            cache_bytes: CACHE_BYTES,
            clock: daemon::clock(),
            entropy: daemon::entropy(),
        };
        let progress = Watched::new();
        let restored = backup::restore(request, &|now| progress.advance(&now)).await;
        progress.finish();
        let report = restored.map_err(|error| explain(&error))?;
        if output.is_json() {
            output.json(&json_of(&report))?;
        } else {
            output.line(&text_of(&report, &self.data))?;
        }
        output.flush()
    }
}

fn text_of(report: &RestoreReport, data: &Path) -> String {
    let RestoreReport { backups, engine, restored, lost, unused } = report;
    let mut lines = vec![
        format!(
            "restored {} identifiers up to {} ({}) from {}",
            HumanCount(restored.identifiers),
            restored.continues,
            display::time(restored.time_ms),
            backups.join(", "),
        ),
        format!("the newest backup used is {}", backups.last().map_or("none", String::as_str)),
        format!(
            "the store in {} ({engine}) begins a new incarnation at {}",
            data.display(),
            restored.present
        ),
    ];
    lines.extend(lost.iter().map(|finding| format!("lost: {}", display::escape(&finding.to_string()))));
    let unused = unused.iter().filter(|finding| !lost.contains(finding));
    lines.extend(unused.map(|finding| format!("not used: {}", display::escape(&finding.to_string()))));
    lines.join("\n")
}

fn json_of(report: &RestoreReport) -> serde_json::Value {
    let RestoreReport { backups, engine, restored, lost, unused } = report;
    let texts = |findings: &[backup::Finding]| findings.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "backups": backups,
        "newest_backup": backups.last(),
        "engine": engine.to_string(),
        "identifiers": restored.identifiers,
        "continues": restored.continues.to_string(),
        "time": display::time(restored.time_ms),
        "position": restored.present.to_string(),
        "lost": texts(lost),
        "unused": texts(unused),
    })
}

//----------- Progress and errors --------------------------------------------

/// Progress that is reported from the thread that does the work.
struct Watched(Mutex<Progress>);

impl Watched {
    fn new() -> Self {
        Self(Mutex::new(Progress::new("entries")))
    }

    fn advance(&self, now: &backup::Progress) {
        let point =
            Point { things: now.entries, done: now.done_bytes, whole: now.total_bytes.unwrap_or_default() };
        self.lock().advance(now.stage, point);
    }

    fn finish(&self) {
        self.lock().finish();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Converts an error of the backup module into one of this command.
fn explain(error: &backup::Error) -> Error {
    use backup::Error as Cause;
    let text = Chain(error).to_string();
    match error {
        Cause::Absent { .. } => Error::Missing(text),
        Cause::NotWhole { .. } | Cause::Older { .. } => Error::Refused(Reason::new("BACKUP_NOT_WHOLE", text)),
        Cause::Unreachable { .. } => Error::Refused(Reason::new("BACKUP_UNREACHABLE", text)),
        Cause::DirectoryUnknown { .. }
        | Cause::Key { .. }
        | Cause::KeyWanted { .. }
        | Cause::DataNotEmpty { .. } => Error::Usage(text),
        Cause::Busy { .. } | Cause::RestoreUnderWay { .. } => Error::Refused(Reason::new("BUSY", text)),
        Cause::Store { .. } => Error::Failed(Reason::new("STORE", text)),
        Cause::File { action, path, source } => {
            Error::File { path: path.display().to_string(), cause: format!("{action}: {source}") }
        }
        Cause::Stopped { .. } => Error::Interrupted(text),
    }
}
