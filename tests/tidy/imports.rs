//! Which module may name which: the layers, the front ends, and the modules that outside crates are confined to.

use crate::Rule;
use crate::paths::{from_root, module_path, named};
use crate::source::{Complaint, Source, Tree};

/// The layers, lowest first. A module names only modules of lower layers.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &["wire", "telemetry"],
    &["store", "federation", "key"],
    &["authority", "registry", "resolver"],
    &["filing", "backup"],
    &["front"],
    &["config"],
    &["daemon"],
    &["cli"],
    &["main"],
];

/// Modules of one layer of which the first may name the second.
const ALLOWED_IN_LAYER: &[(&str, &str)] =
    &[("registry", "authority"), ("resolver", "authority"), ("federation", "key")];

/// Outside paths and the only modules that may name them.
const CONFINED: &[Confined] = &[
    Confined { paths: &["fjall", "sled", "xxhash_rust"], homes: &["src/store/engine"] },
    Confined {
        paths: &["tonic", "tonic_health", "tonic_prost", "tonic_reflection", "tonic_types"],
        homes: &["src/front/grpc", "src/federation", "src/daemon", "src/cli", "src/wire/proto.rs"],
    },
    Confined { paths: &["axum"], homes: &["src/front/http", "src/daemon"] },
    Confined {
        paths: &["prost", "prost_types"],
        homes: &["src/wire/proto.rs", "src/front/grpc", "src/federation", "src/cli"],
    },
    // Datagrams are received and sent by one module, so that one policy decides which answers leave.
    Confined { paths: &["quinn_udp", "nix::poll"], homes: &["src/front/listen/datagram"] },
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
    // The time of day and randomness are passed down from one place.
    Confined { paths: &["std::time::SystemTime", "SystemTime", "getrandom"], homes: &["src/daemon"] },
    Confined { paths: &["std::env", "env"], homes: &["src/main.rs", "src/config"] },
    // A stop that hangs ends the process.
    Confined {
        paths: &["std::process::exit", "process::exit"],
        homes: &["src/main.rs", "src/config", "src/daemon/process.rs"],
    },
];

/// Modules without IO, waiting, clocks, randomness or logs.
const PURE: &[&str] = &["model", "wire", "key"];

/// What a pure module may name of the standard library, `core` included; everything else there is refused.
const PURE_STANDARD: &[&str] = &[
    "any",
    "array",
    "borrow",
    "cmp",
    // Not the maps in the order of a random hash.
    "collections::BTreeMap",
    "collections::BTreeSet",
    "collections::VecDeque",
    "convert",
    "error",
    "fmt",
    "hash::Hash",
    "hash::Hasher",
    "iter",
    "marker",
    "mem",
    "net::IpAddr",
    "net::Ipv4Addr",
    "net::Ipv6Addr",
    "net::SocketAddr",
    "num",
    "ops",
    "slice",
    "str",
    "string",
    "sync::Arc",
    "time::Duration",
];

/// Crates that wait, read a clock, make randomness or write logs, none of which a pure module names.
const IMPURE_CRATES: &[&str] = &[
    "tokio",
    "tokio_stream",
    "tokio_util",
    "futures",
    "futures_util",
    "hyper",
    "hyper_util",
    "rustls",
    "tokio_rustls",
    "tracing",
    "log",
    "getrandom",
    "rand",
    "rand_core",
    "fastrand",
    "uuid",
    "chrono",
    "time",
    "nix",
    "libc",
    "tempfile",
];

/// Names at the end of a path that make randomness, whatever crate they come from.
const RANDOMNESS: &[&str] = &["OsRng", "SysRng", "ThreadRng", "thread_rng", "RandomState"];

/// Text that no pure module has: it waits or prints.
const IMPURE_TEXT: &[&str] =
    &["async fn", "async move", "async {", ".await", "print!(", "println!(", "eprint!(", "eprintln!("];

struct Confined {
    paths: &'static [&'static str],
    homes: &'static [&'static str],
}

/// What the front ends have in common.
const SHARED_BY_FRONT_ENDS: &[&str] = &["handle_semantics", "listen"];

/// The rules of this file.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        asks: "a module names only modules of lower layers",
        check: layers,
        broken: &[
            &[("src/store/mod.rs", "use crate::registry::Refusal;\n")],
            &[("src/filing/mod.rs", "fn f() { crate::backup::run() }\n")],
            &[("src/wire/dns.rs", "use crate::{model::Value, telemetry};\n")],
            &[("src/registry/mod.rs", "use crate::resolver::Answer;\n")],
            &[("src/store/commit.rs", "use super::super::front::guard;\n")],
        ],
        clean: &[
            (
                "src/resolver/mod.rs",
                "//! See crate::front.\nuse crate::authority::Authority;\nuse crate::{model, store::Store};\n",
            ),
            ("src/store/mod.rs", "use crate::model;\n#[cfg(test)]\nmod t { use crate::front::guard; }\n"),
        ],
    },
    Rule {
        asks: "every module has a layer",
        check: every_module_has_a_layer,
        broken: &[&[("src/attic/mod.rs", "")], &[("src/attic.rs", "")]],
        clean: &[("src/store/mod.rs", ""), ("src/lib.rs", ""), ("src/main.rs", "")],
    },
    Rule {
        asks: "a front end names neither the store nor another front end; of the front it names only what they share",
        check: front_ends,
        broken: &[
            &[("src/front/dns/mod.rs", "use crate::store::Store;\n")],
            &[("src/front/dns/reply.rs", "use crate::front::http::reply;\n")],
            &[("src/front/grpc/mod.rs", "use super::http;\n")],
        ],
        clean: &[
            (
                "src/front/dns/reply.rs",
                "use crate::front::listen::tls::TlsIdentity;\nuse super::request;\nuse crate::resolver::Answer;\n",
            ),
            ("src/front/mod.rs", "use self::dns::Server;\nuse crate::front::http;\n"),
        ],
    },
    Rule {
        asks: "what front ends share names neither the store nor a front end",
        check: shared_by_front_ends,
        broken: &[
            &[("src/front/listen/accept.rs", "use crate::store::Store;\n")],
            &[("src/front/listen/accept.rs", "use crate::front::dns::DnsServer;\n")],
            &[("src/front/listen/accept.rs", "use crate::front::handle_semantics::name;\n")],
            &[("src/front/handle_semantics/name.rs", "use crate::front::handle::HandleServer;\n")],
        ],
        clean: &[
            ("src/front/handle_semantics/proof.rs", "use crate::front::listen::source::Source;\n"),
            (
                "src/front/listen/accept.rs",
                "use crate::front::listen::slots::Slots;\nuse crate::model::site::Site;\n",
            ),
        ],
    },
    Rule {
        asks: "generated protobuf messages are named only in wire, front::grpc, federation and cli",
        check: protobuf,
        broken: &[
            &[("src/registry/mod.rs", "use crate::wire::proto::Site;\n")],
            &[("src/front/http/site.rs", "use crate::wire::{cursor, proto};\n")],
        ],
        clean: &[
            ("src/cli/mod.rs", "use crate::wire::proto::Site;\n"),
            ("src/front/grpc/mod.rs", "use crate::wire::proto;\n"),
            ("src/registry/mod.rs", "use crate::wire::cursor::Reader;\n"),
        ],
    },
    Rule {
        asks: "an outside crate is named only in its own modules",
        check: confinement,
        broken: &[
            &[("src/store/commit.rs", "use fjall::Keyspace;\n")],
            &[("src/registry/mod.rs", "use tonic::Status;\n")],
            &[("src/cli/mod.rs", "fn f() { std::process::exit(1) }\n")],
            &[("src/daemon/mod.rs", "use std::{env, io};\n")],
            &[("src/store/open.rs", "use std::time::{Duration, SystemTime};\n")],
            &[("src/front/http/mod.rs", "fn f() { getrandom::fill(secret) }\n")],
        ],
        clean: &[
            ("src/store/engine/fjall.rs", "use fjall::Keyspace;\n"),
            ("src/store/mod.rs", "use super::engine::fjall::open;\nuse std::process::ExitCode;\n"),
            ("tests/suite/main.rs", "use tonic::Status;\n"),
        ],
    },
    Rule {
        asks: "model, wire and key are pure: no IO, no waiting, no clock, no randomness, no logs",
        check: purity,
        broken: &[
            &[("src/model/value.rs", "use std::time::{Duration, Instant};\n")],
            &[("src/wire/cursor.rs", "fn f() { tracing::debug!() }\n")],
            &[("src/wire/dns.rs", "use std::net::UdpSocket;\n")],
            &[("src/key/pem.rs", "use std::{fmt, fs};\n")],
            &[("src/key/pem.rs", "fn f(from: &mut impl std::io::Read) {}\n")],
            &[("src/model/site.rs", "fn f() { core::time::Duration::ZERO; std::env::var(NAME); }\n")],
            &[("src/model/token.rs", "use std::sync::{Arc, Mutex};\n")],
            &[("src/model/token.rs", "use std::collections::HashMap;\n")],
            &[("src/key/random.rs", "use rsa::rand_core::OsRng;\n")],
            &[("src/key/random.rs", "fn f() { getrandom::fill(bytes) }\n")],
            &[("src/wire/message.rs", "async fn read() {}\n")],
            &[("src/wire/message.rs", "fn f() { println!() }\n")],
        ],
        clean: &[
            ("src/wire/dns.rs", "use std::net::Ipv4Addr;\nuse std::time::Duration;\n"),
            ("src/key/random.rs", "use rsa::rand_core::{TryCryptoRng, TryRng};\nuse core::{fmt, mem};\n"),
            ("src/store/mod.rs", "use std::time::Instant;\n"),
        ],
    },
];

//----------- Layers ---------------------------------------------------------

fn layers(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    each_inner_path(tree, |source, offset, path| {
        let (Some(&from), Some(&to)) = (module_path(&source.path).first(), path.first()) else { return };
        let (Some(here), Some(there)) = (layer(from), layer(to)) else { return };
        if from == to || there < here || ALLOWED_IN_LAYER.contains(&(from, to)) {
            return;
        }
        let message = format!(
            "`{from}` (layer {here}) names `{to}` (layer {there}): move what both need to a lower layer, or have it passed in"
        );
        complaints.push(source.complain(offset, message));
    });
    complaints
}

fn every_module_has_a_layer(tree: &Tree) -> Vec<Complaint> {
    let orphans = tree.rust().filter(|source| source.path.starts_with("src/"));
    let orphans = orphans
        .filter(|source| module_path(&source.path).first().is_some_and(|module| layer(module).is_none()));
    orphans
        .map(|source| {
            let message = "this module is in no layer: put it in one in tests/tidy/imports.rs and in the map of src/lib.rs";
            Complaint::about(&source.path, message)
        })
        .collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

fn front_ends(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    each_inner_path(tree, |source, offset, path| {
        let module = module_path(&source.path);
        let ["front", name, ..] = module.as_slice() else { return };
        if SHARED_BY_FRONT_ENDS.contains(name) {
            return;
        }
        let message = match path {
            ["store", ..] => {
                format!("the front end `{name}` names the store: ask the registry or the resolver instead")
            }
            ["front", other, ..]
                if other != name && !SHARED_BY_FRONT_ENDS.contains(other) && is_module(other) =>
            {
                format!("the front end `{name}` names `front::{other}`, which front ends do not share")
            }
            _ => return,
        };
        complaints.push(source.complain(offset, message));
    });
    complaints
}

fn shared_by_front_ends(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    each_inner_path(tree, |source, offset, path| {
        let owner = module_path(&source.path);
        let ["front", shared, ..] = owner.as_slice() else { return };
        if !SHARED_BY_FRONT_ENDS.contains(shared) {
            return;
        }
        let is_wrong = match path {
            ["store", ..] => true,
            ["front", other, ..] => is_module(other) && other != shared && *other != "listen",
            _ => false,
        };
        if is_wrong {
            let message = format!("`front::{shared}` names `{}`: have it passed in", path.join("::"));
            complaints.push(source.complain(offset, message));
        }
    });
    complaints
}

/// Modules that may name generated protobuf messages.
const PROTOBUF_HOMES: &[&[&str]] = &[&["wire"], &["front", "grpc"], &["federation"], &["cli"]];

fn protobuf(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    each_inner_path(tree, |source, offset, path| {
        let owner = module_path(&source.path);
        let is_home = PROTOBUF_HOMES.iter().any(|home| owner.starts_with(home));
        if path.starts_with(&["wire", "proto"]) && !is_home {
            let message = "generated messages stay at the wire: translate them into types of the model";
            complaints.push(source.complain(offset, message.to_owned()));
        }
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
        let Some(module) = module_path(&source.path).first().copied().filter(|name| PURE.contains(name))
        else {
            continue;
        };
        let mut complain = |offset: usize, what: &str| {
            let message =
                format!("`{module}` is pure and may not have `{what}`: take the value as an argument");
            complaints.push(source.complain(offset, message));
        };
        for name in named(&source.production) {
            if is_impure(&name.segments) {
                complain(name.offset, &name.segments.join("::"));
            }
        }
        for text in IMPURE_TEXT {
            for (offset, _) in source.production.match_indices(text) {
                complain(offset, text);
            }
        }
    }
    complaints
}

fn is_impure(path: &[&str]) -> bool {
    match path {
        ["std" | "core", rest @ ..] => !PURE_STANDARD.iter().any(|allowed| begins_with(rest, allowed)),
        [first, .., last] => IMPURE_CRATES.contains(first) || RANDOMNESS.contains(last),
        _ => false,
    }
}

fn begins_with(segments: &[&str], path: &str) -> bool {
    let path: Vec<&str> = path.split("::").collect();
    segments.starts_with(&path)
}
