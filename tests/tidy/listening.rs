//! Listening once: what front ends share is in `front::listen`, and nothing of the kind is made beside it.

use crate::Rule;
use crate::source::{Complaint, Tree};

/// Where connections are accepted, sources counted and entries expired.
const LISTEN: &str = "src/front/listen/";

/// What stands in `front::listen` alone, and what to use instead.
const SHARED: &[(&[&str], &str)] = &[
    (&[".accept()", ".poll_accept("], "accept connections by `listen::accept`"),
    (&["TcpListener::bind", "UdpSocket::bind", "SO_REUSEADDR", ".listen("], "bind by `listen::bind`"),
    (&["HashMap<Source", "BTreeMap<Source", "<Source, usize>"], "count sources by `listen::quota`"),
    (&["BTreeMap<Instant", "BTreeMap<(Instant"], "let entries expire by `listen::expiring`"),
    (&["TlsAcceptor::from(", ".peek(&mut "], "tell TLS from plain text by `listen::accept`"),
];

/// The rules of this file.
pub(crate) const RULES: &[Rule] = &[Rule {
    asks: "accept loops, binders, counts of sources and expiring tables exist in front::listen alone",
    check: once,
    broken: &[
        &[("src/front/dns/tcp.rs", "async fn f() { listener.accept().await }\n")],
        &[("src/front/http/mod.rs", "struct Counts { of_source: HashMap<Source, usize> }\n")],
        &[("src/front/handle/session.rs", "struct Table { ages: BTreeMap<(Instant, u64), u32> }\n")],
        &[("src/daemon/socket.rs", "fn f() { TcpListener::bind(address) }\n")],
        &[("src/front/grpc/connection.rs", "async fn f() { stream.peek(&mut first).await }\n")],
    ],
    clean: &[
        ("src/front/listen/accept.rs", "async fn f() { listener.accept().await }\n"),
        ("src/front/listen/quota.rs", "struct Counts { of_source: HashMap<Source, usize> }\n"),
        ("src/front/dns/tcp.rs", "#[cfg(test)]\nmod t { fn f() { TcpListener::bind(address) } }\n"),
    ],
}];

fn once(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let layers = ["src/front/", "src/daemon/"];
    let sources = tree.rust().filter(|source| layers.iter().any(|layer| source.path.starts_with(layer)));
    for source in sources.filter(|source| !source.path.starts_with(LISTEN)) {
        for (found, advice) in SHARED {
            let offsets = found.iter().flat_map(|text| source.production.match_indices(*text));
            complaints.extend(offsets.map(|(offset, _)| source.complain(offset, *advice)));
        }
    }
    complaints
}
