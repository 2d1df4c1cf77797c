//! `idnode prefix`: home, delegate, suspend, resume, revoke, note, list and show prefixes, and end delegations.

mod arguments;
pub(super) mod display;

use clap::Subcommand;

use self::arguments::{
    DelegateArguments, EndDelegationArguments, HomeArguments, ListArguments, NoteArguments,
    OnePrefixArguments, ShowArguments,
};
use self::display::{entry_json, entry_table, homing, is_lost, standing, status};
use super::change::{Subject, print_receipt};
use super::connection::{Connection, ConnectionArguments};
use super::display::{Table, time};
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

Also lifts the suspension or revocation of a prefix that is homed here. A delegated prefix is refused: `idnode prefix \
resume` lifts its suspension, `idnode prefix end-delegation` ends its delegation.")]
    Home(HomeArguments),

    /// Delegate a prefix to another site, which then answers for it
    #[command(after_help = "\
Examples:
  idnode prefix delegate 88.118.9 --address 192.0.2.9 --grpc 7373 --dns 53
  idnode prefix delegate 88.118.9 --address 2001:db8::9 --host-name node.example.com --grpc 7373
  idnode prefix delegate 88.118.9 --address 192.0.2.9 --handle 2641 --key site.pub.pem

Questions for the prefix are then answered with a referral to that site. With the public key of its Handle server, clients \
verify its answers and start sessions there, and this node accepts only answers that are signed with it.")]
    Delegate(DelegateArguments),

    /// Refuse changes and questions temporarily; the data remains
    #[command(after_help = "Example:\n  idnode prefix suspend 88.118.8\n\n`idnode prefix resume` lifts it.")]
    Suspend(OnePrefixArguments),

    /// Lift a suspension; the prefix is homed here or delegated, as it was
    #[command(after_help = "\
Example:
  idnode prefix resume 88.118.8

A prefix that the lower node itself suspended is resumed there.")]
    Resume(OnePrefixArguments),

    /// End the delegation of a prefix, which is then homed here without the identifiers that the other site holds
    #[command(after_help = "\
Examples:
  idnode prefix end-delegation 88.118.8
  idnode prefix end-delegation 88.118.8 --yes

Without --yes it shows what would end and exits with 2. Export the identifiers at the other site first, and import them here \
afterwards.")]
    EndDelegation(EndDelegationArguments),

    /// Revoke a prefix; its data remains
    #[command(after_help = "\
Example:
  idnode prefix revoke 88.118.8

To make the prefix active again, use `idnode prefix home`, or `idnode prefix delegate` when it is delegated.")]
    Revoke(OnePrefixArguments),

    /// Note something about a prefix, for operators
    #[command(after_help = "\
Examples:
  idnode prefix note 88.118.8 'contract 2026-117, contact Mrs Li'
  idnode prefix note 88.118.8 --remove

The prefix needs an entry here. `idnode prefix show` and `idnode prefix list` show the note to callers with an admin token \
only. The entry of the prefix does not change, and the note is not filed.")]
    Note(NoteArguments),

    /// List prefixes
    #[command(after_help = "\
Examples:
  idnode prefix list
  idnode prefix list --under 88.118 --json
  idnode prefix list --lost

A lower node whose store was restored, or which accepted a loss, may have lost prefixes that it had filed here. They are not \
revoked by themselves, and administrators see `lost by its node` in their status. Either the lower node homes the prefix again, \
which files it, or `idnode prefix revoke` ends it here; `idnode token reset-peer` ends all that the node does not have.")]
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
            Self::Suspend(arguments) | Self::Resume(arguments) | Self::Revoke(arguments) => {
                &arguments.connection
            }
            Self::EndDelegation(arguments) => &arguments.connection,
            Self::Note(arguments) => &arguments.connection,
            Self::List(arguments) => &arguments.connection,
            Self::Show(arguments) => &arguments.connection,
        }
    }

    pub(super) async fn run(self) -> Result<(), Error> {
        match self {
            Self::Home(arguments) => home(arguments).await,
            Self::Delegate(arguments) => delegate(arguments).await,
            Self::Suspend(arguments) => suspend(arguments).await,
            Self::Resume(arguments) => resume(arguments).await,
            Self::EndDelegation(arguments) => end_delegation(arguments).await,
            Self::Revoke(arguments) => revoke(arguments).await,
            Self::Note(arguments) => note(arguments).await,
            Self::List(arguments) => list(arguments).await,
            Self::Show(arguments) => show(arguments).await,
        }
    }
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
        site: Some(arguments.site()?),
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

async fn resume(arguments: OnePrefixArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let request_id = arguments.request.request_id();
    let request =
        proto::ResumePrefixRequest { request_id: request_id.clone(), prefix: arguments.prefix.clone() };
    let response = connection
        .change(&request_id, async |channel| {
            PrefixServiceClient::new(channel).resume_prefix(connection.request(request.clone())).await
        })
        .await?;
    print_receipt(&mut arguments.connection.output(), response.receipt, Subject::Prefix(&request.prefix))
}

async fn end_delegation(arguments: EndDelegationArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let entry = entry(&connection, &arguments.prefix).await?;
    if !arguments.yes {
        return Err(Error::Usage(format!(
            "prefix {} ({}) is answered by {}; homed here it has only the identifiers that this node holds. Repeat with \
             --yes to end the delegation",
            entry.prefix,
            status(entry.standing()),
            homing(&entry)
        )));
    }
    let request_id = arguments.request.request_id();
    let request = proto::EndDelegationRequest {
        request_id: request_id.clone(),
        prefix: arguments.prefix.clone(),
        version: entry.version,
    };
    let response = connection
        .change(&request_id, async |channel| {
            PrefixServiceClient::new(channel).end_delegation(connection.request(request.clone())).await
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

async fn note(arguments: NoteArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let request_id = arguments.request.request_id();
    let request = proto::NotePrefixRequest {
        request_id: request_id.clone(),
        prefix: arguments.prefix,
        text: arguments.text,
    };
    let response = connection
        .change(&request_id, async |channel| {
            PrefixServiceClient::new(channel).note_prefix(connection.request(request.clone())).await
        })
        .await?;
    print_receipt(&mut arguments.connection.output(), response.receipt, Subject::Prefix(&request.prefix))
}

//----------- Questions ------------------------------------------------------

async fn list(arguments: ListArguments) -> Result<(), Error> {
    let connection = arguments.connection.connection()?;
    let channel = connection.channel().await?;
    let mut output = arguments.connection.output();
    let mut table = Table::new(&["PREFIX", "STATUS", "ANSWERED BY", "REGISTRANT", "CHANGED", "NOTE"]);
    let mut page_token = String::new();
    loop {
        let (under, lost) = (arguments.under.clone(), arguments.lost);
        let request = proto::ListPrefixesRequest { under, page_size: 0, page_token, lost };
        let answered =
            PrefixServiceClient::new(channel.clone()).list_prefixes(connection.request(request)).await;
        let page = answered.map_err(|status| connection.explain(&status))?.into_inner();
        if lost && !page.entries.iter().all(is_lost) {
            let reason = "this node does not say which prefixes are lost: it is of an earlier release; upgrade it first";
            return Err(Error::Incomplete(reason.to_owned()));
        }
        for entry in &page.entries {
            if output.is_json() {
                output.json(&entry_json(entry))?;
            } else {
                let registrant = entry.registrant.as_ref().map_or("", |registrant| &registrant.name);
                let note = entry.note.as_ref().map_or("", |note| &note.text);
                table.row([
                    &entry.prefix,
                    &standing(entry),
                    &homing(entry),
                    registrant,
                    &time(entry.changed_ms),
                    note,
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
    let entry = entry(&connection, &arguments.prefix).await?;
    let mut output = arguments.connection.output();
    if output.is_json() {
        output.json(&entry_json(&entry))?;
    } else {
        output.table(entry_table(&entry))?;
    }
    output.flush()
}

/// The entry of a prefix.
async fn entry(connection: &Connection, prefix: &str) -> Result<proto::PrefixEntry, Error> {
    let request = proto::GetPrefixRequest { prefix: prefix.to_owned() };
    let response = connection
        .ask(async |channel| PrefixServiceClient::new(channel).get_prefix(connection.request(request)).await)
        .await?;
    response.entry.ok_or_else(|| Error::Missing(format!("this node has no entry for prefix {prefix}")))
}
