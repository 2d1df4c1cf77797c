//! Conditional requests: entity tags, `If-Match` and `If-None-Match` (RFC 9110 section 13).
//!
//! ```text
//!   "7-19ac61e3d52-9f0c4d1e"
//!    │ │           └ CRC-32C of the representation: another view of the same state has another tag
//!    │ └ when the record changed last: tells a restored store's versions from those that were lost
//!    └ the version of the record
//! ```
//! A read compares whole tags. A write is about the record, not about one view of it: version and time of change decide, and
//! the version is checked again where the command commits, so that no change between the read and the write is lost.

use core::fmt::Write as _;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use super::negotiation::members;
use super::rejection::Rejection;
use crate::registry::command::Precondition;

/// Tags of one request that are looked at.
const TAGS_MAX: usize = 256;
/// Bytes of the longest tag of ours.
const TAG_BYTES: usize = 2 + 20 + 1 + 16 + 1 + DIGEST_DIGITS;
/// Digits of the digest of a representation.
const DIGEST_DIGITS: usize = 8;
/// A version that no record reaches: a precondition on it fails, after the caller was found to be allowed the change.
const NO_VERSION: u64 = u64::MAX;

//----------- RecordState ----------------------------------------------------------

/// One state of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front::http) struct RecordState {
    /// Version of the record.
    pub(in crate::front::http) version: u64,
    /// Time of the last change, in milliseconds since 1970.
    pub(in crate::front::http) changed_ms: u64,
}

impl RecordState {
    /// The strong tag of a representation of this state.
    pub(in crate::front::http) fn tag(self, representation: &[u8]) -> String {
        // It tells views of one state apart and proves nothing. Another release may hash otherwise: then caches ask once more.
        let digest = crc32c::crc32c(representation);
        let mut tag = String::with_capacity(TAG_BYTES);
        // Writing to a String does not fail.
        let _written = write!(tag, "\"{}-{:x}-{digest:08x}\"", self.version, self.changed_ms);
        tag
    }

    /// The state that a tag of ours names.
    fn of_tag(tag: &str) -> Option<Self> {
        let mut parts = tag.strip_prefix('"')?.strip_suffix('"')?.split('-');
        let version = parts.next()?.parse().ok()?;
        let changed_ms = u64::from_str_radix(parts.next()?, 16).ok()?;
        let digest = parts.next()?;
        // Tags of an earlier release had 16 digits. What a write is about is the record, not the digest.
        let is_whole = matches!(digest.len(), DIGEST_DIGITS | 16) && parts.next().is_none();
        is_whole.then_some(Self { version, changed_ms })
    }
}

//----------- Conditions -----------------------------------------------------

/// The conditions of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::front::http) struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

/// The states that a condition names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    /// Any state at all.
    Any,
    /// These tags, and whether each is weak.
    These(Vec<(bool, String)>),
}

impl Conditions {
    /// The conditions that the headers state. What cannot be read is refused: to pass it over would change what the client
    /// wanted to protect.
    pub(in crate::front::http) fn of(headers: &HeaderMap) -> Result<Self, Rejection> {
        Ok(Self {
            if_match: Tags::of(headers, &header::IF_MATCH)?,
            if_none_match: Tags::of(headers, &header::IF_NONE_MATCH)?,
        })
    }

    /// Whether none is stated.
    pub(in crate::front::http) fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// What must hold when a write commits, by the present state of its record; none when there is no such record
    /// (RFC 9110 section 13.2.2).
    pub(in crate::front::http) fn precondition(&self, present: Option<RecordState>) -> Precondition {
        let excluded = match (&self.if_none_match, present) {
            (None, _) => Precondition::None,
            (Some(Tags::Any), _) => Precondition::Absent,
            (Some(Tags::These(tags)), Some(present))
                if tags.iter().any(|(_, tag)| RecordState::of_tag(tag) == Some(present)) =>
            {
                Precondition::Version(NO_VERSION)
            }
            (Some(Tags::These(_)), _) => Precondition::None,
        };
        match (&self.if_match, excluded, present) {
            (None, excluded, _) => excluded,
            // A record cannot be both present and absent, so that no write satisfies both.
            (Some(_), Precondition::Absent | Precondition::Version(_), _) => {
                Precondition::Version(NO_VERSION)
            }
            (Some(Tags::Any), _, _) => Precondition::Present,
            (Some(Tags::These(tags)), _, Some(present))
                if tags
                    .iter()
                    .any(|(is_weak, tag)| !is_weak && RecordState::of_tag(tag) == Some(present)) =>
            {
                Precondition::Version(present.version)
            }
            (Some(Tags::These(_)), _, _) => Precondition::Version(NO_VERSION),
        }
    }

    /// The outcome of a conditional read of a representation with this tag.
    pub(in crate::front::http) fn judge_read(&self, tag: &str) -> ReadOutcome {
        if self.if_match.as_ref().is_some_and(|tags| !tags.hold(tag, Comparison::Strong)) {
            return ReadOutcome::Failed;
        }
        if self.if_none_match.as_ref().is_some_and(|tags| tags.hold(tag, Comparison::Weak)) {
            return ReadOutcome::NotModified;
        }
        ReadOutcome::Shown
    }
}

/// The outcome of a conditional read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front::http) enum ReadOutcome {
    /// The representation is sent.
    Shown,
    /// The client has it already: 304.
    NotModified,
    /// The condition fails: 412.
    Failed,
}

/// How tags are compared (RFC 9110 section 8.8.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

impl Tags {
    fn of(headers: &HeaderMap, name: &header::HeaderName) -> Result<Option<Self>, Rejection> {
        if !headers.contains_key(name) {
            return Ok(None);
        }
        let wrong =
            || Rejection::malformed(&format!("{name} holds neither * nor entity tags such as \"7-0-0\""));
        let mut tags = Vec::new();
        for field in headers.get_all(name) {
            let field = field.to_str().map_err(|_| wrong())?;
            if field.trim() == "*" {
                return Ok(Some(Self::Any));
            }
            for member in members(field) {
                let (is_weak, tag) = member.strip_prefix("W/").map_or((false, member), |tag| (true, tag));
                let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
                if tags.len() >= TAGS_MAX || inner.is_none_or(|inner| inner.contains('"')) {
                    return Err(wrong());
                }
                tags.push((is_weak, tag.to_owned()));
            }
        }
        if tags.is_empty() { Err(wrong()) } else { Ok(Some(Self::These(tags))) }
    }

    fn hold(&self, present: &str, comparison: Comparison) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags
                .iter()
                .any(|(is_weak, tag)| tag == present && (comparison == Comparison::Weak || !is_weak)),
        }
    }
}

/// Adds an entity tag to a response.
pub(in crate::front::http) fn add_tag(response: &mut Response, tag: String) {
    if let Ok(tag) = HeaderValue::from_maybe_shared(Bytes::from(tag)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

    use super::{Conditions, NO_VERSION, ReadOutcome, RecordState};
    use crate::registry::command::Precondition;

    const STATE: RecordState = RecordState { version: 7, changed_ms: 1_000 };

    fn conditions(fields: &[(HeaderName, &str)]) -> Conditions {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_str(value).expect("a header"));
        }
        Conditions::of(&headers).expect("conditions")
    }

    #[test]
    fn a_write_is_conditioned_on_the_state_whatever_view_of_it_was_seen() {
        let (one, other) = (STATE.tag(b"one"), STATE.tag(b"other"));
        assert_ne!(one, other);
        let older = RecordState { changed_ms: 999, ..STATE }.tag(b"one");
        let never = Precondition::Version(NO_VERSION);
        let check = |fields: &[(HeaderName, &str)], present: Option<RecordState>, expected: Precondition| {
            assert_eq!(conditions(fields).precondition(present), expected, "{fields:?}");
        };
        let present = Some(STATE);
        check(&[], present, Precondition::None);
        check(&[(header::IF_MATCH, &one)], present, Precondition::Version(7));
        check(&[(header::IF_MATCH, &format!("\"x\", {other}"))], present, Precondition::Version(7));
        check(&[(header::IF_MATCH, &format!("W/{one}"))], present, never);
        check(&[(header::IF_MATCH, &older)], present, never);
        check(&[(header::IF_MATCH, &one)], None, never);
        check(&[(header::IF_MATCH, "*")], None, Precondition::Present);
        check(&[(header::IF_NONE_MATCH, "*")], present, Precondition::Absent);
        check(&[(header::IF_NONE_MATCH, &format!("W/{one}"))], present, never);
        check(&[(header::IF_NONE_MATCH, &older)], present, Precondition::None);
        check(&[(header::IF_NONE_MATCH, "*"), (header::IF_MATCH, "*")], present, never);
        check(
            &[(header::IF_NONE_MATCH, &older), (header::IF_MATCH, &one)],
            present,
            Precondition::Version(7),
        );
    }

    #[test]
    fn a_read_is_conditioned_on_the_representation() {
        let tag = STATE.tag(b"one");
        let check = |name: &HeaderName, value: &str, expected: ReadOutcome| {
            assert_eq!(conditions(&[(name.clone(), value)]).judge_read(&tag), expected, "{name} {value}");
        };
        check(&header::IF_NONE_MATCH, &tag, ReadOutcome::NotModified);
        check(&header::IF_NONE_MATCH, &format!("\"a,b\", W/{tag}"), ReadOutcome::NotModified);
        check(&header::IF_NONE_MATCH, "*", ReadOutcome::NotModified);
        check(&header::IF_NONE_MATCH, &STATE.tag(b"other"), ReadOutcome::Shown);
        check(&header::IF_MATCH, &tag, ReadOutcome::Shown);
        check(&header::IF_MATCH, "*", ReadOutcome::Shown);
        check(&header::IF_MATCH, &format!("W/{tag}"), ReadOutcome::Failed);
        check(&header::IF_MATCH, "\"x\"", ReadOutcome::Failed);
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for value in ["", "7", "\"a", "a\"", "\"a\"b\"", "\"a\", *", "w/\"a\""] {
            let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(value))]);
            assert!(Conditions::of(&headers).is_err(), "{value}");
        }
    }
}
