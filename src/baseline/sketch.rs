//! All that is known of one subject.

use super::kind::{LISTS, List};
use super::rule::{MEASURES, Rule};
use super::series::Series;
use crate::limits::{BASELINE_NAMES, MAX_RECORDED_NAME};

const HOUR: u64 = 3_600_000;
/// A day, in milliseconds.
pub const DAY: u64 = 24 * HOUR;

/// Requests of the histogram, after which all hours are halved: what is older
/// than the last few thousand requests fades.
const MAX_HOURS: u32 = 4096;

/// An hour is unusual if less than one in so many requests came in it or in
/// the hours beside it.
const RARE: u32 = 200;

/// A name, and the day (since 1970) it was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Name {
    pub text: String,
    pub day: u16,
}

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
    /// Requests by hour of the day, in UTC.
    pub hours: [u16; 24],
    /// By measure: requests, tokens, cost.
    pub series: [Series; MEASURES.len()],
    /// By list.
    pub names: [Vec<Name>; LISTS],
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

    /// A name is known, and not forgotten.
    pub fn knows(&self, list: List, name: &str, rule: &Rule, now_ms: u64) -> bool {
        self.names(list, rule, now_ms).any(|known| known == name)
    }

    /// The names of a list that are not forgotten.
    pub fn names<'s>(&'s self, list: List, rule: &Rule, now_ms: u64) -> impl Iterator<Item = &'s str> {
        let oldest = (now_ms / DAY).saturating_sub(rule.forget_ms / DAY);
        let names = self.names.get(list as usize).map(Vec::as_slice).unwrap_or_default();
        names.iter().filter(move |n| u64::from(n.day) >= oldest).map(|n| n.text.as_str())
    }

    /// Learn a name, if there is room for it in `room` bytes.
    pub(super) fn learn(&mut self, list: List, name: &str, rule: &Rule, now_ms: u64, room: &mut usize) {
        let today = now_ms / DAY;
        let oldest = today.saturating_sub(rule.forget_ms / DAY);
        let day = u16::try_from(today).unwrap_or(u16::MAX);
        let Some(names) = self.names.get_mut(list as usize) else { return };
        if let Some(known) = names.iter_mut().find(|known| known.text == name) {
            known.day = known.day.max(day);
            return;
        }
        names.retain(|known| {
            let kept = u64::from(known.day) >= oldest;
            *room += if kept { 0 } else { super::cell::name_bytes(&known.text) };
            kept
        });
        let bytes = super::cell::name_bytes(name);
        let fits = (1..=MAX_RECORDED_NAME).contains(&name.len());
        if fits && names.len() < BASELINE_NAMES && bytes <= *room {
            *room -= bytes;
            names.push(Name { text: name.to_owned(), day });
        }
    }

    /// Fewer requests than one in [`RARE`] came at this time of the day. Says
    /// nothing on the first day.
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
        self.last = self.last.max(now_ms);
        self.requests = self.requests.saturating_add(1);
        if self.hours.iter().copied().map(u32::from).sum::<u32>() >= MAX_HOURS {
            self.hours.iter_mut().for_each(|count| *count /= 2);
        }
        if let Some(count) = self.hours.get_mut(hour_of(now_ms)) {
            *count = count.saturating_add(1);
        }
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
        sketch.learn(List::Models, "gpt-4o", &rule, 100 * DAY, &mut room);
        assert_eq!(room, 20 - 9);
        sketch.learn(List::Models, "claude-3-5", &rule, 100 * DAY, &mut room);
        assert_eq!(sketch.names.first().unwrap().len(), 1, "there is no room");
        for name in ["", &"x".repeat(MAX_RECORDED_NAME + 1)] {
            sketch.learn(List::Models, name, &rule, 100 * DAY, &mut 10_000);
            assert!(!sketch.knows(List::Models, name, &rule, 100 * DAY));
        }
        // Used again on day 150, known until day 240.
        sketch.learn(List::Models, "gpt-4o", &rule, 150 * DAY, &mut room);
        assert!(sketch.knows(List::Models, "gpt-4o", &rule, 240 * DAY));
        assert!(!sketch.knows(List::Models, "gpt-4o", &rule, 241 * DAY));
        assert!(!sketch.knows(List::Called, "gpt-4o", &rule, 150 * DAY));
        // What is forgotten leaves its room.
        sketch.learn(List::Models, "claude-3-5", &rule, 241 * DAY, &mut room);
        assert!(sketch.knows(List::Models, "claude-3-5", &rule, 241 * DAY));
        for n in 0..2 * BASELINE_NAMES {
            sketch.learn(List::Called, &format!("t{n}"), &rule, 0, &mut 100_000);
        }
        assert_eq!(sketch.names(List::Called, &rule, 0).count(), BASELINE_NAMES);
    }

    #[test]
    fn hours_are_unusual_where_hardly_any_request_came() {
        let mut sketch = Sketch::default();
        for n in 0..300 {
            sketch.count(9 * HOUR + n);
        }
        let at = |day: u64, hour: u64| day * DAY + hour * HOUR;
        assert!(!sketch.is_unusual_hour(at(0, 23)), "the first day says nothing");
        for (hour, unusual) in [(8, false), (9, false), (10, false), (7, true), (11, true), (3, true)] {
            assert_eq!(sketch.is_unusual_hour(at(2, hour)), unusual, "{hour}");
        }
        // Two of 302 are more than one in 200.
        sketch.count(at(2, 0));
        assert!(sketch.is_unusual_hour(at(3, 23)));
        sketch.count(at(2, 0));
        assert!(!sketch.is_unusual_hour(at(3, 23)) && !sketch.is_unusual_hour(at(3, 1)));
        // Habits of long ago fade.
        for n in 0..12 * u64::from(MAX_HOURS) {
            sketch.count(at(30, 15) + n);
        }
        assert!(sketch.is_unusual_hour(at(40, 9)) && !sketch.is_unusual_hour(at(40, 15)));
    }
}
