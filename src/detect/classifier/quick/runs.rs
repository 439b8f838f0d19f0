//! Where runs of bytes of a kind begin and end in a block.

use super::RUNS;

/// Runs of bytes of a kind.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    list: [[u16; 2]; RUNS],
    pub(super) count: usize,
}

impl Default for Runs {
    fn default() -> Self {
        Runs { list: [[0; 2]; RUNS], count: 0 }
    }
}

impl Runs {
    #[inline(always)]
    pub(super) fn nth(&self, nth: usize) -> [usize; 2] {
        let [start, end] = self.list.get(nth % RUNS).copied().unwrap_or_default();
        [usize::from(start), usize::from(end)]
    }

    /// Adds what begins and ends in a window that is at `at`, and says of each of
    /// these edges which run it is of, and its place in the window. Returns where
    /// runs begin.
    #[inline(always)]
    pub(super) fn add(
        &mut self,
        count: &mut usize,
        at: usize,
        mask: u64,
        mut each: impl FnMut(usize, u32),
    ) -> u64 {
        let mut edges = mask ^ (mask << 1 | (*count & 1) as u64);
        let begin = edges & mask;
        let list = self.list.as_flattened_mut();
        while edges != 0 {
            let bit = edges.trailing_zeros();
            edges &= edges - 1;
            each(*count / 2, bit);
            if let Some(edge) = list.get_mut(*count % (2 * RUNS)) {
                *edge = (at + bit as usize) as u16;
            }
            *count += 1;
        }
        begin
    }

    /// Ends the last run.
    pub(super) fn end(&mut self, edges: usize, at: usize) {
        if let Some([_, end]) = self.list.get_mut(edges / 2).filter(|_| edges & 1 == 1) {
            *end = at as u16;
        }
        self.count = edges.div_ceil(2);
    }
}
