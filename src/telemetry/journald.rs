//! Events as journald entries with structured fields (systemd.io, "Native Journal Protocol").
//!
//! One event is one datagram: `MESSAGE`, `PRIORITY`, `SYSLOG_IDENTIFIER`, `TARGET`, and `IDNODE_…` for every field of
//! the event. `journalctl` shows only `MESSAGE`, so that the fields are in it as well: `listening address=127.0.0.1:53`.
//! With the format JSON, `MESSAGE` is the object that standard error would get. A datagram that journald does not take at
//! once is dropped: a node never waits for its log.

use core::fmt;
use core::fmt::Write;
use std::borrow::Cow;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer};

/// Socket of journald.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Bytes of one field's value that are sent.
const FIELD_BYTES_MAX: usize = 16 * 1024;

/// Fields that repeat another one under an older name, for programs that read it; people see one of them.
const REPEATED: [&str; 1] = ["door"];

/// Sends events to journald.
#[derive(Clone, Debug)]
pub(super) struct Journald {
    socket: Arc<UnixDatagram>,
}

impl Journald {
    /// Connects to the journald of this machine.
    pub(super) fn connect() -> io::Result<Self> {
        Self::connect_to(Path::new(SOCKET))
    }

    fn connect_to(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect(path)?;
        Ok(Self { socket: Arc::new(socket) })
    }

    fn send(&self, entry: &Entry) {
        // A failure to write the log cannot be logged.
        let _dropped = self.socket.send(&entry.bytes);
    }
}

impl<S: Subscriber> Layer<S> for Journald {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut entry = Entry::of(event.metadata());
        event.record(&mut entry);
        let message = format!("{}{}", entry.message, entry.fields);
        entry.field("MESSAGE", message.trim_start());
        self.send(&entry);
    }
}

/// The syslog priority of a level.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// Text of a field in the message, without control characters: `journalctl` shows no message that has any. They may come from a
/// client or a peer.
fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

//----------- Entry ----------------------------------------------------------

/// A journald entry being written.
struct Entry {
    bytes: Vec<u8>,
    /// The event's own message.
    message: String,
    /// Its other fields, each as ` name=value`.
    fields: String,
}

impl Entry {
    fn of(metadata: &Metadata<'_>) -> Self {
        let mut entry =
            Self { bytes: Vec::with_capacity(512), message: String::new(), fields: String::new() };
        entry.field("PRIORITY", priority(*metadata.level()));
        entry.field("SYSLOG_IDENTIFIER", "idnode");
        entry.field("TARGET", metadata.target());
        entry
    }

    /// Writes a field in the form that allows any value: name, length in eight bytes (little-endian), value.
    fn field(&mut self, name: &str, value: &str) {
        let cut = value.floor_char_boundary(FIELD_BYTES_MAX);
        let value = value.get(..cut).unwrap_or(value);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(b'\n');
        let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(b'\n');
    }

    fn event_field(&mut self, field: &Field, value: &str, shown: fmt::Arguments<'_>) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
            return;
        }
        if !REPEATED.contains(&field.name()) {
            // Writing to a String does not fail.
            let _written = write!(self.fields, " {}={}", field.name(), printable(&shown.to_string()));
        }
        let mut name = String::from("IDNODE_");
        name.extend(
            field
                .name()
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }),
        );
        self.field(&name, value);
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.event_field(field, value, format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        self.event_field(field, &text, format_args!("{text}"));
    }
}

//----------- Line -----------------------------------------------------------

impl<'a> MakeWriter<'a> for Journald {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { journald: self, entry: None, text: Vec::new() }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line { journald: self, entry: Some(Entry::of(metadata)), text: Vec::new() }
    }
}

/// A line that was formatted elsewhere; it is sent as one entry when it is dropped.
pub(super) struct Line<'a> {
    journald: &'a Journald,
    entry: Option<Entry>,
    text: Vec<u8>,
}

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if let Some(entry) = &mut self.entry {
            entry.field("MESSAGE", String::from_utf8_lossy(&self.text).trim_end());
            self.journald.send(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use tempfile::TempDir;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Layer, Registry};

    use super::Journald;

    /// A journald of this test, and what it receives.
    struct Received {
        receiver: UnixDatagram,
        _directory: TempDir,
    }

    impl Received {
        /// The entry of the event that `log` makes.
        fn entry<L: Layer<Registry> + Send + Sync>(
            layer: impl FnOnce(Journald) -> L,
            log: impl FnOnce(),
        ) -> Vec<u8> {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("socket");
            let received =
                Self { receiver: UnixDatagram::bind(&path).expect("a socket"), _directory: directory };
            let journald = Journald::connect_to(&path).expect("connected");
            let subscriber = tracing_subscriber::registry().with(layer(journald));
            tracing::subscriber::with_default(subscriber, log);
            let mut buffer = vec![0; 2_048];
            let length = received.receiver.recv(&mut buffer).expect("a datagram");
            buffer.truncate(length);
            buffer
        }
    }

    fn field(name: &str, value: &str) -> Vec<u8> {
        let mut bytes = format!("{name}\n").into_bytes();
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        bytes.extend_from_slice(format!("{value}\n").as_bytes());
        bytes
    }

    #[test]
    fn an_event_arrives_with_its_fields_also_in_its_message() {
        let entry = Received::entry(
            |journald| journald,
            || {
                tracing::warn!(address = %"127.0.0.1:53", cause = "a b", waited_ms = 7, "two\nlines");
            },
        );
        let expected = [
            field("PRIORITY", "4"),
            field("SYSLOG_IDENTIFIER", "idnode"),
            field("TARGET", "idnode::telemetry::journald::tests"),
            field("IDNODE_ADDRESS", "127.0.0.1:53"),
            field("IDNODE_CAUSE", "a b"),
            field("IDNODE_WAITED_MS", "7"),
            field("MESSAGE", "two\nlines address=127.0.0.1:53 cause=\"a b\" waited_ms=7"),
        ];
        assert_eq!(String::from_utf8_lossy(&entry), String::from_utf8_lossy(&expected.concat()));
    }

    #[test]
    fn control_characters_in_a_field_do_not_hide_the_message() {
        let entry =
            Received::entry(|journald| journald, || tracing::warn!(peer = %"no\u{1b}[1m\nanswer", "asked"));
        let entry = String::from_utf8_lossy(&entry).into_owned();
        assert!(entry.ends_with("asked peer=no\\u{1b}[1m\\nanswer\n"), "{entry:?}");
        assert!(entry.contains("no\u{1b}[1m\nanswer\n"), "the field has its exact value: {entry:?}");
    }

    #[test]
    fn a_line_of_json_is_the_message_where_json_is_asked_for() {
        let entry = Received::entry(crate::telemetry::log::json_lines, || {
            tracing::error!(address = %"127.0.0.1:53", "listening");
        });
        let entry = String::from_utf8_lossy(&entry).into_owned();
        assert!(entry.starts_with("PRIORITY\n\u{1}\0\0\0\0\0\0\x003\n"), "{entry:?}");
        let (_, message) = entry.split_once("MESSAGE\n").expect("a message");
        let (start, end) = (message.find('{').expect("JSON"), message.rfind('}').expect("JSON"));
        let json: serde_json::Value =
            serde_json::from_str(message.get(start..=end).expect("JSON")).expect("JSON");
        assert_eq!((&json["message"], &json["address"]), (&"listening".into(), &"127.0.0.1:53".into()));
        assert_eq!(json["level"], "ERROR");
    }
}
