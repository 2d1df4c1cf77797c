//! Notes of operators on prefixes: their present states, tombstones included. The key is the canonical prefix.
//!
//! ```text
//!   body   form = 1 (1) · version · changed · prefix · text (empty: a tombstone) · sequence of the last change
//! ```
//! Releases before this kind refuse a journal entry about a note, and a backup that holds one: they say that the store is damaged,
//! and change nothing in it. A store without notes has an empty table, and its backups do not name the kind, so that those releases
//! open the store and restore the backups.

use super::change::Recorded;
use super::prefix::{CanonicalPrefix, read_prefix_name};
use super::state::State;
use super::{Change, Entry, EntryKind, Readable};
use crate::model::identifier::Folding;
use crate::model::limits::NOTE_BYTES_MAX;
use crate::model::prefix::{NoteText, PrefixNote};
use crate::store::directory::Directory;
use crate::store::engine::StoredAs;
use crate::store::error::Unreadable;
use crate::store::journal::{Header, Subject};
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// The form that is written today.
const FORM: u8 = 1;

//----------- NoteState ------------------------------------------------------

/// The state of a note, tombstones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct NoteState {
    /// The note; without a text, a tombstone.
    pub(in crate::store) note: PrefixNote,
    /// Sequence of the last change.
    pub(in crate::store) sequence: u64,
}

impl Readable for NoteState {
    type Key = CanonicalPrefix;
    const KIND: EntryKind = EntryKind::Note;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(body);
        let state = Self { note: read_note(&mut reader)?, sequence: reader.u64("sequence")? };
        reader.finish("note state")?;
        Ok(state)
    }
}

impl Entry for NoteState {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        write_note(&mut writer, &self.note);
        writer.u64(self.sequence);
        writer.into_vec()
    }
}

impl Recorded for PrefixNote {
    const CODE: u8 = 5;

    fn write(&self, writer: &mut Writer) {
        write_note(writer, self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_note(reader)
    }

    fn subject(&self, _folding: Folding) -> Subject {
        Subject::Note(self.prefix.canonical())
    }
}

impl State for NoteState {
    const IS_HELD: bool = true;

    fn after(header: &Header, change: Change) -> Result<Self, Change> {
        let Change::Note(note) = change else { return Err(change) };
        let note = PrefixNote { version: header.version, changed_ms: header.time_ms, ..note };
        Ok(Self { note, sequence: header.position.sequence })
    }

    fn record_again(self) -> Change {
        Change::Note(self.note)
    }

    fn key(&self, _folding: Folding) -> CanonicalPrefix {
        CanonicalPrefix::of(&self.note.prefix)
    }

    fn key_of(subject: &Subject) -> Option<CanonicalPrefix> {
        let Subject::Note(canonical) = subject else { return None };
        Some(CanonicalPrefix(canonical.clone()))
    }

    fn subject(&self, folding: Folding) -> Subject {
        self.note.subject(folding)
    }

    fn version(&self) -> u64 {
        self.note.version
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn hold(self, directory: &mut Directory) {
        directory.put_note(self.note, self.sequence);
    }
}

//----------- Version 1 ------------------------------------------------------

/// Writes a note.
fn write_note(writer: &mut Writer, note: &PrefixNote) {
    writer.u8(FORM).u64(note.version).u64(note.changed_ms);
    writer.text(note.prefix.as_str()).text(note.text.as_str());
}

/// Reads a note.
fn read_note(reader: &mut Reader<'_>) -> Result<PrefixNote, DecodeError> {
    if reader.u8("note form")? != FORM {
        return Err(reader.refuse("note form"));
    }
    let version = reader.u64("version")?;
    let changed_ms = reader.u64("changed")?;
    let prefix = read_prefix_name(reader)?;
    let text = reader.text("note", NOTE_BYTES_MAX)?;
    let text = NoteText::new(text).map_err(|_| reader.refuse("note"))?;
    Ok(PrefixNote { prefix, text, version, changed_ms })
}

#[cfg(test)]
mod tests {
    use super::{NoteState, read_note, write_note};
    use crate::model::identifier::{Folding, Prefix};
    use crate::model::limits::NOTE_BYTES_MAX;
    use crate::model::prefix::{NoteText, PrefixNote};
    use crate::store::engine::StoredAs;
    use crate::store::entry::state::State as _;
    use crate::store::entry::{Change, Entry as _, EntryKey as _, Readable as _};
    use crate::wire::cursor::{Reader, Writer};

    fn state(text: &str) -> NoteState {
        let (prefix, text) =
            (Prefix::parse("88.Ab").expect("a prefix"), NoteText::new(text).expect("a text"));
        NoteState { note: PrefixNote { prefix, text, version: 3, changed_ms: 4 }, sequence: 7 }
    }

    #[test]
    fn a_note_and_its_tombstone_have_the_bytes_of_version_1() {
        let begin = "01 0000000000000003 0000000000000004 00000005 38382e4162";
        let forms = [("Mrs 李", "00000007 4d727320e69d8e"), ("", "00000000")];
        for (text, encoded) in forms {
            let state = state(text);
            let bytes = state.encode();
            let expected = format!("{begin} {encoded} 0000000000000007").replace(' ', "");
            assert_eq!(data_encoding::HEXLOWER.encode(&bytes), expected);
            let key = state.key(Folding::Insensitive).to_bytes();
            assert_eq!(key, b"88.ab", "the canonical prefix");
            let decoded = NoteState::decode(&key, &bytes, StoredAs::default()).expect("it decodes");
            assert_eq!(decoded, state);
            for length in 0..bytes.len() {
                let cut = NoteState::decode(&key, &bytes[..length], StoredAs::default());
                assert!(cut.is_err(), "{length} bytes");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(NoteState::decode(&key, &longer, StoredAs::default()).is_err());
        }
    }

    #[test]
    fn a_change_of_a_note_has_its_own_code_and_is_read_back() {
        let change = Change::Note(state("x").note);
        let mut writer = Writer::default();
        change.write(&mut writer);
        let bytes = writer.into_vec();
        let expected = "05 01 0000000000000003 0000000000000004 00000005 38382e4162 00000001 78";
        assert_eq!(data_encoding::HEXLOWER.encode(&bytes), expected.replace(' ', ""));
        assert_eq!(Change::read(&mut Reader::new(&bytes)), Ok(change));
    }

    #[test]
    fn another_form_and_a_longer_text_are_refused() {
        let mut writer = Writer::default();
        write_note(&mut writer, &state("x").note);
        let mut bytes = writer.into_vec();
        bytes[0] = 2;
        assert_eq!(read_note(&mut Reader::new(&bytes)).expect_err("another form").what, "note form");
        let mut writer = Writer::default();
        writer.u8(1).u64(3).u64(4).text("88.Ab").text(&"x".repeat(NOTE_BYTES_MAX + 1));
        let error = read_note(&mut Reader::new(&writer.into_vec())).expect_err("too long");
        assert_eq!(error.what, "note");
    }
}
