//! Work, counted in steps of about a nanosecond.

/// Steps for each byte of a text. Prose and code take three, tables of numbers
/// eighteen, lists of nothing but phone numbers thirty.
const STEPS_PER_BYTE: usize = 64;
/// The same for each byte beyond the first [`LONG_TEXT`]: whoever sends ten
/// megabytes must not hold a worker for seconds.
const STEPS_PER_LATER_BYTE: usize = 24;
const LONG_TEXT: usize = 256 * 1024;
/// Steps a text may take beyond that: the end of a stream's text, too, is walked
/// again with each chunk.
const STEPS_BASE: usize = 64 * 1024;

/// Bytes of automaton states that a text may cause to be built beyond that: the
/// first texts of a worker build what later ones find there.
pub(super) const FREE_STATE_BYTES: usize = 2 * 1024 * 1024;
/// Steps for each byte of a state beyond those. A state is some 500 bytes and
/// takes about a microsecond.
const STEPS_PER_STATE_BYTE: usize = 2;

/// What is left of the work one scan may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: usize,
    pub(super) free_state_bytes: usize,
}

impl Budget {
    pub(super) fn for_text(len: usize, free_state_bytes: Option<usize>) -> Budget {
        let (first, later) = (len.min(LONG_TEXT), len.saturating_sub(LONG_TEXT));
        let left = later.saturating_mul(STEPS_PER_LATER_BYTE).saturating_add(first * STEPS_PER_BYTE);
        let free_state_bytes = free_state_bytes.unwrap_or(FREE_STATE_BYTES);
        Budget { left: left.saturating_add(STEPS_BASE), free_state_bytes }
    }

    /// Takes `steps`; false once there are not enough.
    #[must_use]
    pub(super) fn take(&mut self, steps: usize) -> bool {
        let left = self.left.checked_sub(steps);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    /// Takes what `bytes` of new states cost; false once there is not enough.
    /// A text chosen so that each of its bytes needs a new state would
    /// otherwise get a thousand times the work of its steps.
    #[must_use]
    pub(super) fn take_states(&mut self, bytes: usize) -> bool {
        let free = bytes.min(self.free_state_bytes);
        self.free_state_bytes -= free;
        self.take((bytes - free).saturating_mul(STEPS_PER_STATE_BYTE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_get_less_a_byte() {
        let steps = |len| Budget::for_text(len, None).left;
        assert_eq!(steps(0), STEPS_BASE);
        assert_eq!(steps(LONG_TEXT) - steps(0), LONG_TEXT * STEPS_PER_BYTE);
        assert_eq!(steps(LONG_TEXT + 1000) - steps(LONG_TEXT), 1000 * STEPS_PER_LATER_BYTE);
        assert_eq!(steps(usize::MAX), usize::MAX);
    }

    #[test]
    fn states_are_free_until_they_are_many() {
        let mut budget = Budget::for_text(0, None);
        assert!(budget.take_states(FREE_STATE_BYTES));
        assert_eq!(budget.left, STEPS_BASE);
        assert!(budget.take_states(100));
        assert_eq!(budget.left, STEPS_BASE - 100 * STEPS_PER_STATE_BYTE);
        assert!(!budget.take_states(STEPS_BASE));
        assert!(!budget.take(1));
        assert!(!Budget::for_text(0, Some(0)).take_states(STEPS_BASE));
    }
}
