//! `idnode register`, `amend` and `remove`: changes of one identifier, and the receipts they print; and of all in a file.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::connection::{ConnectionArguments, RequestArguments};
use super::display::escape;
use super::error::Error;
use super::import::{Bulk, FileArguments, Purpose};
use super::output::{Output, notice};
use super::value_argument::{CommonOfValues, ValueArgument, ValuesArguments, parse_numbered_value, to_proto};
use crate::model::value::Index;
use crate::wire::proto;
use crate::wire::proto::registration_service_client::RegistrationServiceClient;

//----------- RegisterArguments ----------------------------------------------

/// Arguments of `idnode register`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode register 88.118.8/SN000123 URL=https://example.com/SN000123 NAME=轴承
  idnode register 88.118.8/SN000123 --overwrite 1:URL=https://example.com/new
  idnode register 88.118.8/SN --mint URL=https://example.com/

Prints the receipt. A printed receipt means that the identifier is durable. If the answer is lost on the way, the \
command is repeated under the same request id; if that does not help, the id is printed for --request-id.")]
pub(super) struct RegisterArguments {
    /// The identifier: prefix, '/', suffix
    identifier: String,

    #[command(flatten)]
    values: ValuesArguments,

    /// Let the node generate the suffix, or the rest of it: IDENTIFIER is then a prefix alone, or a prefix, '/' and
    /// the beginning of the suffix
    #[arg(long)]
    mint: bool,

    /// Replace the values when the identifier exists
    #[arg(long)]
    overwrite: bool,

    /// With --overwrite: replace the record of a prefix even by values that name no administrator (HS_ADMIN)
    #[arg(long, requires = "overwrite")]
    without_administrator: bool,

    /// Only if the identifier does not exist
    #[arg(long, conflicts_with_all = ["overwrite", "if_version"])]
    if_absent: bool,

    /// Only if the identifier exists and has this version
    #[arg(long, value_name = "VERSION", requires = "overwrite")]
    if_version: Option<u64>,

    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

impl RegisterArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        use proto::registration::Precondition;
        let values = self.values.to_protos()?;
        let target = target(self.identifier, self.mint);
        let precondition = match (self.if_absent, self.if_version) {
            (true, _) => Some(Precondition::Absent(true)),
            (false, version) => version.map(Precondition::Version),
        };
        let request_id = self.request.request_id();
        let registration = proto::Registration {
            target: Some(target),
            values,
            overwrite: self.overwrite,
            without_administrator: self.without_administrator,
            precondition,
        };
        let request =
            proto::RegisterRequest { request_id: request_id.clone(), registration: Some(registration) };
        let connection = self.connection.connection()?;
        let response = connection
            .change(&request_id, async |channel| {
                let request = connection.request(request.clone());
                RegistrationServiceClient::new(channel).register(request).await
            })
            .await?;
        print_receipt(&mut self.connection.output(), response.receipt, Subject::Identifier)
    }
}

/// The identifier to register, or the beginning of the one that the node generates.
fn target(identifier: String, mint: bool) -> proto::registration::Target {
    use proto::registration::Target as Named;
    if !mint {
        return Named::Identifier(identifier);
    }
    let (prefix, start) = identifier.split_once('/').unwrap_or((&identifier, ""));
    Named::Mint(proto::Mint { prefix: prefix.to_owned(), start: start.to_owned() })
}

//----------- AmendArguments -------------------------------------------------

/// Arguments of `idnode amend`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode amend 88.118.8/SN000123 --add 3:EMAIL=service@example.com
  idnode amend 88.118.8/SN000123 --replace 1:URL=https://example.com/b --remove 3 --if-version 2
  idnode amend --from changes.csv --dry-run
  idnode amend --from changes.csv --prefix 88.118.8 --ttl 3600

The change is atomic. An index to be added must be free; one to be replaced or removed must be in use.

A file has one identifier a row, and its columns say what is done: `add INDEX:TYPE`, `replace INDEX:TYPE` with the \
data in the cells, and `remove INDEX` with any mark; an empty cell does nothing. JSON lines have lists of values under \"add\" \
and \"replace\", and of indexes under \"remove\". Everything else is as with `idnode import`.

    identifier,add 3:EMAIL,replace 1:URL,remove 5
    88.118.8/SN000123,service@example.com,,x")]
pub(super) struct AmendArguments {
    /// The identifier: prefix, '/', suffix
    #[arg(required_unless_present = "file")]
    identifier: Option<String>,

    /// A CSV or JSON lines file of changes; - for standard input
    #[arg(id = "file", long = "from", value_name = "FILE", conflicts_with_all = ["add", "replace", "remove", "if_version"])]
    file: Option<PathBuf>,

    #[command(flatten)]
    reading: FileArguments,

    /// Add a value at an index that is free; may be given several times
    #[arg(long, value_name = "INDEX:TYPE=DATA", value_parser = parse_numbered_value)]
    add: Vec<ValueArgument>,

    /// Replace the value at an index that is in use; may be given several times
    #[arg(long, value_name = "INDEX:TYPE=DATA", value_parser = parse_numbered_value)]
    replace: Vec<ValueArgument>,

    /// Remove the value at this index; may be given several times
    #[arg(long, value_name = "INDEX", value_parser = parse_index)]
    remove: Vec<Index>,

    #[command(flatten)]
    common: CommonOfValues,

    /// Only if the identifier exists and has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,

    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

impl AmendArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let identifier = match one(self.identifier.as_deref(), self.file.as_deref())? {
            Target::Identifier(identifier) => identifier,
            Target::File(path) => {
                let purpose = Purpose::Amend(self.common.clone());
                return bulk(path, &self.reading, &self.request, &self.connection, purpose).await;
            }
        };
        if self.add.is_empty() && self.replace.is_empty() && self.remove.is_empty() {
            return Err(Error::Usage("nothing to amend; give --add, --replace or --remove".into()));
        }
        let protos = |given: &[ValueArgument]| -> Vec<proto::Value> {
            given.iter().map(|value| to_proto(value, &self.common)).collect()
        };
        let request_id = self.request.request_id();
        let amendment = proto::Amendment {
            identifier: identifier.to_owned(),
            add: protos(&self.add),
            replace: protos(&self.replace),
            remove: self.remove.iter().map(|index| index.get()).collect(),
            precondition: self.if_version.map(proto::amendment::Precondition::Version),
        };
        let request = proto::AmendRequest { request_id: request_id.clone(), amendment: Some(amendment) };
        let connection = self.connection.connection()?;
        let response = connection
            .change(&request_id, async |channel| {
                let request = connection.request(request.clone());
                RegistrationServiceClient::new(channel).amend(request).await
            })
            .await?;
        print_receipt(&mut self.connection.output(), response.receipt, Subject::Identifier)
    }
}

/// Parses an index.
pub(super) fn parse_index(text: &str) -> Result<Index, String> {
    let index = text.parse().ok().and_then(|number| Index::new(number).ok());
    index.ok_or_else(|| "an index is a number from 1 to 2147483647".into())
}

//----------- RemoveArguments ------------------------------------------------

/// Arguments of `idnode remove`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode remove 88.118.8/SN000123
  idnode remove 88.118.8/SN000123 --if-version 4
  idnode remove --from scrapped.csv --dry-run
  idnode remove --from scrapped.csv --prefix 88.118.8

A removed identifier answers as absent; its versions go on from where they were when it is registered again.

Of a file only the column `identifier` (or `suffix`) matters. Everything else is as with `idnode import`.")]
pub(super) struct RemoveArguments {
    /// The identifier: prefix, '/', suffix
    #[arg(required_unless_present = "file")]
    identifier: Option<String>,

    /// A CSV or JSON lines file of identifiers; - for standard input
    #[arg(id = "file", long = "from", value_name = "FILE", conflicts_with = "if_version")]
    file: Option<PathBuf>,

    #[command(flatten)]
    reading: FileArguments,

    /// Only if the identifier exists and has this version
    #[arg(long, value_name = "VERSION")]
    if_version: Option<u64>,

    #[command(flatten)]
    request: RequestArguments,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

impl RemoveArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let identifier = match one(self.identifier.as_deref(), self.file.as_deref())? {
            Target::Identifier(identifier) => identifier.to_owned(),
            Target::File(path) => {
                return bulk(path, &self.reading, &self.request, &self.connection, Purpose::Remove).await;
            }
        };
        let request_id = self.request.request_id();
        let removal = proto::Removal {
            identifier,
            precondition: self.if_version.map(proto::removal::Precondition::Version),
        };
        let request = proto::RemoveRequest { request_id: request_id.clone(), removal: Some(removal) };
        let connection = self.connection.connection()?;
        let response = connection
            .change(&request_id, async |channel| {
                let request = connection.request(request.clone());
                RegistrationServiceClient::new(channel).remove(request).await
            })
            .await?;
        print_receipt(&mut self.connection.output(), response.receipt, Subject::Identifier)
    }
}

/// What a command is for.
enum Target<'a> {
    Identifier(&'a str),
    File(&'a Path),
}

/// The identifier or the file; one of them is given.
fn one<'a>(identifier: Option<&'a str>, file: Option<&'a Path>) -> Result<Target<'a>, Error> {
    match (identifier, file) {
        (Some(identifier), None) => Ok(Target::Identifier(identifier)),
        (None, Some(file)) => Ok(Target::File(file)),
        _ => Err(Error::Usage("give either an identifier, or a file with --from".into())),
    }
}

/// Carries out a command for all identifiers of a file.
async fn bulk(
    path: &Path,
    reading: &FileArguments,
    request: &RequestArguments,
    connection: &ConnectionArguments,
    purpose: Purpose,
) -> Result<(), Error> {
    Bulk { path, reading, request, connection }.run(purpose).await
}

//----------- Receipts -------------------------------------------------------

/// The object of a change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// The identifier named in the receipt.
    Identifier,
    /// A prefix.
    Prefix(&'a str),
    /// The token with this id.
    Token(&'a str),
}

/// Prints a receipt.
pub(super) fn print_receipt(
    output: &mut Output,
    receipt: Option<proto::Receipt>,
    subject: Subject<'_>,
) -> Result<(), Error> {
    let receipt = receipt.unwrap_or_default();
    let (noun, name) = match subject {
        Subject::Identifier => ("identifier", receipt.identifier.as_str()),
        Subject::Prefix(prefix) => ("prefix", prefix),
        Subject::Token(id) => ("token", id),
    };
    let kind = outcome(receipt.kind());
    let position = receipt.position.as_ref().map(position);
    if output.is_json() {
        output.json(&json!({
            "outcome": kind,
            noun: name,
            "version": receipt.version,
            "position": position,
            "repeated": receipt.repeated,
            "warnings": warnings_json(&receipt.warnings),
            "warnings_left_out": receipt.warnings_left_out,
        }))?;
    } else {
        let repeated = if receipt.repeated { ", done before under the same request id" } else { "" };
        let version =
            if receipt.version == 0 { String::new() } else { format!(", version {}", receipt.version) };
        let position = position.map(|position| format!(", position {position}")).unwrap_or_default();
        output.line(&format!("{kind} {}{version}{position}{repeated}", escape(name)))?;
    }
    output.flush()?;
    for warning in receipt.warnings.iter().filter(|_| !output.is_json()) {
        notice(&format!("idnode: warning: {}", escape(&warning.message)));
    }
    if receipt.warnings_left_out > 0 && !output.is_json() {
        notice(&format!("idnode: warning: {}", left_out(receipt.warnings_left_out)));
    }
    Ok(())
}

/// The warnings of a receipt that it only counts.
pub(super) fn left_out(count: u32) -> String {
    format!("values with a warning that is not listed: {count}")
}

/// Warnings about values that were written.
pub(super) fn warnings_json(warnings: &[proto::ValueWarning]) -> Vec<serde_json::Value> {
    let one = |warning: &proto::ValueWarning| json!({ "index": warning.index, "code": warning.code, "message": warning.message });
    warnings.iter().map(one).collect()
}

/// The outcome as one word or two.
fn outcome(kind: proto::OutcomeKind) -> &'static str {
    use proto::OutcomeKind as Kind;
    match kind {
        Kind::Unspecified => "done",
        Kind::Registered => "registered",
        Kind::Overwritten => "overwritten",
        Kind::Amended => "amended",
        Kind::Removed => "removed",
        Kind::Unchanged => "unchanged",
        Kind::PrefixChanged => "changed prefix",
        Kind::TokenCreated => "created token",
        Kind::TokenRevoked => "revoked token",
        Kind::PeerReset => "reset peer",
        Kind::PrefixNoted => "noted prefix",
    }
}

/// A journal position as text: `incarnation:stream:sequence`.
pub(super) fn position(position: &proto::Position) -> String {
    let incarnation = data_encoding::HEXLOWER.encode(&position.incarnation);
    format!("{incarnation}:{}:{}", position.stream, position.sequence)
}
