//! Pages: the bounds of one reply, and the tokens with which the next page is requested.
//!
//! A page takes its memory before its items are read, and ends early where there is none to spare: what was read is
//! answered, and the next page goes on from there.
//!
//! A token is opaque to clients and stays valid after restarts and changes. That of a list of identifiers is a cursor of the
//! store, which this front end does not look into; the others name the last item of the previous page.

use data_encoding::BASE64URL_NOPAD;
use prost::Message;
use tonic::Status;

use super::call::Call;
use super::memory;
use super::reply::{self, FrontRefusal};
use crate::model::identifier::Prefix;
use crate::model::limits::{MESSAGE_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX, VALUES_BYTES_MAX};
use crate::model::position::Position;
use crate::resolver::Cursor;

/// Bytes of a message that are reserved for everything except its items.
const MARGIN: usize = 64 * 1024;
/// Bytes of the tag and the length of one item.
const ITEM_OVERHEAD: usize = 8;

const _: () = assert!(2 * VALUES_BYTES_MAX + MARGIN < MESSAGE_BYTES_MAX, "any one item fits a message");

//----------- Page -----------------------------------------------------------

/// The items of one page, within the number asked for and the size of a message.
pub(super) struct Page<T> {
    items: Vec<T>,
    items_max: usize,
    space: MessageSpace,
}

impl<T: Message> Page<T> {
    /// A page of at most this many items; 0 means the default.
    pub(super) fn new(asked: u32) -> Self {
        let items_max = match usize::try_from(asked) {
            Ok(0) => PAGE_ITEMS_DEFAULT,
            Ok(asked) => asked.min(PAGE_ITEMS_MAX),
            Err(_) => PAGE_ITEMS_MAX,
        };
        Self { items: Vec::new(), items_max, space: MessageSpace::default() }
    }

    /// Number of further items that are wanted.
    pub(super) fn wanted(&self) -> usize {
        self.items_max - self.items.len()
    }

    /// Adds an item; false if the page is full.
    pub(super) fn take(&mut self, item: T) -> bool {
        let fits = self.wanted() > 0 && self.space.take(&item);
        if fits {
            self.items.push(item);
        }
        fits
    }

    /// The item added last.
    pub(super) fn last(&self) -> Option<&T> {
        self.items.last()
    }

    /// The items.
    pub(super) fn into_items(self) -> Vec<T> {
        self.items
    }
}

//----------- PageMemory -----------------------------------------------------

/// The memory of one page. Its first item may take what is left of a budget, so that every page that begins goes on; the
/// others leave half of it to calls that begin later.
pub(super) struct PageMemory<'c> {
    call: &'c Call,
    items: usize,
    /// Bytes that the items take.
    taken: usize,
    /// Bytes taken for items that are not there yet.
    ahead: usize,
}

impl<'c> PageMemory<'c> {
    /// The memory of a page without items.
    pub(super) fn new(call: &'c Call) -> Self {
        Self { call, items: 0, taken: 0, ahead: 0 }
    }

    /// Takes what so many items will need before they are read, if they are as large as those before them. False if the
    /// page must end.
    pub(super) fn take_ahead(&mut self, items: usize) -> Result<bool, Status> {
        let average = self.taken.checked_div(self.items).unwrap_or(memory::item_bytes(0, 0));
        self.hold(items * average)
    }

    /// Takes what an item needs, given its encoded length and the values in it. False if the page must end before it.
    pub(super) fn take(&mut self, encoded: usize, values: usize) -> Result<bool, Status> {
        // The item is there twice when the page is encoded.
        let bytes = memory::item_bytes(2 * encoded, values);
        if !self.hold(bytes)? {
            return Ok(false);
        }
        self.items += 1;
        self.taken += bytes;
        self.ahead -= bytes;
        Ok(true)
    }

    /// Has at least so many bytes ahead.
    fn hold(&mut self, bytes: usize) -> Result<bool, Status> {
        let more = bytes.saturating_sub(self.ahead);
        if self.items == 0 {
            self.call.take_memory(more)?;
        } else if !self.call.take_spare_memory(more) {
            return Ok(false);
        }
        self.ahead += more;
        Ok(true)
    }
}

//----------- MessageSpace ---------------------------------------------------

/// The bytes that are left in a message.
pub(super) struct MessageSpace {
    bytes_left: usize,
}

impl Default for MessageSpace {
    fn default() -> Self {
        Self { bytes_left: MESSAGE_BYTES_MAX - MARGIN }
    }
}

impl MessageSpace {
    /// The space that is left after reserving bytes for each of a number of items.
    pub(super) fn beyond(items: usize, reserved: usize) -> Self {
        let whole = Self::default().bytes_left;
        Self { bytes_left: whole.saturating_sub(items * (reserved + ITEM_OVERHEAD)) }
    }

    /// Takes the bytes of an item; false if they do not fit.
    pub(super) fn take(&mut self, item: &impl Message) -> bool {
        self.take_bytes(item.encoded_len() + ITEM_OVERHEAD)
    }

    /// Takes the bytes of an item beyond those reserved for it; false if they do not fit.
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

/// The token of the page after a cursor.
pub(super) fn token_of(cursor: &Cursor) -> String {
    BASE64URL_NOPAD.encode(cursor.as_bytes())
}

/// The token of the page after the item that a text names.
pub(super) fn token_after(text: &str) -> String {
    BASE64URL_NOPAD.encode(text.as_bytes())
}

/// The cursor after which a page begins; `read` makes it from bytes that are one of the list.
pub(super) fn cursor(
    token: &str,
    read: impl FnOnce(&[u8]) -> Option<Cursor>,
) -> Result<Option<Cursor>, Status> {
    decode(token, read)
}

/// The prefix after which a page begins.
pub(super) fn prefix_after(token: &str) -> Result<Option<Prefix>, Status> {
    decode(token, |bytes| Prefix::parse(str::from_utf8(bytes).ok()?).ok())
}

/// The token of the page before a change: its sequence, in the stream of what the history is of.
pub(super) fn token_before(change: Position) -> String {
    token_after(&change.sequence.to_string())
}

/// The change before which a page begins; `position_of` has the position of a sequence.
pub(super) fn change_before(
    token: &str,
    position_of: impl FnOnce(u64) -> Option<Position>,
) -> Result<Option<Position>, Status> {
    decode(token, |bytes| position_of(str::from_utf8(bytes).ok()?.parse().ok()?))
}

/// What a token holds; none without one.
fn decode<T>(token: &str, read: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok();
    match bytes.as_deref().and_then(read) {
        Some(item) => Ok(Some(item)),
        None => Err(reply::refused_here(&FrontRefusal::PageTokenInvalid)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Page, change_before, prefix_after, token_after, token_before};
    use crate::model::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
    use crate::model::position::{Incarnation, Position, Stream};
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
        let after = prefix_after(&token_after("88.118")).expect("a token of ours").expect("a prefix");
        assert_eq!(after.to_string(), "88.118");
        assert!(prefix_after("88.118").is_err(), "no token at all");
        // As the first release wrote it.
        let at = |sequence| Position { incarnation: Incarnation([1; 16]), stream: Stream::ONLY, sequence };
        assert_eq!(token_before(at(42)), "NDI");
        let position_of = |sequence| (sequence > 0).then(|| at(sequence));
        assert_eq!(change_before("NDI", position_of).expect("a token of ours"), Some(at(42)));
        assert_eq!(change_before("", position_of).expect("the first page"), None);
        for token in ["MA", "NDIh", "42"] {
            assert!(change_before(token, position_of).is_err(), "{token}: 0, 42!, and no token at all");
        }
    }
}
