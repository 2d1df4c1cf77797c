//! Commands: what callers ask to be changed, decoded and checked in shape, not yet authorized.

use crate::model::identifier::{Identifier, IdentifierError, Prefix};
use crate::model::position::Position;
use crate::model::prefix::{NoteText, PrefixStatus, Registrant};
use crate::model::request::RequestId;
use crate::model::site::Site;
use crate::model::token::{TokenEntry, TokenId};
use crate::model::value::{Index, Value, Values};

/// Commands that arrive together: independent items, applied in order, each with its own outcome.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The caller's name for this request; with it, repeating the batch is harmless.
    pub request: Option<RequestId>,
    /// The items, in the order they are applied.
    pub items: Vec<Item>,
    /// Time at which the caller stops waiting.
    pub deadline: Option<tokio::time::Instant>,
}

/// One command that arrives alone.
#[derive(Clone, Debug)]
pub struct Single {
    /// The caller's name for this request; with it, repeating the command is harmless.
    pub request: Option<RequestId>,
    /// The command.
    pub command: Command,
    /// Time at which the caller stops waiting.
    pub deadline: Option<tokio::time::Instant>,
}

impl From<Command> for Single {
    fn from(command: Command) -> Self {
        Self { request: None, command, deadline: None }
    }
}

/// One command of a batch.
#[derive(Clone, Debug)]
pub struct Item {
    /// Number of the item in the caller's request; completes the request id.
    pub number: u32,
    /// The command.
    pub command: Command,
}

/// One change that a caller asks for.
#[derive(Clone, Debug)]
pub enum Command {
    /// Register an identifier.
    Register(Register),
    /// Change single values of an identifier.
    Amend(Amend),
    /// Remove an identifier.
    Remove(Remove),
    /// Change a prefix entry.
    Prefix(PrefixCommand),
    /// Change a token entry.
    Token(TokenCommand),
    /// Set or remove the note on a prefix.
    Note(NotePrefix),
}

impl Command {
    /// The identifier that it is about, none for prefixes, tokens and notes; `random` completes one that is minted.
    pub(super) fn target(&self, random: [u8; 16]) -> Result<Option<Identifier>, IdentifierError> {
        match self {
            Self::Register(register) => register.target.identifier(random).map(Some),
            Self::Amend(amend) => Ok(Some(amend.identifier.clone())),
            Self::Remove(remove) => Ok(Some(remove.identifier.clone())),
            Self::Prefix(_) | Self::Token(_) | Self::Note(_) => Ok(None),
        }
    }

    /// Whether the node mints the identifier.
    pub(super) fn mints(&self) -> bool {
        matches!(self, Self::Register(register) if matches!(register.target, Target::Minted { .. }))
    }

    /// All values that it writes.
    pub(super) fn written(&self) -> Box<dyn Iterator<Item = &Value> + Send + '_> {
        match self {
            Self::Register(register) => Box::new(register.values.as_slice().iter()),
            Self::Amend(amend) => Box::new(amend.written()),
            Self::Remove(_) | Self::Prefix(_) | Self::Token(_) | Self::Note(_) => {
                Box::new(std::iter::empty())
            }
        }
    }

    /// Bytes of the values that it carries, in Handle encoding.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Register(register) => register.values.encoded_bytes(),
            Self::Amend(amend) => amend.written().map(Value::encoded_bytes).sum(),
            Self::Remove(_) | Self::Prefix(_) | Self::Token(_) | Self::Note(_) => 0,
        }
    }
}

/// Register an identifier with these values.
#[derive(Clone, Debug)]
pub struct Register {
    /// The identifier.
    pub target: Target,
    /// Values of the identifier; the node sets their timestamps.
    pub values: Values,
    /// What happens if the identifier exists.
    pub existing: Existing,
    /// Condition on the present state.
    pub precondition: Precondition,
}

/// The identifier to register.
#[derive(Clone, Debug)]
pub enum Target {
    /// A given identifier.
    Named(Identifier),
    /// A new identifier: the node mints the rest of the suffix.
    Minted {
        /// The prefix.
        prefix: Prefix,
        /// The beginning of the suffix; may be empty.
        start: String,
    },
}

impl Target {
    /// The identifier to register; `random` completes one that is minted.
    pub(super) fn identifier(&self, random: [u8; 16]) -> Result<Identifier, IdentifierError> {
        match self {
            Self::Named(identifier) => Ok(identifier.clone()),
            Self::Minted { prefix, start } => mint(prefix, start, random),
        }
    }
}

/// What happens if the identifier to register exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Refuse.
    Refuse,
    /// All values of the identifier are replaced; the record of a prefix must name an administrator still.
    Overwrite,
    /// All values of the identifier are replaced, also by some that name no administrator.
    OverwriteWithoutAdministrator,
}

/// Condition on the state before a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// No precondition.
    None,
    /// The identifier is not registered.
    Absent,
    /// The identifier is registered, at whatever version.
    Present,
    /// The identifier is at this version.
    Version(u64),
}

/// The identifier that is made of 16 random bytes, under a prefix and after a given beginning.
///
/// The bytes are written in lower-case base32hex: valid in a DNS label, and unchanged by folding.
pub(super) fn mint(prefix: &Prefix, start: &str, random: [u8; 16]) -> Result<Identifier, IdentifierError> {
    let minted = data_encoding::BASE32HEX_NOPAD.encode(&random).to_ascii_lowercase();
    Identifier::new(prefix.clone(), &format!("{start}{minted}"))
}

/// Change single values; all changes are made, or none.
#[derive(Clone, Debug)]
pub struct Amend {
    /// The identifier.
    pub identifier: Identifier,
    /// Values to add, at unused indexes.
    pub add: Vec<Value>,
    /// Values to replace, at used indexes.
    pub replace: Vec<Value>,
    /// Values to add or replace.
    pub set: Vec<Value>,
    /// Indexes of values to remove.
    pub remove: Vec<Index>,
    /// Condition on the present state.
    pub precondition: Precondition,
}

impl Amend {
    /// All values that it writes.
    pub(super) fn written(&self) -> impl Iterator<Item = &Value> {
        self.add.iter().chain(&self.replace).chain(&self.set)
    }
}

/// Remove an identifier; a tombstone retains its version.
#[derive(Clone, Debug)]
pub struct Remove {
    /// The identifier.
    pub identifier: Identifier,
    /// Condition on the present state.
    pub precondition: Precondition,
}

/// Change a prefix entry.
#[derive(Clone, Debug)]
pub enum PrefixCommand {
    /// Home a prefix here; ends a suspension or revocation. A delegated prefix is refused.
    Home {
        /// The prefix.
        prefix: Prefix,
        /// The registrant; none leaves it unchanged.
        registrant: Option<Registrant>,
    },
    /// Delegate the prefix to another site; ends its suspension or revocation.
    Delegate {
        /// The prefix.
        prefix: Prefix,
        /// The site.
        site: Site,
        /// The registrant; none leaves it unchanged.
        registrant: Option<Registrant>,
    },
    /// Suspend the prefix: changes and questions are refused until it is resumed.
    Suspend {
        /// The prefix.
        prefix: Prefix,
    },
    /// End the suspension of a prefix, which then is what it was: homed here, or delegated.
    Resume {
        /// The prefix.
        prefix: Prefix,
    },
    /// End the delegation of a prefix, which is then homed here; what the other site holds stays there.
    EndDelegation {
        /// The prefix.
        prefix: Prefix,
        /// The version of the entry that the administrator has seen.
        version: u64,
    },
    /// Revoke the prefix.
    Revoke {
        /// The prefix.
        prefix: Prefix,
    },
    /// A filing by a lower node.
    File(Filing),
}

impl PrefixCommand {
    /// The prefix that is changed.
    pub fn prefix(&self) -> &Prefix {
        match self {
            Self::Home { prefix, .. }
            | Self::Delegate { prefix, .. }
            | Self::Suspend { prefix }
            | Self::Resume { prefix }
            | Self::EndDelegation { prefix, .. }
            | Self::Revoke { prefix } => prefix,
            Self::File(filing) => &filing.prefix,
        }
    }
}

/// The filing of one prefix by a lower node (备案).
#[derive(Clone, Debug)]
pub struct Filing {
    /// The prefix.
    pub prefix: Prefix,
    /// The site of the lower node, which answers for the prefix.
    pub site: Site,
    /// The registrant.
    pub registrant: Option<Registrant>,
    /// The status of the prefix at the lower node.
    pub status: PrefixStatus,
    /// The position in the lower node's journal.
    pub position: Position,
}

/// Change a token entry.
#[derive(Clone, Debug)]
pub enum TokenCommand {
    /// Create a token.
    Create(TokenEntry),
    /// Revoke a token.
    Revoke {
        /// The token.
        id: TokenId,
    },
    /// Reset the order of the incarnations of the lower node that files with a token.
    ResetPeer {
        /// The token.
        id: TokenId,
    },
}

impl TokenCommand {
    /// The token that is changed.
    pub(super) fn id(&self) -> TokenId {
        match self {
            Self::Create(entry) => entry.id,
            Self::Revoke { id } | Self::ResetPeer { id } => *id,
        }
    }
}

/// Set the note on a prefix that has an entry here. The entry does not change.
#[derive(Clone, Debug)]
pub struct NotePrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// The text of the note; an empty one removes it.
    pub text: NoteText,
}
