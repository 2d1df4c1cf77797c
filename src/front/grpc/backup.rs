//! BackupService: backups of the running node.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::Shared;
use super::call::Call;
use super::counters::Service;
use super::ports::{BackupKind, BackupPort, BackupProblem};
use super::reply::{self, FrontRefusal};
use crate::wire::proto;
use crate::wire::proto::backup_service_server::BackupService;

//----------- BackupApi ------------------------------------------------------

/// The service.
pub(super) struct BackupApi(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl BackupService for BackupApi {
    type CreateBackupStream = BoxStream<'static, Result<proto::CreateBackupResponse, Status>>;
    type VerifyBackupStream = BoxStream<'static, Result<proto::VerifyBackupResponse, Status>>;

    async fn create_backup(
        &self,
        request: Request<proto::CreateBackupRequest>,
    ) -> Result<Response<Self::CreateBackupStream>, Status> {
        let (backup, call) = self.0.admit_to_backup(&request)?;
        let message = request.into_inner();
        let kind = match message.kind() {
            proto::BackupKind::Incremental => BackupKind::Incremental,
            proto::BackupKind::Full | proto::BackupKind::Unspecified => BackupKind::Full,
        };
        let reports = backup.create(named(message.directory), kind);
        Ok(Response::new(replies(reports, call, reply::create_report)))
    }

    async fn list_backups(
        &self,
        request: Request<proto::ListBackupsRequest>,
    ) -> Result<Response<proto::ListBackupsResponse>, Status> {
        let (backup, _call) = self.0.admit_to_backup(&request)?;
        let listed =
            backup.list(named(request.into_inner().directory)).await.map_err(reply::backup_problem)?;
        let backups = listed.into_iter().map(reply::backup_summary).collect();
        Ok(Response::new(proto::ListBackupsResponse { backups }))
    }

    async fn verify_backup(
        &self,
        request: Request<proto::VerifyBackupRequest>,
    ) -> Result<Response<Self::VerifyBackupStream>, Status> {
        let (backup, call) = self.0.admit_to_backup(&request)?;
        let message = request.into_inner();
        let reports = backup.verify(named(message.directory), message.name);
        Ok(Response::new(replies(reports, call, reply::verify_report)))
    }
}

/// The text, unless it is empty and leaves the choice to the node.
fn named(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// Reports as replies; the call stays open until their end.
fn replies<T: Send + 'static, R: 'static>(
    reports: BoxStream<'static, Result<T, BackupProblem>>,
    call: Call,
    into_reply: fn(T) -> R,
) -> BoxStream<'static, Result<R, Status>> {
    let replies = reports.map(move |report| {
        let _held = &call;
        report.map(into_reply).map_err(reply::backup_problem)
    });
    replies.boxed()
}

impl Shared {
    /// The backups, for administrators of the node.
    fn admit_to_backup<T>(&self, request: &Request<T>) -> Result<(&Arc<dyn BackupPort>, Call), Status> {
        let call = self.admit(request, Service::Backup)?;
        call.must_run_the_node()?;
        let backup =
            self.backup.as_ref().ok_or_else(|| reply::refused_here(&FrontRefusal::BackupNotConfigured))?;
        Ok((backup, call))
    }
}
