//! Accidents: what spreadsheets and copying leave in a file, and what people do not see when they look at it.
//!
//! Each kind has a name, by which `--accept` lets it pass; the reason of a refused row has the same name. The checks are
//! pure and look at one text at a time. Names (headers and identifiers) are checked strictly, since what is not seen in
//! a name makes the visible name another one; in values only what is at the ends and what a spreadsheet made of a number.

use std::collections::BTreeSet;

use clap::ValueEnum;

use super::super::error::Reason;
use super::source::MARK;

/// Characters that are written for what could not be read: the last was in result files of this program.
const REPLACEMENTS: [char; 2] = ['\u{fffd}', MARK];

//----------- Accident -------------------------------------------------------

/// A kind of accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(in super::super) enum Accident {
    /// Blanks at the beginning or end of headers, identifiers and cells; in names also no-break and wide spaces
    Blanks,
    /// Characters in headers and identifiers that are not seen, such as U+200B
    Invisible,
    /// Numbers as spreadsheets shorten them, such as 6.90123E+12
    Scientific,
    /// The replacement character U+FFFD, which a program wrote for what it could not read
    Replacement,
    /// A prefix at the beginning of what is in the column `suffix`
    PrefixInSuffix,
    /// Columns such as TTL and PERMISSIONS, which would become public values of these types
    ColumnNames,
    /// A quote that is opened and not closed, as part of the text
    Quotes,
    /// An identifier that an earlier row of the file has
    Duplicates,
    /// UTF-8 that is read as GB 18030
    Encoding,
}

impl Accident {
    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Blanks => "blanks",
            Self::Invisible => "invisible",
            Self::Scientific => "scientific",
            Self::Replacement => "replacement",
            Self::PrefixInSuffix => "prefix-in-suffix",
            Self::ColumnNames => "column-names",
            Self::Quotes => "quotes",
            Self::Duplicates => "duplicates",
            Self::Encoding => "encoding",
        }
    }

    /// The code of a refused row.
    fn code(self) -> String {
        self.name().replace('-', "_").to_ascii_uppercase()
    }

    /// How such a text is corrected.
    fn advice(self) -> &'static str {
        match self {
            Self::Blanks => "remove it, or use --trim to remove blanks at both ends",
            Self::Invisible => "remove it",
            Self::Scientific => "format the column as text in the spreadsheet and enter the number again",
            Self::Replacement => "enter the text again, and save the file as UTF-8",
            Self::PrefixInSuffix => {
                "write the suffix alone, or leave --prefix out and name the column `identifier`"
            }
            Self::ColumnNames => "leave it out with --map COLUMN=skip",
            Self::Quotes => "close the quote, or double it where it is part of the text",
            Self::Duplicates => "keep one of the rows",
            Self::Encoding => "leave --encoding out",
        }
    }

    /// The sentence about one: what was found, how it is corrected, how it is accepted.
    pub(super) fn sentence(self, found: &str) -> String {
        format!("{found}; {}, or use --accept {} to take it as it is", self.advice(), self.name())
    }

    /// The reason of a refused row.
    pub(super) fn reason(self, found: &str) -> Reason {
        Reason::new(&self.code(), self.sentence(found))
    }
}

//----------- Tolerance ------------------------------------------------------

/// The kinds of accidents that may pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tolerance(BTreeSet<Accident>);

impl Tolerance {
    /// Lets these kinds pass.
    pub(super) fn of(accepted: &[Accident]) -> Self {
        Self(accepted.iter().copied().collect())
    }

    /// Whether a kind may pass.
    pub(super) fn accepts(&self, accident: Accident) -> bool {
        self.0.contains(&accident)
    }

    /// The first accident in a name that may not pass: a header, an identifier or a suffix. `noun` begins the sentence.
    pub(super) fn check_name(&self, noun: &str, text: &str) -> Option<Found> {
        let found = [
            ends_in_blank(text).or_else(|| inner_blank(text)),
            invisible(text),
            replacement(text),
            scientific(after_slash(text)),
        ];
        self.first(noun, found)
    }

    /// The first accident in the text of a value that may not pass.
    pub(super) fn check_value(&self, noun: &str, text: &str) -> Option<Found> {
        self.first(noun, [ends_in_blank(text), replacement(text), scientific(text), open_quote(text)])
    }

    /// A character in a text that was written for what could not be read, unless it may pass.
    pub(super) fn check_replacement(&self, noun: &str, text: &str) -> Option<Found> {
        self.first(noun, [replacement(text)])
    }

    /// An accident that was found, unless it may pass.
    pub(super) fn found(&self, kind: Accident, sentence: impl Into<String>) -> Option<Found> {
        (!self.accepts(kind)).then(|| Found { kind, sentence: sentence.into() })
    }

    fn first<const N: usize>(&self, noun: &str, found: [Option<(Accident, String)>; N]) -> Option<Found> {
        let refused = found.into_iter().flatten().find(|(kind, _)| !self.accepts(*kind));
        refused.map(|(kind, what)| Found { kind, sentence: format!("{noun} {what}") })
    }
}

/// An accident that may not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Kind of the accident.
    kind: Accident,
    /// What was found.
    sentence: String,
}

impl Found {
    /// The reason of a refused row.
    pub(super) fn reason(&self) -> Reason {
        self.kind.reason(&self.sentence)
    }

    /// The sentence that refuses a whole file.
    pub(super) fn sentence(&self) -> String {
        self.kind.sentence(&self.sentence)
    }
}

//----------- Checks ---------------------------------------------------------

/// A text without blanks at both ends.
pub(super) fn trimmed(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// Whether a character is a blank, or has no width and is left at the ends by copying.
fn is_blank(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '\u{180e}' | '\u{200b}' | '\u{2060}' | '\u{feff}')
}

/// Whether a character is not seen: controls, zero-width characters, marks of direction.
fn is_invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn ends_in_blank(text: &str) -> Option<(Accident, String)> {
    let first = text.chars().next().filter(|letter| is_blank(*letter));
    let last = text.chars().next_back().filter(|letter| is_blank(*letter));
    let what = match (first, last) {
        (Some(first), _) => format!("begins with {}", describe(first)),
        (None, Some(last)) => format!("ends with {}", describe(last)),
        (None, None) => return None,
    };
    Some((Accident::Blanks, what))
}

fn inner_blank(text: &str) -> Option<(Accident, String)> {
    let found = text.chars().find(|letter| letter.is_whitespace() && *letter != ' ')?;
    Some((Accident::Blanks, format!("contains {}", describe(found))))
}

fn invisible(text: &str) -> Option<(Accident, String)> {
    let found = text.chars().find(|letter| is_invisible(*letter))?;
    Some((Accident::Invisible, format!("contains {}", describe(found))))
}

/// Whether a text has a character that was written for what could not be read.
pub(super) fn has_replacement(text: &str) -> bool {
    text.contains(REPLACEMENTS)
}

fn replacement(text: &str) -> Option<(Accident, String)> {
    let found = text.chars().find(|letter| REPLACEMENTS.contains(letter))?;
    Some((Accident::Replacement, format!("contains the character U+{:04X}", u32::from(found))))
}

/// A number as spreadsheets shorten it: one digit before the point, a capital E, a signed exponent of two digits or more.
fn scientific(text: &str) -> Option<(Accident, String)> {
    let (mantissa, exponent) = text.split_once('E')?;
    let digits = exponent.strip_prefix(['+', '-'])?;
    let mantissa = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_short = whole.len() == 1 && digits.len() >= 2;
    let is_short = is_short && is_number(whole) && is_number(fraction) && is_number(digits);
    is_short.then(|| (Accident::Scientific, format!("is a shortened number, {text}")))
}

fn open_quote(text: &str) -> Option<(Accident, String)> {
    let quotes = text.bytes().filter(|byte| *byte == b'"').count();
    let is_open = text.starts_with('"') && quotes % 2 == 1;
    is_open.then(|| (Accident::Quotes, "begins with a quote that is not closed".to_owned()))
}

fn after_slash(text: &str) -> &str {
    text.split_once('/').map_or(text, |(_, suffix)| suffix)
}

/// Whether a suffix begins as an identifier does: a prefix of numbers, and a slash.
pub(super) fn begins_with_prefix(suffix: &str, prefix: &str) -> bool {
    let Some((start, _)) = suffix.split_once('/') else { return false };
    let is_numbers = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    start.eq_ignore_ascii_case(prefix) || start.contains('.') && start.split('.').all(is_numbers)
}

/// The name of a character that is hard to see.
fn describe(letter: char) -> String {
    let name = match letter {
        ' ' => return "a space".to_owned(),
        '\t' => return "a tab".to_owned(),
        '\r' | '\n' => return "a line break".to_owned(),
        '\u{a0}' => "a no-break space",
        '\u{200b}' => "a zero-width space",
        '\u{3000}' => "a wide space",
        '\u{feff}' => "a byte order mark",
        '\u{ad}' => "a soft hyphen",
        _ if letter.is_whitespace() => "a blank",
        _ => "a character that is not seen",
    };
    format!("{name} (U+{:04X})", u32::from(letter))
}

#[cfg(test)]
mod tests {
    use super::{Accident, Tolerance, begins_with_prefix, trimmed};

    fn name(text: &str) -> Option<(Accident, String)> {
        let found = Tolerance::default().check_name("the identifier", text)?;
        Some((found.kind, found.sentence))
    }

    fn value(text: &str) -> Option<Accident> {
        Tolerance::default().check_value("the cell", text).map(|found| found.kind)
    }

    #[test]
    fn what_is_not_seen_in_a_name_is_found() {
        let found = |text: &str| name(text).map(|(kind, _)| kind);
        for blank in
            ["88/a ", " 88/a", "88/a\u{a0}", "88/a\u{200b}", "\u{feff}88/a", "88/a\t", "88/\u{3000}a"]
        {
            assert_eq!(found(blank), Some(Accident::Blanks), "{blank:?}");
        }
        for invisible in ["88/a\u{200b}b", "88/a\u{202e}b", "88/a\u{ad}b", "88/a\u{7}b"] {
            assert_eq!(found(invisible), Some(Accident::Invisible), "{invisible:?}");
        }
        assert_eq!(found("88/caf\u{fffd}"), Some(Accident::Replacement));
        for right in ["88/a b", "88/零件-1", "88.118.8/SN000123", "88/a/b"] {
            assert_eq!(found(right), None, "{right:?}");
        }
        let (_, sentence) = name("88/a\u{a0}").expect("found");
        assert_eq!(sentence, "the identifier ends with a no-break space (U+00A0)");
    }

    #[test]
    fn numbers_that_a_spreadsheet_shortened_are_found_and_no_others() {
        for number in ["6.90123E+12", "88.118.8/6.90123E+12", "1E+15", "4.5E-07"] {
            assert_eq!(name(number).map(|(kind, _)| kind), Some(Accident::Scientific), "{number}");
        }
        for right in
            ["88/1E5", "88/SN1E+5", "88/12E+5", "6901234567892", "88/E+12", "88/1.E+1x", "88/1.6e-5", "1E+5"]
        {
            assert_eq!(name(right), None, "{right}");
        }
    }

    #[test]
    fn values_are_checked_at_their_ends_only() {
        assert_eq!(value("https://example.com/ "), Some(Accident::Blanks));
        assert_eq!(value("6.90123E+12"), Some(Accident::Scientific));
        assert_eq!(value("\"2 inch"), Some(Accident::Quotes));
        for right in ["two\nlines", "a\u{a0}b", "2\" inch", "\"quoted\"", "\"a\" b", "=1+1", "007"] {
            assert_eq!(value(right), None, "{right:?}");
        }
    }

    #[test]
    fn what_is_accepted_passes_and_the_rest_does_not() {
        let tolerance = Tolerance::of(&[Accident::Blanks]);
        assert_eq!(tolerance.check_name("the identifier", "88/a "), None);
        let found = tolerance.check_name("the identifier", "88/a\u{200b}b ").expect("found");
        let reason = found.reason();
        assert_eq!(reason.code, "INVISIBLE");
        assert!(reason.message.ends_with("--accept invisible to take it as it is"), "{reason}");
    }

    #[test]
    fn blanks_are_removed_at_both_ends() {
        assert_eq!(trimmed("\u{feff} a b\u{a0}\u{200b}\n"), "a b");
        assert_eq!(trimmed("a"), "a");
    }

    #[test]
    fn a_whole_identifier_is_no_suffix() {
        assert!(begins_with_prefix("88.118.8/SN77", "88.118.8"));
        assert!(begins_with_prefix("88.118.9/SN77", "88.118.8"));
        assert!(begins_with_prefix("HDL/SN77", "hdl"));
        assert!(!begins_with_prefix("2024/SN77", "88.118.8"));
        assert!(!begins_with_prefix("SN77", "88.118.8"));
        assert!(!begins_with_prefix("v1.a/SN77", "88.118.8"));
    }
}
