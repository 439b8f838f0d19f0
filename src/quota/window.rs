//! Calendar windows in UTC, and how they are written: `1s`, `5m`, `1h`, `1d`, `1w`, `1month`.

use std::fmt;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;

/// 1970-01-01 was a Thursday: Monday is three days before.
const MONDAY_SHIFT: u64 = 3 * DAY;

/// The longest window: a year, written in any unit.
const MAX_DAYS: u64 = 366;

/// A repeating stretch of time. Windows start at multiples of their length
/// since 1970-01-01T00:00Z; weeks on Mondays, months on the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Window {
    /// So many milliseconds, counted from the epoch.
    Millis(u64),
    /// So many weeks, from Monday.
    Weeks(u64),
    /// So many months of the calendar.
    Months(u64),
}

/// One occurrence of a window: milliseconds since the epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Number of the window since the epoch.
    pub index: u64,
    /// First millisecond.
    pub start: u64,
    /// First millisecond after it.
    pub end: u64,
}

impl Window {
    /// Read `5m`. Units: `s m h d w month`; the number is from 1 up.
    pub fn parse(text: &str) -> Result<Window, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
        let n: u64 = number.parse().map_err(|_| bad(text))?;
        let (window, days) = match unit {
            "s" => (Window::Millis(n.saturating_mul(SECOND)), n / 86_400),
            "m" => (Window::Millis(n.saturating_mul(MINUTE)), n / 1440),
            "h" => (Window::Millis(n.saturating_mul(HOUR)), n / 24),
            "d" => (Window::Millis(n.saturating_mul(DAY)), n),
            "w" => (Window::Weeks(n), n.saturating_mul(7)),
            "month" | "months" => (Window::Months(n), n.saturating_mul(30)),
            _ => return Err(bad(text)),
        };
        if n == 0 || days > MAX_DAYS {
            return Err(format!("window `{text}`: from 1s to a year"));
        }
        Ok(window)
    }

    /// The window that `now_ms` lies in.
    pub fn at(self, now_ms: u64) -> Bounds {
        self.nth(match self {
            Window::Millis(len) => now_ms / len.max(1),
            Window::Weeks(n) => now_ms.saturating_add(MONDAY_SHIFT) / n.saturating_mul(WEEK).max(1),
            Window::Months(n) => month_of(now_ms / DAY) / n.max(1),
        })
    }

    /// The window with this number. The first window of weeks starts before
    /// the epoch and is cut there.
    pub fn nth(self, index: u64) -> Bounds {
        let next = index.saturating_add(1);
        let edge = |i: u64| match self {
            Window::Millis(len) => i.saturating_mul(len.max(1)),
            Window::Weeks(n) => i.saturating_mul(n.max(1)).saturating_mul(WEEK).saturating_sub(MONDAY_SHIFT),
            Window::Months(n) => first_day_of(i.saturating_mul(n.max(1))).saturating_mul(DAY),
        };
        Bounds { index, start: edge(index), end: edge(next) }
    }
}

impl fmt::Display for Window {
    /// The canonical form, which is part of a counter's identity: `60s` and
    /// `1m` are one window.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Millis(ms) => write!(f, "{}s", ms / SECOND),
            Window::Weeks(n) => write!(f, "{n}w"),
            Window::Months(n) => write!(f, "{n}month"),
        }
    }
}

fn bad(text: &str) -> String {
    format!("window `{text}`: write a number and one of s, m, h, d, w, month")
}

/// Months since January 1970 of a day since the epoch, in the proleptic
/// Gregorian calendar. Years are counted from March, so that the leap day is
/// the last of its year (H. Hinnant, "chrono-compatible low-level date
/// algorithms").
fn month_of(day: u64) -> u64 {
    let shifted = day.saturating_add(719_468);
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let months = era.saturating_mul(400).saturating_add(year_of_era).saturating_mul(12);
    // Month 0 is March of year 0; January 1970 is 1969 * 12 + 10 after it.
    months.saturating_add(from_march).saturating_sub(1969 * 12 + 10)
}

/// The inverse: day since the epoch of the first of a month.
fn first_day_of(month: u64) -> u64 {
    // A clock that far off is broken; it must only not overflow.
    let from_march_0 = month.min(u64::MAX >> 16).saturating_add(1969 * 12 + 10);
    let year = from_march_0 / 12;
    let from_march = from_march_0 % 12;
    let day_of_year = (153 * from_march + 2) / 5;
    let days = year.saturating_mul(365) + year / 4 - year / 100 + year / 400;
    days.saturating_add(day_of_year).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use time::macros::datetime;

    fn ms(t: time::OffsetDateTime) -> u64 {
        u64::try_from(t.unix_timestamp()).unwrap() * 1000
    }

    #[test]
    fn edges_of_the_calendar() {
        let table = [
            ("1s", datetime!(2026-03-01 00:00:00 UTC), datetime!(2026-03-01 00:00:01 UTC)),
            ("5m", datetime!(2026-03-01 00:05:00 UTC), datetime!(2026-03-01 00:10:00 UTC)),
            ("1h", datetime!(2026-03-01 23:00:00 UTC), datetime!(2026-03-02 00:00:00 UTC)),
            ("1d", datetime!(2028-02-29 00:00:00 UTC), datetime!(2028-03-01 00:00:00 UTC)),
            // A Monday.
            ("1w", datetime!(2026-03-02 00:00:00 UTC), datetime!(2026-03-09 00:00:00 UTC)),
            ("1month", datetime!(2028-02-01 00:00:00 UTC), datetime!(2028-03-01 00:00:00 UTC)),
            ("1month", datetime!(2100-02-01 00:00:00 UTC), datetime!(2100-03-01 00:00:00 UTC)),
            ("1month", datetime!(1970-01-01 00:00:00 UTC), datetime!(1970-02-01 00:00:00 UTC)),
            ("3months", datetime!(2026-10-01 00:00:00 UTC), datetime!(2027-01-01 00:00:00 UTC)),
        ];
        for (text, start, end) in table {
            let window = Window::parse(text).unwrap();
            let (start, end) = (ms(start), ms(end));
            for now in [start, start + 1, (start + end) / 2, end - 1] {
                let b = window.at(now);
                assert_eq!((b.start, b.end), (start, end), "{text} at {now}");
            }
            assert_eq!(window.at(end).index, window.at(start).index + 1, "{text}");
        }
    }

    #[test]
    fn every_month_of_two_eras_joins_the_next() {
        let month = Window::Months(1);
        for i in 0..12 * 500 {
            let b = month.nth(i);
            assert_eq!(month.at(b.start).index, i);
            assert_eq!(month.at(b.end - 1).index, i);
            assert!((28..=31).contains(&((b.end - b.start) / DAY)));
        }
    }

    #[test]
    fn refuses_what_is_not_a_window() {
        for text in [
            "",
            "d",
            "0d",
            "1",
            "-1d",
            "1.5h",
            "1y",
            "1D",
            "400d",
            "99999999999999999999s",
            "13months",
            "１d",
        ] {
            assert!(Window::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn any_time_lies_in_its_window() {
        for window in [Window::Millis(1000), Window::Weeks(2), Window::Months(5), Window::Millis(7 * HOUR)] {
            for now in [0, 1, 1_772_323_200_123, u64::MAX / 2] {
                let b = window.at(now);
                assert!(b.start <= now && now < b.end, "{window} {now} {b:?}");
            }
            // Nonsense clocks must not panic.
            window.at(u64::MAX);
            window.nth(u64::MAX);
        }
    }
}
