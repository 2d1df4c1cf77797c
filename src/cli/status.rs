//! `idnode status`: the status of a node.

use std::time::Duration;

use clap::Args;
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde_json::{Value as Json, json};

use super::change::position;
use super::connection::ConnectionArguments;
use super::display::{self, Table};
use super::error::Error;
use crate::wire::proto;
use crate::wire::proto::administration_service_client::AdministrationServiceClient;

/// Arguments of `idnode status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode status
  idnode status --json | jq .filing.lag_entries

Exits with 1 when the node is read-only.")]
pub(super) struct StatusArguments {
    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

impl StatusArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let connection = self.connection.connection()?;
        let response = connection
            .ask(async |channel| {
                let request = connection.request(proto::GetStatusRequest {});
                AdministrationServiceClient::new(channel).get_status(request).await
            })
            .await?;
        let status = response.status.unwrap_or_default();
        let mut output = self.connection.output();
        if output.is_json() {
            output.json(&status_json(&status))?;
        } else {
            output.table(status_table(&status))?;
        }
        output.flush()?;
        if status.read_only_reason.is_empty() {
            return Ok(());
        }
        Err(Error::Incomplete(format!("the node accepts no changes: {}", status.read_only_reason)))
    }
}

fn status_table(status: &proto::Status) -> Table {
    let mut table = Table::plain();
    table.row(["Version", &status.version]);
    table.row(["Engine", &status.engine]);
    table.row(["Incarnation", &data_encoding::HEXLOWER.encode(&status.incarnation)]);
    table.row(["Position", &status.position.as_ref().map(position).unwrap_or_default()]);
    table.row(["Identifiers", &HumanCount(status.identifiers).to_string()]);
    table.row(["Prefixes homed", &HumanCount(status.prefixes_homed).to_string()]);
    table.row(["Prefixes delegated", &HumanCount(status.prefixes_delegated).to_string()]);
    table.row(["Running for", &HumanDuration(Duration::from_secs(status.uptime_seconds)).to_string()]);
    table.row(["Disk", &HumanBytes(status.disk_bytes).to_string()]);
    let changes = if status.read_only_reason.is_empty() { "accepted" } else { &status.read_only_reason };
    table.row(["Changes", changes]);
    match &status.last_backup {
        Some(backup) => {
            let to = backup.to.as_ref().map(position).unwrap_or_default();
            let line = format!("{} at {}, up to {to}", backup.name, display::time(backup.created_ms));
            table.row(["Last backup", &line]);
        }
        None => table.row(["Last backup", "none"]),
    }
    match &status.filing {
        Some(filing) => filing_rows(&mut table, filing),
        None => table.row(["Upper node", "none"]),
    }
    table
}

fn filing_rows(table: &mut Table, filing: &proto::FilingStatus) {
    table.row(["Upper node", &filing.upper]);
    let heard = match filing.last_contact_ms {
        0 => "no contact yet".to_owned(),
        heard_ms => format!("last contact at {}", display::time(heard_ms)),
    };
    table.row(["Filing", &format!("{}; {heard}", filing.state)]);
    let confirmed = filing.confirmed.as_ref().map_or_else(|| "nothing yet".to_owned(), position);
    table.row(["Filed up to", &confirmed]);
    let waiting = format!(
        "{} entries, {}",
        HumanCount(filing.lag_entries),
        HumanDuration(Duration::from_secs(filing.lag_ms / 1_000))
    );
    table.row(["Filing lag", &waiting]);
    let changes = (HumanCount(filing.filed), HumanCount(filing.identifier_changes));
    let since = format!("{} changes of prefixes; skipped {} of identifiers", changes.0, changes.1);
    table.row(["Filed since start", &since]);
    if !filing.last_error.is_empty() {
        table.row(["Filing trouble", &filing.last_error]);
    }
    if filing.set_aside_count > 0 {
        table.row(["Not filed", &format!("{} prefixes", HumanCount(filing.set_aside_count))]);
    }
    for aside in &filing.set_aside {
        table.row([aside.prefix.as_str(), aside.message.as_str()]);
    }
}

fn status_json(status: &proto::Status) -> Json {
    json!({
        "version": status.version,
        "engine": status.engine,
        "incarnation": data_encoding::HEXLOWER.encode(&status.incarnation),
        "position": status.position.as_ref().map(position),
        "identifiers": status.identifiers,
        "prefixes_homed": status.prefixes_homed,
        "prefixes_delegated": status.prefixes_delegated,
        "uptime_seconds": status.uptime_seconds,
        "disk_bytes": status.disk_bytes,
        "read_only_reason": Some(&status.read_only_reason).filter(|reason| !reason.is_empty()),
        "last_backup": status.last_backup.as_ref().map(|backup| json!({
            "name": backup.name,
            "created": display::time(backup.created_ms),
            "to": backup.to.as_ref().map(position),
        })),
        "filing": status.filing.as_ref().map(|filing| json!({
            "upper": filing.upper,
            "connected": filing.connected,
            "confirmed": filing.confirmed.as_ref().map(position),
            "lag_entries": filing.lag_entries,
            "lag_ms": filing.lag_ms,
            "last_error": Some(&filing.last_error).filter(|error| !error.is_empty()),
            "state": filing.state,
            "last_contact": Some(filing.last_contact_ms).filter(|ms| *ms > 0).map(display::time),
            "filed": filing.filed,
            "identifier_changes": filing.identifier_changes,
            "set_aside_count": filing.set_aside_count,
            "set_aside": filing.set_aside.iter().map(|aside| json!({
                "prefix": aside.prefix,
                "message": aside.message,
            })).collect::<Vec<_>>(),
        })),
    })
}
