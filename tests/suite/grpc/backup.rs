//! Backups over gRPC: who may, what is reported, what is refused.

use std::path::Path;

use idnode::model::identifier::Prefix;
use idnode::model::token::Scope;
use idnode::wire::proto;
use idnode::wire::proto::backup_service_client::BackupServiceClient;
use idnode::wire::proto::{create_backup_response, verify_backup_response};
use tempfile::TempDir;
use tonic::Code;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::front_end::{Bearer, FrontEnd, PREFIX, Wishes, reason};

type Client = BackupServiceClient<InterceptedService<Channel, Bearer>>;

/// A node with two directories of backups.
struct Backed {
    front_end: FrontEnd,
    first: TempDir,
    second: TempDir,
}

impl Backed {
    async fn open() -> Self {
        let directory = || tempfile::tempdir().expect("a directory");
        let (first, second) = (directory(), directory());
        let backup_directories = vec![first.path().to_owned(), second.path().to_owned()];
        let front_end = FrontEnd::open_with(Wishes { backup_directories, ..Wishes::default() }).await;
        Self { front_end, first, second }
    }

    async fn client(&self) -> Client {
        BackupServiceClient::with_interceptor(self.front_end.channel().await, self.front_end.admin.clone())
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}

/// Makes a backup; returns the stages that were reported and the backup.
async fn create(
    client: &mut Client,
    directory: &Path,
    kind: proto::BackupKind,
) -> (Vec<String>, proto::Backup) {
    let request = proto::CreateBackupRequest { directory: text(directory), kind: kind.into() };
    let mut reports = client.create_backup(request).await.expect("a stream").into_inner();
    let mut stages = Vec::new();
    loop {
        match reports.message().await.expect("a message").expect("the backup").report {
            Some(create_backup_response::Report::Progress(progress)) => stages.push(progress.stage),
            Some(create_backup_response::Report::Backup(backup)) => {
                assert!(reports.message().await.expect("a clean end").is_none(), "the backup is last");
                return (stages, backup);
            }
            None => panic!("an empty report"),
        }
    }
}

/// Progress first, the backup last.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_reported_as_it_goes() {
    let node = Backed::open().await;
    let mut client = node.client().await;
    let (stages, full) = create(&mut client, node.second.path(), proto::BackupKind::Full).await;
    assert_eq!(stages.first().map(String::as_str), Some("begin"));
    assert_eq!(
        (full.directory.as_str(), full.kind()),
        (text(node.second.path()).as_str(), proto::BackupKind::Full)
    );
    assert!(full.name.ends_with("-full") && full.entries > 0 && full.bytes > 0, "{full:?}");
    node.front_end.token(Scope::Admin).await;
    let (_, next) = create(&mut client, node.second.path(), proto::BackupKind::Incremental).await;
    assert_eq!((next.kind(), &next.base), (proto::BackupKind::Incremental, &full.name));
    assert_eq!((&next.from, next.entries), (&full.to, 1));
    node.front_end.close().await;
}

/// Findings name the file; the verdict is last; a missing backup is a status.
#[tokio::test(flavor = "multi_thread")]
async fn a_verification_names_what_is_wrong() {
    let node = Backed::open().await;
    let mut client = node.client().await;
    let (_, backup) = create(&mut client, node.first.path(), proto::BackupKind::Full).await;
    let file = "image-000001.zst";
    let path = node.first.path().join(&backup.name).join(file);
    let mut bytes = std::fs::read(&path).expect("the chunk");
    *bytes.last_mut().expect("some bytes") ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let request = proto::VerifyBackupRequest { directory: String::new(), name: backup.name };
    let mut reports = client.verify_backup(request).await.expect("a stream").into_inner();
    let (mut files, mut verdict) = (Vec::new(), None);
    while let Some(message) = reports.message().await.expect("a message") {
        assert_eq!(verdict, None, "the verdict is last");
        match message.report.expect("a report") {
            verify_backup_response::Report::Progress(_) => {}
            verify_backup_response::Report::Finding(finding) => files.push(finding.file),
            verify_backup_response::Report::Verdict(done) => verdict = Some(done.whole),
        }
    }
    assert_eq!((files, verdict), (vec![file.to_owned()], Some(false)));
    let name = "2026-01-01T000000Z-full".to_owned();
    let request = proto::VerifyBackupRequest { directory: String::new(), name };
    let mut reports = client.verify_backup(request).await.expect("a stream").into_inner();
    let status = reports.message().await.expect_err("no such backup");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "BACKUP_ABSENT"));
    node.front_end.close().await;
}

/// Only configured directories, only for those who run the node.
#[tokio::test(flavor = "multi_thread")]
async fn backups_are_for_those_who_run_the_node() {
    let Backed { front_end, first, second: _second } = Backed::open().await;
    let mut anonymous = BackupServiceClient::new(front_end.channel().await);
    let request = proto::ListBackupsRequest { directory: String::new() };
    let status = anonymous.list_backups(request.clone()).await.expect_err("nobody may");
    assert_eq!(reason(&status), "UNAUTHENTICATED");
    let registrar = Scope::Registrar(vec![Prefix::parse(PREFIX).expect("a prefix")]);
    let registrar = front_end.token(registrar).await;
    let mut registrar = BackupServiceClient::with_interceptor(front_end.channel().await, registrar);
    let status = registrar.list_backups(request.clone()).await.expect_err("a registrar may not");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"));
    let mut client =
        BackupServiceClient::with_interceptor(front_end.channel().await, front_end.admin.clone());
    let listed = client.list_backups(request.clone()).await.expect("a list").into_inner().backups;
    assert_eq!(listed, []);
    let (_, backup) = create(&mut client, first.path(), proto::BackupKind::Full).await;
    let listed = client.list_backups(request).await.expect("a list").into_inner().backups;
    assert_eq!(listed, [backup]);
    let status = client.list_backups(proto::ListBackupsRequest { directory: "/etc".to_owned() }).await;
    let status = status.expect_err("not configured");
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "BACKUP_DIRECTORY_UNKNOWN")
    );
    front_end.close().await;
}
