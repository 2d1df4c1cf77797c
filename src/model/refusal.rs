//! Refusal is the caller's, failure is ours. Codes are stable; sentences say what, where, and what would be right.

use crate::model::identifier::{IdentifierError, Prefix};
use crate::model::identity::Identity;
use crate::model::limits::{BATCH_ITEMS_MAX, INCARNATION_AHEAD_SECONDS_MAX, REQUEST_AHEAD_SECONDS_MAX};
use crate::model::position::Incarnation;
use crate::model::prefix::RegistrantError;
use crate::model::site::SiteError;
use crate::model::value::{Index, ValueError};

//----------- Refusal --------------------------------------------------------

/// Why a command or question was not carried out: the caller can do something about it. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The text is no identifier or prefix.
    #[error("{0}")]
    IdentifierMalformed(IdentifierError),
    /// The values cannot be stored.
    #[error("{0}")]
    ValueInvalid(ValueError),
    /// The site cannot be stored.
    #[error("{0}")]
    SiteInvalid(SiteError),
    /// The registrant cannot be stored.
    #[error("{0}")]
    RegistrantInvalid(RegistrantError),
    /// The command contradicts itself or lacks something.
    #[error("{reason}")]
    CommandInvalid {
        /// What is wrong and what would be right.
        reason: String,
    },
    /// No prefix entry covers the identifier.
    #[error(
        "this node is not responsible for prefix {prefix}; ask the node it is homed at, or home it here first"
    )]
    NotResponsible {
        /// The prefix asked about.
        prefix: Prefix,
    },
    /// Another site answers for the prefix.
    #[error("prefix {prefix} is delegated to another site; send the command there")]
    PrefixDelegated {
        /// The delegated prefix.
        prefix: Prefix,
    },
    /// The prefix is suspended.
    #[error(
        "prefix {prefix} is suspended; its data stays until an administrator resumes it (idnode prefix resume) at the node \
         that suspended it"
    )]
    PrefixSuspended {
        /// The suspended prefix.
        prefix: Prefix,
    },
    /// The prefix is revoked.
    #[error("prefix {prefix} is revoked; its data stays until an administrator homes or delegates it again")]
    PrefixRevoked {
        /// The revoked prefix.
        prefix: Prefix,
    },
    /// A prefix is to be homed here that another site answers for.
    #[error(
        "prefix {prefix} is delegated to another site, which holds its identifiers; if it were homed here, it would have \
         none. Use `idnode prefix resume` to lift a suspension, or `idnode prefix end-delegation` to end the delegation"
    )]
    DelegationStands {
        /// The delegated prefix.
        prefix: Prefix,
    },
    /// A prefix command names a prefix that has no entry.
    #[error("prefix {prefix} has no entry here; home or delegate it first")]
    PrefixAbsent {
        /// The prefix.
        prefix: Prefix,
    },
    /// A filing names a prefix that this node homes itself, or one whose identifiers this node holds.
    #[error(
        "prefix {prefix} is homed at this node; an administrator must delegate it before a lower node files it or a \
         prefix below it"
    )]
    PrefixHomedHere {
        /// The prefix.
        prefix: Prefix,
    },
    /// A filing names a prefix that another lower node has filed.
    #[error(
        "prefix {prefix} is filed by another lower node, with token {peer}; an administrator must revoke that token or \
         delegate the prefix before another node files it"
    )]
    PrefixFiled {
        /// The prefix.
        prefix: Prefix,
        /// The token of the node that filed it.
        peer: String,
    },
    /// The identifier exists.
    #[error("identifier exists at version {version}{}", if *.same { " with the same values" } else { "; choose overwrite to replace its values" })]
    AlreadyExists {
        /// Version of the identifier.
        version: u64,
        /// Whether the identifier holds exactly what was to be registered.
        same: bool,
    },
    /// An overwrite would leave the record of a prefix without an administrator.
    #[error(
        "0.NA/{prefix} names administrators (HS_ADMIN), and the new values name none: name one, or confirm that nobody is to \
         administer the prefix by its record any more (without_administrator in gRPC, --without-administrator on the command \
         line, withoutAdministrator over HTTP)"
    )]
    AdministratorMissing {
        /// The prefix.
        prefix: Prefix,
    },
    /// The identifier does not exist.
    #[error("identifier is not registered; register it first")]
    Absent,
    /// A value is to be added at an index that is taken.
    #[error("index {index} holds a value already; replace it, or choose a free index")]
    IndexExists {
        /// The index.
        index: Index,
    },
    /// A value is to be replaced or removed at an index that is free.
    #[error("index {index} holds no value; add one there, or choose an index that does")]
    IndexAbsent {
        /// The index.
        index: Index,
    },
    /// The identifier is at another version than the precondition names.
    #[error(
        "identifier is at version {found}, the precondition names {expected}; read it again before you repeat the command"
    )]
    VersionMismatch {
        /// The version named.
        expected: u64,
        /// The version found; 0 when the identifier is not registered.
        found: u64,
    },
    /// The caller has proved nothing.
    #[error("authentication is required: use a token of this node or the key of an administrator")]
    Unauthenticated,
    /// The token is malformed, unknown, or its secret is wrong.
    #[error(
        "the token is not one of this node; look for a copying error, or ask an administrator for a new one"
    )]
    TokenUnknown,
    /// The token has ended.
    #[error("the token expired; ask an administrator for a new one")]
    TokenExpired,
    /// The token was revoked.
    #[error("the token was revoked; ask an administrator for a new one")]
    TokenRevoked,
    /// A token command names a token that is not there.
    #[error("there is no token {id}; `idnode token list` shows the tokens that exist")]
    TokenAbsent {
        /// The token's id.
        id: String,
    },
    /// The caller is known here and may not do this: a token without the scope, an administrator without the permission.
    #[error("this needs {needed}, which the caller does not have")]
    PermissionDenied {
        /// The scope or the permissions that would allow the command.
        needed: String,
    },
    /// No HS_ADMIN value names the identity.
    #[error(
        "{identity} is not an administrator of {of}; an administrator can name it there, in an HS_ADMIN value or in \
         a list that such a value names"
    )]
    NotAdministrator {
        /// The identity that gave the command.
        identity: Identity,
        /// The identifier whose administrators may, or this node.
        of: String,
    },
    /// The value's own permissions do not let administrators write it.
    #[error("index {index} holds a value that administrators may not change; remove it and add another")]
    ValueProtected {
        /// The index.
        index: Index,
    },
    /// The request id was used for something else.
    #[error("request id was used for another command; make a new id for a new command")]
    RequestConflict,
    /// The request id is older than the window within which it is remembered.
    #[error(
        "request id is {age_seconds} s old; ids are remembered for {window_seconds} s; look up the outcome, then use a new id"
    )]
    RequestExpired {
        /// Age of the request id, in seconds.
        age_seconds: u64,
        /// The window, in seconds.
        window_seconds: u64,
    },
    /// The request id is not a UUIDv7.
    #[error("request id is not a UUIDv7")]
    RequestIdInvalid,
    /// The request id was made at a time that this node's clock has not reached.
    #[error(
        "request id was made {ahead_seconds} s ahead of this node's clock, and {REQUEST_AHEAD_SECONDS_MAX} s are allowed: \
         set the clock of the client or of the node"
    )]
    RequestAhead {
        /// How far the clock of the client is ahead of that of the node.
        ahead_seconds: u64,
    },
    /// The batch has too many items.
    #[error("{count} items; a batch holds at most {BATCH_ITEMS_MAX}")]
    TooManyItems {
        /// Items found.
        count: usize,
    },
    /// A later incarnation of the lower node's store has filed already.
    #[error(
        "a later incarnation of this node's store has filed; this copy must not file any more, unless an administrator \
         of the upper node resets this node's token with `idnode token reset-peer`"
    )]
    IncarnationSuperseded,
    /// The store of the lower node does not continue the incarnation that filed last.
    #[error(
        "the store of this node does not continue incarnation {filed}, which filed last; if this store is the right one, an \
         administrator of the upper node resets this node's token with `idnode token reset-peer`: then it files, and what it does \
         not file is revoked"
    )]
    IncarnationForked {
        /// The incarnation that filed last.
        filed: Incarnation,
    },
    /// The lower node was reset by an administrator after the call began in which it files.
    #[error(
        "this peer was reset after the call began; the lower node announces itself again, and files its present state"
    )]
    PeerReset,
    /// The incarnation of the lower node's store began at a time that this node's clock has not reached.
    #[error(
        "the incarnation began {ahead_seconds} s ahead of the upper node's clock, and {INCARNATION_AHEAD_SECONDS_MAX} s are \
         allowed: set the clocks of both nodes; if the store of this node began under a wrong clock, an administrator of \
         the upper node resets it with `idnode token reset-peer`"
    )]
    IncarnationAhead {
        /// How far the incarnation is ahead of the clock of the upper node.
        ahead_seconds: u64,
    },
}

impl Refusal {
    /// Whether it is about the caller's token itself, and not about what is done with it.
    pub fn is_of_token(&self) -> bool {
        matches!(
            self,
            Self::Unauthenticated
                | Self::TokenUnknown
                | Self::TokenExpired
                | Self::TokenRevoked
                | Self::PeerReset
        )
    }

    /// Stable code of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::IdentifierMalformed(_) => "IDENTIFIER_MALFORMED",
            Self::ValueInvalid(_) => "VALUE_INVALID",
            Self::SiteInvalid(_) => "SITE_INVALID",
            Self::RegistrantInvalid(_) => "REGISTRANT_INVALID",
            Self::CommandInvalid { .. } => "COMMAND_INVALID",
            Self::NotResponsible { .. } => "NOT_RESPONSIBLE",
            Self::PrefixDelegated { .. } => "PREFIX_DELEGATED",
            Self::PrefixSuspended { .. } => "PREFIX_SUSPENDED",
            Self::PrefixRevoked { .. } => "PREFIX_REVOKED",
            Self::DelegationStands { .. } => "DELEGATION_STANDS",
            Self::PrefixAbsent { .. } => "PREFIX_ABSENT",
            Self::PrefixHomedHere { .. } => "PREFIX_HOMED_HERE",
            Self::PrefixFiled { .. } => "PREFIX_FILED",
            Self::AlreadyExists { .. } => "ALREADY_EXISTS",
            Self::AdministratorMissing { .. } => "ADMINISTRATOR_MISSING",
            Self::Absent => "ABSENT",
            Self::IndexExists { .. } => "INDEX_EXISTS",
            Self::IndexAbsent { .. } => "INDEX_ABSENT",
            Self::VersionMismatch { .. } => "VERSION_MISMATCH",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::TokenUnknown => "TOKEN_UNKNOWN",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::TokenRevoked => "TOKEN_REVOKED",
            Self::TokenAbsent { .. } => "TOKEN_ABSENT",
            Self::PermissionDenied { .. } => "PERMISSION_DENIED",
            Self::NotAdministrator { .. } => "NOT_ADMINISTRATOR",
            Self::ValueProtected { .. } => "VALUE_PROTECTED",
            Self::RequestConflict => "REQUEST_CONFLICT",
            Self::RequestExpired { .. } => "REQUEST_EXPIRED",
            Self::RequestIdInvalid | Self::RequestAhead { .. } => "REQUEST_ID_INVALID",
            Self::TooManyItems { .. } => "TOO_MANY_ITEMS",
            Self::IncarnationSuperseded => "INCARNATION_SUPERSEDED",
            Self::IncarnationForked { .. } => "INCARNATION_FORKED",
            Self::PeerReset => "PEER_RESET",
            Self::IncarnationAhead { .. } => "INCARNATION_AHEAD",
        }
    }

    /// The facts behind the sentence, for programs: name and value.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::NotResponsible { prefix }
            | Self::PrefixDelegated { prefix }
            | Self::PrefixSuspended { prefix }
            | Self::PrefixRevoked { prefix }
            | Self::DelegationStands { prefix }
            | Self::PrefixAbsent { prefix }
            | Self::PrefixHomedHere { prefix }
            | Self::AdministratorMissing { prefix } => vec![("prefix", prefix.to_string())],
            Self::AlreadyExists { version, same } => {
                vec![("version", version.to_string()), ("same", same.to_string())]
            }
            Self::IndexExists { index } | Self::IndexAbsent { index } | Self::ValueProtected { index } => {
                vec![("index", index.to_string())]
            }
            Self::VersionMismatch { expected, found } => {
                vec![("expected", expected.to_string()), ("found", found.to_string())]
            }
            Self::TokenAbsent { id } => vec![("token", id.clone())],
            Self::PermissionDenied { needed } => vec![("needed", needed.clone())],
            Self::NotAdministrator { identity, of } => {
                vec![("identity", identity.to_string()), ("of", of.clone())]
            }
            Self::RequestExpired { age_seconds, window_seconds } => {
                vec![("age_seconds", age_seconds.to_string()), ("window_seconds", window_seconds.to_string())]
            }
            Self::RequestAhead { ahead_seconds } | Self::IncarnationAhead { ahead_seconds } => {
                vec![("ahead_seconds", ahead_seconds.to_string())]
            }
            Self::IncarnationForked { filed } => vec![("incarnation", filed.to_string())],
            Self::PrefixFiled { prefix, peer } => {
                vec![("prefix", prefix.to_string()), ("token", peer.clone())]
            }
            Self::TooManyItems { count } => {
                vec![("count", count.to_string()), ("max", BATCH_ITEMS_MAX.to_string())]
            }
            Self::IdentifierMalformed(_)
            | Self::ValueInvalid(_)
            | Self::SiteInvalid(_)
            | Self::RegistrantInvalid(_)
            | Self::CommandInvalid { .. }
            | Self::Absent
            | Self::Unauthenticated
            | Self::TokenUnknown
            | Self::TokenExpired
            | Self::TokenRevoked
            | Self::RequestConflict
            | Self::RequestIdInvalid
            | Self::PeerReset
            | Self::IncarnationSuperseded => Vec::new(),
        }
    }
}

impl From<IdentifierError> for Refusal {
    fn from(error: IdentifierError) -> Self {
        Self::IdentifierMalformed(error)
    }
}

impl From<ValueError> for Refusal {
    fn from(error: ValueError) -> Self {
        Self::ValueInvalid(error)
    }
}

impl From<SiteError> for Refusal {
    fn from(error: SiteError) -> Self {
        Self::SiteInvalid(error)
    }
}

impl From<RegistrantError> for Refusal {
    fn from(error: RegistrantError) -> Self {
        Self::RegistrantInvalid(error)
    }
}

//----------- Failure --------------------------------------------------------

/// Why the node could not do its part. The caller may repeat, with the same request id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The command may or may not have been done.
    #[error("outcome unknown: repeat with the same request id ({cause})")]
    OutcomeUnknown {
        /// Description of what happened.
        cause: String,
    },
    /// The node accepts no changes; nothing was done.
    #[error("the node accepts no changes: {reason}")]
    ReadOnly {
        /// Why the node is read-only, and how to make it accept changes again.
        reason: String,
    },
    /// Too much is waiting; nothing was done.
    #[error("too many commands are waiting; nothing was done: repeat in a moment")]
    Overloaded,
    /// The node is stopping; nothing was done.
    #[error("the node is stopping; nothing was done: repeat when it is back")]
    Stopping,
    /// What allows the command changed each time while it was decided.
    #[error(
        "the permissions for this command changed repeatedly while it was decided; nothing was done: repeat in a moment"
    )]
    Contended,
    /// A list of administrators that another node keeps could not be read.
    #[error("the list of administrators {list} could not be read: {detail}; nothing was done: repeat later")]
    AdministratorsUnread {
        /// The list.
        list: String,
        /// Description of what happened.
        detail: String,
    },
    /// A case that is impossible unless this program has a bug. Made by `telemetry::bug`, which logs it.
    #[error(
        "the node has a bug: {what} does not hold; repeat with the same request id, and report it to the operator"
    )]
    Bug {
        /// The invariant that does not hold.
        what: &'static str,
    },
    /// The store could not be read.
    #[error("the store could not be read: {detail}")]
    Store {
        /// Description of what happened.
        detail: String,
    },
}

impl Failure {
    /// Stable code of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutcomeUnknown { .. } => "OUTCOME_UNKNOWN",
            Self::ReadOnly { .. } => "READ_ONLY",
            Self::Overloaded => "OVERLOADED",
            Self::Stopping => "STOPPING",
            Self::Contended => "CONTENDED",
            Self::AdministratorsUnread { .. } => "ADMINISTRATORS_UNREAD",
            Self::Bug { .. } => "INTERNAL",
            Self::Store { .. } => "STORE",
        }
    }
}

/// Either a refusal or a failure, where one call may end in both.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The caller's.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ours.
    #[error(transparent)]
    Failed(#[from] Failure),
}
