//! Who changes the store: the registry alone, except for the few named here.

use crate::Rule;
use crate::paths::{from_root, named};
use crate::source::{Complaint, Tree};

/// A type or function by which the store is changed, and the only modules beside the store that may name it.
struct Writing {
    path: &'static [&'static str],
    homes: &'static [&'static str],
}

/// Types and functions that change the store.
const WRITINGS: &[Writing] = &[
    // The daemon holds the writer only between opening the store, the registry, and closing the store.
    Writing { path: &["store", "writer", "JournalWriter"], homes: &["src/registry/", "src/daemon/core.rs"] },
    // What the daemon hands to filing, for its bookmarks.
    Writing {
        path: &["store", "writer", "UpkeepWriter"],
        homes: &["src/registry/", "src/filing/", "src/daemon/federation_setup.rs"],
    },
    Writing { path: &["store", "writer", "Block"], homes: &["src/registry/"] },
    Writing { path: &["store", "writer", "Proposed"], homes: &["src/registry/"] },
    // A restore fills a new store from a backup before any node runs on it.
    Writing {
        path: &["store", "copy", "restore", "Restorer"],
        homes: &["src/backup/restore.rs", "src/backup/put.rs"],
    },
    // The command that accepts a lost end of the journal, while no node runs.
    Writing { path: &["store", "open", "loss", "accept_loss"], homes: &["src/daemon/offline.rs"] },
];

/// Calls that change the store, and the only modules beside the store that may make them.
const CALLS: &[(&str, &[&str])] = &[
    (".commit(", &["src/registry/"]),
    (".prune(", &["src/registry/"]),
    (".forget_requests(", &["src/registry/"]),
    // The registry confirms how far lower nodes have filed; filing remembers how far it has filed itself.
    (".set_bookmark(", &["src/registry/", "src/filing/"]),
    (".put_entries(", &["src/backup/put.rs"]),
    (".put_changes(", &["src/backup/put.rs"]),
    ("loss::accept_loss(", &["src/daemon/offline.rs"]),
];

/// The rules of this file.
pub(crate) const RULES: &[Rule] = &[Rule {
    asks: "only the registry changes the store; beside it filing writes its bookmarks, a restore fills a new store, and a command accepts a lost end of the journal",
    check: changes,
    broken: &[
        &[("src/filing/mod.rs", "use crate::store::writer::JournalWriter;\n")],
        &[("src/filing/mod.rs", "use crate::store::{writer::{Block, End}, Store};\n")],
        &[("src/backup/create.rs", "use crate::store::writer;\n")],
        &[("src/backup/create.rs", "use crate::store::copy::restore::*;\n")],
        &[("src/resolver/mod.rs", "async fn f(upkeep: &Upkeep) { upkeep.set_bookmark(NAME, &at).await }\n")],
        &[("src/daemon/core.rs", "async fn f(mut writer: JournalWriter) { writer.commit(block).await }\n")],
        &[("src/backup/retire.rs", "async fn f(store: &Store) { store.prune(retention).await }\n")],
        &[("src/daemon/node.rs", "async fn f() { loss::accept_loss(options).await }\n")],
    ],
    clean: &[
        (
            "src/registry/committer.rs",
            "use crate::store::writer::{JournalWriter, Block};\nasync fn f() { a.commit(b).await }\n",
        ),
        (
            "src/filing/mod.rs",
            "use crate::store::writer::End;\nasync fn f() { store.set_bookmark(NAME, &at).await }\n",
        ),
        (
            "src/store/open.rs",
            "use super::commit::JournalWriter;\nasync fn f() { store.prune(retention).await }\n",
        ),
        ("src/backup/tests.rs", "async fn f() { writer.commit(block).await }\n"),
    ],
}];

fn changes(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let outside = tree.rust().filter(|source| source.path.starts_with("src/"));
    for source in outside.filter(|source| !source.path.starts_with("src/store/")) {
        let is_home = |homes: &[&str]| homes.iter().any(|home| source.path.starts_with(home));
        let mut complain = |offset: usize, what: &str, homes: &[&str]| {
            let message = format!("`{what}` changes the store, which only {} may do", homes.join(" and "));
            complaints.push(source.complain(offset, message));
        };
        for name in named(&source.production) {
            let Some(path) = from_root(source, &name.segments) else { continue };
            let writings = WRITINGS.iter().filter(|writing| !is_home(writing.homes));
            for writing in writings.filter(|writing| reaches(&path, writing.path)) {
                complain(name.offset, &writing.path.join("::"), writing.homes);
            }
        }
        for (call, homes) in CALLS.iter().filter(|(_, homes)| !is_home(homes)) {
            for (offset, _) in source.production.match_indices(call) {
                complain(offset, call, homes);
            }
        }
    }
    complaints
}

/// Whether naming `path` gives access to `writing`: it is that item, or the module with all that is in it.
fn reaches(path: &[&str], writing: &[&str]) -> bool {
    let module = writing.split_last().map(|(_, module)| module).unwrap_or_default();
    let is_module_of_types = module != ["store", "open"];
    let whole = path.strip_suffix(&["*"]).unwrap_or(path);
    path.starts_with(writing) || whole == module && (is_module_of_types || path.ends_with(&["*"]))
}
