//! Loading: from the sources to a checked [`Config`].

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, ConfigProblem, KeySource};
use super::file_v1::{KEYS, Key, VERSION, keys};
use super::options::Config;
use super::raw_value::RawValue;
use crate::model::nearest::nearest;

/// Bytes of a configuration file at most, far above what is written by hand.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

//----------- Sources --------------------------------------------------------

/// The sources of a configuration; a later source overrides an earlier one.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    /// Variables of the environment; those that do not begin with `IDNODE_` and a section are ignored.
    pub environment: Vec<(String, String)>,
    /// The program as it was called; empty when that is not known.
    pub program: String,
    /// Keys given on the command line, each as `section.key` and its value.
    pub arguments: Vec<(String, String)>,
}

impl Sources {
    /// The name and environment of this process, and nothing else yet.
    pub fn of_process() -> Self {
        let texts = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let program = std::env::args().next().unwrap_or_default();
        Self { program, environment: texts.collect(), ..Self::default() }
    }

    /// A variable of the environment.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

impl Config {
    /// Reads all sources, applies them to the defaults and checks the whole. Names every problem found, not only the
    /// first.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut loading = Loading::default();
        if let Some(file) = &sources.file {
            loading.file(file);
        }
        for (name, value) in &sources.environment {
            loading.variable(name, value);
        }
        for (path, value) in &sources.arguments {
            loading.argument(path, value);
        }
        if loading.problems.is_empty() {
            loading.problems.extend(loading.config.problems());
        }
        if loading.problems.is_empty() {
            return Ok(loading.config);
        }
        Err(ConfigError { problems: loading.problems })
    }
}

//----------- Loading --------------------------------------------------------

/// A configuration on its way, with what was wrong so far.
#[derive(Default)]
struct Loading {
    config: Config,
    problems: Vec<ConfigProblem>,
}

impl Loading {
    fn file(&mut self, file: &Path) {
        let text = match read(file) {
            Ok(text) => text,
            Err(reason) => {
                self.problems.push(ConfigProblem::Unreadable { file: file.into(), reason });
                return;
            }
        };
        let source = |offset: usize| KeySource::Line { file: file.into(), line: line_of(&text, offset) };
        match DeTable::parse(&text) {
            Ok(document) => {
                self.document(document.get_ref(), &source);
                self.problems.sort_by_key(ConfigProblem::line);
            }
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                let reason = error.message().to_owned();
                self.problems.push(ConfigProblem::Syntax { source: source(offset), reason });
            }
        }
    }

    fn document(&mut self, document: &DeTable<'_>, source: &dyn Fn(usize) -> KeySource) {
        for (name, value) in document {
            let at = source(name.span().start);
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("version", version) => self.version(&RawValue::of_toml(version), at),
                (section, DeValue::Table(table)) if is_section(section) => {
                    self.section(section, table, source);
                }
                (other, _) => self.unknown_section(other, at),
            }
        }
    }

    fn version(&mut self, given: &RawValue, source: KeySource) {
        if *given != RawValue::Integer(VERSION) {
            self.problems.push(ConfigProblem::Version { source, found: given.to_string() });
        }
    }

    fn section(&mut self, section: &str, table: &DeTable<'_>, source: &dyn Fn(usize) -> KeySource) {
        for (name, value) in table {
            let path = format!("{section}.{}", name.get_ref());
            let at = source(name.span().start);
            self.key(&path, &RawValue::of_toml(value.get_ref()), at);
        }
    }

    fn variable(&mut self, name: &str, value: &str) {
        let Some(key) = keys().find(|key| key.variable() == name) else {
            if speaks_of_a_section(name) {
                let nearest = nearest(name, keys().map(Key::variable));
                let source = KeySource::Variable(name.into());
                self.problems.push(ConfigProblem::Unknown { source, key: name.into(), nearest });
            }
            return;
        };
        self.key(&key.path(), &RawValue::Plain(value.into()), KeySource::Variable(name.into()));
    }

    fn argument(&mut self, path: &str, value: &str) {
        self.key(path, &RawValue::Plain(value.into()), KeySource::Argument(format!("{path}={value}")));
    }

    fn key(&mut self, path: &str, given: &RawValue, source: KeySource) {
        let Some(key) = keys().find(|key| key.path() == path) else {
            self.problems.push(ConfigProblem::Unknown {
                source,
                key: path.into(),
                nearest: nearest_key(path),
            });
            return;
        };
        if let Err(right) = (key.apply)(&mut self.config, given) {
            let (key, found) = (path.to_owned(), given.to_string());
            self.problems.push(ConfigProblem::Value { source, key, found, right });
        }
    }

    fn unknown_section(&mut self, name: &str, source: KeySource) {
        // A key that stands outside its section is a likelier mistake than a misspelled section.
        let homeless =
            keys().find(|key| key.name == name).map(|key| format!("{} in [{}]", key.name, key.section));
        let nearest = homeless.or_else(|| nearest(name, sections()).map(|name| format!("[{name}]")));
        self.problems.push(ConfigProblem::Unknown { source, key: format!("[{name}]"), nearest });
    }
}

fn read(file: &Path) -> Result<String, String> {
    let length = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("it has {length} bytes, and a configuration file at most {FILE_BYTES_MAX}"));
    }
    fs::read_to_string(file).map_err(|error| error.to_string())
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

//----------- Names ----------------------------------------------------------

fn sections() -> BTreeSet<&'static str> {
    KEYS.iter().filter_map(|keys| keys.first()).map(|key| key.section).collect()
}

fn is_section(name: &str) -> bool {
    sections().contains(name)
}

/// Whether a variable looks like a key of ours; `IDNODE_TOKEN` and its like belong to the client commands.
fn speaks_of_a_section(variable: &str) -> bool {
    let rest = variable.strip_prefix("IDNODE_").and_then(|rest| rest.split_once('_'));
    rest.is_some_and(|(section, _)| is_section(&section.to_ascii_lowercase()))
}

/// The key that is likely meant. A name that begins with another section, as `tls_key` in `[grpc]`, means a key of that
/// section; otherwise spelling decides.
fn nearest_key(path: &str) -> Option<String> {
    let name = path.split_once('.').map_or(path, |(_, name)| name);
    let misplaced = keys().find(|key| format!("{}_{}", key.section, key.name) == name);
    misplaced.map(|key| key.path()).or_else(|| nearest(path, keys().map(Key::path)))
}
