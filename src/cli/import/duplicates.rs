//! Duplicates: which row of the file had an identifier first.
//!
//! Memory grows with the file, by about 40 bytes a row, unless duplicates are accepted. Identifiers are compared without ASCII case, as a node does by
//! default; that two differ in case only is said, for a node that tells them apart.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::super::error::Reason;
use super::accident::{Accident, Tolerance};

/// Identifiers of the rows so far, by digest.
#[derive(Default)]
pub(super) struct Duplicates(BTreeMap<[u8; 16], First>);

/// The first row of an identifier.
struct First {
    row: u32,
    /// The beginning of the digest of its spelling.
    spelling: [u8; 4],
}

impl Duplicates {
    /// Records the identifier of a row, or returns why an earlier row is in its way.
    pub(super) fn check(&mut self, identifier: &str, row: u64, tolerance: &Tolerance) -> Option<Reason> {
        if tolerance.accepts(Accident::Duplicates) {
            return None;
        }
        let key = digest(&identifier.to_ascii_lowercase());
        let spelling = digest(identifier);
        let Some(first) = self.0.get(&key) else {
            let row = u32::try_from(row).unwrap_or(u32::MAX);
            self.0.insert(key, First { row, spelling });
            return None;
        };
        let sentence = match first.spelling == spelling {
            true => format!("row {} has the same identifier", first.row),
            false => format!("row {} has the same identifier in another case", first.row),
        };
        Some(tolerance.found(Accident::Duplicates, sentence)?.reason())
    }
}

/// The beginning of the SHA-256 of a text.
fn digest<const N: usize>(text: &str) -> [u8; N] {
    let mut digest = [0; N];
    digest.iter_mut().zip(Sha256::digest(text)).for_each(|(to, from)| *to = from);
    digest
}

#[cfg(test)]
mod tests {
    use super::{Accident, Duplicates, Tolerance};

    #[test]
    fn the_row_that_had_an_identifier_first_is_named() {
        let mut duplicates = Duplicates::default();
        let strict = Tolerance::default();
        assert_eq!(duplicates.check("88/A", 2, &strict), None);
        assert_eq!(duplicates.check("88/B", 3, &strict), None);
        let same = duplicates.check("88/A", 9, &strict).expect("a duplicate");
        assert_eq!(same.code, "DUPLICATES");
        assert!(same.message.starts_with("row 2 has the same identifier;"), "{same}");
        let case = duplicates.check("88/b", 10, &strict).expect("a duplicate");
        assert!(case.message.starts_with("row 3 has the same identifier in another case;"), "{case}");
        assert_eq!(duplicates.check("88/A", 11, &Tolerance::of(&[Accident::Duplicates])), None);
    }

    #[test]
    fn nothing_is_remembered_where_duplicates_are_accepted() {
        let mut duplicates = Duplicates::default();
        assert_eq!(duplicates.check("88/A", 2, &Tolerance::of(&[Accident::Duplicates])), None);
        assert_eq!(duplicates.0.len(), 0);
    }
}
