//! Prefixes, their notes, and tokens, held in memory as of the last durable block: they are few and small, and every request
//! reads prefixes and tokens.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::identifier::Prefix;
use crate::model::prefix::{Homing, PrefixEntry, PrefixNote};
use crate::model::token::{TokenEntry, TokenId};
use crate::store::journal::Subject;

/// A readable snapshot of all prefixes, notes and tokens.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    prefixes: BTreeMap<Prefix, Held<PrefixEntry>>,
    tokens: BTreeMap<TokenId, Held<TokenEntry>>,
    notes: BTreeMap<Prefix, Held<PrefixNote>>,
}

/// An entry, and the sequence of its last change. Prefixes and tokens are in one stream, whatever streams there are beside it.
#[derive(Clone, Debug)]
struct Held<T> {
    entry: Arc<T>,
    sequence: u64,
}

impl Directory {
    /// The entry of exactly this prefix.
    pub fn get(&self, prefix: &Prefix) -> Option<&Arc<PrefixEntry>> {
        self.prefixes.get(prefix).map(|held| &held.entry)
    }

    /// Sequence of the last change of exactly this prefix, in the stream of prefixes and tokens.
    pub fn prefix_sequence(&self, prefix: &Prefix) -> Option<u64> {
        self.prefixes.get(prefix).map(|held| held.sequence)
    }

    /// The entry that governs a prefix: the longest match.
    pub fn governing(&self, prefix: &Prefix) -> Option<&Arc<PrefixEntry>> {
        // Most prefixes that are asked about have an entry of their own: nothing is copied for these.
        self.get(prefix).or_else(|| prefix.ancestry().skip(1).find_map(|shorter| self.get(&shorter)))
    }

    /// The shortest prefix homed here that covers this one.
    pub fn topmost_homed(&self, prefix: &Prefix) -> Option<&Arc<PrefixEntry>> {
        let matches = prefix.ancestry().filter_map(|own| self.get(&own));
        matches.filter(|entry| entry.homing == Homing::Here).last()
    }

    /// Entries strictly below a prefix, in order.
    pub fn below<'a>(&'a self, prefix: &'a Prefix) -> impl Iterator<Item = &'a Arc<PrefixEntry>> {
        let after = self.prefixes.range(prefix.clone()..).map(|(_, held)| &held.entry);
        // Prefixes that merely begin with the same text ("88.1", "88.1-x", "88.1.5") are among those below.
        let same_text = move |entry: &&Arc<PrefixEntry>| begins_with(&entry.prefix, prefix);
        after.take_while(same_text).filter(|entry| prefix.covers(&entry.prefix) && entry.prefix != *prefix)
    }

    /// Every prefix, in order.
    pub fn prefixes(&self) -> impl Iterator<Item = &Arc<PrefixEntry>> {
        self.prefixes.values().map(|held| &held.entry)
    }

    /// The entry of a token.
    pub fn token(&self, id: TokenId) -> Option<&Arc<TokenEntry>> {
        self.tokens.get(&id).map(|held| &held.entry)
    }

    /// Sequence of the last change of a token, in the stream of prefixes and tokens.
    pub fn token_sequence(&self, id: TokenId) -> Option<u64> {
        self.tokens.get(&id).map(|held| held.sequence)
    }

    /// Every token, in order.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<TokenEntry>> {
        self.tokens.values().map(|held| &held.entry)
    }

    /// Whether a prefix was changed after a token was; a token that is not there never was.
    pub fn is_changed_after(&self, prefix: &Prefix, token: TokenId) -> bool {
        self.prefix_sequence(prefix) > self.token_sequence(token)
    }

    /// The note on exactly this prefix, also one that was removed and has no text.
    pub fn note(&self, prefix: &Prefix) -> Option<&Arc<PrefixNote>> {
        self.notes.get(prefix).map(|held| &held.entry)
    }

    /// Sequence of the last change of the note on exactly this prefix.
    pub fn note_sequence(&self, prefix: &Prefix) -> Option<u64> {
        self.notes.get(prefix).map(|held| held.sequence)
    }

    /// Sequence of the last change of a prefix, a token or a note; none for other subjects.
    pub(in crate::store) fn sequence_of(&self, subject: &Subject) -> Option<u64> {
        match subject {
            Subject::Prefix(canonical) => self.prefix_sequence(&Prefix::parse(canonical).ok()?),
            Subject::Token(id) => self.token_sequence(*id),
            Subject::Note(canonical) => self.note_sequence(&Prefix::parse(canonical).ok()?),
            Subject::Identifier(_) | Subject::Store => None,
        }
    }

    /// Sets a prefix entry's new state, written by this journal entry.
    pub fn put_prefix(&mut self, entry: PrefixEntry, sequence: u64) {
        self.prefixes.insert(entry.prefix.clone(), Held { entry: Arc::new(entry), sequence });
    }

    /// Sets a token entry's new state, written by this journal entry.
    pub fn put_token(&mut self, entry: TokenEntry, sequence: u64) {
        self.tokens.insert(entry.id, Held { entry: Arc::new(entry), sequence });
    }

    /// Sets the new state of a note, written by this journal entry.
    pub fn put_note(&mut self, note: PrefixNote, sequence: u64) {
        self.notes.insert(note.prefix.clone(), Held { entry: Arc::new(note), sequence });
    }
}

fn begins_with(prefix: &Prefix, start: &Prefix) -> bool {
    let head = prefix.as_str().as_bytes().get(..start.as_str().len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(start.as_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::Directory;
    use crate::model::identifier::Prefix;
    use crate::model::prefix::{Homing, PrefixEntry, PrefixStatus};

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).expect("a valid prefix")
    }

    fn directory(prefixes: &[&str]) -> Directory {
        let mut directory = Directory::default();
        for text in prefixes {
            let entry = PrefixEntry {
                prefix: prefix(text),
                homing: Homing::Here,
                status: PrefixStatus::Active,
                registrant: None,
                filing: None,
                version: 1,
                changed_ms: 0,
            };
            directory.put_prefix(entry, 1);
        }
        directory
    }

    #[test]
    fn the_longest_match_governs_and_the_shortest_is_topmost() {
        let directory = directory(&["88.118", "88.118.8", "99"]);
        let governing = directory.governing(&prefix("88.118.8.1")).expect("a match");
        assert_eq!(governing.prefix, prefix("88.118.8"));
        let topmost = directory.topmost_homed(&prefix("88.118.8.1")).expect("a match");
        assert_eq!(topmost.prefix, prefix("88.118"));
        assert!(directory.governing(&prefix("88")).is_none());
    }

    #[test]
    fn only_descendants_lie_below() {
        let directory = directory(&["88", "88.1", "88.1-x", "88.1.5", "88.10", "89"]);
        let parent = prefix("88.1");
        let below: Vec<_> = directory.below(&parent).map(|entry| entry.prefix.to_string()).collect();
        assert_eq!(below, ["88.1.5"]);
    }
}
