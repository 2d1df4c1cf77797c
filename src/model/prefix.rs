//! Prefix entries: which site answers for a prefix, its status and its registrant. Beside them, the notes of operators.

use core::fmt;

use super::identifier::Prefix;
use super::limits::{NOTE_BYTES_MAX, TEXT_BYTES_MAX};
use super::position::Position;
use super::site::Site;
use super::token::TokenId;

//----------- PrefixEntry ----------------------------------------------------

/// What a node has recorded about one prefix. HS_SITE and zone cuts are derived from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixEntry {
    /// The prefix, as spelled when it was first entered.
    pub prefix: Prefix,
    /// The site that answers for the prefix.
    pub homing: Homing,
    /// Whether the prefix may be used.
    pub status: PrefixStatus,
    /// The party that the prefix is registered for.
    pub registrant: Option<Registrant>,
    /// The lower node that filed the prefix, if one did.
    pub filing: Option<FilingMark>,
    /// Count of this entry's changes, from 1.
    pub version: u64,
    /// Time of the last change of the entry, in milliseconds since 1970.
    pub changed_ms: u64,
}

/// Which site answers for a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Homing {
    /// This node holds the identifiers of the prefix.
    Here,
    /// Another site answers for the prefix.
    Delegated(Site),
}

/// Whether a prefix may be used.
///
/// ```text
///   active ◀─resume──suspend─▶ suspended            revoke: from either to revoked
///   suspended, revoked ─ home (homed here), delegate (delegated) ─▶ active
///   any ─ end-delegation ─▶ active, homed here
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrefixStatus {
    /// Answers and accepts changes.
    Active,
    /// Changes and questions are refused for a time; the data is retained.
    Suspended,
    /// Changes and questions are refused until the prefix is homed or delegated again; the data is retained.
    Revoked,
}

/// Which filing of which lower node an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilingMark {
    /// The peer's token.
    pub peer: TokenId,
    /// The position in the lower node's journal that was filed.
    pub position: Position,
    /// Whether an administrator of this node has suspended the prefix since. It stays that of the lower node, whose filings
    /// apply again when the suspension ends.
    pub is_overruled: bool,
}

//----------- Registrant -----------------------------------------------------

/// The party a prefix is registered for (备案主体).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registrant {
    name: String,
    credit_code: Option<CreditCode>,
    contact: String,
}

impl Registrant {
    /// Checks a registrant: a name of 1 to 512 bytes, a contact of at most 512 bytes.
    pub fn new(name: &str, credit_code: Option<CreditCode>, contact: &str) -> Result<Self, RegistrantError> {
        if name.trim().is_empty() || name.len() > TEXT_BYTES_MAX {
            return Err(RegistrantError::Name { bytes: name.len() });
        }
        if contact.len() > TEXT_BYTES_MAX {
            return Err(RegistrantError::Contact { bytes: contact.len() });
        }
        Ok(Self { name: name.into(), credit_code, contact: contact.into() })
    }

    /// The name, such as a company's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Unified social credit code (统一社会信用代码) of the registrant, if known.
    pub fn credit_code(&self) -> Option<&CreditCode> {
        self.credit_code.as_ref()
    }

    /// The contact; may be empty.
    pub fn contact(&self) -> &str {
        &self.contact
    }
}

/// A unified social credit code (统一社会信用代码, GB 32100-2015): 18 characters, the last a check character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreditCode(String);

impl CreditCode {
    const ALPHABET: &'static str = "0123456789ABCDEFGHJKLMNPQRTUWXY";

    /// Parses 18 characters and verifies the check character; lower case is accepted.
    pub fn parse(text: &str) -> Result<Self, RegistrantError> {
        let upper = text.to_ascii_uppercase();
        let malformed = || RegistrantError::CreditCode { found: text.chars().take(24).collect() };
        let digits: Vec<usize> =
            upper.chars().map(|c| Self::ALPHABET.find(c)).collect::<Option<_>>().ok_or_else(malformed)?;
        let Some((check, body)) = digits.split_last().filter(|_| digits.len() == 18) else {
            return Err(malformed());
        };
        let mut weight = 1;
        let mut sum = 0;
        for digit in body {
            sum += digit * weight;
            weight = weight * 3 % 31;
        }
        if (31 - sum % 31) % 31 != *check {
            return Err(RegistrantError::CreditCodeCheck { found: upper });
        }
        Ok(Self(upper))
    }

    /// The 18 characters, upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a registrant is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrantError {
    /// A name that is empty or too long.
    Name {
        /// Bytes found.
        bytes: usize,
    },
    /// A contact that is too long.
    Contact {
        /// Bytes found.
        bytes: usize,
    },
    /// A credit code of another form.
    CreditCode {
        /// The beginning of what was found.
        found: String,
    },
    /// A credit code whose check character is wrong, which shows a typing error.
    CreditCodeCheck {
        /// The code.
        found: String,
    },
}

impl fmt::Display for RegistrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { bytes } => {
                write!(
                    f,
                    "registrant name has {bytes} bytes; 1 to {TEXT_BYTES_MAX} are allowed, not only blanks"
                )
            }
            Self::Contact { bytes } => {
                write!(f, "registrant contact has {bytes} bytes; at most {TEXT_BYTES_MAX} are allowed")
            }
            Self::CreditCode { found } => write!(
                f,
                "credit code {found:?} is not 18 digits and letters without I, O, S, V, Z (GB 32100-2015)"
            ),
            Self::CreditCodeCheck { found } => {
                write!(
                    f,
                    "credit code {found} has a wrong check character (GB 32100-2015); look for a typing error"
                )
            }
        }
    }
}

impl core::error::Error for RegistrantError {}

//----------- PrefixNote -----------------------------------------------------

/// What operators have noted about one prefix. It is no part of the prefix entry and is not filed; only administrators see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixNote {
    /// The prefix, as its entry spells it.
    pub prefix: Prefix,
    /// The text; empty when the note was removed.
    pub text: NoteText,
    /// Count of the changes of the note, from 1; never decreases, not even by a removal.
    pub version: u64,
    /// Time of the last change of the note, in milliseconds since 1970.
    pub changed_ms: u64,
}

/// The text of a note; an empty one removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoteText(String);

impl NoteText {
    /// Checks a text: at most 1,024 bytes.
    pub fn new(text: &str) -> Result<Self, NoteTooLong> {
        if text.len() > NOTE_BYTES_MAX {
            return Err(NoteTooLong { bytes: text.len() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A note is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("note has {bytes} bytes; at most {NOTE_BYTES_MAX} are allowed")]
pub struct NoteTooLong {
    /// Bytes found.
    pub bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::{CreditCode, RegistrantError};

    #[test]
    fn a_credit_code_carries_its_check_character() {
        let code = CreditCode::parse("91350100m000100y43").expect("a valid code");
        assert_eq!(code.as_str(), "91350100M000100Y43");
        let found = "91350100M000100Y44".to_owned();
        assert_eq!(CreditCode::parse(&found), Err(RegistrantError::CreditCodeCheck { found }));
        let found = "9135".to_owned();
        assert_eq!(CreditCode::parse("9135"), Err(RegistrantError::CreditCode { found }));
    }
}
