//! What surrounds the code: documents, the manifest, the top of the repository.

use crate::Rule;
use crate::source::{Complaint, Source, Tree};

/// Everything that may stand at the top of the repository, beside hidden files.
const TOP_LEVEL: &[&str] = &[
    "Cargo.toml",
    "Cargo.lock",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "README.zh-CN.md",
    "SECURITY.md",
    "build.rs",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
    "benches",
    "config",
    "deploy",
    "docs",
    "proto",
    "src",
    "tests",
];

/// Folders whose paths a document may cite.
const CITED_FOLDERS: &[&str] =
    &["src/", "tests/", "config/", "deploy/", "docs/", "proto/", "benches/", ".ci/"];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/fa", "rm/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/t", "mp/"),
];

/// The rules of this file.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        asks: "a document cites only paths that exist",
        check: citations,
        broken: &[
            &[("README.md", "See [the map](src/lib.rs).\n")],
            &[("deploy/install.md", "Copy `deploy/idnode.service` there.\n")],
            &[(".ci/run", "#!/bin/sh\npython3 tests/interop/walk\n")],
            &[("src/lib.rs", "//! - `store/engine.rs`: engines\n"), ("src/store/mod.rs", "")],
            &[("src/store/key.rs", "// as storage.md says\n")],
        ],
        clean: &[
            ("README.md", "See [the map](./src/lib.rs:12), `src/store/*.rs`, /usr/src/nothing and tests/.\n"),
            ("src/lib.rs", "//! `store/mod.rs`; see `deploy/notes.md`.\nconst A: &str = \"src/nothing\";\n"),
            ("src/store/mod.rs", "// see deploy/notes.md\n"),
            ("deploy/notes.md", "notes.md\n"),
            ("tests/tidy.rs", ""),
        ],
    },
    Rule {
        asks: "every dependency says what it is for, in a comment above it",
        check: dependencies,
        broken: &[
            &[("Cargo.toml", "[dependencies]\n# Waiting.\ntokio = \"1\"\nbytes = \"1\"\n")],
            &[(
                "Cargo.toml",
                "[dev-dependencies]\n\nbytes = { version = \"1\", features = [\n  \"std\",\n] }\n",
            )],
            &[("Cargo.toml", "[dependencies.bytes]\nversion = \"1\"\n")],
        ],
        clean: &[(
            "Cargo.toml",
            "[package]\nname = \"a\"\n[dependencies]\n# Waiting.\n# And sockets.\ntokio = [\n \"a\",\n]\n",
        )],
    },
    Rule {
        asks: "every folder of test data says in tests/data/README.md where it comes from",
        check: provenance,
        broken: &[
            &[("tests/data/vectors/dns/query.hex", "")],
            &[("tests/data/config/a.toml", ""), ("tests/data/README.md", "- `conf`: ours\n")],
        ],
        clean: &[("tests/data/config/bad/a.toml", ""), ("tests/data/README.md", "- `config/`: ours\n")],
    },
    Rule {
        asks: "nothing names a path of one machine",
        check: machine_paths,
        broken: &[
            &[("deploy/install.md", concat!("cp /wo", "rk/x .\n"))],
            &[(".ci/run", concat!("cd /ho", "me/me\n"))],
        ],
        clean: &[("deploy/install.md", "cp /var/lib/idnode/homework/x .\n")],
    },
    Rule {
        asks: "both languages of the README show the same commands and the same documents",
        check: readme_languages,
        broken: &[
            &[("README.md", "```sh\nrun a\n```\n"), ("README.zh-CN.md", "```sh\nrun b\n```\n")],
            &[("README.md", "[all](docs/all.md)\n"), ("README.zh-CN.md", "\n")],
            &[("README.md", "```sh\nrun a\n```\n")],
        ],
        clean: &[
            (
                "README.md",
                "Run [it](docs/it.md):\n```sh\nrun a\n```\n```text\na tree\n```\n[中文](README.zh-CN.md)\n",
            ),
            (
                "README.zh-CN.md",
                "运行[它](docs/it.md)：\n```sh\nrun a\n```\n```text\n树\n```\n[English](README.md)\n",
            ),
            ("docs/it.md", ""),
        ],
    },
    Rule {
        asks: "the top of the repository holds only what is listed",
        check: top_level,
        broken: &[&[("notes.txt", "")], &[("scripts/run.sh", "")]],
        clean: &[("README.md", ""), ("src/lib.rs", ""), (".ci/run", ""), (".gitignore", "")],
    },
];

//----------- Citations ------------------------------------------------------

fn citations(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in tree.files() {
        let text = cited_text(source);
        for (offset, word) in path_words(&text) {
            if let Some(path) = cited_path(tree, source, word).filter(|path| !tree.holds(path)) {
                complaints
                    .push(source.complain(offset, format!("`{path}` does not exist in the repository")));
            }
        }
    }
    complaints
}

/// The part of a file in which paths are citations: a document whole, of Rust the comments.
fn cited_text(source: &Source) -> String {
    if !source.path.ends_with(".rs") {
        let is_document = source.path.ends_with(".md") || source.path == ".ci/run";
        return if is_document { source.text.clone() } else { String::new() };
    }
    let code_or_not = source.words.bytes().zip(source.code.bytes());
    code_or_not
        .map(|(word, code)| if word == code && word != b'\n' { ' ' } else { char::from(word) })
        .collect()
}

/// Stretches that could be paths, with their offsets.
fn path_words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_path = |letter: char| letter.is_ascii_alphanumeric() || "_-./*".contains(letter);
    text.split(move |letter| !is_path(letter)).map(move |word| {
        let offset = word.as_ptr().addr() - text.as_ptr().addr();
        (offset, word.trim_start_matches("./").trim_end_matches('.'))
    })
}

/// The path from the root that a word cites, if it cites one. Beside the root, a file cites from its own folder.
fn cited_path(tree: &Tree, source: &Source, word: &str) -> Option<String> {
    let fixed = word.split('*').next().filter(|_| word.contains('*'));
    let path = fixed.map_or(word, |fixed| fixed.rsplit_once('/').map_or("", |(folder, _)| folder));
    let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    if tree.holds(&format!("{folder}/{path}")) {
        return None;
    }
    let (first, _) = path.split_once('/').unwrap_or(("", path));
    if source.path == "src/lib.rs" && !first.is_empty() && tree.holds(&format!("src/{first}")) {
        return Some(format!("src/{path}"));
    }
    // Every folder may have its README.md, so that its name alone cites none in particular.
    let is_bare_document =
        path.ends_with(".md") && !path.contains('/') && path != "README.md" && path.len() > 3;
    let is_cited = is_bare_document || CITED_FOLDERS.iter().any(|folder| path.starts_with(folder));
    is_cited.then(|| path.to_owned())
}

//----------- Manifest and top level -----------------------------------------

fn dependencies(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in tree.files().filter(|source| source.path == "Cargo.toml") {
        let (mut offset, mut listing, mut explained, mut depth) = (0, false, false, 0_usize);
        for line in source.text.split_inclusive('\n') {
            let word = line.trim();
            let table = word.strip_prefix('[').filter(|_| depth == 0);
            let alone = table.is_some_and(|table| table.contains("dependencies."));
            if ((listing && table.is_none() && is_entry(word, depth)) || alone) && !explained {
                complaints.push(
                    source.complain(offset, "say in a comment above it what it is for and why it is trusted"),
                );
            }
            if let Some(table) = table {
                listing = table.trim_end_matches(']').ends_with("dependencies");
            } else {
                depth = (depth + word.matches(['[', '{']).count())
                    .saturating_sub(word.matches([']', '}']).count());
            }
            explained = word.starts_with('#');
            offset += line.len();
        }
    }
    complaints
}

fn is_entry(line: &str, depth: usize) -> bool {
    depth == 0 && line.contains('=') && !line.starts_with('#')
}

fn provenance(tree: &Tree) -> Vec<Complaint> {
    const ACCOUNT: &str = "tests/data/README.md";
    let account =
        tree.files().find(|source| source.path == ACCOUNT).map_or("", |source| source.text.as_str());
    let inside = tree.files().filter_map(|source| source.path.strip_prefix("tests/data/"));
    let mut folders: Vec<&str> = inside.filter_map(|path| Some(path.split_once('/')?.0)).collect();
    folders.dedup();
    let silent = folders.into_iter().filter(|folder| !account.contains(&format!("`{folder}/`")));
    silent
        .map(|folder| {
            Complaint::about(ACCOUNT, format!("say of `{folder}/` what it is and where it comes from"))
        })
        .collect()
}

fn machine_paths(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in tree.files() {
        for path in MACHINE_PATHS {
            let places =
                source.text.match_indices(path).filter(|(offset, _)| stands_alone(&source.text, *offset));
            let message = format!("`{path}…` exists on one machine only: derive the path, or pass it in");
            complaints.extend(places.map(|(offset, _)| source.complain(offset, &message)));
        }
    }
    complaints
}

/// Whether a path begins at `offset`, rather than continuing a longer one.
fn stands_alone(text: &str, offset: usize) -> bool {
    let before = text.get(..offset).and_then(|before| before.chars().next_back());
    !before.is_some_and(|letter| letter.is_alphanumeric() || "._-".contains(letter))
}

fn readme_languages(tree: &Tree) -> Vec<Complaint> {
    const LANGUAGES: [&str; 2] = ["README.md", "README.zh-CN.md"];
    let shown = LANGUAGES.map(|path| {
        let text = tree.files().find(|source| source.path == path).map(|source| source.text.as_str());
        text.map(|text| (commands(text), links(text)))
    });
    match shown {
        [Some((commands, _)), Some((others, _))] if commands != others => {
            vec![Complaint::about("README.zh-CN.md", "its blocks of commands differ from those of README.md")]
        }
        [Some((_, links)), Some((_, others))] if links != others => {
            vec![Complaint::about("README.zh-CN.md", "it links other documents than README.md")]
        }
        [Some(_), None] => {
            vec![Complaint::about("README.zh-CN.md", "README.md is there and its translation is not")]
        }
        _ => Vec::new(),
    }
}

/// Lines of the blocks of commands and configuration of a document, without what surrounds them.
fn commands(text: &str) -> Vec<&str> {
    let mut shown = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```sh" || line == "```toml";
        } else if inside {
            shown.push(line);
        }
    }
    shown
}

/// What a document links, apart from its translation.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target).filter(|target| !target.starts_with("README")).collect()
}

fn top_level(tree: &Tree) -> Vec<Complaint> {
    let unlisted =
        tree.top_level().into_iter().filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(name));
    unlisted
        .map(|name| Complaint::about(name, "does not belong at the top: find its folder, or ignore it"))
        .collect()
}
