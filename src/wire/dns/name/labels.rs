//! Labels of a name: segments of a prefix, and the index of a value.

use super::LABEL_OCTETS_MAX;
use crate::model::identifier::Prefix;
use crate::model::value::Index;

/// The label to the right of a segment that leaves no space for the mark.
pub(super) const LONG_SEGMENT: &str = "_";

//----------- Segments -------------------------------------------------------

/// How a segment is written as labels.
pub(super) enum SegmentForm {
    Plain,
    Marked,
    Long,
}

pub(super) fn segment_form(segment: &str) -> SegmentForm {
    if is_digits(segment.as_bytes()) {
        SegmentForm::Plain
    } else if segment.len() < LABEL_OCTETS_MAX {
        SegmentForm::Marked
    } else {
        SegmentForm::Long
    }
}

pub(super) fn segment_octets(segment: &str) -> usize {
    let mark = match segment_form(segment) {
        SegmentForm::Plain => 0,
        SegmentForm::Marked => 1,
        SegmentForm::Long => 1 + LONG_SEGMENT.len(),
    };
    1 + segment.len() + mark
}

/// The labels of a name from the root leftwards.
pub(super) struct Labels<'a> {
    pub(super) inner: core::iter::Peekable<core::iter::Rev<hickory_proto::rr::domain::LabelIter<'a>>>,
}

impl<'a> Labels<'a> {
    pub(super) fn peek(&mut self) -> Option<&'a [u8]> {
        self.inner.peek().copied()
    }

    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        self.inner.next()
    }
}

/// The kind of the labels next to the root.
pub(super) enum Segments {
    /// Segments, or none; other labels may follow.
    Prefix(Option<Prefix>),
    /// Segments, then the mark of a long segment with nothing left of it.
    Mark(Option<Prefix>),
    /// Segments, then what cannot be one.
    Nobody(Option<Prefix>),
}

pub(super) fn read_prefix(labels: &mut Labels<'_>) -> Segments {
    let mut text = String::new();
    let parse = |text: &str| Prefix::parse(text).ok();
    while let Some(label) = labels.peek() {
        let segment = match label.strip_prefix(LONG_SEGMENT.as_bytes()) {
            None if is_digits(label) => label,
            None => break,
            Some([]) => {
                labels.next();
                match labels.peek() {
                    None => return Segments::Mark(parse(&text)),
                    Some(long) if long.len() == LABEL_OCTETS_MAX && !is_digits(long) => long,
                    Some(_) => return Segments::Nobody(parse(&text)),
                }
            }
            Some(rest) if is_digits(rest) || rest.starts_with(LONG_SEGMENT.as_bytes()) => break,
            Some(rest) => rest,
        };
        // A dot within a label would otherwise divide segments.
        let is_one = segment.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        let Some(segment) = core::str::from_utf8(segment).ok().filter(|_| is_one) else {
            return Segments::Nobody(parse(&text));
        };
        let before = text.len();
        if before > 0 {
            text.push('.');
        }
        text.push_str(segment);
        text.make_ascii_lowercase();
        if Prefix::parse(&text).is_err() {
            text.truncate(before);
            return Segments::Nobody(parse(&text));
        }
        labels.next();
    }
    Segments::Prefix(parse(&text))
}

pub(super) fn read_index(label: &[u8]) -> Option<Index> {
    let digits = core::str::from_utf8(label.strip_prefix(b"_")?).ok()?;
    if digits.starts_with('0') || !is_digits(digits.as_bytes()) {
        return None;
    }
    Index::new(digits.parse().ok()?).ok()
}

pub(super) fn is(label: &[u8], own: &str) -> bool {
    label.eq_ignore_ascii_case(own.as_bytes())
}

pub(super) fn lower_text(label: &[u8]) -> Option<String> {
    core::str::from_utf8(label).ok().map(str::to_ascii_lowercase)
}

pub(super) fn is_digits(label: &[u8]) -> bool {
    label.iter().all(u8::is_ascii_digit)
}
