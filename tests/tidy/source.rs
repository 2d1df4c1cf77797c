//! The tree under inspection: tracked files, and three views of each Rust file.
//!
//! ```text
//! text   ─┬─ words       literals blanked: what people wrote, comments included
//!         └─ code        literals and comments blanked
//!              ├─ production   code without `#[cfg(test)]` items
//!              └─ tests        only those items, or the whole file when it is a test file
//! ```
//! Blanking keeps every offset and every line, so that a place found in one view is the same place in the file.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

//----------- Tree -----------------------------------------------------------

/// The files of the repository.
pub(crate) struct Tree {
    files: Vec<Source>,
    names: BTreeSet<String>,
}

impl Tree {
    /// Loads what git tracks below `root`; without git, everything but hidden and built folders.
    pub(crate) fn load(root: &Path) -> Self {
        let mut names = tracked(root);
        if names.is_empty() {
            walk(root, "", &mut names);
        }
        // A tracked file that was just deleted is no longer part of the tree.
        let files = names.iter().filter_map(|name| Some((name.clone(), fs::read(root.join(name)).ok()?)));
        Self::build(files.map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap_or_default())))
    }

    /// A tree of the given texts, for the rules' own tests.
    pub(crate) fn from_texts(files: &[(&str, &str)]) -> Self {
        Self::build(files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
    }

    fn build(files: impl Iterator<Item = (String, String)>) -> Self {
        let files: Vec<Source> = files.map(|(path, text)| Source::new(path, text)).collect();
        let names = files.iter().map(|file| file.path.clone()).collect();
        Self { files, names }
    }

    /// Every file, text or not; a file that is not UTF-8 has an empty text.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Source> {
        self.files.iter()
    }

    /// The Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.files().filter(|file| file.path.ends_with(".rs"))
    }

    /// Whether a file or a folder of this path is in the tree.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let folder = format!("{path}/");
        self.names.contains(path)
            || self.names.range(folder.clone()..).next().is_some_and(|name| name.starts_with(&folder))
    }

    /// The first segments of all paths.
    pub(crate) fn top_level(&self) -> BTreeSet<&str> {
        self.names.iter().filter_map(|name| name.split('/').next()).collect()
    }
}

/// What git tracks; empty where there is no git or no repository.
fn tracked(root: &Path) -> Vec<String> {
    let listing = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output();
    let stdout = listing.map(|output| output.stdout).unwrap_or_default();
    let names = stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

/// Collects the files below `root`/`folder`, leaving out hidden entries (except `.ci`) and `target`.
fn walk(root: &Path, folder: &str, names: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "target" || (name.starts_with('.') && name != ".ci") {
            continue;
        }
        let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if entry.path().is_dir() {
            walk(root, &path, names);
        } else {
            names.push(path);
        }
    }
}

//----------- Source ---------------------------------------------------------

/// One file and its views.
pub(crate) struct Source {
    /// Path from the root of the repository.
    pub(crate) path: String,
    /// As it is on disk.
    pub(crate) text: String,
    /// Without literals.
    pub(crate) words: String,
    /// Without literals and comments.
    pub(crate) code: String,
    /// The code that ships.
    pub(crate) production: String,
    /// The code that tests.
    pub(crate) tests: String,
}

impl Source {
    fn new(path: String, text: String) -> Self {
        if !path.ends_with(".rs") {
            let (words, none) = (text.clone(), String::new());
            return Self { path, text, words, code: none.clone(), production: none.clone(), tests: none };
        }
        let words = blank(&text, |piece| piece == Piece::Literal);
        let code = blank(&text, |piece| piece != Piece::Code);
        let (production, tests) =
            if is_test_file(&path) { (spaces(&code), code.clone()) } else { divide(&code) };
        Self { path, text, words, code, production, tests }
    }

    /// A complaint about the line that holds `offset`.
    pub(crate) fn complain(&self, offset: usize, message: impl Into<String>) -> Complaint {
        let line = self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        Complaint { path: self.path.clone(), line, message: message.into() }
    }
}

fn is_test_file(path: &str) -> bool {
    let inside_src = path.starts_with("src/");
    if inside_src {
        path.ends_with("/tests.rs") || path.contains("/tests/")
    } else {
        path.starts_with("tests/")
    }
}

/// Parts production from tests: each `#[cfg(test)]` item goes to the second view.
fn divide(code: &str) -> (String, String) {
    const MARK: &str = "#[cfg(test)]";
    let (mut production, mut tests, mut rest) = (String::new(), String::new(), code);
    while let Some((before, item)) = rest.find(MARK).map(|at| rest.split_at(at)) {
        let opening = item.find(['{', ';']).unwrap_or(item.len());
        let (item, after) = item.split_at(opening + block_len(item.get(opening..).unwrap_or_default()));
        production.extend([before, &spaces(item)]);
        tests.extend([&spaces(before), item]);
        rest = after;
    }
    production.push_str(rest);
    tests.push_str(&spaces(rest));
    (production, tests)
}

/// Length of the braced block that `code` begins with; of one character when it begins with none.
pub(crate) fn block_len(code: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

/// The same shape, with nothing in it.
fn spaces(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

//----------- Piece ----------------------------------------------------------

/// What a stretch of Rust text is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece {
    Code,
    Comment,
    Literal,
}

/// Copies `text`, blanking the pieces that `hides` names.
fn blank(text: &str, hides: fn(Piece) -> bool) -> String {
    let (mut shown, mut rest, mut after_word) = (String::with_capacity(text.len()), text, false);
    while !rest.is_empty() {
        let (piece, length) = next_piece(rest, after_word);
        let (head, tail) = rest.split_at_checked(length).unwrap_or((rest, ""));
        after_word = head.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        if hides(piece) {
            shown.push_str(&spaces(head))
        } else {
            shown.push_str(head)
        }
        rest = tail;
    }
    shown
}

/// What `rest` begins with, and its length in bytes. `after_word` says that a letter stands before it.
fn next_piece(rest: &str, after_word: bool) -> (Piece, usize) {
    let first = rest.chars().next().map_or(1, char::len_utf8);
    if rest.starts_with("//") {
        return (Piece::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Piece::Comment, block_comment_len(rest));
    }
    if let Some(length) = raw_string_len(rest).filter(|_| !after_word) {
        return (Piece::Literal, length);
    }
    if rest.starts_with('"') {
        return (Piece::Literal, quoted_len(rest, '"'));
    }
    let mut following = rest.chars().skip(1);
    match (rest.starts_with('\''), following.next(), following.next()) {
        (true, Some('\\'), _) | (true, _, Some('\'')) => (Piece::Literal, quoted_len(rest, '\'')),
        _ => (Piece::Code, first),
    }
}

fn block_comment_len(rest: &str) -> usize {
    let mut depth = 0_usize;
    for (at, pair) in rest.as_bytes().windows(2).enumerate() {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && pair == b"*/" {
            return at + 2;
        }
    }
    rest.len()
}

/// Length of a raw string, when `rest` begins with one.
fn raw_string_len(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let fence = body.len() - body.trim_start_matches('#').len();
    let body = body.trim_start_matches('#').strip_prefix('"')?;
    let closing = format!("\"{}", "#".repeat(fence));
    let end = body.find(&closing)? + closing.len();
    Some(rest.len() - body.len() + end)
}

/// Length of a literal closed by an unescaped `quote`.
fn quoted_len(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        if !escaped && character == quote {
            return at + 1;
        }
        escaped = !escaped && character == '\\';
    }
    rest.len()
}

//----------- Complaint ------------------------------------------------------

/// A place that breaks a rule, and what would be right.
pub(crate) struct Complaint {
    path: String,
    line: usize,
    message: String,
}

impl Complaint {
    /// A complaint about a whole path.
    pub(crate) fn about(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: 1, message: message.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

//----------- Tests ----------------------------------------------------------

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str) -> Source {
        Source::new("src/a.rs".to_owned(), text.to_owned())
    }

    #[test]
    fn literals_and_comments_are_blanked_in_place() {
        let source =
            view("let a = \"x//y\\\"\"; // why\nlet b: &'a u8 = b'\\''; /* a /* b */ c */ r#\"\"q\"#;\n");
        assert_eq!(source.code.len(), source.text.len());
        assert_eq!(
            source.code.split_whitespace().collect::<Vec<_>>().join(" "),
            "let a = ; let b: &'a u8 = b ; ;"
        );
        assert!(source.words.contains("// why") && !source.words.contains("x//y"));
    }

    #[test]
    fn test_items_are_parted_from_production() {
        let source = view(
            "fn a() {}\n#[cfg(test)]\nmod tests;\nfn b() {}\n#[cfg(test)]\nmod t { fn c() {} }\nfn d() {}\n",
        );
        let production: Vec<&str> = source.production.split_whitespace().collect();
        assert_eq!(production.join(" "), "fn a() {} fn b() {} fn d() {}");
        assert!(source.tests.contains("fn c() {}") && !source.tests.contains("fn d"));
        assert_eq!(source.tests.len(), source.text.len());
    }
}
