//! Schedule: backups that are created automatically.
//!
//! Each run makes an incremental backup, and a full one when the newest full one is a week old or there is none, or
//! when nothing can be continued. Afterwards old ones are removed. A run that fails is logged and counted; the next
//! one starts at its time.

use core::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Backups;
use super::error::Error;
use super::kind::Kind;
use crate::telemetry::Chain;

/// Age of the newest full backup after which a scheduled backup is full again.
const FULL_EVERY_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// How often the clock is read while waiting: it may be set meanwhile, or the machine may be suspended.
const CHECK_EVERY: Duration = Duration::from_secs(20);

//----------- Schedule -------------------------------------------------------

/// Times of automatic backups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Every day at this minute, local time.
    Daily {
        /// Hour, 0 to 23.
        hour: u8,
        /// Minute, 0 to 59.
        minute: u8,
    },
    /// Every so many hours after the node started.
    Every {
        /// Hours between two backups, 1 to 8,760.
        hours: u16,
    },
}

impl Schedule {
    const HOURS_MAX: u16 = 8_760;

    /// Parses `daily 02:30` or `every 6 hours`.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        match words.as_slice() {
            ["daily", time] => {
                let (hour, minute) = time.split_once(':')?;
                let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
                (hour < 24 && minute < 60).then_some(Self::Daily { hour, minute })
            }
            ["every", hours, "hours"] | ["every", hours @ "1", "hour"] => {
                let hours = hours.parse().ok()?;
                (1..=Self::HOURS_MAX).contains(&hours).then_some(Self::Every { hours })
            }
            _ => None,
        }
    }

    /// Returns when the next backup is due, given when it was due so far: sooner when the clock was set back.
    fn due(self, due_ms: u64, now_ms: u64, zone: &TimeZone) -> u64 {
        due_ms.min(self.next_after(now_ms, zone))
    }

    /// Returns the first due time after this one, in milliseconds since 1970. A minute that daylight saving time skips is
    /// due when it would have come.
    fn next_after(self, now_ms: u64, zone: &TimeZone) -> u64 {
        match self {
            Self::Every { hours } => now_ms + u64::from(hours) * 3_600_000,
            Self::Daily { hour, minute } => {
                daily(hour, minute, now_ms, zone).unwrap_or(now_ms + 24 * 3_600_000)
            }
        }
    }
}

/// Returns the next time that the local clock shows this hour and minute.
fn daily(hour: u8, minute: u8, now_ms: u64, zone: &TimeZone) -> Option<u64> {
    let now = Timestamp::from_millisecond(i64::try_from(now_ms).ok()?).ok()?;
    let time = jiff::civil::time(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0);
    let mut date = zone.to_datetime(now).date();
    for _ in 0..3 {
        let due = zone.to_timestamp(date.to_datetime(time)).ok()?;
        if due > now {
            return u64::try_from(due.as_millisecond()).ok();
        }
        date = date.checked_add(1.day()).ok()?;
    }
    None
}

fn two_digits(text: &str) -> Option<u8> {
    let well_formed = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| well_formed)
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daily { hour, minute } => write!(f, "daily {hour:02}:{minute:02}"),
            Self::Every { hours } => write!(f, "every {hours} hours"),
        }
    }
}

//----------- Running it -----------------------------------------------------

impl Backups {
    /// Creates backups by a schedule until `stop` is true; a backup in progress is then abandoned.
    pub fn spawn_schedule(&self, schedule: Schedule, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let backups = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = backups.follow_schedule(schedule) => {}
                _ = stop.wait_for(|stopped| *stopped) => {}
            }
        })
    }

    async fn follow_schedule(&self, schedule: Schedule) {
        let zone = TimeZone::system();
        loop {
            let mut due_ms = u64::MAX;
            loop {
                let now_ms = self.inner.store.now_ms();
                let next_ms = schedule.due(due_ms, now_ms, &zone);
                if next_ms != due_ms {
                    due_ms = next_ms;
                    tracing::info!(%schedule, at = %in_zone(due_ms, &zone), "the next backup of the schedule");
                }
                let left = Duration::from_millis(due_ms.saturating_sub(now_ms));
                if left.is_zero() {
                    break;
                }
                tokio::time::sleep(left.min(CHECK_EVERY)).await;
            }
            // A failed creation is logged and counted in `create`; this covers the listing and the removal as well.
            let made = self.run_scheduled().await;
            if let Err(error) = made {
                tracing::warn!(error = %Chain(&error), "the scheduled backup did not complete");
            }
        }
    }

    /// Creates the backup that is due now, and removes old ones.
    pub(super) async fn run_scheduled(&self) -> Result<(), Error> {
        let first = self.directory(None)?;
        let now_ms = self.inner.store.now_ms();
        let held = self.list(Some(first)).await?.backups;
        let newest = held.iter().find(|backup| backup.kind == Kind::Full);
        // A full backup of the future was made while the clock was wrong; its age is not known.
        let age_ms = newest.and_then(|full| now_ms.checked_sub(full.created_ms));
        let recent = age_ms.is_some_and(|age_ms| age_ms < FULL_EVERY_MS);
        let kind = if recent { Kind::Incremental } else { Kind::Full };
        self.create(Some(first), kind, &|_| {}).await?;
        self.retire(Some(first)).await.map(drop)
    }
}

/// A time in milliseconds since 1970 with the offset of a zone, and the name of the zone where it has one.
fn in_zone(ms: u64, zone: &TimeZone) -> String {
    let seconds = i64::try_from(ms / 1_000).unwrap_or(i64::MAX);
    let Ok(time) = Timestamp::from_second(seconds) else { return format!("{seconds} s after 1970") };
    let offset = zone.to_offset(time);
    let shown = time.display_with_offset(offset);
    match zone.iana_name() {
        Some(name) => format!("{shown} ({name})"),
        None => shown.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::{Schedule, in_zone};

    #[test]
    fn the_time_of_the_next_backup_names_its_zone() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        assert_eq!(in_zone(1_800_000_000_000, &zone), "2027-01-15T16:00:00+08:00");
        assert_eq!(in_zone(1_800_000_000_000, &TimeZone::UTC), "2027-01-15T08:00:00+00:00 (UTC)");
    }

    #[test]
    fn a_schedule_is_a_daily_minute_or_a_number_of_hours() {
        assert_eq!(Schedule::parse("daily 02:30"), Some(Schedule::Daily { hour: 2, minute: 30 }));
        assert_eq!(Schedule::parse("every 6 hours"), Some(Schedule::Every { hours: 6 }));
        assert_eq!(Schedule::parse("every 1 hour"), Some(Schedule::Every { hours: 1 }));
        for wrong in ["", "daily", "daily 24:00", "daily 2:30", "daily 02:+3", "every 0 hours", "every day"] {
            assert_eq!(Schedule::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_daily_backup_is_due_when_the_local_clock_shows_its_minute() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let schedule = Schedule::Daily { hour: 2, minute: 30 };
        // 2026-11-23T18:29:00Z is 02:29 there; a minute later it is due, and then a day later.
        let before = 1_795_458_540_000;
        assert_eq!(schedule.next_after(before, &zone), before + 60_000);
        assert_eq!(schedule.next_after(before + 60_000, &zone), before + 60_000 + 86_400_000);
        assert_eq!(Schedule::Every { hours: 6 }.next_after(before, &zone), before + 6 * 3_600_000);
    }

    #[test]
    fn after_the_clock_was_set_back_the_next_backup_is_due_within_one_interval() {
        let zone = TimeZone::UTC;
        let (now, hour, day) = (1_800_000_000_000, 3_600_000, 86_400_000);
        for (schedule, interval) in
            [(Schedule::Every { hours: 6 }, 6 * hour), (Schedule::Daily { hour: 2, minute: 30 }, day)]
        {
            let ahead = now + 366 * day;
            let due = schedule.due(u64::MAX, ahead, &zone);
            assert_eq!(due, schedule.next_after(ahead, &zone));
            assert_eq!(schedule.due(due, ahead + hour, &zone), due);
            let due = schedule.due(due, now, &zone);
            assert!(now < due && due <= now + interval, "{schedule}: {due}");
            assert_eq!(schedule.due(due, due, &zone), due, "{schedule}");
        }
    }
}
