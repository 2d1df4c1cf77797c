//! Events as journald entries with structured fields (systemd.io, "Native Journal Protocol").
//!
//! One event is one datagram: `MESSAGE`, `PRIORITY`, `SYSLOG_IDENTIFIER`, `TARGET`, and `IDNODE_…` for every field of
//! the event. A datagram that journald does not take at once is dropped: a node never waits for its log.

use core::fmt;
use core::fmt::Write;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Socket of journald.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Bytes of one field's value that are sent.
const FIELD_BYTES_MAX: usize = 16 * 1024;

/// Sends events to journald.
#[derive(Debug)]
pub(super) struct Journald {
    socket: UnixDatagram,
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
        Ok(Self { socket })
    }
}

impl<S: Subscriber> Layer<S> for Journald {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut entry = Entry { bytes: Vec::with_capacity(512) };
        entry.field("PRIORITY", priority(*metadata.level()));
        entry.field("SYSLOG_IDENTIFIER", "idnode");
        entry.field("TARGET", metadata.target());
        event.record(&mut entry);
        // A failure to write the log cannot be logged.
        let _dropped = self.socket.send(&entry.bytes);
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

//----------- Entry ----------------------------------------------------------

/// A journald entry being written.
struct Entry {
    bytes: Vec<u8>,
}

impl Entry {
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

    fn event_field(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            return self.field("MESSAGE", value);
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
        self.event_field(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        if write!(text, "{value:?}").is_ok() {
            self.event_field(field, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use tracing_subscriber::layer::SubscriberExt;

    use super::Journald;

    #[test]
    fn an_event_arrives_with_its_fields() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let receiver = UnixDatagram::bind(&path).expect("a socket");
        let journald = Journald::connect_to(&path).expect("connected");
        let subscriber = tracing_subscriber::registry().with(journald);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(address = %"127.0.0.1:53", waited_ms = 7, "two\nlines");
        });
        let mut buffer = [0; 2_048];
        let length = receiver.recv(&mut buffer).expect("a datagram");
        let field = |name: &str, value: &str| {
            let mut bytes = format!("{name}\n").into_bytes();
            bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
            bytes.extend_from_slice(format!("{value}\n").as_bytes());
            bytes
        };
        let expected = [
            field("PRIORITY", "4"),
            field("SYSLOG_IDENTIFIER", "idnode"),
            field("TARGET", "idnode::telemetry::journald::tests"),
            field("MESSAGE", "two\nlines"),
            field("IDNODE_ADDRESS", "127.0.0.1:53"),
            field("IDNODE_WAITED_MS", "7"),
        ];
        assert_eq!(buffer[..length], expected.concat());
    }
}
