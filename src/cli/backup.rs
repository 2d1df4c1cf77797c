//! Backup: create, list and verify backups of a running node; list, verify and restore those on this machine.

use clap::{Args, Subcommand};
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value as Json, json};
use tonic::Status;

use super::change::position;
use super::connection::ConnectionArguments;
use super::display::{self, Table, escape};
use super::error::{Attempt, Error, Reason};
use super::offline::{OfflineArguments, RestoreArguments};
use super::output::{Form, Output};
use super::progress::{Point, Progress};
use crate::wire::proto;
use crate::wire::proto::backup_service_client::BackupServiceClient;

//----------- BackupCommand --------------------------------------------------

/// Subcommands of `idnode backup`.
#[derive(Debug, Subcommand)]
pub(super) enum BackupCommand {
    /// Back up the running node
    #[command(after_help = "\
Examples:
  idnode backup create
  idnode backup create --incremental

The node writes into a directory that its configuration names. Interrupting the command abandons the backup.")]
    Create(CreateArguments),

    /// List backups, the newest first
    #[command(after_help = "\
Examples:
  idnode backup list
  idnode backup list --offline --directory /srv/backups

Exits with 1 when a backup cannot be read, lacks files, or continues one that is missing; each is named. So is a directory
that held backups since the node started and holds none. With --key-file, only what its key authenticates is a backup.
Verify reads the content as well.")]
    List(ListArguments),

    /// Read a backup completely and report every fault
    #[command(after_help = "\
Examples:
  idnode backup verify NAME
  idnode backup verify --all
  idnode backup verify --offline --directory /srv/backups NAME

Of the backups that an incremental one continues, only manifests and sizes are checked; --all reads every backup.
Exits with 1 when a backup is damaged or incomplete, and with --all when there is none. With --key-file, only what its key proves is a backup.")]
    Verify(VerifyArguments),

    /// Build a new data directory from a backup on this machine
    Restore(RestoreArguments),
}

impl BackupCommand {
    /// The output format that the arguments ask for.
    pub(super) fn form(&self) -> Form {
        match self {
            Self::Create(arguments) => arguments.connection.form(),
            Self::List(arguments) => arguments.connection.form(),
            Self::Verify(arguments) => arguments.connection.form(),
            Self::Restore(arguments) => arguments.form(),
        }
    }

    pub(super) async fn run(self) -> Result<(), Error> {
        match self {
            Self::Create(arguments) => create(arguments).await,
            Self::List(arguments) => list(arguments).await,
            Self::Verify(arguments) => verify(arguments).await,
            Self::Restore(arguments) => arguments.run().await,
        }
    }
}

//----------- Arguments ------------------------------------------------------

/// Selects a backup directory.
#[derive(Args, Debug)]
struct DirectoryArguments {
    /// One of the directories that the node's configuration names; with --offline, any on this machine
    #[arg(long, value_name = "DIRECTORY", default_value = "", hide_default_value = true)]
    directory: String,
}

/// Arguments of `idnode backup create`.
#[derive(Args, Debug)]
pub(super) struct CreateArguments {
    /// Back up only the changes since the previous backup
    #[arg(long)]
    incremental: bool,

    #[command(flatten)]
    location: DirectoryArguments,

    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Arguments of `idnode backup list`.
#[derive(Args, Debug)]
pub(super) struct ListArguments {
    #[command(flatten)]
    location: DirectoryArguments,

    #[command(flatten)]
    offline: OfflineArguments,

    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Arguments of `idnode backup verify`.
#[derive(Args, Debug)]
pub(super) struct VerifyArguments {
    /// The backup's name, as `idnode backup list` shows it
    #[arg(required_unless_present = "all")]
    name: Option<String>,

    /// Read every backup, and name what looks like a backup and cannot be read
    #[arg(long, conflicts_with = "name")]
    all: bool,

    #[command(flatten)]
    location: DirectoryArguments,

    #[command(flatten)]
    offline: OfflineArguments,

    #[command(flatten)]
    connection: ConnectionArguments,
}

//----------- Commands -------------------------------------------------------

async fn create(arguments: CreateArguments) -> Result<(), Error> {
    use proto::create_backup_response::Report;
    let connection = arguments.connection.connection()?;
    let kind = if arguments.incremental { proto::BackupKind::Incremental } else { proto::BackupKind::Full };
    let request = proto::CreateBackupRequest { directory: arguments.location.directory, kind: kind.into() };
    let unknown = |cause: String| {
        Error::BrokenOff(format!(
            "the node was making the backup, and whether it was completed is unknown ({cause}); look with `idnode \
             backup list`"
        ))
    };
    let explain = |status: Status| match Attempt::of_status(&status) {
        Attempt::Unknown => unknown(Reason::of_status(&status).to_string()),
        Attempt::NotTaken | Attempt::Final => connection.explain(&status),
    };
    let mut client = BackupServiceClient::new(connection.channel().await?);
    let reports = client.create_backup(connection.streaming(request)).await;
    let mut reports = reports.map_err(explain)?.into_inner();
    let mut progress = Progress::new("entries");
    let mut made = None;
    while let Some(response) = reports.message().await.map_err(explain)? {
        match response.report {
            Some(Report::Progress(report)) => advance(&mut progress, &report),
            Some(Report::Backup(backup)) => made = Some(backup),
            None => {}
        }
    }
    progress.finish();
    let made = made.ok_or_else(|| unknown("the node ended the call".into()))?;
    let mut output = arguments.connection.output();
    if output.is_json() {
        output.json(&backup_json(&made))?;
    } else {
        output.line(&format!(
            "{}  {} entries, {}, up to {}",
            escape(&made.name),
            HumanCount(made.entries),
            HumanBytes(made.bytes),
            made.to.as_ref().map(position).unwrap_or_default()
        ))?;
        if arguments.incremental && made.kind() == proto::BackupKind::Full {
            output.line(&format!("This is a full backup: {}.", escape(&made.note)))?;
        }
    }
    output.flush()
}

async fn listing(
    location: &DirectoryArguments,
    offline: &OfflineArguments,
    connection: &ConnectionArguments,
) -> Result<proto::ListBackupsResponse, Error> {
    if offline.is_offline() {
        return offline.list(&location.directory);
    }
    let connection = connection.connection()?;
    let request = proto::ListBackupsRequest { directory: location.directory.clone() };
    connection
        .ask(async |channel| {
            BackupServiceClient::new(channel).list_backups(connection.request(request)).await
        })
        .await
}

async fn list(arguments: ListArguments) -> Result<(), Error> {
    let response = listing(&arguments.location, &arguments.offline, &arguments.connection).await?;
    let mut output = arguments.connection.output();
    if output.is_json() {
        response.backups.iter().try_for_each(|backup| output.json(&backup_json(backup)))?;
        output.flush()?;
        return refuse_findings(&response.findings);
    }
    let mut table = Table::new(&["NAME", "KIND", "CREATED", "ENTRIES", "SIZE", "ENCRYPTED", "DIRECTORY"]);
    for backup in &response.backups {
        table.row([
            &backup.name,
            kind(backup.kind()),
            &display::time(backup.created_ms),
            &HumanCount(backup.entries).to_string(),
            &HumanBytes(backup.bytes).to_string(),
            if backup.encrypted { "yes" } else { "no" },
            &backup.directory,
        ]);
    }
    output.table(table)?;
    output.flush()?;
    refuse_findings(&response.findings)
}

/// Fails when something is wrong with a directory of backups, and names it.
fn refuse_findings(findings: &[proto::Finding]) -> Result<(), Error> {
    if findings.is_empty() {
        return Ok(());
    }
    Err(Error::Incomplete(format!(
        "not every backup can be used; {} faults found: {}",
        findings.len(),
        findings.iter().map(named).collect::<Vec<_>>().join("; ")
    )))
}

async fn verify(arguments: VerifyArguments) -> Result<(), Error> {
    let VerifyArguments { name, location, offline, connection, .. } = &arguments;
    let Some(name) = name else {
        return verify_all(&arguments).await;
    };
    let (findings, verdict) = read_back(offline, connection, &location.directory, name).await?;
    let mut output = connection.output();
    print_verdict(&mut output, name, &findings, verdict)?;
    output.flush()?;
    if verdict.whole {
        return Ok(());
    }
    Err(Error::Incomplete(format!(
        "backup {} is damaged: {} faults found; make another one",
        escape(name),
        findings.len()
    )))
}

/// Reads every backup of a directory, or of all.
async fn verify_all(arguments: &VerifyArguments) -> Result<(), Error> {
    let VerifyArguments { location, offline, connection, .. } = arguments;
    let listed = listing(location, offline, connection).await?;
    if listed.backups.is_empty() && listed.findings.is_empty() {
        return Err(no_backup(&location.directory));
    }
    let mut output = connection.output();
    let mut damaged = Vec::new();
    for backup in &listed.backups {
        let (findings, verdict) = read_back(offline, connection, &backup.directory, &backup.name).await?;
        print_verdict(&mut output, &backup.name, &findings, verdict)?;
        output.flush()?;
        if !verdict.whole {
            damaged.push(format!("{} is damaged", escape(&backup.name)));
        }
    }
    if damaged.is_empty() {
        return refuse_findings(&listed.findings);
    }
    damaged.extend(listed.findings.iter().map(named));
    Err(Error::Incomplete(format!("not every backup is whole: {}; make a full one", damaged.join("; "))))
}

/// The error of a verification of all backups that finds none.
fn no_backup(directory: &str) -> Error {
    let directory = match directory {
        "" => "the directories that the node's configuration names".into(),
        directory => escape(directory),
    };
    Error::Missing(format!(
        "there is no backup in {directory}, and nothing was verified; make one with `idnode backup create`, or name \
         the directory that holds them with --directory"
    ))
}

/// Reads one backup back, here or by the node.
async fn read_back(
    offline: &OfflineArguments,
    connection: &ConnectionArguments,
    directory: &str,
    name: &str,
) -> Result<(Vec<proto::Finding>, proto::Verdict), Error> {
    use proto::verify_backup_response::Report;
    if offline.is_offline() {
        return offline.verify(directory, name).await;
    }
    let connection = connection.connection()?;
    let request = proto::VerifyBackupRequest { directory: directory.to_owned(), name: name.to_owned() };
    let mut reports = connection
        .ask(async |channel| {
            BackupServiceClient::new(channel).verify_backup(connection.streaming(request)).await
        })
        .await?;
    let mut progress = Progress::new("entries");
    let (mut findings, mut verdict) = (Vec::new(), None);
    while let Some(response) = reports.message().await.map_err(|status| connection.explain(&status))? {
        match response.report {
            Some(Report::Progress(report)) => advance(&mut progress, &report),
            Some(Report::Finding(finding)) => findings.push(finding),
            Some(Report::Verdict(found)) => verdict = Some(found),
            None => {}
        }
    }
    progress.finish();
    let verdict = verdict.ok_or_else(|| {
        Error::Incomplete("the node ended the call before the backup was read completely; try again".into())
    })?;
    Ok((findings, verdict))
}

fn print_verdict(
    output: &mut Output,
    name: &str,
    findings: &[proto::Finding],
    verdict: proto::Verdict,
) -> Result<(), Error> {
    if output.is_json() {
        let findings: Vec<Json> = findings
            .iter()
            .map(|finding| json!({ "file": finding.file, "message": finding.message }))
            .collect();
        return output.json(&json!({
            "name": name,
            "whole": verdict.whole,
            "entries": verdict.entries,
            "bytes": verdict.bytes,
            "findings": findings,
        }));
    }
    findings.iter().try_for_each(|finding| output.line(&named(finding)))?;
    if verdict.whole {
        let (entries, bytes) = (HumanCount(verdict.entries), HumanBytes(verdict.bytes));
        output.line(&format!("{}  OK, {entries} entries, {bytes}", escape(name)))?;
    }
    Ok(())
}

fn named(finding: &proto::Finding) -> String {
    format!("{}: {}", escape(&finding.file), escape(&finding.message))
}

fn advance(progress: &mut Progress, report: &proto::Progress) {
    let point = Point { things: report.entries, done: report.done_bytes, whole: report.total_bytes };
    progress.advance(&escape(&report.stage), point);
}

fn kind(kind: proto::BackupKind) -> &'static str {
    match kind {
        proto::BackupKind::Unspecified => "unknown",
        proto::BackupKind::Full => "full",
        proto::BackupKind::Incremental => "incremental",
    }
}

fn backup_json(backup: &proto::Backup) -> Json {
    json!({
        "name": backup.name,
        "directory": backup.directory,
        "kind": kind(backup.kind()),
        "from": backup.from.as_ref().map(position),
        "to": backup.to.as_ref().map(position),
        "created": display::time(backup.created_ms),
        "entries": backup.entries,
        "bytes": backup.bytes,
        "encrypted": backup.encrypted,
        "base": Some(&backup.base).filter(|base| !base.is_empty()),
    })
}
