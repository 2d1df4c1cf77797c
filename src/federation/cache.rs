//! A cache of public answers of other nodes, bounded by the TTLs of their values.
//!
//! An answer is valid for the least TTL of its values, absence for ten seconds, nothing longer than a day. A cached
//! answer is returned with the remaining TTL. Referrals are not cached, so that a moved site takes effect at once.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::model::limits::TTL_DEFAULT_SECONDS;
use crate::model::value::{Ttl, Value};

use super::question::{PeerAnswer, PeerValues, QuestionKey};

/// Seconds for which an absence is cached.
const ABSENCE_SECONDS: u32 = 10;
/// Seconds for which any answer is cached at most.
const AGE_SECONDS_MAX: u32 = TTL_DEFAULT_SECONDS;
/// Bytes of an answer that count as one answer; a larger one counts as several.
const ANSWER_BYTES: usize = 1_024;

//----------- AnswerCache ----------------------------------------------------

/// A bounded cache of answers.
pub(super) struct AnswerCache {
    entries: Cache<QuestionKey, Arc<CachedAnswer>, AnswerSize>,
}

/// An answer with the time of its insertion and of its expiry.
struct CachedAnswer {
    answer: PeerAnswer,
    cached_ms: u64,
    until_ms: u64,
}

#[derive(Clone)]
struct AnswerSize;

impl Weighter<QuestionKey, Arc<CachedAnswer>> for AnswerSize {
    fn weight(&self, _key: &QuestionKey, cached: &Arc<CachedAnswer>) -> u64 {
        let bytes: usize = match &cached.answer {
            PeerAnswer::Values(found) => found.values.iter().map(Value::encoded_bytes).sum(),
            PeerAnswer::NoIdentifier
            | PeerAnswer::NoValues
            | PeerAnswer::Elsewhere { .. }
            | PeerAnswer::Unknown => 0,
        };
        u64::try_from(1 + bytes / ANSWER_BYTES).unwrap_or(u64::MAX)
    }
}

impl AnswerCache {
    /// Creates a cache for this many answers of usual size.
    pub(super) fn new(answers: u64) -> Self {
        let items = usize::try_from(answers).unwrap_or(usize::MAX);
        Self { entries: Cache::with_weighter(items.min(1_000_000), answers, AnswerSize) }
    }

    /// Returns an answer that is still valid, with the remaining TTL.
    pub(super) fn get(&self, key: &QuestionKey, now_ms: u64) -> Option<PeerAnswer> {
        let cached = self.entries.get(key)?;
        // After the clock was set back, the age is unknown: the entry counts as expired.
        if now_ms >= cached.until_ms || now_ms < cached.cached_ms {
            self.entries.remove(key);
            return None;
        }
        let age_seconds = u32::try_from((now_ms - cached.cached_ms).div_ceil(1_000)).unwrap_or(u32::MAX);
        Some(aged(&cached.answer, age_seconds))
    }

    /// Inserts an answer, unless its TTL is 0 or it is a referral.
    pub(super) fn put(&self, key: QuestionKey, answer: &PeerAnswer, now_ms: u64) {
        let seconds = ttl_seconds(answer, now_ms / 1_000).min(AGE_SECONDS_MAX);
        if seconds == 0 {
            return;
        }
        let until_ms = now_ms.saturating_add(u64::from(seconds) * 1_000);
        let cached = CachedAnswer { answer: answer.clone(), cached_ms: now_ms, until_ms };
        self.entries.insert(key, Arc::new(cached));
    }
}

fn ttl_seconds(answer: &PeerAnswer, now_seconds: u64) -> u32 {
    match answer {
        PeerAnswer::Values(found) => {
            let remaining = found.values.iter().map(|value| value.ttl.remaining_seconds(now_seconds));
            remaining.min().unwrap_or(ABSENCE_SECONDS)
        }
        PeerAnswer::NoIdentifier | PeerAnswer::NoValues => ABSENCE_SECONDS,
        PeerAnswer::Elsewhere { .. } | PeerAnswer::Unknown => 0,
    }
}

fn aged(answer: &PeerAnswer, age_seconds: u32) -> PeerAnswer {
    let PeerAnswer::Values(found) = answer else {
        return answer.clone();
    };
    let age = |value: &Value| match value.ttl {
        Ttl::Relative(seconds) => {
            Value { ttl: Ttl::Relative(seconds.saturating_sub(age_seconds)), ..value.clone() }
        }
        Ttl::Absolute(_) => value.clone(),
    };
    PeerAnswer::Values(PeerValues { values: found.values.iter().map(age).collect(), ..found.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::question::PeerTarget;
    use super::super::question::{PeerAnswer, PeerQuestion, PeerValues};
    use super::AnswerCache;
    use crate::model::identifier::Identifier;
    use crate::model::value::{Index, Permissions, Ttl, Value, ValueType};

    fn asked(suffix: &str) -> PeerQuestion {
        let identifier = Identifier::parse(&format!("88.1/{suffix}")).expect("an identifier");
        PeerQuestion { identifier, indexes: Vec::new(), types: Vec::new(), path: Vec::new() }
    }

    fn answer_with(ttls: &[Ttl]) -> PeerAnswer {
        let value = |(index, ttl): (u32, &Ttl)| Value {
            index: Index::new(index).expect("an index"),
            value_type: ValueType::new("URL").expect("a type"),
            data: b"https://example.com".to_vec(),
            ttl: *ttl,
            permissions: Permissions::DEFAULT,
            references: Vec::new(),
            timestamp: 0,
        };
        let values = (1..).zip(ttls).map(value).collect();
        PeerAnswer::Values(PeerValues {
            identifier: asked("a").identifier,
            version: 1,
            values,
            changed_ms: 0,
        })
    }

    fn ttls(answer: Option<PeerAnswer>) -> Vec<Ttl> {
        match answer {
            Some(PeerAnswer::Values(found)) => found.values.iter().map(|value| value.ttl).collect(),
            other => panic!("no values: {other:?}"),
        }
    }

    #[test]
    fn an_answer_lives_for_the_least_ttl_of_its_values() {
        let cache = AnswerCache::new(100);
        let key = || asked("a").key(&PeerTarget::Upper);
        cache.put(
            key(),
            &answer_with(&[Ttl::Relative(60), Ttl::Relative(5), Ttl::Absolute(1_030)]),
            1_000_000,
        );
        let expected = [Ttl::Relative(58), Ttl::Relative(3), Ttl::Absolute(1_030)];
        assert_eq!(ttls(cache.get(&key(), 1_001_500)), expected);
        assert_eq!(cache.get(&key(), 1_005_000), None);
        cache.put(key(), &answer_with(&[Ttl::Relative(60), Ttl::Absolute(1_002)]), 1_000_000);
        assert!(cache.get(&key(), 1_001_999).is_some());
        assert_eq!(cache.get(&key(), 1_002_000), None);
    }

    #[test]
    fn absence_is_cached_for_ten_seconds_and_a_referral_not_at_all() {
        let cache = AnswerCache::new(100);
        cache.put(asked("a").key(&PeerTarget::Upper), &PeerAnswer::NoIdentifier, 1_000);
        assert_eq!(cache.get(&asked("a").key(&PeerTarget::Upper), 10_999), Some(PeerAnswer::NoIdentifier));
        assert_eq!(cache.get(&asked("a").key(&PeerTarget::Upper), 11_000), None);
        cache.put(asked("b").key(&PeerTarget::Upper), &PeerAnswer::Unknown, 1_000);
        assert_eq!(cache.get(&asked("b").key(&PeerTarget::Upper), 1_000), None);
        cache.put(asked("c").key(&PeerTarget::Upper), &answer_with(&[Ttl::Relative(0)]), 1_000);
        assert_eq!(cache.get(&asked("c").key(&PeerTarget::Upper), 1_000), None);
    }

    #[test]
    fn names_that_differ_by_case_are_cached_separately() {
        let cache = AnswerCache::new(100);
        cache.put(asked("a").key(&PeerTarget::Upper), &PeerAnswer::NoIdentifier, 0);
        assert_eq!(cache.get(&asked("A").key(&PeerTarget::Upper), 0), None);
    }
}
