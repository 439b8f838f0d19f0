//! Memory that scans reuse: one for each thread, any number of engines.

use regex_automata::hybrid::dfa::{Cache, DFA};

use super::budget::FREE_STATE_BYTES;
use super::checks::Checked;
use super::context::ContextHits;
use super::ends::{End, Lists};
use super::needs::Searched;
use super::unit::Broken;

/// Buffers and automaton states that outlive a scan. Holds no text.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The engine that `caches` belongs to.
    pub(super) engine: u64,
    pub(super) caches: Caches,
    pub(super) candidates: Candidates,
    pub(super) ends: Vec<End>,
    pub(super) splits: [Vec<End>; 2],
    /// The automaton whose backward walk the second of `splits` is of, and from where
    /// to where, in this text.
    pub(super) walked_back: Option<(usize, usize, usize)>,
    pub(super) tries: Tries,
    pub(super) checked: Checked,
    /// Where each rule may match next.
    pub(super) next_start: Sparse<usize>,
    /// What each unit's search for words came to.
    pub(super) searched: Sparse<Searched>,
    pub(super) context: ContextHits,
    /// Bytes of states that may still be built for nothing, where several
    /// texts share them.
    pub(super) free_state_bytes: Option<usize>,
}

/// Values by number, of which one text changes few: to forget them costs no more than
/// to have set them.
#[derive(Debug, Default)]
pub(super) struct Sparse<T> {
    values: Vec<T>,
    set: Vec<u16>,
}

impl<T: Copy + Default + PartialEq> Sparse<T> {
    pub(super) fn clear(&mut self) {
        for number in self.set.drain(..) {
            if let Some(value) = self.values.get_mut(usize::from(number)) {
                *value = T::default();
            }
        }
    }

    #[inline(always)]
    pub(super) fn get(&self, number: u16) -> T {
        self.values.get(usize::from(number)).copied().unwrap_or_default()
    }

    #[inline(always)]
    pub(super) fn set(&mut self, number: u16, to: T) {
        if usize::from(number) >= self.values.len() {
            self.values.resize(usize::from(number) + 1, T::default());
        }
        if let Some(value) = self.values.get_mut(usize::from(number)) {
            if *value == T::default() && to != *value {
                self.set.push(number);
            }
            *value = to;
        }
    }
}

/// A place where matches of a unit can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) at: usize,
    pub(super) unit: u16,
    /// If only rules match here that want a word before, how far before it may start; or 0.
    pub(super) word_within: u16,
}

impl Candidate {
    pub(super) const fn new(at: usize, unit: u16) -> Candidate {
        Candidate { at, unit, word_within: 0 }
    }
}

/// Candidates of a block: two lists, of which the first is in order of place, and the
/// second for each unit.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    pub(super) literals: Vec<Candidate>,
    pub(super) anchors: Vec<Candidate>,
}

impl Candidates {
    pub(super) fn clear(&mut self) {
        self.literals.clear();
        self.anchors.clear();
    }

    /// Calls `each` for all of both lists, for each unit in order of place.
    pub(super) fn in_order(&self, mut each: impl FnMut(Candidate)) {
        let mut anchors = self.anchors.iter().copied().peekable();
        for &literal in &self.literals {
            while let Some(anchor) = anchors.next_if(|anchor| anchor.at < literal.at) {
                each(anchor);
            }
            each(literal);
        }
        anchors.for_each(each);
    }
}

/// How often each pattern was tried at one candidate.
#[derive(Debug, Default)]
pub(super) struct Tries {
    candidate: u64,
    /// The candidate of the last try, and how many of that there were.
    of: Vec<(u64, usize)>,
}

impl Tries {
    /// The tries of another candidate, with so many patterns.
    pub(super) fn begin(&mut self, patterns: usize) {
        self.candidate += 1;
        if self.of.len() < patterns {
            self.of.resize(patterns, (0, 0));
        }
    }

    /// Counts the tries of `pattern` at this candidate: 0 if it was not met here before.
    #[inline(always)]
    pub(super) fn count(&mut self, pattern: u16) -> Option<&mut usize> {
        let (candidate, count) = self.of.get_mut(usize::from(pattern))?;
        if *candidate != self.candidate {
            (*candidate, *count) = (self.candidate, 0);
        }
        Some(count)
    }
}

/// What walks of one automaton left for the next.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) cache: Cache,
    /// Out on loan while they are read.
    pub(super) lists: Option<Box<Lists>>,
}

/// States of lazy automata, by automaton.
#[derive(Debug, Default)]
pub(super) struct Caches(Vec<Option<Box<Kept>>>);

impl Caches {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// What automaton `id` left.
    #[inline(always)]
    pub(super) fn get(&mut self, id: usize, dfa: &DFA) -> Result<&mut Kept, Broken> {
        if !matches!(self.0.get(id), Some(Some(_))) {
            self.create(id, dfa);
        }
        self.0.get_mut(id).and_then(Option::as_deref_mut).ok_or(Broken)
    }

    #[inline(never)]
    fn create(&mut self, id: usize, dfa: &DFA) {
        if id >= self.0.len() {
            self.0.resize_with(id + 1, || None);
        }
        if let Some(slot) = self.0.get_mut(id) {
            *slot = Some(Box::new(Kept { cache: dfa.create_cache(), lists: None }));
        }
    }

    /// The lists of automaton `id`, to be put back before it walks again.
    pub(super) fn take_lists(&mut self, id: usize) -> Option<Box<Lists>> {
        self.0.get_mut(id)?.as_mut()?.lists.take()
    }

    pub(super) fn put_lists(&mut self, id: usize, lists: Box<Lists>) {
        if let Some(Some(kept)) = self.0.get_mut(id) {
            kept.lists = Some(lists);
        }
    }

    /// Bytes that all caches take.
    pub(super) fn memory_usage(&self) -> usize {
        self.0
            .iter()
            .flatten()
            .map(|kept| {
                kept.cache.memory_usage() + kept.lists.as_ref().map_or(0, |lists| lists.memory_usage())
            })
            .sum()
    }
}

impl Scratch {
    /// Empty.
    pub fn new() -> Scratch {
        Scratch::default()
    }

    /// From here on texts share the states that may be built for nothing: one
    /// body cut into a thousand texts must not have a thousand times as many.
    pub fn begin(&mut self) {
        self.free_state_bytes = Some(FREE_STATE_BYTES);
    }

    /// Bytes of automaton states kept for the next scan.
    pub fn memory_usage(&self) -> usize {
        self.caches.memory_usage()
    }
}
