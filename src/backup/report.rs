//! Backups as streams of reports, for callers that show progress: progress is dropped where the reader is slow, the outcome
//! never is.

use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Backups;
use super::error::Error;
use super::finding::{Finding, Verdict};
use super::kind::Kind;
use super::progress::Progress;
use super::summary::Summary;

/// Reports that wait for a slow reader; progress beyond that is dropped.
const REPORTS_WAITING_MAX: usize = 32;

/// A report of a backup that is being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateReport {
    /// Progress of the creation.
    Progress(Progress),
    /// The backup is complete and on disk; the last report.
    Done(Summary),
}

/// A report of a backup that is being verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifyReport {
    /// Progress of the verification.
    Progress(Progress),
    /// Damage that was found.
    Finding(Finding),
    /// The verification is finished; the last report. The findings were reported before and are not repeated in it.
    Done {
        /// Whether everything was read back and is correct.
        whole: bool,
        /// Entries and journal entries read back.
        entries: u64,
        /// Bytes read back.
        bytes: u64,
    },
}

impl Backups {
    /// Creates a backup and reports its progress, then the summary. Dropping the stream abandons it.
    pub fn create_reported(
        &self,
        directory: Option<PathBuf>,
        kind: Kind,
    ) -> BoxStream<'static, Result<CreateReport, Error>> {
        let backups = self.clone();
        reported(move |reports| async move {
            let report = |progress| {
                // A slow reader misses a step of the progress, not the outcome.
                let _dropped = reports.try_send(Ok(CreateReport::Progress(progress)));
            };
            let made = backups.create(directory.as_deref(), kind, &report).await;
            let _reader_gone = reports.send(made.map(CreateReport::Done)).await;
        })
    }

    /// Reads a backup back and reports progress and findings, then the verdict. Dropping the stream ends the reading.
    pub fn verify_reported(
        &self,
        directory: Option<PathBuf>,
        name: String,
    ) -> BoxStream<'static, Result<VerifyReport, Error>> {
        let backups = self.clone();
        reported(move |reports| async move {
            let report = |progress| {
                let _dropped = reports.try_send(Ok(VerifyReport::Progress(progress)));
            };
            match backups.verify(directory.as_deref().map(Path::new), &name, &report).await {
                Ok(verdict) => send_verdict(&reports, verdict).await,
                Err(error) => drop(reports.send(Err(error)).await),
            }
        })
    }
}

/// Sends findings first, the verdict last; ends early when the reader is gone.
async fn send_verdict(reports: &mpsc::Sender<Result<VerifyReport, Error>>, verdict: Verdict) {
    let done =
        VerifyReport::Done { whole: verdict.is_whole(), entries: verdict.entries, bytes: verdict.bytes };
    let findings = verdict.findings.into_iter().map(VerifyReport::Finding);
    for report in findings.chain([done]) {
        if reports.send(Ok(report)).await.is_err() {
            return;
        }
    }
}

/// Runs work that reports; dropping the stream ends the work.
fn reported<T, F>(work: impl FnOnce(mpsc::Sender<T>) -> F) -> BoxStream<'static, T>
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
