//! Plain words: terms that are figures of speech here stay out of the tree, identifiers included.
//!
//! A file is cut into words at everything that is not a letter, and an identifier into its parts: `open_door` and
//! `OpenDoor` both hold the word `door`. Names that other programs or files on disk depend on cannot change and are
//! listed one by one.

use crate::Rule;
use crate::source::{Complaint, Source, Tree};

/// Words that are not used, and what to write instead.
const BANNED: &[(&[&str], &str)] = &[
    (&["door", "doors"], "front end, listener or server"),
    (&["room", "rooms"], "module, capacity, space or dependencies"),
    (&["house", "houses"], "crate or codebase"),
    (&["floor", "floors"], "layer, or lower bound"),
    (&["neighbor", "neighbors"], "module of the same layer"),
    (&["stranger", "strangers"], "unknown client or unauthenticated caller"),
    (&["asker", "askers"], "client or source address"),
    (&["owed"], "in flight or due"),
    (&["kept"], "stored, cached, retained or held"),
    (&["told"], "reported, returned or configured"),
    (&["workshop", "workshops"], "pool"),
    (&["manner", "manners"], "format or way"),
    (&["whence"], "source or origin"),
];

/// Beginnings of the paths of files whose text is not ours, which a released version wrote, or which have to spell the
/// words.
const EXEMPT: &[&str] = &["LICENSE", "Cargo.lock", "tests/data/released/", "tests/tidy/words.rs"];

/// Names that cannot change: the beginning of a path, and the exact text that is allowed there.
const OUTSIDE_NAMES: &[(&str, &str)] = &[
    // The key under which the store has its lower bound of retention.
    ("src/store/entry/meta.rs", "b\"floor\""),
    // The field that the pre-release 0.1.0-b5a6466 writes when it reports a bound address, now beside `front_end`.
    ("src/daemon/front_ends.rs", "drop `door`"),
    ("src/daemon/front_ends.rs", "door = front_end"),
    // Its second name in the journal, where only the first is shown to people.
    ("src/telemetry/journald.rs", "REPEATED: [&str; 1] = [\"door\"]"),
    ("tests/suite/shutdown.rs", "door=\\\"HTTP\\\""),
];

/// The rules of this file.
pub(crate) const RULES: &[Rule] = &[Rule {
    asks: "text and identifiers use the terms of the field and no figures of speech",
    check: plain_words,
    broken: &[
        &[("build.rs", "//! Opens the door.\n")],
        &[("build.rs", "fn open_door() {}\n")],
        &[("build.rs", "struct HttpDoor;\n")],
        &[("build.rs", "const MESSAGE: &str = \"the value is kept\";\n")],
        &[("docs/notes.md", "Strangers are refused.\n")],
        &[("docs/strangers.md", "")],
        &[("deny.toml", "# FLOOR_MAX, HTTPDoor\n")],
    ],
    clean: &[
        ("build.rs", "//! Indoors, a mushroom was keptoff.\nlet rounded = x.floor();\n"),
        ("src/store/entry/meta.rs", "const FLOORED: &[u8] = b\"floor\";\n"),
        ("docs/notes.md", "Tolded, taskers: none of Roomy's mannerisms.\n"),
        ("LICENSE", "in any manner\n"),
    ],
}];

//----------- Words ----------------------------------------------------------

fn plain_words(tree: &Tree) -> Vec<Complaint> {
    let skipped = |path: &str| EXEMPT.iter().any(|beginning| path.starts_with(beginning));
    let sources = tree.files().filter(|source| !skipped(&source.path));
    sources.flat_map(|source| in_path(source).chain(in_text(source)).collect::<Vec<_>>()).collect()
}

fn in_path(source: &Source) -> impl Iterator<Item = Complaint> {
    banned_words(&source.path)
        .map(|(_, word, instead)| Complaint::about(&source.path, complaint(word, instead)))
}

fn in_text(source: &Source) -> impl Iterator<Item = Complaint> {
    banned_words(&source.text)
        .filter(|(offset, _, _)| !is_outside_name(source, *offset) && !is_rounding(&source.text, *offset))
        .map(|(offset, word, instead)| source.complain(offset, complaint(word, instead)))
}

fn complaint(word: &str, instead: &str) -> String {
    format!("`{word}` is a figure of speech: write {instead}")
}

/// Offset, word and advice of every banned word in `text`.
fn banned_words(text: &str) -> impl Iterator<Item = (usize, &str, &'static str)> {
    parts(text).filter_map(|(offset, word)| {
        let lower = word.to_ascii_lowercase();
        let (_, instead) = BANNED.iter().find(|(words, _)| words.contains(&lower.as_str()))?;
        Some((offset, word, *instead))
    })
}

/// Whether the word at `offset` belongs to a name that cannot change.
fn is_outside_name(source: &Source, offset: usize) -> bool {
    let names = OUTSIDE_NAMES.iter().filter(|(path, _)| source.path.starts_with(path));
    names.into_iter().any(|(_, name)| {
        source.text.match_indices(name).any(|(start, _)| (start..start + name.len()).contains(&offset))
    })
}

/// Whether the word at `offset` is a call of the standard library that rounds down.
fn is_rounding(text: &str, offset: usize) -> bool {
    let (before, after) = text.split_at_checked(offset).unwrap_or_default();
    before.ends_with('.') && ["floor()", "floor_char_boundary("].iter().any(|call| after.starts_with(call))
}

//----------- Parts ----------------------------------------------------------

/// Words of a text, identifiers cut into their parts, with their offsets.
fn parts(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let stretches = text.split(|letter: char| !letter.is_ascii_alphabetic());
    stretches.filter(|stretch| !stretch.is_empty()).flat_map(move |stretch| {
        let start = stretch.as_ptr().addr() - text.as_ptr().addr();
        camel_parts(stretch).map(move |(offset, part)| (start + offset, part))
    })
}

/// `HttpDoor` as `Http`, `Door`; `HTTPDoor` as `HTTP`, `Door`; `FLOOR` whole.
fn camel_parts(stretch: &str) -> impl Iterator<Item = (usize, &str)> {
    let letters = stretch.as_bytes();
    let is_upper = |at: usize| letters.get(at).is_some_and(u8::is_ascii_uppercase);
    let is_lower = |at: usize| letters.get(at).is_some_and(u8::is_ascii_lowercase);
    let begins = move |at: &usize| *at == 0 || is_upper(*at) && (is_lower(*at - 1) || is_lower(*at + 1));
    let starts: Vec<usize> = (0..letters.len()).filter(begins).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([letters.len()]).collect();
    starts.into_iter().zip(ends).filter_map(|(start, end)| Some((start, stretch.get(start..end)?)))
}
