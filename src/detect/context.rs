//! Words before a match: found on demand, each stretch of text once.
//!
//! Their own small set of literals, and not part of the prefilter: few texts have
//! numbers, and only those need them.

use super::budget::Budget;
use super::literals::{Literal, Literals};
use crate::lanes::BLOCK;
use crate::rules::{ByteSet, Context, Gate};

/// Gaps of so many bytes are searched rather than left out.
const STRETCH: usize = 64;
/// Bytes that are searched beyond those asked for at most: each search that goes on from
/// the last one looks twice as far ahead, for each costs its beginning.
const LONG_STRETCH: usize = 512;

/// Words that are passed one by one.
const NEAR: usize = 8;

/// Context words of all rules.
#[derive(Debug)]
pub(super) struct ContextWords {
    literals: Literals,
    lengths: Vec<usize>,
    /// Rules that want each word, by their number among the contexts.
    wanted_by: Vec<Vec<u16>>,
}

/// Context of one rule: indices into the words, in order.
#[derive(Debug)]
pub(super) struct Wanted {
    words: Vec<u16>,
    exclude: Vec<u16>,
    /// Those of one byte, looked for where they are asked for.
    bytes: Vec<u8>,
    exclude_bytes: Vec<u8>,
    within: usize,
    alone: bool,
}

/// Words found so far in one text, by their starts.
#[derive(Debug, Default)]
pub(super) struct ContextHits {
    from: usize,
    to: usize,
    /// The farthest that any search had to look back.
    reach: usize,
    /// How far the last one looked ahead.
    ahead: usize,
    hits: Vec<Hit>,
    /// How many of the hits `newest` knows.
    known: usize,
    /// For each rule, where the last of its words starts, plus one.
    newest: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Hit {
    start: usize,
    end: usize,
    word: u16,
}

impl Wanted {
    /// How far before a match one of its words must start; none if it needs no word.
    pub(super) fn reach(&self) -> Option<usize> {
        (!self.alone && !self.words.is_empty() && self.bytes.is_empty()).then_some(self.within)
    }

    /// A match that is all of its text needs no word before it.
    pub(super) const fn alone(&self) -> bool {
        self.alone
    }
}

impl ContextHits {
    /// Those that start before `at`. Few words lie behind the one that is asked about,
    /// for places come in order, and are passed sooner than a search begins.
    fn before(&self, at: usize) -> &[Hit] {
        let beyond = self.hits.iter().rev().take(NEAR).take_while(|hit| hit.start >= at).count();
        let known = match beyond {
            NEAR => self.hits.partition_point(|hit| hit.start < at),
            few => self.hits.len() - few,
        };
        self.hits.get(..known).unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        self.from = 0;
        self.to = 0;
        self.reach = 0;
        self.ahead = 0;
        self.hits.clear();
        self.known = 0;
        self.newest.clear();
    }
}

impl ContextWords {
    /// Collects the words of `contexts`; one [`Wanted`] for each comes back.
    pub(super) fn new<'a>(
        contexts: impl Iterator<Item = Option<&'a Context>>,
    ) -> Result<(ContextWords, Vec<Option<Wanted>>), String> {
        let mut words: Vec<&str> = Vec::new();
        let contexts: Vec<Option<&Context>> = contexts.collect();
        for context in contexts.iter().flatten() {
            words.extend(context.words.iter().chain(&context.exclude).map(String::as_str));
        }
        words.retain(|word| word.len() > 1);
        crate::order::sort_by(&mut words, Ord::cmp);
        words.dedup();
        if words.len() > usize::from(u16::MAX) {
            return Err(format!("more than {} words in all rules", u16::MAX));
        }
        let number = |word: &String| words.binary_search(&word.as_str()).ok().map(|at| at as u16);
        let numbers = |of: &[String]| {
            let mut numbers: Vec<u16> = of.iter().filter_map(number).collect();
            crate::order::sort_by(&mut numbers, Ord::cmp);
            numbers
        };
        let single = |of: &[String]| {
            of.iter().filter(|word| word.len() == 1).filter_map(|word| word.bytes().next()).collect()
        };
        let wanted: Vec<Option<Wanted>> = contexts
            .iter()
            .map(|context| {
                context.map(|context| Wanted {
                    words: numbers(&context.words),
                    exclude: numbers(&context.exclude),
                    bytes: single(&context.words),
                    exclude_bytes: single(&context.exclude),
                    within: context.within,
                    alone: context.alone,
                })
            })
            .collect();
        let literal = |(unit, word): (u16, &&str)| Literal {
            text: word.to_ascii_lowercase().into_bytes(),
            unit,
            at_boundary: word.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric),
            gate: Gate::Open,
            next: ByteSet::ALL,
        };
        let lengths: Vec<usize> = words.iter().map(|word| word.len()).collect();
        let literals = Literals::of_words((0..).zip(&words).map(literal).collect());
        let mut wanted_by = vec![Vec::new(); words.len()];
        for (rule, context) in (0..).zip(&wanted) {
            let words = context.iter().flat_map(|context| &context.words);
            for word in words {
                if let Some(rules) = wanted_by.get_mut(usize::from(*word)) {
                    rules.push(rule);
                }
            }
        }
        Ok((ContextWords { literals, lengths, wanted_by }, wanted))
    }

    /// Whether any word of any rule starts in `from..to`. None: the budget is
    /// exhausted.
    pub(super) fn any_near(
        &self,
        text: &[u8],
        (from, to): (usize, usize),
        found: &mut ContextHits,
        budget: &mut Budget,
    ) -> Option<bool> {
        self.find_until(text, from, to, found, budget)?;
        let last = found.before(to).last();
        Some(last.is_some_and(|hit| hit.start >= from))
    }

    /// False: no word of `rule` is near enough to any place in `from..=to` for
    /// [`Self::holds`] to hold there. None: the budget is exhausted.
    pub(super) fn may_hold(
        &self,
        (rule, wanted): (u16, &Wanted),
        text: &[u8],
        (from, to): (usize, usize),
        found: &mut ContextHits,
        budget: &mut Budget,
    ) -> Option<bool> {
        if wanted.words.is_empty() || !wanted.bytes.is_empty() {
            return Some(true);
        }
        let first = from.saturating_sub(wanted.within);
        self.find_until(text, first, to, found, budget)?;
        while let Some(hit) = found.hits.get(found.known).filter(|hit| hit.start < to) {
            let rules = self.wanted_by.get(usize::from(hit.word)).map(Vec::as_slice).unwrap_or_default();
            if !budget.take(1 + rules.len()) {
                return None;
            }
            for &rule in rules {
                let rule = usize::from(rule);
                if rule >= found.newest.len() {
                    found.newest.resize(rule + 1, 0);
                }
                if let Some(newest) = found.newest.get_mut(rule) {
                    *newest = (*newest).max(hit.start + 1);
                }
            }
            found.known += 1;
        }
        Some(found.newest.get(usize::from(rule)).is_some_and(|&newest| newest > first))
    }

    /// Whether the text before `at` is as `wanted` wants it. None: the budget
    /// is exhausted.
    pub(super) fn holds(
        &self,
        wanted: &Wanted,
        text: &[u8],
        at: usize,
        found: &mut ContextHits,
        budget: &mut Budget,
    ) -> Option<bool> {
        let first = at.saturating_sub(wanted.within);
        self.find_until(text, first, at, found, budget)?;
        let single = |bytes: &[u8]| {
            let near = text.get(first..at).unwrap_or_default();
            let whole = |i: usize| is_whole(text, first + i, first + i + 1);
            bytes
                .iter()
                .any(|byte| near.iter().enumerate().any(|(i, b)| b.eq_ignore_ascii_case(byte) && whole(i)))
        };
        if !budget.take(wanted.within * (wanted.bytes.len() + wanted.exclude_bytes.len())) {
            return None;
        }
        let mut good = wanted.words.is_empty() && wanted.bytes.is_empty() || single(&wanted.bytes);
        let mut bad = single(&wanted.exclude_bytes);
        let before = found.before(at).iter().rev();
        for hit in before.take_while(|hit| hit.start >= first) {
            if !budget.take(1) {
                return None;
            }
            if hit.end <= at {
                good |= wanted.words.binary_search(&hit.word).is_ok();
                bad |= wanted.exclude.binary_search(&hit.word).is_ok();
            }
        }
        Some(good && !bad)
    }

    /// Finds the words that start in `first..at`.
    #[inline(always)]
    fn find_until(
        &self,
        text: &[u8],
        first: usize,
        at: usize,
        found: &mut ContextHits,
        budget: &mut Budget,
    ) -> Option<()> {
        if found.from <= first && first <= found.to && at <= found.to {
            return Some(());
        }
        self.search(text, first, at, found, budget)
    }

    /// The same, and a few more.
    #[inline(never)]
    fn search(
        &self,
        text: &[u8],
        first: usize,
        at: usize,
        found: &mut ContextHits,
        budget: &mut Budget,
    ) -> Option<()> {
        // A search that begins anew costs what it looks back and a stretch: through smaller
        // gaps it goes on, so that no text costs much more than to be searched once.
        found.reach = found.reach.max(at.saturating_sub(first));
        if first.saturating_sub(found.to) > found.reach + STRETCH {
            found.hits.clear();
            (found.known, found.from, found.to, found.ahead) = (0, first, first, 0);
        }
        if first < found.from {
            self.search_before(text, first, found, budget)?;
        }
        if at <= found.to {
            return Some(());
        }
        let from = found.to;
        if from > found.from {
            found.ahead = (2 * found.ahead).clamp(BLOCK, LONG_STRETCH);
        }
        // Whole blocks: half of one costs as much.
        let len = (at - from + found.ahead).next_multiple_of(BLOCK);
        let to = from.saturating_add(len).min(text.len());
        if !budget.take(4 * (to - from)) {
            return None;
        }
        self.words(text, from, to, &mut found.hits);
        found.to = to;
        Some(())
    }

    /// Some rules look farther back than others: only what is missing is searched. That
    /// is little, for places come nearly in order, and so are the hits behind it.
    #[inline(never)]
    fn search_before(
        &self,
        text: &[u8],
        first: usize,
        found: &mut ContextHits,
        budget: &mut Budget,
    ) -> Option<()> {
        if !budget.take(4 * (found.from - first) + found.hits.len()) {
            return None;
        }
        let mut hits = Vec::new();
        self.words(text, first, found.from, &mut hits);
        found.hits.splice(0..0, hits);
        (found.known, found.from) = (0, first);
        Some(())
    }

    /// Adds the words that start in `from..to` to `hits`.
    fn words(&self, text: &[u8], from: usize, to: usize, hits: &mut Vec<Hit>) {
        self.literals.scan(text, from, to, true, |start, word| {
            let end = start + self.lengths.get(usize::from(word)).copied().unwrap_or(0);
            if is_whole(text, start, end) {
                hits.push(Hit { start, end, word });
            }
        });
    }
}

/// No letter or digit continues the word on either side, if it starts or ends
/// with one.
fn is_whole(text: &[u8], start: usize, end: usize) -> bool {
    let letter = |at: Option<usize>| at.and_then(|i| text.get(i)).is_some_and(u8::is_ascii_alphanumeric);
    let goes_on = |before: Option<usize>, after: usize| letter(before) && letter(Some(after));
    !goes_on(start.checked_sub(1), start) && !goes_on(end.checked_sub(1), end)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(of: &[(&str, usize)]) -> ContextWords {
        let context = |(word, within): &(&str, usize)| {
            serde_json::from_str::<Context>(&format!(r#"{{"words":["{word}"],"within":{within}}}"#)).unwrap()
        };
        let contexts: Vec<Context> = of.iter().map(context).collect();
        ContextWords::new(contexts.iter().map(Some)).unwrap().0
    }

    /// Places nearly in order, each asked for with a reach of its own, see what a search
    /// from nothing sees, and no byte costs more than a few steps however far apart they
    /// are.
    #[test]
    fn reaches_may_differ() {
        let words = words(&[("abcde", 512), ("order", 40)]);
        for gap in [1, 20, 70, 130, 300, 700] {
            let unit = format!("id abcde 12 order-7 x{}", ".".repeat(gap));
            let text = unit.repeat(9000 / unit.len());
            let (mut found, mut left) = (ContextHits::default(), Budget::for_text(0, None));
            let given = 9 * text.len();
            assert!(left.take(65_536 - given.min(65_536)));
            for unit_at in (0..text.len()).step_by(unit.len()) {
                for (behind, reach) in [(16, 5), (2, 100), (9, 300), (19, 512), (4, 40), (12, 8)] {
                    let at = unit_at + behind;
                    let near = (at.saturating_sub(reach), at);
                    let seen = words.any_near(text.as_bytes(), near, &mut found, &mut left);
                    let (mut fresh, mut free) = (ContextHits::default(), Budget::for_text(4096, None));
                    let want = words.any_near(text.as_bytes(), near, &mut fresh, &mut free);
                    assert_eq!(seen, want, "{gap} {at} {reach}");
                }
            }
        }
    }
}
