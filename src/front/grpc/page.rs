//! Pages: how much one reply holds, and the tokens by which the next page is asked for.
//!
//! A token is opaque to clients: it names the last item of the page before, so it stays good over restarts and over
//! changes in between.

use data_encoding::BASE64URL_NOPAD;
use prost::Message;
use tonic::Status;

use super::reply::{self, DoorRefusal};
use crate::model::identifier::{Identifier, Prefix};
use crate::model::limits::{MESSAGE_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, VALUES_BYTES_MAX};

/// Bytes of a message that are kept for what surrounds its items.
const MARGIN: usize = 64 * 1024;
/// Bytes that surround one item within its message: a tag and a length.
const ITEM_OVERHEAD: usize = 8;

const _: () = assert!(2 * VALUES_BYTES_MAX + MARGIN < MESSAGE_BYTES_MAX, "any one item fits a message");

//----------- Page -----------------------------------------------------------

/// The items of one page, within the number asked for and the size of a message.
pub(super) struct Page<T> {
    items: Vec<T>,
    items_max: usize,
    room: MessageRoom,
}

impl<T: Message> Page<T> {
    /// A page of so many items; 0 means the default.
    pub(super) fn new(asked: u32) -> Self {
        let items_max = match usize::try_from(asked) {
            Ok(0) => PAGE_ITEMS_DEFAULT,
            Ok(asked) => asked.min(PAGE_ITEMS_MAX),
            Err(_) => PAGE_ITEMS_MAX,
        };
        Self { items: Vec::new(), items_max, room: MessageRoom::default() }
    }

    /// How many more items are wanted.
    pub(super) fn wanted(&self) -> usize {
        self.items_max - self.items.len()
    }

    /// Takes an item, unless the page is full: then false.
    pub(super) fn take(&mut self, item: T) -> bool {
        let fits = self.wanted() > 0 && self.room.take(&item);
        if fits {
            self.items.push(item);
        }
        fits
    }

    /// Gives up the items.
    pub(super) fn into_items(self) -> Vec<T> {
        self.items
    }
}

//----------- MessageRoom ----------------------------------------------------

/// How many bytes a message has left.
pub(super) struct MessageRoom {
    bytes_left: usize,
}

impl Default for MessageRoom {
    fn default() -> Self {
        Self { bytes_left: MESSAGE_BYTES_MAX - MARGIN }
    }
}

impl MessageRoom {
    /// The room that is left when each of so many items has so many bytes of its own already.
    pub(super) fn beyond(items: usize, reserved: usize) -> Self {
        let whole = Self::default().bytes_left;
        Self { bytes_left: whole.saturating_sub(items * (reserved + ITEM_OVERHEAD)) }
    }

    /// Takes the bytes of an item, when there are so many.
    pub(super) fn take(&mut self, item: &impl Message) -> bool {
        self.take_bytes(item.encoded_len() + ITEM_OVERHEAD)
    }

    /// Takes the bytes that an item has beyond those reserved for it, when there are so many.
    pub(super) fn take_beyond(&mut self, item: &impl Message, reserved: usize) -> bool {
        self.take_bytes(item.encoded_len().saturating_sub(reserved))
    }

    fn take_bytes(&mut self, bytes: usize) -> bool {
        match self.bytes_left.checked_sub(bytes) {
            Some(left) => {
                self.bytes_left = left;
                true
            }
            None => false,
        }
    }
}

//----------- Tokens ---------------------------------------------------------

/// The token that goes on after an item that this text names.
pub(super) fn token_after(text: &str) -> String {
    BASE64URL_NOPAD.encode(text.as_bytes())
}

/// The identifier after which a page begins; it must be of the prefix that is listed.
pub(super) fn identifier_after(token: &str, prefix: &Prefix) -> Result<Option<Identifier>, Status> {
    after(token, |text| Identifier::parse(text).ok().filter(|identifier| identifier.prefix() == prefix))
}

/// The prefix after which a page begins.
pub(super) fn prefix_after(token: &str) -> Result<Option<Prefix>, Status> {
    after(token, |text| Prefix::parse(text).ok())
}

/// The sequence before which a page begins.
pub(super) fn sequence_before(token: &str) -> Result<Option<u64>, Status> {
    after(token, |text| text.parse().ok())
}

fn after<T>(token: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let text = BASE64URL_NOPAD.decode(token.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match text.as_deref().and_then(parse) {
        Some(item) => Ok(Some(item)),
        None => Err(reply::refused_here(&DoorRefusal::PageTokenInvalid)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, identifier_after, sequence_before, token_after};
    use crate::model::identifier::Prefix;
    use crate::model::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
    use crate::wire::proto;

    fn found(bytes: usize) -> proto::Found {
        proto::Found { identifier: "x".repeat(bytes), ..proto::Found::default() }
    }

    #[test]
    fn a_page_is_full_by_number() {
        let mut page = Page::new(2);
        assert!(page.take(found(1)));
        assert!(page.take(found(1)));
        assert!(!page.take(found(1)));
        assert_eq!(page.into_items().len(), 2);
        assert_eq!(Page::<proto::Found>::new(0).wanted(), PAGE_ITEMS_DEFAULT);
        assert_eq!(Page::<proto::Found>::new(u32::MAX).wanted(), PAGE_ITEMS_MAX);
    }

    #[test]
    fn a_page_is_full_by_size() {
        let mut page = Page::new(100);
        assert!(page.take(found(3_000_000)));
        assert!(!page.take(found(1_200_000)));
        assert!(page.take(found(1_000_000)), "a smaller one still fits");
    }

    #[test]
    fn a_token_leads_on_after_its_item_and_no_other_text_does() {
        let prefix = Prefix::parse("88.118").expect("a valid prefix");
        let token = token_after("88.118/a/b");
        let after = identifier_after(&token, &prefix).expect("a token of ours").expect("an identifier");
        assert_eq!(after.to_string(), "88.118/a/b");
        let other = Prefix::parse("88.119").expect("a valid prefix");
        assert!(identifier_after(&token, &other).is_err(), "a token of another list");
        assert!(identifier_after("88.118/a", &prefix).is_err(), "no token at all");
        assert_eq!(sequence_before(&token_after("42")).expect("a token of ours"), Some(42));
        assert_eq!(sequence_before("").expect("the first page"), None);
    }
}
