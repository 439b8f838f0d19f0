//! All that is known of one subject.

use super::kind::bare;
use super::rule::{MEASURES, Rule};
use super::series::Series;
use crate::limits::{BASELINE_NAMES, MAX_RECORDED_NAME};

const HOUR: u64 = 3_600_000;
/// A day, in milliseconds.
pub const DAY: u64 = 24 * HOUR;

/// Days in the histogram of hours, after which it is halved: what is older than
/// the last 64 to 128 days fades.
const MAX_DAYS: u8 = 128;

/// An hour is unusual if less than one in so many of the hours at work was it
/// or one beside it.
const RARE: u32 = 200;

/// See the module. Times are Unix times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    /// First request.
    pub first: u64,
    /// Last request.
    pub last: u64,
    /// Requests so far.
    pub requests: u64,
    /// Length of the intervals that the series are of.
    pub interval_ms: u64,
    /// Number of the interval under way.
    pub index: u64,
    /// Days with a request in this hour, in UTC.
    pub hours: [u8; 24],
    /// By measure: requests, tokens, cost.
    pub series: [Series; MEASURES.len()],
    /// Names, tagged, and the day since 1970 each was last used.
    pub names: Vec<String>,
    /// See `names`.
    pub days: Vec<u16>,
}

impl Sketch {
    /// The learning period is over.
    pub fn is_learned(&self, rule: &Rule, now_ms: u64) -> bool {
        self.requests >= rule.learn_requests && now_ms.saturating_sub(self.first) >= rule.learn_ms
    }

    /// Close the interval if it is over. Those without a request teach nothing:
    /// a usual level is that of the time in which a subject is at work.
    pub(super) fn roll(&mut self, rule: &Rule, now_ms: u64) {
        let index = now_ms / rule.interval_ms.max(1);
        if self.interval_ms != rule.interval_ms {
            // Of other intervals nothing can be said.
            self.series = Default::default();
            (self.interval_ms, self.index) = (rule.interval_ms, index);
        }
        // A worker that read its clock before the edge comes late: not backwards.
        if index > self.index {
            self.index = index;
            if self.series.iter().any(|series| series.current > 0) {
                for (series, floor) in self.series.iter_mut().zip(rule.floors) {
                    series.close(rule, floor);
                }
            }
        }
    }

    /// Forget names that were not used for long.
    pub(super) fn fade(&mut self, rule: &Rule, now_ms: u64) {
        let oldest = (now_ms / DAY).saturating_sub(rule.forget_ms / DAY);
        let mut days = self.days.iter();
        self.names.retain(|_| days.next().is_some_and(|day| u64::from(*day) >= oldest));
        self.days.retain(|day| u64::from(*day) >= oldest);
    }

    /// Learn a name, if there is room for it in `room` bytes.
    pub(super) fn learn(&mut self, name: &str, now_ms: u64, room: &mut usize) {
        let day = u16::try_from(now_ms / DAY).unwrap_or(u16::MAX);
        let known = self.names.iter().position(|known| known == name);
        if let Some(known) = known.and_then(|at| self.days.get_mut(at)) {
            *known = day.max(*known);
            return;
        }
        let bytes = super::cell::name_bytes(name);
        let fits = (1..=MAX_RECORDED_NAME).contains(&bare(name).len());
        if fits && self.names.len() < BASELINE_NAMES && bytes <= *room {
            *room -= bytes;
            self.names.push(name.to_owned());
            self.days.push(day);
        }
    }

    /// Hardly ever at work at this time of the day. Says nothing on the first day.
    pub fn is_unusual_hour(&self, now_ms: u64) -> bool {
        let hour = hour_of(now_ms);
        let at = |hour: usize| self.hours.get(hour % 24).copied().map_or(0, u32::from);
        let near = at(hour + 23) + at(hour) + at(hour + 1);
        let all: u32 = self.hours.iter().copied().map(u32::from).sum();
        now_ms.saturating_sub(self.first) >= DAY && near * RARE < all
    }

    /// Count a request that came now.
    pub(super) fn count(&mut self, now_ms: u64) {
        if self.requests == 0 {
            self.first = now_ms;
        }
        if now_ms / HOUR > self.last / HOUR
            && let Some(days) = self.hours.get_mut(hour_of(now_ms))
        {
            *days = days.saturating_add(1);
            if *days >= MAX_DAYS {
                self.hours.iter_mut().for_each(|days| *days /= 2);
            }
        }
        self.last = self.last.max(now_ms);
        self.requests = self.requests.saturating_add(1);
        let [requests, ..] = &mut self.series;
        requests.current = requests.current.saturating_add(1);
    }
}

fn hour_of(now_ms: u64) -> usize {
    usize::try_from(now_ms / HOUR % 24).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rule() -> Rule {
        Rule { interval_ms: 1000, intervals: 2, floors: [3, 0, 0], ..Rule::default() }
    }

    #[test]
    fn an_interval_ends_at_its_edge_and_idle_ones_teach_nothing() {
        let (mut sketch, rule) = (Sketch::default(), rule());
        for now in [0, 999, 1000, 1999, 60_000] {
            sketch.roll(&rule, now);
            sketch.count(now);
        }
        let [requests, ..] = sketch.series;
        assert_eq!((requests.intervals, requests.current, requests.mean), (2, 1, 2.0));
        // A late worker counts to the interval under way.
        sketch.roll(&rule, 59_999);
        sketch.count(59_999);
        assert_eq!((sketch.index, sketch.series[0].current, sketch.last), (60, 2, 60_000));
        // Other intervals: the means begin anew, the rest stays.
        sketch.roll(&Rule { interval_ms: 5000, ..rule }, 60_001);
        assert_eq!((sketch.series[0], sketch.requests), (Series::default(), 6));
    }

    #[test]
    fn learning_takes_time_and_requests() {
        let (mut sketch, rule) = (Sketch::default(), Rule { learn_requests: 2, ..rule() });
        for (now, learned) in [(5, false), (6, false), (5 + 7 * DAY - 1, false), (5 + 7 * DAY, true)] {
            assert_eq!(sketch.is_learned(&rule, now), learned, "{now}");
            sketch.count(now);
        }
        let few = Sketch { first: 5, requests: 1, ..Sketch::default() };
        assert!(!few.is_learned(&rule, 50 * DAY));
    }

    #[test]
    fn names_have_caps_and_are_forgotten() {
        let (mut sketch, rule) = (Sketch::default(), rule());
        let mut room = 20;
        sketch.learn("mgpt-4o", 100 * DAY, &mut room);
        assert_eq!(room, 20 - 10);
        sketch.learn("mclaude-3-5", 100 * DAY, &mut room);
        assert_eq!(sketch.names, ["mgpt-4o"], "there is no room");
        for name in ["", "m", &"x".repeat(MAX_RECORDED_NAME + 2)] {
            sketch.learn(name, 100 * DAY, &mut 10_000);
            assert_eq!(sketch.names.len(), 1);
        }
        // Used again on day 150, known until day 240.
        sketch.learn("mgpt-4o", 150 * DAY, &mut room);
        sketch.learn("ct", 151 * DAY, &mut room);
        sketch.fade(&rule, 240 * DAY);
        assert_eq!((sketch.names.len(), &sketch.days), (2, &vec![150, 151]));
        sketch.fade(&rule, 241 * DAY);
        assert_eq!((sketch.names.clone(), &sketch.days), (vec!["ct".to_owned()], &vec![151]));
        for n in 0..2 * BASELINE_NAMES {
            sketch.learn(&format!("c{n}"), 0, &mut 100_000);
        }
        assert_eq!((sketch.names.len(), sketch.days.len()), (BASELINE_NAMES, BASELINE_NAMES));
    }

    #[test]
    fn hours_are_unusual_where_hardly_any_request_came() {
        let mut sketch = Sketch::default();
        let at = |day: u64, hour: u64| day * DAY + hour * HOUR;
        // However many calls: it is the days that count.
        for n in 0..300 {
            sketch.count(at(1, 9) + n);
        }
        assert_eq!(sketch.hours.iter().map(|n| u32::from(*n)).sum::<u32>(), 1);
        assert!(!sketch.is_unusual_hour(at(1, 23)), "the first day says nothing");
        for (hour, unusual) in [(8, false), (9, false), (10, false), (7, true), (11, true), (3, true)] {
            assert_eq!(sketch.is_unusual_hour(at(3, hour)), unusual, "{hour}");
        }
        for day in 2..102 {
            for hour in 9..13 {
                sketch.count(at(day, hour));
            }
        }
        // Two hours of 403 are less than one in 200, three are not.
        for (day, unusual) in [(102, true), (103, true), (104, false)] {
            sketch.count(at(day, 0));
            assert_eq!(sketch.is_unusual_hour(at(day + 1, 23)), unusual, "{day}");
        }
        // Habits of long ago fade.
        for day in 200..1000 {
            sketch.count(at(day, 15));
        }
        assert!(sketch.is_unusual_hour(at(1001, 9)) && !sketch.is_unusual_hour(at(1001, 15)));
    }
}
