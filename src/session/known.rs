//! Which hits of a text are known, so that its views add only new ones.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::rules::RuleIndex;

/// Hits in views of one text. A text with more is refused like one that takes
/// too much work: whoever writes that many disguised values hides the next.
const MAX_HITS: usize = 16_384;

/// Where rules have hits in a text. Hits of one rule do not overlap.
pub(super) struct Known {
    /// Ends, by rule and start.
    ends: BTreeMap<(RuleIndex, usize), usize>,
    in_views: usize,
    /// A hit found no room.
    pub(super) full: bool,
}

impl Known {
    pub(super) fn of(hits: impl Iterator<Item = (RuleIndex, Range<usize>)>) -> Known {
        let ends = hits.map(|(rule, range)| ((rule, range.start), range.end)).collect();
        Known { ends, in_views: 0, full: false }
    }

    /// Whether a hit in a view is new, and there is room for it.
    pub(super) fn admit(&mut self, rule: RuleIndex, range: &Range<usize>) -> bool {
        let before = self.ends.range((rule, 0)..(rule, range.end)).next_back();
        if before.is_some_and(|(_, end)| *end > range.start) {
            return false;
        }
        self.full |= self.in_views == MAX_HITS;
        if !self.full {
            self.in_views += 1;
            self.ends.insert((rule, range.start), range.end);
        }
        !self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_hits_are_let_in_until_there_is_no_room_and_that_shows() {
        let rule = RuleIndex(1);
        let mut known = Known::of(std::iter::once((rule, 10..20)));
        assert!(!known.admit(rule, &(15..25)) && known.admit(RuleIndex(2), &(15..25)));
        for n in 1..MAX_HITS {
            assert!(known.admit(rule, &(100 * n..100 * n + 9)));
        }
        assert!(!known.full);
        assert!(!known.admit(rule, &(30..40)));
        assert!(known.full);
    }
}
