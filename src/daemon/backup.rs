//! The backup room behind the gRPC door: what the door asks, and what the room reports, in each other's words.

use std::path::{Path, PathBuf};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::error::DaemonError;
use super::server_key::ServerKey;
use crate::backup::{self, Backups, CHUNK_BYTES_DEFAULT, Progress, Summary};
use crate::config::Config;
use crate::front::grpc::{
    BackupKind, BackupMark, BackupPort, BackupProblem, BackupSummary, CreateReport, ProgressReport,
    VerifyReport,
};
use crate::store::Store;
use crate::telemetry::Chain;

/// Reports that wait for a slow reader; progress beyond that is not told.
const REPORTS_WAITING_MAX: usize = 32;

/// The backups of an open store, as configured.
pub(super) fn backups(
    config: &Config,
    store: &Store,
    server_key: &ServerKey,
) -> Result<Backups, DaemonError> {
    let options = backup::Options {
        directories: config.backup_directories(),
        key_file: config.backup.key_file.clone(),
        keep_count: config.backup.keep_count,
        keep_days: config.backup.keep_days,
        chunk_bytes: CHUNK_BYTES_DEFAULT,
        files: vec![server_key.file.clone()],
        node_version: env!("IDNODE_VERSION").into(),
    };
    Backups::new(store.clone(), options).map_err(|error| DaemonError::Configured {
        key: "backup.key_file",
        reason: Chain(&error).to_string(),
    })
}

/// The newest backup, in brief; none when there is none or it cannot be told.
pub(super) async fn newest(backups: &Backups) -> Option<BackupMark> {
    let listed = backups.list(None).await;
    let newest = listed.ok()?.into_iter().next()?;
    Some(BackupMark { name: newest.name, created_ms: newest.created_ms, to: newest.to })
}

//----------- BackupDesk -----------------------------------------------------

/// Answers the door.
pub(super) struct BackupDesk(pub(super) Backups);

impl BackupPort for BackupDesk {
    fn create(
        &self,
        directory: Option<String>,
        kind: BackupKind,
    ) -> BoxStream<'static, Result<CreateReport, BackupProblem>> {
        let backups = self.0.clone();
        let kind = match kind {
            BackupKind::Full => backup::Kind::Full,
            BackupKind::Incremental => backup::Kind::Incremental,
        };
        reporting(move |reports| async move {
            let tell = |progress| {
                // A reader that is slow misses a step, not the end.
                let _missed = reports.try_send(Ok(CreateReport::Progress(progress_report(progress))));
            };
            let directory = directory.map(PathBuf::from);
            let made = backups.create(directory.as_deref(), kind, &tell).await;
            let report = made.map(|made| CreateReport::Done(summary(made))).map_err(|error| problem(&error));
            let _gone = reports.send(report).await;
        })
    }

    fn list(
        &self,
        directory: Option<String>,
    ) -> BoxFuture<'static, Result<Vec<BackupSummary>, BackupProblem>> {
        let backups = self.0.clone();
        async move {
            let listed = backups.list(directory.as_deref().map(Path::new)).await;
            let listed = listed.map_err(|error| problem(&error))?;
            Ok(listed.into_iter().map(summary).collect())
        }
        .boxed()
    }

    fn verify(
        &self,
        directory: Option<String>,
        name: String,
    ) -> BoxStream<'static, Result<VerifyReport, BackupProblem>> {
        let backups = self.0.clone();
        reporting(move |reports| async move {
            let tell = |progress| {
                let _missed = reports.try_send(Ok(VerifyReport::Progress(progress_report(progress))));
            };
            let verdict = backups.verify(directory.as_deref().map(Path::new), &name, &tell).await;
            match verdict {
                Ok(verdict) => send_verdict(&reports, verdict).await,
                Err(error) => drop(reports.send(Err(problem(&error))).await),
            }
        })
    }
}

/// Findings first, the verdict last; a reader that is gone is told nothing more.
async fn send_verdict(reports: &mpsc::Sender<Result<VerifyReport, BackupProblem>>, verdict: backup::Verdict) {
    let whole = verdict.is_whole();
    for finding in verdict.findings {
        let report = VerifyReport::Finding { file: finding.file, message: finding.message };
        if reports.send(Ok(report)).await.is_err() {
            return;
        }
    }
    let (entries, bytes) = (verdict.entries, verdict.bytes);
    let _gone = reports.send(Ok(VerifyReport::Verdict { whole, entries, bytes })).await;
}

/// Runs work that reports; dropping the stream ends the work.
fn reporting<T, F>(work: impl FnOnce(mpsc::Sender<T>) -> F) -> BoxStream<'static, T>
where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(REPORTS_WAITING_MAX);
    let mut owner = JoinSet::new();
    owner.spawn(work(sender));
    let next = |(mut receiver, owner): (mpsc::Receiver<T>, JoinSet<()>)| async move {
        let report = receiver.recv().await?;
        Some((report, (receiver, owner)))
    };
    stream::unfold((receiver, owner), next).boxed()
}

//----------- Words ----------------------------------------------------------

fn progress_report(progress: Progress) -> ProgressReport {
    ProgressReport {
        stage: progress.stage.to_owned(),
        done_bytes: progress.done_bytes,
        total_bytes: progress.total_bytes,
        entries: progress.entries,
    }
}

fn summary(summary: Summary) -> BackupSummary {
    BackupSummary {
        name: summary.name,
        directory: summary.directory.display().to_string(),
        kind: match summary.kind {
            backup::Kind::Full => BackupKind::Full,
            backup::Kind::Incremental => BackupKind::Incremental,
        },
        from: summary.from,
        to: summary.to,
        created_ms: summary.created_ms,
        entries: summary.entries,
        bytes: summary.bytes,
        encrypted: summary.encrypted,
        base: summary.base,
    }
}

fn problem(error: &backup::Error) -> BackupProblem {
    match error {
        backup::Error::DirectoryUnknown { directory, known } => BackupProblem::DirectoryUnknown {
            directory: directory.display().to_string(),
            known: known.iter().map(|directory| directory.display().to_string()).collect(),
        },
        backup::Error::Absent { name } => BackupProblem::Absent { name: name.clone() },
        backup::Error::Busy { .. } => BackupProblem::Busy,
        other => BackupProblem::Failed { message: Chain(other).to_string() },
    }
}
