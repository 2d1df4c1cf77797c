//! Arguments of the subcommands of `idnode prefix`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use crate::cli::connection::{ConnectionArguments, RequestArguments};
use crate::cli::error::Error;
use crate::cli::key::load_public;
use crate::wire::proto;

/// The registrant of a prefix.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Registrant")]
pub(super) struct RegistrantArguments {
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
    pub(super) fn into_proto(self) -> Option<proto::Registrant> {
        let name = self.registrant?;
        Some(proto::Registrant { name, credit_code: self.credit_code, contact: self.contact })
    }
}

/// Arguments of `idnode prefix home`.
#[derive(Args, Debug)]
pub(in crate::cli) struct HomeArguments {
    /// The prefix, such as 88.118.8
    pub(super) prefix: String,

    #[command(flatten)]
    pub(super) request: RequestArguments,

    #[command(flatten)]
    pub(super) registrant: RegistrantArguments,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

/// Arguments of `idnode prefix delegate`.
#[derive(Args, Debug)]
pub(in crate::cli) struct DelegateArguments {
    /// The prefix, such as 88.118.9
    pub(super) prefix: String,

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

    /// A file with the public key of the site's Handle server, in any format; clients verify its answers with this key
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    #[command(flatten)]
    pub(super) request: RequestArguments,

    #[command(flatten)]
    pub(super) registrant: RegistrantArguments,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

impl DelegateArguments {
    pub(super) fn site(&self) -> Result<proto::Site, Error> {
        let key = self.key.as_deref().map(load_public).transpose()?;
        Ok(proto::Site {
            addresses: self.address.iter().map(ToString::to_string).collect(),
            host_name: self.host_name.clone(),
            ports: Some(proto::Ports {
                grpc: self.grpc.map(u32::from),
                dns: self.dns.map(u32::from),
                handle: self.handle.map(u32::from),
                http: self.http.map(u32::from),
            }),
            public_key: key.map(|key| key.encode_blob()).unwrap_or_default(),
        })
    }
}

/// Arguments of `idnode prefix end-delegation`.
#[derive(Args, Debug)]
pub(in crate::cli) struct EndDelegationArguments {
    /// The prefix, such as 88.118.8
    pub(super) prefix: String,

    /// End it; without this, only show what would end
    #[arg(long)]
    pub(super) yes: bool,

    #[command(flatten)]
    pub(super) request: RequestArguments,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

/// Arguments of `idnode prefix suspend`, `idnode prefix resume` and `idnode prefix revoke`.
#[derive(Args, Debug)]
pub(in crate::cli) struct OnePrefixArguments {
    /// The prefix, such as 88.118.8
    pub(super) prefix: String,

    #[command(flatten)]
    pub(super) request: RequestArguments,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

/// Arguments of `idnode prefix note`.
#[derive(Args, Debug)]
pub(in crate::cli) struct NoteArguments {
    /// The prefix, such as 88.118.8
    pub(super) prefix: String,

    /// The text of the note, at most 1,024 bytes; it replaces the one before
    #[arg(required_unless_present = "remove", default_value = "", hide_default_value = true)]
    pub(super) text: String,

    /// Remove the note
    #[arg(long, conflicts_with = "text")]
    remove: bool,

    #[command(flatten)]
    pub(super) request: RequestArguments,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

/// Arguments of `idnode prefix list`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ListArguments {
    /// Only this prefix and those below it
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub(super) under: String,

    /// Only prefixes that a lower node has filed and has lost since, by a restore or an accepted loss of its store
    #[arg(long)]
    pub(super) lost: bool,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

/// Arguments of `idnode prefix show`.
#[derive(Args, Debug)]
pub(in crate::cli) struct ShowArguments {
    /// The prefix, such as 88.118.8
    pub(super) prefix: String,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}
