//! The modules of the HTTP front end: a face names no other face, and what faces share names none.

use crate::Rule;
use crate::paths::{from_root, module_path, named};
use crate::source::{Complaint, Source, Tree};

/// The faces.
const FACES: &[&str] = &["handle_api", "pages", "operations"];

/// The rules of this file.
pub(crate) const RULES: &[Rule] = &[Rule {
    asks: "a face of the HTTP front end names no other face, and what faces share names none",
    check: faces,
    broken: &[
        &[("src/front/http/pages/mod.rs", "use super::handle_api::reply;\n")],
        &[("src/front/http/operations/openapi.rs", "use crate::front::http::pages::html;\n")],
        &[("src/front/http/transport/extract.rs", "use crate::front::http::operations::Operations;\n")],
    ],
    clean: &[
        (
            "src/front/http/pages/mod.rs",
            "use super::handle_json::reply;\nuse crate::front::http::pages::html;\nuse super::transport::guard;\n",
        ),
        ("src/front/http/mod.rs", "use self::pages;\n"),
    ],
}];

fn faces(tree: &Tree) -> Vec<Complaint> {
    let sources = tree.rust().filter(|source| source.path.starts_with("src/front/http/"));
    sources.flat_map(complaints).collect()
}

fn complaints(source: &Source) -> Vec<Complaint> {
    let module = module_path(&source.path);
    let ["front", "http", own, ..] = module.as_slice() else { return Vec::new() };
    let of_other_face = |path: &[&str]| match path {
        ["front", "http", face, ..] => FACES.contains(face) && face != own,
        _ => false,
    };
    let paths = named(&source.production);
    let found = paths
        .iter()
        .filter(|name| from_root(source, &name.segments).is_some_and(|path| of_other_face(&path)));
    let advice = "move what faces share to `handle_json`, `handle_semantics` or the transport";
    found.map(|name| source.complain(name.offset, advice)).collect()
}
