//! Resolution: a question of the protocol → a question of ours, and the answer back.

use crate::model::identifier::{Identifier, IdentifierError, Prefix};
use crate::model::value::{Index, Permissions, Value, ValueType};
use crate::resolver::answer::{Absence, Answer, Found, NotResponsible, Question, Referral, Withheld};
use crate::wire::handle::body::{Resolution, encode_handle_and_values};
use crate::wire::handle::code::{OpFlags, ResponseCode, Version};
use crate::wire::handle::message::Message;

use super::reply::{self, Reply, Secrecy, Standing};

//----------- Asking ---------------------------------------------------------

/// What a message asks for.
#[derive(Clone, Debug)]
pub(super) struct Asking<'a> {
    /// The handle as sent: the answer repeats it.
    pub(super) handle: &'a [u8],
    /// The question.
    pub(super) question: Question,
    selection: Selection,
}

/// Whether any value can be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selection {
    Some,
    /// Indexes and types were given, and none of them can exist.
    None,
}

impl<'a> Asking<'a> {
    /// Decodes the body of a question.
    pub(super) fn decode(body: &'a [u8]) -> Result<Self, Reply> {
        let Resolution { handle, indexes, types } =
            Resolution::decode(body).map_err(|error| reply::unreadable(&error))?;
        let identifier = identifier(handle).map_err(|malformed| malformed.in_question())?;
        let is_selective = !indexes.is_empty() || !types.is_empty();
        let indexes: Vec<Index> = indexes.into_iter().filter_map(|index| Index::new(index).ok()).collect();
        let named = |text: &[u8]| core::str::from_utf8(text).ok().and_then(|text| ValueType::new(text).ok());
        let types: Vec<ValueType> = types.into_iter().filter_map(named).collect();
        let selection = if is_selective && indexes.is_empty() && types.is_empty() {
            Selection::None
        } else {
            Selection::Some
        };
        Ok(Self { handle, question: Question { identifier, indexes, types }, selection })
    }
}

/// How an answer is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// So.
    Reply(Reply),
    /// There is more, for administrators: the caller is to prove that it is one.
    Hidden,
    /// Another node is to be asked for this caller, if this one may.
    Onward(Elsewhere),
}

/// Who may know more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Elsewhere {
    /// The site of a delegated prefix.
    Below(Box<Referral>),
    /// The node above.
    Above(NotResponsible),
}

/// Which values a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those for the public.
    Public,
    /// All, or else none.
    All,
}

impl Wanted {
    /// What the flags of a question say.
    pub(super) fn of(flags: OpFlags) -> Self {
        if flags.has(OpFlags::PUBLIC_ONLY) { Self::Public } else { Self::All }
    }
}

impl Asking<'_> {
    /// How an answer of this node is to be told.
    pub(super) fn tell(&self, answer: Answer, wanted: Wanted) -> Telling {
        let withheld = match &answer {
            Answer::Values(Found { withheld, .. }) | Answer::Absent(Absence::Values(withheld)) => *withheld,
            Answer::Absent(Absence::Identifier) | Answer::Referral(_) | Answer::NotResponsible(_) => {
                Withheld::Nothing
            }
        };
        match answer {
            Answer::Values(_) | Answer::Absent(Absence::Values(_)) if self.selection == Selection::None => {
                Telling::Reply(no_values())
            }
            _ if wanted == Wanted::All && withheld == Withheld::FromPublic => Telling::Hidden,
            _ if wanted == Wanted::All && withheld == Withheld::FromAll => {
                let sentence = "values were asked for that nobody may read; ask for public ones, or by index";
                Telling::Reply(Reply::refuse(ResponseCode::INSUFFICIENT_PERMISSIONS, sentence))
            }
            Answer::Values(found) => Telling::Reply(self.values(&found)),
            Answer::Absent(Absence::Identifier) => {
                Telling::Reply(Reply::refuse(ResponseCode::HANDLE_NOT_FOUND, "identifier is not registered"))
            }
            Answer::Absent(Absence::Values(_)) => Telling::Reply(no_values()),
            Answer::Referral(referral) => Telling::Onward(Elsewhere::Below(Box::new(referral))),
            Answer::NotResponsible(not_responsible) => Telling::Onward(Elsewhere::Above(not_responsible)),
        }
    }

    fn values(&self, found: &Found) -> Reply {
        let is_public = |value: &Value| value.permissions.has(Permissions::PUBLIC_READ);
        let secrecy = if found.values.iter().all(is_public) { Secrecy::Public } else { Secrecy::Restricted };
        let standing = if found.authoritative { Standing::Authoritative } else { Standing::Retold };
        let body = encode_handle_and_values(self.handle, &found.values);
        Reply { standing, secrecy, ..Reply::success(body) }
    }
}

fn no_values() -> Reply {
    Reply::refuse(ResponseCode::VALUES_NOT_FOUND, "the identifier has no such values, or none for the public")
}

/// Whether other nodes are to be asked: the client says so, or is too old to go there itself.
pub(super) fn wants_recursion(message: &Message<'_>, version: Version) -> bool {
    message.header.flags.has(OpFlags::RECURSIVE) || version < Version::V2_10
}

//----------- Names ----------------------------------------------------------

/// A handle that is no identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// Not UTF-8.
    NotUtf8,
    /// Not of the form that identifiers have.
    Form(IdentifierError),
}

impl Malformed {
    /// As a question hears it: what is no text cannot be registered.
    pub(super) fn in_question(&self) -> Reply {
        match self {
            Self::NotUtf8 => Reply::refuse(ResponseCode::HANDLE_NOT_FOUND, "the handle is not UTF-8"),
            Self::Form(error) => reply::malformed(error),
        }
    }

    /// As a command hears it.
    pub(super) fn in_command(&self) -> Reply {
        match self {
            Self::NotUtf8 => Reply::refuse(ResponseCode::INVALID_HANDLE, "the handle is not UTF-8"),
            Self::Form(error) => reply::malformed(error),
        }
    }
}

/// The identifier of a handle; a prefix alone names itself, as `0.NA/<prefix>` does.
pub(super) fn identifier(handle: &[u8]) -> Result<Identifier, Malformed> {
    let text = core::str::from_utf8(handle).map_err(|_| Malformed::NotUtf8)?;
    let parsed = if text.contains('/') {
        Identifier::parse(text)
    } else {
        Prefix::parse(text).map(|prefix| Identifier::of_prefix(&prefix))
    };
    parsed.map_err(Malformed::Form)
}
