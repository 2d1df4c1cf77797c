//! Names: what the text of a handle means.
//!
//! A handle without a slash is a prefix, and means the record of that prefix: `88.118.8` is `0.NA/88.118.8`.

use crate::model::identifier::{Identifier, IdentifierError, Prefix};

/// The identifier that a handle names.
pub(in crate::front) fn identifier_of(handle: &str) -> Result<Identifier, IdentifierError> {
    if handle.contains('/') {
        return Identifier::parse(handle);
    }
    Prefix::parse(handle).map(|prefix| Identifier::of_prefix(&prefix))
}

/// The prefix that a handle names, as `88.118.8` or `0.NA/88.118.8`; none when it names another identifier.
pub(in crate::front) fn prefix_of(handle: &str) -> Result<Option<Prefix>, IdentifierError> {
    identifier_of(handle).map(|identifier| identifier.named_prefix())
}

/// The prefix under which an identifier is minted, and how its suffix begins; the beginning may be empty.
pub(in crate::front) fn minted_under(handle: &str) -> Result<(Prefix, String), IdentifierError> {
    let (prefix, start) = handle.split_once('/').unwrap_or((handle, ""));
    Ok((Prefix::parse(prefix)?, start.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{identifier_of, minted_under, prefix_of};
    use crate::model::identifier::{IdentifierError, Prefix};

    #[test]
    fn a_bare_prefix_names_its_own_record() {
        let text = |handle: &str| identifier_of(handle).map(|identifier| identifier.to_string());
        assert_eq!(text("88.118.8"), Ok("0.NA/88.118.8".to_owned()));
        assert_eq!(text("88.118.8/SN1"), Ok("88.118.8/SN1".to_owned()));
        assert_eq!(text(""), Err(IdentifierError::EmptyPrefix));
        assert_eq!(text("88.118.8/"), Err(IdentifierError::EmptySuffix));
    }

    #[test]
    fn a_prefix_is_named_barely_or_by_its_record() {
        let prefix = |text: &str| Prefix::parse(text).expect("a prefix");
        assert_eq!(prefix_of("88.118.8"), Ok(Some(prefix("88.118.8"))));
        assert_eq!(prefix_of("0.na/88.118.8"), Ok(Some(prefix("88.118.8"))));
        assert_eq!(prefix_of("88.118.8/SN1"), Ok(None));
        assert_eq!(prefix_of("88..8"), Err(IdentifierError::EmptySegment { position: 1 }));
    }

    #[test]
    fn a_minted_handle_states_its_prefix_and_perhaps_a_beginning() {
        let prefix = Prefix::parse("88.118.8").expect("a prefix");
        assert_eq!(minted_under("88.118.8"), Ok((prefix.clone(), String::new())));
        assert_eq!(minted_under("88.118.8/SN/1"), Ok((prefix, "SN/1".to_owned())));
        assert_eq!(minted_under("/SN"), Err(IdentifierError::EmptyPrefix));
    }
}
