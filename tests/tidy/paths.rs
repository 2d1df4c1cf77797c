//! The paths that a piece of code names: `a::b::c`, and every leaf of `use a::{b, c::{d, e}}`.

use crate::source::Source;

/// A path and where it stands.
#[derive(Debug)]
pub(crate) struct Named<'a> {
    /// Offset in the file.
    pub(crate) offset: usize,
    /// The segments, `*` included.
    pub(crate) segments: Vec<&'a str>,
}

/// Every path of two segments or more in `code`, which has neither literals nor comments.
pub(crate) fn named(code: &str) -> Vec<Named<'_>> {
    let mut reader = Reader { rest: code, total: code.len(), found: Vec::new() };
    let (mut before, mut continues) = (' ', false);
    while let Some(first) = reader.rest.chars().next() {
        if starts_word(first) && !is_word(before) {
            if continues || before == '.' {
                reader.take_word();
            } else {
                reader.path(&[])
            }
            (before, continues) = ('a', false);
        } else {
            continues = before == ':' && first == ':';
            before = first;
            reader.skip(first.len_utf8());
        }
    }
    reader.found
}

/// The path as seen from the root of the crate: `crate::`, `super::` and `self::` resolved. `None` for any other path.
pub(crate) fn from_root<'a>(source: &'a Source, segments: &[&'a str]) -> Option<Vec<&'a str>> {
    let mut module = module_path(&source.path);
    let mut rest = segments;
    match rest.split_first()? {
        (&"crate", tail) => (module, rest) = (Vec::new(), tail),
        (&"self", tail) => rest = tail,
        (&"super", _) => {}
        _ => return None,
    }
    while let Some((&"super", tail)) = rest.split_first() {
        module.pop();
        rest = tail;
    }
    module.extend(rest);
    Some(module)
}

/// The module of a file: `src/model/site.rs` is `model`, `site`.
pub(crate) fn module_path(path: &str) -> Vec<&str> {
    let inner = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    inner.split('/').filter(|segment| *segment != "mod" && *segment != "lib").collect()
}

//----------- Reader ---------------------------------------------------------

struct Reader<'a> {
    rest: &'a str,
    total: usize,
    found: Vec<Named<'a>>,
}

impl<'a> Reader<'a> {
    /// Reads one path whose beginning is `parents`, with all branches of its groups.
    fn path(&mut self, parents: &[&'a str]) {
        let offset = self.total - self.rest.len();
        let mut segments = parents.to_vec();
        segments.push(self.take_word());
        while let Some(next) = self.rest.strip_prefix("::") {
            self.rest = next;
            match next.chars().next() {
                Some('{') => return self.group(&segments),
                Some('*') => {
                    self.skip(1);
                    segments.push("*");
                }
                Some(first) if starts_word(first) => segments.push(self.take_word()),
                _ => break,
            }
        }
        if segments.len() > 1 {
            self.found.push(Named { offset, segments });
        }
    }

    /// Reads `{a, b::c, self as d}`.
    fn group(&mut self, parents: &[&'a str]) {
        self.skip(1);
        while let Some(first) = self.rest.chars().next() {
            if first == '}' {
                return self.skip(1);
            }
            if !starts_word(first) {
                self.skip(first.len_utf8());
                continue;
            }
            self.path(parents);
            if let Some(alias) = self.rest.strip_prefix(" as ") {
                self.rest = alias;
                self.take_word();
            }
        }
    }

    fn take_word(&mut self) -> &'a str {
        let end = self.rest.find(|character| !is_word(character)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

fn starts_word(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

//----------- Tests ----------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_opened_and_continuations_are_not_paths() {
        let code = "use crate::{front::{guard, http as h}, store};\nlet x = a.b::<C>(std::env::var); engine::fjall::open();";
        let paths: Vec<String> = named(code).iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(
            paths,
            [
                "crate::front::guard",
                "crate::front::http",
                "crate::store",
                "std::env::var",
                "engine::fjall::open"
            ]
        );
    }

    #[test]
    fn paths_are_seen_from_the_root() {
        let source = crate::source::Tree::from_texts(&[("src/front/dns/reply.rs", "")]);
        let source = source.files().next().expect("one file");
        assert_eq!(from_root(source, &["super", "super", "http"]), Some(vec!["front", "http"]));
        assert_eq!(from_root(source, &["crate", "store"]), Some(vec!["store"]));
        assert_eq!(from_root(source, &["std", "env"]), None);
    }
}
