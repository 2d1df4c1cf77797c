//! The rules of this codebase, checked on the source tree: layers, crate confinement, sizes, names, words, documents.
//!
//! Each rule is one row: what it asks, how it looks, small trees that break it and a clean one. The first test walks
//! the repository; the second proves on the small trees that every rule can fail and can pass. A complaint names file
//! and line, and what would be right. Run one with `cargo test --test tidy`.

#[path = "tidy/changes.rs"]
mod changes;
#[path = "tidy/codes.rs"]
mod codes;
#[path = "tidy/faces.rs"]
mod faces;
#[path = "tidy/form.rs"]
mod form;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/listening.rs"]
mod listening;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/papers.rs"]
mod papers;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/positions.rs"]
mod positions;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

use source::{Complaint, Tree};

//----------- Rule -----------------------------------------------------------

/// A small tree: file paths and their texts.
type Files = &'static [(&'static str, &'static str)];

/// One rule.
pub(crate) struct Rule {
    /// What the rule asks, as a sentence.
    asks: &'static str,
    /// Looks at a tree and complains.
    check: fn(&Tree) -> Vec<Complaint>,
    /// Small trees, each of which breaks the rule.
    broken: &'static [Files],
    /// A small tree that comes close and passes.
    clean: Files,
}

/// Every rule, in the order of the modules that hold them.
fn rules() -> impl Iterator<Item = &'static Rule> {
    let all = [
        imports::RULES,
        changes::RULES,
        positions::RULES,
        faces::RULES,
        codes::RULES,
        listening::RULES,
        form::RULES,
        words::RULES,
        names::RULES,
        papers::RULES,
    ];
    all.into_iter().flatten()
}

//----------- Tests ----------------------------------------------------------

/// The repository passes every rule.
#[test]
fn the_tree_is_tidy() {
    let tree = Tree::load(std::path::Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(tree.files().any(|file| file.path == "src/lib.rs"), "the walk did not find src/lib.rs");
    let mut lines = Vec::new();
    for rule in rules() {
        for complaint in (rule.check)(&tree) {
            lines.push(format!("{complaint}\n    rule: {}", rule.asks));
        }
    }
    assert!(lines.is_empty(), "{} complaints:\n{}\n", lines.len(), lines.join("\n"));
}

/// Every rule complains about each of its broken trees and about nothing in the clean one.
#[test]
fn every_rule_can_fail_and_can_pass() {
    for rule in rules() {
        assert!(!rule.broken.is_empty(), "no broken example for: {}", rule.asks);
        for files in rule.broken {
            let complaints = (rule.check)(&Tree::from_texts(files));
            assert!(!complaints.is_empty(), "{:?} passes: {}", files, rule.asks);
        }
        let complaints: Vec<String> =
            (rule.check)(&Tree::from_texts(rule.clean)).iter().map(ToString::to_string).collect();
        assert!(complaints.is_empty(), "{} fails on its clean example: {complaints:?}", rule.asks);
    }
}
