//! Problems of a configuration: each with its source, key and value, and with what is expected.

use core::fmt;
use std::path::PathBuf;

//----------- ConfigError ----------------------------------------------------

/// The problems of a configuration, in the order of its sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Problems that were found, at least one.
    pub problems: Vec<ConfigProblem>,
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

//----------- ConfigProblem --------------------------------------------------

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigProblem {
    /// A file that cannot be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Error of the operating system.
        reason: String,
    },
    /// A file that is not TOML.
    Syntax {
        /// Source of the problem: file and line, environment or argument.
        source: KeySource,
        /// Error of the parser.
        reason: String,
    },
    /// A file of a version this program does not know.
    Version {
        /// Source of the problem: file and line, environment or argument.
        source: KeySource,
        /// The version found.
        found: String,
    },
    /// A section or key that does not exist.
    Unknown {
        /// Source of the problem: file and line, environment or argument.
        source: KeySource,
        /// `section.key`, or `[section]`.
        key: String,
        /// The nearest that exists.
        nearest: Option<String>,
    },
    /// A value that its key does not accept.
    Value {
        /// Source of the problem: file and line, environment or argument.
        source: KeySource,
        /// `section.key`.
        key: String,
        /// The value found.
        found: String,
        /// The value that is expected.
        right: String,
    },
    /// Values that contradict each other, or a named file that cannot be used.
    Relation {
        /// `section.key` of the value to change.
        key: String,
        /// What is wrong, and what is expected.
        reason: String,
    },
}

impl ConfigProblem {
    /// Line of the key in a file.
    pub(super) fn line(&self) -> Option<usize> {
        match self {
            Self::Syntax { source, .. }
            | Self::Version { source, .. }
            | Self::Unknown { source, .. }
            | Self::Value { source, .. } => match source {
                KeySource::Line { line, .. } => Some(*line),
                KeySource::Variable(_) | KeySource::Argument(_) => None,
            },
            Self::Unreadable { .. } | Self::Relation { .. } => None,
        }
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, reason } => {
                write!(f, "{}: cannot be read: {reason}", file.display())
            }
            Self::Syntax { source, reason } => write!(f, "{source}: not TOML: {reason}"),
            Self::Version { source, found } => {
                write!(f, "{source}: version = {found} is not known; this program reads version = 1")
            }
            Self::Unknown { source, key, nearest: Some(nearest) } => {
                write!(f, "{source}: {key} is not known; did you mean {nearest}?")
            }
            Self::Unknown { source, key, nearest: None } => {
                write!(f, "{source}: {key} is not known; config/idnode.toml lists every key")
            }
            Self::Value { source, key, found, right } => {
                write!(f, "{source}: {key} = {found} is not valid: {right}")
            }
            Self::Relation { key, reason } => write!(f, "{key}: {reason}"),
        }
    }
}

//----------- KeySource ------------------------------------------------------

/// The source of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A line of a file.
    Line {
        /// The file.
        file: PathBuf,
        /// Number of the line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// An argument of the command line.
    Argument(String),
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Argument(text) => write!(f, "argument {text}"),
        }
    }
}
