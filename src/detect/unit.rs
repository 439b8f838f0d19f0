//! Automata: patterns walked byte by byte, compiled when first needed.

use std::sync::OnceLock;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;

use super::scratch::Caches;
use crate::limits::MAX_PATTERN_NFA_BYTES;

/// States of one automaton are forgotten and found again beyond this.
const CACHE_BYTES: usize = 512 * 1024;

/// Some patterns in one automaton, all anchored at the place it is started.
#[derive(Debug)]
pub(super) struct Automaton {
    /// Where its cache lies in [`Caches`].
    id: usize,
    patterns: Vec<Hir>,
    reverse: bool,
    dfa: OnceLock<Option<DFA>>,
}

/// An automaton could not be built or stepped: the scan fails closed.
#[derive(Debug)]
pub(super) struct Broken;

/// A place where a pattern of an automaton can end (or start, in reverse).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Accept {
    pub(super) pattern: u32,
    pub(super) at: usize,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) steps: usize,
    /// Bytes of states that were built on the way.
    pub(super) built: usize,
    /// It came to the end of the text, and more text could change its result.
    pub(super) alive: bool,
}

impl Walk {
    /// What both cost.
    pub(super) fn and(self, other: Walk) -> Walk {
        Walk { steps: self.steps + other.steps, built: self.built + other.built, alive: false }
    }
}

impl Automaton {
    pub(super) fn new(id: usize, patterns: Vec<Hir>, reverse: bool) -> Automaton {
        Automaton { id, patterns, reverse, dfa: OnceLock::new() }
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

    /// Walks forward from `from`, `max_len` bytes at most, and adds every place
    /// where a pattern ends to `accepts`.
    pub(super) fn forward(
        &self,
        caches: &mut Caches,
        text: &[u8],
        from: usize,
        max_len: usize,
        at_end: bool,
        accepts: &mut Vec<Accept>,
    ) -> Result<Walk, Broken> {
        let dfa = self.dfa()?;
        let mut walker = Walker { dfa, cache: caches.get(self.id, dfa)?, before: None };
        let (steps, alive) = walker.forward(text, from, max_len, at_end, accepts)?;
        Ok(Walk { steps, built: walker.built(), alive })
    }

    /// Walks backward from `from` down to `floor`, and adds every place where a
    /// pattern starts to `accepts`.
    pub(super) fn backward(
        &self,
        caches: &mut Caches,
        text: &[u8],
        from: usize,
        floor: usize,
        accepts: &mut Vec<Accept>,
    ) -> Result<Walk, Broken> {
        let dfa = self.dfa()?;
        let mut walker = Walker { dfa, cache: caches.get(self.id, dfa)?, before: None };
        let steps = walker.backward(text, from, floor, accepts)?;
        Ok(Walk { steps, built: walker.built(), alive: false })
    }
}

type State = regex_automata::hybrid::LazyStateID;

/// One walk.
struct Walker<'a> {
    dfa: &'a DFA,
    cache: &'a mut Cache,
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
        self.next_special(state, Some(byte))
    }

    /// The next state where one of both is special, or not built yet. None: the
    /// end of the text.
    #[inline(never)]
    fn next_special(&mut self, state: State, byte: Option<u8>) -> Result<State, Broken> {
        self.before.get_or_insert_with(|| Size::of(self.cache));
        let next = match byte {
            Some(byte) => self.dfa.next_state(self.cache, state, byte),
            None => self.dfa.next_eoi_state(self.cache, state),
        };
        next.map_err(|_| Broken)
    }

    /// Bytes of states that were built.
    fn built(&self) -> usize {
        self.before.as_ref().map_or(0, |before| before.built_since(self.cache))
    }

    /// Bytes walked, and whether more text could change the result.
    fn forward(
        &mut self,
        text: &[u8],
        from: usize,
        max_len: usize,
        at_end: bool,
        accepts: &mut Vec<Accept>,
    ) -> Result<(usize, bool), Broken> {
        let mut state = self.start(from.checked_sub(1).and_then(|i| text.get(i).copied()))?;
        // An automaton tells of a match one byte after its end.
        let stop = from.saturating_add(max_len).saturating_add(1).min(text.len());
        for (at, &byte) in (from..).zip(text.get(from..stop).unwrap_or_default()) {
            state = self.next(state, byte)?;
            if state.is_tagged() {
                if state.is_match() {
                    self.push_accepts(state, at, accepts);
                } else if state.is_dead() {
                    return Ok((at + 1 - from, false));
                }
            }
        }
        let steps = stop - from;
        if steps > max_len {
            return Ok((steps, false));
        }
        if at_end {
            state = self.next_special(state, None)?;
            if state.is_match() {
                self.push_accepts(state, stop, accepts);
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
        accepts: &mut Vec<Accept>,
    ) -> Result<usize, Broken> {
        let mut state = self.start(text.get(from).copied())?;
        for (i, &byte) in text.get(floor..from).unwrap_or_default().iter().enumerate().rev() {
            state = self.next(state, byte)?;
            if state.is_match() {
                self.push_accepts(state, floor + i + 1, accepts);
            } else if state.is_dead() {
                return Ok(from - floor - i);
            }
        }
        state = match floor.checked_sub(1).and_then(|i| text.get(i)) {
            Some(&byte) => self.next(state, byte)?,
            None => self.next_special(state, None)?,
        };
        if state.is_match() {
            self.push_accepts(state, floor, accepts);
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
            if !self.next_special(state, Some(byte))?.is_dead() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn push_accepts(&self, state: State, at: usize, accepts: &mut Vec<Accept>) {
        for i in 0..self.dfa.match_len(self.cache, state) {
            accepts.push(Accept { pattern: self.dfa.match_pattern(self.cache, state, i).as_u32(), at });
        }
    }
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
            let (mut caches, mut accepts) = (Caches::default(), Vec::new());
            let mut walk = |text: &[u8]| {
                accepts.clear();
                let walk = match reverse {
                    false => automaton.forward(&mut caches, text, 0, text.len(), true, &mut accepts),
                    true => automaton.backward(&mut caches, text, text.len(), 0, &mut accepts),
                };
                assert!(!accepts.is_empty());
                walk.unwrap().built
            };
            assert!(walk(b"abc123") > 0, "{reverse}");
            assert_eq!(walk(b"abd124"), 0, "{reverse}");
            assert!(walk(b"abcdef123456") > 0, "{reverse}");
        }
    }
}
