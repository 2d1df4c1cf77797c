//! BackupService: backups of the running node.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::Shared;
use super::call::Call;
use super::counters::Service;
use super::{reply, response};
use crate::backup::{self, Backups, Kind};
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
        let (backups, call) = self.0.admit_to_backup(&request)?;
        let message = request.into_inner();
        let kind = match message.kind() {
            proto::BackupKind::Incremental => Kind::Incremental,
            proto::BackupKind::Full | proto::BackupKind::Unspecified => Kind::Full,
        };
        let reports = backups.create_reported(named(message.directory), kind);
        Ok(Response::new(replies(reports, call, response::create_report)))
    }

    async fn list_backups(
        &self,
        request: Request<proto::ListBackupsRequest>,
    ) -> Result<Response<proto::ListBackupsResponse>, Status> {
        let (backups, _call) = self.0.admit_to_backup(&request)?;
        let directory = named(request.into_inner().directory);
        let listed = backups.list(directory.as_deref()).await.map_err(reply::backup_failed)?;
        Ok(Response::new(response::backup_listing(listed)))
    }

    async fn verify_backup(
        &self,
        request: Request<proto::VerifyBackupRequest>,
    ) -> Result<Response<Self::VerifyBackupStream>, Status> {
        let (backups, call) = self.0.admit_to_backup(&request)?;
        let message = request.into_inner();
        let reports = backups.verify_reported(named(message.directory), message.name);
        Ok(Response::new(replies(reports, call, response::verify_report)))
    }
}

/// The directory that a request names; none when the text is empty.
fn named(text: String) -> Option<PathBuf> {
    Some(text).filter(|text| !text.is_empty()).map(PathBuf::from)
}

/// Reports as responses; the call is held until they end.
fn replies<T: Send + 'static, R: 'static>(
    reports: BoxStream<'static, Result<T, backup::Error>>,
    call: Call,
    into_reply: fn(T) -> R,
) -> BoxStream<'static, Result<R, Status>> {
    let replies = reports.map(move |report| {
        let _held = &call;
        report.map(into_reply).map_err(reply::backup_failed)
    });
    replies.boxed()
}

impl Shared {
    /// The backups, for administrators of the node.
    fn admit_to_backup<T>(&self, request: &Request<T>) -> Result<(&Backups, Call), Status> {
        let call = self.admit(request, Service::Backup)?;
        call.must_run_the_node()?;
        Ok((&self.backups, call))
    }
}
