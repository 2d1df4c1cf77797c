//! Keys of the pieces of large entries. The keys of entries stand with their kinds.

/// The common beginning of the keys of all pieces of one cut: the table, and the name of the cut.
pub(super) fn pieces(table: u8, cut_name: u64) -> Vec<u8> {
    let mut key = vec![table];
    key.extend_from_slice(&cut_name.to_be_bytes());
    key
}

/// The key of a piece of a cut entry.
pub(super) fn piece(table: u8, cut_name: u64, piece: u16) -> Vec<u8> {
    let mut key = pieces(table, cut_name);
    key.extend_from_slice(&piece.to_be_bytes());
    key
}
