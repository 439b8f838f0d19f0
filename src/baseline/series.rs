//! The usual level of a number per interval: exponentially weighted mean and
//! variance (West 1979), and when an interval is out of it.

use super::rule::Rule;

/// Intervals after which the weight of a new one stays at a sixteenth: half
/// of what is known is then of the last eleven intervals.
const MEMORY: u64 = 16;

/// See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Series {
    /// Sum of the interval under way.
    pub current: u64,
    /// Intervals learned.
    pub intervals: u64,
    /// Weighted mean of the intervals before.
    pub mean: f64,
    /// Weighted variance of them.
    pub variance: f64,
}

impl Series {
    /// The most that is usual in an interval. `None`: too few are known.
    pub fn limit(&self, rule: &Rule, floor: u64) -> Option<f64> {
        let spread = self.mean + rule.sigmas * self.variance.sqrt();
        let limit = spread.max(self.mean * rule.times).max(floor as f64);
        (self.intervals >= rule.intervals).then_some(limit)
    }

    /// `more` on top of the interval would be out of the ordinary: above what limit.
    pub fn passes(&self, more: u64, rule: &Rule, floor: u64) -> Option<f64> {
        let sum = self.current.saturating_add(more) as f64;
        self.limit(rule, floor).filter(|limit| sum > *limit)
    }

    /// The interval is over. It teaches no more than its limit, so that one
    /// burst does not make the next one usual.
    pub fn close(&mut self, rule: &Rule, floor: u64) {
        let sum = std::mem::take(&mut self.current) as f64;
        let value = self.limit(rule, floor).map_or(sum, |limit| sum.min(limit));
        self.intervals = self.intervals.saturating_add(1);
        let weight = 1.0 / self.intervals.min(MEMORY) as f64;
        let off = value - self.mean;
        let step = weight * off;
        self.mean += step;
        self.variance = (1.0 - weight) * (self.variance + off * step);
    }

    /// Values that arithmetic can have come to.
    pub fn is_sound(&self) -> bool {
        // Sums have 64 bits; squares of what is larger would not stay finite.
        (0.0..=1e20).contains(&self.mean) && (0.0..=1e40).contains(&self.variance)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const RULE: Rule = Rule {
        learn_ms: 0,
        learn_requests: 0,
        interval_ms: 1000,
        forget_ms: 1,
        sigmas: 4.0,
        times: 3.0,
        floors: [10, 0, 0],
        intervals: 8,
    };

    fn of(values: &[u64]) -> Series {
        let mut series = Series::default();
        for value in values {
            series.current = *value;
            series.close(&RULE, 10);
        }
        series
    }

    #[test]
    fn the_first_intervals_weigh_the_same() {
        let series = of(&[2, 4, 4, 4, 5, 5, 7, 9]);
        assert_eq!((series.intervals, series.current), (8, 0));
        assert!((series.mean - 5.0).abs() < 1e-9 && (series.variance - 4.0).abs() < 1e-9, "{series:?}");
        // 5 + 4·2 = 13, 3·5 = 15, floor 10: the highest of them.
        assert_eq!(series.limit(&RULE, 10), Some(15.0));
        assert!(series.passes(15, &RULE, 10).is_none() && series.passes(16, &RULE, 10) == Some(15.0));
        assert_eq!(series.limit(&RULE, 100), Some(100.0));
    }

    #[test]
    fn few_intervals_say_nothing() {
        assert_eq!(of(&[1; 7]).passes(u64::MAX, &RULE, 10), None);
        assert_eq!(of(&[1; 8]).passes(10, &RULE, 10), None);
        assert_eq!(of(&[1; 8]).passes(11, &RULE, 10), Some(10.0));
    }

    #[test]
    fn unsteady_numbers_have_a_higher_limit() {
        let unsteady = of(&[10, 190, 10, 190, 10, 190, 10, 190]);
        assert_eq!(unsteady.limit(&RULE, 10), Some(100.0 + 4.0 * 90.0));
        assert_eq!(of(&[100; 8]).limit(&RULE, 10), Some(300.0));
    }

    #[test]
    fn a_burst_teaches_its_limit_at_most_and_the_old_fades() {
        let mut series = of(&[100; 16]);
        series.current = 1_000_000;
        series.close(&RULE, 10);
        assert!((series.mean - 112.5).abs() < 1e-9, "{series:?}");
        let limit = series.limit(&RULE, 10).unwrap();
        assert!(limit < 340.0, "{limit}");
        for _ in 0..80 {
            series.current = 20;
            series.close(&RULE, 10);
        }
        assert!(series.mean < 21.0 && series.limit(&RULE, 10).unwrap() < 70.0, "{series:?}");
    }

    #[test]
    fn no_value_leaves_the_sound_ones() {
        let mut series = Series::default();
        for value in [u64::MAX, 0, u64::MAX, 1, u64::MAX, u64::MAX, 0, 0, 0, u64::MAX, u64::MAX] {
            series.current = value;
            series.close(&RULE, 10);
            assert!(series.is_sound(), "{series:?}");
        }
        let most = Series { mean: 1e20, variance: 1e40, ..Series::default() };
        for intervals in [0, 1, 20] {
            let mut series = Series { intervals, ..most };
            series.close(&RULE, 10);
            assert!(series.is_sound(), "{series:?}");
        }
        for bad in [f64::NAN, f64::INFINITY, -1.0, 1e60] {
            assert!(!Series { mean: bad, ..series }.is_sound());
            assert!(!Series { variance: bad, ..series }.is_sound());
        }
    }
}
