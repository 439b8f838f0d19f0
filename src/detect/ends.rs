//! Which patterns end where a walk comes by: read off an automaton's state once.
//!
//! A state names its patterns one by one, from a packed form. Lists of numbers end in
//! the same few states over and over, at each of their places, with twenty patterns.

use std::hash::{Hash, Hasher};

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};

/// Lists beyond so many are forgotten before the next walk.
const MAX_LISTS: usize = 1024;

/// States that are kept in mind, as a power of two.
const KNOWN_BITS: u32 = 9;

/// A place where patterns of an automaton can end (or start, in reverse).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) at: usize,
    /// Which patterns: a number of [`Lists`], for automata of several.
    pub(super) list: u32,
}

/// Lists of patterns, by number and by state.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// When the automaton's states are forgotten, their numbers mean others.
    clears: usize,
    known: Vec<Option<(LazyStateID, u32)>>,
    lists: Vec<List>,
    patterns: Vec<u16>,
}

/// Patterns of one state.
#[derive(Clone, Copy, Debug)]
struct List {
    from: u32,
    /// From here on they want a word before the match.
    wanting: u32,
    to: u32,
    /// How far before the match the words of any of them may start.
    reach: usize,
}

impl Lists {
    /// For another walk: what earlier ones ended in is done with.
    #[inline(always)]
    pub(super) fn begin(&mut self) -> &mut Lists {
        if self.lists.len() > MAX_LISTS {
            *self = Lists { clears: self.clears, ..Lists::default() };
        }
        self
    }

    /// The number of the list of a state. `reaches`: of each pattern, how far before
    /// its match a word of it must start; 0 for those that want none.
    #[inline(always)]
    pub(super) fn of(&mut self, dfa: &DFA, cache: &Cache, state: LazyStateID, reaches: &[usize]) -> u32 {
        if cache.clear_count() == self.clears
            && let Some(&Some((known, list))) = self.known.get(slot(state))
            && known == state
        {
            return list;
        }
        self.read(dfa, cache, state, reaches)
    }

    #[inline(never)]
    fn read(&mut self, dfa: &DFA, cache: &Cache, state: LazyStateID, reaches: &[usize]) -> u32 {
        if cache.clear_count() != self.clears || self.known.is_empty() {
            self.clears = cache.clear_count();
            self.known.clear();
            self.known.resize(1 << KNOWN_BITS, None);
        }
        let from = self.patterns.len() as u32;
        let all = 0..dfa.match_len(cache, state);
        let pattern = |i| dfa.match_pattern(cache, state, i).as_usize();
        let reach = |pattern: usize| reaches.get(pattern).copied().unwrap_or(0);
        self.patterns.extend(all.clone().map(pattern).filter(|p| reach(*p) == 0).map(|p| p as u16));
        let wanting = self.patterns.len() as u32;
        self.patterns.extend(all.clone().map(pattern).filter(|p| reach(*p) > 0).map(|p| p as u16));
        let reach = all.map(pattern).map(reach).max().unwrap_or(0);
        let number = self.lists.len() as u32;
        self.lists.push(List { from, wanting, to: self.patterns.len() as u32, reach });
        if let Some(known) = self.known.get_mut(slot(state)) {
            *known = Some((state, number));
        }
        number
    }

    pub(super) fn memory_usage(&self) -> usize {
        size_of_val(self.known.as_slice())
            + size_of_val(self.lists.as_slice())
            + size_of_val(self.patterns.as_slice())
    }

    /// How far before a match any pattern of a list wants a word; 0 if none does.
    pub(super) fn reach(&self, list: u32) -> usize {
        self.lists.get(list as usize).map_or(0, |list| list.reach)
    }

    /// The patterns of a list, without those that want a word where there is none.
    pub(super) fn patterns(&self, list: u32, words: bool) -> &[u16] {
        let Some(list) = self.lists.get(list as usize) else { return &[] };
        let to = if words { list.to } else { list.wanting };
        self.patterns.get(list.from as usize..to as usize).unwrap_or_default()
    }
}

#[inline(always)]
fn slot(state: LazyStateID) -> usize {
    let mut number = Number(0);
    state.hash(&mut number);
    // States lie a power of two apart.
    (number.0.wrapping_mul(0x9E37_79B1) >> (32 - KNOWN_BITS)) as usize
}

/// The number of a state, which it gives to hashers only.
struct Number(u32);

impl Hasher for Number {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u32::from(*byte);
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        u64::from(self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::scratch::Caches;
    use super::super::unit::Automaton;
    use super::*;

    #[test]
    fn lists_are_those_of_the_states_whatever_is_forgotten() {
        let parse = |pattern: &str| regex_syntax::parse(pattern).unwrap();
        let patterns = ["[0-9]{3,5}", "[0-9]{4}", "[0-9a-f]{3,4}", "[0-9]{4}[a-f]?"].map(parse);
        let automaton = Automaton::new(0, patterns.to_vec(), false).wanting(vec![0, 7, 0, 9]);
        let mut caches = Caches::default();
        let (mut ends, mut seen) = (Vec::new(), Vec::new());
        for _ in 0..2 * MAX_LISTS {
            ends.clear();
            automaton.forward(&mut caches, b"1234 ", 0, 9, true, &mut ends).unwrap();
            let lists = caches.take_lists(0).unwrap();
            let patterns = |list, words| lists.patterns(list, words).to_vec();
            seen = ends.iter().map(|e| (e.at, patterns(e.list, false), patterns(e.list, true))).collect();
            assert_eq!(ends.iter().map(|e| lists.reach(e.list)).max(), Some(9));
            caches.put_lists(0, lists);
        }
        assert_eq!(seen, [(3, vec![0, 2], vec![0, 2]), (4, vec![0, 2], vec![0, 2, 1, 3])]);
    }
}
