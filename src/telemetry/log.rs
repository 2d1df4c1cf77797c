//! The log: level, format and destination of its lines.
//!
//! Events of this program are written from the configured level up, those of libraries from warnings up. The level can be
//! changed while the node runs; format and destination cannot.

use core::fmt;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, Layered, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt as text, reload};

use super::journald::Journald;

//----------- LogOptions -----------------------------------------------------

/// Level and format of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOptions {
    /// The lowest level that is written.
    pub level: LogLevel,
    /// The format of a line.
    pub format: LogFormat,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self { level: LogLevel::Info, format: LogFormat::Text }
    }
}

/// Level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// A request or a guarantee has failed.
    Error,
    /// The node recovered; an operator should look.
    Warn,
    /// Events in the life cycle of the node.
    Info,
    /// One line per request.
    Debug,
    /// One line per step.
    Trace,
}

/// Format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object per line, also in journald.
    Json,
}

impl LogLevel {
    fn filter(self) -> Targets {
        let level = match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        };
        Targets::new()
            .with_target("idnode", level)
            .with_default(level.min(LevelFilter::WARN))
            // It warns of each frame by which a client breaks HTTP/2: anybody could fill the log.
            .with_target("h2", level.min(LevelFilter::ERROR))
    }
}

//----------- Destination ----------------------------------------------------

/// Destination of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Standard error, with times.
    StandardError,
    /// journald, which adds the times itself.
    Journald,
}

impl Destination {
    /// Decides by `JOURNAL_STREAM`, which systemd sets to device and inode of the stream that it passed. When standard
    /// error is another file, it was redirected, and the lines go there.
    pub fn detect(journal_stream: Option<&str>) -> Self {
        let stream = journal_stream.and_then(|text| text.split_once(':'));
        let stated = stream.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
        let actual = std::fs::metadata("/proc/self/fd/2").ok().map(|file| (file.dev(), file.ino()));
        if stated.is_some() && stated == actual { Self::Journald } else { Self::StandardError }
    }
}

//----------- Start ----------------------------------------------------------

/// Changes the level while the node runs.
#[derive(Clone)]
pub struct LogControl {
    filter: reload::Handle<Targets, Registry>,
}

impl LogControl {
    /// Writes from this level up from now on.
    pub fn set_level(&self, level: LogLevel) {
        // This fails only when the log itself is gone, and then an error could not be logged either.
        let _gone = self.filter.reload(level.filter());
    }
}

/// The filter that decides whether a line is written; the writer is a layer on top of it.
type Filtered = Layered<reload::Layer<Targets, Registry>, Registry>;
type Lines = Box<dyn Layer<Filtered> + Send + Sync>;

/// Starts the log of this process. Once only.
pub fn start(options: &LogOptions, destination: Destination) -> Result<LogControl, LogError> {
    let (filter, handle) = reload::Layer::new(options.level.filter());
    let stack = tracing_subscriber::registry().with(filter).with(lines(options.format, destination));
    stack.try_init().map_err(|source| LogError { reason: source.to_string() })?;
    Ok(LogControl { filter: handle })
}

fn lines(format: LogFormat, destination: Destination) -> Lines {
    if destination == Destination::Journald {
        match (Journald::connect(), format) {
            (Ok(journald), LogFormat::Text) => return Box::new(journald),
            (Ok(journald), LogFormat::Json) => return Box::new(json_lines(journald)),
            // The stream on standard error still reaches it, one line per event.
            (Err(_), LogFormat::Text) => {
                return Box::new(text::layer().with_writer(io::stderr).with_ansi(false).without_time());
            }
            (Err(_), LogFormat::Json) => {}
        }
    }
    match format {
        LogFormat::Json => Box::new(json_lines(io::stderr)),
        LogFormat::Text => {
            let colors = io::stderr().is_terminal();
            Box::new(text::layer().with_writer(io::stderr).with_ansi(colors).with_target(false))
        }
    }
}

/// One JSON object per event.
pub(super) fn json_lines<S, W>(writer: W) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    text::layer().json().flatten_event(true).with_writer(writer)
}

/// The log was started already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    reason: String,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start the log: {}", self.reason)
    }
}

impl core::error::Error for LogError {}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::{Destination, LogLevel};

    #[test]
    fn libraries_are_heard_from_warnings_up() {
        let filter = LogLevel::Debug.filter();
        assert!(filter.would_enable("idnode::daemon", &Level::DEBUG));
        assert!(!filter.would_enable("idnode::daemon", &Level::TRACE));
        assert!(filter.would_enable("hyper", &Level::WARN));
        assert!(!filter.would_enable("hyper", &Level::INFO));
        assert!(!LogLevel::Error.filter().would_enable("hyper", &Level::WARN));
        assert!(filter.would_enable("h2::proto", &Level::ERROR));
        assert!(!filter.would_enable("h2::proto", &Level::WARN));
    }

    #[test]
    fn a_redirected_standard_error_is_not_journald() {
        assert_eq!(Destination::detect(None), Destination::StandardError);
        assert_eq!(Destination::detect(Some("1:2")), Destination::StandardError);
        assert_eq!(Destination::detect(Some("nonsense")), Destination::StandardError);
    }
}
