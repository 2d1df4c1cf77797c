//! Backups, and restores of them.

use crate::backup::{Damage, Kind, RestoreRequest, Until, restore};

use super::super::machine::{End, START_MS};
use super::{DAY_MS, Program, RETAINED_DAYS};

impl Program {
    pub(super) fn back_up(&mut self) {
        // Folders are named by the second.
        self.pass(2_000);
        let kind = if self.chance.one_in(3) { Kind::Full } else { Kind::Incremental };
        let backups = &self.lower.core().backups;
        let made = self.lower.run(backups.create(None, kind, &|_| {}));
        let made = made.unwrap_or_else(|error| panic!("{}: {error}", self.label));
        let verdict = self.lower.run(backups.verify(None, &made.name, &|_| {}));
        let verdict = verdict.unwrap_or_else(|error| panic!("{}: {error}", self.label));
        assert!(verdict.is_whole(), "{}: {verdict:?}", self.label);
        assert_eq!(made.to.sequence, self.store().head().sequence, "{}", self.label);
        self.backups.push(made.to.sequence);
    }

    /// Restores the backups into a new data directory, and goes on there.
    pub(super) fn restore(&mut self) {
        let (Some(first), Some(last)) = (self.backups.first().copied(), self.backups.last().copied()) else {
            return;
        };
        if self.skew_ms != 0 {
            return;
        }
        let until = self.point_between(first, last);
        self.note(format!("restore {until:?} of {first} to {last}"));
        let data = self.lower.new_folder("data");
        let environment = self.lower.environment();
        let request = RestoreRequest {
            from: self.lower.config.backup.directories[0].clone(),
            data: data.clone(),
            engine: Some(self.lower.config.store.engine),
            until,
            damage: Damage::Refuse,
            key_file: None,
            cache_bytes: 4 * 1024 * 1024,
            clock: environment.clock.clone(),
            entropy: environment.entropy.clone(),
        };
        let report = match self.lower.run(restore(request, &|_| {})) {
            Ok(report) => report,
            // What was pruned before the next full backup is not in any of them.
            Err(_) if until != Until::End && self.may_have_pruned() => return,
            Err(error) => panic!("{}: {error}", self.label),
        };
        let reached = report.restored.continues.sequence;
        let is_in_time = |time_ms: u64| {
            let mut known = self.model.reached.range(..=last);
            known.all(|(sequence, entry)| (entry.journal_ms <= time_ms) == (*sequence <= reached))
        };
        let is_right = match until {
            Until::Sequence(sequence) => reached == sequence,
            Until::Time(time_ms) => is_in_time(time_ms),
            _ => reached == last,
        };
        assert!(is_right, "{}: {reached} instead of {until:?}, backed up from {first} to {last}", self.label);
        self.lower.end(End::Stop);
        self.lower.config.store.directory = data;
        self.lower.config.backup.directories = vec![self.lower.new_folder("backups")];
        self.model.go_back(reached);
        self.remembered.clear();
        self.backups.clear();
        self.resynchronizations = None;
        self.start();
        self.compare();
    }

    /// The end, an entry, or a time that the backups in the present directory cover.
    fn point_between(&mut self, first: u64, last: u64) -> Until {
        let sequence = first + self.chance.below(last - first + 1);
        let time_ms = self.model.reached.get(&sequence).map(|reached| reached.journal_ms);
        match (self.chance.below(3), time_ms) {
            (0, _) => Until::End,
            (1, Some(time_ms)) => Until::Time(time_ms),
            _ => Until::Sequence(sequence),
        }
    }

    fn may_have_pruned(&self) -> bool {
        self.lower.config.store.bodies_days > 0 && self.true_ms - START_MS > u64::from(RETAINED_DAYS) * DAY_MS
    }
}
