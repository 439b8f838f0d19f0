//! Work, counted in steps of about a nanosecond.

/// Steps for each byte of a text. Benign text takes about one, tables of
/// numbers about ten.
const STEPS_PER_BYTE: usize = 64;
/// Steps a short text may take beyond that.
const STEPS_BASE: usize = 64 * 1024;

/// What is left of the work one scan may do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: usize,
}

impl Budget {
    pub(super) fn for_text(len: usize) -> Budget {
        Budget { left: len.saturating_mul(STEPS_PER_BYTE).saturating_add(STEPS_BASE) }
    }

    /// Takes `steps`; false once there are not enough.
    #[must_use]
    pub(super) fn take(&mut self, steps: usize) -> bool {
        let left = self.left.checked_sub(steps);
        self.left = left.unwrap_or(0);
        left.is_some()
    }
}
