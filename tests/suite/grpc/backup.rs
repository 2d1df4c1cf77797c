//! Backups over gRPC: who may, what is reported, what is refused. The backup room itself is another test's.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use idnode::front::grpc::{
    BackupKind, BackupPort, BackupProblem, BackupSummary, CreateReport, ProgressReport, VerifyReport,
};
use idnode::model::identifier::Prefix;
use idnode::model::position::{Incarnation, Position, Stream};
use idnode::model::token::Scope;
use idnode::wire::proto;
use idnode::wire::proto::backup_service_client::BackupServiceClient;
use idnode::wire::proto::{create_backup_response, verify_backup_response};
use tonic::Code;

use super::door::{Door, PREFIX, Wishes, reason};

/// Reports what it was asked, as a backup room would.
struct Recorder;

fn summary(directory: Option<String>, kind: BackupKind) -> BackupSummary {
    let position = |sequence| Position { incarnation: Incarnation([3; 16]), stream: Stream::ONLY, sequence };
    BackupSummary {
        name: "20261123T200000Z".to_owned(),
        directory: directory.unwrap_or_else(|| "/first".to_owned()),
        kind,
        from: position(1),
        to: position(9),
        created_ms: 5,
        entries: 6,
        bytes: 7,
        encrypted: true,
        base: None,
    }
}

impl BackupPort for Recorder {
    fn create(
        &self,
        directory: Option<String>,
        kind: BackupKind,
    ) -> BoxStream<'static, Result<CreateReport, BackupProblem>> {
        let progress =
            ProgressReport { stage: "image".to_owned(), done_bytes: 1, total_bytes: None, entries: 2 };
        let done = CreateReport::Done(summary(directory, kind));
        stream::iter([Ok(CreateReport::Progress(progress)), Ok(done)]).boxed()
    }

    fn list(
        &self,
        directory: Option<String>,
    ) -> BoxFuture<'static, Result<Vec<BackupSummary>, BackupProblem>> {
        Box::pin(async move {
            match directory.as_deref() {
                Some("/etc") => {
                    let known = vec!["/first".to_owned()];
                    Err(BackupProblem::DirectoryUnknown { directory: "/etc".to_owned(), known })
                }
                _ => Ok(vec![summary(directory, BackupKind::Incremental)]),
            }
        })
    }

    fn verify(
        &self,
        _directory: Option<String>,
        name: String,
    ) -> BoxStream<'static, Result<VerifyReport, BackupProblem>> {
        if name.is_empty() {
            return stream::iter([Err(BackupProblem::Absent { name })]).boxed();
        }
        let finding =
            VerifyReport::Finding { file: "chunk-3".to_owned(), message: "a bit flipped".to_owned() };
        let verdict = VerifyReport::Verdict { whole: false, entries: 4, bytes: 5 };
        stream::iter([Ok(finding), Ok(verdict)]).boxed()
    }
}

async fn open() -> Door {
    Door::open_with(Wishes { backup: Some(Arc::new(Recorder)), ..Wishes::default() }).await
}

/// Progress first, the backup last.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_reported_as_it_goes() {
    let door = open().await;
    let mut client = BackupServiceClient::with_interceptor(door.channel().await, door.admin.clone());
    let kind = proto::BackupKind::Incremental.into();
    let request = proto::CreateBackupRequest { directory: "/other".to_owned(), kind };
    let mut reports = client.create_backup(request).await.expect("a stream").into_inner();
    let first = reports.message().await.expect("a message").expect("progress").report;
    let Some(create_backup_response::Report::Progress(progress)) = first else { panic!("{first:?}") };
    assert_eq!((progress.stage.as_str(), progress.done_bytes, progress.entries), ("image", 1, 2));
    let last = reports.message().await.expect("a message").expect("the backup").report;
    let Some(create_backup_response::Report::Backup(backup)) = last else { panic!("{last:?}") };
    assert_eq!((backup.directory.as_str(), backup.kind()), ("/other", proto::BackupKind::Incremental));
    assert_eq!(backup.to.map(|to| to.sequence), Some(9));
    assert!(reports.message().await.expect("a clean end").is_none());
    door.close().await;
}

/// Findings name the file; the verdict is last; a missing backup is a status.
#[tokio::test(flavor = "multi_thread")]
async fn a_verification_names_what_is_wrong() {
    let door = open().await;
    let mut client = BackupServiceClient::with_interceptor(door.channel().await, door.admin.clone());
    let request = proto::VerifyBackupRequest { directory: String::new(), name: "b".to_owned() };
    let mut reports = client.verify_backup(request).await.expect("a stream").into_inner();
    let finding = reports.message().await.expect("a message").expect("a finding").report;
    let expected = proto::Finding { file: "chunk-3".to_owned(), message: "a bit flipped".to_owned() };
    assert_eq!(finding, Some(verify_backup_response::Report::Finding(expected)));
    let verdict = reports.message().await.expect("a message").expect("a verdict").report;
    let expected = proto::Verdict { whole: false, entries: 4, bytes: 5 };
    assert_eq!(verdict, Some(verify_backup_response::Report::Verdict(expected)));
    let request = proto::VerifyBackupRequest::default();
    let mut reports = client.verify_backup(request).await.expect("a stream").into_inner();
    let status = reports.message().await.expect_err("no name");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "BACKUP_ABSENT"));
    door.close().await;
}

/// Only configured directories, only for those who run the node, only where backups are configured.
#[tokio::test(flavor = "multi_thread")]
async fn backups_are_for_those_who_run_the_node() {
    let door = open().await;
    let mut anonymous = BackupServiceClient::new(door.channel().await);
    let request = proto::ListBackupsRequest { directory: String::new() };
    let status = anonymous.list_backups(request.clone()).await.expect_err("nobody may");
    assert_eq!(reason(&status), "UNAUTHENTICATED");
    let registrar = Scope::Registrar(vec![Prefix::parse(PREFIX).expect("a prefix")]);
    let registrar = door.token(registrar).await;
    let mut registrar = BackupServiceClient::with_interceptor(door.channel().await, registrar);
    let status = registrar.list_backups(request.clone()).await.expect_err("a registrar may not");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"));
    let mut client = BackupServiceClient::with_interceptor(door.channel().await, door.admin.clone());
    let listed = client.list_backups(request.clone()).await.expect("a list").into_inner().backups;
    assert_eq!(listed.len(), 1);
    let status = client.list_backups(proto::ListBackupsRequest { directory: "/etc".to_owned() }).await;
    let status = status.expect_err("not configured");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "BACKUP_DIRECTORY_UNKNOWN")
    );
    door.close().await;

    let without = Door::open_with(Wishes::default()).await;
    let mut client = BackupServiceClient::with_interceptor(without.channel().await, without.admin.clone());
    let status = client.list_backups(request).await.expect_err("no backups here");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "BACKUP_NOT_CONFIGURED"));
    without.close().await;
}
