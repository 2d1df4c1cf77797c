//! What is wrong with a configuration: every problem found, each with its place, key, value and what would be right.

use core::fmt;
use std::path::PathBuf;

//----------- ConfigError ----------------------------------------------------

/// The problems of a configuration, in the order of its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl core::error::Error for ConfigError {}

//----------- Problem --------------------------------------------------------

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A file that cannot be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A file that is not TOML.
    Syntax {
        /// Where.
        place: Place,
        /// What the parser says.
        reason: String,
    },
    /// A file of a version this program does not know.
    Version {
        /// Where.
        place: Place,
        /// The version found.
        found: String,
    },
    /// A section or key that does not exist.
    Unknown {
        /// Where.
        place: Place,
        /// `section.key`, or `[section]`.
        key: String,
        /// The nearest that exists.
        nearest: Option<String>,
    },
    /// A value that its key does not take.
    Value {
        /// Where.
        place: Place,
        /// `section.key`.
        key: String,
        /// The value found.
        found: String,
        /// What would be right.
        right: String,
    },
    /// Values that do not go together, or a file they name that is not as it should be.
    Relation {
        /// `section.key` of the value to change.
        key: String,
        /// What is wrong and what would be right.
        reason: String,
    },
}

impl Problem {
    /// The line of a file that it stands on.
    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Syntax { place, .. }
            | Self::Version { place, .. }
            | Self::Unknown { place, .. }
            | Self::Value { place, .. } => match place {
                Place::Line { line, .. } => Some(*line),
                Place::Variable(_) | Place::Argument(_) => None,
            },
            Self::Unreadable { .. } | Self::Relation { .. } => None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, reason } => {
                write!(f, "{}: cannot be read: {reason}", file.display())
            }
            Self::Syntax { place, reason } => write!(f, "{place}: not TOML: {reason}"),
            Self::Version { place, found } => {
                write!(f, "{place}: version = {found} is not known; this program reads version = 1")
            }
            Self::Unknown { place, key, nearest: Some(nearest) } => {
                write!(f, "{place}: {key} is not known; did you mean {nearest}?")
            }
            Self::Unknown { place, key, nearest: None } => {
                write!(f, "{place}: {key} is not known; config/idnode.toml lists every key")
            }
            Self::Value { place, key, found, right } => {
                write!(f, "{place}: {key} = {found} is not right: {right}")
            }
            Self::Relation { key, reason } => write!(f, "{key}: {reason}"),
        }
    }
}

//----------- Place ----------------------------------------------------------

/// Where a key was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a file.
    Line {
        /// The file.
        file: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// An argument of the command line.
    Argument(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Argument(text) => write!(f, "argument {text}"),
        }
    }
}
