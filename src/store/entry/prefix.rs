//! Prefixes: their present states. The key is the canonical prefix.
//!
//! ```text
//!   body        prefix entry · sequence of the last change
//!   version 1   version · changed · prefix · status · homing [· site] · registrant? · filing?
//!   version 2   homing = 2 (1) · site · key (bytes) in place of homing = 1 (1) · site
//!   version 3   status = 3 (1) in place of status = 1 (1), and with a filing
//! ```
//! Version 2 is written only for a delegation to a site with a key, version 3 only for a prefix that an administrator of this
//! node has suspended over a filing, so that all other entries stay readable for programs that know the versions before. Those
//! refuse the homing 2 or the status 3 and read nothing else from the entry. In their form a suspension by an administrator has
//! no filing, so that nothing tells who filed the prefix.

use super::change::Recorded;
use super::position::{read_position, write_position};
use super::state::State;
use super::{Change, Entry, EntryKey, EntryKind, Readable};
use crate::model::identifier::{Folding, Prefix};
use crate::model::limits::{PREFIX_BYTES_MAX, SITE_ADDRESSES_MAX, SITE_KEY_BYTES_MAX, TEXT_BYTES_MAX};
use crate::model::prefix::{CreditCode, FilingMark, Homing, PrefixEntry, PrefixStatus, Registrant};
use crate::model::site::{Ports, Site};
use crate::model::token::TokenId;
use crate::store::directory::Directory;
use crate::store::engine::StoredAs;
use crate::store::error::Unreadable;
use crate::store::journal::{Header, Subject};
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// The homing of a prefix that is delegated to a site with a key: version 2.
const WITH_KEY: u8 = 2;
/// The status of a prefix that an administrator of this node has suspended, while it stays that of the lower node of its
/// filing: version 3.
const OVERRULED: u8 = 3;

//----------- PrefixState ----------------------------------------------------

/// The state of a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct PrefixState {
    /// The prefix with all that is known of it.
    pub(in crate::store) entry: PrefixEntry,
    /// Sequence of the last change.
    pub(in crate::store) sequence: u64,
}

/// A prefix in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct CanonicalPrefix(pub(in crate::store) String);

impl CanonicalPrefix {
    /// The canonical form of a prefix.
    pub(in crate::store) fn of(prefix: &Prefix) -> Self {
        Self(prefix.canonical())
    }
}

impl EntryKey for CanonicalPrefix {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }
}

impl Readable for PrefixState {
    type Key = CanonicalPrefix;
    const KIND: EntryKind = EntryKind::Prefix;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(body);
        let state = Self { entry: read_prefix(&mut reader)?, sequence: reader.u64("sequence")? };
        reader.finish("prefix state")?;
        Ok(state)
    }
}

impl Entry for PrefixState {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        write_prefix(&mut writer, &self.entry);
        writer.u64(self.sequence);
        writer.into_vec()
    }
}

impl Recorded for PrefixEntry {
    const CODE: u8 = 2;

    fn write(&self, writer: &mut Writer) {
        write_prefix(writer, self);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        read_prefix(reader)
    }

    fn subject(&self, _folding: Folding) -> Subject {
        Subject::Prefix(self.prefix.canonical())
    }
}

impl State for PrefixState {
    const IS_HELD: bool = true;

    fn after(header: &Header, change: Change) -> Result<Self, Change> {
        let Change::Prefix(entry) = change else { return Err(change) };
        let entry = PrefixEntry { version: header.version, changed_ms: header.time_ms, ..entry };
        Ok(Self { entry, sequence: header.position.sequence })
    }

    fn record_again(self) -> Change {
        Change::Prefix(self.entry)
    }

    fn key(&self, _folding: Folding) -> CanonicalPrefix {
        CanonicalPrefix::of(&self.entry.prefix)
    }

    fn key_of(subject: &Subject) -> Option<CanonicalPrefix> {
        let Subject::Prefix(canonical) = subject else { return None };
        Some(CanonicalPrefix(canonical.clone()))
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
        directory.put_prefix(self.entry, self.sequence);
    }
}

//----------- Stored forms ---------------------------------------------------

/// Writes a prefix entry.
fn write_prefix(writer: &mut Writer, entry: &PrefixEntry) {
    writer.u64(entry.version).u64(entry.changed_ms).text(entry.prefix.as_str());
    writer.u8(match entry.status {
        PrefixStatus::Suspended if entry.filing.is_some_and(|mark| mark.is_overruled) => OVERRULED,
        PrefixStatus::Active => 0,
        PrefixStatus::Suspended => 1,
        PrefixStatus::Revoked => 2,
    });
    match &entry.homing {
        Homing::Here => writer.u8(0),
        Homing::Delegated(site) => match site.public_key() {
            None => write_site(writer.u8(1), site),
            Some(key) => write_site(writer.u8(WITH_KEY), site).bytes(key),
        },
    };
    match &entry.registrant {
        None => writer.u8(0),
        Some(registrant) => {
            let code = registrant.credit_code().map_or("", CreditCode::as_str);
            writer.u8(1).text(registrant.name()).text(code).text(registrant.contact())
        }
    };
    match &entry.filing {
        None => writer.u8(0),
        Some(mark) => write_position(writer.u8(1).raw(&mark.peer.0), mark.position),
    };
}

/// Reads a prefix entry.
fn read_prefix(reader: &mut Reader<'_>) -> Result<PrefixEntry, DecodeError> {
    let version = reader.u64("version")?;
    let changed_ms = reader.u64("changed")?;
    let prefix = read_prefix_name(reader)?;
    let status = reader.u8("status")?;
    let is_overruled = status == OVERRULED;
    let status = match status {
        0 => PrefixStatus::Active,
        1 | OVERRULED => PrefixStatus::Suspended,
        2 => PrefixStatus::Revoked,
        _ => return Err(reader.refuse("status")),
    };
    let homing = match reader.u8("homing")? {
        0 => Homing::Here,
        1 => Homing::Delegated(read_site(reader)?),
        WITH_KEY => Homing::Delegated(read_site_with_key(reader)?),
        _ => return Err(reader.refuse("homing")),
    };
    let registrant = (reader.u8("registrant")? == 1).then(|| read_registrant(reader)).transpose()?;
    let filed = reader.u8("filing")? == 1;
    if is_overruled && !filed {
        return Err(reader.refuse("filing"));
    }
    let filing = filed.then(|| read_filing(reader)).transpose()?;
    let filing = filing.map(|mark| FilingMark { is_overruled, ..mark });
    Ok(PrefixEntry { prefix, homing, status, registrant, filing, version, changed_ms })
}

/// Reads the name of a prefix.
pub(super) fn read_prefix_name(reader: &mut Reader<'_>) -> Result<Prefix, DecodeError> {
    let text = reader.text("prefix", PREFIX_BYTES_MAX)?;
    Prefix::parse(text).map_err(|_| reader.refuse("prefix"))
}

fn read_registrant(reader: &mut Reader<'_>) -> Result<Registrant, DecodeError> {
    let name = reader.text("registrant name", TEXT_BYTES_MAX)?;
    let code = reader.text("credit code", 18)?;
    let contact = reader.text("registrant contact", TEXT_BYTES_MAX)?;
    let code = (!code.is_empty()).then(|| CreditCode::parse(code)).transpose();
    let code = code.map_err(|_| reader.refuse("credit code"))?;
    Registrant::new(name, code, contact).map_err(|_| reader.refuse("registrant"))
}

fn read_filing(reader: &mut Reader<'_>) -> Result<FilingMark, DecodeError> {
    let peer = TokenId(reader.array("peer")?);
    Ok(FilingMark { peer, position: read_position(reader)?, is_overruled: false })
}

/// Writes a site without its key.
fn write_site<'w>(writer: &'w mut Writer, site: &Site) -> &'w mut Writer {
    writer.count(site.addresses().len());
    for address in site.addresses() {
        writer.text(&address.to_string());
    }
    writer.text(site.host_name().unwrap_or(""));
    let ports = site.ports();
    for port in [ports.grpc, ports.dns, ports.handle, ports.http] {
        writer.u16(port.unwrap_or(0));
    }
    writer
}

/// Reads a site without a key.
fn read_site(reader: &mut Reader<'_>) -> Result<Site, DecodeError> {
    let count = reader.count("addresses", SITE_ADDRESSES_MAX, 4)?;
    let mut addresses = Vec::with_capacity(count);
    for _ in 0..count {
        let text = reader.text("address", 64)?;
        addresses.push(text.parse().map_err(|_| reader.refuse("address"))?);
    }
    let host_name = reader.text("host name", 253)?;
    let mut port = || reader.u16("port").map(|port| (port != 0).then_some(port));
    let ports = Ports { grpc: port()?, dns: port()?, handle: port()?, http: port()? };
    let host_name = (!host_name.is_empty()).then_some(host_name);
    Site::new(addresses, host_name, ports).map_err(|_| reader.refuse("site"))
}

/// Reads a site and its key: version 2.
fn read_site_with_key(reader: &mut Reader<'_>) -> Result<Site, DecodeError> {
    let site = read_site(reader)?;
    let key = reader.bytes("site key", SITE_KEY_BYTES_MAX)?;
    site.with_public_key(key).map_err(|_| reader.refuse("site key"))
}

#[cfg(test)]
mod tests;
