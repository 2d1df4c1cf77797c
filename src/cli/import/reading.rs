//! Reading: how the rows of a file are understood, as the command and its options say.

use super::super::error::Reason;
use super::super::value_argument::CommonOfValues;
use super::accident::{Accident, Tolerance, begins_with_prefix, trimmed};
use super::mapping::{Mapping, TypePermissions};

//----------- Reading --------------------------------------------------------

/// How the rows of a file are understood.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// What is done with the identifiers.
    pub(super) purpose: Purpose,
    /// How identifiers are written.
    pub(super) naming: Naming,
    /// Meanings of columns and keys.
    pub(super) mapping: Mapping,
    /// Permissions of types.
    pub(super) permissions: Vec<TypePermissions>,
    /// What may pass although it looks like an accident.
    pub(super) tolerance: Tolerance,
    /// What is done with blanks at the ends of texts.
    pub(super) ends: Ends,
}

/// What is done with the identifiers of a file.
#[derive(Clone, Debug)]
pub(in super::super) enum Purpose {
    /// They are registered with the values of their rows.
    Register,
    /// Their values are changed; the settings are for all new values.
    Amend(CommonOfValues),
    /// They are removed.
    Remove,
}

impl Purpose {
    /// The command that reads a file from standard input.
    pub(super) fn command(&self) -> &'static str {
        match self {
            Self::Register => "idnode import -",
            Self::Amend(_) => "idnode amend --from -",
            Self::Remove => "idnode remove --from -",
        }
    }
}

/// What is done with blanks at the ends of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    /// They stay, where they are not refused.
    AsTheyAre,
    /// They are removed.
    Trimmed,
}

impl Reading {
    /// A text of the file, without blanks at its ends where that is asked for.
    pub(super) fn text<'a>(&self, text: &'a str) -> &'a str {
        match self.ends {
            Ends::AsTheyAre => text,
            Ends::Trimmed => trimmed(text),
        }
    }

    /// The identifier of a cell, or why it cannot be one. The text is trimmed already.
    pub(super) fn identifier(&self, text: &str) -> Result<String, Reason> {
        let noun = self.naming.noun();
        if text.is_empty() {
            return Err(super::row::malformed(format!("the {noun} is empty")));
        }
        let found = self.tolerance.check_name(&format!("the {noun}"), text).or_else(|| match &self.naming {
            Naming::Under { prefix } if begins_with_prefix(text, prefix) => {
                let sentence = format!("the suffix {text:?} begins with a prefix");
                self.tolerance.found(Accident::PrefixInSuffix, sentence)
            }
            _ => None,
        });
        found.map_or_else(|| Ok(self.naming.identifier(text)), |found| Err(found.reason()))
    }
}

//----------- Naming ---------------------------------------------------------

/// How identifiers are written in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Complete, under the name `identifier`.
    Whole,
    /// Without the prefix, under the name `suffix`.
    Under {
        /// The prefix of all identifiers.
        prefix: String,
    },
}

/// Names of the column or key that holds complete identifiers.
const IDENTIFIER_NAMES: &[&str] = &["identifier", "标识"];
/// Names of the column or key that holds suffixes.
const SUFFIX_NAMES: &[&str] = &["suffix", "后缀"];

impl Naming {
    /// Name of the column or key in messages.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Whole => "identifier",
            Self::Under { .. } => "suffix",
        }
    }

    /// Whether a column or key with this name holds the identifiers.
    pub(super) fn is_noun(&self, name: &str) -> bool {
        match self {
            Self::Whole => is_identifier(name),
            Self::Under { .. } => is_suffix(name),
        }
    }

    /// The identifier of a cell.
    pub(super) fn identifier(&self, cell: &str) -> String {
        match self {
            Self::Whole => cell.to_owned(),
            Self::Under { prefix } => format!("{prefix}/{cell}"),
        }
    }
}

/// Whether a name is one of complete identifiers.
pub(super) fn is_identifier(name: &str) -> bool {
    IDENTIFIER_NAMES.iter().any(|noun| noun.eq_ignore_ascii_case(name))
}

/// Whether a name is one of suffixes.
pub(super) fn is_suffix(name: &str) -> bool {
    SUFFIX_NAMES.iter().any(|noun| noun.eq_ignore_ascii_case(name))
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Ends, Mapping, Naming, Purpose, Reading, Tolerance};

    /// A reading of complete identifiers that are registered, without options.
    pub(in super::super) fn plain() -> Reading {
        Reading {
            purpose: Purpose::Register,
            naming: Naming::Whole,
            mapping: Mapping::default(),
            permissions: Vec::new(),
            tolerance: Tolerance::default(),
            ends: Ends::AsTheyAre,
        }
    }

    /// The same for suffixes of a prefix.
    pub(in super::super) fn under(prefix: &str) -> Reading {
        Reading { naming: Naming::Under { prefix: prefix.into() }, ..plain() }
    }

    #[test]
    fn an_identifier_is_refused_with_what_would_be_right() {
        let refused = |reading: &Reading, text: &str| reading.identifier(text).expect_err(text);
        let reason = refused(&under("88.118.8"), "88.118.8/SN77");
        assert_eq!(reason.code, "PREFIX_IN_SUFFIX");
        assert!(reason.message.contains("leave --prefix out"), "{reason}");
        assert_eq!(refused(&plain(), "88.118.8/SN77\u{a0}").code, "BLANKS");
        assert_eq!(refused(&plain(), "").message, "the identifier is empty");
        assert_eq!(under("88").identifier("2024/7").expect("a suffix"), "88/2024/7");
    }

    #[test]
    fn blanks_are_removed_where_that_is_asked_for() {
        let trimmed = Reading { ends: Ends::Trimmed, ..plain() };
        assert_eq!(trimmed.text(" 88/a\u{a0}"), "88/a");
        assert_eq!(plain().text(" 88/a"), " 88/a");
    }

    #[test]
    fn chinese_headers_name_the_identifiers() {
        assert!(Naming::Whole.is_noun("标识") && Naming::Whole.is_noun("Identifier"));
        assert!(plain().naming.is_noun("identifier") && !plain().naming.is_noun("后缀"));
        assert!(under("88").naming.is_noun("后缀") && !under("88").naming.is_noun("标识"));
    }
}
