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
        let cache = caches.get(self.id, dfa)?;
        let before = Size::of(cache);
        let (steps, alive) = walk(dfa, cache, text, from, max_len, at_end, accepts)?;
        Ok(Walk { steps, built: before.built_since(cache), alive })
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
        let cache = caches.get(self.id, dfa)?;
        let before = Size::of(cache);
        let steps = walk_back(dfa, cache, text, from, floor, accepts)?;
        Ok(Walk { steps, built: before.built_since(cache), alive: false })
    }
}

type State = regex_automata::hybrid::LazyStateID;

fn start_state(dfa: &DFA, cache: &mut Cache, beside: Option<u8>) -> Result<State, Broken> {
    let config = start::Config::new().anchored(Anchored::Yes).look_behind(beside);
    dfa.start_state(cache, &config).map_err(|_| Broken)
}

/// Bytes walked, and whether more text could change the result.
fn walk(
    dfa: &DFA,
    cache: &mut Cache,
    text: &[u8],
    from: usize,
    max_len: usize,
    at_end: bool,
    accepts: &mut Vec<Accept>,
) -> Result<(usize, bool), Broken> {
    let before = from.checked_sub(1).and_then(|i| text.get(i).copied());
    let mut state = start_state(dfa, cache, before)?;
    // An automaton tells of a match one byte after its end.
    let stop = from.saturating_add(max_len).saturating_add(1).min(text.len());
    for (at, &byte) in (from..).zip(text.get(from..stop).unwrap_or_default()) {
        state = dfa.next_state(cache, state, byte).map_err(|_| Broken)?;
        if state.is_tagged() {
            if state.is_match() {
                push_accepts(dfa, cache, state, at, accepts);
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
        state = dfa.next_eoi_state(cache, state).map_err(|_| Broken)?;
        if state.is_match() {
            push_accepts(dfa, cache, state, stop, accepts);
        }
    }
    Ok((steps, !at_end && can_go_on(dfa, cache, state)?))
}

/// Bytes walked.
fn walk_back(
    dfa: &DFA,
    cache: &mut Cache,
    text: &[u8],
    from: usize,
    floor: usize,
    accepts: &mut Vec<Accept>,
) -> Result<usize, Broken> {
    let mut state = start_state(dfa, cache, text.get(from).copied())?;
    for (i, &byte) in text.get(floor..from).unwrap_or_default().iter().enumerate().rev() {
        state = dfa.next_state(cache, state, byte).map_err(|_| Broken)?;
        if state.is_match() {
            push_accepts(dfa, cache, state, floor + i + 1, accepts);
        } else if state.is_dead() {
            return Ok(from - floor - i);
        }
    }
    state = match floor.checked_sub(1).and_then(|i| text.get(i)) {
        Some(&byte) => dfa.next_state(cache, state, byte),
        None => dfa.next_eoi_state(cache, state),
    }
    .map_err(|_| Broken)?;
    if state.is_match() {
        push_accepts(dfa, cache, state, floor, accepts);
    }
    Ok(from - floor)
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

/// Some byte leads on. A match that is complete is told one byte late, by a
/// state that any further byte kills.
fn can_go_on(dfa: &DFA, cache: &mut Cache, state: State) -> Result<bool, Broken> {
    if !state.is_match() {
        return Ok(true);
    }
    for byte in dfa.byte_classes().representatives(0u8..=255).filter_map(|unit| unit.as_u8()) {
        if !dfa.next_state(cache, state, byte).map_err(|_| Broken)?.is_dead() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn push_accepts(dfa: &DFA, cache: &Cache, state: State, at: usize, accepts: &mut Vec<Accept>) {
    for i in 0..dfa.match_len(cache, state) {
        accepts.push(Accept { pattern: dfa.match_pattern(cache, state, i).as_u32(), at });
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
