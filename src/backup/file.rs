//! Small files of the data directory that a backup holds beside the store: the server key.

use core::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use crate::wire::cursor::{DecodeError, Reader, Writer};

/// Longest name in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Longest file in bytes.
const CONTENT_BYTES_MAX: usize = 64 * 1024;

/// A small file of the data directory, to be backed up.
#[derive(Clone, PartialEq, Eq)]
pub struct BackedUpFile {
    /// Name in the data directory: letters, digits, `-` and `.`.
    pub name: &'static str,
    /// Content of the file, at most 64 KiB; secret.
    pub content: Arc<[u8]>,
}

/// Omits the content, which may be a key.
impl fmt::Debug for BackedUpFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackedUpFile({}, {} bytes)", self.name, self.content.len())
    }
}

impl BackedUpFile {
    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.text(self.name).bytes(&self.content);
    }
}

/// A small file that was read back from a backup.
#[derive(PartialEq, Eq)]
pub(super) struct RestoredFile {
    name: String,
    content: Vec<u8>,
}

/// Omits the content, which may be a key.
impl fmt::Debug for RestoredFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RestoredFile({}, {} bytes)", self.name, self.content.len())
    }
}

impl RestoredFile {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let wrong = reader.refuse("file name");
        let name = reader.text("file name", NAME_BYTES_MAX)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(wrong);
        }
        let content = reader.bytes("file content", CONTENT_BYTES_MAX)?.to_vec();
        Ok(Self { name: name.to_owned(), content })
    }

    /// Writes the file into a directory, with mode 0600; when this returns, its bytes are on disk.
    pub(super) fn put(&self, directory: &Path) -> io::Result<()> {
        let path = directory.join(&self.name);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&self.content)?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::{BackedUpFile, RestoredFile};
    use crate::wire::cursor::{Reader, Writer};

    #[test]
    fn a_file_that_would_leave_the_directory_is_refused() {
        for (name, is_valid) in [("server-key.pem", true), ("../server-key.pem", false), (".lock", false)] {
            let mut writer = Writer::default();
            BackedUpFile { name, content: b"key"[..].into() }.encode(&mut writer);
            let decoded = RestoredFile::decode(&mut Reader::new(writer.as_slice()));
            assert_eq!(decoded.is_ok(), is_valid, "{name}: {decoded:?}");
        }
    }
}
