//! One name for one thing: a public type has a name of its own across the top-level modules.

use std::collections::{BTreeMap, BTreeSet};

use crate::Rule;
use crate::source::{Complaint, Source, Tree};

/// Names that several modules may use, and why. Types that only their own module sees are not looked at.
const RECURRING: &[(&str, &str)] = &[
    ("Error", "the error of the module that it is named with: store::error::Error, backup::Error"),
    ("Header", "of a journal entry; of a Handle message (RFC 3652)"),
    ("Page", "of a list; of metrics: both the term of their field"),
    ("Referral", "an answer of the core; its form in the Handle protocol (RFC 3652)"),
    ("Verification", "of a chain of trust; its form in the Handle protocol (RFC 3652)"),
];

/// Words that begin the definition of a type.
const DEFINITIONS: &[&str] = &["struct", "enum", "trait", "type"];

/// The rules of this file.
pub(crate) const RULES: &[Rule] = &[Rule {
    asks: "a public type has one name for one thing: no other top-level module defines it",
    check: one_name,
    broken: &[
        &[("src/store/mod.rs", "pub struct Batch;\n"), ("src/registry/mod.rs", "pub(crate) enum Batch {}\n")],
        &[
            ("src/store/mod.rs", "pub(in crate::store) type Batch = u8;\n"),
            ("src/front/dns.rs", "pub trait Batch {}\n"),
        ],
    ],
    clean: &[
        ("src/store/mod.rs", "pub struct Batch;\nstruct Own;\npub struct Header;\n// pub struct Noted;\n"),
        ("src/store/engine.rs", "pub struct Batch;\n"),
        ("src/wire/mod.rs", "struct Batch;\npub struct Header;\npub struct Noted;\npub(super) struct Own;\n"),
        ("src/key/mod.rs", "pub(super) struct Own;\npub fn structure(Batch: u8) {}\n"),
    ],
}];

fn one_name(tree: &Tree) -> Vec<Complaint> {
    let mut found: BTreeMap<&str, Vec<(&Source, usize)>> = BTreeMap::new();
    for source in tree.rust().filter(|source| source.path.starts_with("src/")) {
        for (offset, name) in public_types(&source.production) {
            found.entry(name).or_default().push((source, offset));
        }
    }
    let mut complaints = Vec::new();
    for (name, definitions) in found {
        let modules: BTreeSet<&str> =
            definitions.iter().filter_map(|(source, _)| top_module(source)).collect();
        if modules.len() < 2 || RECURRING.iter().any(|(recurring, _)| *recurring == name) {
            continue;
        }
        let modules: Vec<&str> = modules.into_iter().collect();
        let message = format!(
            "`{name}` is defined in {}: give each its own name, or argue for it in tests/tidy/names.rs",
            modules.join(" and ")
        );
        complaints
            .extend(definitions.iter().map(|(source, offset)| source.complain(*offset, message.clone())));
    }
    complaints
}

fn top_module(source: &Source) -> Option<&str> {
    let path = source.path.strip_prefix("src/")?;
    path.split('/').next().map(|first| first.trim_end_matches(".rs"))
}

/// Offset and name of each type at the top of a file that other modules can see.
fn public_types(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut offset = 0;
    code.split_inclusive('\n').filter_map(move |line| {
        let start = offset;
        offset += line.len();
        Some((start, public_type(line)?))
    })
}

fn public_type(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub")?;
    let rest = match rest.strip_prefix('(') {
        Some(limited) => {
            let (to, rest) = limited.split_once(')')?;
            if to == "super" {
                return None;
            }
            rest
        }
        None => rest,
    };
    let (kind, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
    let name = rest.split(|letter: char| !letter.is_alphanumeric()).next()?;
    (DEFINITIONS.contains(&kind) && !name.is_empty()).then_some(name)
}
