//! Updates of shared cells, of whichever kind, and their answers.

use crate::{baseline, quota};

/// One update of one cell, to be applied until the swap succeeds.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Update {
    Quota(quota::Op),
    Baseline(baseline::Op),
}

/// What came of an [`Update`].
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Answer {
    Quota(quota::Outcome),
    Baseline(baseline::Outcome),
}

impl Update {
    /// The bytes to swap in, if any, and what to tell the session once they are.
    pub fn apply(&self, cell: Option<&[u8]>, now_ms: u64) -> (Option<Vec<u8>>, Answer) {
        match self {
            Update::Quota(op) => {
                let applied = quota::apply(cell, op, now_ms);
                (applied.cell, Answer::Quota(applied.outcome))
            }
            Update::Baseline(op) => {
                let applied = baseline::apply(cell, op, now_ms);
                (applied.cell, Answer::Baseline(applied.outcome))
            }
        }
    }

    /// The host did not read or write.
    pub fn failed(&self) -> Answer {
        match self {
            Update::Quota(_) => Answer::Quota(quota::Outcome::Fault(quota::Fault::Host)),
            Update::Baseline(_) => Answer::Baseline(baseline::Outcome::Fault(baseline::Fault::Host)),
        }
    }
}
