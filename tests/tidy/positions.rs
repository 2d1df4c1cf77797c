//! Positions: above the store, nothing computes with the sequence of a position, whose stream it would have to know.

use crate::Rule;
use crate::source::{Complaint, Tree};

/// Text that computes with a sequence or compares one.
const COMPUTING: &[&str] = &[
    ".sequence +",
    ".sequence -",
    ".sequence <",
    ".sequence >",
    ".sequence.checked_",
    ".sequence.saturating_",
];

/// The modules that may: the store, the type itself, copies of one stream, and the group that is appended to one.
const HOMES: &[&str] = &["src/store/", "src/model/position.rs", "src/backup/", "src/registry/group.rs"];

/// Other uses of the word: a message cut into pieces; a printed position, which is an answer of a node; a position of a lower node,
/// of which 0 stands for none.
const OTHERS: &[&str] = &["src/wire/", "src/front/handle/", "src/cli/", "src/front/grpc/inbound.rs"];

/// The rules of this file.
pub(crate) const RULES: &[Rule] = &[Rule {
    asks: "above the store, positions are compared and counted as positions, not by their sequences",
    check: positions,
    broken: &[
        &[("src/filing/mod.rs", "fn f() { store.headers_from(position.sequence + 1, 10) }\n")],
        &[("src/filing/mod.rs", "fn f() -> bool { mark.sequence >= position.sequence }\n")],
        &[("src/resolver/paging.rs", "fn f() -> u64 { now.sequence.saturating_sub(then) }\n")],
    ],
    clean: &[
        ("src/store/read.rs", "fn f() -> u64 { position.sequence + 1 }\n"),
        ("src/front/grpc/page.rs", "fn f() -> String { position.sequence.to_string() }\n"),
        ("src/resolver/history.rs", "fn f() { lineage.position_of(entry.sequence) }\n"),
    ],
}];

fn positions(tree: &Tree) -> Vec<Complaint> {
    let is_free = |path: &str| HOMES.iter().chain(OTHERS).any(|home| path.starts_with(home));
    let sources = tree.rust().filter(|source| source.path.starts_with("src/") && !is_free(&source.path));
    sources
        .flat_map(|source| {
            let found = COMPUTING.iter().flat_map(|text| source.production.match_indices(text));
            found.map(|(offset, _)| {
                source.complain(offset, "compare positions, or count with `Position::entries_after`")
            })
        })
        .collect()
}
