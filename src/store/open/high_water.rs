//! The high-water file: the last published position of the journal, in a small file.
//!
//! An engine may silently drop the tail of its files (a truncated file opens without an error on sled and fjall). This
//! file, next to the engine's, holds the last durable position and its chained hash; a journal that ends before it, or
//! has another hash there, is detected.
//!
//! It is written after the journal, never before: one disk write, after a delay of [`LAG_MS`] milliseconds. A loss within that
//! time of the end may remain undetected. Two slots are written alternately, so that a torn write leaves the older one intact.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::model::position::Position;
use crate::store::entry::position::{read_position, write_position};
use crate::store::error::Error;
use crate::store::journal::Hash;
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// Delay between a commit and the write of the file, in milliseconds; the disk write comes on top.
pub(in crate::store) const LAG_MS: u64 = 200;

/// The name of the file.
const NAME: &str = "high-water";
const SLOT_BYTES: usize = 128;

/// A durable position, and the chained hash there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct HighWater {
    pub(in crate::store) position: Position,
    pub(in crate::store) chain: Hash,
}

/// The open file.
pub(in crate::store) struct HighWaterFile {
    file: File,
    path: PathBuf,
    next_slot: u8,
}

impl HighWaterFile {
    /// Reads the mark of a data directory without creating the file; none when there is none.
    pub(in crate::store) fn read(directory: &Path) -> Result<Option<HighWater>, Error> {
        let path = directory.join(NAME);
        match fs::read(&path) {
            Ok(bytes) => Ok(latest(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File { action: "cannot read", path, source }),
        }
    }

    /// Opens the file, or creates it when absent, and reads the later of its slots.
    pub(in crate::store) fn open(directory: &Path) -> Result<(Self, Option<HighWater>), Error> {
        let path = directory.join(NAME);
        let failed = |action| {
            let path = path.clone();
            move |source| Error::File { action, path, source }
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed("cannot open"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("cannot read"))?;
        let latest = latest(&bytes);
        let next_slot = u8::from(latest.is_some() && decode(&bytes).ok() == latest);
        Ok((Self { file, path, next_slot }, latest))
    }

    /// Writes a durable position; when this returns, it is on disk.
    pub(in crate::store) fn save(&mut self, mark: &HighWater) -> Result<(), Error> {
        let written = self.write(mark);
        written.map_err(|source| Error::File { action: "cannot write", path: self.path.clone(), source })
    }

    fn write(&mut self, mark: &HighWater) -> io::Result<()> {
        let offset = u64::from(self.next_slot) * 128;
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(&encode(mark))?;
        self.file.sync_data()?;
        self.next_slot = 1 - self.next_slot;
        Ok(())
    }
}

/// The later of the slots that can be decoded.
fn latest(bytes: &[u8]) -> Option<HighWater> {
    let slots = bytes.chunks(SLOT_BYTES).filter_map(|slot| decode(slot).ok());
    slots.max_by_key(|slot| (slot.position.incarnation, slot.position.sequence))
}

fn encode(mark: &HighWater) -> Vec<u8> {
    let mut writer = Writer::with_capacity(SLOT_BYTES);
    write_position(&mut writer, mark.position).raw(&mark.chain);
    let checksum = crc32c::crc32c(writer.as_slice());
    writer.u32(checksum);
    let mut bytes = writer.into_vec();
    bytes.resize(SLOT_BYTES, 0);
    bytes
}

fn decode(slot: &[u8]) -> Result<HighWater, DecodeError> {
    let mut reader = Reader::new(slot);
    let position = read_position(&mut reader)?;
    let chain = reader.array("chain")?;
    let covered = slot.get(..reader.position()).unwrap_or_default();
    if reader.u32("checksum")? != crc32c::crc32c(covered) {
        return Err(reader.refuse("checksum"));
    }
    Ok(HighWater { position, chain })
}

#[cfg(test)]
mod tests {
    use super::{HighWater, HighWaterFile};
    use crate::model::position::{Incarnation, Position, Stream};

    fn mark(sequence: u64) -> HighWater {
        let incarnation = Incarnation([1; 16]);
        HighWater { position: Position { incarnation, stream: Stream::ONLY, sequence }, chain: [9; 32] }
    }

    #[test]
    fn the_latest_mark_reads_back_and_a_torn_slot_leaves_the_one_before() {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut file, found) = HighWaterFile::open(directory.path()).expect("a new file");
        assert_eq!(found, None);
        for sequence in 1..=5 {
            file.save(&mark(sequence)).expect("space on disk");
        }
        let (_, found) = HighWaterFile::open(directory.path()).expect("the file");
        assert_eq!(found, Some(mark(5)));
        let path = directory.path().join("high-water");
        let mut bytes = std::fs::read(&path).expect("the file");
        bytes[3] ^= 1;
        std::fs::write(&path, bytes).expect("space on disk");
        let (mut file, found) = HighWaterFile::open(directory.path()).expect("the file");
        assert_eq!(found, Some(mark(4)));
        file.save(&mark(6)).expect("space on disk");
        let (_, found) = HighWaterFile::open(directory.path()).expect("the file");
        assert_eq!(found, Some(mark(6)));
    }
}
