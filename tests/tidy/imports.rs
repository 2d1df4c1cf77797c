//! Who may name whom: the floors of the house, the doors, and the rooms that outside crates are confined to.

use crate::Rule;
use crate::paths::{from_root, named, room_path};
use crate::source::{Complaint, Source, Tree};

/// The floors, lowest first. A room names only rooms on lower floors.
const FLOORS: &[&[&str]] = &[
    &["model"],
    &["wire", "telemetry"],
    &["store", "federation", "key"],
    &["registry", "resolver"],
    &["front", "filing", "backup"],
    &["config"],
    &["daemon"],
    &["cli"],
    &["main"],
];

/// Neighbors that may be named all the same: who, whom.
const NEIGHBORS_ALLOWED: &[(&str, &str)] = &[("resolver", "registry")];

/// Outside paths and the only places that may name them.
const CONFINED: &[Confined] = &[
    Confined { paths: &["fjall", "sled"], homes: &["src/store/engine"] },
    Confined {
        paths: &["tonic", "tonic_health", "tonic_prost", "tonic_reflection", "tonic_types"],
        homes: &["src/front/grpc", "src/federation", "src/daemon", "src/cli", "src/wire/proto.rs"],
    },
    Confined { paths: &["axum"], homes: &["src/front/http", "src/daemon"] },
    Confined {
        paths: &["prost", "prost_types"],
        homes: &["src/wire/proto.rs", "src/front/grpc", "src/federation", "src/cli"],
    },
    Confined { paths: &["hickory_proto"], homes: &["src/wire/dns", "src/front/dns"] },
    Confined {
        paths: &["serde", "serde_json"],
        homes: &[
            "src/config",
            "src/store",
            "src/telemetry",
            "src/key",
            "src/cli",
            "src/front/http",
            "src/backup",
        ],
    },
    Confined {
        paths: &[
            "rsa",
            "dsa",
            "sm2",
            "sm3",
            "sha1",
            "md5",
            "hmac",
            "pbkdf2",
            "aes",
            "sm4",
            "des",
            "cbc",
            "crypto_bigint",
        ],
        homes: &["src/key"],
    },
    Confined { paths: &["utoipa"], homes: &["src/front/http"] },
    Confined { paths: &["toml"], homes: &["src/config"] },
    Confined { paths: &["clap"], homes: &["src/main.rs", "src/cli"] },
    Confined { paths: &["tracing_subscriber"], homes: &["src/telemetry"] },
    Confined {
        paths: &["std::process::exit", "process::exit", "std::env", "env"],
        homes: &["src/main.rs", "src/config"],
    },
];

/// Rooms without IO, waiting, clocks or logs.
const PURE: &[&str] = &["model", "wire", "key"];

/// What a pure room never names.
const IMPURE: &[&str] = &[
    "tokio",
    "tracing",
    "std::fs",
    "std::thread",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::time::SystemTime",
    "std::time::Instant",
    "getrandom",
];

struct Confined {
    paths: &'static [&'static str],
    homes: &'static [&'static str],
}

/// What the doors have in common.
const SHARED_BY_DOORS: &[&str] = &["handle_semantics", "listen"];

/// The rules of this file.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        asks: "a room names only rooms on lower floors",
        check: floors,
        broken: &[
            &[("src/store/mod.rs", "use crate::registry::Refusal;\n")],
            &[("src/filing/mod.rs", "fn f() { crate::backup::run() }\n")],
            &[("src/wire/dns.rs", "use crate::{model::Value, telemetry};\n")],
            &[("src/registry/mod.rs", "use crate::resolver::Answer;\n")],
            &[("src/store/commit.rs", "use super::super::front::guard;\n")],
        ],
        kept: &[
            (
                "src/resolver/mod.rs",
                "//! See crate::front.\nuse crate::registry::Refusal;\nuse crate::{model, store::Store};\n",
            ),
            ("src/store/mod.rs", "use crate::model;\n#[cfg(test)]\nmod t { use crate::front::guard; }\n"),
        ],
    },
    Rule {
        asks: "every room has a floor",
        check: every_room_has_a_floor,
        broken: &[&[("src/attic/mod.rs", "")], &[("src/attic.rs", "")]],
        kept: &[("src/store/mod.rs", ""), ("src/lib.rs", ""), ("src/main.rs", "")],
    },
    Rule {
        asks: "a door names neither the store nor another door; of the front it names only what doors share",
        check: doors,
        broken: &[
            &[("src/front/dns/mod.rs", "use crate::store::Store;\n")],
            &[("src/front/dns/reply.rs", "use crate::front::http::reply;\n")],
            &[("src/front/grpc/mod.rs", "use super::http;\n")],
        ],
        kept: &[
            (
                "src/front/dns/reply.rs",
                "use crate::front::listen::tls::TlsIdentity;\nuse super::request;\nuse crate::resolver::Answer;\n",
            ),
            ("src/front/mod.rs", "use self::dns::Door;\nuse crate::front::http;\n"),
        ],
    },
    Rule {
        asks: "an outside crate is named only in its own rooms",
        check: confinement,
        broken: &[
            &[("src/store/commit.rs", "use fjall::Keyspace;\n")],
            &[("src/registry/mod.rs", "use tonic::Status;\n")],
            &[("src/cli/mod.rs", "fn f() { std::process::exit(1) }\n")],
            &[("src/daemon/mod.rs", "use std::{env, io};\n")],
        ],
        kept: &[
            ("src/store/engine/fjall.rs", "use fjall::Keyspace;\n"),
            ("src/store/mod.rs", "use super::engine::fjall::open;\nuse std::process::ExitCode;\n"),
            ("tests/suite/main.rs", "use tonic::Status;\n"),
        ],
    },
    Rule {
        asks: "model, wire and key are pure: no IO, no waiting, no clock, no logs",
        check: purity,
        broken: &[
            &[("src/model/value.rs", "use std::time::{Duration, Instant};\n")],
            &[("src/wire/cursor.rs", "fn f() { tracing::debug!() }\n")],
            &[("src/wire/dns.rs", "use std::net::UdpSocket;\n")],
        ],
        kept: &[
            ("src/wire/dns.rs", "use std::net::Ipv4Addr;\nuse std::time::Duration;\n"),
            ("src/store/mod.rs", "use std::time::Instant;\n"),
        ],
    },
];

//----------- Floors ---------------------------------------------------------

fn floors(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    each_inner_path(tree, |source, offset, path| {
        let (Some(&from), Some(&to)) = (room_path(&source.path).first(), path.first()) else { return };
        let (Some(here), Some(there)) = (floor(from), floor(to)) else { return };
        if from == to || there < here || NEIGHBORS_ALLOWED.contains(&(from, to)) {
            return;
        }
        let message = format!(
            "`{from}` (floor {here}) names `{to}` (floor {there}): move what both need to a lower floor, or have it passed in"
        );
        complaints.push(source.complain(offset, message));
    });
    complaints
}

fn every_room_has_a_floor(tree: &Tree) -> Vec<Complaint> {
    let orphans = tree.rust().filter(|source| source.path.starts_with("src/"));
    let orphans =
        orphans.filter(|source| room_path(&source.path).first().is_some_and(|room| floor(room).is_none()));
    orphans
        .map(|source| {
            let message = "this room is on no floor: put it on one in tests/tidy/imports.rs and in the map of src/lib.rs";
            Complaint::about(&source.path, message)
        })
        .collect()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn doors(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    each_inner_path(tree, |source, offset, path| {
        let place = room_path(&source.path);
        let ["front", door, ..] = place.as_slice() else { return };
        if SHARED_BY_DOORS.contains(door) {
            return;
        }
        let message = match path {
            ["store", ..] => {
                format!("the door `{door}` names the store: ask the registry or the resolver instead")
            }
            ["front", other, ..] if other != door && !SHARED_BY_DOORS.contains(other) && is_module(other) => {
                format!("the door `{door}` names `front::{other}`, which doors do not share")
            }
            _ => return,
        };
        complaints.push(source.complain(offset, message));
    });
    complaints
}

fn is_module(segment: &str) -> bool {
    segment.starts_with(|first: char| first.is_ascii_lowercase())
}

/// Calls `visit` with every path inside our own crate that production code names, as seen from the root.
fn each_inner_path(tree: &Tree, mut visit: impl FnMut(&Source, usize, &[&str])) {
    for source in tree.rust().filter(|source| source.path.starts_with("src/") && source.path != "src/lib.rs")
    {
        for name in named(&source.production) {
            if let Some(path) = from_root(source, &name.segments) {
                visit(source, name.offset, &path);
            }
        }
    }
}

//----------- Confinement and purity -----------------------------------------

fn confinement(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in tree.rust().filter(|source| source.path.starts_with("src/")) {
        for name in named(&source.production) {
            let confined = CONFINED.iter().filter(|confined| !at_home(confined, source));
            for path in
                confined.flat_map(|confined| confined.paths.iter().map(move |path| (*path, confined.homes)))
            {
                let (path, homes) = path;
                if begins_with(&name.segments, path) {
                    complaints.push(
                        source
                            .complain(name.offset, format!("`{path}` is named only in {}", homes.join(", "))),
                    );
                }
            }
        }
    }
    complaints
}

fn at_home(confined: &Confined, source: &Source) -> bool {
    confined.homes.iter().any(|home| source.path.starts_with(home))
}

fn purity(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in tree.rust().filter(|source| source.path.starts_with("src/")) {
        let Some(room) = room_path(&source.path).first().copied().filter(|room| PURE.contains(room)) else {
            continue;
        };
        for name in named(&source.production) {
            if let Some(path) = IMPURE.iter().find(|path| begins_with(&name.segments, path)) {
                let message =
                    format!("`{room}` is pure and may not name `{path}`: take the value as an argument");
                complaints.push(source.complain(name.offset, message));
            }
        }
    }
    complaints
}

fn begins_with(segments: &[&str], path: &str) -> bool {
    let path: Vec<&str> = path.split("::").collect();
    segments.starts_with(&path)
}
