//! Prefix entries and sites, for people and as JSON.

use data_encoding::HEXLOWER;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::cli::change::position;
use crate::cli::display::{self, Table};
use crate::key::PublicKey;
use crate::wire::proto;

pub(super) fn entry_table(entry: &proto::PrefixEntry) -> Table {
    let mut table = Table::plain();
    table.row(["Prefix", &entry.prefix]);
    table.row(["Status", &standing(entry)]);
    table.row(["Answered by", &homing(entry)]);
    if let Some(proto::prefix_entry::Homing::Delegated(site)) = &entry.homing
        && !site.public_key.is_empty()
    {
        table.row(["Public key", &key_text(&site.public_key)]);
    }
    if let Some(registrant) = &entry.registrant {
        table.row(["Registrant", &registrant.name]);
        table.row(["Credit code", &registrant.credit_code]);
        table.row(["Contact", &registrant.contact]);
    }
    if let Some(filing) = &entry.filing {
        table.row(["Filed by token", &filing.peer]);
        table.row(["Filed position", &filing.position.as_ref().map(position).unwrap_or_default()]);
    }
    table.row(["Version", &entry.version.to_string()]);
    table.row(["Changed", &display::time(entry.changed_ms)]);
    if let Some(note) = &entry.note {
        table.row(["Note", &note.text]);
        table.row(["Noted", &display::time(note.changed_ms)]);
    }
    table
}

pub(super) fn entry_json(entry: &proto::PrefixEntry) -> Json {
    use proto::prefix_entry::Homing;
    let site = match &entry.homing {
        Some(Homing::Delegated(site)) => Some(site_json(site)),
        Some(Homing::Homed(_)) | None => None,
    };
    json!({
        "prefix": entry.prefix,
        "standing": status(entry.standing()),
        "homed": matches!(entry.homing, Some(Homing::Homed(_))),
        "delegated": site,
        "registrant": entry.registrant.as_ref().map(|registrant| json!({
            "name": registrant.name,
            "credit_code": registrant.credit_code,
            "contact": registrant.contact,
        })),
        "filing": entry.filing.as_ref().map(|filing| json!({
            "peer": filing.peer,
            "position": filing.position.as_ref().map(position),
            "lost": filing.lost,
        })),
        "version": entry.version,
        "changed": display::time(entry.changed_ms),
        "note": entry.note.as_ref().map(|note| json!({
            "text": note.text,
            "version": note.version,
            "changed": display::time(note.changed_ms),
        })),
    })
}

/// The status of an entry, and whether the lower node has lost what it filed.
pub(super) fn standing(entry: &proto::PrefixEntry) -> String {
    format!("{}{}", status(entry.standing()), if is_lost(entry) { ", lost by its node" } else { "" })
}

/// Whether the lower node has lost what it filed.
pub(super) fn is_lost(entry: &proto::PrefixEntry) -> bool {
    entry.filing.as_ref().is_some_and(|filing| filing.lost)
}

pub(super) fn status(status: proto::Standing) -> &'static str {
    match status {
        proto::Standing::Unspecified => "unknown",
        proto::Standing::Active => "active",
        proto::Standing::Suspended => "suspended",
        proto::Standing::Revoked => "revoked",
    }
}

pub(super) fn homing(entry: &proto::PrefixEntry) -> String {
    use proto::prefix_entry::Homing;
    match &entry.homing {
        Some(Homing::Homed(_)) => "this node".into(),
        Some(Homing::Delegated(site)) => site_text(site),
        None => "unknown".into(),
    }
}

/// A site as one line: its addresses and ports.
pub(in crate::cli) fn site_text(site: &proto::Site) -> String {
    let mut text = site.addresses.join(", ");
    if !site.host_name.is_empty() {
        text.push_str(&format!(" ({})", site.host_name));
    }
    for (protocol, port) in ports(site) {
        text.push_str(&format!(" {protocol} {port}"));
    }
    text
}

/// A site as JSON.
pub(in crate::cli) fn site_json(site: &proto::Site) -> Json {
    let ports: serde_json::Map<String, Json> =
        ports(site).map(|(protocol, port)| (protocol.to_owned(), port.into())).collect();
    let key = (!site.public_key.is_empty()).then(|| PublicKey::decode(&site.public_key).ok()).flatten();
    json!({
        "addresses": site.addresses,
        "host_name": site.host_name,
        "ports": ports,
        "public_key": key.map(|key| key.to_jwk()),
    })
}

/// A public key as one line: its kind, and the SHA-256 of its X.509 form, as other tools compute it.
fn key_text(key: &[u8]) -> String {
    PublicKey::decode(key).map_or_else(
        |error| format!("cannot be read: {error}"),
        |key| format!("{}, SHA-256 {}", key.kind(), HEXLOWER.encode(&Sha256::digest(key.to_der()))),
    )
}

fn ports(site: &proto::Site) -> impl Iterator<Item = (&'static str, u32)> {
    let ports = site.ports.unwrap_or_default();
    let all = [("grpc", ports.grpc), ("dns", ports.dns), ("handle", ports.handle), ("http", ports.http)];
    all.into_iter().filter_map(|(protocol, port)| Some((protocol, port?)))
}
