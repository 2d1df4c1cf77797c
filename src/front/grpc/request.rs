//! From messages to questions and commands: what cannot be understood is refused here, and nothing is decided.
//!
//! Every function takes the generated type apart and builds the checked one of [`crate::model`], [`crate::registry`]
//! or [`crate::resolver`]. Bounds that the checked types do not hold are held by the core.

use crate::model::identifier::{Identifier, Prefix};
use crate::model::limits::RECURSION_DEPTH_MAX;
use crate::model::position::{Incarnation, Position};
use crate::model::prefix::{NoteText, PrefixStatus, Registrant};
use crate::model::refusal::Refusal;
use crate::model::request::RequestId;
use crate::model::site::Site;
use crate::model::token::{Scope, TokenId};
use crate::model::value::{Index, Value, ValueType, Values};
use crate::registry::TokenDraft;
use crate::registry::command::{
    Amend, Command, Existing, Item, NotePrefix, Precondition, PrefixCommand, Register, Remove, Target,
};
use crate::resolver::answer::Question;
use crate::wire::message::{self, MessageError};
use crate::wire::proto;
use crate::wire::proto::{amendment, item, registration, removal};

//----------- Commands -------------------------------------------------------

/// The request id that a text names; an empty text names none.
pub(super) fn request_id(text: &str) -> Result<Option<RequestId>, Refusal> {
    if text.is_empty() {
        return Ok(None);
    }
    RequestId::parse(text).map(Some).ok_or(Refusal::RequestIdInvalid)
}

/// One item of a batch or stream.
pub(super) fn item(message: proto::Item) -> Result<Item, Refusal> {
    let command = match message.command {
        Some(item::Command::Register(message)) => registration(Some(message)),
        Some(item::Command::Amend(message)) => amendment(Some(message)),
        Some(item::Command::Remove(message)) => removal(Some(message)),
        None => Err(missing("command")),
    }?;
    Ok(Item { number: message.number, command })
}

/// A registration.
pub(super) fn registration(message: Option<proto::Registration>) -> Result<Command, Refusal> {
    let message = message.ok_or_else(|| missing("registration"))?;
    let target = match message.target {
        Some(registration::Target::Identifier(text)) => Target::Named(identifier(&text)?),
        Some(registration::Target::Mint(mint)) => {
            Target::Minted { prefix: prefix(&mint.prefix)?, start: mint.start }
        }
        None => return Err(missing("target: an identifier, or mint")),
    };
    let precondition = match message.precondition {
        Some(registration::Precondition::Absent(true)) => Precondition::Absent,
        Some(registration::Precondition::Version(version)) => Precondition::Version(version),
        Some(registration::Precondition::Absent(false)) | None => Precondition::None,
    };
    Ok(Command::Register(Register {
        target,
        values: Values::new(values(message.values)?).map_err(Refusal::ValueInvalid)?,
        existing: existing(message.overwrite, message.without_administrator)?,
        precondition,
    }))
}

fn existing(overwrite: bool, without_administrator: bool) -> Result<Existing, Refusal> {
    match (overwrite, without_administrator) {
        (false, false) => Ok(Existing::Refuse),
        (true, false) => Ok(Existing::Overwrite),
        (true, true) => Ok(Existing::OverwriteWithoutAdministrator),
        (false, true) => Err(invalid("without_administrator is for overwriting; set overwrite, too")),
    }
}

/// An amendment.
pub(super) fn amendment(message: Option<proto::Amendment>) -> Result<Command, Refusal> {
    let message = message.ok_or_else(|| missing("amendment"))?;
    let precondition = match message.precondition {
        Some(amendment::Precondition::Version(version)) => Precondition::Version(version),
        None => Precondition::None,
    };
    Ok(Command::Amend(Amend {
        identifier: identifier(&message.identifier)?,
        add: values(message.add)?,
        replace: values(message.replace)?,
        set: Vec::new(),
        remove: indexes(&message.remove)?,
        precondition,
    }))
}

/// A removal.
pub(super) fn removal(message: Option<proto::Removal>) -> Result<Command, Refusal> {
    let message = message.ok_or_else(|| missing("removal"))?;
    let precondition = match message.precondition {
        Some(removal::Precondition::Version(version)) => Precondition::Version(version),
        None => Precondition::None,
    };
    Ok(Command::Remove(Remove { identifier: identifier(&message.identifier)?, precondition }))
}

/// The command to home a prefix.
pub(super) fn home(message: proto::HomePrefixRequest) -> Result<PrefixCommand, Refusal> {
    Ok(PrefixCommand::Home { prefix: prefix(&message.prefix)?, registrant: registrant(message.registrant)? })
}

/// The command to delegate a prefix.
pub(super) fn delegate(message: proto::DelegatePrefixRequest) -> Result<PrefixCommand, Refusal> {
    Ok(PrefixCommand::Delegate {
        prefix: prefix(&message.prefix)?,
        site: site(message.site)?,
        registrant: registrant(message.registrant)?,
    })
}

/// The command to set or remove the note on a prefix.
pub(super) fn note(message: &proto::NotePrefixRequest) -> Result<Command, Refusal> {
    let text = NoteText::new(&message.text).map_err(|error| invalid(&error.to_string()))?;
    Ok(Command::Note(NotePrefix { prefix: prefix(&message.prefix)?, text }))
}

/// What a new token is to be.
pub(super) fn token_draft(message: proto::CreateTokenRequest) -> Result<TokenDraft, Refusal> {
    let scopes = message.scopes.into_iter().map(scope).collect::<Result<_, _>>()?;
    Ok(TokenDraft { label: message.label, scopes, expires_ms: message.expires_ms })
}

fn scope(message: proto::Scope) -> Result<Scope, Refusal> {
    let kind = message.kind();
    let prefixes: Vec<Prefix> = message.prefixes.iter().map(|text| prefix(text)).collect::<Result<_, _>>()?;
    match kind {
        proto::ScopeKind::Admin if prefixes.is_empty() => Ok(Scope::Admin),
        proto::ScopeKind::Admin => Err(invalid("an admin scope covers all prefixes and names none")),
        proto::ScopeKind::Registrar => Ok(Scope::Registrar(prefixes)),
        proto::ScopeKind::Reader => Ok(Scope::Reader(prefixes)),
        proto::ScopeKind::Peer => Ok(Scope::Peer(prefixes)),
        proto::ScopeKind::Unspecified => Err(missing("kind of a scope: admin, registrar, reader or peer")),
    }
}

/// The id of a token.
pub(super) fn token_id(text: &str) -> Result<TokenId, Refusal> {
    TokenId::parse(text).ok_or_else(|| Refusal::TokenAbsent { id: text.chars().take(32).collect() })
}

//----------- Questions ------------------------------------------------------

/// A question.
pub(super) fn question(message: Option<proto::Question>) -> Result<Question, Refusal> {
    let message = message.ok_or_else(|| missing("question"))?;
    let types = message.types.iter().map(|text| ValueType::new(text)).collect::<Result<_, _>>();
    Ok(Question {
        identifier: identifier(&message.identifier)?,
        indexes: indexes(&message.indexes)?,
        types: types.map_err(Refusal::ValueInvalid)?,
    })
}

//----------- Words ----------------------------------------------------------

/// An identifier.
pub(super) fn identifier(text: &str) -> Result<Identifier, Refusal> {
    Ok(message::identifier(text)?)
}

/// A prefix.
pub(super) fn prefix(text: &str) -> Result<Prefix, Refusal> {
    Ok(message::prefix(text)?)
}

fn indexes(numbers: &[u32]) -> Result<Vec<Index>, Refusal> {
    numbers.iter().map(|number| Index::new(*number)).collect::<Result<_, _>>().map_err(Refusal::ValueInvalid)
}

fn values(messages: Vec<proto::Value>) -> Result<Vec<Value>, Refusal> {
    messages.into_iter().map(|message| Ok(Value { timestamp: 0, ..Value::try_from(message)? })).collect()
}

/// The registrant of a prefix, when one is named.
pub(super) fn registrant(message: Option<proto::Registrant>) -> Result<Option<Registrant>, Refusal> {
    Ok(message.map(Registrant::try_from).transpose()?)
}

/// Where a node answers.
pub(super) fn site(message: Option<proto::Site>) -> Result<Site, Refusal> {
    let message = message.ok_or_else(|| missing("site"))?;
    Ok(Site::try_from(&message)?)
}

/// Status of a prefix.
pub(super) fn prefix_status(status: proto::Standing) -> Result<PrefixStatus, Refusal> {
    Ok(status.try_into()?)
}

/// The incarnation of a store.
pub(super) fn incarnation(bytes: &[u8]) -> Result<Incarnation, Refusal> {
    Ok(message::incarnation(bytes)?)
}

/// The nodes that passed a question on. More than may pass it on are as good as the most: the next one ends it.
pub(super) fn path(nodes: &[Vec<u8>]) -> Result<Vec<Incarnation>, Refusal> {
    let most = usize::try_from(RECURSION_DEPTH_MAX).unwrap_or(usize::MAX);
    nodes.iter().take(most).map(|node| incarnation(node)).collect()
}

/// A position in a journal.
pub(super) fn position(message: Option<proto::Position>) -> Result<Position, Refusal> {
    let message = message.ok_or_else(|| missing("position"))?;
    Ok(Position::try_from(&message)?)
}

impl From<MessageError> for Refusal {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Identifier(error) => Self::IdentifierMalformed(error),
            MessageError::Value(error) => Self::ValueInvalid(error),
            MessageError::Site(error) => Self::SiteInvalid(error),
            MessageError::Registrant(error) => Self::RegistrantInvalid(error),
            MessageError::Missing { what } => missing(what),
            MessageError::Meaningless { reason } => Self::CommandInvalid { reason },
        }
    }
}

/// Something that the message lacks.
pub(super) fn missing(what: &str) -> Refusal {
    invalid(&format!("the message lacks its {what}"))
}

/// The error for a malformed part of a message.
pub(super) fn invalid(reason: &str) -> Refusal {
    Refusal::CommandInvalid { reason: reason.to_owned() }
}
