//! The resolver: produces answers. It reads the store and never changes it; for callers that want it, it asks other nodes.
//!
//! ```text
//!   Question + Caller ─ governing prefix (longest match) ─▶ homed here: values or absent, as far as the caller may see
//!                                                        ├▶ delegated: referral
//!                                                        └▶ unknown: not responsible, with the upper node
//! ```
//! Questions under a suspended or revoked prefix are refused. `0.NA/<prefix>` is answered from the prefix entry: its
//! HS_SITE is the site that answers for the prefix, whatever else is registered under that name. With recursion, what the
//! site of a delegated prefix holds under that name belongs to the answer.

pub mod answer;

mod history;
mod paging;
mod prefix_record;
pub mod recursion;

pub mod counters;

#[cfg(test)]
mod tests;

pub use crate::store::Cursor;

use std::sync::Arc;

use crate::authority::administration::Record;
use crate::authority::caller::Caller;
use crate::authority::prefix::check_active;
use crate::authority::visibility::{Visibility, is_restricted};
use crate::authority::{Authority, unread};
use crate::federation::follow::Follower;
use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier, Prefix};
use crate::model::limits::{PAGE_ITEMS_MAX, SUFFIX_DIGEST_BYTES};
use crate::model::position::Position;
use crate::model::prefix::{Homing, PrefixEntry, PrefixStatus};
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::site::Site;
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use crate::store::Store;
use crate::store::directory::Directory;
use crate::store::entry::IdentifierEntry;
use crate::telemetry::bug;
use crate::wire::handle::site::encode_site;

use self::answer::{Absence, Answer, Found, NamesAsked, NotResponsible, Page, Question, Referral};
use self::counters::ResolverCounters;
use self::paging::{PageStart, Paging};

//----------- Resolver -------------------------------------------------------

/// Options of the resolver.
#[derive(Clone, Debug, Default)]
pub struct ResolverOptions {
    /// The upper node's address; none at the top.
    pub upper: Option<String>,
    /// The site that this node announces, if any, with the public half of the key that this node signs with.
    pub site: Option<Site>,
}

/// Produces answers. Clones share everything.
#[derive(Clone)]
pub struct Resolver {
    store: Store,
    authority: Authority,
    options: ResolverOptions,
    follower: Option<Follower>,
    paging: Arc<Paging>,
    counters: Arc<ResolverCounters>,
}

/// How a question is answered.
enum Route {
    /// The identifier is read; the prefix entry completes its values.
    Here(Arc<PrefixEntry>),
    /// The directory alone has the answer.
    Known(Answer),
}

impl Resolver {
    /// A resolver over a store.
    pub fn new(store: Store, authority: Authority, options: ResolverOptions) -> Self {
        let counters = Arc::new(ResolverCounters::default());
        Self { store, authority, options, follower: None, paging: Arc::new(Paging::new()), counters }
    }

    /// Answers one question.
    pub async fn answer(&self, caller: &Caller, question: &Question) -> Result<Answer, Problem> {
        let answers = self.answer_many(caller, std::slice::from_ref(question)).await?;
        let answer = answers.into_iter().next();
        Ok(answer.ok_or_else(|| bug("one answer for each question"))??)
    }

    /// Answers many questions with one read of the store, one answer for each, in their order.
    pub async fn answer_many(
        &self,
        caller: &Caller,
        questions: &[Question],
    ) -> Result<Vec<Result<Answer, Refusal>>, Failure> {
        let directory = self.store.directory();
        let routes: Vec<Result<Route, Refusal>> =
            questions.iter().map(|question| self.route(question, &directory)).collect();
        let name = |(question, route): (&Question, &Result<Route, Refusal>)| match route {
            Ok(Route::Here(_)) => Some(question.identifier.canonical(self.store.folding())),
            Ok(Route::Known(_)) | Err(_) => None,
        };
        let names: Vec<CanonicalIdentifier> = questions.iter().zip(&routes).filter_map(name).collect();
        let mut entries = self.store.identifiers(&names).await.map_err(|error| unread(&error))?.into_iter();
        let mut answers = Vec::with_capacity(questions.len());
        for (question, route) in questions.iter().zip(routes) {
            let answer = match route {
                Err(refusal) => Err(refusal),
                Ok(Route::Known(answer)) => Ok(answer),
                Ok(Route::Here(prefix)) => {
                    let entry = entries.next().ok_or_else(|| bug("one entry for each name read"))?;
                    match self.visibility(caller, question, entry.as_ref()).await {
                        Ok(visibility) => Ok(self.show(visibility, question, entry, &prefix)),
                        Err(Problem::Refused(refusal)) => Err(refusal),
                        Err(Problem::Failed(failure)) => return Err(failure),
                    }
                }
            };
            self.counters.count(&answer);
            answers.push(answer);
        }
        Ok(answers)
    }

    /// The part of a question's record that the caller may see.
    async fn visibility(
        &self,
        caller: &Caller,
        question: &Question,
        entry: Option<&IdentifierEntry>,
    ) -> Result<Visibility, Problem> {
        let values = entry.and_then(|entry| entry.values.as_ref()).map(Values::as_slice).unwrap_or_default();
        let selection = question.selection();
        let restricted = values.iter().any(|value| is_restricted(value) && selection.holds(value));
        let record = Record { identifier: &question.identifier, values };
        self.authority.visibility(caller, record, restricted).await
    }

    /// Decides by the prefix how a question is answered.
    fn route(&self, question: &Question, directory: &Directory) -> Result<Route, Refusal> {
        let prefix = question.identifier.governing_prefix();
        let Some(entry) = directory.governing(&prefix) else {
            let upper = self.options.upper.clone();
            return Ok(Route::Known(Answer::NotResponsible(NotResponsible { upper })));
        };
        check_active(entry)?;
        let own_name = question.identifier.named_prefix().is_some_and(|named| named == entry.prefix);
        match &entry.homing {
            // The record of a delegated prefix is answered here, since this node delegates it.
            Homing::Delegated(site) if !own_name => Ok(Route::Known(Answer::Referral(Referral {
                prefix: entry.prefix.clone(),
                site: site.clone(),
                unanswered: None,
            }))),
            Homing::Here | Homing::Delegated(_) => Ok(Route::Here(Arc::clone(entry))),
        }
    }

    /// The values that the caller asked for and may see.
    fn show(
        &self,
        visibility: Visibility,
        question: &Question,
        entry: Option<IdentifierEntry>,
        prefix: &PrefixEntry,
    ) -> Answer {
        let live =
            entry.and_then(|entry| Some((entry.identifier, entry.version, entry.changed_ms, entry.values?)));
        let derived = self.derived_site(&question.identifier, prefix);
        let (identifier, version, changed_ms, values) = match (live, &derived) {
            (Some(live), _) => live,
            (None, Some(_)) => (question.identifier.clone(), 0, prefix.changed_ms, Values::default()),
            (None, None) => return Answer::Absent(Absence::Identifier),
        };
        let mut values = values.into_vec();
        if let Some(site) = derived {
            insert_derived(&mut values, site);
        }
        let selection = question.selection();
        values.retain(|value| selection.holds(value));
        let withheld = visibility.apply(&mut values);
        if values.is_empty() {
            return Answer::Absent(Absence::Values(withheld));
        }
        Answer::Values(Found { identifier, version, values, changed_ms, authoritative: true, withheld })
    }

    /// The HS_SITE of `0.NA/<prefix>`, from its entry.
    fn derived_site(&self, identifier: &Identifier, prefix: &PrefixEntry) -> Option<Value> {
        identifier.named_prefix().filter(|named| *named == prefix.prefix)?;
        let site = match &prefix.homing {
            Homing::Here => self.options.site.as_ref()?,
            Homing::Delegated(site) => site,
        };
        let serial = u16::try_from(prefix.version % 65_536).unwrap_or(0);
        Some(Value {
            index: Index::new(1).ok()?,
            value_type: ValueType::new(ValueType::HS_SITE).ok()?,
            data: encode_site(site, serial, site.public_key().unwrap_or_default())?,
            ttl: Ttl::default(),
            permissions: Permissions::DEFAULT,
            references: Vec::new(),
            timestamp: u32::try_from(prefix.changed_ms / 1_000).unwrap_or(u32::MAX),
        })
    }

    /// Live identifiers of exactly this prefix, after a cursor. For readers of the prefix, and for administrators with the
    /// permission to list, which see only public values.
    pub async fn list(
        &self,
        caller: &Caller,
        prefix: &Prefix,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<Found>, Problem> {
        self.authority.check_list(caller, prefix).await?;
        let visibility = Visibility::of(caller, prefix);
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let page = self.store.list(prefix, after, limit).await.map_err(|error| unread(&error))?;
        let show = |entry: IdentifierEntry| {
            let mut values = entry.values?.into_vec();
            let withheld = visibility.apply(&mut values);
            let IdentifierEntry { identifier, version, changed_ms, .. } = entry;
            Some(Found { identifier, version, values, changed_ms, authoritative: true, withheld })
        };
        Ok(Page { items: page.items.into_iter().filter_map(show).collect(), next: page.next })
    }

    /// Only the names of what [`Resolver::list`] lists, for the same callers.
    pub async fn names(
        &self,
        caller: &Caller,
        prefix: &Prefix,
        asked: NamesAsked<'_>,
    ) -> Result<Page<Identifier>, Problem> {
        self.authority.check_list(caller, prefix).await?;
        let NamesAsked { after, skip, limit } = asked;
        let limit = limit.min(PAGE_ITEMS_MAX);
        let start = match after {
            _ if limit == 0 => None,
            Some(cursor) => Some(PageStart { after: Some(cursor.clone()), skip }),
            None => self.find_page(prefix, skip).await?,
        };
        match start {
            Some(start) => self.page_from(prefix, start, limit).await,
            None => Ok(Page { items: Vec::new(), next: None }),
        }
    }

    /// The cursor behind an identifier that [`Resolver::list`] has shown, for a page that ends before its last item.
    pub async fn cursor_after(&self, identifier: &Identifier) -> Result<Cursor, Failure> {
        self.store.cursor_after(identifier).await.map_err(|error| unread(&error))
    }

    /// The cursor of which a client has the bytes; none when they are not one of the list of this prefix.
    pub fn cursor(&self, prefix: &Prefix, bytes: &[u8]) -> Option<Cursor> {
        self.store.cursor(prefix, bytes)
    }

    /// The active prefixes homed here, in order; for administrators of this node.
    pub async fn homed_prefixes(&self, caller: &Caller) -> Result<Vec<Prefix>, Problem> {
        self.authority.check_node_reader(caller).await?;
        let directory = self.store.directory();
        let homed = directory
            .prefixes()
            .filter(|entry| entry.homing == Homing::Here && entry.status == PrefixStatus::Active);
        Ok(homed.map(|entry| entry.prefix.clone()).collect())
    }
}

/// What front ends need beside answers.
impl Resolver {
    /// The live identifier of a long suffix, by the digest of its canonical form, as registered.
    pub async fn by_digest(
        &self,
        prefix: &Prefix,
        digest: [u8; SUFFIX_DIGEST_BYTES],
    ) -> Result<Option<Identifier>, Failure> {
        let found = self.store.by_digest(prefix, &digest).await.map_err(|error| unread(&error))?;
        let Some(name) = found else {
            return Ok(None);
        };
        let present = self.store.identifiers(&[name]).await.map_err(|error| unread(&error))?;
        let live = present.into_iter().flatten().find(IdentifierEntry::is_live);
        Ok(live.map(|entry| entry.identifier))
    }

    /// The version of an identifier stored here and its last change, in milliseconds since 1970; none when it is not
    /// registered.
    pub async fn revision(&self, identifier: &Identifier) -> Result<Option<(u64, u64)>, Problem> {
        let name = identifier.canonical(self.store.folding());
        let present = self.store.identifiers(&[name]).await.map_err(|error| unread(&error))?;
        let live = present.into_iter().flatten().find(IdentifierEntry::is_live);
        Ok(live.map(|entry| (entry.version, entry.changed_ms)))
    }

    /// Whether any live identifier has this prefix or one below it.
    pub fn holds_within(&self, prefix: &Prefix) -> bool {
        self.store.holds_within(prefix)
    }

    /// Number of live identifiers of exactly this prefix.
    pub fn count_of(&self, prefix: &Prefix) -> u64 {
        self.store.count_of(prefix)
    }

    /// Prefixes and tokens as of the last durable change.
    pub fn directory(&self) -> Arc<Directory> {
        self.store.directory()
    }

    /// The end of the durable journal.
    pub fn head(&self) -> Position {
        self.store.head()
    }

    /// Number of entries of the journal so far: it grows with every change.
    pub fn journal_entries(&self) -> u64 {
        self.store.journal_entries()
    }

    /// The position of a sequence in the stream of an identifier's changes; none before the first entry.
    pub fn position_of(&self, sequence: u64) -> Option<Position> {
        self.store.lineage().position_of(sequence)
    }

    /// The folding of suffixes in this store.
    pub fn folding(&self) -> Folding {
        self.store.folding()
    }

    /// The site that this node announces, if any.
    pub fn site(&self) -> Option<&Site> {
        self.options.site.as_ref()
    }

    /// Fills a buffer with random bytes.
    pub fn fill_random(&self, bytes: &mut [u8]) {
        self.store.fill_random(bytes);
    }

    /// The time, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.store.now_ms()
    }

    /// Counts since the start.
    pub fn counters(&self) -> Arc<ResolverCounters> {
        Arc::clone(&self.counters)
    }
}

/// Puts a derived value at the lowest index that is free.
fn insert_derived(values: &mut Vec<Value>, derived: Value) {
    let mut free = 1;
    let mut position = 0;
    for value in values.iter() {
        if value.index.get() != free {
            break;
        }
        free += 1;
        position += 1;
    }
    if let Ok(index) = Index::new(free) {
        values.insert(position, Value { index, ..derived });
    }
}
