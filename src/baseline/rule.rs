//! The numbers by which an operator says what is out of the ordinary.

/// What a series counts, in its order in a sketch.
pub const MEASURES: [&str; 3] = ["requests", "tokens", "cost_nano_usd"];

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// A subject is learned for so many milliseconds …
    pub learn_ms: u64,
    /// … and so many requests, whichever is later. Nothing is found before.
    pub learn_requests: u64,
    /// Requests and spend are summed up over so many milliseconds.
    pub interval_ms: u64,
    /// A name, or a subject, that was not seen for so long is forgotten.
    pub forget_ms: u64,
    /// An interval is out of the ordinary above the mean and so many standard
    /// deviations, …
    pub sigmas: f64,
    /// … and above so many times the mean, …
    pub times: f64,
    /// … and above this floor, by measure, …
    pub floors: [u64; MEASURES.len()],
    /// … once so many intervals are known.
    pub intervals: u64,
}

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;

impl Default for Rule {
    fn default() -> Self {
        Rule {
            learn_ms: 7 * DAY,
            learn_requests: 100,
            interval_ms: 60 * MINUTE,
            forget_ms: 90 * DAY,
            sigmas: 4.0,
            times: 3.0,
            // Ten calls, ten thousand tokens, ten cents.
            floors: [10, 10_000, 100_000_000],
            intervals: 8,
        }
    }
}
