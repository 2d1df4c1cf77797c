//! Misspelled names: which known name is likely meant.

/// Furthest that a misspelled name may be from the one it is taken for: this share of its letters, in percent.
const NEAREST_PERCENT_MAX: usize = 50;

/// The known name nearest to an unknown one, when it is near enough to be meant.
pub fn nearest(name: &str, known: impl IntoIterator<Item = impl Into<String>>) -> Option<String> {
    let far = |known: &String| strsim::damerau_levenshtein(name, known);
    let best = known.into_iter().map(Into::into).min_by_key(far)?;
    (far(&best) * 100 <= best.chars().count() * NEAREST_PERCENT_MAX).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelled_name_is_recognized_and_another_word_is_not() {
        let known = ["permissions", "type", "ttl"];
        assert_eq!(nearest("premissions", known).as_deref(), Some("permissions"));
        assert_eq!(nearest("tpye", known).as_deref(), Some("type"));
        assert_eq!(nearest("description", known), None);
    }
}
