//! The choice of backups for a restore: a full one, and the journals that follow it up to the target.
//!
//! ```text
//!   full ─▶ incremental ─▶ incremental ─▶ (the journal in a later full one) ─▶ incremental …
//! ```
//! One backup follows another when its journal holds the entry after the other's end, by the chained hash. So a point between
//! the last incremental backup and the next full one is reached through the journal that the full one holds, and a backup
//! that is missing or damaged is bypassed where another one holds the same journal.
//!
//! Backups are compared by their position in the journal, never by a clock. A plan that ends before something that is in the
//! directory, or may be in a folder that cannot be read, says so: [`Plan::lost`].

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use super::chain::{base_of, chain, missing_files};
use super::chunk::{self, Content};
use super::error::Error;
use super::finding::Finding;
use super::key::Key;
use super::kind::Kind;
use super::list::{self, Held, Unusable};
use super::manifest::{self, Holds, Manifest};
use super::manifest_v1::time;
use super::until::Until;
use crate::model::position::Incarnation;
use crate::store::copy::image::CopiedChange;
use crate::store::copy::restore::RestoreTarget;
use crate::store::journal::check::JournalCheck;
use crate::store::writer::End;

//----------- Plan -----------------------------------------------------------

/// The backups that a restore reads.
#[derive(Debug)]
pub(super) struct Plan {
    /// The backups, a full one first; each holds the journal after the end of the one before.
    pub(super) parts: Vec<Manifest>,
    /// What is, or may be, in the directory beyond the end of the plan.
    pub(super) lost: Vec<Finding>,
}

//----------- Source ---------------------------------------------------------

/// The backups that a restore may use.
#[derive(Debug)]
pub(super) struct Source {
    /// The directory that holds the backups.
    pub(super) directory: PathBuf,
    key_file: Option<PathBuf>,
    held: Held,
    /// The chain of the one backup that was asked for.
    only: Option<Vec<Manifest>>,
}

impl Source {
    /// Opens the folder of a backup, of which nothing but its chain is used; or a directory of backups of one store.
    pub(super) fn open(from: &Path, key_file: Option<&Path>) -> Result<Self, Error> {
        let absent = || Error::Absent { name: from.display().to_string() };
        let from = fs::canonicalize(from).map_err(|_| absent())?;
        let key = key_file.map(Key::load).transpose()?;
        let key_file = key_file.map(Path::to_owned);
        let name = from.file_name().unwrap_or_default().to_string_lossy();
        if from.join(manifest::FILE).exists() || list::is_backup_name(&name) {
            let only =
                chain(&from, key.as_ref()).map_err(|finding| Error::NotWhole { found: vec![finding] })?;
            let directory = from.parent().unwrap_or(Path::new("/")).to_owned();
            return Ok(Self { directory, key_file, held: Held::default(), only: Some(only) });
        }
        let held = list::scan(&from, key.as_ref())?;
        let mut source = Self { directory: from, key_file, held, only: None };
        source.check_origin()?;
        source.set_aside_incomplete();
        if !source.held.manifests.is_empty() {
            return Ok(source);
        }
        let found: Vec<Finding> = source.unusable();
        Err(if found.is_empty() { absent() } else { Error::NotWhole { found } })
    }

    fn check_origin(&self) -> Result<(), Error> {
        let first = self.held.manifests.first().map(|manifest| manifest.origin);
        if self.held.manifests.iter().all(|manifest| Some(manifest.origin) == first) {
            return Ok(());
        }
        let message = "it holds backups of several stores; name the folder of one backup";
        let finding = Finding::new(self.directory.display().to_string(), message);
        Err(Error::NotWhole { found: vec![finding] })
    }

    /// Does not use backups that lack files.
    fn set_aside_incomplete(&mut self) {
        let missing = self.held.manifests.iter().flat_map(|manifest| {
            let found = missing_files(manifest, &self.directory).into_iter().next();
            found.map(|finding| (manifest.name.clone(), finding))
        });
        for (name, finding) in missing.collect::<Vec<_>>() {
            self.set_aside(&name, finding);
        }
    }

    /// Does not use a backup any more; returns whether it was one that others may replace.
    pub(super) fn set_aside(&mut self, name: &str, finding: Finding) -> bool {
        let found = self.held.manifests.iter().position(|manifest| manifest.name == name);
        let Some(position) = found.filter(|_| self.only.is_none()) else {
            return false;
        };
        let end = Some(self.held.manifests.remove(position).end());
        self.held.unusable.push(Unusable { name: name.to_owned(), finding, end });
        true
    }

    /// Returns the findings of the folders that are not used.
    pub(super) fn unusable(&self) -> Vec<Finding> {
        self.held.unusable.iter().map(|unusable| unusable.finding.clone()).collect()
    }

    /// Chooses the backups for a target.
    pub(super) fn plan(&self, until: Until) -> Result<Plan, Error> {
        if let Some(chain) = &self.only {
            let tip = chain.last().map(|tip| tip.to);
            let ends_before = tip.is_none_or(|tip| !self.may_end_at(until, &tip));
            if ends_before || !starts_before(until, chain.first()) {
                let reach = chain.first().zip(tip).map(|(full, tip)| reach_of(full, &tip));
                return Err(Error::Unreachable {
                    target: until.display(),
                    reach: reach.into_iter().collect(),
                });
            }
            return Ok(Plan { parts: chain.clone(), lost: Vec::new() });
        }
        let fulls = || self.held.manifests.iter().filter(|manifest| manifest.kind() == Kind::Full);
        let mut starts: Vec<&Manifest> = fulls().filter(|full| starts_before(until, Some(full))).collect();
        starts.sort_by_key(|full| std::cmp::Reverse(full.image.map_or(0, |image| image.to.sequence)));
        if until != Until::End {
            for start in &starts {
                let routes = Routes::find(self, start, |manifest| self.is_reached_by(until, manifest))?;
                if let Some(parts) = routes.to_goal() {
                    return Ok(Plan { parts, lost: Vec::new() });
                }
            }
        }
        match (until, self.farthest(&starts)?) {
            (Until::End | Until::Time(_), Some(parts)) => {
                let lost = self.lost(&parts)?;
                Ok(Plan { parts, lost })
            }
            _ => Err(Error::Unreachable { target: until.display(), reach: self.reach(fulls())? }),
        }
    }

    /// Returns whether a chain with this end may be restored to the target.
    fn may_end_at(&self, until: Until, tip: &End) -> bool {
        match until.target() {
            RestoreTarget::Sequence(sequence) => tip.sequence >= sequence,
            RestoreTarget::End | RestoreTarget::Time(_) => true,
        }
    }

    /// Returns whether the target lies in the journal of a backup, or before it.
    fn is_reached_by(&self, until: Until, manifest: &Manifest) -> Result<bool, Error> {
        Ok(match until {
            Until::End => false,
            Until::Sequence(sequence) => manifest.to.sequence >= sequence,
            Until::Time(time_ms) => manifest.to.time_ms > time_ms,
            Until::Position(position) if manifest.to.position() == position => true,
            Until::Position(position) => {
                let entry = self.entry(manifest, position.sequence)?;
                entry.is_some_and(|entry| entry.header.position == position)
            }
        })
    }

    /// Returns the way to the newest end that can be reached from one of these full backups.
    fn farthest(&self, starts: &[&Manifest]) -> Result<Option<Vec<Manifest>>, Error> {
        let newest = self.held.manifests.first().map(Manifest::end);
        let mut best: Option<Vec<Manifest>> = None;
        for start in starts {
            let parts = Routes::find(self, start, |_| Ok(false))?.to_farthest();
            if best.as_ref().and_then(|best| best.last()).map(Manifest::end) < parts.last().map(Manifest::end)
            {
                best = Some(parts);
            }
            if best.as_ref().and_then(|best| best.last()).map(Manifest::end) == newest {
                break;
            }
        }
        Ok(best)
    }

    /// Names what is beyond the end of a plan, or may be.
    fn lost(&self, parts: &[Manifest]) -> Result<Vec<Finding>, Error> {
        let end = parts.last().map(Manifest::end);
        let mut lost = Vec::new();
        for manifest in self.held.manifests.iter().filter(|manifest| Some(manifest.end()) > end) {
            let cause = match base_of(manifest, &self.directory) {
                Err(finding) => finding.to_string(),
                Ok(()) => "its journal does not follow that of a full backup that can be used".to_owned(),
            };
            let message = format!("it ends at {}, and cannot be reached: {cause}", manifest.to.position());
            lost.push(Finding::new(manifest.name.clone(), message));
        }
        let maybe = self.held.unusable.iter().filter(|unusable| {
            let known = unusable.end.or_else(|| self.end_by_continuation(&unusable.name));
            known.is_none_or(|position| Some(position) > end)
        });
        lost.extend(maybe.map(|unusable| unusable.finding.clone()));
        Ok(lost)
    }

    /// Returns where a backup ends, as one that continues it says.
    fn end_by_continuation(&self, name: &str) -> Option<(Incarnation, u64)> {
        let continues = |manifest: &&Manifest| manifest.base.as_ref().is_some_and(|base| base.name == name);
        let from = self.held.manifests.iter().find(continues)?.from;
        Some((from.incarnation, from.sequence))
    }

    /// Describes what can be reached from each full backup, and what cannot be used.
    fn reach<'a>(&self, fulls: impl Iterator<Item = &'a Manifest>) -> Result<Vec<String>, Error> {
        let mut reach = Vec::new();
        for full in fulls {
            let parts = Routes::find(self, full, |_| Ok(false))?.to_farthest();
            reach.extend(parts.last().map(|tip| reach_of(full, &tip.to)));
        }
        reach
            .extend(self.held.unusable.iter().map(|unusable| format!("{} cannot be used", unusable.finding)));
        Ok(reach)
    }

    /// Returns whether a backup continues another one, or its journal goes on after the end of the other.
    fn follows(&self, next: &Manifest, present: &Manifest) -> Result<bool, Error> {
        let end = &present.to;
        if next.from == *end && next.base.as_ref().is_some_and(|base| base.id == present.id) {
            // It may hold no journal at all, but small files that are newer.
            return Ok(true);
        }
        if next.to.sequence <= end.sequence || next.journal_first > end.sequence + 1 {
            return Ok(false);
        }
        if next.kind() == Kind::Incremental && next.from == *end {
            return Ok(true);
        }
        let entry = self.entry(next, end.sequence + 1)?;
        Ok(entry.is_some_and(|entry| JournalCheck::after(end).follow(&entry).is_ok()))
    }

    /// Reads one entry of the journal that a backup holds; none when it is not there or cannot be read.
    fn entry(&self, manifest: &Manifest, sequence: u64) -> Result<Option<CopiedChange>, Error> {
        let mut first = manifest.journal_first;
        let folder = self.directory.join(&manifest.name);
        for (number, chunk) in (1_u64..).zip(&manifest.chunks) {
            if chunk.holds != Holds::Journal {
                continue;
            }
            let next = first.saturating_add(chunk.entries);
            if !(first..next).contains(&sequence) {
                first = next;
                continue;
            }
            let Ok((_, key)) = Manifest::load_with_key(&folder, self.key_file.as_deref())? else {
                return Ok(None);
            };
            let Ok(Content::Changes(changes)) = chunk::read(&folder, chunk, number, key.as_ref()) else {
                return Ok(None);
            };
            return Ok(changes.into_iter().find(|change| change.header.position.sequence == sequence));
        }
        Ok(None)
    }
}

/// Returns whether the image of a full backup ends at or before the target.
fn starts_before(until: Until, full: Option<&Manifest>) -> bool {
    let image = full.and_then(|full| full.image);
    image.is_some_and(|image| until.target().includes(image.to.sequence, image.to.time_ms))
}

/// Describes the range to which a restore from a full backup can go.
fn reach_of(full: &Manifest, tip: &End) -> String {
    let start = full.image.map_or(full.from, |image| image.to);
    format!(
        "{} reaches from {} ({}) to {} ({})",
        full.name,
        start.position(),
        time(start.time_ms),
        tip.position(),
        time(tip.time_ms)
    )
}

//----------- Routes ---------------------------------------------------------

/// The backups that can be reached from a full one, each by the fewest steps.
struct Routes<'a> {
    /// Name of a backup, with the backup and the name of the one before it.
    reached: HashMap<&'a str, (&'a Manifest, Option<&'a str>)>,
    /// The first backup that is the goal.
    goal: Option<&'a str>,
}

impl<'a> Routes<'a> {
    /// Follows the journals from a full backup, until the goal is reached or nothing follows.
    fn find(
        source: &'a Source,
        start: &'a Manifest,
        is_goal: impl Fn(&Manifest) -> Result<bool, Error>,
    ) -> Result<Self, Error> {
        let mut routes = Self { reached: HashMap::from([(start.name.as_str(), (start, None))]), goal: None };
        let mut waiting = VecDeque::from([start]);
        while let Some(present) = waiting.pop_front() {
            if is_goal(present)? {
                routes.goal = Some(&present.name);
                break;
            }
            // What continues the backup itself comes first: it needs no look into a journal.
            let (direct, others): (Vec<&Manifest>, Vec<&Manifest>) = source
                .held
                .manifests
                .iter()
                .partition(|next| next.base.as_ref().is_some_and(|base| base.id == present.id));
            for next in direct.into_iter().chain(others) {
                if !routes.reached.contains_key(next.name.as_str()) && source.follows(next, present)? {
                    routes.reached.insert(&next.name, (next, Some(&present.name)));
                    waiting.push_back(next);
                }
            }
        }
        Ok(routes)
    }

    fn to_goal(&self) -> Option<Vec<Manifest>> {
        self.goal.map(|goal| self.to(goal))
    }

    /// Returns the way to the backup with the newest end, and of those with this end the longest.
    fn to_farthest(&self) -> Vec<Manifest> {
        let reached = self.reached.values().map(|(manifest, _)| *manifest);
        let ways = reached.map(|manifest| (manifest.end(), self.to(&manifest.name)));
        ways.max_by_key(|(position, way)| (*position, way.len())).map(|(_, way)| way).unwrap_or_default()
    }

    fn to(&self, name: &str) -> Vec<Manifest> {
        let mut parts = Vec::new();
        let mut present = self.reached.get(name);
        while let Some((manifest, before)) = present {
            parts.push((*manifest).clone());
            present = before.and_then(|before| self.reached.get(before));
        }
        parts.reverse();
        parts
    }
}
