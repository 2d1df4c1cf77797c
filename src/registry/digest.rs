//! The digest of a command's content, which distinguishes a repeated request from a reused request id. It is stable
//! across releases, because ids are remembered for days.

use sha2::{Digest as _, Sha256};

use crate::model::caller::CallerName;
use crate::model::prefix::{CreditCode, PrefixStatus, Registrant};
use crate::model::request::RequestId;
use crate::model::site::Site;
use crate::model::token::Scope;
use crate::model::value::{Ttl, Value};
use crate::store::entry::RequestKey;
use crate::wire::cursor::Writer;

use super::command::{Command, Existing, Item, Precondition, PrefixCommand, Target, TokenCommand};

/// A request of one caller, under which the items of its batches are remembered.
#[derive(Clone, Copy)]
pub(super) struct RequestOfCaller {
    request: RequestId,
    caller: [u8; 16],
}

impl RequestOfCaller {
    pub(super) fn new(request: RequestId, caller_name: &CallerName) -> Self {
        Self { request, caller: caller(caller_name) }
    }

    /// The key under which an item is remembered, and the digest of its content.
    pub(super) fn remembered(self, item: &Item) -> (RequestKey, [u8; 16]) {
        let key = RequestKey { request: self.request, caller: self.caller, item: item.number };
        (key, content(&item.command))
    }
}

/// SHA-256 of a command's content, cut to 16 bytes.
fn content(command: &Command) -> [u8; 16] {
    let mut writer = Writer::with_capacity(256);
    match command {
        Command::Register(register) => {
            writer.u8(1).u8(match register.existing {
                Existing::Refuse => 0,
                Existing::Overwrite => 1,
                Existing::OverwriteWithoutAdministrator => 2,
            });
            write_precondition(&mut writer, register.precondition);
            match &register.target {
                Target::Named(identifier) => writer.u8(0).text(&identifier.to_string()),
                Target::Minted { prefix, start } => writer.u8(1).text(prefix.as_str()).text(start),
            };
            write_values(&mut writer, register.values.as_slice());
        }
        Command::Amend(amend) => {
            writer.u8(2).text(&amend.identifier.to_string());
            write_precondition(&mut writer, amend.precondition);
            write_values(&mut writer, &amend.add);
            write_values(&mut writer, &amend.replace);
            writer.count(amend.remove.len());
            amend.remove.iter().for_each(|index| {
                writer.u32(index.get());
            });
            // This field was added later, so it must not change the digests of commands without it.
            if !amend.set.is_empty() {
                write_values(&mut writer, &amend.set);
            }
        }
        Command::Remove(remove) => {
            writer.u8(3).text(&remove.identifier.to_string());
            write_precondition(&mut writer, remove.precondition);
        }
        Command::Prefix(command) => write_prefix_command(writer.u8(4), command),
        Command::Token(command) => write_token_command(writer.u8(5), command),
        Command::Note(note) => {
            writer.u8(6).text(note.prefix.as_str()).text(note.text.as_str());
        }
    }
    cut(writer.as_slice())
}

/// The scope of a caller's request ids: SHA-256 of its name, cut to 16 bytes.
fn caller(name: &CallerName) -> [u8; 16] {
    cut(name.to_string().as_bytes())
}

fn cut(bytes: &[u8]) -> [u8; 16] {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    let mut cut = [0; 16];
    cut.copy_from_slice(hash.split_at(16).0);
    cut
}

fn write_precondition(writer: &mut Writer, precondition: Precondition) {
    match precondition {
        Precondition::None => writer.u8(0),
        Precondition::Absent => writer.u8(1),
        Precondition::Version(version) => writer.u8(2).u64(version),
        Precondition::Present => writer.u8(3),
    };
}

/// Everything but the timestamps, which the node sets.
fn write_values(writer: &mut Writer, values: &[Value]) {
    writer.count(values.len());
    for value in values {
        let (kind, ttl) = match value.ttl {
            Ttl::Relative(seconds) => (0, seconds),
            Ttl::Absolute(until) => (1, until),
        };
        writer.u32(value.index.get()).u8(kind).u32(ttl).u8(value.permissions.bits());
        writer.text(value.value_type.as_str()).bytes(&value.data).count(value.references.len());
        for reference in &value.references {
            writer.text(&reference.identifier.to_string()).u32(reference.index);
        }
    }
}

fn write_prefix_command(writer: &mut Writer, command: &PrefixCommand) {
    writer.text(command.prefix().as_str());
    match command {
        PrefixCommand::Home { registrant, .. } => write_registrant(writer.u8(1), registrant.as_ref()),
        PrefixCommand::Delegate { site, registrant, .. } => {
            write_site(writer.u8(2), site);
            write_registrant(writer, registrant.as_ref());
        }
        PrefixCommand::Suspend { .. } => drop(writer.u8(3)),
        PrefixCommand::Revoke { .. } => drop(writer.u8(4)),
        PrefixCommand::Resume { .. } => drop(writer.u8(6)),
        // The version is what the administrator has seen, which has changed when the request is repeated.
        PrefixCommand::EndDelegation { .. } => drop(writer.u8(7)),
        PrefixCommand::File(filing) => {
            write_site(writer.u8(5), &filing.site);
            write_registrant(writer, filing.registrant.as_ref());
            let status = match filing.status {
                PrefixStatus::Active => 0,
                PrefixStatus::Suspended => 1,
                PrefixStatus::Revoked => 2,
            };
            writer.u8(status).text(&filing.position.to_string());
        }
    }
}

fn write_site(writer: &mut Writer, site: &Site) {
    writer.count(site.addresses().len());
    for address in site.addresses() {
        writer.text(&address.to_string());
    }
    writer.text(site.host_name().unwrap_or(""));
    let ports = site.ports();
    for port in [ports.grpc, ports.dns, ports.handle, ports.http] {
        writer.u16(port.unwrap_or(0));
    }
    // The key was added later, so it must not change the digests of commands without it.
    if let Some(key) = site.public_key() {
        writer.bytes(key);
    }
}

fn write_registrant(writer: &mut Writer, registrant: Option<&Registrant>) {
    match registrant {
        None => writer.u8(0),
        Some(registrant) => {
            let code = registrant.credit_code().map_or("", CreditCode::as_str);
            writer.u8(1).text(registrant.name()).text(code).text(registrant.contact())
        }
    };
}

fn write_token_command(writer: &mut Writer, command: &TokenCommand) {
    match command {
        // The node makes the id, the secret and the time; the rest is what the caller asked for.
        TokenCommand::Create(entry) => {
            writer.u8(1).text(&entry.label).u64(entry.expires_ms.unwrap_or(0)).count(entry.scopes.len());
            for scope in &entry.scopes {
                let (kind, prefixes) = match scope {
                    Scope::Admin => (0, [].as_slice()),
                    Scope::Registrar(prefixes) => (1, prefixes.as_slice()),
                    Scope::Reader(prefixes) => (2, prefixes.as_slice()),
                    Scope::Peer(prefixes) => (3, prefixes.as_slice()),
                };
                writer.u8(kind).count(prefixes.len());
                prefixes.iter().for_each(|prefix| {
                    writer.text(prefix.as_str());
                });
            }
        }
        TokenCommand::Revoke { id } => {
            writer.u8(2).raw(&id.0);
        }
        TokenCommand::ResetPeer { id } => {
            writer.u8(3).raw(&id.0);
        }
    }
}
