//! Schedule: when something is done again.

use core::fmt;

/// When a backup is made without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Every day at this minute, local time.
    Daily {
        /// 0 to 23.
        hour: u8,
        /// 0 to 59.
        minute: u8,
    },
    /// Every so many hours after the node started.
    Every {
        /// 1 to 8,760.
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

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn a_schedule_is_a_daily_minute_or_a_number_of_hours() {
        assert_eq!(Schedule::parse("daily 02:30"), Some(Schedule::Daily { hour: 2, minute: 30 }));
        assert_eq!(Schedule::parse("every 6 hours"), Some(Schedule::Every { hours: 6 }));
        assert_eq!(Schedule::parse("every 1 hour"), Some(Schedule::Every { hours: 1 }));
        for wrong in ["", "daily", "daily 24:00", "daily 2:30", "daily 02:+3", "every 0 hours", "every day"] {
            assert_eq!(Schedule::parse(wrong), None, "{wrong}");
        }
    }
}
