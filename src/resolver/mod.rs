//! The resolver: produces answers. It reads the store and never changes it, and asks other nodes for callers that wish it.
//!
//! ```text
//!   Question + Caller ─ governing prefix (longest match) ─▶ ours: values or absent, as far as the caller may see
//!                                                        ├▶ delegated: referral
//!                                                        └▶ unknown: not responsible, the upper node is named
//! ```
//! A suspended or revoked prefix is a refusal. `0.NA/<prefix>` is answered from the prefix entry: its HS_SITE follows
//! from who answers for the prefix, whatever else is registered there.

pub mod answer;
mod visibility;

mod administration;
pub mod credential;

mod history;
mod paging;
pub mod recursion;

pub mod counters;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier, Prefix};
use crate::model::identity::Identity;
use crate::model::limits::{PAGE_ITEMS_MAX, SUFFIX_DIGEST_BYTES};
use crate::model::position::Position;
use crate::model::prefix::{Homing, PrefixEntry, Standing};
use crate::model::site::Site;
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType, Values};
use crate::registry::caller::Caller;
use crate::registry::refusal::{Failure, Problem, Refusal};
use crate::store::Store;
use crate::store::directory::Directory;
use crate::store::entry::IdentifierEntry;
use crate::store::error::Error;
use crate::store::names::NameRange;
use crate::wire::handle::site::encode_site;

use self::answer::{Absence, Answer, Found, NamesAsked, NotResponsible, Page, Question, Referral};
use self::counters::ResolverCounters;
use self::paging::{PageStart, Paging};
use self::recursion::Onward;
use self::visibility::Visibility;

//----------- Resolver -------------------------------------------------------

/// What the resolver needs to know.
#[derive(Clone, Debug, Default)]
pub struct ResolverOptions {
    /// The upper node's address; none at the top.
    pub upper: Option<String>,
    /// The site at which this node answers, when it announces one.
    pub site: Option<Site>,
    /// The public half of the key that this node signs with, as HS_PUBKEY data: shown in each HS_SITE of its own.
    pub server_key: Vec<u8>,
    /// Identities that administer this node.
    pub administrators: Arc<[Identity]>,
}

/// Produces answers. Clones are the same resolver.
#[derive(Clone)]
pub struct Resolver {
    store: Store,
    options: ResolverOptions,
    onward: Option<Onward>,
    paging: Arc<Paging>,
    counters: Arc<ResolverCounters>,
}

/// Where a question leads.
enum Route {
    /// Read this identifier here; its values are completed from the entry.
    Here(CanonicalIdentifier, Arc<PrefixEntry>),
    /// Answered from the directory alone.
    Known(Answer),
}

impl Resolver {
    /// A resolver over a store.
    pub fn new(store: Store, options: ResolverOptions) -> Self {
        let counters = Arc::new(ResolverCounters::default());
        Self { store, options, onward: None, paging: Arc::new(Paging::new()), counters }
    }

    /// Answers one question.
    pub async fn answer(&self, caller: &Caller, question: &Question) -> Result<Answer, Problem> {
        let answers = self.answer_many(caller, std::slice::from_ref(question)).await?;
        let answer = answers.into_iter().next();
        Ok(answer.unwrap_or(Ok(Answer::Absent(Absence::Identifier)))?)
    }

    /// Answers many questions with one read of the store, in the order asked.
    pub async fn answer_many(
        &self,
        caller: &Caller,
        questions: &[Question],
    ) -> Result<Vec<Result<Answer, Refusal>>, Failure> {
        let directory = self.store.directory();
        let routes: Vec<Result<Route, Refusal>> =
            questions.iter().map(|question| self.route(question, &directory)).collect();
        let name = |route: &Result<Route, Refusal>| match route {
            Ok(Route::Here(name, _)) => Some(name.clone()),
            Ok(Route::Known(_)) | Err(_) => None,
        };
        let names: Vec<CanonicalIdentifier> = routes.iter().filter_map(name).collect();
        let mut entries = self.store.identifiers(&names).await.map_err(|error| failed(&error))?.into_iter();
        let mut answers = Vec::with_capacity(questions.len());
        for (question, route) in questions.iter().zip(routes) {
            let answer = match route {
                Err(refusal) => Err(refusal),
                Ok(Route::Known(answer)) => Ok(answer),
                Ok(Route::Here(_, prefix)) => {
                    let entry = entries.next().flatten();
                    let visibility = match caller {
                        Caller::Identity(holder) => {
                            Box::pin(self.visibility_of(holder, question, entry.as_ref())).await
                        }
                        Caller::Anonymous | Caller::Node | Caller::Token(_) => {
                            Ok(Visibility::of(caller, &question.identifier.governing_prefix()))
                        }
                    };
                    match visibility {
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

    /// Decides by prefix alone where a question leads.
    fn route(&self, question: &Question, directory: &Directory) -> Result<Route, Refusal> {
        let prefix = question.identifier.governing_prefix();
        let Some(entry) = directory.governing(&prefix) else {
            let upper = self.options.upper.clone();
            return Ok(Route::Known(Answer::NotResponsible(NotResponsible { upper })));
        };
        check_standing(entry)?;
        let canonical = || question.identifier.canonical(self.store.folding());
        let own_name = question.identifier.named_prefix().is_some_and(|named| named == entry.prefix);
        match &entry.homing {
            // The name of a delegated prefix is still answered here: it is this node that delegates.
            Homing::Delegated(site) if !own_name => Ok(Route::Known(Answer::Referral(Referral {
                prefix: entry.prefix.clone(),
                site: site.clone(),
            }))),
            Homing::Here | Homing::Delegated(_) => Ok(Route::Here(canonical(), Arc::clone(entry))),
        }
    }

    /// Shows what the caller asked for and may see.
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

    /// The HS_SITE of `0.NA/<prefix>`, as its entry says.
    fn derived_site(&self, identifier: &Identifier, prefix: &PrefixEntry) -> Option<Value> {
        identifier.named_prefix().filter(|named| *named == prefix.prefix)?;
        let (site, key) = match &prefix.homing {
            Homing::Here => (self.options.site.as_ref()?, self.options.server_key.as_slice()),
            // What the delegate signs with, only the delegate tells.
            Homing::Delegated(site) => (site, &[][..]),
        };
        let serial = u16::try_from(prefix.version % 65_536).unwrap_or(0);
        Some(Value {
            index: Index::new(1).ok()?,
            value_type: ValueType::new(ValueType::HS_SITE).ok()?,
            data: encode_site(site, serial, key)?,
            ttl: Ttl::default(),
            permissions: Permissions::DEFAULT,
            references: Vec::new(),
            timestamp: u32::try_from(prefix.changed_ms / 1_000).unwrap_or(u32::MAX),
        })
    }

    /// Live identifiers whose own prefix is exactly this one, in order, after `after`; for readers of the prefix, and for
    /// its administrators that may list, who see of each what everybody sees.
    pub async fn list(
        &self,
        caller: &Caller,
        prefix: &Prefix,
        after: Option<&Identifier>,
        limit: usize,
    ) -> Result<Page<Found>, Problem> {
        self.check_list(caller, prefix).await?;
        let visibility = Visibility::of(caller, prefix);
        let limit = limit.clamp(1, PAGE_ITEMS_MAX);
        let after = after.map(|identifier| identifier.canonical(self.store.folding()));
        let entries =
            self.store.list(prefix, after.as_ref(), limit + 1).await.map_err(|error| failed(&error))?;
        let more = entries.len() > limit;
        let show = |entry: IdentifierEntry| {
            let mut values = entry.values?.into_vec();
            let withheld = visibility.apply(&mut values);
            let IdentifierEntry { identifier, version, changed_ms, .. } = entry;
            Some(Found { identifier, version, values, changed_ms, authoritative: true, withheld })
        };
        Ok(Page { items: entries.into_iter().take(limit).filter_map(show).collect(), more })
    }

    /// The names alone of what [`Resolver::list`] lists, for the same callers.
    pub async fn names(
        &self,
        caller: &Caller,
        prefix: &Prefix,
        asked: NamesAsked<'_>,
    ) -> Result<Page<Identifier>, Problem> {
        self.check_list(caller, prefix).await?;
        let NamesAsked { after, skip, limit } = asked;
        let limit = limit.min(PAGE_ITEMS_MAX);
        if limit == 0 {
            return Ok(Page { items: Vec::new(), more: false });
        }
        let start = match after {
            Some(identifier) => PageStart { after: Some(identifier.canonical(self.store.folding())), skip },
            None => self.find_page(prefix, skip).await?,
        };
        let range = NameRange { after: start.after.as_ref(), skip: start.skip, limit: limit + 1 };
        let mut items = self.store.names(prefix, range).await.map_err(|error| failed(&error))?;
        let more = items.len() > limit;
        items.truncate(limit);
        Ok(Page { items, more })
    }

    /// Refuses a caller that may not read a prefix's restricted values, or a prefix that is not homed here.
    fn check_reader(&self, caller: &Caller, prefix: &Prefix) -> Result<(), Refusal> {
        self.homed_here(prefix)?;
        if caller.name().is_none() {
            return Err(Refusal::Unauthenticated);
        }
        if !caller.may_read(prefix) {
            return Err(Refusal::PermissionDenied { needed: format!("scope reader on prefix {prefix}") });
        }
        Ok(())
    }

    /// The active prefix homed here that covers this one.
    fn homed_here(&self, prefix: &Prefix) -> Result<Prefix, Refusal> {
        let directory = self.store.directory();
        let entry =
            directory.governing(prefix).ok_or_else(|| Refusal::NotResponsible { prefix: prefix.clone() })?;
        check_standing(entry)?;
        match entry.homing {
            Homing::Here => Ok(entry.prefix.clone()),
            Homing::Delegated(_) => Err(Refusal::PrefixDelegated { prefix: entry.prefix.clone() }),
        }
    }
}

/// What doors ask beside questions.
impl Resolver {
    /// The live identifier of a long suffix, by the digest of its canonical form, as registered.
    pub async fn by_digest(
        &self,
        prefix: &Prefix,
        digest: [u8; SUFFIX_DIGEST_BYTES],
    ) -> Result<Option<Identifier>, Failure> {
        let found = self.store.by_digest(prefix, &digest).await.map_err(|error| failed(&error))?;
        let Some(name) = found else {
            return Ok(None);
        };
        let present = self.store.identifiers(&[name]).await.map_err(|error| failed(&error))?;
        let live = present.into_iter().flatten().find(IdentifierEntry::is_live);
        Ok(live.map(|entry| entry.identifier))
    }

    /// Whether any live identifier has exactly this prefix.
    pub fn has_identifiers(&self, prefix: &Prefix) -> bool {
        self.store.count_of(prefix) > 0
    }

    /// Whether any live identifier has this prefix or one below it.
    pub fn holds_within(&self, prefix: &Prefix) -> bool {
        self.store.holds_within(prefix)
    }

    /// How many live identifiers there are.
    pub fn count(&self) -> u64 {
        self.store.count()
    }

    /// How many live identifiers have exactly this prefix.
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

    /// Which letters of a suffix are folded.
    pub fn folding(&self) -> Folding {
        self.store.folding()
    }

    /// The site at which this node answers, when it announces one.
    pub fn site(&self) -> Option<&Site> {
        self.options.site.as_ref()
    }

    /// Fills bytes with randomness.
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

/// Refuses what is suspended or revoked.
fn check_standing(entry: &PrefixEntry) -> Result<(), Refusal> {
    let prefix = entry.prefix.clone();
    match entry.standing {
        Standing::Active => Ok(()),
        Standing::Suspended => Err(Refusal::PrefixSuspended { prefix }),
        Standing::Revoked => Err(Refusal::PrefixRevoked { prefix }),
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

fn failed(error: &Error) -> Failure {
    Failure::Store { detail: error.to_string() }
}
