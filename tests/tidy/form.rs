//! The form of a Rust file: its opening, its size, its functions, its names and its words.

use crate::Rule;
use crate::source::{Complaint, Source, Tree, block_len};

/// Lines of a file in `src`, tests not counted.
const FILE_LINES_MAX: usize = 600;
/// Lines of code in a function body, blank and comment lines not counted.
const FUNCTION_LINES_MAX: usize = 70;

/// Names that say nothing.
const NAMELESS: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "manager", "managers"];

/// The one file in which a test may pause: it waits for a condition with a deadline.
const WAITING_FILE: &str = "tests/suite/support/eventually.rs";

/// British beginnings of words and the American ones.
const SPELLINGS: &[(&str, &str)] = &[
    ("analyse", "analyze"),
    ("artefact", "artifact"),
    ("authoris", "authoriz"),
    ("behaviour", "behavior"),
    ("canonicalis", "canonicaliz"),
    ("centre", "center"),
    ("colour", "color"),
    ("customis", "customiz"),
    ("defence", "defense"),
    ("favour", "favor"),
    ("finalis", "finaliz"),
    ("honour", "honor"),
    ("initialis", "initializ"),
    ("licence", "license"),
    ("minimis", "minimiz"),
    ("normalis", "normaliz"),
    ("optimise", "optimize"),
    ("organis", "organiz"),
    ("recognis", "recogniz"),
    ("serialis", "serializ"),
    ("summaris", "summariz"),
    ("synchronis", "synchroniz"),
    ("unauthoris", "unauthoriz"),
    ("unrecognis", "unrecogniz"),
];

/// The rules of this file.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        asks: "every Rust file opens with a module doc",
        check: module_docs,
        broken: &[
            &[("src/store/key.rs", "use std::fmt;\n")],
            &[("build.rs", "/// Not a module doc.\nfn main() {}\n")],
        ],
        clean: &[("src/store/key.rs", "//! The key layout.\n")],
    },
    Rule {
        asks: "a file in src has at most 600 lines, tests not counted",
        check: file_sizes,
        broken: &[&[("src/store/key.rs", LONG)]],
        clean: &[("src/store/tests.rs", LONG), ("tests/suite/limits.rs", LONG)],
    },
    Rule {
        asks: "a function has at most 70 lines",
        check: function_sizes,
        broken: &[&[("src/store/key.rs", LONG)], &[("tests/suite/limits.rs", LONG)]],
        clean: &[("src/store/key.rs", "fn short(cells: [u8; 4]) {\n}\n")],
    },
    Rule {
        asks: "files and modules are named by their noun",
        check: names,
        broken: &[
            &[("src/store/util.rs", "")],
            &[("tests/suite/test_helpers.rs", "")],
            &[("src/common/mod.rs", "")],
            &[("src/store/mod.rs", "mod misc { }\n")],
        ],
        clean: &[("src/store/commit.rs", "mod commonwealth {}\n")],
    },
    Rule {
        asks: "nothing is left over: no FIXME, no TODO without its condition, no dbg!, todo!, unimplemented!",
        check: leftovers,
        broken: &[
            &[("src/store/key.rs", "// FIXME: later\n")],
            &[("deploy/install.md", "FIXME\n")],
            &[("src/store/key.rs", "// TODO: a second table\n")],
            &[("src/store/key.rs", "fn f() { dbg!(1); }\n")],
            &[("src/store/key.rs", "fn f() { todo!() }\n")],
            &[("build.rs", "fn main() { unimplemented!() }\n")],
        ],
        clean: &[
            (
                "src/store/key.rs",
                "// TODO when the upper node supports streams: ask for one.\nconst A: &str = \"FIXME\";\n",
            ),
            ("src/store/mod.rs", "fn mastodon() {}\n"),
        ],
    },
    Rule {
        asks: "a test runs, fails by its assertions, and waits for a condition instead of sleeping",
        check: honest_tests,
        broken: &[
            &[("tests/suite/limits.rs", "#[ignore]\nfn f() {}\n")],
            &[("tests/suite/limits.rs", "#[ignore = \"slow\"]\nfn f() {}\n")],
            &[("src/store/key.rs", "#[cfg(test)]\nmod t {\n#[should_panic]\nfn f() {}\n}\n")],
            &[("tests/suite/limits.rs", "use std::thread;\nfn f() { thread::sleep(A) }\n")],
            &[("src/store/tests.rs", "use tokio::time::sleep;\n")],
            &[("src/store/tests.rs", "use tokio::time::{Duration, sleep};\n")],
        ],
        clean: &[
            ("src/federation/peer.rs", "async fn f() { tokio::time::sleep(delay).await }\n"),
            ("tests/suite/support/eventually.rs", "fn f() { std::thread::sleep(A) }\n"),
            ("tests/suite/limits.rs", "const A: &str = \"thread::sleep\";\n"),
        ],
    },
    Rule {
        asks: "nothing that ships unwraps",
        check: unwraps,
        broken: &[
            &[("src/store/key.rs", "fn f() { a.unwrap() }\n")],
            &[("src/main.rs", "fn f() {\n a\n    .unwrap_err();\n}\n")],
        ],
        clean: &[
            (
                "src/store/key.rs",
                "//! Never `.unwrap()`.\nfn f() { a.unwrap_or(1) }\n#[cfg(test)]\nmod t { fn g() { a.unwrap() } }\n",
            ),
            ("tests/suite/limits.rs", "fn f() { a.unwrap() }\n"),
        ],
    },
    Rule {
        asks: "words are spelled the American way",
        check: spelling,
        broken: &[
            &[("src/store/key.rs", "/// The behaviour of a key.\n")],
            &[("src/store/key.rs", "fn is_authorised() {}\n")],
            &[("README.md", "The colour of a certificate.\n")],
        ],
        clean: &[("src/store/key.rs", "/// Behavior; optimistic; a licensed center.\n")],
    },
];

//----------- Opening and size -----------------------------------------------

fn module_docs(tree: &Tree) -> Vec<Complaint> {
    let silent = tree.rust().filter(|source| !source.text.starts_with("//!"));
    silent
        .map(|source| source.complain(0, "open the file with `//!`: what it is and what it is not"))
        .collect()
}

fn file_sizes(tree: &Tree) -> Vec<Complaint> {
    let sources = tree.rust().filter(|source| source.path.starts_with("src/"));
    let sized = sources.map(|source| (source, lines_without_tests(source)));
    sized
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(source, lines)| {
            let message =
                format!("{lines} lines (at most {FILE_LINES_MAX}): split it where the meaning splits");
            Complaint::about(&source.path, message)
        })
        .collect()
}

/// Lines of the file that hold no test code.
fn lines_without_tests(source: &Source) -> usize {
    let tests = source.tests.lines().filter(|line| !line.trim().is_empty()).count();
    if tests > 0 && source.production.trim().is_empty() { 0 } else { source.text.lines().count() - tests }
}

fn function_sizes(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in tree.rust() {
        for (offset, name, body) in functions(&source.code) {
            let lines = body.lines().skip(1).filter(|line| !line.trim().is_empty()).count().saturating_sub(1);
            if lines > FUNCTION_LINES_MAX {
                let message = format!("`{name}` has {lines} lines (at most {FUNCTION_LINES_MAX}): split it");
                complaints.push(source.complain(offset, message));
            }
        }
    }
    complaints
}

/// Offset, name and body of every function that has a body.
fn functions(code: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    words(code, "fn ").filter_map(|offset| {
        let signature = code.get(offset + 3..)?;
        let name = signature.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()?;
        let body = signature.get(body_offset(signature)?..)?;
        Some((offset, name, body.get(..block_len(body))?))
    })
}

/// Where the body of a signature begins; `None` for a declaration.
fn body_offset(signature: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in signature.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'{' if depth == 0 => return Some(at),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Offsets of `word` in `text` where no letter, digit or `_` stands before it.
fn words<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(word).map(|(offset, _)| offset).filter(|offset| {
        let before = text.get(..*offset).and_then(|before| before.chars().next_back());
        !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    })
}

//----------- Names and words ------------------------------------------------

fn names(tree: &Tree) -> Vec<Complaint> {
    const ADVICE: &str = "says nothing about what is inside: find its noun";
    let mut complaints = Vec::new();
    for source in tree.rust() {
        let path = source.path.trim_end_matches(".rs");
        for segment in path.split('/').filter(|segment| is_nameless(segment)) {
            complaints.push(Complaint::about(&source.path, format!("`{segment}` {ADVICE}")));
        }
        for offset in words(&source.code, "mod ") {
            let after = source.code.get(offset + 4..).unwrap_or_default();
            let name = after.split([';', '{', ' ']).next().unwrap_or_default();
            if is_nameless(name) {
                complaints.push(source.complain(offset, format!("`{name}` {ADVICE}")));
            }
        }
    }
    complaints
}

fn is_nameless(segment: &str) -> bool {
    segment.split('_').any(|piece| NAMELESS.contains(&piece))
}

fn leftovers(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in tree.files().filter(|source| source.path != "LICENSE" && source.path != "Cargo.lock") {
        for offset in words(&source.words, "FIXME") {
            complaints.push(source.complain(offset, "FIXME: repair it before it lands"));
        }
        for offset in words(&source.words, "TODO") {
            let line = source.words.get(offset..).and_then(|rest| rest.lines().next()).unwrap_or_default();
            if !["when", "once", "until"].iter().any(|condition| line.contains(condition)) {
                complaints
                    .push(source.complain(offset, "TODO: say when it can be done (`TODO when …`), or do it"));
            }
        }
        for leftover in ["dbg!", "todo!", "unimplemented!"] {
            let places = words(&source.code, leftover);
            complaints
                .extend(places.map(|offset| source.complain(offset, format!("`{leftover}` is left over"))));
        }
    }
    complaints
}

fn honest_tests(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in tree.rust().filter(|source| source.path != WAITING_FILE) {
        for attribute in ["#[ignore", "#[should_panic"] {
            let message = format!("`{attribute}`: a test runs always and asserts what it expects");
            complaints.extend(
                source.code.match_indices(attribute).map(|(offset, _)| source.complain(offset, &message)),
            );
        }
        for name in crate::paths::named(&source.tests) {
            if matches!(name.segments.as_slice(), [.., "thread" | "time", "sleep"]) {
                complaints
                    .push(source.complain(name.offset, "a sleep: wait for a condition with a deadline"));
            }
        }
    }
    complaints
}

fn unwraps(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for source in tree.rust() {
        for call in [".unwrap()", ".unwrap_err()"] {
            let message = format!("`{call}`: return the error, or `expect` with the invariant as its text");
            let places = source.production.match_indices(call);
            complaints.extend(places.map(|(offset, _)| source.complain(offset, &message)));
        }
    }
    complaints
}

fn spelling(tree: &Tree) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let is_read = |path: &str| {
        ["src/", "proto/", "config/", "deploy/"].iter().any(|folder| path.starts_with(folder))
            || path.starts_with("docs/")
            || !path.contains('/') && path.ends_with(".md")
    };
    for source in tree.files().filter(|source| is_read(&source.path)) {
        let text = source.text.to_ascii_lowercase();
        for (british, american) in SPELLINGS {
            let places = text.match_indices(british).filter(|(offset, _)| {
                let before = text.get(..*offset).and_then(|before| before.chars().next_back());
                !before.is_some_and(char::is_alphanumeric)
            });
            let message = format!("`{british}…` is spelled `{american}…` here");
            complaints.extend(places.map(|(offset, _)| source.complain(offset, &message)));
        }
    }
    complaints
}

//----------- Examples -------------------------------------------------------

/// Ten of the same.
macro_rules! ten {
    ($line:expr) => {
        concat!($line, $line, $line, $line, $line, $line, $line, $line, $line, $line)
    };
}

/// A file of one function of a thousand lines.
const LONG: &str = concat!("fn f() {\n", ten!(ten!(ten!(ten!("    g();\n")))), "}\n");
