//! Automata: patterns walked byte by byte, compiled when first needed.

use std::sync::OnceLock;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;

use super::ends::{End, Lists};
use super::scratch::{Caches, Kept};
use crate::limits::MAX_PATTERN_NFA_BYTES;

/// States of one automaton are forgotten and found again beyond this.
const CACHE_BYTES: usize = 512 * 1024;

/// Some patterns in one automaton, all anchored at the place it is started.
#[derive(Debug)]
pub(super) struct Automaton {
    /// Where its cache lies in [`Caches`].
    id: usize,
    patterns: Vec<Hir>,
    /// Of each pattern, how far before a match its words may start; 0 if it wants none.
    reaches: Vec<usize>,
    reverse: bool,
    dfa: OnceLock<Option<DFA>>,
}

/// An automaton could not be built or stepped: the scan fails closed.
#[derive(Debug)]
pub(super) struct Broken;

/// How a walk ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) steps: usize,
    /// Bytes of states that were built on the way.
    pub(super) built: usize,
    /// It came to the end of the text, and more text could change its result.
    pub(super) alive: bool,
}

impl Automaton {
    pub(super) fn new(id: usize, patterns: Vec<Hir>, reverse: bool) -> Automaton {
        Automaton { id, patterns, reaches: Vec::new(), reverse, dfa: OnceLock::new() }
    }

    /// The same, with the reach of each pattern's words.
    pub(super) fn wanting(self, reaches: Vec<usize>) -> Automaton {
        Automaton { reaches, ..self }
    }

    /// Which lists are of this automaton in [`Caches`].
    pub(super) const fn id(&self) -> usize {
        self.id
    }

    /// Builds the automaton now; the error is for the author.
    pub(super) fn build(&self) -> Result<DFA, String> {
        let config = thompson::Config::new()
            .utf8(false)
            .reverse(self.reverse)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(MAX_PATTERN_NFA_BYTES * self.patterns.len().max(1)));
        let nfa = thompson::Compiler::new()
            .configure(config)
            .build_many_from_hir(&self.patterns)
            .map_err(|e| e.to_string())?;
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .prefilter(None)
            .cache_capacity(CACHE_BYTES * if self.patterns.len() > 1 { 4 } else { 1 })
            .skip_cache_capacity_check(true);
        DFA::builder().configure(config).build_from_nfa(nfa).map_err(|e| e.to_string())
    }

    fn dfa(&self) -> Result<&DFA, Broken> {
        self.dfa.get_or_init(|| self.build().ok()).as_ref().ok_or(Broken)
    }

    #[inline(always)]
    fn walker<'a>(&'a self, dfa: &'a DFA, caches: &'a mut Caches) -> Result<Walker<'a>, Broken> {
        let Kept { cache, lists } = caches.get(self.id, dfa)?;
        let lists = (self.patterns.len() > 1).then(|| lists.get_or_insert_default().as_mut());
        let lists = lists.map(Lists::begin);
        Ok(Walker { dfa, cache, lists, reaches: &self.reaches, before: None })
    }

    /// Walks forward from `from`, `max_len` bytes at most, and adds every place
    /// where a pattern ends to `ends`. In line: most walks are of a few bytes, and to
    /// hand all this over took longer.
    #[inline(always)]
    pub(super) fn forward(
        &self,
        caches: &mut Caches,
        text: &[u8],
        from: usize,
        max_len: usize,
        at_end: bool,
        ends: &mut Vec<End>,
    ) -> Result<Walk, Broken> {
        let dfa = self.dfa()?;
        let mut walker = self.walker(dfa, caches)?;
        let (steps, alive) = walker.forward(text, from, max_len, at_end, ends)?;
        Ok(Walk { steps, built: walker.built(), alive })
    }

    /// Walks backward from `from` down to `floor`, and adds every place where a
    /// pattern starts to `ends`.
    pub(super) fn backward(
        &self,
        caches: &mut Caches,
        text: &[u8],
        from: usize,
        floor: usize,
        ends: &mut Vec<End>,
    ) -> Result<Walk, Broken> {
        let dfa = self.dfa()?;
        let mut walker = self.walker(dfa, caches)?;
        let steps = walker.backward(text, from, floor, ends)?;
        Ok(Walk { steps, built: walker.built(), alive: false })
    }
}

type State = regex_automata::hybrid::LazyStateID;

/// One walk.
struct Walker<'a> {
    dfa: &'a DFA,
    cache: &'a mut Cache,
    /// Where one pattern is all there is, nothing tells which.
    lists: Option<&'a mut Lists>,
    reaches: &'a [usize],
    /// What the cache held before the first state that may have been built. Few
    /// walks build any. States to start in are not counted: an automaton has six.
    before: Option<Size>,
}

impl Walker<'_> {
    fn start(&mut self, beside: Option<u8>) -> Result<State, Broken> {
        let config = start::Config::new().anchored(Anchored::Yes).look_behind(beside);
        self.dfa.start_state(self.cache, &config).map_err(|_| Broken)
    }

    #[inline(always)]
    fn next(&mut self, state: State, byte: u8) -> Result<State, Broken> {
        if !state.is_tagged() {
            let next = self.dfa.next_state_untagged(self.cache, state, byte);
            if !next.is_unknown() {
                return Ok(next);
            }
        }
        self.about_to_build();
        self.dfa.next_state(self.cache, state, byte).map_err(|_| Broken)
    }

    /// The state after the last byte of the text.
    fn next_at_end(&mut self, state: State) -> Result<State, Broken> {
        self.about_to_build();
        self.dfa.next_eoi_state(self.cache, state).map_err(|_| Broken)
    }

    /// The next state may be new.
    #[inline(always)]
    fn about_to_build(&mut self) {
        if self.before.is_none() {
            self.before = Some(Size::of(self.cache));
        }
    }

    /// Bytes of states that were built.
    fn built(&self) -> usize {
        self.before.as_ref().map_or(0, |before| before.built_since(self.cache))
    }

    /// Bytes walked, and whether more text could change the result.
    #[inline(always)]
    fn forward(
        &mut self,
        text: &[u8],
        from: usize,
        max_len: usize,
        at_end: bool,
        ends: &mut Vec<End>,
    ) -> Result<(usize, bool), Broken> {
        let mut state = self.start(from.checked_sub(1).and_then(|i| text.get(i).copied()))?;
        // An automaton tells of a match one byte after its end.
        let stop = from.saturating_add(max_len).saturating_add(1).min(text.len());
        let (mut at, text) = (from, text.get(..stop).unwrap_or_default());
        loop {
            let mut next = None;
            if !state.is_tagged() {
                (at, state, next) = glide(self.dfa, self.cache, text, at, state);
            }
            let Some(&byte) = text.get(at) else { break };
            state = match next {
                Some(next) => next,
                None => self.next(state, byte)?,
            };
            if state.is_match() {
                self.push_end(state, at, ends);
            } else if state.is_dead() {
                return Ok((at + 1 - from, false));
            }
            at += 1;
        }
        let steps = stop - from;
        if steps > max_len {
            return Ok((steps, false));
        }
        if at_end {
            state = self.next_at_end(state)?;
            if state.is_match() {
                self.push_end(state, stop, ends);
            }
        }
        Ok((steps, !at_end && self.can_go_on(state)?))
    }

    /// Bytes walked.
    fn backward(
        &mut self,
        text: &[u8],
        from: usize,
        floor: usize,
        ends: &mut Vec<End>,
    ) -> Result<usize, Broken> {
        let mut state = self.start(text.get(from).copied())?;
        for (i, &byte) in text.get(floor..from).unwrap_or_default().iter().enumerate().rev() {
            state = self.next(state, byte)?;
            if state.is_match() {
                self.push_end(state, floor + i + 1, ends);
            } else if state.is_dead() {
                return Ok(from - floor - i);
            }
        }
        state = match floor.checked_sub(1).and_then(|i| text.get(i)) {
            Some(&byte) => self.next(state, byte)?,
            None => self.next_at_end(state)?,
        };
        if state.is_match() {
            self.push_end(state, floor, ends);
        }
        Ok(from - floor)
    }

    /// Some byte leads on. A match that is complete is told one byte late, by a
    /// state that any further byte kills.
    fn can_go_on(&mut self, state: State) -> Result<bool, Broken> {
        if !state.is_match() {
            return Ok(true);
        }
        for byte in self.dfa.byte_classes().representatives(0u8..=255).filter_map(|unit| unit.as_u8()) {
            if !self.next(state, byte)?.is_dead() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    #[inline(always)]
    fn push_end(&mut self, state: State, at: usize, ends: &mut Vec<End>) {
        let list = match &mut self.lists {
            Some(lists) => lists.of(self.dfa, self.cache, state, self.reaches),
            None => 0,
        };
        ends.push(End { at, list });
    }
}

/// Walks on from `at` as long as nothing is to be done: up to where, in what state,
/// and which match or dead state is next, unless that is not known. Nothing in this
/// loop calls anything.
#[inline(never)]
fn glide(
    dfa: &DFA,
    cache: &Cache,
    text: &[u8],
    mut at: usize,
    mut state: State,
) -> (usize, State, Option<State>) {
    while let Some(&byte) = text.get(at) {
        let next = dfa.next_state_untagged(cache, state, byte);
        if next.is_tagged() {
            return (at, state, (!next.is_unknown()).then_some(next));
        }
        state = next;
        at += 1;
    }
    (at, state, None)
}

/// How much an automaton's cache held.
struct Size {
    bytes: usize,
    clears: usize,
}

impl Size {
    fn of(cache: &Cache) -> Size {
        Size { bytes: cache.memory_usage(), clears: cache.clear_count() }
    }

    fn built_since(&self, cache: &Cache) -> usize {
        let now = Size::of(cache);
        // A cache that was cleared on the way held nothing then.
        let held = if now.clears == self.clears { self.bytes } else { 0 };
        now.bytes.saturating_sub(held)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn walks_tell_of_the_states_they_build_in_both_directions() {
        let pattern = Hir::concat(vec![regex_syntax::parse("[a-z]{2,9}[0-9]{1,9}").unwrap()]);
        for reverse in [false, true] {
            let automaton = Automaton::new(0, vec![pattern.clone()], reverse);
            let (mut caches, mut ends) = (Caches::default(), Vec::new());
            let mut walk = |text: &[u8]| {
                ends.clear();
                let walk = match reverse {
                    false => automaton.forward(&mut caches, text, 0, text.len(), true, &mut ends),
                    true => automaton.backward(&mut caches, text, text.len(), 0, &mut ends),
                };
                assert!(!ends.is_empty());
                walk.unwrap().built
            };
            assert!(walk(b"abc123") > 0, "{reverse}");
            assert_eq!(walk(b"abd124"), 0, "{reverse}");
            assert!(walk(b"abcdef123456") > 0, "{reverse}");
        }
    }
}
