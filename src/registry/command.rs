//! Commands: what callers ask to be changed, decoded and checked in shape, not yet authorized.

use crate::model::identifier::{Identifier, IdentifierError, Prefix};
use crate::model::position::Position;
use crate::model::prefix::{Registrant, Standing};
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
    /// When the caller stops waiting.
    pub deadline: Option<tokio::time::Instant>,
}

/// One command of a batch.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its number in the caller's request; completes the request id.
    pub number: u32,
    /// What is to be done.
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
}

impl Command {
    /// Bytes of the values that it carries, in Handle encoding.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Register(register) => register.values.encoded_bytes(),
            Self::Amend(amend) => amend.written().map(Value::encoded_bytes).sum(),
            Self::Remove(_) | Self::Prefix(_) | Self::Token(_) => 0,
        }
    }
}

/// Register an identifier with these values.
#[derive(Clone, Debug)]
pub struct Register {
    /// Which identifier.
    pub target: Target,
    /// Its values; timestamps are set by the node.
    pub values: Values,
    /// What to do when it exists.
    pub existing: Existing,
    /// What must hold before.
    pub precondition: Precondition,
}

/// Which identifier to register.
#[derive(Clone, Debug)]
pub enum Target {
    /// This one.
    Named(Identifier),
    /// A new one: the node mints the rest of the suffix.
    Minted {
        /// Under this prefix.
        prefix: Prefix,
        /// With a suffix that begins so; may be empty.
        start: String,
    },
}

/// What to do when an identifier to be registered exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Refuse.
    Refuse,
    /// Replace all its values.
    Overwrite,
}

/// What must hold before a command is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    None,
    /// The identifier is not registered.
    Absent,
    /// The identifier is at this version.
    Version(u64),
}

/// The identifier that 16 random bytes give under a prefix, behind a start.
///
/// Lower-case base32hex: the letters and digits of one plain DNS label, and no letter that folding would change.
pub(super) fn mint(prefix: &Prefix, start: &str, random: [u8; 16]) -> Result<Identifier, IdentifierError> {
    let minted = data_encoding::BASE32HEX_NOPAD.encode(&random).to_ascii_lowercase();
    Identifier::new(prefix.clone(), &format!("{start}{minted}"))
}

/// Change single values; all of it or nothing.
#[derive(Clone, Debug)]
pub struct Amend {
    /// Of which identifier.
    pub identifier: Identifier,
    /// Values at indexes that are free.
    pub add: Vec<Value>,
    /// Values at indexes that are taken.
    pub replace: Vec<Value>,
    /// Values at indexes that are free or taken.
    pub set: Vec<Value>,
    /// Indexes whose values go.
    pub remove: Vec<Index>,
    /// What must hold before.
    pub precondition: Precondition,
}

impl Amend {
    /// The values that it writes.
    pub(super) fn written(&self) -> impl Iterator<Item = &Value> {
        self.add.iter().chain(&self.replace).chain(&self.set)
    }
}

/// Remove an identifier; its version lives on in a tombstone.
#[derive(Clone, Debug)]
pub struct Remove {
    /// Which identifier.
    pub identifier: Identifier,
    /// What must hold before.
    pub precondition: Precondition,
}

/// Change a prefix entry.
#[derive(Clone, Debug)]
pub enum PrefixCommand {
    /// Keep its identifiers here; lifts suspension and revocation.
    Home {
        /// Which prefix.
        prefix: Prefix,
        /// For whom; none keeps who was named.
        registrant: Option<Registrant>,
    },
    /// Let another site answer; lifts suspension and revocation.
    Delegate {
        /// Which prefix.
        prefix: Prefix,
        /// Which site.
        site: Site,
        /// For whom; none keeps who was named.
        registrant: Option<Registrant>,
    },
    /// Refuse changes and questions for a time.
    Suspend {
        /// Which prefix.
        prefix: Prefix,
    },
    /// Withdraw it.
    Revoke {
        /// Which prefix.
        prefix: Prefix,
    },
    /// A lower node files it.
    File(Filing),
}

impl PrefixCommand {
    /// The prefix to be changed.
    pub fn prefix(&self) -> &Prefix {
        match self {
            Self::Home { prefix, .. }
            | Self::Delegate { prefix, .. }
            | Self::Suspend { prefix }
            | Self::Revoke { prefix } => prefix,
            Self::File(filing) => &filing.prefix,
        }
    }
}

/// What a lower node files of one of its prefixes (备案).
#[derive(Clone, Debug)]
pub struct Filing {
    /// Which prefix.
    pub prefix: Prefix,
    /// The lower node's own site, which answers for it.
    pub site: Site,
    /// For whom it is registered.
    pub registrant: Option<Registrant>,
    /// Its standing below.
    pub standing: Standing,
    /// The place in the lower node's journal that is filed.
    pub position: Position,
}

/// Change a token entry.
#[derive(Clone, Debug)]
pub enum TokenCommand {
    /// Keep a new token.
    Create(TokenEntry),
    /// End a token.
    Revoke {
        /// Which token.
        id: TokenId,
    },
}

impl TokenCommand {
    /// The token to be changed.
    pub(super) fn id(&self) -> TokenId {
        match self {
            Self::Create(entry) => entry.id,
            Self::Revoke { id } => *id,
        }
    }
}
