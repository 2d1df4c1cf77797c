//! `idnode prefix`: home, delegate, suspend, revoke, list and show prefixes.

use std::net::IpAddr;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::change::{Subject, position, print_receipt};
use super::connection::{ConnectionArguments, RequestArguments};
use super::display::{self, Table};
use super::error::Error;
use crate::wire::proto;
use crate::wire::proto::prefix_service_client::PrefixServiceClient;

//----------- PrefixCommand --------------------------------------------------

/// Subcommands of `idnode prefix`.
#[derive(Debug, Subcommand)]
pub(super) enum PrefixCommand {
    /// Home a prefix at this node, which then holds its identifiers
    #[command(after_help = "\
Examples:
  idnode prefix home 88.118.8
  idnode prefix home 88.118.8 --registrant 第一机床厂 --credit-code 91350100M000100Y43

Also lifts a suspension or revocation, and ends a delegation.")]
    Home(HomeArguments),

    /// Delegate a prefix to another site, which then answers for it
    #[command(after_help = "\
Examples:
  idnode prefix delegate 88.118.9 --address 192.0.2.9 --grpc 7373 --dns 53
  idnode prefix delegate 88.118.9 --address 2001:db8::9 --host-name node.example.com --grpc 7373

Questions for the prefix are then answered with a referral to that site.")]
    Delegate(DelegateArguments),

    /// Refuse changes and questions temporarily; the data remains
    #[command(after_help = "Example:\n  idnode prefix suspend 88.118.8\n\n`idnode prefix home` lifts it.")]
    Suspend(OnePrefixArguments),

    /// Withdraw a prefix; the data remains
    #[command(after_help = "Example:\n  idnode prefix revoke 88.118.8\n\n`idnode prefix home` lifts it.")]
    Revoke(OnePrefixArguments),

    /// List prefixes
    #[command(after_help = "Examples:\n  idnode prefix list\n  idnode prefix list --under 88.118 --json")]
    List(ListArguments),

    /// Show one prefix
    #[command(after_help = "Example:\n  idnode prefix show 88.118.8")]
    Show(ShowArguments),
}

impl PrefixCommand {
    /// The connection arguments.
    pub(super) fn connection(&self) -> &ConnectionArguments {
        match self {
            Self::Home(arguments) => &arguments.connection,
            Self::Delegate(arguments) => &arguments.connection,
            Self::Suspend(arguments) | Self::Revoke(arguments) => &arguments.connection,
            Self::List(arguments) => &arguments.connection,
            Self::Show(arguments) => &arguments.connection,
        }
    }

    pub(super) async fn run(self) -> Result<(), Error> {
        match self {
            Self::Home(arguments) => home(arguments).await,
            Self::Delegate(arguments) => delegate(arguments).await,
            Self::Suspend(arguments) => suspend(arguments).await,
            Self::Revoke(arguments) => revoke(arguments).await,
            Self::List(arguments) => list(arguments).await,
            Self::Show(arguments) => show(arguments).await,
        }
    }
}

//----------- Arguments ------------------------------------------------------

/// The registrant of a prefix.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Registrant")]
struct RegistrantArguments {
    /// Name of the party that the prefix is registered for; by default unchanged
    #[arg(long, value_name = "NAME")]
    registrant: Option<String>,

    /// Unified social credit code of the registrant
    #[arg(long, value_name = "CODE", requires = "registrant", default_value = "", hide_default_value = true)]
    credit_code: String,

    /// Contact of the registrant
    #[arg(long, value_name = "TEXT", requires = "registrant", default_value = "", hide_default_value = true)]
    contact: String,
}

impl RegistrantArguments {
    fn into_proto(self) -> Option<proto::Registrant> {
        let name = self.registrant?;
        Some(proto::Registrant { name, credit_code: self.credit_code, contact: self.contact })
    }
}

/// Arguments of `idnode prefix home`.
#[derive(Args, Debug)]
pub(super) struct HomeArguments {
    /// The prefix, such as 88.118.8
    prefix: String,

    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    registrant: RegistrantArguments,

    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Arguments of `idnode prefix delegate`.
#[derive(Args, Debug)]
pub(super) struct DelegateArguments {
    /// The prefix, such as 88.118.9
    prefix: String,

    /// An address of the site; may be given several times, the preferred first
    #[arg(long, required = true, value_name = "ADDRESS")]
    address: Vec<IpAddr>,

    /// The name in the site's TLS certificate; without it, plain text
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    host_name: String,

    /// The site's gRPC port
    #[arg(long, value_name = "PORT")]
    grpc: Option<u16>,

    /// The site's DNS port; 53 makes a zone cut
    #[arg(long, value_name = "PORT")]
    dns: Option<u16>,

    /// The site's Handle port
    #[arg(long, value_name = "PORT")]
    handle: Option<u16>,

    /// The site's HTTP port
    #[arg(long, value_name = "PORT")]
    http: Option<u16>,

    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    registrant: RegistrantArguments,

    #[command(flatten)]
    connection: ConnectionArguments,
}

impl DelegateArguments {
    fn site(&self) -> proto::Site {
        proto::Site {
            addresses: self.address.iter().map(ToString::to_string).collect(),
            host_name: self.host_name.clone(),
            ports: Some(proto::Ports {
                grpc: self.grpc.map(u32::from),
                dns: self.dns.map(u32::from),
                handle: self.handle.map(u32::from),
                http: self.http.map(u32::from),
            }),
        }
    }
}

/// Arguments of `idnode prefix suspend` and `idnode prefix revoke`.
#[derive(Args, Debug)]
pub(super) struct OnePrefixArguments {
    /// The prefix, such as 88.118.8
    prefix: String,

    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Arguments of `idnode prefix list`.
#[derive(Args, Debug)]
pub(super) struct ListArguments {
    /// Only this prefix and those below it
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    under: String,

    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Arguments of `idnode prefix show`.
#[derive(Args, Debug)]
pub(super) struct ShowArguments {
    /// The prefix, such as 88.118.8
    prefix: String,

    #[command(flatten)]
    connection: ConnectionArguments,
}

//----------- Changes --------------------------------------------------------

async fn home(arguments: HomeArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let request_id = arguments.request.request_id();
    let request = proto::HomePrefixRequest {
        request_id: request_id.clone(),
        prefix: arguments.prefix,
        registrant: arguments.registrant.into_proto(),
    };
    let response = connection
        .change(&request_id, async |channel| {
            PrefixServiceClient::new(channel).home_prefix(connection.request(request.clone())).await
        })
        .await?;
    print_receipt(&mut arguments.connection.output(), response.receipt, Subject::Prefix(&request.prefix))
}

async fn delegate(arguments: DelegateArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let request_id = arguments.request.request_id();
    let request = proto::DelegatePrefixRequest {
        request_id: request_id.clone(),
        site: Some(arguments.site()),
        prefix: arguments.prefix,
        registrant: arguments.registrant.into_proto(),
    };
    let response = connection
        .change(&request_id, async |channel| {
            PrefixServiceClient::new(channel).delegate_prefix(connection.request(request.clone())).await
        })
        .await?;
    print_receipt(&mut arguments.connection.output(), response.receipt, Subject::Prefix(&request.prefix))
}

async fn suspend(arguments: OnePrefixArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let request_id = arguments.request.request_id();
    let request =
        proto::SuspendPrefixRequest { request_id: request_id.clone(), prefix: arguments.prefix.clone() };
    let response = connection
        .change(&request_id, async |channel| {
            PrefixServiceClient::new(channel).suspend_prefix(connection.request(request.clone())).await
        })
        .await?;
    print_receipt(&mut arguments.connection.output(), response.receipt, Subject::Prefix(&request.prefix))
}

async fn revoke(arguments: OnePrefixArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let request_id = arguments.request.request_id();
    let request =
        proto::RevokePrefixRequest { request_id: request_id.clone(), prefix: arguments.prefix.clone() };
    let response = connection
        .change(&request_id, async |channel| {
            PrefixServiceClient::new(channel).revoke_prefix(connection.request(request.clone())).await
        })
        .await?;
    print_receipt(&mut arguments.connection.output(), response.receipt, Subject::Prefix(&request.prefix))
}

//----------- Questions ------------------------------------------------------

async fn list(arguments: ListArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let channel = connection.channel().await?;
    let mut output = arguments.connection.output();
    let mut table = Table::new(&["PREFIX", "STANDING", "ANSWERED BY", "REGISTRANT", "CHANGED"]);
    let mut page_token = String::new();
    loop {
        let request = proto::ListPrefixesRequest { under: arguments.under.clone(), page_size: 0, page_token };
        let answered =
            PrefixServiceClient::new(channel.clone()).list_prefixes(connection.request(request)).await;
        let page = answered.map_err(|status| connection.explain(&status))?.into_inner();
        for entry in &page.entries {
            if output.is_json() {
                output.json(&entry_json(entry))?;
            } else {
                let registrant = entry.registrant.as_ref().map_or("", |registrant| &registrant.name);
                table.row([
                    &entry.prefix,
                    standing(entry.standing()),
                    &homing(entry),
                    registrant,
                    &display::time(entry.changed_ms),
                ]);
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if !output.is_json() {
        output.table(table)?;
    }
    output.flush()
}

async fn show(arguments: ShowArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let request = proto::GetPrefixRequest { prefix: arguments.prefix.clone() };
    let response = connection
        .ask(async |channel| PrefixServiceClient::new(channel).get_prefix(connection.request(request)).await)
        .await?;
    let entry = response
        .entry
        .ok_or_else(|| Error::Missing(format!("this node has no entry for prefix {}", arguments.prefix)))?;
    let mut output = arguments.connection.output();
    if output.is_json() {
        output.json(&entry_json(&entry))?;
    } else {
        output.table(entry_table(&entry))?;
    }
    output.flush()
}

fn entry_table(entry: &proto::PrefixEntry) -> Table {
    let mut table = Table::plain();
    table.row(["Prefix", &entry.prefix]);
    table.row(["Standing", standing(entry.standing())]);
    table.row(["Answered by", &homing(entry)]);
    if let Some(registrant) = &entry.registrant {
        table.row(["Registrant", &registrant.name]);
        table.row(["Credit code", &registrant.credit_code]);
        table.row(["Contact", &registrant.contact]);
    }
    if let Some(filing) = &entry.filing {
        table.row(["Filed by token", &filing.peer]);
        table.row(["Filed position", &filing.position.as_ref().map(position).unwrap_or_default()]);
    }
    table.row(["Version", &entry.version.to_string()]);
    table.row(["Changed", &display::time(entry.changed_ms)]);
    table
}

fn entry_json(entry: &proto::PrefixEntry) -> Json {
    use proto::prefix_entry::Homing;
    let site = match &entry.homing {
        Some(Homing::Delegated(site)) => Some(site_json(site)),
        Some(Homing::Homed(_)) | None => None,
    };
    json!({
        "prefix": entry.prefix,
        "standing": standing(entry.standing()),
        "homed": matches!(entry.homing, Some(Homing::Homed(_))),
        "delegated": site,
        "registrant": entry.registrant.as_ref().map(|registrant| json!({
            "name": registrant.name,
            "credit_code": registrant.credit_code,
            "contact": registrant.contact,
        })),
        "filing": entry.filing.as_ref().map(|filing| json!({
            "peer": filing.peer,
            "position": filing.position.as_ref().map(position),
        })),
        "version": entry.version,
        "changed": display::time(entry.changed_ms),
    })
}

fn standing(standing: proto::Standing) -> &'static str {
    match standing {
        proto::Standing::Unspecified => "unknown",
        proto::Standing::Active => "active",
        proto::Standing::Suspended => "suspended",
        proto::Standing::Revoked => "revoked",
    }
}

fn homing(entry: &proto::PrefixEntry) -> String {
    use proto::prefix_entry::Homing;
    match &entry.homing {
        Some(Homing::Homed(_)) => "this node".into(),
        Some(Homing::Delegated(site)) => site_text(site),
        None => "unknown".into(),
    }
}

/// A site as one line: its addresses and ports.
pub(super) fn site_text(site: &proto::Site) -> String {
    let mut text = site.addresses.join(", ");
    if !site.host_name.is_empty() {
        text.push_str(&format!(" ({})", site.host_name));
    }
    for (protocol, port) in ports(site) {
        text.push_str(&format!(" {protocol} {port}"));
    }
    text
}

/// A site as JSON.
pub(super) fn site_json(site: &proto::Site) -> Json {
    let ports: serde_json::Map<String, Json> =
        ports(site).map(|(protocol, port)| (protocol.to_owned(), port.into())).collect();
    json!({ "addresses": site.addresses, "host_name": site.host_name, "ports": ports })
}

fn ports(site: &proto::Site) -> impl Iterator<Item = (&'static str, u32)> {
    let ports = site.ports.unwrap_or_default();
    let all = [("grpc", ports.grpc), ("dns", ports.dns), ("handle", ports.handle), ("http", ports.http)];
    all.into_iter().filter_map(|(protocol, port)| Some((protocol, port?)))
}
