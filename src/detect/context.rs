//! Words before a match: found on demand, each stretch of text once.

// Not the automaton that chooses its kind: it brings all kinds into the module.
use aho_corasick::automaton::{Automaton, OverlappingState};
use aho_corasick::nfa::contiguous::NFA;

use super::budget::Budget;
use crate::rules::Context;

/// Bytes that are searched for words beyond those asked for.
const STRETCH: usize = 512;

/// Context words of all rules.
#[derive(Debug)]
pub(super) struct ContextWords {
    automaton: Option<NFA>,
    /// Length of the longest word.
    longest: usize,
    /// Rules that want each word, by their number among the contexts.
    wanted_by: Vec<Vec<u16>>,
}

/// Context of one rule: indices into the words.
#[derive(Debug)]
pub(super) struct Wanted {
    words: Vec<u32>,
    exclude: Vec<u32>,
    within: usize,
    alone: bool,
}

/// Words found so far in one text, by their ends.
#[derive(Debug, Default)]
pub(super) struct ContextHits {
    from: usize,
    to: usize,
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
    word: u32,
}

impl Wanted {
    /// A match that is all of its text needs no word before it.
    pub(super) const fn alone(&self) -> bool {
        self.alone
    }
}

impl ContextHits {
    pub(super) fn clear(&mut self) {
        self.from = 0;
        self.to = 0;
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
        let mut words: Vec<String> = Vec::new();
        // Numbers of the words in their order.
        let mut index: Vec<u32> = Vec::new();
        let mut intern = |word: &String| -> u32 {
            let known = index.binary_search_by(|&i| words.get(i as usize).cmp(&Some(word)));
            match known {
                Ok(at) => index.get(at).copied().unwrap_or_default(),
                Err(at) => {
                    index.insert(at, words.len() as u32);
                    words.push(word.clone());
                    words.len() as u32 - 1
                }
            }
        };
        let wanted: Vec<Option<Wanted>> = contexts
            .map(|context| {
                context.map(|context| Wanted {
                    words: context.words.iter().map(&mut intern).collect(),
                    exclude: context.exclude.iter().map(&mut intern).collect(),
                    within: context.within,
                    alone: context.alone,
                })
            })
            .collect();
        let automaton = (!words.is_empty())
            .then(|| NFA::builder().ascii_case_insensitive(true).prefilter(false).build(&words))
            .transpose()
            .map_err(|e| e.to_string())?;
        let longest = words.iter().map(String::len).max().unwrap_or(0);
        let mut wanted_by = vec![Vec::new(); words.len()];
        for (rule, context) in (0..).zip(&wanted) {
            let words = context.iter().flat_map(|context: &Wanted| &context.words);
            for word in words {
                if let Some(rules) = wanted_by.get_mut(*word as usize) {
                    rules.push(rule);
                }
            }
        }
        Ok((ContextWords { automaton, longest, wanted_by }, wanted))
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
        if wanted.words.is_empty() {
            return Some(true);
        }
        let first = from.saturating_sub(wanted.within);
        self.find_until(text, first, to, found, budget)?;
        while let Some(hit) = found.hits.get(found.known).filter(|hit| hit.end <= to) {
            let rules = self.wanted_by.get(hit.word as usize).map(Vec::as_slice).unwrap_or_default();
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
        let known = found.hits.partition_point(|hit| hit.end <= at);
        let (mut good, mut bad) = (wanted.words.is_empty(), false);
        for hit in found.hits.get(..known).unwrap_or_default().iter().rev() {
            // Hits are sorted by end; the longest word bounds how far starts lag.
            if hit.end <= first {
                break;
            }
            if !budget.take(1) {
                return None;
            }
            if hit.start >= first {
                good |= wanted.words.contains(&hit.word);
                bad |= wanted.exclude.contains(&hit.word);
            }
        }
        Some(good && !bad)
    }

    fn find_until(
        &self,
        text: &[u8],
        first: usize,
        at: usize,
        found: &mut ContextHits,
        budget: &mut Budget,
    ) -> Option<()> {
        if first < found.from || first > found.to {
            found.hits.clear();
            (found.known, found.from, found.to) = (0, first, first);
        }
        // A word may have begun before the stretch that is already known.
        if at <= found.to {
            return Some(());
        }
        let from = found.to.saturating_sub(self.longest).max(found.from);
        // Ahead of need: each stretch begins with the end of the one before.
        let at = at.saturating_add(STRETCH).min(text.len());
        if !budget.take(4 * (at - from)) {
            return None;
        }
        let Some(automaton) = &self.automaton else { return Some(()) };
        let span = aho_corasick::Input::new(text).span(from..at);
        let mut state = OverlappingState::start();
        while automaton.try_find_overlapping(&span, &mut state).is_ok()
            && let Some(hit) = state.get_match()
        {
            let hit = Hit { start: hit.start(), end: hit.end(), word: hit.pattern().as_u32() };
            if hit.end > found.to && is_whole(text, hit.start, hit.end) {
                found.hits.push(hit);
            }
        }
        found.to = at;
        Some(())
    }
}

/// No letter or digit continues the word on either side, if it starts or ends
/// with one.
fn is_whole(text: &[u8], start: usize, end: usize) -> bool {
    let letter = |at: Option<usize>| at.and_then(|i| text.get(i)).is_some_and(u8::is_ascii_alphanumeric);
    let goes_on = |before: Option<usize>, after: usize| letter(before) && letter(Some(after));
    !goes_on(start.checked_sub(1), start) && !goes_on(end.checked_sub(1), end)
}
