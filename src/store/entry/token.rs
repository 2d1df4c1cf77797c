//! Tokens of callers: their present states. The key is the id of the token.
//!
//! ```text
//!   body   version · id · hash of the secret · label · created · expires · revoked · scopes · sequence of the last change
//! ```

use super::change::Recorded;
use super::prefix::read_prefix_name;
use super::state::State;
use super::{Change, Entry, EntryKey, EntryKind, Readable};
use crate::model::identifier::{Folding, Prefix};
use crate::model::limits::{SCOPE_PREFIXES_MAX, SCOPES_MAX, TEXT_BYTES_MAX};
use crate::model::token::{Scope, TokenEntry, TokenId};
use crate::store::directory::Directory;
use crate::store::engine::StoredAs;
use crate::store::error::Unreadable;
use crate::store::journal::{Header, Subject};
use crate::wire::cursor::{DecodeError, Reader, Writer};

//----------- TokenState -----------------------------------------------------

/// The state of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct TokenState {
    /// The token.
    pub(in crate::store) entry: TokenEntry,
    /// Sequence of the last change.
    pub(in crate::store) sequence: u64,
}

impl EntryKey for TokenId {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.to_vec()
    }
}

impl Readable for TokenState {
    type Key = TokenId;
    const KIND: EntryKind = EntryKind::Token;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(body);
        let state = Self { entry: read_token(&mut reader)?, sequence: reader.u64("sequence")? };
        reader.finish("token state")?;
        Ok(state)
    }
}

impl Entry for TokenState {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        write_token(&mut writer, &self.entry);
        writer.u64(self.sequence);
        writer.into_vec()
    }
}

impl Recorded for TokenEntry {
    const CODE: u8 = 3;

    fn write(&self, writer: &mut Writer) {
        write_token(writer, self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_token(reader)
    }

    fn subject(&self, _folding: Folding) -> Subject {
        Subject::Token(self.id)
    }
}

impl State for TokenState {
    const IS_HELD: bool = true;

    fn after(header: &Header, change: Change) -> Result<Self, Change> {
        let Change::Token(entry) = change else { return Err(change) };
        let entry = TokenEntry { version: header.version, ..entry };
        Ok(Self { entry, sequence: header.position.sequence })
    }

    fn record_again(self) -> Change {
        Change::Token(self.entry)
    }

    fn key(&self, _folding: Folding) -> TokenId {
        self.entry.id
    }

    fn key_of(subject: &Subject) -> Option<TokenId> {
        let Subject::Token(id) = subject else { return None };
        Some(*id)
    }

    fn subject(&self, folding: Folding) -> Subject {
        self.entry.subject(folding)
    }

    fn version(&self) -> u64 {
        self.entry.version
    }

    fn sequence(&self) -> u64 {
        self.sequence
    }

    fn hold(self, directory: &mut Directory) {
        directory.put_token(self.entry, self.sequence);
    }
}

//----------- Version 1 ------------------------------------------------------

/// Writes a token entry.
fn write_token(writer: &mut Writer, entry: &TokenEntry) {
    writer.u64(entry.version).raw(&entry.id.0).raw(&entry.secret_hash).text(&entry.label);
    writer.u64(entry.created_ms).u64(entry.expires_ms.unwrap_or(0)).u64(entry.revoked_ms.unwrap_or(0));
    writer.count(entry.scopes.len());
    for scope in &entry.scopes {
        let (code, prefixes): (u8, &[Prefix]) = match scope {
            Scope::Admin => (0, &[]),
            Scope::Registrar(prefixes) => (1, prefixes),
            Scope::Reader(prefixes) => (2, prefixes),
            Scope::Peer(prefixes) => (3, prefixes),
        };
        writer.u8(code).count(prefixes.len());
        for prefix in prefixes {
            writer.text(prefix.as_str());
        }
    }
}

/// Reads a token entry.
fn read_token(reader: &mut Reader<'_>) -> Result<TokenEntry, DecodeError> {
    let version = reader.u64("version")?;
    let id = TokenId(reader.array("token id")?);
    let secret_hash = reader.array("secret hash")?;
    let label = reader.text("label", TEXT_BYTES_MAX)?.to_owned();
    let created_ms = reader.u64("created")?;
    let mut time = |what| reader.u64(what).map(|ms| (ms != 0).then_some(ms));
    let expires_ms = time("expires")?;
    let revoked_ms = time("revoked")?;
    let count = reader.count("scopes", SCOPES_MAX, 5)?;
    let scopes = (0..count).map(|_| read_scope(reader)).collect::<Result<Vec<_>, _>>()?;
    Ok(TokenEntry { id, secret_hash, label, scopes, created_ms, expires_ms, revoked_ms, version })
}

fn read_scope(reader: &mut Reader<'_>) -> Result<Scope, DecodeError> {
    let code = reader.u8("scope")?;
    let count = reader.count("scope prefixes", SCOPE_PREFIXES_MAX, 4)?;
    let prefixes = (0..count).map(|_| read_prefix_name(reader)).collect::<Result<Vec<_>, _>>()?;
    match code {
        0 => Ok(Scope::Admin),
        1 => Ok(Scope::Registrar(prefixes)),
        2 => Ok(Scope::Reader(prefixes)),
        3 => Ok(Scope::Peer(prefixes)),
        _ => Err(reader.refuse("scope")),
    }
}
