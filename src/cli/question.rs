//! `idnode resolve`, `list` and `history`: the values of identifiers and their changes.

use clap::Args;
use serde_json::{Value as Json, json};

use super::administration;
use super::change::{parse_index, position};
use super::connection::{Connection, ConnectionArguments};
use super::display::{self, Table, escape};
use super::error::Error;
use super::output::{Output, notice};
use super::prefix::display::{site_json, site_text};
use super::value_form::{ValueForm, permissions};
use crate::model::limits::TTL_DEFAULT_SECONDS;
use crate::model::value::Index;
use crate::wire::proto;
use crate::wire::proto::resolution_service_client::ResolutionServiceClient;

//----------- ResolveArguments -----------------------------------------------

/// Arguments of `idnode resolve`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode resolve 88.118.8/SN000123
  idnode resolve 88.118.8/SN000123 --type URL --type HS_SITE. --index 3
  idnode resolve 88.118.8/SN000123 --json | jq -r '.values[].data'

Exits with 0 when there are values, and with 1 when there are none, when another site answers for the prefix, or when \
this node is not responsible for it.")]
pub(super) struct ResolveArguments {
    /// The identifier: prefix, '/', suffix
    identifier: String,

    /// Only values of this type, or of all its subtypes when it ends in a dot; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,

    /// Only the value at this index; may be given several times
    #[arg(long = "index", value_name = "INDEX", value_parser = parse_index)]
    indexes: Vec<Index>,

    /// Let the node ask other nodes when it does not hold the identifier itself
    #[arg(long)]
    recursive: bool,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

impl ResolveArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let connection = self.connection.connection()?;
        let question = proto::Question {
            identifier: self.identifier.clone(),
            indexes: self.indexes.iter().map(|index| index.get()).collect(),
            types: self.types,
        };
        let recursion = self.recursive.then(|| proto::Recursion { desired: true, path: Vec::new() });
        let request = proto::ResolveRequest { question: Some(question), recursion };
        let response = connection
            .ask(async |channel| {
                ResolutionServiceClient::new(channel).resolve(connection.request(request)).await
            })
            .await?;
        let answer = response.answer.and_then(|answer| answer.answer);
        let reach = if self.recursive { Reach::AnyNode } else { Reach::ThisNodeByDefault };
        print_answer(&mut self.connection.output(), &self.identifier, reach, answer)
    }
}

fn print_answer(
    output: &mut Output,
    identifier: &str,
    reach: Reach,
    answer: Option<proto::answer::Answer>,
) -> Result<(), Error> {
    use proto::answer::Answer;
    let (document, missing) = match answer {
        Some(Answer::Values(found)) if output.is_json() => (found_json(&found), None),
        Some(Answer::Values(found)) => {
            print_found(output, &found)?;
            return output.flush();
        }
        other => nothing_found(identifier, reach, other),
    };
    if output.is_json() {
        output.json(&document)?;
        output.flush()?;
    }
    missing.map_or(Ok(()), |sentence| Err(Error::Missing(sentence)))
}

/// The nodes that may answer a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Only this node.
    ThisNode,
    /// Only this node, since --recursive was not given.
    ThisNodeByDefault,
    /// Also other nodes, through this one.
    AnyNode,
}

impl Reach {
    /// What the caller can do when this node did not answer; `elsewhere` is where the answer is.
    fn advice(self, elsewhere: &str) -> String {
        match self {
            Self::ThisNode => elsewhere.to_owned(),
            Self::ThisNodeByDefault => format!("{elsewhere}, or try --recursive"),
            Self::AnyNode => format!(
                "{elsewhere}: this node did not ask there for you, because recursion.allowed is false in its \
                 configuration, or because it can reach no address there"
            ),
        }
    }
}

/// The identifier in an answer, or why there is none.
pub(super) fn found(
    identifier: &str,
    reach: Reach,
    answer: Option<proto::answer::Answer>,
) -> Result<proto::Found, Error> {
    match answer {
        Some(proto::answer::Answer::Values(found)) => Ok(found),
        other => Err(Error::Missing(nothing_found(identifier, reach, other).1.unwrap_or_default())),
    }
}

/// Why an answer has no values: as JSON and as a sentence.
fn nothing_found(
    identifier: &str,
    reach: Reach,
    answer: Option<proto::answer::Answer>,
) -> (Json, Option<String>) {
    use proto::answer::Answer;
    match answer {
        Some(Answer::Referral(referral)) => referred(&referral, reach),
        Some(Answer::NotResponsible(answer)) => not_responsible(identifier, &answer.upper, reach),
        Some(Answer::Absent(absence)) if absence == i32::from(proto::Absence::Values) => (
            json!({ "absent": "values" }),
            Some(format!("{identifier} exists, but has no matching values visible to you")),
        ),
        Some(Answer::Absent(_) | Answer::Values(_)) | None => {
            (json!({ "absent": "identifier" }), Some(format!("{identifier} is not registered")))
        }
    }
}

fn referred(referral: &proto::Referral, reach: Reach) -> (Json, Option<String>) {
    let site = referral.site.clone().unwrap_or_default();
    let advice = match &referral.unanswered {
        Some(reason) => format!("ask there: this node has asked, and {} ({})", reason.message, reason.code),
        None => reach.advice("ask there"),
    };
    let sentence =
        format!("prefix {} is answered by another site: {}; {advice}", referral.prefix, site_text(&site));
    let unanswered =
        referral.unanswered.as_ref().map(|reason| json!({ "code": reason.code, "message": reason.message }));
    let document = json!({
        "referral": { "prefix": referral.prefix, "site": site_json(&site), "unanswered": unanswered },
    });
    (document, Some(sentence))
}

fn not_responsible(identifier: &str, upper: &str, reach: Reach) -> (Json, Option<String>) {
    let advice = if upper.is_empty() {
        "it is the top of its tree and has no upper node to ask".to_owned()
    } else {
        reach.advice(&format!("ask the upper node {upper}"))
    };
    let sentence = format!("this node does not answer for the prefix of {identifier}; {advice}");
    let upper = Some(upper).filter(|upper| !upper.is_empty());
    (json!({ "not_responsible": { "upper": upper } }), Some(sentence))
}

/// An identifier and its values as JSON.
fn found_json(found: &proto::Found) -> Json {
    let values: Vec<ValueForm> = found.values.iter().map(ValueForm::whole).collect();
    json!({
        "identifier": found.identifier,
        "version": found.version,
        "changed": display::time(found.changed_ms),
        "authoritative": found.authoritative,
        "values": values,
    })
}

fn print_found(output: &mut Output, found: &proto::Found) -> Result<(), Error> {
    let origin = if found.authoritative { "" } else { ", answered by another node" };
    let (identifier, changed) = (escape(&found.identifier), display::time(found.changed_ms));
    output.line(&format!("{identifier}  version {}, changed {changed}{origin}", found.version))?;
    output.table(values_table(&found.values))
}

fn values_table(values: &[proto::Value]) -> Table {
    let mut table = Table::new(&["INDEX", "TYPE", "TTL", "PERMISSIONS", "DATA"]);
    for value in values {
        let ttl = match value.ttl {
            None => TTL_DEFAULT_SECONDS.to_string(),
            Some(proto::value::Ttl::RelativeSeconds(seconds)) => seconds.to_string(),
            Some(proto::value::Ttl::AbsoluteSeconds(second)) => {
                format!("until {}", display::time_of_seconds(second))
            }
        };
        let shown =
            administration::display(&value.r#type, &value.data).map(|text| escape(&text).into_owned());
        let mut data = shown.unwrap_or_else(|| display::data(&value.data));
        for reference in &value.references {
            data.push_str(&format!(" -> {}:{}", reference.index, reference.identifier));
        }
        let permissions = permissions(value).to_string();
        table.row([&value.index.to_string(), &value.r#type, &ttl, &permissions, &data]);
    }
    table
}

//----------- ListArguments --------------------------------------------------

/// Arguments of `idnode list`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode list 88.118.8 --limit 20
  idnode list 88.118.8 --json | jq -r .identifier

Lists the identifiers whose prefix is exactly this one, in canonical order. Needs a token that may read the prefix.")]
pub(super) struct ListArguments {
    /// The prefix, such as 88.118.8
    prefix: String,

    /// Maximum number of identifiers; all by default
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

impl ListArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let connection = self.connection.connection()?;
        let mut output = self.connection.output();
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut pages = Pages::new(connection, &self.prefix, page_size(self.limit)).await?;
        while left > 0
            && let Some(page) = pages.next().await?
        {
            for found in page {
                if left == 0 {
                    break;
                }
                left -= 1;
                if output.is_json() {
                    output.json(&found_json(&found))?;
                } else {
                    output.line(&escape(&found.identifier))?;
                }
            }
        }
        output.flush()
    }
}

/// Number of entries per page; 0 leaves it to the node.
fn page_size(limit: Option<u64>) -> u32 {
    limit.and_then(|limit| u32::try_from(limit).ok()).filter(|limit| *limit < 1_000).unwrap_or_default()
}

//----------- Pages ----------------------------------------------------------

/// The identifiers of one prefix, page by page.
pub(super) struct Pages {
    connection: Connection,
    client: ResolutionServiceClient<tonic::transport::Channel>,
    /// The token of the next page; none after the last.
    request: Option<proto::ListIdentifiersRequest>,
}

impl Pages {
    /// Connects; sends no request yet.
    pub(super) async fn new(connection: Connection, prefix: &str, page_size: u32) -> Result<Self, Error> {
        let client = ResolutionServiceClient::new(connection.channel().await?);
        let request =
            proto::ListIdentifiersRequest { prefix: prefix.to_owned(), page_size, page_token: String::new() };
        Ok(Self { connection, client, request: Some(request) })
    }

    /// The next page; none after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<proto::Found>>, Error> {
        let Some(request) = self.request.take() else { return Ok(None) };
        let sent = self.connection.request(request.clone());
        let answered = self.client.list_identifiers(sent).await;
        let page = answered.map_err(|status| self.connection.explain(&status))?.into_inner();
        if !page.next_page_token.is_empty() {
            self.request =
                Some(proto::ListIdentifiersRequest { page_token: page.next_page_token, ..request });
        }
        Ok(Some(page.identifiers))
    }
}

//----------- HistoryArguments -----------------------------------------------

/// Arguments of `idnode history`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  idnode history 88.118.8/SN000123
  idnode history 88.118.8/SN000123 --limit 1 --json

Shows who changed what and when. Needs a token that may read the prefix.")]
pub(super) struct HistoryArguments {
    /// The identifier: prefix, '/', suffix
    identifier: String,

    /// Maximum number of changes; all by default
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,

    #[command(flatten)]
    pub(super) connection: ConnectionArguments,
}

impl HistoryArguments {
    pub(super) async fn run(self) -> Result<(), Error> {
        let connection = self.connection.connection()?;
        let mut client = ResolutionServiceClient::new(connection.channel().await?);
        let mut output = self.connection.output();
        let (mut left, mut shown) = (self.limit.unwrap_or(u64::MAX), 0_u64);
        let mut page_token = String::new();
        while left > 0 {
            let request = proto::GetHistoryRequest {
                identifier: self.identifier.clone(),
                page_size: page_size(self.limit),
                page_token,
            };
            let answered = client.get_history(connection.request(request)).await;
            let page = answered.map_err(|status| connection.explain(&status))?.into_inner();
            for change in &page.changes {
                if left == 0 {
                    break;
                }
                (left, shown) = (left - 1, shown + 1);
                print_change(&mut output, change)?;
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                notice_pruned_history(&output, page.complete_from.as_ref());
                break;
            }
        }
        output.flush()?;
        if shown == 0 && self.limit != Some(0) {
            return Err(Error::Missing(format!("{} has no history here", self.identifier)));
        }
        Ok(())
    }
}

fn print_change(output: &mut Output, change: &proto::Change) -> Result<(), Error> {
    let position = change.position.as_ref().map(position).unwrap_or_default();
    let time = display::time(change.time_ms);
    if output.is_json() {
        let values: Vec<ValueForm> = change.values.iter().map(ValueForm::whole).collect();
        return output.json(&json!({
            "time": time,
            "change": change.operation,
            "version": change.version,
            "caller": change.caller,
            "position": position,
            "erased": change.erased,
            "values": values,
        }));
    }
    let (kind, caller) = (escape(&change.operation), escape(&change.caller));
    output.line(&format!("{time}  version {}  {kind} by {caller}  position {position}", change.version))?;
    if change.erased {
        output.line("  the contents of this change have been pruned")?;
    }
    if change.values.is_empty() {
        return Ok(());
    }
    values_table(&change.values).lines().iter().try_for_each(|line| output.line(&format!("  {line}")))
}

/// Notes on standard error where the history begins, when that is not the beginning of the journal.
fn notice_pruned_history(output: &Output, complete_from: Option<&proto::Position>) {
    if let Some(from) = complete_from.filter(|from| from.sequence > 1 && !output.is_json()) {
        notice(&format!("older changes have been pruned: the history is complete from {}", position(from)));
    }
}
