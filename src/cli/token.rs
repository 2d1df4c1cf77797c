//! `idnode token`: create, list and revoke tokens, and reset the lower node that files with one.

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::change::{Subject, print_receipt};
use super::connection::{ConnectionArguments, RequestArguments};
use super::display::{self, Table, parse_time};
use super::error::{Attempt, Error, Reason};
use super::output::notice;
use crate::wire::proto;
use crate::wire::proto::administration_service_client::AdministrationServiceClient;

//----------- TokenCommand ---------------------------------------------------

/// Subcommands of `idnode token`.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token; its text is shown once and never again
    #[command(after_help = "\
Examples:
  idnode token create 'line 3' --registrar 88.118.8
  idnode token create 'line 3' --reader 88.118 --expires 2027-01-01T00:00:00+08:00
  idnode token create 'lower node' --peer 88.118

The text alone goes to standard output, so that it can be redirected to a file; a prefix includes those below it, \
too.")]
    Create(CreateArguments),

    /// List all tokens, without their secrets
    #[command(after_help = "Example:\n  idnode token list")]
    List(ListArguments),

    /// Revoke a token, which takes effect before the receipt is printed
    #[command(after_help = "Example:\n  idnode token revoke 3f6c0a9d52e87b14")]
    Revoke(RevokeArguments),

    /// Let a lower node whose store was restored to an older state file again
    #[command(after_help = "\
Example:
  idnode token reset-peer 3f6c0a9d52e87b14 --yes

A lower node files with a token, and only the latest incarnation of its store may file: of two copies of a store, the one \
that was restored earlier is refused as INCARNATION_SUPERSEDED, and a store that does not continue the one which filed last, \
such as a second restore of the same backup or a new store, as INCARNATION_FORKED. After the reset, whichever copy announces \
itself files its present state, and prefixes that it does not name are revoked here. Stop the copy that is not wanted first.

A store that began under a clock far ahead is refused as INCARNATION_AHEAD, and files after the reset.")]
    ResetPeer(ResetPeerArguments),
}

impl TokenCommand {
    /// The connection arguments.
    pub(super) fn connection(&self) -> &ConnectionArguments {
        match self {
            Self::Create(arguments) => &arguments.connection,
            Self::List(arguments) => &arguments.connection,
            Self::Revoke(arguments) => &arguments.connection,
            Self::ResetPeer(arguments) => &arguments.connection,
        }
    }

    pub(super) async fn run(self) -> Result<(), Error> {
        match self {
            Self::Create(arguments) => create(arguments).await,
            Self::List(arguments) => list(arguments).await,
            Self::Revoke(arguments) => revoke(arguments).await,
            Self::ResetPeer(arguments) => reset_peer(arguments).await,
        }
    }
}

//----------- Arguments ------------------------------------------------------

/// Arguments of `idnode token create`.
#[derive(Args, Debug)]
pub(super) struct CreateArguments {
    /// A label for people
    label: String,

    #[command(flatten)]
    scopes: ScopeArguments,

    /// Expiry time; never by default
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    expires: Option<u64>,

    #[command(flatten)]
    connection: ConnectionArguments,
}

/// The scopes of a token.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = true)]
struct ScopeArguments {
    /// Allow everything, on every prefix
    #[arg(long)]
    admin: bool,

    /// Register, amend and remove identifiers of this prefix, its own record 0.NA/PREFIX included, and read its restricted
    /// values; may be given several times
    #[arg(long, value_name = "PREFIX")]
    registrar: Vec<String>,

    /// Read restricted values, lists and histories of this prefix; may be given several times
    #[arg(long, value_name = "PREFIX")]
    reader: Vec<String>,

    /// Announce a site and file this prefix and those below it, as a lower node; may be given several times
    #[arg(long, value_name = "PREFIX")]
    peer: Vec<String>,
}

impl ScopeArguments {
    fn into_protos(self) -> Vec<proto::Scope> {
        let mut scopes = Vec::new();
        if self.admin {
            scopes.push(proto::Scope { kind: proto::ScopeKind::Admin.into(), prefixes: Vec::new() });
        }
        let named = [
            (proto::ScopeKind::Registrar, self.registrar),
            (proto::ScopeKind::Reader, self.reader),
            (proto::ScopeKind::Peer, self.peer),
        ];
        for (kind, prefixes) in named.into_iter().filter(|(_, prefixes)| !prefixes.is_empty()) {
            scopes.push(proto::Scope { kind: kind.into(), prefixes });
        }
        scopes
    }
}

/// Arguments of `idnode token list`.
#[derive(Args, Debug)]
pub(super) struct ListArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Arguments of `idnode token revoke`.
#[derive(Args, Debug)]
pub(super) struct RevokeArguments {
    /// Id of the token: 16 hexadecimal digits, as `idnode token list` shows it
    id: String,

    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    connection: ConnectionArguments,
}

/// Arguments of `idnode token reset-peer`.
#[derive(Args, Debug)]
pub(super) struct ResetPeerArguments {
    /// Id of the lower node's token: 16 hexadecimal digits, as `idnode token list` shows it
    id: String,

    /// Confirm that the copy of the lower node that is not wanted is stopped
    #[arg(long, required = true)]
    yes: bool,

    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    connection: ConnectionArguments,
}

//----------- Commands -------------------------------------------------------

async fn create(arguments: CreateArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let request = proto::CreateTokenRequest {
        label: arguments.label,
        scopes: arguments.scopes.into_protos(),
        expires_ms: arguments.expires,
    };
    let mut client = AdministrationServiceClient::new(connection.channel().await?);
    let answered = client.create_token(connection.request(request)).await;
    // The node returns a token's text once only, so that a retry would create another token.
    let response = answered.map_err(|status| match Attempt::of_status(&status) {
        Attempt::Unknown => Error::BrokenOff(format!(
            "the command was sent, but its outcome is unknown ({}); look with `idnode token list`, and revoke a \
             token whose text nobody received",
            Reason::of_status(&status)
        )),
        Attempt::NotTaken | Attempt::Final => connection.explain(&status),
    })?;
    let response = response.into_inner();
    let token = response.token.unwrap_or_default();
    let mut output = arguments.connection.output();
    if output.is_json() {
        let mut document = token_json(&token);
        if let Some(members) = document.as_object_mut() {
            members.insert("text".into(), response.text.into());
        }
        output.json(&document)?;
    } else {
        output.line(&response.text)?;
        notice(&format!("token {} created; its text is not shown again; store it securely", token.id));
    }
    output.flush()
}

async fn list(arguments: ListArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let response = connection
        .ask(async |channel| {
            let request = connection.request(proto::ListTokensRequest {});
            AdministrationServiceClient::new(channel).list_tokens(request).await
        })
        .await?;
    let mut output = arguments.connection.output();
    if output.is_json() {
        response.tokens.iter().try_for_each(|token| output.json(&token_json(token)))?;
        return output.flush();
    }
    let mut table = Table::new(&["ID", "LABEL", "SCOPES", "CREATED", "EXPIRES", "REVOKED"]);
    for token in &response.tokens {
        let time = |milliseconds: Option<u64>| milliseconds.map_or("-".to_owned(), display::time);
        table.row([
            &token.id,
            &token.label,
            &scopes_text(&token.scopes),
            &display::time(token.created_ms),
            &time(token.expires_ms),
            &time(token.revoked_ms),
        ]);
    }
    output.table(table)?;
    output.flush()
}

async fn revoke(arguments: RevokeArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let request_id = arguments.request.request_id();
    let request = proto::RevokeTokenRequest { request_id: request_id.clone(), id: arguments.id };
    let response = connection
        .change(&request_id, async |channel| {
            let request = connection.request(request.clone());
            AdministrationServiceClient::new(channel).revoke_token(request).await
        })
        .await?;
    print_receipt(&mut arguments.connection.output(), response.receipt, Subject::Token(&request.id))
}

async fn reset_peer(arguments: ResetPeerArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let request_id = arguments.request.request_id();
    let request = proto::ResetPeerRequest { request_id: request_id.clone(), id: arguments.id };
    let response = connection
        .change(&request_id, async |channel| {
            let request = connection.request(request.clone());
            AdministrationServiceClient::new(channel).reset_peer(request).await
        })
        .await?;
    print_receipt(&mut arguments.connection.output(), response.receipt, Subject::Token(&request.id))
}

//----------- Display --------------------------------------------------------

fn kind(scope: &proto::Scope) -> &'static str {
    match scope.kind() {
        proto::ScopeKind::Unspecified => "unknown",
        proto::ScopeKind::Admin => "admin",
        proto::ScopeKind::Registrar => "registrar",
        proto::ScopeKind::Reader => "reader",
        proto::ScopeKind::Peer => "peer",
    }
}

fn scopes_text(scopes: &[proto::Scope]) -> String {
    let texts: Vec<String> = scopes
        .iter()
        .map(|scope| format!("{} {}", kind(scope), scope.prefixes.join(" ")).trim_end().to_owned())
        .collect();
    texts.join(", ")
}

fn token_json(token: &proto::Token) -> Json {
    let scopes: Vec<Json> =
        token.scopes.iter().map(|scope| json!({ "kind": kind(scope), "prefixes": scope.prefixes })).collect();
    json!({
        "id": token.id,
        "label": token.label,
        "scopes": scopes,
        "created": display::time(token.created_ms),
        "expires": token.expires_ms.map(display::time),
        "revoked": token.revoked_ms.map(display::time),
    })
}
